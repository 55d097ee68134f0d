"""One handler, four ways to wait: what must be the same in all of them. The server is a process, so are its clients."""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import select
import signal
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from ipckit._tasks import tasks
from ipckit.errors import BrokenPeerError, ClosedError, EndOfStreamError, NotFoundError
from ipckit.pipe import Pipe
from ipckit.server import MODES, Server
from ipckit.sockets import inet
from ipckit.sockets.unix import SeqPacket, Stream
from ipckit.testing import LeakSnapshot, _procfs, pause, reached
from tests.nobody import WAS_ROOT, become_nobody
from tests.signalled import leave_to_another_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ipckit.pipe import PipeReader, PipeWriter
    from ipckit.testing import Child, Spawn

SECONDS = 20
IDLE = 0.1  # seconds
BIG = 200_000
WAITS = ("poll", "epoll_wait")


def echo(message: bytes, peer: Any) -> bytes | None:
    if message == b"pid":
        return str(os.getpid()).encode()
    if message == b"count":
        peer.state["count"] = peer.state.get("count", 0) + 1
        return str(peer.state["count"]).encode()
    if message == b"who":
        return str(peer.credentials.pid if peer.credentials else peer.address[1]).encode()
    if message == b"nothing":
        return None
    if message == b"raise":
        raise LookupError("as it was told")
    if message == b"exit":
        raise SystemExit(3)
    if message == b"type":
        return 5
    if message == b"big":
        return bytearray(BIG)
    if message == b"huge":
        return bytes(2_000_000)
    return message


def gated(started: PipeWriter, go: PipeReader, message: bytes, peer: Any) -> bytes:
    if message == b"wait":
        started.write(b"s")
        assert go.read(1)
    return message


def run(
    listener: Any, mode: str, handler: Callable[..., Any], reports: PipeWriter, files: int | None, how: dict[str, Any]
) -> list[str]:
    """Serve until SIGTERM; tell what was left behind."""

    def report(error: BaseException, peer: Any) -> None:
        reports.send(f"{type(error).__name__}: {error}".encode())

    if files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    server = Server(listener, handler, mode=mode, on_error=report, **how)
    before = LeakSnapshot.take()
    with server.stop_on_signals(grace=how.get("grace", SECONDS)):
        server.serve_forever()
    return before.leaked()


def run_while_another_thread_takes_the_signals(*how: Any) -> list[str]:
    """The same; what stops it does not wake it."""
    leave_to_another_thread(signal.SIGTERM)
    return run(*how)


class Service:
    """A server in a process of its own."""

    def __init__(self, spawn: Spawn, mode: str, address: Any) -> None:
        self.spawn = spawn
        self.mode = mode
        self.address = address
        self.reader, self.writer = Pipe.create()
        self.clients: list[Any] = []
        self.child: Child | None = None
        self.told_to_stop = False

    def start(self, handler: Any = echo, *, kind: Any = Stream, files: int | None = None, **how: Any) -> Service:
        with self.listen(kind) as listener:
            return self.serve(listener, handler, files=files, **how)

    def listen(self, kind: Any = Stream) -> Any:
        """For clients that are to come before the server does."""
        self.kind = kind
        if kind is inet.Stream:
            listener = kind.listen(("127.0.0.1", 0))
            self.address = listener.address
            return listener
        return kind.listen(self.address, unlink_on_close=False)

    def serve(self, listener: Any, handler: Any = echo, *, files: int | None = None, **how: Any) -> Service:
        self.child = self.spawn(run, listener, self.mode, handler, self.writer, files, how)
        return self

    def connect(self) -> Any:
        self.clients.append(self.kind.connect(self.address, timeout=SECONDS))
        return self.clients[-1]

    def ask(self, message: bytes) -> bytes:
        """One question on a connection of its own."""
        with self.kind.connect(self.address, timeout=SECONDS) as client:
            return ask(client, message)

    def tell_to_stop(self) -> None:
        self.told_to_stop = True
        self.child.send_signal(signal.SIGTERM)

    def stop(self, *expected: str) -> None:
        """Stop it; it must have reported just that, and left nothing behind."""
        if not self.told_to_stop:
            self.tell_to_stop()
        assert self.child.result() == []
        told = []
        while (message := self.reader.try_receive()) is not None:
            told.append(message.decode())
        assert [line.split(":")[0] for line in told] == list(expected), told
        self.told = told

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.reader.close()
        self.writer.close()


