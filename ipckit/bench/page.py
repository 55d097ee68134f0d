"""The report as one HTML page that needs no network, follows a dark screen, and prints on white."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from ipckit.bench.advice import advice
from ipckit.bench.plots import plots
from ipckit.bench.sheets import Sheet, factor_sentence, reasons, sheets
from ipckit.bench.statistics import interval_sentence

if TYPE_CHECKING:
    from ipckit.bench.report import Report

STYLE = """\
:root { --paper: #fff; --ink: #1b1f24; --soft: #57606a; --grid: #d8dee4; --best: #1a7f37; --band: #f3f5f7; }
@media screen and (prefers-color-scheme: dark) {
  :root { --paper: #15181c; --ink: #e4e8ec; --soft: #9aa4af; --grid: #343b43; --best: #56d364; --band: #1f242a; }
}
* { box-sizing: border-box; }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p, li { max-width: 48rem; } .soft, figcaption { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .2rem .7rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: .3rem; }
thead th { border-bottom: 2px solid var(--grid); color: var(--soft); font-weight: 600; }
tbody tr:nth-child(even) { background: var(--band); }
.best { color: var(--best); font-weight: 600; } .rank { color: var(--soft); font-size: .8em; }
.best .rank { color: inherit; }
.text td, .text th { text-align: left; white-space: normal; vertical-align: top; }
figure { margin: 1.5rem 0; break-inside: avoid; } figcaption { font-weight: 600; margin-bottom: .3rem; }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; } .grid { stroke: var(--grid); }
@media print {
  @page { margin: 14mm; } body { margin: 0; max-width: none; padding: 0; font-size: 10.5pt; }
  h2 { break-after: avoid; } .wide { overflow: visible; } table { font-size: 8.5pt; } tr { break-inside: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""

METHOD = """\
Each measurement is made between two processes, never threads: fresh interpreters, new for every row and repeat, so
that the spread between processes is within the intervals. The repeats of all rows are interleaved, in another order
each time; the process that directs them sleeps meanwhile.

One-way throughput is the time from before the first send in one process to after the last receive in the other. The
same payload is sent again and again; of three runs in each repeat the fastest counts, since others on the machine can
only slow one down. Before it is timed, each channel has to deliver a message unchanged.

A round trip goes to the other process and back over two channels of the same kind; each one is timed.

For a wake-up, the sender waits until the kernel says that the receiver sleeps (state S), then notes the time and
sends; the receiver notes the time when it has the message. Locks are handed over in the same way.

Automatic garbage collection is off in the measuring processes. Times are of CLOCK_MONOTONIC, whose reading takes some
50 ns of each trip.

A row marked bare is the package or system call itself, without framing and without ipckit.
"""


def to_html(report: Report) -> str:
    """The page."""
    environment = {key: escape(value) for key, value in report.environment.items()}
    counts = [len(cell.counts) for cell in report.cells if cell.counts]
    machine = ", ".join(environment[key] for key in ("cpu", "machine", "kernel", "python", "date"))
    drawn = sheets(report)
    reading = (
        f"Two processes, {report.settings['placement_text']}. Figures: {interval_sentence(counts)}. #1 is the best; "
        f"rows whose intervals overlap share a rank. {factor_sentence(drawn)}"
    )
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>ipckit bench: {environment['host']}</title><style>{STYLE}</style></head><body>",
        "<h1>Which IPC primitive, on this machine?</h1>",
        f'<p class="soft">{machine}</p>',
        f"<p>{escape(reading)}</p>",
    ]
    if report.interrupted:
        parts.append("<p><strong>Interrupted: this is what was measured until then.</strong></p>")
    parts += [f"<p><strong>Note:</strong> {escape(notice)}.</p>" for notice in report.notices]
    if answers := advice(report):
        parts += ["<h2>What to use</h2>", _pairs(answers)]
    for sheet in drawn:
        parts += [f"<h2>{escape(sheet.title)}</h2>", _table(sheet)]
    if missing := reasons(report):
        parts += ["<h2>Not measured</h2>", _pairs(missing)]
    parts.append("<h2>Plots</h2>")
    parts += [f"<figure><figcaption>{escape(text)}</figcaption>{svg}</figure>" for text, svg in plots(report)]
    parts += ["<h2>How it was measured</h2>", *(f"<p>{escape(paragraph)}</p>" for paragraph in METHOD.split("\n\n"))]
    parts += ["<h2>Rows</h2>", _pairs([(name, row["about"]) for name, row in report.rows.items()])]
    parts += ["<h2>Environment</h2>", _pairs(list(report.environment.items()))]
    parts += ["<h2>Settings</h2>", _pairs([(key, str(value)) for key, value in report.settings.items()])]
    parts.append("</body></html>")
    return "\n".join(parts) + "\n"


def _table(sheet: Sheet) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in sheet.columns)
    rows = []
    for row in sheet.rows:
        fields = []
        for entry in row:
            kind = ' class="best"' if entry.rank == 1 else ""
            rank = f' <span class="rank">#{entry.rank}</span>' if entry.rank else ""
            fields.append(f"<td{kind}>{escape(entry.text)}{rank}</td>")
        rows.append(f"<tr>{''.join(fields)}</tr>")
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _pairs(pairs: list[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><td>{escape(key)}</td><td>{escape(value)}</td></tr>" for key, value in pairs)
    return f'<table class="text"><tbody>{rows}</tbody></table>'
