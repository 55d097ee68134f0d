"""How messages follow each other on standard input and output, and on byte streams.

===============  ==========================================  =======================================================
form             a message is                                what ends it
===============  ==========================================  =======================================================
lines            bytes without a newline                     a newline; the last one's may be missing
null             bytes without a NUL                         a NUL; the last one's may be missing
length           any bytes, at most 256 MiB                  nothing: 4 bytes before it, most significant first, say
                                                             how long it is; as `send` and `receive` of our streams
whole            all bytes                                   the end of the stream
===============  ==========================================  =======================================================
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ipckit.errors import MessageTooLargeError, PeerDiedError, syscall_error

if TYPE_CHECKING:
    import argparse

FORMS = ("lines", "null", "length", "whole")
CHUNK = 1 << 16  # bytes of a read
_LONGEST = 1 << 28  # bytes; a length beyond it means that the stream is something else
_HEADER = 4


class Splitter:
    """Takes bytes as they come, and gives messages. This one gives the bytes as they come."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The messages that *chunk* completes."""
        return [chunk] if chunk else []

    def end(self) -> list[bytes]:
        """What is a message only because the stream has ended.

        Raises:
            PeerDiedError: it has ended within a message.
        """
        return []

    def wanted(self, ahead: bytes) -> int:
        """How many bytes may be read so that none of a further message is, *ahead* being the next that are there."""
        return len(ahead)


class Separated(Splitter):
    """Each message ends with a byte."""

    def __init__(self, separator: bytes) -> None:
        self._separator = separator
        self._parts: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """The messages that *chunk* completes."""
        first, *others = chunk.split(self._separator)
        self._parts.append(first)
        if not others:
            return []
        messages = [b"".join(self._parts), *others]
        self._parts = [messages.pop()]
        return messages

    def end(self) -> list[bytes]:
        """The last message, if its separator is missing."""
        rest, self._parts = b"".join(self._parts), []
        return [rest] if rest else []

    def wanted(self, ahead: bytes) -> int:
        """Up to the separator, with it."""
        return ahead.find(self._separator) + 1 or len(ahead)


class LengthPrefixed(Splitter):
    """Each message has its length before it."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """The messages that *chunk* completes.

        Raises:
            MessageTooLargeError: the next message would have more than 256 MiB (EMSGSIZE).
        """
        self._buffer += chunk
        messages = []
        at = 0
        try:
            while (length := self._length(at)) >= 0 and len(self._buffer) >= (end := at + _HEADER + length):
                messages.append(bytes(memoryview(self._buffer)[at + _HEADER : end]))
                at = end
        except MessageTooLargeError:
            if not messages:  # else it is raised behind them
                raise
        if at:
            del self._buffer[:at]
        return messages

    def end(self) -> list[bytes]:
        """Nothing.

        Raises:
            PeerDiedError: the stream has ended within a message.
        """
        if not self._buffer:
            return []
        length = self._length(0)
        told = f"{len(self._buffer) - _HEADER} of {length} bytes" if length >= 0 else "a part of its length"
        raise PeerDiedError(f"the stream ended within a message, after {told}")

    def wanted(self, ahead: bytes) -> int:  # noqa: ARG002
        """What is missing of the length, or else of the message."""
        length = self._length(0)
        return _HEADER - len(self._buffer) if length < 0 else _HEADER + length - len(self._buffer)

    def _length(self, at: int) -> int:
        header = self._buffer[at : at + _HEADER]
        if len(header) < _HEADER:
            return -1
        length = int.from_bytes(header, "big")
        if length > _LONGEST:
            remedy = f"the next message would have {length} bytes, and {_LONGEST} is the most; is it length-prefixed?"
            raise syscall_error(errno.EMSGSIZE, "receive", remedy=remedy)
        return length


class Whole(Splitter):
    """All is one message."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """Nothing yet."""
        self._parts.append(chunk)
        return []

    def end(self) -> list[bytes]:
        """The message; b"" is one, too."""
        return [b"".join(self._parts)]


def splitter(form: str) -> Splitter:
    """One for a stream of that *form*; "pieces" are bytes as they come."""
    if form == "lines":
        return Separated(b"\n")
    if form == "null":
        return Separated(b"\0")
    return {"length": LengthPrefixed, "whole": Whole, "pieces": Splitter}[form]()


def framed(form: str, message: bytes) -> bytes:
    r"""The *message* as it stands in a stream of that *form*.

    >>> framed("lines", b"one"), framed("length", b"one")
    (b'one\n', b'\x00\x00\x00\x03one')
    """
    if form == "lines":
        return message + b"\n"
    if form == "null":
        return message + b"\0"
    if form == "length":
        if len(message) > _LONGEST:
            remedy = f"it has {len(message)} bytes, and a message with its length before it at most {_LONGEST}"
            raise syscall_error(errno.EMSGSIZE, "send", remedy=remedy)
        return len(message).to_bytes(_HEADER, "big") + message
    return message


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the form."""
    group = parser.add_argument_group("messages on standard input and output")
    form = group.add_mutually_exclusive_group()
    form.set_defaults(form="lines")
    for letter, name, value, text in (
        ("-z", "--null", "null", "each ends with a NUL byte, instead of a newline"),
        ("-L", "--length-prefixed", "length", "each has its length before it: 4 bytes, most significant first"),
        ("-w", "--whole", "whole", "all of standard input is one message; to standard output nothing is added"),
    ):
        form.add_argument(letter, name, dest="form", action="store_const", const=value, help=text)
    group.add_argument(
        "--wire",
        choices=FORMS,
        help="on a byte stream (FIFO, stream socket), when it differs: lines; null; length, as programs that use "
        "ipckit have it; whole: the bytes as they are",
    )
