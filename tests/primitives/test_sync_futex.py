"""sync.Futex: the word, its queue, requeue, waits for any, memory of the user's, other processes."""

from __future__ import annotations

import array
import contextlib
import ctypes
import mmap
import os
import pickle
import platform
import signal
import struct
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ipckit._names import unique_name
from ipckit.errors import ClosedError, LayoutError, NotFoundError, TimeoutExpired, WouldBlockError
from ipckit.posix import SharedMemory
from ipckit.sync import Event, Futex
from ipckit.testing import wait_blocked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

LONG = 20.0
MOST = (1 << 32) - 1
SYS_FUTEX = {"x86_64": 202, "aarch64": 98}
FUTEX_WAKE = 1


@pytest.fixture
def futex() -> Iterator[Futex]:
    with contextlib.closing(Futex.create()) as made:
        yield made


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    with SharedMemory.create(size=4096, unlink_on_close=True) as made:
        yield made


# --- the word ---------------------------------------------------------------------------------------------------------


def test_the_word(futex: Futex) -> None:
    assert futex.load() == 0
    futex.store(MOST)
    assert futex.fetch_add() == MOST
    assert futex.fetch_add(-3) == 0
    assert futex.load() == MOST - 2
    assert futex.exchange(5) == MOST - 2
    assert futex.compare_exchange(6, 7) == (False, 5)
    assert futex.compare_exchange(5, 7).exchanged
    assert futex.load() == 7


@pytest.mark.parametrize("bad", [-1, MOST + 1, 1.0, True, None, "1"])
def test_words_are_32_bits(bad: Any, futex: Futex) -> None:
    expected = ValueError if type(bad) is int else TypeError
    for call in (
        lambda: Futex.create(value=bad),
        lambda: futex.store(bad),
        lambda: futex.exchange(bad),
        lambda: futex.compare_exchange(bad, 0),
        lambda: futex.compare_exchange(0, bad),
        lambda: futex.wait(bad, 0),
        lambda: futex.wait(0, 0, bitset=bad),
        lambda: futex.wake(bad),
        lambda: futex.wake(1, bitset=bad),
        lambda: futex.requeue(bad, futex),
        lambda: Futex.wait_any([(futex, bad)], 0),
    ):
        with pytest.raises(expected, match=r"value|expected|desired|bitset|n must"):
            call()
    with pytest.raises(ValueError, match="bitset"):
        futex.wait(0, 0, bitset=0)
    assert futex.load() == 0


def add(futex: Futex, times: int) -> None:
    for _ in range(times):
        futex.fetch_add(1)


