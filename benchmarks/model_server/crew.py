"""The scheduler's side: workers are started, admitted, killed, replaced, and asked what they have seen."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from benchmarks.model_server.messages import DATA, REPORT, SMALLEST, STOP, Composer
from benchmarks.model_server.worker import Notes, work

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from benchmarks.model_server.transport import Transport

PATIENCE = 60.0  # s, for anything that should happen soon


class Failed(Exception):
    """A worker saw something wrong, or did not answer."""


class Crew:
    """So many places, and whoever has them."""

    def __init__(
        self, transport: type[Transport], workers: int, largest: int, capacity: int, *, thorough: bool = False
    ) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._transport = transport(workers, largest, capacity, self.find_dead)
        self._composer = Composer()
        self._thorough = thorough
        self._progress = self._context.RawArray("Q", workers)
        self._processes: dict[int, BaseProcess] = {}
        self._controls: dict[int, Connection[Any, Any]] = {}
        self._starting: set[int] = set()
        self._killed: set[int] = set()
        for place in range(workers):
            self.start(place)
        self.until_all_are_in()

    @property
    def pids(self) -> list[int]:
        """The workers' processes."""
        return [process.pid for process in self._processes.values() if process.pid]

    @property
    def sent(self) -> int:
        """How many messages there have been."""
        return self._composer.number

    @property
    def working(self) -> list[int]:
        """Places whose workers have been admitted."""
        return [place for place in self._processes if place not in self._starting]

    def start(self, place: int) -> None:
        """Start a worker; it gets messages when `admit` has found it ready."""
        ours, theirs = self._context.Pipe()
        arguments = (self._transport.door, place, theirs, self._progress)
        process = self._context.Process(target=work, args=arguments, kwargs={"thorough": self._thorough}, daemon=True)
        process.start()
        theirs.close()
        self._processes[place], self._controls[place] = process, ours
        self._starting.add(place)

    def admit(self, seconds: float = 0) -> None:
        """Admit those that are ready, waiting so long for the first of them."""
        pending = {self._controls[place]: place for place in self._starting}
        for control in wait(list(pending), seconds):
            place = pending[control]  # type: ignore[index]
            if self._hear(place) != "ready":
                raise Failed(f"worker {place} did not begin")
            self._progress[place] = self.sent
            self._controls[place].send(self._transport.admit(place))
            self._starting.discard(place)

    def until_all_are_in(self) -> None:
        """Admit all that were started."""
        deadline = time.monotonic() + PATIENCE
        while self._starting:
            if time.monotonic() > deadline:
                raise Failed(f"workers {sorted(self._starting)} did not start in time")
            self.admit(1.0)

    def kill(self, place: int) -> None:
        """SIGKILL, whatever it is doing."""
        self._processes[place].kill()
        self._killed.add(place)

    def find_dead(self) -> list[int]:
        """Dismiss the workers that have died; return their places."""
        dead = [place for place, process in self._processes.items() if process.exitcode is not None]
        for place in dead:
            if self._processes[place].exitcode != -9:  # not by us: it says why
                raise Failed(f"worker {place} ended by itself: {self._hear(place)}")
            self._transport.dismiss(place)
            self._controls.pop(place).close()
            self._processes.pop(place).close()
            self._starting.discard(place)
            self._killed.discard(place)
        return dead

    def send(self, size: int, kind: int = DATA) -> None:
        """Send the next message, of that size."""
        self._transport.send(self._composer.compose(size, kind))

    def until_drained(self) -> None:
        """Wait until all have received everything, and the killed are dead; a look every 0.2 ms."""
        deadline = time.monotonic() + PATIENCE
        while self._killed or any(self._progress[place] < self.sent for place in self.working):
            if time.monotonic() > deadline:
                raise Failed(f"messages did not arrive: {list(self._progress)} of {self.sent}")
            self.find_dead()
            time.sleep(0.0002)

    def report(self, kind: int = REPORT) -> dict[int, Notes]:
        """Ask all workers what they have seen since they were last asked."""
        self.send(SMALLEST, kind)
        notes = {place: self._hear(place) for place in self.working}
        for place, its in notes.items():
            if not isinstance(its, Notes) or its.failure or its.last != self.sent:
                raise Failed(f"worker {place}: {its.failure if isinstance(its, Notes) else its}")
        return notes

    def stop(self) -> dict[int, Notes]:
        """Let all workers report and end; `close` must follow."""
        notes = self.report(STOP)
        for process in self._processes.values():
            process.join(PATIENCE)
        return notes

    def close(self) -> None:
        """End what is still there."""
        for process in self._processes.values():
            process.kill()
            process.join()
            process.close()
        for control in self._controls.values():
            control.close()
        self._processes, self._controls = {}, {}
        self._transport.close()

    def _hear(self, place: int) -> Any:
        control = self._controls[place]
        try:
            return control.recv() if control.poll(PATIENCE) else "it does not answer"
        except EOFError:
            return "it said nothing"
