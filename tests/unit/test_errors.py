"""The exception tree and its table: each errno has its class, each class its builtin, and all survive pickling."""

from __future__ import annotations

import copy
import errno
import importlib
import os
import pickle
import queue
import threading

import pytest

from ipckit import errors
from ipckit._names import unique_name
from ipckit.errors import IPCError, SyscallError, check, syscall_error
from ipckit.pty import PseudoTerminal
from ipckit.ring import SpscRing
from ipckit.sync import Mutex
from ipckit.testing import ChildFailed, Spawn
from tests import seccomp
from tests.inspect.elsewhere import CLONE_NEWNS, enter, mount
from tests.rights import needs_namespaces

NAMED = [getattr(errors, name) for name in errors.__all__ if name[0].isupper()]
CLASSES = [cls for cls in NAMED if not issubclass(cls, Warning)]
SYSCALL_CLASSES = [cls for cls in CLASSES if issubclass(cls, SyscallError)]
OTHER_CLASSES = [cls for cls in CLASSES if not issubclass(cls, SyscallError)]

BY_ERRNO = {
    errno.ENOENT: (errors.NotFoundError, FileNotFoundError),
    errno.ESRCH: (errors.NoProcessError, ProcessLookupError),
    errno.EEXIST: (errors.AlreadyExistsError, FileExistsError),
    errno.EADDRINUSE: (errors.AlreadyExistsError, FileExistsError),
    errno.EACCES: (errors.AccessError, PermissionError),
    errno.EPERM: (errors.AccessError, PermissionError),
    errno.EAGAIN: (errors.WouldBlockError, BlockingIOError),
    errno.ETIMEDOUT: (errors.TimeoutExpired, TimeoutError),
    errno.EPIPE: (errors.BrokenPeerError, BrokenPipeError),
    errno.ECONNRESET: (errors.BrokenPeerError, ConnectionError),
    errno.ECONNREFUSED: (errors.BrokenPeerError, ConnectionError),
    errno.ENOTCONN: (errors.BrokenPeerError, ConnectionError),
    errno.EIDRM: (errors.RemovedError, OSError),
    errno.EMSGSIZE: (errors.MessageTooLargeError, OSError),
    errno.E2BIG: (errors.MessageTooLargeError, OSError),
    errno.ENOSPC: (errors.LimitError, OSError),
    errno.EMFILE: (errors.LimitError, OSError),
    errno.ENFILE: (errors.LimitError, OSError),
    errno.ENOMEM: (errors.LimitError, OSError),
    errno.EDQUOT: (errors.LimitError, OSError),
    errno.EBUSY: (errors.BusyError, OSError),
    errno.EDEADLK: (errors.DeadlockError, OSError),
    errno.EOWNERDEAD: (errors.OwnerDiedError, OSError),
    errno.ENOTRECOVERABLE: (errors.NotRecoverableError, OSError),
    errno.ECANCELED: (errors.ClockSetError, OSError),
    errno.ENOSYS: (errors.UnsupportedError, NotImplementedError),
    errno.EOPNOTSUPP: (errors.UnsupportedError, NotImplementedError),
}

BUILTINS = {
    errors.ClosedError: ValueError,
    errors.NotOwnerError: RuntimeError,
    errors.PeerDiedError: ConnectionError,
    errors.EndOfStreamError: EOFError,
    errors.BrokenBarrierError: threading.BrokenBarrierError,
    errors.QueueFull: queue.Full,
    errors.QueueEmpty: queue.Empty,
}


@pytest.mark.parametrize("number", BY_ERRNO, ids=errno.errorcode.get)
def test_each_errno_has_its_class_and_is_caught_as_its_builtin(number: int) -> None:
    cls, builtin = BY_ERRNO[number]
    with pytest.raises(builtin) as caught:
        raise syscall_error(number, "mq_open", "/q")
    error = caught.value
    assert type(error) is cls
    assert isinstance(error, IPCError)
    assert isinstance(error, OSError)
    assert (error.errno, error.filename, error.syscall) == (number, "/q", "mq_open")


def test_table_of_this_test_is_complete() -> None:
    assert {number: cls for number, (cls, _) in BY_ERRNO.items()} == errors._CLASSES


@pytest.mark.parametrize("cls", BUILTINS, ids=lambda cls: cls.__name__)
def test_other_classes_are_caught_as_their_builtins(cls: type[Exception]) -> None:
    with pytest.raises(BUILTINS[cls]):
        raise cls("text")


def test_everything_has_the_root_and_says_what_it_is() -> None:
    assert [cls for cls in CLASSES if not issubclass(cls, IPCError) or not cls.__doc__] == []


def test_unknown_errno_keeps_its_number() -> None:
    error = syscall_error(errno.EXDEV, "linkat")
    assert type(error) is SyscallError
    assert error.errno == errno.EXDEV


@pytest.mark.parametrize("cls", SYSCALL_CLASSES, ids=lambda cls: cls.__name__)
def test_system_call_errors_survive_pickling(cls: type[SyscallError]) -> None:
    number = next((number for number, (known, _) in BY_ERRNO.items() if known is cls), errno.EXDEV)
    for subject in ("/q", None, 7):
        error = syscall_error(number, "mq_open", subject)
        if type(error) is not cls:  # no errno leads to it: its module raises it by name
            error = cls(number, error.strerror, error.filename)
            error.syscall = "mq_open"
        for back in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
            assert type(back) is cls
            assert str(back) == str(error)
            for name in ("errno", "strerror", "filename", "syscall"):
                assert getattr(back, name) == getattr(error, name)


