"""Messages written and read where they lie in a ring: reserve, peek, receive_into, and what views of them keep."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import threading
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from ipckit._names import unique_name
from ipckit.errors import (
    BusyError,
    ClosedError,
    EndOfStreamError,
    MessageTooLargeError,
    PeerDiedError,
    TimeoutExpired,
)
from ipckit.ring import Loan, Reservation, SpscRing, _claims
from ipckit.testing import pause
from tests.contract.tools import in_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipckit.testing import Spawn

SMALL = 4096
LARGEST = SMALL - 8


@pytest.fixture(params=["in C", "in Python"])
def claims(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The objects that a lane in C makes, and those for other lanes, and for a Python without a GIL."""
    if request.param == "in Python":
        monkeypatch.setattr(_claims, "_open_claims", _claims._no_claims_in_c)
    elif _claims._open_claims is _claims._no_claims_in_c:
        pytest.skip("this Python has no claims in C")
    return request.param


@pytest.fixture
def ring(claims: str) -> Iterator[SpscRing]:
    with SpscRing.create(capacity=SMALL) as ring:
        yield ring


def test_what_is_written_in_place_is_read_in_place_at_each_offset(ring: SpscRing) -> None:
    for length in (0, 1, 8, 63, 1000, LARGEST):
        for _ in range(SMALL // (length + 8) + 2):  # past the end, so that some of them wrap around
            message = os.urandom(length)
            with ring.reserve(length, timeout=0) as room:
                assert room.buf.nbytes == length
                room.buf[:] = message
            with ring.peek(timeout=0) as loan:
                assert loan.buf.readonly
                assert loan.buf == message
            assert ring.depth == 0


def test_a_lane_in_c_makes_objects_of_the_same_classes(ring: SpscRing, claims: str) -> None:
    with ring.reserve(3) as room:
        assert isinstance(room, Reservation)
    with ring.peek() as loan:
        assert isinstance(loan, Loan)
    for claim, public in ((room, Reservation), (loan, Loan)):
        assert (type(claim) is public) == (claims == "in Python")
        assert (type(claim).__name__, type(claim).__module__) == (public.__name__, public.__module__)
        assert repr(claim).startswith(f"<{public.__name__} of 3 bytes")


def test_nothing_is_seen_before_commit_and_only_so_much_as_it_says(ring: SpscRing) -> None:
    room = ring.reserve(100)
    room.buf[:5] = b"hello"
    assert ring.depth == 0
    assert ring.try_receive() is None
    room.commit(5)
    assert ring.receive(timeout=0) == b"hello"
    assert ring.stat().used == 0


def test_commit_takes_its_length_by_place_or_by_name_and_nothing_else(ring: SpscRing) -> None:
    for how, length in (((), 4), ((None,), 4), ((0,), 0), ((3,), 3)):
        ring.reserve(4).commit(*how)
        assert len(ring.receive(timeout=0)) == length
    for named, length in ((None, 4), (2, 2)):
        ring.reserve(4).commit(length=named)
        assert len(ring.receive(timeout=0)) == length
    with ring.reserve(4) as room:
        with pytest.raises(TypeError, match="commit"):
            room.commit(1, 2)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="commit"):
            room.commit(size=1)  # type: ignore[call-arg]
    assert ring.depth == 1


@pytest.mark.parametrize("length", [-1, 101, True, 5.0, "5"])
def test_commit_of_more_than_was_reserved_is_refused_and_the_room_stays(ring: SpscRing, length: Any) -> None:
    room = ring.reserve(100)
    with pytest.raises((ValueError, TypeError), match="length must be"):
        room.commit(length)
    room.commit()
    assert len(ring.receive(timeout=0)) == 100


def test_abort_and_an_exception_leave_nothing(ring: SpscRing) -> None:
    ring.reserve(100).abort()
    with pytest.raises(ZeroDivisionError), ring.reserve(100) as room:
        room.buf[0] = 1 // 0
    assert (ring.depth, ring.stat().used) == (0, 0)
    ring.send(b"next", timeout=0)
    assert ring.receive(timeout=0) == b"next"