def test_no_addition_is_lost(futex: Futex, spawn: Spawn) -> None:
    child = spawn(add, futex, 5000)
    threads = [threading.Thread(target=add, args=(futex, 5000)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    child.join()
    assert futex.load() == 15000


# --- its queue --------------------------------------------------------------------------------------------------------


def test_another_value_is_no_wait(futex: Futex) -> None:
    assert futex.wait(1) is False
    assert futex.wait(1, timeout=0) is False
    assert futex.wake() == 0
    with pytest.raises(TimeoutExpired):
        futex.wait(0, timeout=0)


class Sleepers:
    """Threads that wait until the word is no longer 0."""

    def __init__(self, futex: Futex, bitsets: list[int]) -> None:
        self.woken: list[int] = []
        self._futex = futex
        self.threads = [threading.Thread(target=self._sleep, args=(bitset,)) for bitset in bitsets]
        for thread in self.threads:
            thread.start()
            assert thread.native_id is not None
            wait_blocked(os.getpid(), "futex", tid=thread.native_id)

    def _sleep(self, bitset: int) -> None:
        assert self._futex.wait(0, LONG, bitset)
        self.woken.append(bitset)

    def join(self) -> None:
        for thread in self.threads:
            thread.join()


def test_a_change_and_a_wake_release_whom_they_should(futex: Futex) -> None:
    sleepers = Sleepers(futex, [Futex.ANY] * 3)
    futex.store(1)
    assert futex.wake(0) == 0
    while len(sleepers.woken) < 3:  # at the end of its slice, a waiter sees the change by itself
        futex.wake(1)
    sleepers.join()
    assert futex.wake(MOST) == 0


def test_the_bitset_chooses(futex: Futex) -> None:
    """Without a change of the word: so a waiter may be between two slices, and is then tried again."""
    sleepers = Sleepers(futex, [1, 2, 4])
    assert futex.wake(9, bitset=8) == 0
    for bitset in (2, 4, 1):
        while bitset not in sleepers.woken:
            assert futex.wake(9, bitset=bitset) <= 1
    sleepers.join()
    assert sleepers.woken == [2, 4, 1]


def test_requeued_waiters_are_woken_there(memory: SharedMemory) -> None:
    with (
        contextlib.closing(Futex.create(within=memory)) as here,
        contextlib.closing(Futex.create(within=memory, offset=4)) as there,
    ):
        with pytest.raises(WouldBlockError, match="the word is not 1") as caught:
            here.requeue(1, there)
        assert isinstance(caught.value, BlockingIOError)
        assert here.requeue(0, there) == 0
        sleepers = Sleepers(here, [Futex.ANY] * 3)
        woken = 0
        while woken < 3:  # whoever is between two slices is in no queue, and comes back
            here.requeue(0, there, wake=0)
            woken += there.wake(MOST)
        sleepers.join()
        assert here.wake(MOST) == there.wake(MOST) == 0


def wait_in_child(futex: Futex) -> bool:
    return futex.wait(0, LONG)


def test_processes_meet_at_a_word(futex: Futex, spawn: Spawn) -> None:
    child = spawn(wait_in_child, futex)
    child.wait_blocked("futex")
    futex.store(1)
    futex.wake()
    assert child.result() is True


def test_a_killed_waiter_is_gone_from_the_queue(futex: Futex, spawn: Spawn) -> None:
    child = spawn(wait_in_child, futex)
    child.wait_blocked("futex")
    child.kill()
    child.join()
    assert futex.wake(MOST) == 0


@pytest.mark.skipif(platform.machine() not in SYS_FUTEX, reason="the number of futex(2) is not known here")
def test_the_system_call_of_another_program_meets_the_word(memory: SharedMemory, spawn: Spawn) -> None:
    with contextlib.closing(Futex.create(within=memory, offset=100)) as futex:
        child = spawn(wait_in_child, futex)
        child.wait_blocked("futex")
        word = ctypes.c_uint32.from_buffer(memory.buf, 100)
        word.value = 1
        libc = ctypes.CDLL(None, use_errno=True)
        woken = libc.syscall(SYS_FUTEX[platform.machine()], ctypes.byref(word), FUTEX_WAKE, 9, None, None, 0)
        assert woken in {0, 1}  # 0: it was between two slices, and sees the change by itself
        assert child.result() is True
        del word


def test_a_signal_handler_may_change_and_wake(futex: Futex) -> None:
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        wait_blocked(os.getpid(), "futex")
        signal.pthread_kill(main, signal.SIGUSR1)

    def handler(*_: object) -> None:
        futex.store(1)
        futex.wake()

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        sender = threading.Thread(target=interrupt)
        sender.start()
        assert futex.wait(0, LONG)
        sender.join()
    finally:
        signal.signal(signal.SIGUSR1, before)


# --- any of several ---------------------------------------------------------------------------------------------------


def words_in(memory: SharedMemory, count: int, stack: contextlib.ExitStack) -> list[Futex]:
    words = [Futex.create(within=memory, offset=4 * index) for index in range(count)]
    for word in words:
        stack.callback(word.close)
    return words


def wait_for_any(words: list[Futex]) -> int:
    return Futex.wait_any([(word, 0) for word in words], LONG)


@pytest.mark.parametrize("count", [1, 3, 128, 300])
def test_any_of_few_and_of_many(count: int, memory: SharedMemory, spawn: Spawn) -> None:
    with contextlib.ExitStack() as stack:
        words = words_in(memory, count, stack)
        with pytest.raises(TimeoutExpired):
            Futex.wait_any([(word, 0) for word in words], 0.001)
        child = spawn(wait_for_any, words)
        child.wait_blocked("futex_waitv", "futex")
        words[-1].store(1)
        words[-1].wake()
        assert child.result() == count - 1
        assert Futex.wait_any([(word, 0) for word in words]) == count - 1
        with pytest.raises(TimeoutExpired):
            Futex.wait_any([(word, 0) for word in words[:-1]] or [(words[0], 1)], timeout=0)


def test_any_of_none_and_of_closed_ones(futex: Futex) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Futex.wait_any([])
    other = Futex.create()
    other.close()
    with pytest.raises(ClosedError):
        Futex.wait_any([(futex, 0), (other, 0)], 0)


def test_closing_one_of_them_ends_the_wait(futex: Futex) -> None:
    other = Futex.create()

    def close_one() -> None:
        wait_blocked(os.getpid(), "futex_waitv", "futex")
        other.close()

    closer = threading.Thread(target=close_one)
    closer.start()
    with pytest.raises(ClosedError):
        Futex.wait_any([(futex, 0), (other, 0)], LONG)
    closer.join()


# --- where it lives ---------------------------------------------------------------------------------------------------


def test_any_four_bytes_are_a_word(memory: SharedMemory) -> None:
    memory.buf[:] = os.urandom(4096)
    for offset in (0, 4, 36, 4092):
        with contextlib.closing(Futex.open(within=memory, offset=offset)) as word:
            assert word.load() == struct.unpack_from("I", memory.buf, offset)[0]
            assert (word.offset, word.SIZE) == (offset, 4)
            before = bytes(memory.buf)
            word.store(7)
            expected = before[:offset] + struct.pack("I", 7) + before[offset + 4 :]
            assert bytes(memory.buf) == expected


@pytest.mark.parametrize(("offset", "error"), [(2, ValueError), (4096, ValueError), (-4, ValueError), (0.0, TypeError)])
def test_bad_places_are_refused(offset: Any, error: type[Exception], memory: SharedMemory) -> None:
    with pytest.raises(error, match="offset"):
        Futex.open(within=memory, offset=offset)


@pytest.mark.parametrize("within", [bytes(8), 5, "text", bytearray(3)])
def test_bad_memory_is_refused(within: Any) -> None:
    with pytest.raises((TypeError, ValueError, BufferError)):
        Futex.open(within=within)
    with pytest.raises(ValueError, match="name"):
        Futex.create("/name", within=within)


def test_memory_of_the_users() -> None:
    with mmap.mmap(-1, 4096) as mapping, contextlib.closing(Futex.create(within=mapping, value=3)) as futex:
        if (pid := os.fork()) == 0:
            os._exit(futex.compare_exchange(3, 4).seen != 3)
        assert os.waitpid(pid, 0)[1] == 0
        assert futex.load() == 4
        with pytest.raises(TypeError):
            pickle.dumps(futex)
        with pytest.raises(BufferError):
            mapping.close()
    with contextlib.closing(Futex.open(within=array.array("I", [9]))) as word:
        assert word.load() == 9


def test_segments_of_their_own(memory: SharedMemory) -> None:
    name = unique_name()
    with contextlib.closing(Event.create(name, unlink_on_close=True)), pytest.raises(LayoutError, match="no Futex"):
        Futex.open(name)
    with pytest.raises(NotFoundError):
        Futex.open(name)
    with contextlib.closing(Futex.create(name, value=8, unlink_on_close=True)) as futex:
        with contextlib.closing(Futex.open_or_create(name, value=9)) as other:
            assert other.load() == 8
            other.store(10)
        assert futex.load() == 10
    with contextlib.closing(Futex.open_or_create(within=memory, offset=8, value=9)) as word:
        assert word.load() == 0  # what is there is the word
