"""Measuring processes, seen from the orchestrator: fresh interpreters, each with one half of a measurement."""

from __future__ import annotations

import multiprocessing
import signal
import time
from contextlib import ExitStack, contextmanager
from multiprocessing import connection, resource_tracker
from typing import TYPE_CHECKING, Any

from ipckit.bench.worker import INTERRUPTS, Parcel, serve

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess
    from types import TracebackType

    from typing_extensions import Self

HALVES = ("first", "second")
GRACE = 1.0  # s, for a worker to end by itself


class MeasurementFailed(Exception):
    """A worker reported an error, died or did not answer in time; the message is the reason."""


class TimedOut(MeasurementFailed):
    """No answer came in time."""


class Team:
    """Processes that have *objects*; the orchestrator sleeps while they measure.

    The workers die with the orchestrator's process, and ignore Ctrl-C: it is for the orchestrator to end them.
    """

    def __init__(self, *, limit: float) -> None:
        """A team of nobody yet.

        Args:
            limit: seconds within which each answer must come.
        """
        self._limit = limit
        self._halves: list[str] = []
        self._controls: list[Connection[Any, Any]] = []
        self._processes: list[BaseProcess] = []
        self._alive: list[Connection[Any, Any]] = []

    def close(self) -> None:
        """Let the processes end, and reap them."""
        for control in self._controls:
            control.close()
        deadline = time.monotonic() + GRACE
        for process in self._processes:
            process.join(max(0.0, deadline - time.monotonic()))
        self.kill()

    def kill(self) -> None:
        """End the processes at once, and reap them."""
        for control in self._controls:
            control.close()
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()
            process.close()
        for alive in self._alive:
            alive.close()
        self._controls, self._processes, self._alive = [], [], []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.kill()

    def _start(self, parcel: Parcel, half: str, cpu: int | None, link: Connection[bytes, bytes] | None) -> None:
        """Start one more process, for *half* of the measurements."""
        context = multiprocessing.get_context("spawn")
        with ExitStack() as handed_over:
            control, theirs = context.Pipe()
            # One for each process: a description has one owner, who gets its signal.
            orchestrator, alive = context.Pipe(duplex=False)
            self._halves.append(half)
            self._controls.append(control)
            self._alive.append(alive)
            handed_over.callback(theirs.close)
            handed_over.callback(orchestrator.close)
            role = {"half": half, "cpu": cpu, "orchestrator": orchestrator, "control": theirs, "link": link}
            process = context.Process(target=serve, args=(parcel,), kwargs=role, daemon=True)
            with interrupts_held_back():
                process.start()
                self._processes.append(process)

    def _tell(self, index: int, message: Any) -> None:
        try:
            self._controls[index].send(message)
        except BrokenPipeError:
            raise MeasurementFailed("a measuring process died") from None

    def _answers(self, members: Collection[int], verdicts: Collection[str] = ("ok",)) -> dict[int, tuple[str, Any]]:
        """What each of *members* says next, with one of these *verdicts*."""
        answers: dict[int, tuple[str, Any]] = {}
        deadline = time.monotonic() + self._limit
        while len(answers) < len(members):
            pending = [self._controls[index] for index in members if index not in answers]
            ready = connection.wait(pending, max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimedOut(f"no result within {self._limit:g} s")
            for control in ready:
                index = self._controls.index(control)  # type: ignore[arg-type]
                answers[index] = self._answer(index, verdicts)
        return answers

    def _answer(self, index: int, verdicts: Collection[str]) -> tuple[str, Any]:
        try:
            verdict, value = self._controls[index].recv()
        except (EOFError, OSError):
            process = self._processes[index]
            process.join(GRACE)
            code = process.exitcode
            how = f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with status {code}"
            raise MeasurementFailed(f"the {self._halves[index]} measuring process ended {how}") from None
        if verdict not in verdicts:
            raise MeasurementFailed(value)
        return verdict, value


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Deliver Ctrl-C and SIGTERM after the block, so that no child and no object is made and then forgotten.

    A child inherits the mask, and so starts up undisturbed as well.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def tracker() -> Iterator[None]:
    """Have multiprocessing's resource tracker run before the block, and end it afterwards unless it ran already."""
    tracker = resource_tracker._resource_tracker
    ours = tracker._fd is None  # type: ignore[attr-defined]
    # Starting it later would let Ctrl-C through in the middle of a start: it restores the signal mask to empty.
    resource_tracker.ensure_running()
    try:
        yield
    finally:
        stop = getattr(tracker, "_stop", None)
        if ours and stop is not None:
            stop()
