"""Addresses of objects: "kind:name", as the commands take and print them.

=================================  =============================================================================
address                            object
=================================  =============================================================================
ring:/NAME, sync:/NAME             a ring, a synchronisation object of ipckit; the slash may be left out
ring:[INODE], sync:[INODE]         one without a name
ring:[INODE], sync:[INODE]         the same, in a memory file without a name
file:NAME                          a file in /dev/shm that ipckit keeps beside its objects
mq:/NAME, sem:/NAME, shm:/NAME     a POSIX message queue, semaphore, shared memory; the slash may be left out
shm:[INODE]                        shared memory that was unlinked, and is still in use
sysv-mq:KEY, sysv-mq:id=N          a System V queue by its key (0x1234 or decimal) or its number; so too
                                   sysv-sem and sysv-shm
fifo:PATH, unix:PATH, unix:@NAME   a FIFO, a Unix socket, one in the abstract namespace
unix:[INODE], pipe:[INODE]         a Unix socket without a name, a pipe; the brackets may be left out of all
                                   but unix
memfd:[INODE], eventfd:[ID]        a memory file without a name, an eventfd
pty:/dev/pts/N                     a pseudo-terminal; its number is enough
lock:PATH:START-END                a lock on bytes of a file
futex:PID                          the threads of a process that wait on futexes
=================================  =============================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ipckit._names import absolute
from ipckit.inspect._kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable

_LARGEST_KEY = 0xFFFFFFFF


class Address(NamedTuple):
    """An address in its parts."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


def parse(text: str) -> Address:
    """The address in its usual spelling.

    >>> for text in ("ring:jobs", "sysv-mq:4660", "pipe:1234", "pty:3", "unix:/run/../tmp/s", "unix:@bus"):
    ...     print(parse(text))
    ring:/jobs
    sysv-mq:0x1234
    pipe:[1234]
    pty:/dev/pts/3
    unix:/tmp/s
    unix:@bus

    Raises:
        ValueError: it has no kind in front or no name behind it.
    """
    kind, colon, name = text.partition(":")
    if kind not in KINDS or not colon:
        raise ValueError(f"an address is KIND:NAME, as in mq:/jobs, with KIND one of {', '.join(KINDS)}; not {text!r}")
    if not name:
        raise ValueError(f"an address must have a name behind its kind, as in {kind}:NAME")
    if kind.startswith("sysv-"):
        return Address(kind, _system_v(name, text))
    usual = _USUAL.get(kind)
    return Address(kind, usual(name) if usual else name)


def _slashed(name: str) -> str:
    return name if name.startswith(("/", "[")) else f"/{name}"


def _bracketed(name: str) -> str:
    return name if name.startswith("[") else f"[{name}]"


def _terminal(name: str) -> str:
    return f"/dev/pts/{name}" if name.isdecimal() else name


def _file(name: str) -> str:
    return name.removeprefix("/dev/shm/")


def _path(name: str) -> str:
    """An absolute path, or what is none: @NAME and [INODE]."""
    return name if name.startswith(("@", "[")) else absolute(name)


def _lock(name: str) -> str:
    path, colon, span = name.rpartition(":")
    return f"{_path(path)}:{span}" if colon else name


def _system_v(name: str, text: str) -> str:
    if name.startswith("id="):
        number = name.removeprefix("id=")
        if not (number.isascii() and number.isdecimal()):
            raise ValueError(f"{text!r} must have a number behind id=")
        return f"id={int(number)}"
    return _key(name, text)


def _key(name: str, text: str) -> str:
    try:
        key = int(name, 0)
    except ValueError:
        raise ValueError(f"{text!r} must have a key such as 0x1234, or id=NUMBER, behind its kind") from None
    if not -(_LARGEST_KEY >> 1) - 1 <= key <= _LARGEST_KEY:
        raise ValueError(f"{text!r} must have a key of 32 bits")
    if key == 0:
        raise ValueError(f"{text!r} is no name: key 0 is IPC_PRIVATE, which any number of objects have; take id=NUMBER")
    return f"{key & _LARGEST_KEY:#x}"


_USUAL: dict[str, Callable[[str], str]] = {
    **dict.fromkeys(("ring", "sync", "mq", "sem", "shm"), _slashed),
    **dict.fromkeys(("pipe", "memfd", "eventfd"), _bracketed),
    "file": _file,
    "fifo": _path,
    "unix": _path,
    "pty": _terminal,
    "lock": _lock,
}
"""How the records spell the names of a kind, where others are understood, too."""
