"""What a child has said so far, and how to talk to it: the parent's end of the control channel."""

from __future__ import annotations

import socket
from collections import Counter
from typing import Any

from ipckit.testing._wire import frame, take_message

SEND_SECONDS = 30


class Conversation:
    """The parent's end of a child's control channel; it never waits for the child to say something.

    Attributes:
        channel: the socket; None once the other end is closed.
        started: whether the function was called.
        reached: how often each checkpoint was.
        taken: how many of these a wait has used up.
        returned: the pickled result, if the function returned.
        raised: the traceback, and the pickled exception where there is one, if it raised.
    """

    def __init__(self, channel: socket.socket) -> None:
        self.channel: socket.socket | None = channel
        self.started = False
        self.reached: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()
        self.returned: bytes | None = None
        self.raised: tuple[str, bytes | None] | None = None
        self._buffer = bytearray()

    def arrived(self, name: str) -> bool:
        """Whether the child reached *name* more often than was waited for."""
        return self.reached[name] > self.taken[name]

    def send(self, *message: object) -> None:
        """Send a message; a child that has ended gets none, which whatever is waited for next will tell.

        Raises:
            TimeoutError: the child had `SEND_SECONDS` to read it, and did not.
        """
        if self.channel is None:
            return
        try:
            self.channel.settimeout(SEND_SECONDS)
            self.channel.sendall(frame(*message))
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            self.channel.settimeout(None)  # or recv(MSG_DONTWAIT) would wait: Python polls first

    def drain(self) -> None:
        """Take what the child has sent, without waiting."""
        while self.channel is not None:
            try:
                data = self.channel.recv(1 << 20, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except ConnectionResetError:  # it ended with something unread
                data = b""
            if not data:
                self.close()
            self._buffer += data
        while message := take_message(self._buffer):
            self._note(*message)

    def close(self) -> None:
        """Close the channel."""
        if self.channel is not None:
            self.channel.close()
            self.channel = None

    def _note(self, kind: str, *details: Any) -> None:
        if kind == "started":
            self.started = True
        elif kind == "reached":
            self.reached[details[0]] += 1
        elif kind == "returned":
            self.returned = details[0]
        else:
            self.raised = (details[0], details[1])
