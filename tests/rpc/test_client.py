"""Clients over connections, against servers that know no library, in processes of their own."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import errors
from ipckit.rpc import AuthStat, AuthSys, Client, Credential, OpaqueAuth, Procedure
from ipckit.sockets import inet, unix
from ipckit.testing import reached
from tests.rpc import scripted
from tests.rpc.calling import PROGRAM, VERSION, connect, kept_port, listen, served
from tests.rpc.scripted import LAST, words

if TYPE_CHECKING:
    from types import FrameType

    from ipckit.testing import Spawn

both = pytest.mark.parametrize("kind", ["unix", "tcp"])
SIZES = (0, 1, 3, 1024, 16384, 16385, 300_000, 5_000_000)


@both
def test_calls_of_every_size_whole_and_dribbled(spawn: Spawn, kind: str) -> None:
    with served(spawn, kind) as (client, _):
        assert client.call_raw(scripted.NULL) == b""
        for size in SIZES:
            data = os.urandom(size)
            assert client.call_raw(scripted.ECHO, data, timeout=20) == data
        assert client.call_raw(scripted.DRIBBLE, b"some more than a few bytes") == b"some more than a few bytes"
        assert client.call_raw(scripted.TWICE, b"again") == b"again"
        assert client.call_raw(scripted.ECHO, b"and the next") == b"and the next"
        assert (client.program, client.version) == (PROGRAM, VERSION)


def test_calls_by_their_procedure_are_typed(spawn: Spawn) -> None:
    echo = Procedure(scripted.ECHO, "echo", (int, str), int)
    with served(spawn, "unix") as (client, _):
        assert client.call(Procedure(scripted.NULL, "null")) is None
        # The echo is longer than its type: what is left over is let be.
        assert client.call(echo, -7, "text", timeout=20) == -7
        with pytest.raises(errors.XdrError):
            client.call(echo, "no number", "text")
        with pytest.raises(TypeError):
            client.call(echo, 1)
        with pytest.raises(errors.XdrError):
            client.call(Procedure(scripted.ECHO, "short", (int,), (str)), 77)
        client.send(echo, 1, "batched")
        assert client.call(echo, 2, "after") == 2


STATUSES = {
    "no program": (words(1, 0, 0, 0, 1), errors.ProgramUnavailableError),
    "no version": (words(1, 0, 0, 0, 2, 4, 6), errors.ProgramMismatchError),
    "no procedure": (words(1, 0, 0, 0, 3), errors.ProcedureUnavailableError),
    "garbage": (words(1, 0, 0, 0, 4), errors.GarbageArgumentsError),
    "failed": (words(1, 0, 0, 0, 5), errors.RemoteFailureError),
    "another protocol": (words(1, 1, 0, 2, 2), errors.RpcMismatchError),
    "not believed": (words(1, 1, 1, 5), errors.AuthenticationError),
    "nonsense": (words(1, 9), errors.RpcProtocolError),
    "a call": (words(0, 2, 1, 1, 1, 0, 0, 0, 0), errors.RpcProtocolError),
    "an xid alone": (b"", errors.RpcProtocolError),
}


def test_every_status_is_its_error_and_the_connection_goes_on(spawn: Spawn) -> None:
    with served(spawn, "unix") as (client, _):
        for reply, kind in STATUSES.values():
            with pytest.raises(errors.RpcError) as caught:
                client.call_raw(scripted.VERBATIM, reply)
            assert type(caught.value) is kind
            assert "0x20000099" in str(caught.value)
            assert client.call_raw(scripted.ECHO, b"x") == b"x"


@both
def test_replies_overtake_one_another(spawn: Spawn, kind: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    count = 8
    with served(spawn, kind) as (client, child), ThreadPoolExecutor(count) as pool:
        waiting = []
        for index in range(count):
            waiting.append(pool.submit(client.call_raw, scripted.HOLD, words(index), 20))
            child.wait_reached(f"held {index + 1}")
        assert client.call_raw(scripted.ECHO, b"meanwhile") == b"meanwhile"
        assert client.call_raw(scripted.LET_GO) == b""
        assert [one.result(20) for one in waiting] == [words(index) for index in range(count)]


@both
def test_many_threads_each_get_their_own_replies(spawn: Spawn, kind: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def calls(number: int) -> None:
        for index in range(60):
            data = words(number, index) * (1 + 997 * (index % 7 == 0))
            assert client.call_raw(scripted.ECHO, data, timeout=20) == data

    with served(spawn, kind) as (client, _), ThreadPoolExecutor(6) as pool:
        for future in [pool.submit(calls, number) for number in range(6)]:
            future.result(40)


@pytest.mark.slow
@both
def test_large_calls_of_many_threads_do_not_stand_in_each_others_way(spawn: Spawn, kind: str) -> None:
    # Together they exceed every buffer, both ways: whoever cannot send has to read.
    from concurrent.futures import ThreadPoolExecutor

    data = [bytes([number]) * 3_000_000 for number in range(4)]
    with served(spawn, kind) as (client, _), ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda one: client.call_raw(scripted.ECHO, one, 40), data))
    assert [len(one) for one in got] == [3_000_000] * 4
    assert got == data


@both
def test_who_cannot_send_reads_what_nobody_waits_for(spawn: Spawn, kind: str) -> None:
    # The server answers every call of a batch. As it has no room for more answers, it reads no more calls.
    with served(spawn, kind) as (client, _):
        for _ in range(200):
            client.send_raw(scripted.ECHO, b"x" * 100_000, 20)
        assert client.call_raw(scripted.COUNT, timeout=20) == words(201)


def test_a_call_that_gave_up_leaves_the_connection_usable(spawn: Spawn) -> None:
    with served(spawn, "tcp") as (client, _):
        for timeout in (0, 0.01, 0.06):
            with pytest.raises(errors.TimeoutExpired) as caught:
                client.call_raw(scripted.HOLD, b"late", timeout)
            assert caught.value.errno == errno.ETIMEDOUT
        assert client.call_raw(scripted.LET_GO) == b""
        assert client.call_raw(scripted.ECHO, b"next", 20) == b"next"
        assert client.call_raw(scripted.COUNT) == words(6)


def test_what_a_call_had_no_time_to_send_goes_out_first(spawn: Spawn) -> None:
    one, other = unix.Stream.pair()
    with other:
        child = spawn(scripted.sip, other)
    with Client.adopt(one, PROGRAM, VERSION) as client:
        child.wait_reached("idle")
        given_up = 0
        for _ in range(3):  # the first fills the buffer with its part, the others are not begun
            with pytest.raises(errors.TimeoutExpired):
                client.call_raw(scripted.ECHO, b"x" * 1_000_000, 0.01)
            given_up += 1
        child.resume("read")
        assert client.call_raw(scripted.COUNT, timeout=20) == words(2)
    assert child.result() is None
    assert given_up == 3


@pytest.mark.parametrize("own", [0.0, 0.001])
def test_the_timeout_that_an_adopted_socket_had_does_not_count(own: float) -> None:
    one, other = socket.socketpair()
    one.settimeout(own)
    with other, Client.adopt(unix.Stream.from_socket(one), PROGRAM, VERSION) as client, ThreadPoolExecutor(1) as pool:
        called = pool.submit(client.call_raw, 0)
        xid = other.recv(100)[4:8]
        time.sleep(0.05)
        other.sendall(words(LAST | 24) + xid + words(1, 0, 0, 0, 0))
        assert called.result(20) == b""
        assert one.gettimeout() is None


def test_arguments_are_checked_before_anything_is_sent(spawn: Spawn) -> None:
    with served(spawn, "unix", max_message_size=1000) as (client, _):
        for timeout in (-1, float("nan")):
            with pytest.raises(ValueError, match="timeout"):
                client.call_raw(0, b"", timeout)
        for number in (-1, 1 << 32):
            with pytest.raises(ValueError, match="number"):
                client.call_raw(number)
        with pytest.raises(errors.MessageTooLargeError, match="max_message_size is 1000"):
            client.call_raw(scripted.ECHO, b"x" * 961)
        assert client.call_raw(scripted.ECHO, b"x" * 960) == b"x" * 960
        assert client.call_raw(scripted.COUNT) == words(2)
    one, other = unix.Stream.pair()
    with one, other:
        for wrong, name in (((-1, 1), "program"), ((1, 1 << 32), "version")):
            with pytest.raises(ValueError, match=name):
                Client.adopt(one, *wrong)
        with pytest.raises(ValueError, match="max_message_size"):
            Client.adopt(one, 1, 1, max_message_size=0)
        with pytest.raises(TypeError, match="credential"):
            Client.adopt(one, 1, 1, credential="root")  # type: ignore[arg-type]


def test_credentials_go_with_every_call(spawn: Spawn) -> None:
    credential = AuthSys(7, "here", 1000, 100, (4, 24))
    with served(spawn, "unix", credential=credential) as (client, _):
        for _ in range(2):
            assert client.call_raw(scripted.CREDENTIAL) == credential.opaque().encode()


class Token(Credential):
    """A flavor whose credential is refused once, and whose verifier the server has to give back."""

    def __init__(self) -> None:
        self.generation = 0
        self.headers: list[bytes] = []

    def opaque(self) -> OpaqueAuth:
        return OpaqueAuth(0x20000001, words(self.generation))

    def verifier(self, header: bytes) -> OpaqueAuth:
        self.headers.append(header)
        return OpaqueAuth(0x20000001, b"signed")

    def check(self, verifier: OpaqueAuth) -> None:
        if verifier.body == b"wrong":
            raise errors.AuthenticationError("the server is not who it says")

    def refresh(self, auth_stat: int) -> bool:
        self.generation += 1
        return auth_stat == AuthStat.REJECTEDCRED


def test_a_flavor_of_ones_own_signs_checks_and_refreshes(spawn: Spawn) -> None:
    token = Token()
    with served(spawn, "unix", credential=token) as (client, _):
        assert client.call_raw(scripted.CREDENTIAL) == words(0x20000001, 4, 0)
        assert len(token.headers[0]) == 24 + 12
        with pytest.raises(errors.AuthenticationError, match="not who it says"):
            client.call_raw(scripted.VERBATIM, words(1, 0, 9, 5) + b"wrong\0\0\0" + words(0))
        with pytest.raises(errors.AuthenticationError, match="REJECTEDCRED"):
            client.call_raw(scripted.VERBATIM, words(1, 1, 1, AuthStat.REJECTEDCRED))
        assert client.call_raw(scripted.COUNT) == words(1 + 1 + 2 + 1)  # the refused one was made twice
        with pytest.raises(errors.AuthenticationError, match="TOOWEAK"):
            client.call_raw(scripted.VERBATIM, words(1, 1, 1, AuthStat.TOOWEAK))
        assert client.call_raw(scripted.CREDENTIAL) == words(0x20000001, 4, 3)


BREAKS: dict[str, tuple[int, bytes, type[Exception]]] = {
    "closed": (scripted.CLOSE, b"", errors.BrokenPeerError),
    "killed": (scripted.DIE, b"", errors.BrokenPeerError),
    "cut": (scripted.CUT, b"12345678", errors.BrokenPeerError),
    "a record of 2 GiB": (scripted.RAW, words(LAST - 1), errors.MessageTooLargeError),
    "no end of empty fragments": (scripted.RAW, words(0) * 20, errors.RpcProtocolError),
}


@pytest.mark.parametrize(("procedure", "data", "expected"), BREAKS.values(), ids=BREAKS)
def test_all_who_wait_learn_that_the_connection_broke(
    spawn: Spawn, procedure: int, data: bytes, expected: type[Exception]
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with served(spawn, "tcp") as (client, child), ThreadPoolExecutor(2) as pool:
        waiting = []
        for index in range(2):
            waiting.append(pool.submit(client.call_raw, scripted.HOLD))
            child.wait_reached(f"held {index + 1}")
        with pytest.raises(expected):
            client.call_raw(procedure, data)
        for one in waiting:
            with pytest.raises(expected):
                one.result(20)
        for _ in range(2):
            with pytest.raises(errors.BrokenPeerError):
                client.call_raw(scripted.NULL)
            with pytest.raises(errors.BrokenPeerError):
                client.send_raw(scripted.NULL)
        if procedure == scripted.DIE:
            assert child.join() == -signal.SIGKILL


@both
def test_a_broken_connection_is_made_anew(spawn: Spawn, kind: str) -> None:
    with served(spawn, kind, connections=3, reconnect=True) as (client, child):
        assert client.call_raw(scripted.COUNT) == words(1)
        with pytest.raises(errors.BrokenPeerError, match="without a reply"):
            client.call_raw(scripted.CLOSE)
        assert client.call_raw(scripted.COUNT) == words(1)
        client.send_raw(scripted.CLOSE)  # the server ends it while nobody waits
        scripted.wait_readable(client.fileno())
        assert client.call_raw(scripted.COUNT) == words(1)
        assert client.call_raw(scripted.COUNT) == words(2)
        client.close()
        assert child.result() == 6


def test_a_server_that_is_gone_is_not_found_again() -> None:
    with kept_port() as port:
        with inet.Stream.listen(port.getsockname()) as listener:
            client = connect("tcp", listener, reconnect=True)
            listener.accept(timeout=20).close()
        scripted.wait_readable(client.fileno())  # or the call would be sent, and meet the end then
        with client:
            for _ in range(2):
                with pytest.raises(errors.BrokenPeerError) as caught:
                    client.call_raw(0, timeout=20)
                assert caught.value.errno == errno.ECONNREFUSED


def test_close_ends_those_who_wait(spawn: Spawn) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with served(spawn, "unix") as (client, child), ThreadPoolExecutor(3) as pool:
        waiting = []
        for index in range(3):
            waiting.append(pool.submit(client.call_raw, scripted.HOLD))
            child.wait_reached(f"held {index + 1}")
        client.close()
        for one in waiting:
            with pytest.raises(errors.ClosedError):
                one.result(20)
        client.close()
        for call in (client.call_raw, client.send_raw):
            with pytest.raises(errors.ClosedError, match="Client is closed"):
                call(0)
        with pytest.raises(errors.ClosedError):
            client.fileno()
        assert repr(client) == "<Client closed>"


def test_repr_pickling_and_a_forgotten_close() -> None:
    one, other = unix.Stream.pair()
    with other:
        client: Client | None = Client.adopt(one, PROGRAM, VERSION)
        assert repr(client).startswith("<Client program 0x20000099 version 3 over <Stream fd=")
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(client)
        with pytest.warns(ResourceWarning, match="unclosed <Client"):
            client = None
    assert client is None


def interrupted_twice(connection: unix.Stream) -> tuple[bool, bytes, str]:
    """Call, be interrupted, call again; and call from a signal handler, above a call of the same thread."""
    with Client.adopt(connection, PROGRAM, VERSION) as client:
        interrupted = False
        try:
            reached("calling")
            client.call_raw(scripted.HOLD)
        except KeyboardInterrupt:
            interrupted = True
        again = client.call_raw(scripted.ECHO, b"again")
        outcome: list[str] = []

        def handler(*_: Any) -> None:
            try:
                client.call_raw(scripted.ECHO, b"from above", 20)
            except errors.BusyError as error:
                outcome.append(str(error))
            raise FromAHandlerError

        signal.signal(signal.SIGUSR1, handler)
        reached("calling again")
        client.call_raw(scripted.ECHO, b"x" * 8, 20)
        try:
            client.call_raw(scripted.HOLD, timeout=60)
        except FromAHandlerError:
            pass
        return interrupted, again, outcome[0]


@pytest.mark.slow
def test_a_signal_ends_a_call_and_not_the_connection(spawn: Spawn) -> None:
    one, other = unix.Stream.pair()
    with one, other:
        server = spawn(scripted.serve, other)
        child = spawn(interrupted_twice, one)
    child.wait_reached("calling")
    server.wait_reached("held 1")
    child.wait_blocked("recvfrom")
    child.send_signal(signal.SIGINT)
    child.wait_reached("calling again")
    server.wait_reached("held 2")
    child.wait_blocked("poll")
    child.send_signal(signal.SIGUSR1)
    interrupted, again, refused = child.result()
    assert interrupted
    assert again == b"again"
    assert "signal handler" in refused
    server.join()


class FromAHandlerError(Exception):
    """What a signal handler may raise, at any line."""


@pytest.mark.slow
def test_an_exception_anywhere_in_a_call_leaves_others_free_to_call(spawn: Spawn) -> None:
    within = ("_client/stream_link.py", "_client/reading.py", "_client/turns.py")

    def call_and_raise_at(index: int) -> bool:
        """Call, and raise at the line of that number; False if there are fewer."""
        lines = 0

        def trace(frame: FrameType, event: str, _: object) -> Any:
            nonlocal lines
            if not frame.f_code.co_filename.endswith(within):
                return trace
            lines += event == "line"
            if event == "line" and lines == index:
                raise FromAHandlerError
            return trace

        sys.settrace(trace)
        try:
            client.call_raw(scripted.ECHO, b"interrupted", 20)
        except FromAHandlerError:
            return True
        finally:
            sys.settrace(None)
        return False

    with served(spawn, "unix", connections=50, reconnect=True) as (client, child), ThreadPoolExecutor(1) as pool:
        index = 1
        while call_and_raise_at(index):
            assert pool.submit(client.call_raw, scripted.ECHO, b"another", 20).result() == b"another"
            assert client.call_raw(scripted.ECHO, b"the same", 20) == b"the same"
            index += 1
        assert index > 20
        child.kill()
        assert child.join() == -signal.SIGKILL


def test_a_pickle_holds_the_address(spawn: Spawn) -> None:
    with served(spawn, "unix", connections=2, credential=AuthSys(uid=7), max_message_size=500) as (client, child):
        other: Client = pickle.loads(pickle.dumps(client))
        client.close()
        with other:
            assert (other.program, other.version) == (PROGRAM, VERSION)
            assert other.call_raw(scripted.CREDENTIAL) == AuthSys(uid=7).opaque().encode()
            with pytest.raises(errors.MessageTooLargeError):
                other.call_raw(scripted.ECHO, b"x" * 500)
        assert child.result() == 1


def forked(connection: unix.Stream | inet.Stream, path: bytes | None) -> list[str]:
    """What a forked child meets, with a connection that is its parent's."""
    reader, writer = os.pipe()
    client = Client.adopt(connection, PROGRAM, VERSION) if path is None else Client.connect_unix(path, PROGRAM, VERSION)
    with client:
        found = [client.call_raw(scripted.ECHO, b"parent").decode()]
        pid = os.fork()
        if not pid:
            try:
                told = client.call_raw(scripted.ECHO, b"child")
            except errors.BrokenPeerError as error:
                told = str(error).encode()
            os.write(writer, told)
            os._exit(0)
        os.waitpid(pid, 0)
        found.append(os.read(reader, 1000).decode())
        found.append(client.call_raw(scripted.ECHO, b"parent again").decode())
    os.close(reader)
    os.close(writer)
    return found


@pytest.mark.slow
def test_a_forked_child_never_uses_its_parents_connection(spawn: Spawn) -> None:
    one, other = unix.Stream.pair()
    with one, other:
        server = spawn(scripted.serve, other)
        child = spawn(forked, one, None)
    first, second, third = child.result()
    assert (first, third) == ("parent", "parent again")
    assert "parent process" in second
    assert server.result() == 2
    with listen("unix") as listener:
        server = spawn(both_at_once, listener)
        unused, rest = unix.Stream.pair()
        with unused, rest:
            child = spawn(forked, unused, listener.getsockname())
            assert child.result() == ["parent", "child", "parent again"]
    server.join()


def both_at_once(listener: unix.Listener[unix.Stream]) -> None:
    threads = []
    for _ in range(2):
        threads.append(threading.Thread(target=scripted.serve, args=(listener.accept(timeout=20),)))
        threads[-1].start()
    for thread in threads:
        thread.join()