def ask(client: Any, message: bytes) -> bytes:
    client.send(message, timeout=SECONDS)
    return client.receive(timeout=SECONDS)


def at_end(client: Any) -> bool:
    """Wait until the server has closed the connection."""
    with pytest.raises((EndOfStreamError, BrokenPeerError)):
        client.receive(timeout=SECONDS)
    return True


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def service(mode: str, spawn: Spawn, tmp_path: Path) -> Iterator[Service]:
    made = Service(spawn, mode, str(tmp_path / "s"))
    yield made
    made.close()


def many_clients(kind: Any, address: str, count: int) -> int:
    """*count* threads, each with a connection of its own; how many replies were right."""
    right = [0] * count

    def talk(number: int) -> None:
        with kind.connect(address, timeout=SECONDS) as client:
            own = client.address[1] if kind is inet.Stream else os.getpid()
            assert ask(client, b"who") == str(own).encode()
            for turn, size in enumerate((0, 1, 100, 70_000, 5), start=1):
                message = bytes([number]) * size + b"!"
                assert ask(client, message) == message
                assert ask(client, b"count") == str(turn).encode()
                right[number] += 1

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(right)


@pytest.mark.parametrize("kind", [Stream, SeqPacket, inet.Stream], ids=["Stream", "SeqPacket", "TCP"])
def test_twenty_clients_of_two_processes(service: Service, kind: Any) -> None:
    service.start(kind=kind)
    child = service.spawn(many_clients, kind, service.address, 10)
    assert many_clients(kind, service.address, 10) == 50
    assert child.result() == 50
    service.stop()


def test_no_reply_any_buffer_and_many_messages_at_once(service: Service) -> None:
    client = service.start().connect()
    for message in (b"nothing", b"a", b"", b"nothing", b"big", b"b"):
        client.send(message)
    assert [client.receive(timeout=SECONDS) for _ in range(4)] == [b"a", b"", bytes(BIG), b"b"]
    client.shutdown(socket.SHUT_WR)  # a half-closed client still gets what it is owed
    assert at_end(client)
    service.stop()


def test_stop_finishes_what_is_going_on(service: Service) -> None:
    (started, tell_started), (go, let_go) = Pipe.create(), Pipe.create()
    with started, tell_started, go, let_go:
        service.start(functools.partial(gated, tell_started, go))
        idle, busy = service.connect(), service.connect()
        assert ask(idle, b"hello") == b"hello"
        busy.send(b"wait")
        busy.send(b"not any more")
        assert started.read(1, timeout=SECONDS) == b"s"
        service.tell_to_stop()
        if service.mode in {"threads", "processes"}:  # the others are inside the handler, all of them
            assert at_end(idle)
            with pytest.raises(BrokenPeerError):
                Stream.connect(service.address)
        let_go.write(b"g")
        assert busy.receive(timeout=SECONDS) == b"wait"
        assert at_end(busy)
        assert at_end(idle)
        service.stop()


def test_what_goes_wrong_with_one_peer_costs_its_connection_only(service: Service) -> None:
    bad = [service.start().connect()] + [service.connect() for _ in range(4)]
    dribbler, good = service.connect(), service.connect()
    for client in (*bad, dribbler, good):  # all are there, so that a worker could have inherited another one's
        assert ask(client, b"count") == b"1"
    header = struct.pack("!I", 0xFFFFFFFF)
    drops = iter(struct.pack("!I", 5) + b"drops")
    for client, message in zip(bad, (b"raise", b"exit", b"type", b"huge", header), strict=True):
        if message is header:
            client.write(header + b"x" * 100)
        else:
            client.send(message)
        assert at_end(client)
        dribbler.write(bytes([next(drops)]))
        assert ask(good, message[:0] + b"fine") == b"fine"
    for byte in drops:
        dribbler.write(bytes([byte]))
        assert ask(good, b"between") == b"between"
    assert dribbler.receive(timeout=SECONDS) == b"drops"
    service.stop("LookupError", "SystemExit", "TypeError", "MessageTooLargeError", "MessageTooLargeError")


