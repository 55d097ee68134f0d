"""Unix stream sockets: connecting, listening, stale files, streams and messages, ends, life cycle."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import socket
import stat
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import (
    AlreadyExistsError,
    BrokenPeerError,
    ClosedError,
    EndOfStreamError,
    NotFoundError,
    PeerDiedError,
    SyscallError,
    TimeoutExpired,
)
from ipckit.sockets.unix import Datagram, Listener, SeqPacket, Stream
from ipckit.testing import pause, wait_blocked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

SLEEP = ("clock_nanosleep", "select")  # what time.sleep calls; the second is Python 3.10's


@pytest.fixture
def pair() -> Iterator[tuple[Stream, Stream]]:
    one, other = Stream.pair()
    with one, other:
        yield one, other


Pair = tuple[Stream, Stream]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "s")


def serve_one(path: str) -> bytes:
    with Stream.listen(path) as listener, listener.accept(timeout=20) as stream:
        message = stream.receive(timeout=20)
        stream.send(message[::-1])
    return message


def accept_one(listener: Listener[Stream]) -> bytes:
    with listener, listener.accept(timeout=20) as stream:
        return stream.receive(timeout=20)


def connect_and_send(address: str | bytes, message: bytes) -> tuple[int, int]:
    with Stream.connect(address, timeout=20) as stream:
        stream.send(message)
        return os.getpid(), stream.peer_credentials.pid


def receive_one(stream: Stream) -> bytes:
    with stream:
        return stream.receive()


def listen_then_wait(path: str) -> None:
    with Stream.listen(path):
        pause("listening")


def hold(stream: Stream) -> None:
    with stream:
        pause("holding")


def race_for(path: str, wins: int) -> int:
    """Take the path each time it is dead, check that nobody else has it, and die on it again."""
    won = 0
    while won < wins:
        try:
            listener = Stream.listen(path, unlink_on_close=False)
        except AlreadyExistsError:
            continue
        with listener:
            won += 1
            with Stream.connect(path, timeout=20) as client, listener.accept(timeout=20):  # the path leads to us
                assert client.peer_credentials.pid == os.getpid()
    return won


def test_a_conversation_between_processes(path: str, spawn: Spawn) -> None:
    with Stream.listen(path) as listener:
        child = spawn(connect_and_send, path, b"hello")
        with listener.accept(timeout=20) as stream:
            assert stream.receive(timeout=20) == b"hello"
            child_pid, listener_pid = child.result()
            assert stream.peer_credentials == (child_pid, os.geteuid(), os.getegid())
            assert listener_pid == os.getpid()
            assert listener.getsockname() == path == stream.getsockname()
            assert path in repr(listener)
    assert not os.path.exists(path)


def test_bytes_and_messages_both_ways(pair: Pair) -> None:
    one, other = pair
    for here, there in ((one, other), (other, one)):
        assert here.write(b"abc") == 3
        assert there.available == 3
        assert there.read(2) == b"ab"
        assert there.read() == b"c"
        here.send(b"")
        here.send(b"x" * 20_000)
        assert there.receive(0) == b""
        assert there.receive(0) == b"x" * 20_000
    assert one.try_read() is None
    assert one.try_receive() is None
    for take in (one.read, one.receive):
        with pytest.raises(TimeoutExpired):
            take(timeout=0)
        with pytest.raises(TimeoutExpired):
            take(timeout=0.01)
    with pytest.raises(ValueError, match="at least 1"):
        one.read(0)


def test_a_stream_has_no_boundaries(pair: Pair) -> None:
    one, other = pair
    one.write(b"11")
    one.write(b"22")
    assert other.read() == b"1122"
    room = bytearray(3)
    one.write(b"12345")
    assert other.readinto(room) == 3
    assert room == b"123"


def test_peeking_takes_nothing(pair: Pair) -> None:
    one, other = pair
    for timeout in (0, 0.01):
        with pytest.raises(TimeoutExpired):
            other.peek(timeout=timeout)
    one.write(b"abc")
    assert other.peek(2) == b"ab"
    assert other.peek() == b"abc"
    assert other.read() == b"abc"
    one.send(b"framed")
    assert other.peek() == b"\0\0\0\x06framed"
    assert other.receive() == b"framed"
    with pytest.raises(ValueError, match="at least 1"):
        other.peek(0)
    thread = threading.Thread(target=lambda: one.write(b"late") if wait_blocked(os.getpid(), "poll") is None else None)
    thread.start()
    assert other.peek(timeout=10) == b"late"
    thread.join()
    assert other.read() == b"late"
    one.close()
    assert other.peek() == b""


def test_a_long_write_tells_how_much_went_out(pair: Pair) -> None:
    one, other = pair
    data = os.urandom(5_000_000)
    with pytest.raises(TimeoutExpired) as caught:
        one.write(data, timeout=0.01)
    out = caught.value.completed
    assert 0 < out < len(data)
    got = bytearray()
    while len(got) < out:
        got += other.read(timeout=1)
    assert got == data[:out]
    assert other.try_read() is None


def test_a_message_cut_short_by_time_goes_on_with_the_next_call(pair: Pair) -> None:
    one, other = pair
    big = os.urandom(2_000_000)
    with pytest.raises(TimeoutExpired) as caught:
        one.send(big, timeout=0)
    assert caught.value.completed > 0
    thread = threading.Thread(target=one.send, args=(b"next",))
    thread.start()
    assert other.receive(timeout=20) == big
    assert other.receive(timeout=20) == b"next"
    thread.join()


def test_half_close(pair: Pair) -> None:
    one, other = pair
    one.send(b"question")
    one.shutdown()
    assert other.receive() == b"question"
    assert other.read() == b""
    with pytest.raises(EndOfStreamError):
        other.receive()
    other.send(b"answer")
    assert one.receive() == b"answer"
    with pytest.raises(BrokenPeerError):
        one.write(b"x")
    other.shutdown(socket.SHUT_RDWR)


def test_writing_to_nobody_raises_and_sends_no_signal(spawn: Spawn) -> None:
    assert spawn(write_to_nobody).result() == ["BrokenPeerError"] * 3


def write_to_nobody() -> list[str]:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    names = []
    one, other = Stream.pair()
    with one:
        other.close()
        for call in (one.write, one.send, lambda data: one.send(data * 50_000)):
            try:
                call(b"x")
            except BrokenPeerError as error:
                names.append(type(error).__name__)
    return names


def test_a_peer_that_closes_with_our_data_unread(pair: Pair) -> None:
    one, other = pair
    one.write(b"never read")
    other.write(b"last words")
    other.close()
    assert one.read() == b"last words"
    with pytest.raises(BrokenPeerError):
        one.read()
    assert one.read() == b""


def test_a_peer_that_dies_in_mid_message(pair: Pair) -> None:
    one, other = pair
    one.write(b"\0\0\0\x05abc")
    one.close()
    with pytest.raises(PeerDiedError, match="3 of the 5"):
        other.receive()


def test_a_killed_peer_ends_the_stream(pair: Pair, spawn: Spawn) -> None:
    one, other = pair
    child = spawn(hold, other)
    child.wait_reached("holding")
    other.close()
    assert one.try_read() is None
    child.kill()
    child.join()
    assert one.read(timeout=10) == b""


def test_a_blocked_receiver_in_another_process_is_woken(pair: Pair, spawn: Spawn) -> None:
    one, other = pair
    child = spawn(receive_one, other)
    child.wait_blocked("poll")
    one.send(b"awake")
    assert child.result() == b"awake"


def test_the_users_blocking_mode_and_timeout_stay_and_do_not_matter(pair: Pair) -> None:
    one, other = pair
    for mode in (None, 0.0, 60.0):
        one.settimeout(mode)
        assert one.gettimeout() == mode
        assert one.try_read() is None
        with pytest.raises(TimeoutExpired):
            one.read(timeout=0.01)
        other.send(b"x")
        assert one.receive() == b"x"
        assert one.gettimeout() == mode
        assert os.get_blocking(one.fileno()) is (mode is None)
    one.setblocking(True)
    assert one.socket.gettimeout() is None


@pytest.mark.parametrize("default", [5.0, 0.0])
def test_a_default_timeout_of_the_socket_module_does_not_matter(path: str, default: float) -> None:
    socket.setdefaulttimeout(default)
    try:
        one, other = Stream.pair()
        listener = Stream.listen(path)
        with one, other, listener, Stream.connect(path) as client, listener.accept(timeout=5) as server:
            for stream in (one, client, server):
                assert stream.gettimeout() is None
                assert stream.try_read() is None
                assert os.get_blocking(stream.fileno())
        plain = socket.socketpair(socket.AF_UNIX)
        with Stream.from_socket(plain[0]) as adopted, plain[1]:
            assert adopted.gettimeout() == default
            assert not os.get_blocking(adopted.fileno())
            assert adopted.try_read() is None
    finally:
        socket.setdefaulttimeout(None)


def test_the_genuine_socket_is_there(pair: Pair) -> None:
    one, other = pair
    assert isinstance(one.socket, socket.socket)
    one.socket.sendall(b"plain")
    assert other.read() == b"plain"
    assert one.fileno() == one.socket.fileno()
    one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 10_000)
    assert one.socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 20_000  # the kernel doubles it


def test_adopting_a_socket(path: str) -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    one.set_inheritable(True)
    with Stream.from_socket(one) as stream, other:
        assert stream.socket is one
        assert not one.get_inheritable()
        other.sendall(b"x")
        assert stream.read() == b"x"
    assert one.fileno() == -1
    with socket.socket(socket.AF_INET) as wrong, pytest.raises(ValueError, match="AF_UNIX and SOCK_STREAM"):
        Stream.from_socket(wrong)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wrong:
        with pytest.raises(ValueError, match="SOCK_STREAM"):
            Stream.from_socket(wrong)
        assert wrong.fileno() >= 0
    plain = socket.socket(socket.AF_UNIX)
    plain.bind(path)
    plain.listen()
    with Listener.from_socket(plain, Stream) as listener, Stream.connect(path) as client:
        client.send(b"adopted")
        with listener.accept() as server:
            assert server.receive() == b"adopted"
    assert os.path.exists(path)  # whoever made it unlinks it


def test_the_longest_path_and_one_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Stream.listen("x" * 107) as listener, Stream.connect("x" * 107), listener.accept():
        assert listener.getsockname() == "x" * 107
    assert not list(tmp_path.iterdir())
    for call in (Stream.listen, Stream.connect, SeqPacket.listen, Datagram.bind):
        with pytest.raises(ValueError, match=r"at most 107 bytes, this path has 108.*shorter"):
            call("x" * 108)  # type: ignore[operator]
    with pytest.raises(ValueError, match="at most 107 bytes, this path has 108"):
        Stream.connect("ü" * 54)


@pytest.mark.parametrize("name", ["s", "s" * 107], ids=["short", "long"])
def test_a_stale_file_whose_absolute_path_is_too_long_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    monkeypatch.chdir(deep)
    for _ in range(2):
        Stream.listen(name, unlink_on_close=False).close()
    assert [entry.name for entry in deep.iterdir()] == [name]


OWN = f"\0ipckit-{os.getpid()}-"  # all processes share these names


@pytest.mark.parametrize(
    "name", [OWN.encode() + b"\0-\xff", f"{OWN}test", OWN.encode().ljust(108, b"x")], ids=["bytes", "text", "longest"]
)
def test_abstract_names_are_exact_bytes(name: str | bytes) -> None:
    with Stream.listen(name) as listener:
        assert listener.getsockname() == os.fsencode(name)
        with Stream.connect(name) as client, listener.accept():
            assert client.getpeername() == os.fsencode(name)
        with pytest.raises(AlreadyExistsError):
            Stream.listen(name)
        with pytest.raises(BrokenPeerError):
            Stream.connect(os.fsencode(name)[:-1])
    with pytest.raises(BrokenPeerError):
        Stream.connect(name)


def test_an_abstract_name_that_is_too_long() -> None:
    with pytest.raises(ValueError, match="at most 107 bytes after its NUL"):
        Stream.listen(b"\0" + b"x" * 108)


def test_the_kernel_chooses_an_abstract_name() -> None:
    with Stream.listen(None) as listener:
        name = listener.getsockname()
        assert isinstance(name, bytes)
        assert name[:1] == b"\0"
        with Stream.connect(name), listener.accept(timeout=5):
            pass


@pytest.mark.parametrize(
    ("bad", "error"), [("", ValueError), ("a\0b", ValueError), (5, TypeError), (("h", 1), TypeError)]
)
def test_impossible_addresses(bad: str, error: type[Exception]) -> None:
    for call in (Stream.listen, Stream.connect):
        with pytest.raises(error, match="address must"):
            call(bad)  # type: ignore[operator]
    with pytest.raises(TypeError, match="address must"):
        Stream.connect(None)  # type: ignore[arg-type]


def test_nobody_is_there(path: str) -> None:
    with pytest.raises(NotFoundError):
        Stream.connect(path)
    Stream.listen(path, unlink_on_close=False).close()
    with pytest.raises(BrokenPeerError, match="socket file may be left"):
        Stream.connect(path)
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path)
        with pytest.raises(BrokenPeerError):
            Stream.connect(path)
    with pytest.raises(SyscallError, match="another type"), Datagram.bind(path):
        Stream.connect(path)


def test_a_dead_servers_file_is_replaced(path: str, spawn: Spawn) -> None:
    child = spawn(listen_then_wait, path)
    child.wait_reached("listening")
    for kind in (Stream, SeqPacket):
        with pytest.raises(AlreadyExistsError, match="a live socket has it"):
            kind.listen(path)
    child.kill()
    child.join()
    assert os.path.exists(path)
    with Stream.listen(path) as listener, Stream.connect(path), listener.accept(timeout=5):
        pass
    assert os.listdir(os.path.dirname(path)) == []


def test_a_live_socket_is_not_replaced_and_not_disturbed(path: str) -> None:
    with Stream.listen(path) as listener:
        with pytest.raises(AlreadyExistsError):
            Stream.listen(path)
        assert listener.try_accept() is None  # the question was no connection
    with socket.socket(socket.AF_UNIX) as bound:  # not listening yet: looks dead to a connect
        bound.bind(path)
        with pytest.raises(AlreadyExistsError):
            Stream.listen(path)
        bound.listen()
        with Stream.connect(path):
            pass


def test_what_is_no_socket_is_never_replaced(path: str) -> None:
    Path(path).write_text("keep")
    with pytest.raises(AlreadyExistsError, match="no socket"):
        Stream.listen(path)
    assert Path(path).read_text() == "keep"
    assert os.listdir(os.path.dirname(path)) == ["s"]


def test_servers_that_race_for_a_stale_path_never_both_win(path: str, spawn: Spawn) -> None:
    Stream.listen(path, unlink_on_close=False).close()
    children = [spawn(race_for, path, 20) for _ in range(3)]
    assert [child.result() for child in children] == [20, 20, 20]
    assert os.listdir(os.path.dirname(path)) == ["s"]


def test_a_lock_file_that_a_killed_server_left_is_no_hindrance(path: str) -> None:
    Path(path + ".lock").touch()
    with Stream.listen(path):
        pass
    assert os.listdir(os.path.dirname(path)) == []


def test_a_fifo_in_the_place_of_the_lock_file_holds_up_nobody(path: str, spawn: Spawn) -> None:
    """Where others may write, too, anybody can have put it there."""
    os.mkfifo(path + ".lock")
    child = spawn(listen_then_wait, path)
    child.wait_reached("listening")
    child.resume("listening")
    assert child.result() is None
    assert os.listdir(os.path.dirname(path)) == []


def test_a_mode_that_is_no_permission_bits_is_refused(path: str) -> None:
    for make in (Stream.listen, SeqPacket.listen, Datagram.bind):
        with pytest.raises(ValueError, match="mode must be permission bits"):
            make(path, mode=600)
    assert not os.path.exists(path)


def test_errors_name_the_path_as_text(path: str) -> None:
    for make in (Stream.connect, Datagram.connect):
        with pytest.raises(NotFoundError) as caught:
            make(os.fsencode(path))
        assert caught.value.filename == path
    Path(path).touch()
    with pytest.raises(AlreadyExistsError) as taken:
        Stream.listen(path)
    assert taken.value.filename == path


@pytest.mark.parametrize("mode", [0o600, 0o666, 0o660])
def test_the_requested_mode_is_what_one_gets(path: str, mode: int) -> None:
    previous = os.umask(0o027)
    try:
        with Stream.listen(path, mode=mode):
            assert stat.S_IMODE(os.stat(path).st_mode) == mode
    finally:
        os.umask(previous)


def test_only_the_makers_close_unlinks_and_only_its_own(path: str) -> None:
    listener = Stream.listen(path)
    pid = os.fork()
    if not pid:
        listener.close()
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.path.exists(path)
    os.rename(path, path + "-moved")
    with Stream.listen(path) as later:
        listener.close()
        assert os.path.exists(path)
        with Stream.connect(path), later.accept(timeout=5):
            pass
    os.unlink(path + "-moved")


def test_a_path_relative_to_a_directory_that_was_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    listener = Stream.listen("s")
    monkeypatch.chdir("/")
    listener.close()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        Stream.listen(tmp_path / "none" / "s")


def test_connecting_waits_while_the_backlog_is_full(path: str) -> None:
    with Stream.listen(path, backlog=0) as listener, Stream.connect(path):
        for timeout in (0, 0.05):
            with pytest.raises(TimeoutExpired):
                Stream.connect(path, timeout=timeout)
        got: list[Stream] = []
        thread = threading.Thread(target=lambda: got.append(Stream.connect(path)))
        thread.start()
        wait_blocked(os.getpid(), *SLEEP, tid=thread.native_id)
        listener.accept(timeout=5).close()
        thread.join(10)
        got[0].close()


@pytest.mark.parametrize("bad", [-1, float("nan"), True])
def test_bad_timeouts_are_refused_before_anything_happens(pair: Pair, path: str, bad: float) -> None:
    one, other = pair
    for call in (one.write, one.send, lambda data, timeout: one.send_fds(data, [], timeout)):
        with pytest.raises((ValueError, TypeError), match="timeout"):
            call(b"x", bad)
    assert other.available == 0
    with Stream.listen(path) as listener:
        with pytest.raises((ValueError, TypeError), match="timeout"):
            Stream.connect(path, timeout=bad)
        assert listener.try_accept() is None
        with pytest.raises((ValueError, TypeError), match="timeout"):
            listener.accept(bad)


def test_accept(path: str) -> None:
    with Stream.listen(path) as listener:
        assert listener.try_accept() is None
        for timeout in (0, 0.01):
            with pytest.raises(TimeoutExpired):
                listener.accept(timeout)
        with Stream.connect(path) as client, listener.accept(timeout=0) as server:
            assert not os.get_inheritable(server.fileno())
            client.send(b"x")
            assert server.receive() == b"x"


def test_a_listener_travels_to_workers(path: str, spawn: Spawn) -> None:
    with Stream.listen(path) as listener:
        children = [spawn(accept_one, listener) for _ in range(2)]
        for message in (b"one", b"two"):
            with Stream.connect(path, timeout=20) as client:
                client.send(message)
        assert sorted(child.result() for child in children) == [b"one", b"two"]
        assert os.path.exists(path)
        with pytest.raises(TypeError, match="send_fds"):
            pickle.dumps(listener)


def test_a_live_server_with_a_killed_one_before_it(path: str, spawn: Spawn) -> None:
    child = spawn(serve_one, path)
    child.wait_blocked("poll")
    with Stream.connect(path, timeout=20) as client:
        client.send(b"abc")
        assert client.receive(timeout=20) == b"cba"
    assert child.result() == b"abc"


def test_close_in_another_thread_ends_a_wait(path: str, pair: Pair) -> None:
    outcome: list[type] = []

    def wait(call: object) -> None:
        try:
            call()  # type: ignore[operator]
        except ClosedError as error:
            outcome.append(type(error))

    with Stream.listen(path) as listener:
        threads = [threading.Thread(target=wait, args=(call,)) for call in (listener.accept, pair[0].read)]
        for thread in threads:
            thread.start()
        for thread in threads:
            wait_blocked(os.getpid(), "poll", tid=thread.native_id)
        listener.close()
        pair[0].close()
        for thread in threads:
            thread.join(10)
    assert outcome == [ClosedError] * 2


def test_after_close(pair: Pair, path: str) -> None:
    one, _ = pair
    listener = Stream.listen(path)
    for handle in (one, listener):
        handle.close()
        handle.close()
        assert "closed" in repr(handle)
    calls = [
        one.read, one.receive, one.try_read, one.fileno, one.getsockname, one.getpeername, one.shutdown, one.gettimeout,
        lambda: one.write(b"x"), lambda: one.send(b"x"), lambda: one.send_fds(b"x", []), one.receive_fds,
        lambda: one.peer_credentials, lambda: one.socket, lambda: one.available, lambda: one.readinto(bytearray(2)),
        listener.accept, listener.try_accept, listener.getsockname,
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ClosedError):
            call()


def test_forgotten_sockets_warn_once_and_close_once(path: str) -> None:
    one, other = Stream.pair()
    fd = one.fileno()
    kept: list[object] = [[one, one.socket]]
    kept[0].append(kept[0])  # type: ignore[attr-defined]
    del one

    def forget() -> None:
        kept.clear()  # from here on they may be collected
        gc.collect()

    with pytest.warns(ResourceWarning) as caught:
        forget()
    assert any("unclosed <Stream" in str(warning.message) for warning in caught)
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)
    other.close()


def test_a_forgotten_listener_leaves_its_path(path: str) -> None:
    forgotten = [Stream.listen(path)]
    with pytest.warns(ResourceWarning, match="unclosed <Listener"):
        forgotten.clear()
    assert os.path.exists(path)


def test_no_other_side() -> None:
    with Stream.from_socket(socket.socket(socket.AF_UNIX)) as lonely:
        assert lonely.getsockname() == ""
        with pytest.raises(BrokenPeerError):
            lonely.getpeername()
        with pytest.raises(BrokenPeerError):
            _ = lonely.peer_credentials
        with pytest.raises(SyscallError):
            lonely.read(timeout=1)


def test_a_real_program_talks_to_us(path: str) -> None:
    code = (
        "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'hi'); print(s.recv(9))"
    )
    listener = Stream.listen(path)
    with listener, subprocess.Popen(["python3", "-c", code, path], stdout=subprocess.PIPE) as program:
        with listener.accept(timeout=20) as stream:
            assert stream.read(timeout=20) == b"hi"
            stream.write(b"back")
        assert program.stdout is not None
        assert program.stdout.read() == b"b'back'\n"
