"""The deaths of servers and workers, what a child inherits, and what the grace cuts off."""

from __future__ import annotations

import asyncio
import functools
import os
import select
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.errors import EndOfStreamError, TimeoutExpired, WorkerDiedError
from ipckit.pipe import Pipe
from ipckit.server import Server, _blocking
from ipckit.sockets.unix import Stream
from ipckit.testing import LeakSnapshot, pause, reached

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ipckit.pipe import PipeReader, PipeWriter
    from ipckit.testing import Spawn

SECONDS = 20


def pid_of_worker(message: bytes, peer: Any) -> bytes:
    return bytes(5_000_000) if message == b"much" else str(os.getpid()).encode()


def ask(client: Stream, message: bytes = b"") -> bytes:
    client.send(message, timeout=SECONDS)
    return client.receive(timeout=SECONDS)


def wait_gone(pidfd: int) -> None:
    """Wait until the process behind *pidfd* has ended, whoever reaps it; close *pidfd*."""
    assert select.select([pidfd], [], [], SECONDS)[0]
    os.close(pidfd)


def serve(
    listener: Any, mode: str, handler: Any, reports: PipeWriter, *, orphan_ns: int = 0, grace: float = SECONDS
) -> list[str]:
    _blocking.ORPHAN_NS = orphan_ns
    server = Server(
        listener,
        handler,
        mode=mode,
        max_connections=2,
        max_message_size=10_000_000,
        on_error=lambda error, peer: reports.send(f"{error} {peer.credentials.pid}".encode()),
    )
    before = LeakSnapshot.take()
    with server.stop_on_signals(grace=grace):
        server.serve_forever()
    return before.leaked()


def test_a_killed_worker_is_reported_reaped_and_replaced(spawn: Spawn, tmp_path: Path) -> None:
    reader, writer = Pipe.create()
    with reader, writer:
        with Stream.listen(tmp_path / "s") as listener:
            child = spawn(serve, listener, "processes", pid_of_worker, writer)
            path = listener.getsockname()
            with Stream.connect(path) as victim, Stream.connect(path) as other, Stream.connect(path) as waiting:
                pid = int(ask(victim))
                neighbour = ask(other)
                waiting.send(b"")  # the limit is two
                os.kill(pid, signal.SIGINT)  # what Ctrl-C sends to all; the server's own process is to act on it
                assert int(ask(victim)) == pid
                os.kill(pid, signal.SIGKILL)
                with pytest.raises(EndOfStreamError):
                    victim.receive(timeout=SECONDS)
                told = reader.receive(timeout=SECONDS).decode()
                assert told == f"worker process {pid} was killed by signal 9 (Killed) {os.getpid()}"
                assert waiting.receive(timeout=SECONDS) not in {neighbour, str(child.pid).encode()}
                assert ask(other) == neighbour
                child.send_signal(signal.SIGTERM)
                assert child.result() == []
        assert reader.try_receive() is None


def serve_until_told(address: str) -> list[str]:
    """Serve, by processes, until somebody says so; return the errors."""
    told: list[str] = []
    server = Server(
        Stream.listen(address),
        lambda message, _: server.stop() or message if message == b"stop" else message,
        mode="processes",
        on_error=lambda error, _: told.append(repr(error)),
    )
    reached("listening")
    server.serve_forever()
    return told


def serve_held_up_with_sigchld_ignored(address: str) -> list[str]:
    """Whoever comes is gone again before the server goes on behind its fork(2)."""

    def fork_and_be_held_up() -> int:
        pid = fork()
        with suppress(ProcessLookupError):
            while pid:
                os.kill(pid, 0)
                os.sched_yield()
        return pid

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    fork, os.fork = os.fork, fork_and_be_held_up
    return serve_until_told(address)


def test_a_worker_that_has_ended_at_once_where_sigchld_is_ignored(spawn: Spawn, tmp_path: Path) -> None:
    child = spawn(serve_held_up_with_sigchld_ignored, str(tmp_path / "s"))
    child.wait_reached("listening")
    for message in (b"one", b"two", b"stop"):
        with Stream.connect(tmp_path / "s", timeout=SECONDS) as client:
            assert ask(client, message) == message
    assert child.result() == []


def serve_while_all_are_interrupted(address: str) -> list[str]:
    """Each worker gets a Ctrl-C before it does anything."""

    def fork_and_interrupt() -> int:
        pid = fork()
        if pid == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return pid

    signal.signal(signal.SIGINT, signal.default_int_handler)
    fork, os.fork = os.fork, fork_and_interrupt
    return serve_until_told(address)


def test_ctrl_c_just_as_a_worker_begins_does_not_make_it_the_program(spawn: Spawn, tmp_path: Path) -> None:
    child = spawn(serve_while_all_are_interrupted, str(tmp_path / "s"))
    child.wait_reached("listening")
    for message in (b"one", b"stop"):
        with Stream.connect(tmp_path / "s", timeout=SECONDS) as client:
            assert ask(client, message) == message
    assert child.result() == []