def test_exception_while_peeking_keeps_the_message(ring: SpscRing) -> None:
    ring.send(b"message")
    with pytest.raises(ZeroDivisionError), ring.peek() as loan:
        loan.buf[0] // 0
    assert ring.receive(timeout=0) == b"message"


def test_one_that_was_ended_in_its_block_is_not_ended_again(ring: SpscRing) -> None:
    with ring.reserve(10) as room:
        room.abort()
    with ring.reserve(10) as room:
        room.commit(1)
    with ring.peek() as loan:
        loan.release()
    assert ring.stat().sent == ring.stat().received == 1


def assert_ended(claim: Reservation | Loan, how: str, *ends: Callable[[], object]) -> None:
    uses: list[Callable[[], object]] = [lambda: claim.buf, lambda: claim.view("B")]
    for use in [*uses, *ends, claim.__enter__]:
        with pytest.raises(ClosedError, match=how):
            use()
    assert how in repr(claim)


def test_use_after_the_end_is_closed_error_that_says_how_it_ended(ring: SpscRing) -> None:
    room = ring.reserve(10)
    view = room.buf
    room.commit()
    loan = ring.peek()
    loan.release()
    assert_ended(room, "committed", room.commit, room.abort)
    assert_ended(loan, "released", loan.release)
    with pytest.raises(ValueError, match="released"):
        view[0]


def views(claim: Reservation | Loan) -> list[object]:
    """One of each kind."""
    made: list[object] = [claim.buf[1:], memoryview(claim.buf), claim.buf.cast("b"), claim.view("h"), claim.buf.obj]
    return made if claim.buf.readonly else [*made, claim.structure(ctypes.c_char * 4)]


def arrays(claim: Reservation | Loan) -> list[object]:
    import numpy as np

    made = [np.asarray(claim.buf), claim.array("u1"), claim.array("u1")[2:4], claim.array("<i4", (4, 4))]
    return [*made, np.ndarray(buffer=claim.buf, shape=(8,), dtype="u1"), np.frombuffer(claim.buf, "u1")]


def views_keep_claims(make: Callable[[Reservation | Loan], list[object]]) -> None:
    message = bytes(range(64))
    with SpscRing.create(capacity=SMALL) as ring:
        at = 0
        while True:
            room = ring.reserve(64)
            room.buf[:] = message
            made = make(room)
            if at == len(made):
                break
            kept: object = made[at]
            made.clear()
            gc.collect()
            for end in (room.commit, room.abort, ring.close):
                with pytest.raises(BufferError, match="views"):
                    end()
            assert ring.depth == 0
            with pytest.raises(BusyError):
                ring.send(b"x")
            del kept
            gc.collect()
            room.commit()
            loan = ring.peek()
            made = make(loan)
            if at < len(made):
                kept = made[at]
                made.clear()
                gc.collect()
                for end in (loan.release, ring.close):
                    with pytest.raises(BufferError, match="views"):
                        end()
                assert loan.buf == message
                assert ring.depth == 1
                del kept
            made.clear()
            gc.collect()
            loan.release()
            assert ring.depth == 0
            at += 1
        made.clear()
        room.abort()


@pytest.mark.usefixtures("claims")
def test_views_keep_a_claim_until_they_are_gone() -> None:
    views_keep_claims(views)


def hides_errors(np: Any) -> bool:
    """Whether numpy, as older ones do, says TypeError in place of what a dtype property raises."""
    try:
        np.dtype(type("Fails", (), {"dtype": property(lambda _: 1 / 0)})())
    except ZeroDivisionError:
        return False
    except TypeError:
        return True
    raise AssertionError("numpy takes a dtype property that raises")


