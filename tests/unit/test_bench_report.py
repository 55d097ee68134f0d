"""What is made of samples: JSON, CSV, tables, advice, page."""

from __future__ import annotations

import csv
import io
import json
import re
import warnings
from html.parser import HTMLParser

import pytest

from ipckit.bench.advice import advice
from ipckit.bench.page import to_html
from ipckit.bench.quantity import HANDOFF, PAIR, ROUNDTRIP, THROUGHPUT, WAKEUP
from ipckit.bench.report import Cell, Report, ReportError
from ipckit.bench.sheets import NOTHING, factor_sentence, reasons, sheets
from ipckit.bench.spreadsheet import to_csv
from ipckit.bench.terminal import print_report
from ipckit.testing import Spawn

ENVIRONMENT = {
    "date": "2026-01-01T00:00:00+00:00",
    "host": "here",
    "cpu": "CPU <1>",
    "machine": "no hypervisor seen",
    "kernel": "Linux 6",
    "python": "CPython 3.11.7 (GCC)",
    "ipckit": "0.1.0",
    "packages": "",
    "load before": "0.00 0.00 0.00",
}


def make_report() -> Report:
    rows = {"Ring": "ring", "Pipe": "pipe", "mp.Queue": "multiprocessing", "mp.Lock": "multiprocessing"}
    rates = {"Ring": (5e6, 4e6), "Pipe": (5e5, 4e4), "mp.Queue": (1e5, 1e4)}
    report = Report(
        environment=dict(ENVIRONMENT),
        settings={"placement": "cross", "placement_text": "CPU 0 and CPU 1"},
        rows={name: {"about": f"about <{name}>", "family": family} for name, family in rows.items()},
    )
    spread = (0.99, 1.0, 1.01)
    for name, (small, large) in rates.items():
        for size, rate in ((64, small), (65536, large)):
            samples = {"rate": [rate * x for x in spread]}
            report.cells.append(Cell(name, THROUGHPUT, size, samples, [9, 9, 9]))
        trip = 5e9 / small
        samples = {
            name: [trip * f * x for x in spread] for name, f in zip(ROUNDTRIP.statistics, (1, 2, 3, 4), strict=True)
        }
        report.cells.append(Cell(name, ROUNDTRIP, 64, samples, [9, 9, 9]))
        samples = {"p50": [50e3 * x for x in spread], "p90": [60e3, 60e3]}
        report.cells.append(Cell(name, WAKEUP, None, samples, [9, 9, 9]))
    report.cells[1] = Cell("Ring", THROUGHPUT, 65536, reason="message size limit 8192 B")
    report.cells.append(Cell("mp.Lock", PAIR, None, {"pair": [40.0, 41.0, 42.0]}, [9, 9, 9]))
    report.cells.append(Cell("mp.Lock", HANDOFF, None, reason="it broke"))
    return report


