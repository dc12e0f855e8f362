"""`pawl boot-table`: which slot a device boots, printed from the table itself."""

from typing import Annotated

import typer

from pawl_tools.cli import api, files

Page = Annotated[
    bool, typer.Option("--page", help="Print the page docs/boot.md: also states, and pairs of slots")
]


def boot_table(*, page: Page = False, json: files.Json = False) -> None:
    """Print the boot table: the first row that applies decides which slot runs."""
    from pawl import boot

    if page:
        from pawl_tools import boot_page

        print(boot_page.page(), end="")
        return
    if json:
        api.print_json([{"row": row.number, "read": row.says, "decision": row.decision} for row in boot.ROWS])
        return
    rows = [(str(row.number), row.says, row.decision) for row in boot.ROWS]
    api.print_table(("ROW", "READ", "DECISION"), rows)
