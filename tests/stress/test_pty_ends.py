"""The ends of a terminal's streams, again and again, read while the other side is being closed."""

from __future__ import annotations

import os
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from ipckit import PseudoTerminal
from ipckit.errors import BrokenPeerError
from ipckit.pty.terminal import Terminal
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


def read_to_the_end(orders: Stream) -> None:
    with orders:
        while fds := orders.receive_fds(1)[1]:
            with Terminal(fds[0]) as terminal:
                orders.write(b"r")
                while terminal.try_read() is None:
                    pass


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


@pytest.mark.stress
def test_a_closed_master_is_the_end_of_the_input(spawn: Spawn) -> None:
    """The kernel says first that the other side is closed, with an error, and hangs the terminal up afterwards."""
    ours, theirs = Stream.pair()
    child = spawn(read_to_the_end, theirs)
    theirs.close()
    rounds, end = 0, time.monotonic() + SECONDS
    with ours, suppress(BrokenPeerError):  # then the child says why
        while time.monotonic() < end:
            master, terminal = PseudoTerminal.create(raw=True)
            with master:
                with terminal:
                    ours.send_fds(b"x", [terminal])
                ours.read(1)
            rounds += 1
    child.result()
    print(f"{rounds} masters")