def made_of_messages() -> None:
    """Without a `buf` before them: in C the arrays are made of the message itself."""
    import numpy as np

    with SpscRing.create(capacity=SMALL) as ring:
        room = ring.reserve(24)
        array = room.array(np.uint64)
        array[:] = 1, 2, 3
        for end in (room.commit, room.abort, ring.close):
            with pytest.raises(BufferError, match="views"):
                end()
        del array
        room.commit()
        loan = ring.peek()
        array = loan.array(np.uint64)
        assert (array.tolist(), array.shape, array.flags.writeable) == ([1, 2, 3], (3,), False)
        assert loan.array("S5").shape == (4,)  # of 24 bytes
        assert loan.array("(2,)u4").shape == loan.array("(2,)u4", 3).shape == (3, 2)
        assert loan.array(np.uint64, offset=8).tolist() == loan.array(dtype=np.uint64, shape=(2,), offset=8).tolist()
        for wrong, why in (("no such", "data type"), (object, "plain numbers"), ("S0", "plain numbers")):
            with pytest.raises((TypeError, ValueError), match=why):
                loan.array(wrong)
        with pytest.raises(TypeError, match="dtype"):
            loan.array()  # type: ignore[call-arg]
        with pytest.raises(BufferError, match="views"):
            loan.release()
        del array
        loan.release()
        with pytest.raises(ClosedError, match="released"):
            loan.array(np.uint64)
        room = ring.reserve(8)
        ends_it = type("EndsIt", (), {"dtype": property(lambda _: room.commit())})()
        if hides_errors(np):
            with pytest.raises(TypeError, match="data type"):
                room.array(ends_it)
        else:
            with pytest.raises(ClosedError, match="committed"):
                room.array(ends_it)
        assert len(ring.receive(timeout=0)) == 8


def with_numpy(claims: str) -> None:
    import numpy as np

    if claims == "in Python":
        _claims._open_claims = _claims._no_claims_in_c
    views_keep_claims(arrays)
    made_of_messages()
    with SpscRing.create(capacity=SMALL) as ring:
        with ring.reserve(96) as room:
            room.array("<i4", (4, 6))[:] = np.arange(24).reshape(4, 6)
        with ring.peek() as loan:
            array = loan.array("<i4", (4, 6))
            assert array.sum() == 276
            with pytest.raises(ValueError, match="WRITEABLE"):
                array.flags.writeable = True
            del array


@pytest.mark.slow
@pytest.mark.skipif(find_spec("numpy") is None, reason="numpy, of the extra of that name, is not installed")
def test_numpy_arrays_in_place_keep_a_claim(spawn: Spawn, claims: str) -> None:
    spawn(with_numpy, claims).result(timeout=60)  # a child: numpy's libraries start threads that stay


def without_numpy(claims: str) -> None:
    sys.modules["numpy"] = None  # type: ignore[assignment]  # so says the reference of the import system
    if claims == "in Python":
        _claims._open_claims = _claims._no_claims_in_c
    with SpscRing.create(capacity=SMALL) as ring, ring.reserve(8) as room:
        for _ in range(2):
            with pytest.raises(ImportError, match=r"ipckit\[numpy\]"):
                room.array("u1")


@pytest.mark.slow
def test_without_numpy_it_is_said_what_to_install(spawn: Spawn, claims: str) -> None:
    spawn(without_numpy, claims).result(timeout=60)


def test_loan_cannot_be_written(ring: SpscRing) -> None:
    ring.send(bytes(8))
    with ring.peek() as loan:
        with pytest.raises(TypeError):
            loan.buf[0] = 1
        with pytest.raises(TypeError, match="from_buffer_copy"):
            loan.structure(ctypes.c_char * 4)


def test_collected_without_end_it_is_undone_with_a_warning(ring: SpscRing) -> None:
    with pytest.warns(ResourceWarning, match="Reservation of 10 bytes"):
        ring.reserve(10)
    assert ring.depth == 0
    ring.send(b"kept")
    with pytest.warns(ResourceWarning, match="Loan of 4 bytes"):
        ring.peek()
    assert ring.receive(timeout=0) == b"kept"


def test_collected_or_left_by_an_exception_it_lives_as_long_as_its_views(ring: SpscRing) -> None:
    ring.send(b"kept")
    with pytest.raises(ZeroDivisionError), ring.reserve(8) as room:
        written = room.buf[2:]
        raise ZeroDivisionError
    loan = ring.peek()
    read = loan.buf[1:]
    with pytest.warns(ResourceWarning, match="Loan of 4 bytes"):
        del loan
    with pytest.raises(BusyError):
        ring.send(b"not yet")
    with pytest.raises(BusyError):
        ring.receive()
    with pytest.raises(BufferError):
        ring.close()
    written[0] = 1
    assert read == b"ept"
    del written, read, room
    ring.send(b"now")
    assert ring.receive_many(2) == [b"kept", b"now"]


