"""Which primitive should I use? The answer, from the measurements and nothing else."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from ipckit.bench.quantity import PAIR, ROUNDTRIP, THROUGHPUT, WAKEUP
from ipckit.bench.settings import nominal
from ipckit.bench.sheets import YARDSTICK
from ipckit.bench.units import factor_text, rate_text, size_text, time_text

if TYPE_CHECKING:
    from ipckit.bench.quantity import Quantity
    from ipckit.bench.report import Report

NAMES_SHOWN = 3


def advice(report: Report) -> list[tuple[str, str]]:
    """(the need, what to use and why), one for each question that was measured."""
    answers = _throughput(report)
    if sizes := report.sizes(ROUNDTRIP):
        size = nominal(sizes)
        answers += _shortest(report, f"Quick answer, {size_text(size)}", ROUNDTRIP, size)
    answers += _shortest(report, "Waking a sleeper", WAKEUP, None)
    answers += _shortest(report, "A lock", PAIR, None)
    return answers


def _throughput(report: Report) -> list[tuple[str, str]]:
    leaders = [(size, best) for size in report.sizes(THROUGHPUT) if (best := _best(report, THROUGHPUT, size))]
    answers = []
    for names, group in groupby(leaders, key=lambda item: item[1]):
        sizes = [size for size, _ in group]
        need = size_text(sizes[0]) if len(sizes) == 1 else f"{size_text(sizes[0])} to {size_text(sizes[-1])}"
        rates = [report.summaries(THROUGHPUT, size)[names[0]].median for size in sizes]
        low, high = rate_text(min(rates)), rate_text(max(rates))
        text = f"{_names(names)}: {low if low == high else f'{low} to {high}'} messages/s"
        answers.append((f"Throughput, {need}", text + _kernel_choice(report, sizes, names)))
    return answers


def _kernel_choice(report: Report, sizes: list[int], leaders: tuple[str, ...]) -> str:
    """What to take where shared memory is no choice, if the leader is a ring."""
    if any(report.rows.get(name, {}).get("family") != "ring" for name in leaders):
        return ""
    size = nominal(sizes)
    summaries = report.summaries(THROUGHPUT, size)
    others = [name for name in report.ranks(THROUGHPUT, size) if report.rows.get(name, {}).get("family") != "ring"]
    if not others:
        return ""
    return f"; other than a ring, {others[0]}: {rate_text(summaries[others[0]].median)}"


def _shortest(report: Report, need: str, quantity: Quantity, size: int | None) -> list[tuple[str, str]]:
    names, summaries = _best(report, quantity, size), report.summaries(quantity, size)
    if not names:
        return []
    best = summaries[names[0]].median
    text = f"{_names(names)}: {time_text(best)}"
    yardstick = summaries.get(YARDSTICK)
    if yardstick and YARDSTICK not in names:
        text += f", {factor_text(yardstick.median / best)} faster than {YARDSTICK}"
    return [(need, text)]


def _best(report: Report, quantity: Quantity, size: int | None) -> tuple[str, ...]:
    """The best row, and those whose intervals overlap with its own."""
    summaries = report.summaries(quantity, size)
    order = list(report.ranks(quantity, size))
    return tuple(name for name in order if summaries[name].overlaps(summaries[order[0]]))


def _names(names: tuple[str, ...]) -> str:
    if len(names) <= NAMES_SHOWN:
        return " or ".join(names)
    return f"{', '.join(names[:NAMES_SHOWN])} or {len(names) - NAMES_SHOWN} more that are no slower"
