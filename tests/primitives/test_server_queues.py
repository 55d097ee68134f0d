"""Servers of what has no connections: FIFOs, POSIX and System V message queues."""

from __future__ import annotations

import os
import signal
import struct
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import posix, sysv
from ipckit.errors import RemovedError
from ipckit.fifo import Fifo
from ipckit.pipe import PIPE_BUF, Pipe
from ipckit.server import MODES, Peer, Server
from ipckit.testing import wait_blocked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ipckit.testing import Spawn

SECONDS = 20
KEY = f"/ipckit-test-server-{os.getpid()}"


class Relay:
    """A handler that passes on what it gets, whichever process it runs in; and what it fails with."""

    def __init__(self) -> None:
        self.reader, self.writer = Pipe.create()

    def __call__(self, message: bytes, peer: Peer) -> Any:
        if message == b"pid":
            message = str(os.getpid()).encode()
        if message == b"raise":
            raise LookupError
        self.writer.send(b"%d %d %b" % (peer.priority or 0, peer.type or 0, message))
        return b"reply" if message == b"reply" else None

    def failed(self, error: BaseException, _peer: Peer | None) -> None:
        self.writer.send(f"{type(error).__name__}: {error}".encode())

    def told(self) -> str:
        return self.reader.receive(timeout=SECONDS).decode()


@pytest.fixture
def relay() -> Iterator[Relay]:
    made = Relay()
    with made.reader, made.writer:
        yield made


def write(path: str, messages: list[bytes]) -> None:
    with Fifo.open(path) as fifo, fifo.open_writer(timeout=SECONDS) as writer:
        for message in messages:
            writer.send(message, timeout=SECONDS)


@pytest.mark.parametrize("mode", ["threads", "selector", "asyncio"])
def test_fifo(mode: str, relay: Relay, spawn: Spawn, tmp_path: Path) -> None:
    path = str(tmp_path / "f")
    largest = b"x" * (PIPE_BUF - 4)
    with Server(Fifo.create(path, unlink_on_close=True), relay, mode=mode, on_error=relay.failed):
        children = [spawn(write, path, [f"{n} {turn}".encode() for turn in range(50)]) for n in range(2)]
        assert sorted(relay.told() for _ in range(100)) == sorted(
            f"0 0 {n} {turn}" for n in range(2) for turn in range(50)
        )
        for child in children:
            child.join()
        write(path, [b"", largest])
        assert sorted(len(relay.told()) for _ in range(2)) == [4, 4 + len(largest)]
        write(path, [b"reply"])
        assert relay.told() == "0 0 reply"
        assert relay.told().startswith("TypeError: the handler returned bytes, and nothing leads back from here")
        write(path, [b"raise"])
        assert relay.told().startswith("LookupError")
    assert not os.path.exists(path)


@pytest.mark.parametrize(
    "garbage",
    [b"abc", struct.pack("!I", 5000) + b"x" * 10, struct.pack("!I", 10) + b"x" * 9],
    ids=["half a header", "too large", "half a message"],
)
def test_who_writes_nonsense_into_a_fifo_costs_what_is_in_it_and_no_more(
    garbage: bytes, relay: Relay, tmp_path: Path
) -> None:
    with Fifo.create(tmp_path / "f", unlink_on_close=True) as fifo:
        server = Server(fifo, relay, mode="selector", on_error=relay.failed)
        with server, fifo.open_writer(timeout=SECONDS) as writer:
            writer.write(garbage)
            assert f"{len(garbage)} bytes were dropped" in relay.told()
            writer.send(b"sense")
            assert relay.told() == "0 0 sense"


@pytest.mark.parametrize("mode", MODES)
def test_posix_queue(mode: str, relay: Relay) -> None:
    queue = posix.MessageQueue.create(unlink_on_close=True)
    with posix.MessageQueue.open(queue.name) as client:
        client.send(b"raise")
        client.send(b"reply", priority=5)
        client.send(b"low", priority=1)
        with Server(queue, relay, mode=mode, workers=1 if mode in MODES[:2] else None, on_error=relay.failed):
            told = [relay.told() for _ in range(4)]
            assert told[0] == "5 0 reply"
            assert told[1].startswith("TypeError")
            assert told[2:] == ["1 0 low", "LookupError: "]
            for _ in range(3):  # those who are served already wait
                client.send(b"later")
                assert relay.told() == "0 0 later"


@pytest.mark.parametrize("mode", ["threads", "processes"])
def test_system_v_queue(mode: str, relay: Relay) -> None:
    queue = sysv.MessageQueue.create(KEY, remove_on_close=True)
    server = Server(queue, relay, mode=mode, workers=2, on_error=relay.failed)
    with sysv.MessageQueue.open(KEY) as client, server:
        for number in range(1, 20):
            client.send(b"m", type=number)
        assert sorted(int(relay.told().split()[1]) for _ in range(1, 20)) == list(range(1, 20))


@pytest.mark.parametrize("mode", ["threads", "processes"])
def test_when_the_queue_is_removed_the_server_ends(mode: str, relay: Relay) -> None:
    queue = sysv.MessageQueue.create(KEY)
    with sysv.MessageQueue.open(KEY) as client:
        client.remove()
    Server(queue, relay, mode=mode, workers=1, on_error=relay.failed).serve_forever()
    assert relay.told().startswith(RemovedError.__name__)


def test_a_killed_worker_of_a_queue_is_replaced(relay: Relay) -> None:
    queue = posix.MessageQueue.create(unlink_on_close=True)
    server = Server(queue, relay, mode="processes", workers=1, on_error=relay.failed)
    with posix.MessageQueue.open(queue.name) as client, server:
        client.send(b"pid")
        pid = int(relay.told().split()[2])
        os.kill(pid, signal.SIGKILL)
        assert relay.told() == f"WorkerDiedError: worker process {pid} was killed by signal 9 (Killed)"
        client.send(b"pid")
        assert int(relay.told().split()[2]) != os.getpid()


def test_only_the_thread_that_is_in_the_handler_is_cut_off(relay: Relay) -> None:
    (started, tell_started), (go, let_go) = Pipe.create(), Pipe.create()

    def stuck(message: bytes, peer: Peer) -> None:
        tell_started.write(b"s")
        go.read()

    queue = posix.MessageQueue.create(unlink_on_close=True)
    server = Server(queue, stuck, mode="threads", workers=3, on_error=relay.failed)
    with started, tell_started, go, let_go:
        with posix.MessageQueue.open(queue.name) as client, server:
            client.send(b"")  # which wakes all three, and two of them look in vain
            assert started.read(1, timeout=SECONDS) == b"s"
            for thread in threading.enumerate():
                if thread.name == "ipckit.server":
                    wait_blocked(os.getpid(), "poll", "read", tid=thread.native_id)
            server.stop(0)
        assert relay.told().startswith("TimeoutExpired: [Errno 110] stop")
        assert relay.reader.try_receive() is None
        busy = [thread for thread in threading.enumerate() if thread.name == "ipckit.server"]
        let_go.write(b"g")
        for thread in busy:
            thread.join()
