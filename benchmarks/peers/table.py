"""What a person reads: the tables of all parts, and last what was promised and what was reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from ipckit.bench.sheets import reasons, sheets
from ipckit.bench.statistics import interval_sentence
from ipckit.bench.terminal import _print_list, console, print_sheet

if TYPE_CHECKING:
    from typing import TextIO

    from benchmarks.peers.parts import Part
    from benchmarks.peers.verdicts import Verdict
    from ipckit.bench.report import Report


def print_part(part: Part, report: Report, file: TextIO) -> None:
    """The tables of one part."""
    out = console(file)
    out.print()
    out.print(Text(f"{part.title} ({report.settings['placement_text']})", "bold underline"))
    counts = [len(cell.counts) for cell in report.cells if cell.counts]
    out.print(f"Figures: {interval_sentence(counts)}. Load {report.environment['load before']} before.")
    for sheet in sheets(report):
        print_sheet(sheet, out)
    _print_list(out, "Not measured", [f"{where}: {why}" for where, why in reasons(report)])
    _print_list(out, "Note", report.notices)


def print_verdicts(verdicts: list[Verdict], file: TextIO) -> None:
    """What was promised, what was reached, and whether that is enough."""
    out = console(file)
    out.print()
    out.print(Text("Promised and reached", "bold underline"))
    out.print("A question mark: the interval of the ratio holds what was promised, so another run may say otherwise.")
    lines = [(verdict.what, verdict.wanted, verdict.reached, word(verdict)) for verdict in verdicts]
    lines.insert(0, ("", "at least", "reached", ""))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    for what, wanted, reached, last in lines:
        text = f"{what:{widths[0]}}  {wanted:>{widths[1]}}  {reached:>{widths[2]}}  {last}"
        out.print(text.rstrip(), soft_wrap=True)
    met = sum(verdict.met is True for verdict in verdicts)
    missed = sum(verdict.met is False for verdict in verdicts)
    unknown = sum(verdict.met is None and bool(verdict.wanted) for verdict in verdicts)
    out.print(f"{met} met, {missed} missed, {unknown} not measured")


def word(verdict: Verdict) -> str:
    """The last column."""
    if verdict.met is None:
        return ""
    return ("met" if verdict.met else "MISSED") + ("" if verdict.sure else "?")