@pytest.mark.parametrize("cls", OTHER_CLASSES, ids=lambda cls: cls.__name__)
def test_other_errors_survive_pickling(cls: type[Exception]) -> None:
    back = pickle.loads(pickle.dumps(cls("text")))
    assert type(back) is cls
    assert str(back) == "text"


def test_message_names_call_error_and_object() -> None:
    assert str(syscall_error(errno.ENOENT, "mq_open", "/q")) == "[Errno 2] mq_open: No such file or directory: '/q'"
    assert str(syscall_error(errno.EIDRM, "msgrcv")) == "[Errno 43] msgrcv: Identifier removed"
    assert str(syscall_error(errno.EBUSY, "flock", 7)) == "[Errno 16] flock: Device or resource busy: '7'"
    assert str(SyscallError(1, "without a call")) == "[Errno 1] without a call"


def test_time_that_is_up_is_no_connection_that_timed_out() -> None:
    assert str(syscall_error(errno.ETIMEDOUT, "poll")) == "[Errno 110] poll: The time given is up"


@pytest.mark.parametrize(
    ("call", "number", "remedy"),
    [
        ("mq_open", errno.EMFILE, "RLIMIT_MSGQUEUE"),
        ("pipe2", errno.EMFILE, "RLIMIT_NOFILE"),
        ("mq_open", errno.ENOSPC, "fs.mqueue.queues_max"),
        ("posix_fallocate", errno.ENOSPC, "/dev/shm is full"),
        ("ipk_latest_create", errno.ENOSPC, "/dev/shm is full"),
        ("ipk_home_create", errno.ENOSPC, "/dev/shm is full"),
        ("open", errno.ENFILE, "fs.file-max"),
        ("write", errno.EFBIG, "RLIMIT_FSIZE"),
        ("mmap", errno.ENOMEM, "RLIMIT_AS"),
    ],
)
def test_limits_name_what_to_raise(call: str, number: int, remedy: str) -> None:
    assert remedy in str(syscall_error(number, call))


def refusal(call: str, create: str) -> str:
    """What the class says where the kernel has no such call."""
    module, _, name = create.rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    seccomp.refuse(call)
    with pytest.raises(errors.UnsupportedError) as caught:
        cls.open(os.getpid()) if name == "PidFd" else cls.create()
    return str(caught.value)


@pytest.mark.skipif(not seccomp.NUMBERS, reason="numbers of system calls are spelt out")
@pytest.mark.parametrize(
    ("call", "create", "remedy"),
    [
        ("memfd_create", "ipckit.SpscRing", "take Linux 4.14 or later, and those without a name a container that"),
        ("memfd_create", "ipckit.sync.Mutex", "a container that allows memfd_create"),
        ("mq_open", "ipckit.posix.MessageQueue", "a kernel with CONFIG_POSIX_MQUEUE, and a container that allows it"),
        ("msgget", "ipckit.sysv.MessageQueue", "it takes a kernel with CONFIG_SYSVIPC, and a container that allows it"),
        ("pidfd_open", "ipckit.PidFd", "it takes Linux 5.3 or later, and a container that allows it"),
        ("timerfd_create", "ipckit.TimerFd", "or the container forbids it; see `ipckit doctor`"),
    ],
)
def test_what_the_kernel_lacks_is_said_with_what_it_takes(spawn: Spawn, call: str, create: str, remedy: str) -> None:
    assert remedy in spawn(refusal, call, create).result()


def refusals_without_proc() -> list[str]:
    hidden = enter(CLONE_NEWNS) or mount("none", "/proc", "tmpfs")
    assert not hidden, hidden
    texts = []
    name = unique_name()
    for make in (lambda: SpscRing.create(name), lambda: Mutex.create(name), lambda: PseudoTerminal.spawn(["true"])):
        with pytest.raises(errors.NotFoundError) as caught:
            make()
        texts.append(str(caught.value))
    return texts


@needs_namespaces
def test_where_proc_is_missing_that_is_said(spawn: Spawn) -> None:
    texts = spawn(refusals_without_proc).result()
    assert ["/proc is not mounted" in text for text in texts] == [True] * 3, texts


def test_remedy_of_the_caller_stands_before_the_built_in_one() -> None:
    text = str(syscall_error(errno.EMFILE, "mq_open", remedy="close some"))
    assert "(close some)" in text
    assert "RLIMIT" not in text


@pytest.mark.parametrize("result", [0, 1, 1 << 40])
def test_check_passes_results(result: int) -> None:
    assert check(result, "read") == result


def test_check_raises_for_a_negative_errno() -> None:
    with pytest.raises(errors.AlreadyExistsError, match=r"linkat: File exists \(open .* or unlink .*\): '/ring'"):
        check(-errno.EEXIST, "linkat", "/ring")


def raise_of_class(number: int) -> None:
    raise syscall_error(number, "mq_open", "/q")


def test_errors_of_another_process_are_caught_by_class(spawn: Spawn) -> None:
    with pytest.raises(ChildFailed) as caught:
        spawn(raise_of_class, errno.EACCES).result()
    assert isinstance(caught.value.__cause__, errors.AccessError)
    assert caught.value.__cause__.syscall == "mq_open"


def test_text_of_the_kernel_is_kept() -> None:
    for number in errno.errorcode:
        if number != errno.ETIMEDOUT:
            assert os.strerror(number) in str(syscall_error(number, "call"))
