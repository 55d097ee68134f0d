"""The table for a person at a terminal, or in a file: rich, plain where there is no terminal."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ipckit.bench.advice import advice
from ipckit.bench.sheets import Entry, Sheet, factor_sentence, reasons, sheets
from ipckit.bench.statistics import interval_sentence

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from ipckit.bench.compare import Comparison
    from ipckit.bench.engine import Observer
    from ipckit.bench.report import Report


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704  # called from an except clause; what it means is for the command line to say


def console(file: TextIO) -> Console:
    """A console on *file*: colour only where it is a terminal; text is never taken for markup."""
    return _Console(file=file, highlight=False, markup=False, emoji=False)


@contextmanager
def progress_bar(file: TextIO) -> Iterator[Observer]:
    """A bar on *file*, or nothing if that is no terminal; it moves between measurements only."""
    out = console(file)
    # No refreshing thread: it would run beside the measurements.
    columns = (
        BarColumn(24),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=out, auto_refresh=False, transient=True, disable=not out.is_terminal) as progress:
        task = progress.add_task("starting", total=1.0)

        def observe(done: float, text: str) -> None:
            progress.update(task, completed=done, description=text, refresh=True)

        yield observe


def print_report(report: Report, file: TextIO) -> None:
    """Print all that a person wants to know, the answer last."""
    out = console(file)
    environment = report.environment
    out.print(Text(f"ipckit {environment['ipckit']} bench on {environment['cpu']}, {environment['machine']}", "bold"))
    out.print(f"{environment['kernel']}, {environment['python'].split(' (')[0]}, load {environment['load before']}")
    out.print(f"Two processes, {report.settings['placement_text']}")
    counts = [len(cell.counts) for cell in report.cells if cell.counts]
    out.print(f"Figures: {interval_sentence(counts)}.")
    out.print("#1 is the best; rows whose intervals overlap share a rank.")
    drawn = sheets(report)
    if sentence := factor_sentence(drawn):
        out.print(sentence)
    for sheet in drawn:
        print_sheet(sheet, out)
    _print_list(out, "Not measured", [f"{where}: {why}" for where, why in reasons(report)])
    _print_list(out, "Note", report.notices)
    if answers := advice(report):
        out.print()
        out.print(Text("Which primitive should I use, on this machine, in this placement?", "bold"))
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
        for need, text in answers:
            table.add_row(Text(need), Text(text))
        out.print(table)
    if report.interrupted:
        out.print()
        out.print(Text("Interrupted: this is what was measured until then.", "bold"))


def print_comparison(comparison: Comparison, file: TextIO) -> None:
    """Print what changed beyond the noise, or that nothing did."""
    out = console(file)
    out.print()
    for notice in comparison.notices:
        out.print(f"Note: {notice}")
    if not comparison.differences:
        out.print(f"No difference beyond the noise, in {comparison.compared} figures.")
        return
    what = "Different" if comparison.unsure else "Beyond the noise"
    out.print(Text(f"{what}: {len(comparison.differences)} of {comparison.compared} figures", "bold"))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for column in ("", "", "old", "new", "change"):
        table.add_column(column, justify="left" if not column else "right", no_wrap=True)
    for difference in comparison.differences:
        change = Text(difference.change, "green" if difference.better else "red")
        table.add_row(Text(difference.row), Text(difference.what), Text(difference.old), Text(difference.new), change)
    out.print(table)


def print_sheet(sheet: Sheet, out: Console) -> None:
    """One table with its title; if it is too wide for *out*, in parts."""
    out.print()
    out.print(Text(sheet.title, "bold"))
    for number, table in enumerate(_tables(sheet, out)):
        if number:
            out.print()
        out.print(table)


def _tables(sheet: Sheet, out: Console) -> Iterator[Table]:
    """The table; if it is too wide for *out*, several that name the same rows: a figure is never cut."""
    unbounded = out.options.update_width(1 << 16)
    columns = len(sheet.columns)
    start = 1
    while start < columns:
        end = columns
        while end > start + 1 and Measurement.get(out, unbounded, _table(sheet, start, end)).maximum > out.width:
            end -= 1
        yield _table(sheet, start, end)
        start = end


def _table(sheet: Sheet, start: int, end: int) -> Table:
    """The names of the rows, and the columns from *start* to before *end*."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    shown = [0, *range(start, end)]
    for index in shown:
        # In two lines, or five sizes would not fit into 80 columns.
        header = Text(sheet.columns[index].replace("x mp.", "x mp.\n"))
        table.add_column(header, justify="right" if index else "left", no_wrap=True)
    widths = [len(str(max(row[index].rank for row in sheet.rows))) for index in shown]
    ranked = [any(row[index].rank for row in sheet.rows) for index in shown]
    for row in sheet.rows:
        table.add_row(*(_field(row[at], widths[n] if ranked[n] else 0) for n, at in enumerate(shown)))
    return table


def _field(entry: Entry, rank_width: int) -> Text:
    """A figure and its rank; *rank_width* is the same for a whole column, so that its figures stay in line."""
    if not rank_width:
        return Text(entry.text)
    rank = f" #{entry.rank:<{rank_width}}" if entry.rank else " " * (rank_width + 2)
    return Text(entry.text, "bold green" if entry.rank == 1 else "").append(rank, "" if entry.rank == 1 else "dim")


def _print_list(out: Console, title: str, lines: list[str]) -> None:
    if not lines:
        return
    out.print()
    out.print(Text(title, "bold"))
    for line in lines:
        table = Table(box=None, show_header=False, padding=0, pad_edge=False)
        table.add_row("- ", Text(line))
        out.print(table)
