"""FIFOs: opening either end first, ends of the stream, modes, names."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import stat
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipckit._names import unique_name
from ipckit.errors import (
    AccessError,
    AlreadyExistsError,
    BrokenPeerError,
    ClosedError,
    EndOfStreamError,
    NotFoundError,
    TimeoutExpired,
)
from ipckit.fifo import Fifo
from ipckit.pipe import PipeReader
from ipckit.testing import pause, reached, wait_blocked
from tests.nobody import become_nobody

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

SLEEP = ("clock_nanosleep", "select")  # what time.sleep calls; the second is Python 3.10's


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Fifo]:
    with Fifo.create(tmp_path / "fifo") as made:
        yield made


def send_through(fifo: Fifo, *messages: bytes) -> None:
    with fifo, fifo.open_writer(timeout=20) as writer:
        for message in messages:
            writer.send(message)


def receive_all(fifo: Fifo) -> list[bytes]:
    with fifo, fifo.open_reader() as reader:
        return list(reader)


def open_writer_then_wait(fifo: Fifo) -> None:
    with fifo, fifo.open_writer(timeout=20):
        pause("open")


def receive_with_alarm(path: str) -> tuple[bytes, int]:
    ticks: list[int] = []
    signal.signal(signal.SIGUSR1, lambda *_: ticks.append(1))
    with Fifo.open(path) as fifo, fifo.open_writer(timeout=20) as writer:
        writer.send(b"x")
        reached("opened")
    return b"x", len(ticks)


def test_a_reader_waits_for_the_first_writer_and_does_not_see_an_end(fifo: Fifo, spawn: Spawn) -> None:
    with fifo.open_reader() as reader:
        assert reader.try_read() is None
        assert reader.try_receive() is None
        with pytest.raises(TimeoutExpired):
            reader.read(timeout=0.02)
        with pytest.raises(TimeoutExpired):
            reader.readinto(bytearray(4), timeout=0)
        with pytest.raises(TimeoutExpired):
            reader.receive(timeout=0)
        child = spawn(send_through, fifo, b"one", b"two")
        assert [reader.receive(timeout=20), reader.receive(timeout=20)] == [b"one", b"two"]
        assert child.join() == 0
        with pytest.raises(EndOfStreamError):
            reader.receive(timeout=20)


def test_a_blocked_reader_sees_the_end_of_a_writer_that_wrote_nothing(fifo: Fifo, spawn: Spawn) -> None:
    child = spawn(receive_all, fifo)
    child.wait_blocked("poll")
    fifo.open_writer(timeout=20).close()
    assert child.result() == []


def test_data_comes_again_after_an_end_when_a_new_writer_opens(fifo: Fifo) -> None:
    with fifo.open_reader() as reader:
        for data in (b"first", b"second"):
            with fifo.open_writer(timeout=0) as writer:
                writer.write(data)
            assert reader.read(timeout=1) == data
            assert reader.read(timeout=1) == b""
            assert reader.try_read() == b""


def test_a_reader_that_keeps_the_fifo_open_never_sees_an_end(fifo: Fifo) -> None:
    with fifo.open_reader(keep_open=True) as reader:
        for data in (b"first", b"second"):
            with fifo.open_writer(timeout=0) as writer:
                writer.send(data)
            assert reader.receive(timeout=1) == data
            with pytest.raises(TimeoutExpired):
                reader.read(timeout=0)


def test_a_writer_needs_a_reader(fifo: Fifo) -> None:
    with pytest.raises(TimeoutExpired):
        fifo.open_writer(timeout=0)
    started = time.monotonic()
    with pytest.raises(TimeoutExpired):
        fifo.open_writer(timeout=0.12)
    assert time.monotonic() - started >= 0.12
    for bad in (-1, float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            fifo.open_writer(timeout=bad)
        with pytest.raises(ValueError, match="timeout"):
            fifo.open_reader(timeout=bad)


def test_a_waiting_writer_gets_the_reader_that_comes(fifo: Fifo, spawn: Spawn) -> None:
    child = spawn(send_through, fifo, b"waited")
    child.wait_blocked(*SLEEP)
    with fifo.open_reader() as reader:
        assert reader.receive(timeout=20) == b"waited"
    assert child.join() == 0


def test_close_in_another_thread_ends_a_wait_for_a_reader(fifo: Fifo) -> None:
    outcome: list[type] = []

    def wait() -> None:
        try:
            fifo.open_writer()
        except ClosedError as error:
            outcome.append(type(error))

    thread = threading.Thread(target=wait)
    thread.start()
    wait_blocked(os.getpid(), *SLEEP, tid=thread.native_id)
    fifo.close()
    thread.join(10)
    assert outcome == [ClosedError]


def test_a_signal_does_not_end_a_wait_for_a_reader(fifo: Fifo, spawn: Spawn) -> None:
    child = spawn(receive_with_alarm, fifo.name)
    child.wait_blocked(*SLEEP)
    child.send_signal(signal.SIGUSR1)
    child.wait_blocked(*SLEEP)
    with fifo.open_reader() as reader:
        assert reader.receive(timeout=20) == b"x"
    assert child.result() == (b"x", 1)


def test_a_writer_without_readers_is_told(fifo: Fifo) -> None:
    reader = fifo.open_reader()
    with fifo.open_writer(timeout=0) as writer:
        reader.close()
        with pytest.raises(BrokenPeerError):
            writer.write(b"x")
        with pytest.raises(OSError, match="other side has closed"):
            writer.blocking_descriptor()


def test_a_killed_writer_ends_the_stream(fifo: Fifo, spawn: Spawn) -> None:
    with fifo.open_reader() as reader:
        child = spawn(open_writer_then_wait, fifo)
        child.wait_reached("open")
        assert reader.try_read() is None
        child.kill()
        child.join()
        assert reader.read(timeout=10) == b""


def test_two_readers_share_the_data(fifo: Fifo) -> None:
    with fifo.open_reader() as one, fifo.open_reader() as other, fifo.open_writer(timeout=0) as writer:
        writer.write(b"abc")
        assert one.read() == b"abc"
        assert other.try_read() is None


@pytest.mark.parametrize(("mode", "error"), [(600, ValueError), (-1, ValueError), ("600", TypeError)])
def test_a_mode_that_is_no_permission_bits_is_refused(tmp_path: Path, mode: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="mode must be"):
        Fifo.create(tmp_path / "fifo", mode=mode)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o600, 0o666, 0o640])
def test_the_requested_mode_is_what_one_gets(tmp_path: Path, mode: int) -> None:
    previous = os.umask(0o077)
    try:
        with Fifo.create(tmp_path / "fifo", mode=mode):
            assert stat.S_IMODE((tmp_path / "fifo").stat().st_mode) == mode
    finally:
        os.umask(previous)


def test_create_is_exclusive_and_open_needs_one(fifo: Fifo, tmp_path: Path) -> None:
    with pytest.raises(AlreadyExistsError):
        Fifo.create(fifo.name)
    for missing in (tmp_path / "none", tmp_path / "none" / "fifo"):
        with pytest.raises(NotFoundError):
            Fifo.open(missing)
    with pytest.raises(NotFoundError):
        Fifo.create(tmp_path / "none" / "fifo")
    with Fifo.open_or_create(tmp_path / "fifo") as same:
        assert same._identity() == fifo._identity()
    with Fifo.open_or_create(tmp_path / "new", mode=0o640, unlink_on_close=True):
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    assert not (tmp_path / "new").exists()


def test_what_is_no_fifo_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("keep")
    (tmp_path / "directory").mkdir()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
    for name in ("file", "directory", "socket"):
        with pytest.raises(ValueError, match="must be a FIFO"):
            Fifo.open(tmp_path / name)
        with pytest.raises(ValueError, match="must be a FIFO"):
            Fifo.unlink_name(tmp_path / name)
        assert (tmp_path / name).exists()


@pytest.mark.parametrize("bad", ["", "a\0b"])
def test_impossible_paths(bad: str) -> None:
    for call in (Fifo.create, Fifo.open, Fifo.unlink_name):
        with pytest.raises(ValueError, match="path must"):
            call(bad)


@pytest.mark.parametrize("bad", [5, b"bytes"])
def test_paths_of_a_wrong_type(bad: object) -> None:
    with pytest.raises(TypeError, match="path must be a str"):
        Fifo.create(bad)  # type: ignore[arg-type]


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        Fifo.create(tmp_path / ("x" * 256))


def test_unlink_leaves_the_handle_and_its_ends_working(fifo: Fifo) -> None:
    fifo.unlink()
    assert not Path(fifo.name).exists()
    with fifo.open_reader() as reader, fifo.open_writer(timeout=0) as writer:
        writer.send(b"nameless")
        assert reader.receive(0) == b"nameless"
    with pytest.raises(NotFoundError):
        fifo.unlink()
    with pytest.raises(NotFoundError):
        Fifo.unlink_name(fifo.name)


def test_the_handle_means_the_fifo_and_not_whatever_has_its_path_later(fifo: Fifo) -> None:
    fifo.unlink()
    with Fifo.create(fifo.name) as later, later.open_reader(), pytest.raises(TimeoutExpired):
        fifo.open_writer(timeout=0)
    copy = fifo.__reduce__()
    with pytest.raises(NotFoundError, match="belongs to another"):
        copy[0](*copy[1])  # type: ignore[index, operator]


def test_a_handle_is_an_address_that_pickles_at_any_time(fifo: Fifo) -> None:
    with pickle.loads(pickle.dumps(fifo)) as copy:
        assert copy.name == fifo.name
        assert copy._identity() == fifo._identity()


def test_unlink_on_close_is_the_makers_alone(tmp_path: Path) -> None:
    made = Fifo.create(tmp_path / "fifo", unlink_on_close=True)
    pid = os.fork()
    if not pid:
        made.close()
        os._exit(0)
    os.waitpid(pid, 0)
    assert (tmp_path / "fifo").exists()
    made.close()
    made.close()
    assert not (tmp_path / "fifo").exists()


def test_a_name_of_its_own() -> None:
    with Fifo.create(unlink_on_close=True) as one, Fifo.create(unlink_on_close=True) as other:
        assert one.name != other.name
        assert Path(one.name).is_fifo()
        assert one.name in repr(one)
    assert not Path(one.name).exists()
    assert repr(one) == "<Fifo closed>"
    for call in (one.open_reader, one.open_writer, one.__enter__):
        with pytest.raises(ClosedError):
            call()


def test_a_relative_path_survives_a_change_of_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Fifo.create("fifo") as fifo:
        monkeypatch.chdir("/")
        fifo.unlink()
    assert not (tmp_path / "fifo").exists()


def open_as_nobody(path: str) -> str:
    become_nobody()
    with Fifo.open(path) as fifo:
        try:
            fifo.open_reader()
        except AccessError as error:
            return str(error)
    return "no error"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_another_user_needs_the_permission_bits(spawn: Spawn) -> None:
    # not in tmp_path or TMPDIR, whose directories perhaps no other user can search
    with Fifo.create(f"/tmp{unique_name()}", unlink_on_close=True) as fifo:
        assert fifo.name in spawn(open_as_nobody, fifo.name).result()


def test_real_programs_meet_us_by_the_path(fifo: Fifo) -> None:
    with subprocess.Popen(["sh", "-c", 'echo hello > "$0"', fifo.name]), fifo.open_reader() as reader:
        assert reader.read(timeout=20) == b"hello\n"
    with subprocess.Popen(["cat", fifo.name], stdout=subprocess.PIPE) as cat:
        with fifo.open_writer(timeout=20) as writer:
            writer.write(b"to cat")
        assert cat.stdout is not None
        assert cat.stdout.read() == b"to cat"


def taken_over_after_its_writer(fifo: Fifo, data: bytes) -> PipeReader:
    """A reader made of a blocking descriptor, such as a shell gives a program, when its writer has gone already."""
    with fifo.open_reader() as held, fifo.open_writer(0) as writer:
        descriptor = held.blocking_descriptor()
        writer.write(data)
    return PipeReader.from_fd(descriptor)


def read_to_the_end(reader: PipeReader) -> bytes:
    with reader:
        return reader.read(timeout=20) + reader.read(timeout=20)


def test_a_descriptor_taken_over_after_its_writer_went_ends(fifo: Fifo) -> None:
    with taken_over_after_its_writer(fifo, b"left") as reader:
        assert reader.read(timeout=20) == b"left"
        assert reader.try_read() == b""
        assert reader.read(timeout=20) == b""
        assert reader.read(1 << 20, timeout=20) == b""
        assert reader.readinto(bytearray(1 << 20), timeout=20) == 0
        with pytest.raises(EndOfStreamError):
            reader.receive(timeout=20)
        with fifo.open_writer(0) as writer:
            assert reader.try_read() is None
            writer.send(b"one more")
            assert reader.receive(timeout=20) == b"one more"
        assert reader.read(timeout=20) == b""


def test_such_a_descriptor_is_spliced_up_to_its_end(fifo: Fifo) -> None:
    one, other = socket.socketpair()
    with one, other, taken_over_after_its_writer(fifo, b"left") as reader:
        assert reader.splice_to(one, timeout=20) == len(b"left")
        assert other.recv(10) == b"left"


def test_such_a_descriptor_ends_in_a_child_too(fifo: Fifo, spawn: Spawn) -> None:
    with taken_over_after_its_writer(fifo, b"left") as reader:
        assert spawn(read_to_the_end, reader).result() == b"left"