@pytest.mark.usefixtures("claims")
def test_close_of_the_ring_undoes_what_has_no_views() -> None:
    name = unique_name()
    with SpscRing.create(name, capacity=SMALL, unlink_on_close=True) as keeper:
        ring = SpscRing.open(name)
        ring.send(b"message")
        room, loan = ring.reserve(10), ring.peek()
        ring.close()
        for use in (room.commit, loan.release, lambda: room.buf, lambda: loan.buf):
            with pytest.raises(ClosedError, match="its ring was closed"):
                use()
        with pytest.raises(ClosedError):
            loan.__exit__(None, None, None)
        assert (keeper.depth, keeper.producers, keeper.consumers) == (1, 0, 0)
        assert keeper.receive(timeout=0) == b"message"
        with pytest.raises(EndOfStreamError):
            keeper.receive()


def test_one_claim_at_a_time_on_each_side(ring: SpscRing) -> None:
    ring.send(b"message")
    with ring.reserve(10), ring.peek():
        for call in (lambda: ring.reserve(1), lambda: ring.send(b"x"), lambda: ring.try_send(b"x"), ring.peek):
            with pytest.raises(BusyError):
                call()
        for call in (ring.receive, ring.try_receive, lambda: ring.receive_into(bytearray(10))):
            with pytest.raises(BusyError):
                call()
    assert ring.depth == 1


def test_reserve_waits_for_room_and_peek_for_a_message(ring: SpscRing) -> None:
    with pytest.raises(TimeoutExpired):
        ring.peek(timeout=0)
    with pytest.raises(TimeoutExpired):
        ring.peek(timeout=0.01)
    ring.send(bytes(LARGEST))
    for timeout in (0, 0.01):
        with pytest.raises(TimeoutExpired):
            ring.reserve(1, timeout=timeout)
    thread = threading.Thread(target=lambda: ring.reserve(LARGEST, timeout=20).commit())
    thread.start()
    for _ in range(2):
        with ring.peek(timeout=20) as loan:
            assert loan.buf.nbytes == LARGEST
    thread.join()


@pytest.mark.parametrize(("n", "error"), [(-1, ValueError), (True, TypeError), (1.0, TypeError), (None, TypeError)])
def test_reserve_of_what_is_no_length_is_refused(ring: SpscRing, n: Any, error: type) -> None:
    with pytest.raises(error, match="n must be"):
        ring.reserve(n)


@pytest.mark.parametrize("n", [LARGEST + 1, 1 << 40])
def test_reserve_of_more_than_the_ring_holds_is_refused_with_both_sizes(ring: SpscRing, n: int) -> None:
    with pytest.raises(MessageTooLargeError, match=rf"{n} bytes.*at most {LARGEST}"):
        ring.reserve(n)


@pytest.mark.parametrize("timeout", [-1, float("nan"), True, "1"])
def test_timeouts_are_checked_before_anything_happens(ring: SpscRing, timeout: Any) -> None:
    ring.send(b"message")
    for call in (lambda: ring.reserve(1, timeout), lambda: ring.peek(timeout)):
        with pytest.raises((ValueError, TypeError), match="timeout must be"):
            call()
    with pytest.raises((ValueError, TypeError), match="timeout must be"):
        ring.receive_into(bytearray(10), timeout)
    assert ring.depth == 1


@pytest.mark.parametrize("size", [0, 1, 100, LARGEST])
def test_receive_into_fills_a_buffer_and_says_how_far(ring: SpscRing, size: int) -> None:
    message = os.urandom(size)
    for buffer in (bytearray(size), bytearray(size + 9), memoryview(bytearray(size + 1))):
        ring.send(message)
        assert ring.receive_into(buffer, timeout=0) == size
        assert buffer[:size] == message
    with pytest.raises(TimeoutExpired):
        ring.receive_into(bytearray(10), timeout=0.001)


