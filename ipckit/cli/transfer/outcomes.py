"""What the shell learns of a failure: the exit statuses of the commands that take part in IPC."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ipckit.cli.failure import Failure
from ipckit.errors import EndOfStreamError, IPCError, TimeoutExpired

if TYPE_CHECKING:
    from collections.abc import Iterator

TIME_IS_UP = 3
END_OF_STREAM = 4


@contextmanager
def outcomes() -> Iterator[None]:
    """For a ``with`` block: turn exceptions of ipckit into a `Failure` with the status that scripts go by."""
    try:
        yield
    except TimeoutExpired as error:
        raise Failure(str(error), status=TIME_IS_UP) from None
    except EndOfStreamError as error:
        raise Failure(str(error), status=END_OF_STREAM) from None
    except IPCError:
        raise
    except (ValueError, TypeError) as error:  # what the library says of an argument, the user gave
        raise Failure(str(error), status=2) from None
