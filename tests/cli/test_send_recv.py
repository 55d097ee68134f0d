"""`ipckit send` and `ipckit recv`, with themselves and with programs that use the library."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from ipckit import BroadcastRing, Fifo, Latest, MpmcRing, SpscRing, features
from ipckit.errors import BrokenPeerError, EndOfStreamError, NotFoundError
from ipckit.posix import MessageQueue
from ipckit.sockets import inet, unix
from tests.cli.shell import run, run_anew

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.shell import Running

needs_mqueue = pytest.mark.skipif(not features.has_mqueue(), reason="this kernel, or container, has no message queues")
TAG = f"ipckit-cli-{os.getpid()}"
BINARY = b"\n\0line\r\n\xff\xfe" + bytes(range(256))
KEY = 0x49000000 | os.getpid() & 0xFFFFFF

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "address",
    [
        pytest.param(f"mq:/{TAG}", marks=needs_mqueue),
        f"sysv-mq:{KEY:#x}",
        f"ring:/{TAG}",
    ],
    ids=["mq", "sysv-mq", "ring"],
)
def test_messages_stay_as_they_are(address: str) -> None:
    lengths = ["--length-prefixed"]
    stream = b"".join(len(message).to_bytes(4, "big") + message for message in (BINARY, b"", b"last"))
    assert run("send", "--create", *lengths, address, given=stream) == (0, b"", "")
    assert run("recv", "-n", 3, *lengths, address) == (0, stream, "")
    assert run("send", address, "a b", "", "c") == (0, b"", "")
    assert run("recv", "--null", "-n", 3, address) == (0, b"a b\0\0c\0", "")
    assert run("send", "--whole", address, given=b"all\nof it") == (0, b"", "")
    assert run("recv", "--whole", "--unlink", address) == (0, b"all\nof it", "")
    status, out, err = run("recv", address)
    assert (status, out) == (1, b"")
    assert "No such file" in err


def test_kinds_of_rings_are_found_out() -> None:
    name = f"/{TAG}-kind"
    for home in (SpscRing, MpmcRing, BroadcastRing, Latest):
        how = {"max_size": 1 << 21} if home is Latest else {"capacity": 1 << 22}
        with home.create(name, unlink_on_close=True, **how) as ring:
            with home.open(name) as reader:
                if home is BroadcastRing:
                    reader.subscribe()
                assert run("send", "--whole", f"ring:{name}", given=BINARY * 4000)[0] == 0
                assert reader.receive(timeout=20) == BINARY * 4000
            ring.send(b"back")
            more = ["--history", 1] if home is BroadcastRing else []
            assert run("recv", *more, f"ring:{name}")[:2] == (0, b"back\n")
    status, _, err = run("send", "--create", "--ring", "spsc", "--capacity", "4k", f"ring:{name}", "x")
    assert (status, err) == (0, "")
    with SpscRing.open(name) as ring:
        assert ring.capacity == 4096
        ring.unlink()


def test_end_of_stream_and_time_are_told_apart() -> None:
    name = f"/{TAG}-end"
    with MpmcRing.create(name, unlink_on_close=True) as ring:
        assert run("recv", "--timeout", "0.1", f"ring:{name}")[0] == 3
        assert run("send", f"ring:{name}", "one", "two")[0] == 0
        assert run("recv", "-n", 3, f"ring:{name}")[:2] == (4, b"one\ntwo\n")
        assert run("send", f"ring:{name}", "one", "two")[0] == 0
        assert run("recv", "--all", f"ring:{name}")[:2] == (0, b"one\ntwo\n")
        assert run("recv", "--follow", "--timeout", "0.1", f"ring:{name}")[0] == 3
        assert ring.depth == 0


def test_follow_goes_on_with_the_next_writer(start: Callable[..., Running]) -> None:
    name = f"/{TAG}-follow"
    with MpmcRing.create(name, unlink_on_close=True):
        receiver = start("recv", "--follow", f"ring:{name}")
        for word in (b"first", b"second"):
            assert run("send", f"ring:{name}", word.decode())[0] == 0
            assert receiver.line() == word + b"\n"
        receiver.process.send_signal(signal.SIGTERM)
        assert receiver.finish() == (143, b"", "")


@needs_mqueue
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_wait_and_takes_nothing(signum: int, start: Callable[..., Running]) -> None:
    from ipckit.posix import MessageQueue

    with MessageQueue.create(f"/{TAG}-int", unlink_on_close=True) as queue:
        receiver = start("recv", "--all", f"mq:{queue.name}")
        queue.send(b"one")
        assert receiver.line() == b"one\n"
        receiver.wait_blocked("poll", "ppoll")
        receiver.process.send_signal(signum)
        assert receiver.finish() == (128 + signum, b"", "")
        queue.send(b"two")
        assert queue.attributes().current_messages == 1


@needs_mqueue
def test_nothing_is_taken_for_a_reader_that_has_gone(start: Callable[..., Running]) -> None:
    from ipckit.posix import MessageQueue

    with MessageQueue.create(f"/{TAG}-gone", unlink_on_close=True) as queue:
        receiver = start("recv", "--follow", f"mq:{queue.name}")
        queue.send(b"one")
        assert receiver.line() == b"one\n"
        receiver.process.stdout.close()
        assert receiver.process.wait(20) == 0
        queue.send(b"two")
        assert queue.receive(timeout=0).data == b"two"


@needs_mqueue
def test_priorities_types_and_limits() -> None:
    address = f"mq:/{TAG}-order"
    sizes = ["--create", "--max-messages", 2, "--max-size", 16]
    assert run("send", *sizes, address, "low")[0] == 0
    assert run("send", "--priority", 7, address, "high")[0] == 0
    assert run("send", "--timeout", "0.1", address, "more")[0] == 3
    status, _, err = run("send", address, "seventeen bytes!!")
    assert status == 1
    assert "max_message_size is 16" in err
    assert run("recv", "-n", 2, "--unlink", address)[:2] == (0, b"high\nlow\n")
    address = f"sysv-mq:{KEY:#x}"
    assert run("send", "--create", "--type", 2, address, "two")[0] == 0
    assert run("send", "--type", 1, address, "one")[0] == 0
    assert run("recv", "--type", 2, address)[:2] == (0, b"two\n")
    assert run("recv", "--type", -5, "--unlink", address)[:2] == (0, b"one\n")


def test_a_fifo_is_left_what_was_not_asked_for(tmp_path: Path, start: Callable[..., Running]) -> None:
    path = tmp_path / "fifo"
    with Fifo.create(path) as fifo:
        first = start("recv", "-n", 2, f"fifo:{path}")
        with fifo.open_writer(timeout=20) as writer, fifo.open_reader():
            long = b"x" * 30_000
            writer.write(b"one\n" + long + b"\nthree\nfour")
            assert first.finish()[:2] == (0, b"one\n" + long + b"\n")
            assert run("recv", f"fifo:{path}")[:2] == (0, b"three\n")
            last = start("recv", "--all", f"fifo:{path}")
            last.wait_blocked("poll", "ppoll")
            writer.close()
            assert last.finish()[:2] == (0, b"four\n")
        reader = start("recv", "--wire", "length", "--null", "-n", 2, f"fifo:{path}")
        with fifo.open_writer(timeout=20) as writer:  # as a program sends that uses the library
            writer.send(b"a\nb")
            writer.send(b"")
            assert reader.finish()[:2] == (0, b"a\nb\0\0")
        sender = start("send", "--wire", "length", f"fifo:{path}", "to", "you")
        with fifo.open_reader() as end:
            assert [end.receive(20), end.receive(20)] == [b"to", b"you"]
            assert sender.finish() == (0, b"", "")


def test_a_fifo_without_the_other_end(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    assert run("send", "--create", "--mode", 640, "--timeout", "0.1", f"fifo:{path}", "x")[0] == 3
    assert path.stat().st_mode & 0o777 == 0o640
    assert run("recv", "--timeout", "0.1", f"fifo:{path}")[0] == 3
    assert run("recv", f"fifo:{tmp_path}/none")[0] == 1
    assert run("recv", f"fifo:{tmp_path}")[0] == 2


def test_streams_carry_anything(tmp_path: Path, start: Callable[..., Running]) -> None:
    data = os.urandom(1 << 20)
    for address, listen in ((f"unix:{tmp_path}/s", unix.Stream.listen), (f"unix:@{TAG}", unix.Stream.listen)):
        name = address.removeprefix("unix:").replace("@", "\0")
        with listen(name) as listener:
            sender = start("send", "--whole", address)
            with listener.accept(timeout=20) as peer:
                sender.process.stdin.write(data[:1000])
                assert peer.read(timeout=20) == data[:1000]  # before the rest is there
                sender.process.stdin.close()
                assert peer.read(timeout=20) == b""
            assert sender.process.wait(20) == 0
            with (tmp_path / "data").open("w+b") as file:
                file.write(data)
                file.seek(0)
                sender = start("send", "--whole", address, stdin=file)
            with listener.accept(timeout=20) as peer:
                assert b"".join(iter(lambda: peer.read(1 << 20, timeout=20), b"")) == data
            assert sender.finish()[0] == 0
            with (tmp_path / "data").open("wb") as file:
                receiver = start("recv", "--whole", address, stdout=file)
                with listener.accept(timeout=20) as peer:
                    peer.write(data, timeout=20)
                assert receiver.finish()[0] == 0
            assert (tmp_path / "data").read_bytes() == data


def test_who_sends_something_else_keeps_a_listener_from_no_others(
    tmp_path: Path, start: Callable[..., Running]
) -> None:
    path = str(tmp_path / "s")
    receiver = start("recv", "--listen", "--all", "--length-prefixed", f"unix:{path}")
    receiver.wait_blocked("poll")
    with unix.Stream.connect(path) as one, unix.Stream.connect(path) as other:
        one.send(b"before", timeout=20)
        assert receiver.process.stdout.read(10) == b"\0\0\0\6before"
        other.write(b"GET / HTTP/1.0\r\n\r\n", timeout=20)
        with pytest.raises((EndOfStreamError, BrokenPeerError)):
            other.receive(timeout=20)
        one.send(b"after", timeout=20)
    status, out, err = receiver.finish()
    assert (status, out) == (0, b"\0\0\0\5after")
    assert "is it length-prefixed?" in err


def test_listening_takes_from_all_who_come(tmp_path: Path, start: Callable[..., Running]) -> None:
    path = str(tmp_path / "s")
    receiver = start("recv", "--listen", "--all", f"unix:{path}")
    receiver.wait_blocked("poll", "ppoll")
    with unix.Stream.connect(path) as one, unix.Stream.connect(path) as two:
        one.write(b"1a\n1")
        assert receiver.line() == b"1a\n"
        two.write(b"2a\n")
        assert receiver.line() == b"2a\n"
        one.write(b"b\n")
        assert receiver.line() == b"1b\n"
    assert receiver.finish()[:2] == (0, b"")
    assert not os.path.lexists(path)


def test_tcp_and_udp(start: Callable[..., Running]) -> None:
    with inet.Stream.listen(("127.0.0.1", 0)) as listener:
        port = listener.address[1]
        sender = start("send", "--length-prefixed", f"tcp:127.0.0.1:{port}", "a\nb", "")
        with listener.accept(timeout=20) as peer:
            assert [peer.receive(20), peer.receive(20)] == [b"a\nb", b""]
        assert sender.finish()[0] == 0
        receiver = start("recv", "--all", f"tcp:127.0.0.1:{port}")
        with listener.accept(timeout=20) as peer:
            peer.write(b"one\ntwo")
        assert receiver.finish()[:2] == (0, b"one\ntwo\n")
    with inet.Datagram.bind(("127.0.0.1", 0)) as socket:
        assert run("send", f"udp:127.0.0.1:{socket.address[1]}", "one", "two")[0] == 0
        assert [socket.receive(20), socket.receive(20)] == [b"one", b"two"]
    receiver = start("recv", "--listen", "tcp:127.0.0.1:0")
    told = receiver.process.stderr.readline().decode()
    address = told.split()[-1]
    assert run("send", address, "here")[0] == 0
    assert receiver.finish()[:2] == (0, b"here\n")


def test_types_of_unix_sockets(tmp_path: Path, start: Callable[..., Running]) -> None:
    for address in (f"unix:{tmp_path}/d", f"unix:@{TAG}-d"):
        name = address.removeprefix("unix:").replace("@", "\0")
        with unix.Datagram.bind(name) as socket:  # found out
            assert run("send", "--null", address, given=b"a\nb\0c")[0] == 0
            assert [socket.receive(20), socket.receive(20)] == [b"a\nb", b"c"]
        receiver = start("recv", "--type", "dgram", "-n", 2, address)
        receiver.wait_blocked("poll", "ppoll")
        with unix.Datagram.connect(name) as socket:
            socket.send(b"one")
            socket.send(b"two")
        assert receiver.finish()[:2] == (0, b"one\ntwo\n")
        receiver = start("recv", "--type", "seqpacket", "--listen", "--all", "--null", address)
        receiver.wait_blocked("poll", "ppoll")
        assert run("send", address, "x\ny", "z")[0] == 0
        assert receiver.finish()[:2] == (0, b"x\ny\0z\0")
    sender = start("send", "--listen", f"unix:{tmp_path}/l", "served")
    sender.wait_blocked("poll", "ppoll")
    assert run("recv", f"unix:{tmp_path}/l")[:2] == (0, b"served\n")
    assert sender.finish()[0] == 0


def test_wrong_usage_is_status_2(tmp_path: Path) -> None:
    for words in (
        ["recv", "nonsense"],
        ["recv", "mq:"],
        ["recv", "mq:/a/b"],
        ["recv", "sysv-mq:x"],
        ["recv", "--type", "x", "sysv-mq:1"],
        ["recv", "--type", "5", f"unix:{tmp_path}/x"],
        ["recv", "tcp:localhost"],
        ["recv", "--timeout", "-1", "mq:/a"],
        ["recv", "-n", "0", "mq:/a"],
        ["recv", "-n", "1", "--all", "mq:/a"],
        ["send", "sync:/a", "x"],
        ["send", "--mode", "8", "mq:/a", "x"],
    ):
        status, out, err = run(*words)
        assert (status, out) == (2, b""), words
        assert err


def test_an_end_that_is_closed_on_the_other_side_is_told(tmp_path: Path, start: Callable[..., Running]) -> None:
    with unix.Stream.listen(str(tmp_path / "s")) as listener:
        sender = start("send", f"unix:{tmp_path}/s")
        sender.process.stdin.write(b"one\n")
        with listener.accept(timeout=20) as peer:
            assert peer.read(timeout=20) == b"one\n"
        status, _, err = sender.finish(b"two\n")
        assert status == 1
        assert "Broken pipe" in err or "Connection reset" in err
    with pytest.raises(NotFoundError):
        unix.Stream.connect(str(tmp_path / "s"))


def test_closed_standard_streams_are_no_descriptors_of_ours() -> None:
    name = f"/{TAG}-closed"
    with MpmcRing.create(name, unlink_on_close=True) as ring:
        ring.send(b"kept")
        assert run_anew("recv", f"ring:{name}", preexec_fn=lambda: os.close(1))[0] == 1
        assert ring.receive(timeout=0) == b"kept"


@pytest.mark.parametrize(
    "words",
    [
        ("recv", "--type", "3"),
        ("recv", "--history", "2"),
        ("recv", "--listen"),
        ("send", "--priority", "2", "--type", "1"),
        ("send", "--listen"),
    ],
    ids=" ".join,
)
@needs_mqueue
def test_an_option_that_means_nothing_there_takes_and_sends_nothing(words: tuple[str, ...]) -> None:
    with MessageQueue.create(unlink_on_close=True) as queue:
        queue.send(b"stays")
        status, out, err = run(*words, f"mq:{queue.name}", *["more"] * (words[0] == "send"))
        assert (status, out) == (2, b"")
        assert "addresses, not for" in err
        assert queue.receive(timeout=0).data == b"stays"
        assert queue.try_receive() is None
