"""The end of a terminal's stream, again and again, read while it is being closed."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import pytest

from ipckit import PseudoTerminal
from ipckit.sockets.unix import Stream

if TYPE_CHECKING:
    from ipckit.testing import Spawn

SECONDS = 30


def print_and_close(orders: Stream) -> None:
    with orders:
        while fds := orders.receive_fds(1)[1]:
            for _ in range(random.randrange(300)):
                pass
            os.write(fds[0], b"x")
            os.close(fds[0])


@pytest.mark.stress
def test_what_was_printed_just_before_the_close_is_read(spawn: Spawn) -> None:
    """The kernel may say that the terminal is closed while what was printed before is still to be read."""
    ours, theirs = Stream.pair()
    child = spawn(print_and_close, theirs)
    theirs.close()
    rounds, end = 0, time.monotonic() + SECONDS
    with ours:
        while time.monotonic() < end:
            master, terminal = PseudoTerminal.create(raw=True)
            with master:
                with terminal:
                    ours.send_fds(b"x", [terminal])
                read = b""
                while (chunk := master.try_read()) != b"":
                    read += chunk or b""
            assert read == b"x", f"round {rounds}"
            rounds += 1
    child.join()
    print(f"{rounds} terminals")
