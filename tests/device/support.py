"""What device tests share: plain code that runs on both interpreters."""

from pawl.errors import PawlError


def refused(function, *arguments):
    """Return the reason code with which a call is refused, or None if it isn't."""
    try:
        function(*arguments)
    except PawlError as error:
        return error.code
    return None
