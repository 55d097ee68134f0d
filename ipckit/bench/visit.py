"""One visit to one row: make its objects, start the two processes, take one sample for each of its cells."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from ipckit.bench.crew import Crew
from ipckit.bench.load_samples import most, sample_load, sample_many
from ipckit.bench.loads import Arrays, Many
from ipckit.bench.measurements import latencies
from ipckit.bench.pair import Pair
from ipckit.bench.quantity import ARRAY, CALL, CALLS, FURTHER, HANDOFF, ROUNDTRIP, THROUGHPUT, WAKEUP
from ipckit.bench.row import Caller, Channel, Coder, Lock, OtherMemory
from ipckit.bench.settings import nominal
from ipckit.bench.team import interrupts_held_back

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.bench.placement import Placement
    from ipckit.bench.report import Cell
    from ipckit.bench.row import Row
    from ipckit.bench.settings import Settings

LEAST = 16  # operations behind one sample, however slow they are
LEAST_TRIPS = 1000  # with fewer there is no p99.9
PATIENCE = 5.0  # times the asked for seconds, for those
RUNS = 3  # of one-way throughput for one sample, the fastest of which counts
GROWTH = 8  # from one trial to the next, while the pace is not known


class Visitor:
    """Takes the samples, and remembers each cell's pace, so that later repeats need no trials."""

    def __init__(self, settings: Settings, placement: Placement) -> None:
        self._settings = settings
        self._placement = placement
        self._paces: dict[int, float] = {}

    def measure(self, row: type[Row], cells: list[Cell]) -> None:
        """Add a sample to each of *cells*, and take it from the list when it is done or known to be impossible.

        An exception is about the first cell that is still in the list.
        """
        if not issubclass(row, Arrays):
            self._visit(row, cells, max(self._settings.sizes))
            return
        while cells:
            # Each size through objects for that size: arrays in a far larger ring lie where nobody has been before.
            size = self._size(cells[0])
            rest = [cell for cell in cells if self._size(cell) != size]
            cells[:] = [cell for cell in cells if self._size(cell) == size]
            try:
                self._visit(row, cells, size)
            finally:
                cells.extend(rest)

    def _visit(self, row: type[Row], cells: list[Cell], largest: int) -> None:
        with ExitStack() as stack:
            with interrupts_held_back():
                made = self._make(row, largest, stack)
            if isinstance(made[0], Channel):
                self._leave_out_what_is_refused(made[0], cells)
            if not cells:
                return
            with self._team(tuple(made)) as pair:
                for thing in made:
                    thing.opened()
                self._fill(pair, row, cells)

    def _leave_out_what_is_refused(self, channel: Channel, cells: list[Cell]) -> None:
        for cell in cells:
            cell.reason = channel.refuses(self._size(cell)) or ""
        cells[:] = [cell for cell in cells if not cell.reason]

    def _fill(self, pair: Pair | Crew, row: type[Row], cells: list[Cell]) -> None:
        while cells:
            values, count = self._sample(pair, row, cells[0])
            cell = cells.pop(0)
            for name, value in values.items():
                cell.samples.setdefault(name, []).append(value)
            cell.counts.append(count)

    def _team(self, made: tuple[Row, ...]) -> Pair | Crew:
        if isinstance(made[0], Many):
            sides = made[0].sides(most(self._settings, made[0]))
            return Crew(made, self._placement, sides, limit=self._settings.limit)
        return Pair(made, self._placement, limit=self._settings.limit)

    def _make(self, row: type[Row], largest: int, stack: ExitStack) -> list[Row]:
        made: list[Row] = []
        count = 2 if ROUNDTRIP in row.measures or ARRAY in row.measures else 1
        for _ in range(count):
            if issubclass(row, Many):
                made.append(row(nominal(self._settings.sizes), most(self._settings, row)))
            elif issubclass(row, (Channel, Arrays)):
                made.append(row(largest))
            elif issubclass(row, (Caller, Coder, Lock, OtherMemory)):
                made.append(row())
            else:
                raise TypeError(f"{row.__name__} is no kind of row that can be measured")
            stack.callback(_close, made[-1])
        return made

    def _size(self, cell: Cell) -> int:
        return nominal(self._settings.sizes) if cell.size is None else cell.size

    def _sample(self, pair: Pair | Crew, row: type[Row], cell: Cell) -> tuple[dict[str, float], int]:
        """One sample, and how many operations are behind it."""
        size = self._size(cell)
        if isinstance(pair, Crew):
            return sample_many(pair, cell, nominal(self._settings.sizes), self._count)
        if cell.quantity in FURTHER:
            return sample_load(pair, cell, size, self._settings, self._count)
        if cell.quantity is THROUGHPUT:
            assert issubclass(row, Channel)
            return self._throughput(pair, cell, size, row.batch)
        if cell.quantity in {ROUNDTRIP, CALL, CALLS}:
            return self._roundtrip(pair, cell, size)
        if cell.quantity is WAKEUP or cell.quantity is HANDOFF:
            wakeups = self._settings.wakeups
            arguments = (size, wakeups) if cell.quantity is WAKEUP else (wakeups,)
            begun, ended = pair.ask(cell.quantity.key, *arguments)
            return latencies(begun, ended), wakeups
        return self._one_sided(pair, cell, size)

    def _one_sided(self, pair: Pair, cell: Cell, size: int) -> tuple[dict[str, float], int]:
        """Calls that the first process makes alone."""
        quantity = cell.quantity
        sizes = (size,) if quantity.sized else ()

        def pace(count: int) -> float:
            nanoseconds: int = pair.ask(quantity.key, *sizes, count)[0]
            return nanoseconds / count

        count = self._count(cell, pace)
        return {quantity.statistics[0]: pace(count)}, count

    def _throughput(self, pair: Pair, cell: Cell, size: int, batch: int) -> tuple[dict[str, float], int]:
        def pace(count: int) -> float:
            start, end = pair.ask("throughput", size, count)
            return float(end - start) / count

        pair.ask("check", size)
        count = self._count(cell, pace, step=batch, share=RUNS)
        paces = [pace(count) for _ in range(RUNS)]
        self._remember(cell, max(paces))
        # Others on the machine can only slow a run down, and a short one escapes them now and then.
        return {"rate": 1e9 / min(paces)}, count

    def _roundtrip(self, pair: Pair, cell: Cell, size: int) -> tuple[dict[str, float], int]:
        loop = ROUNDTRIP.key if cell.quantity is ROUNDTRIP else CALL.key

        def pace(count: int) -> float:
            _, nanoseconds = pair.ask(loop, size, count)[0]
            return float(nanoseconds / count)

        count = self._count(cell, pace, least=LEAST_TRIPS)
        values, nanoseconds = pair.ask(loop, size, count)[0]
        self._remember(cell, nanoseconds / count)
        return {"rate": 1e9 * count / nanoseconds} if cell.quantity is CALLS else values, count

    def _count(
        self, cell: Cell, pace: Callable[[int], float], *, step: int = 1, least: int = LEAST, share: int = 1
    ) -> int:
        """How many operations fill the asked for seconds, a multiple of *step*; by trial where the pace is not known.

        Args:
            pace: nanoseconds for each operation, where so many are made.
            step: how many go together.
            least: no fewer, unless that took `PATIENCE` times too long.
            share: into how many parts the seconds are divided.
        """
        wanted = self._settings.seconds * 1e9 / share
        if id(cell) not in self._paces:
            trial = LEAST * step
            while True:
                self._remember(cell, taken := pace(trial))
                if trial * taken * GROWTH > wanted:
                    break
                trial *= GROWTH
            # The early trials were cold; the last one is what counts.
            self._paces[id(cell)] = taken
        each = self._paces[id(cell)]
        count = max(wanted / each, min(least, PATIENCE * wanted / each), LEAST)
        return max(2, round(count / step)) * step

    def _remember(self, cell: Cell, pace: float) -> None:
        # The slowest counts: a row that is fast in one repeat and slow in the next must not take minutes.
        self._paces[id(cell)] = max(pace, self._paces.get(id(cell), 0.0))


def _close(thing: Row) -> None:
    with interrupts_held_back():
        thing.close()