def test_when_the_server_is_killed_its_workers_end(spawn: Spawn, tmp_path: Path) -> None:
    reader, writer = Pipe.create()
    with reader, writer, Stream.listen(tmp_path / "s") as listener:
        child = spawn(serve, listener, "processes", pid_of_worker, writer, orphan_ns=1)
        path = listener.getsockname()
        with Stream.connect(path) as idle, Stream.connect(path) as greedy:
            idle_fd = os.pidfd_open(int(ask(idle)))
            greedy_fd = os.pidfd_open(int(ask(greedy)))
            greedy.send(b"much")  # takes nothing of the reply: its worker waits for room
            assert greedy.read(4, timeout=SECONDS)
            child.kill()
            wait_gone(idle_fd)
            wait_gone(greedy_fd)
            with pytest.raises(EndOfStreamError):
                idle.receive(timeout=SECONDS)


def stuck(started: PipeWriter, never: PipeReader, message: bytes, peer: Any) -> bytes:
    started.write(b"s")
    never.read()
    return message


async def stuck_awaiting(started: PipeWriter, never: PipeReader, message: bytes, peer: Any) -> bytes:
    started.write(b"s")
    await asyncio.Event().wait()
    return message


@pytest.mark.parametrize(("mode", "handler"), [("processes", stuck), ("asyncio", stuck_awaiting)])
def test_after_the_grace_who_has_not_finished_is_cut_off(mode: str, handler: Any, spawn: Spawn, tmp_path: Path) -> None:
    reader, writer = Pipe.create()
    started, tell_started = Pipe.create()
    never, let_go = Pipe.create()
    with reader, writer, started, tell_started, never, let_go, Stream.listen(tmp_path / "s") as listener:
        child = spawn(serve, listener, mode, functools.partial(handler, tell_started, never), writer, grace=0.05)
        with Stream.connect(listener.getsockname()) as client:
            client.send(b"")
            assert started.read(1, timeout=SECONDS)
            child.send_signal(signal.SIGTERM)
            with pytest.raises(EndOfStreamError):
                client.receive(timeout=SECONDS)
            assert b"not finished within the grace" in reader.receive(timeout=SECONDS)
            assert child.result() == []


def fork_one(message: bytes, peer: Any) -> bytes:
    if message != b"fork":
        raise LookupError
    pid = os.fork()
    if pid == 0:
        pause("forked")
        os._exit(0)
    return str(pid).encode()


@pytest.mark.parametrize("mode", ["selector", "processes"])
def test_what_a_handler_forks_keeps_no_connection_open(mode: str, spawn: Spawn, tmp_path: Path) -> None:
    reader, writer = Pipe.create()
    with reader, writer, Stream.listen(tmp_path / "s") as listener:
        child = spawn(serve, listener, mode, fork_one, writer)
        with Stream.connect(listener.getsockname()) as client:
            pid = int(ask(client, b"fork"))
            child.wait_reached("forked")
            client.send(b"raise")
            with pytest.raises(EndOfStreamError):
                client.receive(timeout=SECONDS)
            os.kill(pid, 0)  # it lives
        child.kill()


def test_a_server_process_beside_the_program(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    server = Server(Stream.listen(path), pid_of_worker, mode="processes")
    with pytest.raises(WorkerDiedError, match="killed by signal 9"), server, Stream.connect(path) as client:
        worker = int(ask(client))
        with open(f"/proc/{worker}/stat", encoding="ascii") as file:
            parent = int(file.read().rpartition(")")[2].split()[1])
        assert os.getpid() not in {worker, parent}
        worker_fd = os.pidfd_open(worker)
        os.kill(parent, signal.SIGKILL)
        wait_gone(worker_fd)
    assert not os.path.exists(path)


@pytest.fixture
def gate() -> Iterator[tuple[Any, PipeReader, PipeWriter]]:
    """A handler that tells when it is called, what to read that from, and what to write to for it to return."""
    started, tell_started = Pipe.create()
    go, let_go = Pipe.create()
    with started, tell_started, go, let_go:
        yield functools.partial(stuck, tell_started, go), started, let_go


def test_a_thread_that_is_cut_off_ends_when_its_handler_does(gate: Any, tmp_path: Path) -> None:
    handler, started, let_go = gate
    reports: list[BaseException] = []
    server = Server(Stream.listen(tmp_path / "s"), handler, on_error=lambda error, _: reports.append(error))
    with server, Stream.connect(tmp_path / "s") as client, Stream.connect(tmp_path / "s") as idle:
        client.send(b"")
        assert started.read(1, timeout=SECONDS)
        server.stop(0.05)
        for end in (idle, client):
            with pytest.raises(EndOfStreamError):
                end.receive(timeout=SECONDS)
    assert [type(error) for error in reports] == [TimeoutExpired]
    let_go.write(b"g")
    for thread in threading.enumerate():
        if thread.name == "ipckit.server":  # that of the idle one may not quite have ended
            thread.join()
    assert len(reports) == 1


def test_a_handler_that_never_returns_keeps_a_loop(gate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ipckit.server._life.LATE_NS", 1)
    handler, started, let_go = gate
    server = Server(Stream.listen(tmp_path / "s"), handler, mode="selector")
    with Stream.connect(tmp_path / "s") as client:
        with pytest.raises(TimeoutExpired, match="has not returned"), server:
            client.send(b"question")
            assert started.read(1, timeout=SECONDS)
            server.stop(0)
        let_go.write(b"g")
        with pytest.raises(EndOfStreamError):
            assert client.receive(timeout=SECONDS) == b"question"
            client.receive(timeout=SECONDS)
