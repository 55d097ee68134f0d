"""What a ring's calls raise for what the core returned."""

from __future__ import annotations

import errno

from ipckit.errors import (
    BrokenPeerError,
    BusyError,
    EndOfStreamError,
    IPCError,
    LayoutError,
    MessageTooLargeError,
    PeerDiedError,
    syscall_error,
)

_ANONYMOUS = "anonymous ring"


def sending_failure(rc: int, name: str, *, who: str = "the consumer") -> IPCError:
    """The exception for a send that failed.

    Args:
        rc: ``-errno``; -EPIPE where *who* closed its end, -EOWNERDEAD where it died.
        name: of the ring, or "".
        who: whom the ring is for: "the consumer", "the last consumer".
    """
    if rc == -errno.EPIPE:
        return BrokenPeerError(errno.EPIPE, f"{who} closed its end, and the ring is full", name or _ANONYMOUS)
    return _failure(rc, "send", name or _ANONYMOUS, who)


def receiving_failure(rc: int, name: str, *, who: str = "the producer") -> IPCError:
    """The exception for a receive that failed; *rc* as for `sending_failure`."""
    if rc == -errno.EPIPE:
        return EndOfStreamError(f"{who} closed {name or _ANONYMOUS!r}, and all that it sent was received")
    return _failure(rc, "receive", name or _ANONYMOUS, who)


def too_large(length: int, largest: int, name: str) -> MessageTooLargeError:
    """The exception for a message that can never fit; both in bytes."""
    remedy = f"{length} bytes, and this ring holds at most {largest}; create it with a larger capacity"
    return _refused("send", name or _ANONYMOUS, remedy)


def buffer_too_small(length: int, size: int, name: str) -> MessageTooLargeError:
    """The exception for a message that is longer than the buffer for it; both in bytes."""
    remedy = f"the message has {length} bytes, and the buffer {size}; it stays in the ring"
    return _refused("receive_into", name or _ANONYMOUS, remedy)


def not_data(data: object) -> TypeError | ValueError:
    """The exception for a message that has no bytes to send."""
    if isinstance(data, str):
        return TypeError("data must be bytes or another buffer, not str; encode it first, as with data.encode()")
    try:
        memoryview(data)  # type: ignore[arg-type]
    except TypeError:
        return TypeError(f"data must be bytes or another buffer, not {type(data).__name__}")
    return ValueError("data must be C-contiguous; copy it first, as with bytes(data)")


def not_writable(buffer: object) -> TypeError | ValueError:
    """The exception for a buffer into which nothing can be received."""
    try:
        memoryview(buffer)  # type: ignore[arg-type]
    except TypeError:
        return TypeError(f"buffer must be a writable buffer such as a bytearray, not {type(buffer).__name__}")
    return ValueError("buffer must be writable and C-contiguous")


def _refused(verb: str, name: str, remedy: str) -> MessageTooLargeError:
    error = syscall_error(errno.EMSGSIZE, verb, name, remedy=remedy)
    assert isinstance(error, MessageTooLargeError)
    return error


def _failure(rc: int, verb: str, name: str, who: str) -> IPCError:
    if rc == -errno.EBADMSG:
        return LayoutError(f"the content of {name!r} is corrupt: an index or a length is out of bounds")
    if rc == -errno.EOWNERDEAD:
        return PeerDiedError(f"{who} of {name!r} died without closing it")
    if rc == -errno.EBUSY:
        return BusyError(
            errno.EBUSY,
            "another process or thread, or a reservation or loan that is open, has this end of the ring",
            name,
        )
    remedies = {
        -errno.EBADF: "somebody closed the ring's descriptors behind its back",
        -errno.ENOENT: "a ring needs /proc to tell the living from the dead; mount it",
    }
    return syscall_error(-rc, verb, name, remedy=remedies.get(rc))
