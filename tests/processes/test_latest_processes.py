"""Latest between processes: killed, stopped and forked writers and readers, signals, travelling handles."""

from __future__ import annotations

import array
import multiprocessing
import os
import signal
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import Latest
from ipckit.errors import BusyError, EndOfStreamError, PeerDiedError, TimeoutExpired
from ipckit.testing import reached

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.testing import Child

    Spawn = Callable[..., Child]

SIZE = 256


def compose(number: int) -> bytes:
    return number.to_bytes(8, "little") * (1 + number % (SIZE // 8))


def check(content: bytes) -> int:
    number = int.from_bytes(content[:8], "little")
    assert content == compose(number)
    return number


def write_for_ever(handle: Latest) -> None:
    number = handle.stat().sent
    while True:
        number += 1
        handle.send(compose(number))


def write_and_reserve(handle: Latest) -> None:
    handle.send(compose(1))
    room = handle.reserve(SIZE)
    room.buf[:] = bytes(SIZE)
    reached("reserved")
    signal.pause()


def read_to_the_end(handle: Latest) -> int:
    last = 0
    for content in handle:
        assert check(content) > last
        last = check(content)
    return last


def receive_one(handle: Latest) -> bytes:
    handle.set_spin(0)
    return handle.receive()


def interrupted(handle: Latest) -> str:
    def handler(*_: Any) -> None:
        raise KeyError("raised by the handler")

    handle.set_spin(0)
    signal.signal(signal.SIGUSR1, handler)
    signal.signal(signal.SIGUSR2, lambda *_: None)
    reached("ready")
    try:
        handle.receive()
    except KeyError:
        return "ended"
    return "went on"


def wait_for_ctrl_c(handle: Latest) -> str:
    handle.set_spin(0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        handle.receive()
    except KeyboardInterrupt:
        return "interrupted"
    return "went on"


def test_writer_killed_again_and_again_leaves_whole_values(spawn: Spawn) -> None:
    with Latest.create(max_size=SIZE, buffers=2) as handle:
        last = 0
        for _ in range(3):
            child = spawn(write_for_ever, handle)
            received = 0
            while received < 300:
                try:
                    number = check(handle.receive(timeout=10))
                except PeerDiedError:  # of the one before, until this one begins
                    continue
                assert number > last
                last = number
                received += 1
            child.kill()
            with pytest.raises(PeerDiedError):
                while True:
                    last = check(handle.receive(timeout=10))
            assert check(handle.read() or b"") == last == handle.stat().sent
        assert handle.stat().recoveries == 2
        assert handle.producers == 0


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_writer_killed_or_stopped_amid_a_value(spawn: Spawn, end: signal.Signals) -> None:
    with Latest.create(max_size=SIZE, buffers=2) as handle:
        child = spawn(write_and_reserve, handle)
        child.wait_reached("reserved")
        assert check(handle.receive(timeout=10)) == 1
        if end == signal.SIGSTOP:
            child.send_signal(end)
            with pytest.raises(TimeoutExpired):
                handle.receive(timeout=0.06)
            with pytest.raises(BusyError):
                handle.send(b"not mine to write")
        child.kill()
        with pytest.raises(PeerDiedError, match="the writer of"):
            handle.receive(timeout=10)
        with pytest.raises(PeerDiedError):
            handle.try_receive()
        assert check(handle.read() or b"") == 1
        handle.send(compose(2))
        assert check(handle.receive()) == 2


def test_reader_killed_or_stopped_is_nothing_to_the_writer(spawn: Spawn) -> None:
    with Latest.create(max_size=SIZE) as handle:
        readers = [spawn(receive_one, handle) for _ in range(2)]
        for reader in readers:
            reader.wait_blocked("futex")
        readers[0].kill()
        readers[1].send_signal(signal.SIGSTOP)
        for number in range(1, 1000):
            handle.send(compose(number))
        assert handle.stat().wakes <= 2
        readers[1].send_signal(signal.SIGCONT)
        assert check(readers[1].result()) >= 1


def test_many_readers_each_see_whole_values_in_order_until_the_end(spawn: Spawn) -> None:
    with Latest.create(max_size=SIZE) as handle:
        readers = [spawn(read_to_the_end, handle) for _ in range(3)]
        for number in range(1, 20_001):
            handle.send(compose(number))
        handle.close()
        assert [reader.result() for reader in readers] == [20_000] * 3


def test_handler_that_returns_lets_the_wait_go_on_and_one_that_raises_ends_it(spawn: Spawn) -> None:
    with Latest.create(max_size=SIZE) as handle:
        child = spawn(interrupted, handle)
        child.wait_reached("ready")
        child.wait_blocked("futex")
        child.send_signal(signal.SIGUSR2)
        child.wait_blocked("futex")
        child.send_signal(signal.SIGUSR1)
        assert child.result() == "ended"


def test_ctrl_c_ends_the_wait(spawn: Spawn) -> None:
    with Latest.create(max_size=SIZE) as handle:
        child = spawn(wait_for_ctrl_c, handle)
        child.wait_blocked("futex")
        child.send_signal(signal.SIGINT)
        assert child.result() == "interrupted"


def test_forked_child_reads_and_the_role_stays_the_parents() -> None:
    with Latest.create(max_size=SIZE) as handle:
        handle.send(b"parent's")
        room = handle.reserve(8)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                busy = False
                try:
                    handle.send(b"child's")
                except BusyError:
                    busy = True
                status = 0 if busy and handle.read() == b"parent's" else 2
                handle.close()
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        room.buf[:] = b"in place"
        room.commit()
        assert (handle.receive(), handle.producers) == (b"in place", 1)


def write_arrays(handle: Latest) -> None:
    import numpy as np

    for factor in range(6):
        with handle.reserve(800) as room:
            np.multiply(np.arange(100), factor, out=room.array("i8"))


@pytest.mark.skipif(find_spec("numpy") is None, reason="numpy, of the extra of that name, is not installed")
def test_numpy_arrays_are_written_in_place(spawn: Spawn) -> None:
    with Latest.create(max_size=800) as handle:
        spawn(write_arrays, handle).result()
        assert handle.read() == array.array("q", [5 * i for i in range(100)]).tobytes()
        assert handle.stat().sent == 6


def echo(handle: Latest, back: Latest) -> None:
    back.send(handle.receive(timeout=20))
    back.close()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_anonymous_one_travels_to_multiprocessing_children(method: str) -> None:
    with Latest.create(max_size=SIZE) as there, Latest.create(max_size=SIZE) as back:
        there.send(b"over there")
        process = multiprocessing.get_context(method).Process(target=echo, args=(there, back))  # type: ignore[attr-defined]
        process.start()
        assert back.receive(timeout=20) == b"over there"
        with pytest.raises(EndOfStreamError):
            back.receive(timeout=20)
        process.join()