def test_a_packet_that_is_too_large(service: Service) -> None:
    client = service.start(kind=SeqPacket, max_message_size=1000).connect()
    assert ask(client, b"x" * 1000) == b"x" * 1000
    client.send(b"x" * 1001)
    assert at_end(client)
    service.stop("MessageTooLargeError")


@pytest.mark.parametrize("kind", [Stream, SeqPacket])
def test_who_does_not_read_replies_is_no_longer_read_from(service: Service, kind: Any) -> None:
    slow = service.start(kind=kind).connect()
    asked = 0
    while True:  # the reply is 200 kB, the question 3 B: without a limit this would go on for long
        while slow.try_send(b"big"):
            asked += 1
        assert service.ask(b"hello") == b"hello"  # the others are served; and the server has had its time to read
        if not slow.try_send(b"big"):
            break
        asked += 1
    assert asked < 20_000
    for _ in range(50):
        assert slow.receive(timeout=SECONDS) == bytes(BIG)
    slow.close()  # the rest is unread: a reset
    assert service.reader.receive(timeout=SECONDS).startswith(b"BrokenPeerError")
    assert service.ask(b"hello") == b"hello"
    service.stop()


def test_at_the_limit_connections_wait_in_the_backlog(service: Service) -> None:
    first, second = service.start(max_connections=2).connect(), service.connect()
    assert ask(first, b"1") == b"1"
    assert ask(second, b"2") == b"2"
    third = service.connect()
    third.send(b"3")
    assert ask(second, b"2") == b"2"
    assert third.try_receive() is None
    first.close()
    assert third.receive(timeout=SECONDS) == b"3"
    service.stop()


def test_a_signal_that_does_not_wake_the_server_stops_it_too(service: Service) -> None:
    with service.listen() as listener:
        how = (listener, service.mode, echo, service.writer, None, {})
        service.child = service.spawn(run_while_another_thread_takes_the_signals, *how)
    service.child.wait_blocked(*WAITS)
    service.stop()


def test_out_of_descriptors_the_server_waits_and_says_so_once(service: Service) -> None:
    service.start(files=40)
    clients = [service.connect() for _ in range(50)]
    told = service.reader.receive(timeout=SECONDS)
    assert told.startswith(b"LimitError: [Errno 24]")
    service.child.wait_blocked(*WAITS)
    for client in clients[:40]:
        client.close()
    for client in clients[40:]:
        assert ask(client, b"at last") == b"at last"
    service.stop()


def test_a_client_killed_in_mid_message(service: Service) -> None:
    service.start()
    victim = service.spawn(send_a_part, service.address)
    victim.wait_reached("sent")
    assert service.ask(b"hello") == b"hello"
    victim.kill()
    victim.join()
    assert service.reader.receive(timeout=SECONDS).startswith(b"PeerDiedError: the stream ended after 5 of the 100")
    assert service.ask(b"hello") == b"hello"
    service.stop()


def send_a_part(address: str) -> None:
    with Stream.connect(address) as client:
        client.write(struct.pack("!I", 100) + b"x" * 5)
        pause("sent")


def test_a_peer_has_its_time(service: Service) -> None:
    with service.listen() as listener:
        silent, dribbler, greedy = (service.connect() for _ in range(3))
        for _ in range(3):  # before its time begins; and it takes none of the replies
            greedy.send(b"big")
        service.serve(listener, idle_timeout=0.1)
    dribbled = struct.pack("!I", 100_000)
    poller = select.poll()
    poller.register(silent, 0)
    poller.register(dribbler, 0)
    while len(poller.poll(5)) < 2:  # until both are hung up on
        try:
            dribbler.write(dribbled)
            dribbled = b"x"
        except BrokenPeerError:
            pass
    reports = [service.reader.receive(timeout=SECONDS).split(b":")[0] for _ in range(3)]
    assert reports == [b"TimeoutExpired"] * 3
    service.stop()


