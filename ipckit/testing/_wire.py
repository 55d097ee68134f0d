"""What a test and its child agree on.

A frame on the control channel is eight bytes of length, then a pickled tuple.
"""

from __future__ import annotations

import os
import pickle
import signal
from typing import Any

DUMP_SIGNAL = signal.SIGRTMAX - 1
"""Makes a child, and a process under a `Watchdog`, write the Python stacks of all its threads to its stderr."""

_LENGTH = 8


def frame(*message: object) -> bytes:
    """The bytes that carry *message*."""
    body = pickle.dumps(message)
    return len(body).to_bytes(_LENGTH, "little") + body


def write_all(fd: int, data: bytes) -> None:
    """Write all of *data*, waiting where need be."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def read_message(fd: int) -> tuple[Any, ...]:
    """Wait for one message.

    Raises:
        EOFError: the other end is closed.
    """
    size = int.from_bytes(_read_exactly(fd, _LENGTH), "little")
    message: tuple[Any, ...] = pickle.loads(_read_exactly(fd, size))
    return message


def take_message(buffer: bytearray) -> tuple[Any, ...] | None:
    """Remove the first message from *buffer*; None if it is not complete yet."""
    if len(buffer) < _LENGTH:
        return None
    end = _LENGTH + int.from_bytes(buffer[:_LENGTH], "little")
    if len(buffer) < end:
        return None
    message: tuple[Any, ...] = pickle.loads(memoryview(buffer)[_LENGTH:end].tobytes())
    del buffer[:end]
    return message


def _read_exactly(fd: int, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        # read(2) and not recv(2): its first argument is the descriptor, by which the other side knows this wait.
        part = os.read(fd, min(size - len(data), 1 << 20))
        if not part:
            raise EOFError("the other end of the control channel is closed")
        data += part
    return bytes(data)
