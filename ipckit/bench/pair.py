"""The two measuring processes, seen from the orchestrator."""

from __future__ import annotations

import multiprocessing
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ipckit.bench.team import HALVES, Team
from ipckit.bench.worker import Parcel

if TYPE_CHECKING:
    from ipckit.bench.placement import Placement


class Pair(Team):
    """Two fresh interpreters that have *objects*, and a handshake with each other."""

    def __init__(self, objects: tuple[Any, ...], placement: Placement, *, limit: float) -> None:
        """Start both, and wait until both have the objects.

        Args:
            limit: seconds within which each answer must come.
        """
        super().__init__(limit=limit)
        parcel = Parcel(objects)
        try:
            with ExitStack() as handed_over:
                links = multiprocessing.get_context("spawn").Pipe()
                for link in links:
                    handed_over.callback(link.close)
                for half, cpu, link in zip(HALVES, (placement.first, placement.second), links, strict=True):
                    self._start(parcel, half, cpu, link)
            self._answers((0, 1))
            for index in (0, 1):
                self._tell(index, self._processes[1 - index].pid)
        except BaseException:
            self.kill()
            raise

    def ask(self, name: str, *arguments: int) -> tuple[Any, Any]:
        """Have both processes run their half of the measurement *name*; return both answers.

        Raises:
            MeasurementFailed: one of them could not; both are dead then.
        """
        try:
            # The second one first: it is the one that waits for the other.
            for index in (1, 0):
                self._tell(index, (name, *arguments))
            answers = self._answers((0, 1))
        except BaseException:
            self.kill()
            raise
        return answers[0][1], answers[1][1]
