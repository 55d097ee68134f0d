"""Many clients of every sort at once, for some seconds: honest ones, hasty ones, and ones that are killed."""

from __future__ import annotations

import os
import random
import signal
import struct
import time
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.server import MODES, Server
from ipckit.sockets.unix import SeqPacket, Stream
from ipckit.testing import LeakSnapshot

if TYPE_CHECKING:
    from pathlib import Path

    from ipckit.testing import Spawn

SECONDS = float(os.environ.get("IPCKIT_STORM_SECONDS", "8"))
TYPICAL = {"LookupError", "PeerDiedError", "BrokenPeerError", "MessageTooLargeError", "TimeoutExpired"}


def handler(message: bytes, peer: Any) -> bytes | None:
    if message == b"raise":
        raise LookupError
    peer.state["turn"] = turn = peer.state.get("turn", 0) + 1
    return struct.pack("!I", turn) + message[::-1]


def serve(listener: Any, mode: str) -> tuple[list[str], set[str]]:
    """Serve until SIGTERM; what was left behind, and the kinds of failures that were told in this process."""
    kinds: set[str] = set()
    server = Server(
        listener,
        handler,
        mode=mode,
        max_connections=50,
        idle_timeout=30,  # an honest client may be held up between two questions
        on_error=lambda error, _: kinds.add(type(error).__name__),
    )
    before = LeakSnapshot.take()
    with server.stop_on_signals(grace=20):
        server.serve_forever()
    return before.leaked(), kinds


def honest(kind: Any, address: str, seed: int, seconds: float) -> int:
    """Connect again and again, ask several questions at a time; how many replies were right."""
    dice = random.Random(seed)
    end = time.monotonic() + seconds
    right = 0
    while time.monotonic() < end:
        with kind.connect(address, timeout=30) as client:
            for turn in range(1, dice.randrange(1, 30), 3):
                questions = [dice.randbytes(dice.choice((0, 1, 50, 3000, 60_000))) for _ in range(3)]
                for question in questions:
                    client.send(question + b".", timeout=30)
                for number, question in enumerate(questions):
                    expected = struct.pack("!I", turn + number) + b"." + question[::-1]
                    assert client.receive(timeout=30) == expected
                    right += 1
    return right


def hasty(kind: Any, address: str, seed: int, seconds: float) -> None:
    """Do everything that a client should not."""
    dice = random.Random(seed)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with kind.connect(address, timeout=30) as client:
            try:
                for _ in range(dice.randrange(5)):
                    what = dice.randrange(5)
                    if what == 0:
                        client.send(b"raise", timeout=5)
                    elif what == 1:
                        client.socket.sendall(dice.randbytes(dice.randrange(1, 40)))
                    elif what == 2:
                        client.shutdown()
                    else:
                        client.send(bytes(70_000), timeout=5)  # and leave the reply
            except OSError:  # BrokenPeerError too: the server has had enough of it
                pass


@pytest.mark.stress
@pytest.mark.watchdog(60 + 10 * SECONDS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", [Stream, SeqPacket])
def test_every_sort_of_client_at_once(kind: Any, mode: str, spawn: Spawn, tmp_path: Path) -> None:
    address = str(tmp_path / "s")
    seed = time.time_ns() % 1_000_000
    with kind.listen(address, unlink_on_close=False) as listener:
        server = spawn(serve, listener, mode)
    honest_ones = [spawn(honest, kind, address, seed + number, SECONDS) for number in range(3)]
    others = [spawn(hasty, kind, address, seed - number, SECONDS) for number in range(2)]
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        victim = spawn(hasty, kind, address, seed, SECONDS)
        victim.wait_blocked()  # in whatever it waits for
        victim.kill()
        victim.join()
    right = [child.result(timeout=60 + SECONDS) for child in honest_ones]
    for child in others:
        child.join(timeout=60)
    server.send_signal(signal.SIGTERM)
    left, kinds = server.result(timeout=60)
    assert left == [], f"seed {seed}"
    assert min(right) > 0, f"seed {seed}"
    assert kinds <= TYPICAL, f"seed {seed}"
