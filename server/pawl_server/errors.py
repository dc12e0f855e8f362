"""What a person asked for and the server can't do; each names what it is about. Nothing was changed."""


class UnknownError(Exception):
    """No such device, group, release or rollout."""


class InvalidError(Exception):
    """A value that can't be; `field` is where it stands in what was sent."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field
