"""posix.Semaphore: tokens, waits, death, names, modes, other programs."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import posix_ipc
import pytest

from ipckit._native import ffi, lib
from ipckit.errors import AccessError, AlreadyExistsError, ClosedError, LayoutError, NotFoundError, SyscallError
from ipckit.posix import Semaphore
from ipckit.testing import pause, reached, wait_blocked
from tests.contract.tools import when_main_thread_blocks
from tests.nobody import become_nobody

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipckit.testing import Spawn

TAKEN = ffi.new("uint32_t *")  # for the C core to note that it took a token
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def semaphore() -> Iterator[Semaphore]:
    with contextlib.closing(Semaphore.create(unlink_on_close=True)) as made:
        yield made


def file_of(name: str) -> str:
    return f"/dev/shm/sem.{name[1:]}"


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_the_value_never_falls_below_zero(semaphore: Semaphore) -> None:
    assert semaphore.value == 0
    assert semaphore.try_acquire() is False
    assert semaphore.acquire(blocking=False) is False
    assert semaphore.acquire(timeout=0) is False
    assert semaphore.value == 0
    semaphore.release()
    assert semaphore.value == 1
    assert semaphore.acquire() is True
    assert semaphore.value == 0


def test_release_many(semaphore: Semaphore) -> None:
    semaphore.release(3)
    semaphore.release(n=10_000)
    assert semaphore.value == 10_003


@pytest.mark.parametrize("n", [0, -1, 1 << 31])
def test_release_takes_one_or_more(semaphore: Semaphore, n: int) -> None:
    with pytest.raises(ValueError, match="n must be"):
        semaphore.release(n)
    assert semaphore.value == 0


def test_release_takes_an_int(semaphore: Semaphore) -> None:
    for wrong in (1.5, "1", None):
        with pytest.raises(TypeError, match="n must be"):
            semaphore.release(wrong)
    assert semaphore.value == 0


def test_with_acquires_and_releases() -> None:
    with contextlib.closing(Semaphore.create(value=1, unlink_on_close=True)) as semaphore:
        with semaphore as same:
            assert same is semaphore
            assert semaphore.value == 0
        assert semaphore.value == 1
        with pytest.raises(KeyError), semaphore:
            raise KeyError
        assert semaphore.value == 1
        assert not semaphore.closed


def test_too_many_tokens_are_an_error_and_change_nothing() -> None:
    top = (1 << 31) - 1
    with contextlib.closing(Semaphore.create(value=top, unlink_on_close=True)) as semaphore:
        with pytest.raises(SyscallError, match="sem_post: Value too large"):
            semaphore.release()
        with semaphore, pytest.raises(SyscallError, match="sem_post"):
            semaphore.release(2)
        assert semaphore.value == top


@pytest.mark.parametrize("value", [-1, 1 << 31])
def test_values_out_of_range(value: int) -> None:
    with pytest.raises(ValueError, match="value must be 0 to 2147483647"):
        Semaphore.create(value=value)


@pytest.mark.parametrize("value", [True, 1.0, "1", None])
def test_values_of_a_wrong_type(value: object) -> None:
    with pytest.raises(TypeError, match="value"):
        Semaphore.create(value=value)


# --- timeouts ---------------------------------------------------------------------------------------------------


def test_a_timeout_is_waited_for(semaphore: Semaphore) -> None:
    start = time.monotonic()
    assert semaphore.acquire(timeout=0.12) is False
    assert time.monotonic() - start >= 0.12
    assert semaphore.acquire(True, 0.001) is False


def test_a_free_token_is_taken_whatever_the_deadline(semaphore: Semaphore) -> None:
    semaphore.release(5)
    assert semaphore.acquire(timeout=0)
    assert semaphore.acquire(timeout=1e-12)
    assert semaphore.acquire(timeout=float("inf"))
    assert semaphore.acquire(timeout=1e300)
    assert semaphore.acquire(timeout=3)
    assert lib.ipk_posix_sem_wait(semaphore._sem, 0, TAKEN) == -110


@pytest.mark.parametrize("bad", [-1, -0.001, float("nan"), float("-inf")])
@pytest.mark.parametrize("tokens", [0, 1])
def test_bad_timeouts(semaphore: Semaphore, bad: float, tokens: int) -> None:
    if tokens:
        semaphore.release()
    with pytest.raises(ValueError, match="timeout"):
        semaphore.acquire(timeout=bad)
    assert semaphore.value == tokens


@pytest.mark.parametrize("wrong", [True, "1", 1j])
def test_a_timeout_is_a_number(semaphore: Semaphore, wrong: object) -> None:
    semaphore.release()
    with pytest.raises(TypeError, match="timeout"):
        semaphore.acquire(timeout=wrong)
    assert semaphore.value == 1


def test_no_timeout_without_blocking(semaphore: Semaphore) -> None:
    semaphore.release()
    with pytest.raises(ValueError, match="timeout"):
        semaphore.acquire(blocking=False, timeout=1)
    assert semaphore.value == 1


def test_the_deadline_is_on_the_monotonic_clock(semaphore: Semaphore) -> None:
    # A deadline near the boot is long past on the monotonic clock; one at today's date is years ahead of it.
    start = time.monotonic_ns()
    assert lib.ipk_posix_sem_wait(semaphore._sem, 1, TAKEN) == -110
    assert lib.ipk_posix_sem_wait(semaphore._sem, start + 30_000_000, TAKEN) == -110
    assert time.monotonic_ns() >= start + 30_000_000


# --- waits: other processes, signals, close --------------------------------------------------------------------------


def acquire_then_release(semaphore: Semaphore, other: Semaphore) -> None:
    semaphore.acquire()
    other.release()


def hold_forever(name: str) -> None:
    with Semaphore.open(name):
        reached("holding")
        pause("never")


def wait_with(name: str) -> str:
    with Semaphore.open(name):
        return "entered"


def test_a_release_wakes_a_blocked_process(semaphore: Semaphore, spawn: Spawn) -> None:
    with contextlib.closing(Semaphore.create(unlink_on_close=True)) as done:
        peer = spawn(acquire_then_release, semaphore, done)
        peer.wait_blocked("futex")
        semaphore.release()
        assert done.acquire(timeout=20)
        peer.result()


def test_with_waits(semaphore: Semaphore, spawn: Spawn) -> None:
    peer = spawn(wait_with, semaphore.name)
    peer.wait_blocked("futex")
    semaphore.release()
    assert peer.result() == "entered"
    assert semaphore.value == 1


def test_a_killed_holder_never_gives_its_token_back(spawn: Spawn) -> None:
    with contextlib.closing(Semaphore.create(value=1, unlink_on_close=True)) as semaphore:
        holder = spawn(hold_forever, semaphore.name)
        holder.wait_reached("holding")
        holder.kill()
        assert holder.join() == -signal.SIGKILL
        assert semaphore.acquire(timeout=0.05) is False


def test_a_killed_waiter_takes_no_token(semaphore: Semaphore, spawn: Spawn) -> None:
    victim = spawn(wait_with, semaphore.name)
    victim.wait_blocked("futex")
    victim.kill()
    victim.join()
    semaphore.release()
    assert semaphore.acquire(timeout=0)


def wait_through_signals(name: str, timeout: float) -> tuple[int, bool, float]:
    ran = []
    signal.signal(signal.SIGALRM, lambda *_: ran.append(1))
    with contextlib.closing(Semaphore.open(name)) as semaphore:
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)  # a wait that began anew each time would never end
        start = time.monotonic()
        got = semaphore.acquire(timeout=timeout)
        waited = time.monotonic() - start
        signal.setitimer(signal.ITIMER_REAL, 0)
        return len(ran), got, waited


@pytest.mark.slow
def test_a_handler_runs_and_the_wait_goes_on_with_what_is_left(semaphore: Semaphore, spawn: Spawn) -> None:
    ran, got, waited = spawn(wait_through_signals, semaphore.name, 0.3).result()
    assert ran >= 1
    assert got is False
    assert waited >= 0.3


def release_in_a_handler(name: str) -> int:
    with contextlib.closing(Semaphore.open(name)) as semaphore:
        signal.signal(signal.SIGUSR1, lambda *_: semaphore.release(2))
        reached("waiting")
        semaphore.acquire()
        return semaphore.value


def test_a_handler_may_release_what_the_interrupted_wait_is_after(semaphore: Semaphore, spawn: Spawn) -> None:
    peer = spawn(release_in_a_handler, semaphore.name)
    peer.wait_reached("waiting")
    peer.wait_blocked("futex")
    peer.send_signal(signal.SIGUSR1)
    assert peer.result() == 1


class HandlerError(Exception):
    pass


def raise_handler_error(*_: object) -> None:
    raise HandlerError


def wait_until_a_handler_raises(name: str) -> str:
    signal.signal(signal.SIGUSR1, raise_handler_error)
    with contextlib.closing(Semaphore.open(name)) as semaphore:
        reached("waiting")
        try:
            semaphore.acquire()
        except (HandlerError, KeyboardInterrupt) as error:
            return type(error).__name__
    return "returned"


@pytest.mark.parametrize(
    ("signum", "expected"), [(signal.SIGUSR1, "HandlerError"), (signal.SIGINT, "KeyboardInterrupt")]
)
def test_a_handler_that_raises_ends_the_wait(semaphore: Semaphore, spawn: Spawn, signum: int, expected: str) -> None:
    peer = spawn(wait_until_a_handler_raises, semaphore.name)
    peer.wait_reached("waiting")
    peer.wait_blocked("futex")
    peer.send_signal(signum)
    assert peer.result() == expected
    semaphore.release()
    assert semaphore.try_acquire()


@pytest.mark.parametrize(
    "take",
    [Semaphore.acquire, lambda semaphore: semaphore.acquire(timeout=30), Semaphore.__enter__],
    ids=["acquire", "timed", "with"],
)
def test_a_handler_that_raises_when_the_token_has_come_takes_none(
    semaphore: Semaphore, take: Callable[[Semaphore], object]
) -> None:
    """The signal goes to another thread: it does not end the wait, and its handler runs when that has its token."""

    def signal_and_release() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        semaphore.release()

    before = signal.signal(signal.SIGUSR1, raise_handler_error)
    try:
        for _ in range(3):
            releasing = when_main_thread_blocks(("futex",), signal_and_release)
            with pytest.raises(HandlerError):
                take(semaphore)
            releasing.join()
            assert semaphore.value == 1
            assert semaphore.try_acquire()
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("size", [0, 1])
def test_a_file_that_is_too_short_is_no_semaphore(size: int) -> None:
    name = f"/short-{os.getpid()}"
    path = Path(file_of(name))
    path.write_bytes(bytes(size))
    try:
        with pytest.raises(LayoutError, match=f"has {size} bytes"):
            Semaphore.open(name)
    finally:
        path.unlink()


def test_close_ends_a_wait_in_another_thread(semaphore: Semaphore) -> None:
    handle = Semaphore.open(semaphore.name)
    caught: list[BaseException] = []
    tids: list[int] = []
    started = threading.Event()

    def wait() -> None:
        tids.append(threading.get_native_id())
        started.set()
        try:
            handle.acquire()
        except ClosedError as error:
            caught.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    started.wait()
    wait_blocked(os.getpid(), "futex", tid=tids[0])
    handle.close()
    thread.join(10)
    assert [type(error) for error in caught] == [ClosedError]


def test_threads_share_a_handle(semaphore: Semaphore) -> None:
    taken: list[bool] = []

    def take() -> None:
        taken.extend(semaphore.acquire(timeout=20) for _ in range(200))

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(300):
        semaphore.release(2)
    for thread in threads:
        thread.join()
    assert taken == [True] * 600
    assert semaphore.value == 0


def test_a_forked_child_uses_the_same_semaphore(semaphore: Semaphore) -> None:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            semaphore.release()
            semaphore.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert semaphore.acquire(timeout=0)
    Semaphore.open(semaphore.name).close()  # the child unlinked nothing


# --- names and life cycle --------------------------------------------------------------------------------------------


def test_create_is_exclusive_and_open_is_not(semaphore: Semaphore) -> None:
    with pytest.raises(AlreadyExistsError, match=semaphore.name):
        Semaphore.create(semaphore.name, value=5)
    with pytest.raises(NotFoundError, match=r"sem_open: No such file.*'/ipckit-none'"):
        Semaphore.open("/ipckit-none")


def test_open_or_create_ignores_the_arguments_of_create_for_what_exists(semaphore: Semaphore) -> None:
    with contextlib.closing(Semaphore.open_or_create(semaphore.name, value=5, mode=0o644)) as other:
        assert other.value == 0
        assert os.stat(file_of(semaphore.name)).st_mode & 0o777 == 0o600
    new = Semaphore.open_or_create(semaphore.name + "-new", value=5, unlink_on_close=True)
    assert new.value == 5
    new.close()


def test_handles_outlive_the_name_and_a_new_one_is_another(semaphore: Semaphore) -> None:
    with contextlib.closing(Semaphore.create(value=1)) as unlinked:
        other = Semaphore.open(unlinked.name)
        unlinked.unlink()
        with pytest.raises(NotFoundError, match="sem_unlink"):
            unlinked.unlink()
        new = Semaphore.create(unlinked.name, value=7, unlink_on_close=True)
        assert other.acquire(timeout=0)
        assert (unlinked.value, new.value) == (0, 7)
        other.close()
        new.close()


def test_handles_of_one_semaphore_are_closed_one_by_one(semaphore: Semaphore) -> None:
    first, second = Semaphore.open(semaphore.name), Semaphore.open(semaphore.name)
    assert first._sem == second._sem  # glibc maps it once
    first.close()
    second.release()
    assert semaphore.acquire(timeout=0)
    second.close()


@pytest.mark.parametrize("name", ["", "x", "/", "/a/b", "/a\0b", "/.", "/..", "/" + "n" * 252])
def test_bad_names(name: str) -> None:
    for verb in (Semaphore.create, Semaphore.open, Semaphore.unlink_name):
        with pytest.raises(ValueError, match="name"):
            verb(name)


def test_the_longest_name() -> None:
    Semaphore.create(f"/{os.getpid()}".ljust(252, "n"), unlink_on_close=True).close()


@pytest.mark.parametrize("mode", [0o600, 0o666, 0o640, 0o000])
def test_the_mode_is_exact_whatever_the_umask(mode: int) -> None:
    old = os.umask(0o777)
    try:
        with contextlib.closing(Semaphore.create(mode=mode, value=1, unlink_on_close=True)) as semaphore:
            assert os.stat(file_of(semaphore.name)).st_mode & 0o777 == mode
            assert semaphore.acquire(timeout=0)
    finally:
        os.umask(old)


@pytest.mark.parametrize("mode", [-1, 0o1777])
def test_bad_modes(mode: int) -> None:
    with pytest.raises(ValueError, match="mode"):
        Semaphore.create(mode=mode)


def test_everything_is_closed_after_close() -> None:
    semaphore = Semaphore.create(value=1, unlink_on_close=True)
    semaphore.close()
    semaphore.close()
    assert repr(semaphore) == "<Semaphore closed>"
    for use in (
        semaphore.acquire,
        semaphore.try_acquire,
        lambda: semaphore.acquire(timeout=1.0),
        semaphore.release,
        lambda: semaphore.release(2),
        lambda: semaphore.value,
        semaphore.__enter__,
        lambda: pickle.dumps(semaphore),
    ):
        with pytest.raises(ClosedError):
            use()


def test_the_core_refuses_a_closed_semaphore() -> None:
    for function in (
        lib.ipk_posix_sem_trywait,
        lib.ipk_posix_sem_post,
        lib.ipk_posix_sem_value,
        lib.ipk_posix_sem_close,
    ):
        assert function(ffi.NULL) == -9
    assert lib.ipk_posix_sem_wait(ffi.NULL, 0, TAKEN) == -9


def test_repr(semaphore: Semaphore) -> None:
    assert repr(semaphore) == f"<Semaphore {semaphore.name!r}>"


def test_a_pickle_does_not_open_another_semaphore_of_that_name() -> None:
    with contextlib.closing(Semaphore.create()) as semaphore:
        packed = pickle.dumps(semaphore)
        semaphore.unlink()
        with pytest.raises(NotFoundError):
            pickle.loads(packed)
        with (
            contextlib.closing(Semaphore.create(semaphore.name, unlink_on_close=True)),
            pytest.raises(NotFoundError, match="belongs to another"),
        ):
            pickle.loads(packed)


def test_other_programs_use_the_same_semaphore(semaphore: Semaphore) -> None:
    foreign = posix_ipc.Semaphore(semaphore.name)
    foreign.release()
    assert semaphore.acquire(timeout=0)
    semaphore.release()
    foreign.acquire(0)
    foreign.close()
    theirs = posix_ipc.Semaphore(semaphore.name + "-x", posix_ipc.O_CREX, initial_value=3)
    with contextlib.closing(Semaphore.open(theirs.name)) as ours:
        assert ours.value == 3
        ours.unlink()
    theirs.close()


def open_as_nobody(name: str) -> list[str]:
    become_nobody()
    results = []
    for verb in (Semaphore.open, Semaphore.unlink_name):
        try:
            verb(name)
        except AccessError as error:
            results.append(error.syscall)
    return results


@needs_root
def test_another_user_gets_what_the_mode_gives(semaphore: Semaphore, spawn: Spawn) -> None:
    assert spawn(open_as_nobody, semaphore.name).result() == ["sem_open", "sem_unlink"]


def test_create_survives_a_race_for_the_name(semaphore: Semaphore) -> None:
    """Openers and makers of one name, at once: each gets a semaphore that was whole, or an error that is true."""
    name = semaphore.name + "-race"
    problems: list[BaseException] = []

    def make_and_unlink() -> None:
        for _ in range(100):
            try:
                made = Semaphore.create(name, value=5)
            except AlreadyExistsError:
                continue
            made.close()
            with contextlib.suppress(NotFoundError):
                made.unlink()

    def look() -> None:
        for _ in range(300):
            try:
                with contextlib.closing(Semaphore.open(name)) as found:
                    assert found.value == 5
            except NotFoundError:
                pass
            except BaseException as error:
                problems.append(error)

    threads = [threading.Thread(target=target) for target in (make_and_unlink, make_and_unlink, look)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with contextlib.suppress(NotFoundError):
        Semaphore.unlink_name(name)
    assert problems == []
