"""Servers of remote procedure calls: every transport, both modes, many calls at once, and the end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import errors
from ipckit.rpc import AuthSys, Client, Procedure, Server, Service
from ipckit.sockets import inet, unix
from ipckit.testing import LeakSnapshot
from tests.rpc import serving
from tests.rpc.serving import (
    ADD,
    COUNT,
    ECHO,
    FAIL,
    KINDS,
    LARGE,
    LET_GO,
    MODES,
    PROGRAM,
    QUIET,
    REFUSE,
    SECONDS,
    WAIT,
    WHO,
    WRONG,
    Running,
    call,
    is_ended,
    receive,
    record,
    running,
    success,
    words,
)
from tests.signalled import leave_to_another_thread

if TYPE_CHECKING:
    from ipckit.testing import Spawn

both = pytest.mark.parametrize("mode", MODES)
every = pytest.mark.parametrize("kind", KINDS)


def client_of(it: Running, kind: str, **how: Any) -> Client:
    if kind == "unix":
        return Client.connect_unix(it.unix, PROGRAM, 3, **how)
    connect = Client.connect_tcp if kind == "tcp" else Client.connect_udp
    return connect(*it.tcp if kind == "tcp" else it.udp, PROGRAM, 3, **how)


@both
def test_calls_by_every_transport(mode: str) -> None:
    with running(mode) as it:
        for kind in KINDS:
            with client_of(it, kind) as client:
                assert client.call_raw(0, timeout=SECONDS) == b""
                assert client.call(ADD, 2, -3, timeout=SECONDS) == -1
                for size in (0, 1, 1024, 60_000) if kind == "udp" else (0, 1, 1024, 300_000, 5_000_000):
                    data = os.urandom(size)
                    assert client.call(ECHO, data, timeout=SECONDS) == data
                seen = client.call(WHO, timeout=SECONDS).split(" ", 5)
                who = str(os.getpid()) if kind == "unix" else "127.0.0.1"
                assert [seen[0], seen[1], seen[2], seen[4], seen[5]] == [f"{PROGRAM:x}", "3", "5", who, "AuthNone()"]
                for procedure, kind_of in ((FAIL, errors.RemoteFailureError), (REFUSE, errors.GarbageArgumentsError)):
                    with pytest.raises(kind_of):
                        client.call(procedure, timeout=SECONDS)
                assert client.call(ADD, 1, 1, timeout=SECONDS) == 2
        assert [type(error) for error in it.errors] == [LookupError] * 3


@both
@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_slow_call_keeps_nobody_waiting(mode: str, kind: str) -> None:
    """Neither its own connection nor another one: who lets it go comes after it, over both."""
    with (
        running(mode) as it,
        client_of(it, kind) as client,
        client_of(it, kind) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        slow = pool.submit(client.call, WAIT, timeout=SECONDS)
        assert it.service.waiting.wait(SECONDS)
        assert other.call(ADD, 1, 2, timeout=SECONDS) == 3
        assert client.call(ADD, 3, 4, timeout=SECONDS) == 7
        assert not slow.done()
        client.call(LET_GO, timeout=SECONDS)
        assert slow.result(SECONDS) == 7


@both
def test_calls_that_come_together_are_begun_in_order_and_answered_as_they_are_ready(mode: str) -> None:
    with running(mode) as it, it.connect("tcp") as sock:
        burst = [record(call(1, 3)), *(record(call(n, 2, words(n, 1))) for n in range(2, 40)), record(call(40, 4))]
        sock.sendall(b"".join(burst))
        replies = [receive(sock) for _ in burst]
        assert sorted(replies) == sorted(
            [success(1, words(7)), *(success(n, words(n + 1)) for n in range(2, 40)), success(40)]
        )
        assert replies[0] != success(1, words(7)), "the first waits for the last"


@both
def test_many_threads_over_many_connections(mode: str) -> None:
    def work(number: int) -> int:
        kind = KINDS[number % 3]
        with client_of(it, kind) as client:
            for turn in range(50):
                assert client.call(ADD, number, turn, timeout=SECONDS) == number + turn
        return number

    with running(mode) as it, ThreadPoolExecutor(9) as pool:
        assert sorted(pool.map(work, range(9))) == list(range(9))


@both
def test_the_number_of_calls_in_flight_is_bounded(mode: str) -> None:
    """The third one is read when one of the first two is answered, though it would have let them go."""
    with running(mode, max_calls=2) as it, it.connect("unix") as sock:
        sock.sendall(record(call(1, 3)) + record(call(2, 3)) + record(call(3, 4)))
        assert it.service.waiting.wait(SECONDS)
        with client_of(it, "tcp") as client:
            assert client.call(ADD, 1, 1, timeout=SECONDS) == 2
            assert not it.service.gate.is_set()
            client.call(LET_GO, timeout=SECONDS)
        assert sorted(receive(sock) for _ in range(3)) == [success(1, words(7)), success(2, words(7)), success(3)]


def test_workers_are_bounded_and_calls_wait_for_them() -> None:
    with running(workers=2) as it, client_of(it, "tcp") as client, ThreadPoolExecutor(3) as pool:
        slow = pool.submit(client.call, WAIT, timeout=SECONDS)
        assert it.service.waiting.wait(SECONDS)
        it.service.waiting.clear()
        other = pool.submit(client.call, WAIT, timeout=SECONDS)
        assert it.service.waiting.wait(SECONDS)
        with pytest.raises(errors.TimeoutExpired):
            client.call(ADD, 1, 1, timeout=0.05)
        it.service.gate.set()
        assert slow.result(SECONDS) == other.result(SECONDS) == 7
        assert client.call(ADD, 1, 1, timeout=SECONDS) == 2
        assert sum(thread.name == "ipckit.rpc" for thread in threading.enumerate()) == 2


@both
def test_one_way_calls_are_not_answered(mode: str) -> None:
    with running(mode) as it, it.connect("tcp") as sock:
        for xid in range(5):
            serving.send(sock, call(xid, 9))
        serving.send(sock, call(99, 2, words(1, 1)))
        assert receive(sock) == success(99, words(2))
        while it.service.counted < 5:
            os.sched_yield()


@both
def test_results_that_cannot_be_sent_are_failures(mode: str) -> None:
    with running(mode, max_message_size=100_000) as it:
        for kind, fits in (("tcp", 90_000), ("udp", 65_000)):
            with client_of(it, kind) as client:
                assert len(client.call(LARGE, fits, timeout=SECONDS)) == fits
                for procedure, arguments in ((LARGE, (100_000,)), (WRONG, ())):
                    with pytest.raises(errors.RemoteFailureError):
                        client.call(procedure, *arguments, timeout=SECONDS)
        kinds = [errors.MessageTooLargeError, errors.XdrError]
        assert [type(error) for error in it.errors] == kinds + kinds


@both
def test_a_client_that_has_said_all_gets_the_rest(mode: str) -> None:
    with running(mode) as it, it.connect("tcp") as sock:
        sock.sendall(record(call(1, 3)))
        assert it.service.waiting.wait(SECONDS)
        sock.shutdown(socket.SHUT_WR)
        it.service.gate.set()
        assert receive(sock) == success(1, words(7))
        assert is_ended(sock)
        assert it.errors == []


@both
def test_stop_lets_calls_finish_and_ends_idle_connections(mode: str) -> None:
    it = Running(mode)
    with it.server, it.connect("tcp") as busy, it.connect("unix") as idle, it.connect("udp") as udp:
        serving.send(idle, call(1, 2, words(1, 1)))
        assert receive(idle) == success(1, words(2))
        serving.send(busy, call(2, 3))
        assert it.service.waiting.wait(SECONDS)
        it.service.waiting.clear()
        serving.send(udp, call(3, 3))
        assert it.service.waiting.wait(SECONDS)
        it.server.stop()
        assert is_ended(idle)
        with pytest.raises(errors.BrokenPeerError):
            Client.connect_tcp(*it.tcp, PROGRAM, 3, timeout=SECONDS)
        it.service.gate.set()
        assert receive(busy) == success(2, words(7))
        assert receive(udp) == success(3, words(7))
        assert is_ended(busy)
    assert it.errors == []


@both
def test_what_does_not_finish_is_cut_off(mode: str) -> None:
    it = Running(mode)
    with it.server, it.connect("tcp") as busy:
        serving.send(busy, call(2, 3))
        assert it.service.waiting.wait(SECONDS)
        it.server.stop(0.01)
        assert is_ended(busy)
    assert [type(error) for error in it.errors] == [errors.TimeoutExpired]
    it.service.gate.set()
    for thread in threading.enumerate():
        if thread.name == "ipckit.rpc":
            thread.join(SECONDS)


@both
def test_nothing_is_left_behind(mode: str) -> None:
    before = LeakSnapshot.take()
    for _ in range(2):
        with running(mode) as it:
            for kind in KINDS:
                with client_of(it, kind) as client:
                    client.call(ECHO, b"x", timeout=SECONDS)
        for thread in threading.enumerate():
            if thread.name == "ipckit.rpc":
                thread.join(SECONDS)
    assert before.leaked() == []


def serve_until_killed(address: str) -> None:
    server = Server(serving.Threaded())
    server.listen_unix(address)
    server.serve_forever()


def serve_while_another_thread_takes_the_signals(mode: str) -> None:
    leave_to_another_thread(signal.SIGTERM)
    server = Running(mode).server
    with server.stop_on_signals():
        server.serve_forever()


@both
def test_a_signal_that_does_not_wake_the_server_stops_it_too(mode: str, spawn: Spawn) -> None:
    child = spawn(serve_while_another_thread_takes_the_signals, mode)
    child.wait_blocked("poll", "epoll_wait")
    child.send_signal(signal.SIGTERM)
    child.result()


@pytest.mark.slow
def test_a_server_killed_in_the_middle_of_a_call(spawn: Spawn, tmp_path: Any) -> None:
    path = str(tmp_path / "s")
    child = spawn(serve_until_killed, path)
    while True:
        try:
            client = Client.connect_unix(path, PROGRAM, 3, timeout=SECONDS)
        except (errors.NotFoundError, errors.BrokenPeerError):
            os.sched_yield()
        else:
            break
    with client, ThreadPoolExecutor(1) as pool:
        assert client.call(COUNT, timeout=SECONDS) == 1
        waiting = pool.submit(client.call, WAIT, timeout=SECONDS)
        while client.call(COUNT, timeout=SECONDS) < 5:
            pass
        child.kill()
        with pytest.raises(errors.BrokenPeerError):
            waiting.result(SECONDS)


def test_a_forked_child_has_nothing_of_it() -> None:
    with running() as it, it.connect("tcp") as sock:
        serving.send(sock, call(1, 2, words(1, 1)))
        assert receive(sock) == success(1, words(2))
        inodes = {os.stat(f"/proc/self/fd/{listener.fileno()}").st_ino for listener in it.server.listeners}
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                held = {os.stat(f"/proc/self/fd/{fd}").st_ino for fd in os.listdir("/proc/self/fd") if _is_open(fd)}
                os.write(writer, b"y" if held & inodes else b"n")
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert os.read(reader, 1) == b"n"
        os.close(reader)
        os.close(writer)


def _is_open(fd: str) -> bool:
    return os.path.exists(f"/proc/self/fd/{fd}")


def test_inside_a_running_loop() -> None:
    async def main() -> int:
        it = Running("asyncio")
        serving_task = asyncio.ensure_future(it.server.serve())
        with await asyncio.to_thread(client_of, it, "tcp") as client:
            result: int = await asyncio.to_thread(client.call, ADD, 2, 3, timeout=SECONDS)
        it.server.stop()
        await serving_task
        return result

    assert asyncio.run(main()) == 5


class Other(Service):
    PROGRAM, VERSION = PROGRAM, 5
    PROCEDURES = (Procedure(1, "one", (), int),)

    async def one(self) -> int:
        return 1


class Deceiving(Service):
    """A plain function that returns what is to be awaited."""

    PROGRAM, VERSION = PROGRAM, 6
    PROCEDURES = (Procedure(1, "one", (), int),)

    def one(self) -> Any:
        return Other().one()


def test_an_awaitable_where_nothing_awaits_is_a_failure() -> None:
    errors_seen: list[BaseException] = []
    server = Server(Deceiving(), on_error=lambda error, _: errors_seen.append(error))
    address = server.listen_unix()
    with server, Client.connect_unix(address, PROGRAM, 6) as client, pytest.raises(errors.RemoteFailureError):
        client.call(Deceiving.PROCEDURES[0], timeout=SECONDS)
    assert "one returned an awaitable" in str(errors_seen[0])


def test_without_a_single_worker_it_does_not_serve() -> None:
    told: list[BaseException] = []
    server = Server(serving.Threaded(), on_error=lambda error, _: told.append(error))
    address = server.listen_unix()
    server.stop(0)  # or one that serves would do so for ever
    before = threading.stack_size(1 << 45)
    try:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            server.serve_forever()
    finally:
        threading.stack_size(before)
    assert told == []
    with pytest.raises(errors.BrokenPeerError):
        Client.connect_unix(address, PROGRAM, 3)


class Cancelled(Service):
    PROGRAM, VERSION = PROGRAM, 7
    PROCEDURES = (FAIL,)

    def fail(self) -> Any:
        raise asyncio.CancelledError


def exits(*_: Any) -> Any:
    sys.exit("as it was told")


@both
@pytest.mark.parametrize(("how", "error"), [({}, asyncio.CancelledError), ({"authenticate": exits}, SystemExit)])
def test_whatever_is_raised_is_the_calls_failure_alone(
    mode: str, how: dict[str, Any], error: type[BaseException]
) -> None:
    """No worker ends of it, and no loop."""
    seen: list[BaseException] = []
    workers = 1 if mode == "threads" else None
    server = Server(Cancelled(), mode=mode, workers=workers, on_error=lambda error, _: seen.append(error), **how)
    address = server.listen_unix()
    with server, Client.connect_unix(address, PROGRAM, 7) as client:
        for _ in range(2):
            with pytest.raises(errors.RemoteFailureError):
                client.call(FAIL, timeout=SECONDS)
        assert client.call_raw(0, timeout=SECONDS) == b""
    assert [type(one) for one in seen] == [error] * 2


def test_what_does_not_go_together_is_refused() -> None:
    cases: list[tuple[type[Exception], str, Any]] = [
        (ValueError, "mode must be one of", lambda: Server(mode="selector")),
        (ValueError, "comes twice", lambda: Server(serving.Threaded(), serving.Threaded())),
        (TypeError, "one must not be coroutine functions", lambda: Server(Other())),
        (ValueError, "workers must be None", lambda: Server(mode="asyncio", workers=3)),
        (ValueError, "max_calls", lambda: Server(max_calls=0)),
        (ValueError, "idle_timeout must be above 0", lambda: Server(idle_timeout=0)),
        (TypeError, "message_timeout must be seconds", lambda: Server(message_timeout="5")),  # type: ignore[arg-type]
        (ValueError, "max_message_size", lambda: Server(max_message_size=0)),
        (TypeError, "listeners must be of", lambda: Server(listeners=[7])),
        (ValueError, "a server needs listeners", lambda: Server(serving.Threaded()).serve_forever()),
    ]
    for kind, text, make in cases:
        with pytest.raises(kind, match=text):
            make()


def test_a_server_serves_once_and_can_be_given_listeners() -> None:
    listener = unix.Stream.listen(None)
    with Server(serving.Threaded(), listeners=[listener, inet.Datagram.bind(("127.0.0.1", 0))]) as server:
        with Client.connect_unix(listener.getsockname(), PROGRAM, 3) as client:
            assert client.call(ADD, 1, 1, timeout=SECONDS) == 2
        assert "<rpc.Server threads of TEST" in repr(server)
        assert len(server.listeners) == 2
    with pytest.raises(errors.ClosedError):
        server.serve_forever()
    assert listener.closed


def test_auth_sys_is_what_a_handler_sees() -> None:
    credential = AuthSys.of_this_process("here")
    with running() as it, client_of(it, "unix", credential=credential) as client:
        assert client.call(WHO, timeout=SECONDS).endswith(repr(credential))
        client.send(QUIET)
        while not it.service.counted:
            os.sched_yield()
