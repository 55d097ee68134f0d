"""handler: what comes back, in which thread it works, handlers that raise; what a handler may and may not do."""

from __future__ import annotations

import faulthandler
import os
import queue
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import EventFd, Pipe
from ipckit._native import ffi, lib
from ipckit.errors import BusyError
from ipckit.signals import SignalFd, blocked, handler, sigqueue
from ipckit.testing import wait_blocked
from tests.contract.tools import Background

if TYPE_CHECKING:
    from ipckit.testing import Spawn

USR = signal.SIGUSR1


def nothing(*_: object) -> None:
    pass


def action(signum: int) -> tuple[int, ...]:
    """What the kernel has for the signal, flags and mask included."""
    found = ffi.new("struct ipk_signals_action *")
    assert lib.ipk_signals_action_get(signum, found) == 0
    return found.function, found.mask, found.flags


@pytest.mark.parametrize("before", [signal.SIG_DFL, signal.SIG_IGN, nothing])
@pytest.mark.parametrize("restart", [False, True])
def test_what_was_before_comes_back_whole(before: Any, restart: bool) -> None:
    outer = signal.signal(USR, before)
    try:
        if before is nothing:
            signal.siginterrupt(USR, not restart)
        there = action(USR)
        seen: list[int] = []
        with handler(USR, lambda signum, _: seen.append(signum)):
            signal.raise_signal(USR)
            with handler(USR, signal.SIG_IGN):
                signal.raise_signal(USR)
            signal.raise_signal(USR)
            assert seen == [USR, USR]
        assert signal.getsignal(USR) is before
        assert action(USR) == there
        with pytest.raises(ZeroDivisionError), handler(USR, nothing):
            1 / 0  # noqa: B018
        assert action(USR) == there
    finally:
        signal.signal(USR, outer)


def test_a_handler_in_c_comes_back(tmp_path: Any) -> None:
    with open(tmp_path / "stacks", "w+b", buffering=0) as file:
        faulthandler.register(USR, file=file)
        try:
            with handler(USR, nothing):
                signal.raise_signal(USR)
            assert file.tell() == 0
            signal.raise_signal(USR)
            assert b"test_a_handler_in_c_comes_back" in (tmp_path / "stacks").read_bytes()
        finally:
            faulthandler.unregister(USR)


def test_one_handler_is_for_one_block_at_a_time() -> None:
    one = handler(USR, nothing)
    for _ in range(2):
        with one, pytest.raises(ValueError, match="entered already"):
            one.__enter__()


def test_only_the_main_thread_sets_handlers() -> None:
    def enter() -> None:
        with handler(USR, nothing):
            pass

    with pytest.raises(ValueError, match=r"by the main thread.*SignalFd"):
        Background(enter).join()


@pytest.mark.parametrize("function", [5, "SIG_IGN", object(), None])
def test_what_is_no_function(function: Any) -> None:
    with pytest.raises(TypeError, match="function must be callable"):
        handler(USR, function)


def test_signals_that_nobody_catches() -> None:
    for signum in (signal.SIGKILL, signal.SIGSTOP):
        with pytest.raises(ValueError, match="neither blocked nor caught"):
            handler(signum, nothing)


def test_handlers_run_in_the_main_thread_whichever_thread_gets_the_signal() -> None:
    where: list[int] = []
    with handler(USR, lambda *_: where.append(threading.get_ident())), EventFd.create() as event:
        main = threading.get_ident()

        def send() -> None:
            signal.pthread_kill(threading.get_ident(), USR)
            event.write()

        thread = Background(send)
        event.read(10)
        thread.join()
        while not where:
            pass
        assert where == [main]


def test_a_handler_may_ring_and_must_not_come_back_into_what_it_interrupted() -> None:
    reader, writer = Pipe.create()
    simple: queue.SimpleQueue[int] = queue.SimpleQueue()
    outcomes: list[object] = []

    def handle(signum: int, _: object) -> None:
        event.write()
        simple.put(signum)
        try:
            outcomes.append(reader.try_receive())
        except BusyError as error:
            outcomes.append(str(error))

    main = threading.get_ident()

    def interrupt() -> None:
        wait_blocked(os.getpid(), "poll")
        signal.pthread_kill(main, USR)
        assert event.read(10) == 1
        writer.send(b"message")

    with reader, writer, EventFd.create() as event, handler(USR, handle):
        thread = Background(interrupt)
        assert reader.receive(10) == b"message"
        thread.join()
    assert simple.get() == USR
    assert len(outcomes) == 1
    assert "signal handler" in str(outcomes[0])


def overflow() -> tuple[int, int, list[int | None]]:
    """Ten signals while nobody reads: what Python's wakeup descriptor keeps of them, and what a SignalFd does."""
    signum = signal.SIGRTMIN
    failures: list[type] = []
    sys.unraisablehook = lambda unraisable: failures.append(unraisable.exc_type)
    reader, writer = Pipe.create()
    with reader, writer:
        writer.set_capacity(4096)
        signal.set_wakeup_fd(writer.fileno())
        writer.write(bytes(4096 - 3))
        with handler(signum, nothing):
            for _ in range(10):
                signal.raise_signal(signum)
        signal.set_wakeup_fd(-1)
        kept = sum(byte == signum for byte in reader.read(4096))
    with blocked({signum}), SignalFd.create({signum}) as descriptor:
        for value in range(10):
            sigqueue(os.getpid(), signum, value)
        return kept, failures.count(BlockingIOError), [info.value for info in descriptor.read_many()]


def test_the_wakeup_descriptor_of_python_overflows_and_a_signal_descriptor_does_not(spawn: Spawn) -> None:
    kept, lost, values = spawn(overflow).result()
    assert (kept, lost) == (3, 7)
    assert values == list(range(10))