def test_receive_into_without_the_gil() -> None:
    message = os.urandom(300_000)
    with SpscRing.create(capacity=1 << 19) as ring:
        buffer = bytearray(299_999)
        ring.send(message)
        with pytest.raises(MessageTooLargeError, match="300000 bytes, and the buffer 299999"):
            ring.receive_into(buffer)
        buffer += b"x"
        assert ring.receive_into(buffer) == 300_000
        assert buffer == message


def test_receive_into_a_short_buffer_keeps_the_message(ring: SpscRing) -> None:
    ring.send(b"message")
    with pytest.raises(MessageTooLargeError, match="the message has 7 bytes, and the buffer 6"):
        ring.receive_into(bytearray(6))
    assert ring.receive(timeout=0) == b"message"


@pytest.mark.parametrize("buffer", [b"read-only", memoryview(bytearray(8))[::2]])
def test_receive_into_what_cannot_be_filled_is_a_value_error(ring: SpscRing, buffer: Any) -> None:
    ring.send(b"1")
    with pytest.raises(ValueError, match="writable and C-contiguous"):
        ring.receive_into(buffer)
    assert ring.depth == 1


def test_child_of_a_fork_has_none_of_the_claims(ring: SpscRing) -> None:
    ring.send(b"message")
    room, loan = ring.reserve(10), ring.peek()

    def child() -> None:
        for use in (room.commit, room.abort, loan.release, lambda: room.buf, lambda: loan.buf):
            with pytest.raises(ClosedError, match="forked"):
                use()
        loan.__exit__(ValueError, None, None)
        with pytest.raises(BusyError):
            ring.reserve(1)
        ring.close()

    in_fork(child)
    room.commit()
    loan.release()
    assert ring.depth == 1


def reserve_and_stay(ring: SpscRing) -> None:
    room = ring.reserve(100)
    room.buf[:] = bytes(100)
    pause("reserved")
    room.commit()


def peek_and_stay(ring: SpscRing) -> None:
    loan = ring.peek(timeout=20)
    pause("peeked")
    loan.release()


@pytest.mark.slow
def test_a_killed_producer_leaves_no_reservation_and_a_killed_consumer_its_message(spawn: Spawn) -> None:
    with SpscRing.create(capacity=SMALL) as ring:
        producer = spawn(reserve_and_stay, ring)
        producer.wait_reached("reserved")
        assert (ring.producers, ring.consumers) == (1, 0)
        producer.kill()
        with pytest.raises(PeerDiedError):
            ring.receive(timeout=20)
        ring.close()
    with SpscRing.create(capacity=SMALL) as ring:
        ring.send(b"message")
        consumer = spawn(peek_and_stay, ring)
        consumer.wait_reached("peeked")
        assert (ring.producers, ring.consumers, ring.depth) == (1, 1, 1)
        consumer.kill()
        consumer.join()
        assert ring.receive(timeout=20) == b"message"
        assert ring.stat().recoveries == 1


class Interruption(Exception):
    pass


def interrupt(_number: int, _frame: object) -> None:
    raise Interruption


@pytest.mark.skipif(
    find_spec("ipckit._lane") is None, reason="calls on cffi are several, and a handler may raise between"
)
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_handler_that_raises_anywhere_leaves_no_claim(ring: SpscRing) -> None:
    def cycle() -> None:
        room = ring.reserve(8)
        room.buf[:] = b"12345678"
        room.commit()
        loan = ring.peek()
        assert loan.buf == b"12345678"
        loan.release()

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for tenths in range(500):
            with suppress(Interruption):
                signal.setitimer(signal.ITIMER_REAL, 2e-5 + tenths * 2e-7)
                for _ in range(100):  # it may come while a claim is collected, where Python ignores exceptions
                    cycle()
                signal.setitimer(signal.ITIMER_REAL, 0)
            while ring.try_receive() is not None:
                pass
            ring.reserve(8, timeout=0).abort()
    finally:
        signal.signal(signal.SIGALRM, before)
