"""Exceptions: what they derive from, what they say, and that they reach another process whole."""

from __future__ import annotations

import errno
import inspect
import pickle
import queue
import threading

import pytest

from ipckit import errors
from ipckit.errors import IPCError, SyscallError, check, syscall_error

NAMED = [cls for name in errors.__all__ if inspect.isclass(cls := getattr(errors, name))]
CLASSES = [cls for cls in NAMED if not issubclass(cls, Warning)]
BUILTINS = {
    "AccessError": PermissionError,
    "AlreadyExistsError": FileExistsError,
    "BrokenBarrierError": threading.BrokenBarrierError,
    "BrokenPeerError": BrokenPipeError,
    "ClosedError": ValueError,
    "EndOfStreamError": EOFError,
    "NoProcessError": ProcessLookupError,
    "NotOwnerError": RuntimeError,
    "NotFoundError": FileNotFoundError,
    "PeerDiedError": ConnectionError,
    "QueueEmpty": queue.Empty,
    "QueueFull": queue.Full,
    "SyscallError": OSError,
    "TimeoutExpired": TimeoutError,
    "UnsupportedError": NotImplementedError,
    "WouldBlockError": BlockingIOError,
}


def test_each_errno_makes_an_error_that_a_pickle_keeps() -> None:
    for number in errno.errorcode:
        error = syscall_error(number, "mq_open", "/name", remedy="do something else")
        error.completed = 5
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            other = pickle.loads(pickle.dumps(error, protocol))
            assert type(other) is type(error)
            assert str(other) == str(error)
            assert (other.errno, other.filename, other.syscall, other.completed) == (number, "/name", "mq_open", 5)
        assert str(error).startswith(f"[Errno {number}] mq_open: ")
        assert str(error).endswith(" (do something else): '/name'")


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_each_class_is_what_users_catch_and_survives_a_pickle_with_its_text(cls: type[IPCError]) -> None:
    assert issubclass(cls, IPCError)
    assert issubclass(cls, BUILTINS.get(cls.__name__, Exception))
    assert cls.__doc__
    error = cls(errno.EIO, "text", "/name") if issubclass(cls, SyscallError) else cls("text")
    other = pickle.loads(pickle.dumps(error))
    assert type(other) is cls
    assert str(other) == str(error)
    assert other.args == error.args


def test_timeout_is_not_called_a_connection() -> None:
    assert str(syscall_error(errno.ETIMEDOUT, "sem_clockwait")) == (
        f"[Errno {errno.ETIMEDOUT}] sem_clockwait: The time given is up"
    )


def test_check_returns_what_is_no_error_and_raises_what_is() -> None:
    assert check(0, "call") == 0
    assert check(7, "call") == 7
    with pytest.raises(errors.BusyError, match="call"):
        check(-errno.EBUSY, "call", "/x")


def test_subject_that_is_no_name_is_shown_as_text() -> None:
    assert syscall_error(errno.EIO, "read", 5).filename == "5"
    assert syscall_error(errno.EIO, "read").filename is None
    assert syscall_error(errno.EIO, "read", b"/raw").filename == b"/raw"
