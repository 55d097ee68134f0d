"""A measuring process looks whether the other one sleeps: one that spins is told from one that is held up."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ipckit.bench import measurements
from ipckit.bench.measurements import CheckFailed, Peer
from ipckit.testing import pause, reached
from tests.contract.tools import Background

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn


def stay() -> None:
    pause("there")


def spin() -> None:
    reached("there")
    while True:
        pass


@contextmanager
def peer_of(pid: int) -> Iterator[Peer]:
    peer = Peer(pid)
    try:
        yield peer
    finally:
        os.close(peer._stat)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "ASLEEP_LIMIT", 0.05)


def test_one_that_gets_no_processor_is_waited_for(spawn: Spawn) -> None:
    child = spawn(stay)
    child.wait_reached("there")
    child.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    with peer_of(child.pid) as peer:
        looking = Background(peer.until_asleep)
        time.sleep(0.2)  # nothing is awaited by it: so long it is held up, at least
        child.send_signal(signal.SIGCONT)
        looking.join()


def test_one_that_spins_is_given_up(spawn: Spawn) -> None:
    child = spawn(spin)
    child.wait_reached("there")
    with peer_of(child.pid) as peer, pytest.raises(CheckFailed, match="never sleeps"):
        peer.until_asleep()
