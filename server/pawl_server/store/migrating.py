"""Brings the tables to those of this server, in the transaction that it is given; imported only when there is work.

The migrations are in `migrations/versions`, each one step from the revision before it. They lie in the package, so that an
installed server has them, too.
"""

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

BASELINE = "0001_baseline"


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing."""
    command.upgrade(configuration(connection), "head")


def adopt(connection: Connection) -> None:
    """Note that the tables, made before there were migrations, are those of the first one."""
    command.stamp(configuration(connection), BASELINE)


def known() -> list[str]:
    """Return the names of all revisions, the newest first."""
    return [script.revision for script in _scripts(configuration()).walk_revisions()]


def configuration(connection: Connection | None = None) -> Config:
    """Return what Alembic's commands go by."""
    config = Config()
    config.set_main_option("script_location", "pawl_server.store:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _scripts(config: Config) -> ScriptDirectory:
    return ScriptDirectory.from_config(config)