def test_what_came_in_time_is_served_though_we_were_stopped(service: Service) -> None:
    """Time in which the server does not look is not the peer's."""
    service.start(idle_timeout=IDLE)
    served = False
    while not served:
        began = time.monotonic()
        clients = [service.connect() for _ in range(3)]
        try:
            for _ in range(2):  # the first time a process may have to be made for each
                asked = time.monotonic()
                pids = [int(ask(client, b"pid")) for client in clients]
        except (EndOfStreamError, BrokenPeerError):
            assert time.monotonic() - began >= IDLE
            continue  # it was we who were held up, and they had their time
        with contextlib.ExitStack() as stack:
            for pid in dict.fromkeys([service.child.pid, *pids]):  # the server first, which would reap the others
                if time.monotonic() - asked < IDLE:  # and so that one lives
                    stack.enter_context(stopped(pid))
            if time.monotonic() - asked >= IDLE:
                continue  # likewise, and the server may be about to hang up
            for client in clients:
                client.send(b"in time")
            time.sleep(2 * IDLE)
        assert [client.receive(timeout=SECONDS) for client in clients] == [b"in time"] * 3
        served = True
    service.tell_to_stop()
    assert service.child.result() == []
    while (told := service.reader.try_receive()) is not None:  # of those who had been served
        assert told.startswith(b"TimeoutExpired")


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """With all its threads."""
    os.kill(pid, signal.SIGSTOP)
    while not {_procfs.state(pid, tid) for tid in tasks(pid)} <= {"T", "Z", ""}:
        os.sched_yield()
    yield
    os.kill(pid, signal.SIGCONT)


def test_a_handler_may_stop_the_server(mode: str, tmp_path: Path) -> None:
    address = str(tmp_path / "s")
    server = Server(Stream.listen(address), lambda message, _: server.stop() or message, mode=mode)
    with server, Stream.connect(address) as client:
        assert ask(client, b"stop") == b"stop"
        assert at_end(client)
    assert not os.path.exists(address)


@pytest.mark.parametrize("beside", [False, True])
def test_rights_that_were_given_up_do_not_spoil_the_stop(mode: str, beside: bool, tmp_path: Path, spawn: Spawn) -> None:
    """A server that has become another user can't remove its path; that is told, and all else goes on."""
    folder = tmp_path / "root's"
    folder.mkdir(mode=0o700)
    address = str(folder / "s")
    child = spawn(stop_without_rights, address, mode, beside)
    child.wait_reached("listening")
    with Stream.connect(address) as client:
        assert ask(client, b"stop") == b"stop"
        assert at_end(client)
    if beside:
        child.wait_reached("served")
        child.resume("served")
    assert child.result() == ["AccessError"]
    with pytest.raises(BrokenPeerError):
        Stream.connect(address)
    folder.chmod(0o700)
    os.unlink(address)


def stop_without_rights(address: str, mode: str, beside: bool) -> list[str]:
    told: list[str] = []
    listener = Stream.listen(address)
    server = Server(
        listener,
        lambda message, _: server.stop() or message,
        mode=mode,
        on_error=lambda error, _: told.append(type(error).__name__),
    )
    if WAS_ROOT:
        become_nobody()
    else:
        os.chmod(os.path.dirname(address), 0o500)
    reached("listening")
    if beside:
        with server:
            pause("served")
    else:
        server.serve_forever()
    assert listener.closed
    return told


def test_stop_before_it_runs_and_from_another_thread(mode: str, tmp_path: Path) -> None:
    server = Server(Stream.listen(tmp_path / "s"), echo, mode=mode)
    server.stop()
    server.serve_forever()
    with pytest.raises(ClosedError, match="serves once"):
        server.serve_forever()
    with pytest.raises(NotFoundError):
        Stream.connect(tmp_path / "s")
    server = Server(Stream.listen(tmp_path / "s"), echo, mode=mode)
    stopper = threading.Thread(target=server.stop)
    stopper.start()
    server.serve_forever()
    stopper.join()
