"""Several processes of each half, seen from the orchestrator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit.bench.team import HALVES, Team
from ipckit.bench.worker import Parcel

if TYPE_CHECKING:
    from ipckit.bench.placement import Placement


class Crew(Team):
    """Fresh interpreters that have *objects*, as many of each half as there are *sides*.

    Where they are pinned, the two halves begin on different CPUs and take turns, so that each CPU has of both; those
    of a half with one process only have their CPU for themselves.
    """

    def __init__(self, objects: tuple[Any, ...], placement: Placement, sides: tuple[int, int], *, limit: float) -> None:
        """Start all, and wait until all have the objects.

        Args:
            limit: seconds within which each answer must come.
        """
        super().__init__(limit=limit)
        self._members = (range(sides[0]), range(sides[0], sum(sides)))
        cpus = (placement.first, placement.second)
        parcel = Parcel(objects)
        try:
            for half, members in enumerate(self._members):
                for index in range(len(members)):
                    cpu = cpus[half if 1 in sides else (half + index) % 2]
                    self._start(parcel, HALVES[half], cpu, None)
            self._answers(range(sum(sides)))
            for index in range(sum(sides)):
                self._tell(index, self._processes[0].pid)
        except BaseException:
            self.kill()
            raise

    def ask(self, name: str, sides: tuple[int, int], *arguments: int) -> tuple[list[Any], list[Any]]:
        """Have the first of each half run their half of the measurement *name*; return all answers.

        Args:
            name: its loops get the index within the half, and then *arguments*.
            sides: how many of each half take part.

        Raises:
            MeasurementFailed: one of them could not; all are dead then.
        """
        halves = [members[:count] for members, count in zip(self._members, sides, strict=True)]
        taking_part = [*halves[0], *halves[1]]
        try:
            for members in halves:
                for index, member in enumerate(members):
                    self._tell(member, (name, index, *arguments))
            while True:
                answers = self._answers(taking_part, ("ok", "ready"))
                if all(verdict == "ok" for verdict, _ in answers.values()):
                    break
                for member in taking_part:
                    self._tell(member, "go")
        except BaseException:
            self.kill()
            raise
        first, second = ([answers[member][1] for member in members] for members in halves)
        return first, second