def page_of(report: str) -> str:
    """In a child: matplotlib keeps its fonts open, and a thread, for as long as the process lives."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        return to_html(Report.from_json(report))


def test_json_holds_everything_and_comes_back():
    report = make_report()
    document = json.loads(report.to_json())
    first = document["cells"][0]
    assert first["median"] == 5e6
    assert first["interval"] == [pytest.approx(4.95e6), pytest.approx(5.05e6)]
    assert (first["rank"], first["samples"]["rate"]) == (1, [4.95e6, 5e6, 5.05e6])
    assert Report.from_json(report.to_json()) == report


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("no", "not JSON"),
        ("[1]", "not a report"),
        ('{"format": "ipckit-bench", "version": 9}', "version 9"),
        ('{"format": "ipckit-bench", "version": 1}', "damaged"),
    ],
)
def test_a_file_that_is_no_report_is_told_apart(text, complaint):
    with pytest.raises(ReportError, match=complaint):
        Report.from_json(text)


@pytest.mark.parametrize("wrong", [{"row": ["Ring"]}, {"row": None}, {"size": "64"}, {"size": {}}])
def test_a_cell_that_stands_nowhere_is_damage(wrong):
    document = json.loads(make_report().to_json())
    document["cells"][0] |= wrong
    with pytest.raises(ReportError, match="damaged"):
        Report.from_json(json.dumps(document))


def test_csv_has_one_line_for_each_statistic():
    lines = list(csv.DictReader(io.StringIO(to_csv(make_report()))))
    ring = [line for line in lines if line["row"] == "Ring" and line["quantity"] == "roundtrip"]
    assert [line["statistic"] for line in ring] == ["p50", "p90", "p99", "p99.9"]
    assert (ring[0]["rank"], ring[1]["rank"], ring[0]["repeats"]) == ("1", "", "3")
    (refused,) = (line for line in lines if line["row"] == "Ring" and line["size"] == "65536")
    assert (refused["median"], refused["reason"]) == ("", "message size limit 8192 B")


def test_tables_are_sorted_ranked_and_scaled():
    throughput, trips, wakeups, locks = sheets(make_report())
    assert throughput.columns == ["", "64 B", "64 KiB", "x mp.Queue"]
    assert [row[0].text for row in throughput.rows] == ["Ring", "Pipe", "mp.Queue"]
    assert [(entry.text, entry.rank) for entry in throughput.rows[0][1:]] == [("5.00M", 1), (NOTHING, 0), ("50.0x", 0)]
    assert throughput.rows[1][2].rank == 1  # the best of those that can
    assert [entry.text for entry in trips.rows[0]] == ["Ring", "1.00", "2.00", "3.00", "4.00", "50.0x"]
    assert {row[1].rank for row in wakeups.rows} == {1}  # all the same
    assert wakeups.rows[0][2].text == NOTHING  # only two of three repeats had a p90
    assert [entry.text for entry in locks.rows[0]] == ["mp.Lock", "41.0", NOTHING, NOTHING, NOTHING, "1x"]


def test_what_was_not_measured_says_why():
    assert reasons(make_report()) == [
        ("Ring, throughput 64 KiB", "message size limit 8192 B"),
        ("mp.Lock, handoff", "it broke"),
    ]


def test_advice_follows_from_the_figures():
    answers = dict(advice(make_report()))
    assert answers["Throughput, 64 B"] == "Ring: 5.00 M messages/s; other than a ring, Pipe: 500 k"
    assert answers["Throughput, 64 KiB"].startswith("Pipe: 40.0 k messages/s")
    assert answers["Quick answer, 64 B"] == "Ring: 1.00 µs, 50.0x faster than mp.Queue"
    assert answers["Waking a sleeper"].startswith(("Ring or Pipe", "Ring, Pipe", "Pipe"))
    assert answers["A lock"] == "mp.Lock: 41.0 ns"


def test_the_printed_report_is_plain_and_fits_eighty_columns(monkeypatch):
    for variable in ("COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    text = io.StringIO()
    print_report(make_report(), text)
    printed = text.getvalue()
    assert "\x1b" not in printed
    assert max(map(len, printed.splitlines())) <= 80
    assert re.search(r"Ring +5\.00M #1 +\N{EN DASH} +50\.0x", printed)
    assert "Ring, throughput 64 KiB: message size limit 8192 B" in printed
    assert printed.rstrip().endswith("mp.Lock: 41.0 ns")


def test_a_table_of_many_sizes_is_printed_in_parts_and_no_figure_is_cut(monkeypatch):
    for variable in ("COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    report = make_report()
    sizes = [64 << exponent for exponent in range(1, 10)]
    report.cells += [Cell("Pipe", THROUGHPUT, size, {"rate": [4.0 * size]}, [9]) for size in sizes]
    text = io.StringIO()
    print_report(report, text)
    throughput = text.getvalue().partition("One-way throughput")[2].partition("Round trip")[0]
    assert "\N{HORIZONTAL ELLIPSIS}" not in text.getvalue()
    assert max(map(len, throughput.splitlines())) <= 80
    assert re.findall(r"\d+ (?:B|KiB)", throughput)[1:] == [  # the first is the size that it is sorted by
        *("64 B", "128 B", "256 B", "512 B", "1 KiB", "2 KiB", "4 KiB"), *("8 KiB", "16 KiB", "32 KiB", "64 KiB"),
    ]  # fmt: skip
    assert len(re.findall("(?m)^Pipe ", throughput)) == 2


def test_the_last_column_is_explained_where_there_is_one():
    report = make_report()
    assert factor_sentence(sheets(report)).endswith("times better than mp.Queue or mp.Lock.")
    report.cells = [cell for cell in report.cells if cell.row != "mp.Queue"]
    assert factor_sentence(sheets(report)).endswith("times better than mp.Lock.")
    report.cells = [cell for cell in report.cells if cell.row != "mp.Lock"]
    assert factor_sentence(sheets(report)) == ""


def test_an_empty_report_prints_and_makes_a_page(spawn: Spawn):
    report = Report(environment=dict(ENVIRONMENT), settings={"placement_text": "free"}, interrupted=True)
    text = io.StringIO()
    print_report(report, text)
    assert "Interrupted" in text.getvalue()
    assert "Interrupted" in spawn(page_of, report.to_json()).result(timeout=120)


class _Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.tags, self.references = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.references += [value for key, value in attrs if key in {"src", "href", "data", "srcset"}]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, _attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere(spawn: Spawn) -> None:
    html = spawn(page_of, make_report().to_json()).result(timeout=120)  # matplotlib takes its time on a busy machine
    page = _Page()
    page.feed(html)
    assert page.open == []
    assert page.references == []
    assert not re.search(r"@import|url\((?!#)|<script", html)
    names = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}  # of name spaces, never fetched
    assert set(re.findall(r"https?://[^\"' ]+", html)) == names
    assert page.tags.count("svg") == 5
    assert "about &lt;Ring&gt;" in html
    assert "CPU &lt;1&gt;" in html
    assert "@media print" in html


def test_plots_have_room_for_the_names_of_many_rows(spawn: Spawn) -> None:
    """And lines by size are of those that were measured with more than one."""
    names = [f"row {number}" for number in range(45)]
    report = make_report()
    report.rows = {name: {"about": "one of many", "family": "pipe"} for name in (*names, "one size")}
    report.cells = [
        Cell(name, THROUGHPUT, size, {"rate": [1e5, 1e5, 1e5]}, [9, 9, 9]) for name in names for size in (64, 65536)
    ]
    report.cells.append(Cell("one size", THROUGHPUT, 64, {"rate": [1e5, 1e5, 1e5]}, [9, 9, 9]))
    html = spawn(page_of, report.to_json()).result(timeout=120)
    plot = html[html.index("<svg") : html.index("</svg>")]
    assert sorted(re.findall(r">(row \d+|one size)</text>", plot)) == sorted(names)
