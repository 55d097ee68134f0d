"""Start a program with a terminal as its controlling one: posix_spawn(3), setsid(2), tty(4).

No line of Python runs between the process's birth and its exec, which would not be safe in a program with threads:
glibc sets the signals, then makes the session, then opens the terminal; and whatever terminal a session leader without
one opens (without O_NOCTTY) becomes its controlling terminal.

A Python that was built with a C library before glibc 2.26 has no setsid in its posix_spawn. It then starts itself, and
this other interpreter, alone with its one thread, makes the session and becomes the program.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from ipckit.errors import IPCError, syscall_error

if TYPE_CHECKING:
    from collections.abc import Mapping

Actions = list[tuple[Any, ...]]

# Back to their defaults: what we ignore, or were told to ignore by nohup(1) or a shell's "&", the program must not.
_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}

# It gives the program the environment that it got, not the one that Python's start may have added to.
_HELPER = """
import fcntl, os, signal, sys, termios
try:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.set_inheritable(3, False)
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    with open("/proc/self/environ", "rb") as file:
        pairs = [pair.split(b"=", 1) for pair in file.read().split(b"\\0") if b"=" in pair]
    os.execve(sys.argv[1], sys.argv[2:], dict(pairs))
except OSError as error:
    os.write(3, b"%d" % error.errno)
"""


def start(args: list[str | bytes], terminal: str, env: Mapping[str, str]) -> int:
    """Start *args* in a new session, with the terminal of that path as its controlling one and its standard streams.

    Returns:
        The pid, which is that of the session and of the foreground process group, too.
    """
    program = _found(args[0], env)
    try:
        streams: Actions = [(os.POSIX_SPAWN_OPEN, 0, terminal, os.O_RDWR, 0)]
        streams += [(os.POSIX_SPAWN_DUP2, 0, fd) for fd in (1, 2)]
        inherited = _inherited()
        try:
            return _spawn(program, args, env, streams, inherited, setsid=True)
        except NotImplementedError:
            return _start_by_interpreter(program, args, env, streams, inherited)
    except IPCError:
        raise
    except OSError as error:
        raise syscall_error(error.errno or errno.EIO, "posix_spawn", os.fsdecode(program)) from None


def _spawn(
    program: str | bytes,
    args: list[str | bytes],
    env: Mapping[str, str],
    actions: Actions,
    inherited: list[int],
    *,
    setsid: bool,
) -> int:
    actions = actions + [(os.POSIX_SPAWN_CLOSE, fd) for fd in inherited]
    how: dict[str, Any] = {"setsid": True} if setsid else {}
    return os.posix_spawn(program, args, env, file_actions=actions, setsigmask=(), setsigdef=_SIGNALS, **how)


def _start_by_interpreter(
    program: str | bytes, args: list[str | bytes], env: Mapping[str, str], streams: Actions, inherited: list[int]
) -> int:
    if not sys.executable:
        raise syscall_error(errno.ENOSYS, "posix_spawn", remedy="it has no setsid here, and sys.executable is unknown")
    inherited = [fd for fd in inherited if fd != 3]
    command = [sys.executable, "-I", "-S", "-c", _HELPER, program, *args]
    reading, writing = os.pipe2(os.O_CLOEXEC)
    with open(reading, "rb") as failed:
        try:
            # Above 3: to duplicate a descriptor onto itself would leave it close-on-exec.
            report = fcntl.fcntl(writing, fcntl.F_DUPFD_CLOEXEC, 4)
        finally:
            os.close(writing)
        try:
            actions = [*streams, (os.POSIX_SPAWN_DUP2, report, 3)]
            pid = _spawn(command[0], command, env, actions, inherited, setsid=False)
        finally:
            os.close(report)
        try:
            number = failed.read()  # nothing, once the program is in its place
        except BaseException:  # Ctrl-C
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
    if number:
        os.waitpid(pid, 0)
        raise OSError(int(number), "the program can't be executed")
    return pid


def _found(program: str | bytes, env: Mapping[str, str]) -> str | bytes:
    """The file to run, looked for in the PATH of *env*, as `subprocess` does it."""
    name = os.fsencode(program)
    if b"/" in name:
        return name
    for directory in os.get_exec_path(env):
        path = os.path.join(os.fsencode(directory), name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    remedy = "no such program in any directory of PATH"
    raise syscall_error(errno.ENOENT, "posix_spawn", os.fsdecode(name), remedy=remedy)


def _inherited() -> list[int]:
    """The descriptors that a program would inherit, besides its standard streams."""
    found = []
    for entry in os.listdir("/proc/self/fd"):
        try:
            if (fd := int(entry)) > 2 and os.get_inheritable(fd):
                found.append(fd)
        except OSError:  # the one that lists, or one that another thread has closed
            pass
    return found
