"""What `ipckit send` and `ipckit recv` have at the other end: one protocol over queues, rings, FIFOs and sockets."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from ipckit.cli.transfer.addresses import parse

if TYPE_CHECKING:
    from ipckit._handle import Handle

_MODULES = {
    "mq": "message_queues",
    "sysv-mq": "message_queues",
    "ring": "rings",
    "fifo": "fifos",
    "unix": "unix",
    "tcp": "internet",
    "udp": "internet",
}

_ONLY = {
    "type": ("sysv-mq", "unix"),
    "priority": ("mq",),
    "history": ("ring",),
    "listen": ("unix", "tcp", "udp"),
}
"""Options that mean something for some kinds alone: what was meant by them elsewhere must not be guessed."""

KINDS = tuple(_MODULES)


class How(NamedTuple):
    """What the options say about the opening of an endpoint.

    Attributes:
        wire: the form of messages on a byte stream.
        timeout: seconds for the opening; None waits for ever.
        create: make the object if there is none.
        mode: permission bits of what is made.
        ring: which kind of ring to make.
        capacity: bytes of a ring that is made.
        max_messages, max_size: of a queue or ring that is made; bytes; 0 is its default.
        type: the type of a System V message, or of a Unix socket; None is the usual one.
        priority: of a POSIX message.
        listen: wait for connections instead of connecting.
        follow: go on when a stream has ended.
        exact: read no byte beyond the message that is wanted: others will want them.
        history: how many older messages of a broadcast ring.
    """

    wire: str = "lines"
    timeout: float | None = None
    create: bool = False
    mode: int = 0o600
    ring: str = "mpmc"
    capacity: int = 1 << 20
    max_messages: int = 0
    max_size: int = 0
    type: str | None = None
    priority: int = 0
    listen: bool = False
    follow: bool = False
    exact: bool = False
    history: int = 0


class Endpoint:
    """An object that is open for sending, or for receiving."""

    stream = False
    """Whether it carries bytes, not messages."""
    final = False
    """Whether nobody can come any more once its stream has ended."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle

    @property
    def buffered(self) -> int:
        """How many messages were read, but not yet taken."""
        return 0

    def send(self, message: bytes, timeout: float | None) -> None:
        """Send one message, waiting for room.

        Raises:
            TimeoutExpired: there was none in time (ETIMEDOUT).
            BrokenPeerError: nobody receives any more (EPIPE).
            MessageTooLargeError: the object takes no such message (EMSGSIZE).
        """
        raise NotImplementedError

    def receive(self, timeout: float | None) -> bytes:
        """Take the next message, waiting for it. When the time is up, nothing was taken.

        Raises:
            TimeoutExpired: none came in time (ETIMEDOUT).
            EndOfStreamError: no more will come.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Let go of it."""
        self.handle.close()

    def unlink(self) -> None:
        """Remove the object, or its name."""
        raise ValueError("--unlink is for objects that stay when nobody has them: queues, rings and FIFOs")


def sender(text: str, how: How) -> Endpoint:
    """Open what *text* is the address of, to send.

    Raises:
        ValueError: it is no address of something that takes messages, or has no use for one of the options.
    """
    return _opened(text, "sender", how)


def receiver(text: str, how: How) -> Endpoint:
    """Open what *text* is the address of, to receive.

    Raises:
        ValueError: it is no address of something that gives messages, or has no use for one of the options.
    """
    return _opened(text, "receiver", how)


def _opened(text: str, side: str, how: How) -> Endpoint:
    kind, name = parse(text, KINDS)
    for option, kinds in _ONLY.items():
        if kind not in kinds and getattr(how, option) != How._field_defaults[option]:
            raise ValueError(f"--{option} is for {', '.join(f'{one}:' for one in kinds)} addresses, not for {text!r}")
    module = import_module(f"ipckit.cli.transfer.endpoints.{_MODULES[kind]}")
    end: Endpoint = getattr(module, side)(kind, name, how)
    return end
