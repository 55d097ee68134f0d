"""Tables: text, JSON and CSV from one definition."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os

import pytest

from ipckit import PseudoTerminal
from ipckit.cli.terminal.screen import cells, cut, has_colours, printable, styled
from ipckit.cli.terminal.table import Column, Table

COLUMNS = (
    Column(key="name", header="NAME", help="its name", value=lambda row: row[0], cut="middle"),
    Column(key="size", header="SIZE", help="100 % of it", value=lambda row: row[1], right=True),
    Column(key="why", header="WHY", help="the reason", value=lambda row: row[2], cut="end", spare=True),
    Column(key="many", header="MANY", help="some numbers", value=lambda row: list(row[3]), extra=True),
    Column(
        key="marked", header="!", help="a mark", value=lambda row: row[1] is None, style=lambda _: "red", extra=True
    ),
)
TABLE = Table("things", "things", COLUMNS)
ROWS = [("beta", 20, "because", ()), ("alpha", 3, "", (1, 2)), ("gamma", None, "so", (3,))]


def parse(*words):
    parser = argparse.ArgumentParser(prog="things", exit_on_error=False)
    TABLE.add_options(parser)
    return parser.parse_args(words)


def printed(rows, *words, **more):
    file = io.StringIO()
    count = TABLE.print(rows, parse(*words), file=file, **more)
    assert count == len(list(rows))
    return file.getvalue()


def lines(rows, *words, **more):
    return list(TABLE.lines(rows, parse(*words), **more))


def test_text_is_aligned_and_has_no_space_at_the_end():
    assert printed(ROWS) == ("NAME   SIZE  WHY\nbeta     20  because\nalpha     3  -\ngamma     -  so\n")


def test_columns_are_chosen_ordered_and_added():
    assert printed(ROWS[1:2], "--columns", "many,name") == "MANY  NAME\n1, 2  alpha\n"
    assert printed(ROWS[:1], "--columns", "+marked").splitlines()[0].split() == ["NAME", "SIZE", "WHY", "!"]
    assert printed(ROWS[:1], "--columns", "all").splitlines()[0].split() == ["NAME", "SIZE", "WHY", "MANY", "!"]
    assert printed(ROWS[2:], "--columns", "marked", "--no-header") == "yes\n"


@pytest.mark.parametrize("wrong", ["nothing", "name,nothing", "", ","])
def test_a_column_that_is_none_is_named_with_those_that_are(wrong):
    with pytest.raises(argparse.ArgumentError, match="there are: name, size, why, many, marked"):
        parse("--columns", wrong)


def test_sorting_puts_the_unknown_last_either_way():
    assert [row[0] for row in TABLE.sorted(ROWS, parse("--sort", "size"))] == ["alpha", "beta", "gamma"]
    assert [row[0] for row in TABLE.sorted(ROWS, parse("--sort", "size", "--reverse"))] == ["beta", "alpha", "gamma"]
    assert [row[0] for row in TABLE.sorted(ROWS, parse("--reverse"))] == ["gamma", "alpha", "beta"]
    assert TABLE.sorted(ROWS, parse()) is ROWS


def test_json_has_all_columns_and_the_ending():
    document = json.loads(printed(ROWS, "--json", ending=lambda: {"unseen": 2}))
    assert document == {
        "document": "ipckit things",
        "version": 1,
        "things": [
            {"name": "beta", "size": 20, "why": "because", "many": [], "marked": False},
            {"name": "alpha", "size": 3, "why": "", "many": [1, 2], "marked": False},
            {"name": "gamma", "size": None, "why": "so", "many": [3], "marked": True},
        ],
        "complete": True,
        "unseen": 2,
    }
    assert json.loads(printed([], "--json"))["things"] == []
    assert json.loads(printed(ROWS[:1], "--json", "--columns", "size"))["things"] == [{"size": 20}]


def test_csv_has_all_columns():
    rows = list(csv.DictReader(io.StringIO(printed(ROWS, "--csv"))))
    assert rows[1] == {"name": "alpha", "size": "3", "why": "", "many": "1 2", "marked": "false"}
    assert (rows[2]["size"], rows[2]["marked"]) == ("", "true")
    assert printed(ROWS[:1], "--csv", "--no-header", "--columns", "name") == "beta\n"


def failing():
    yield ROWS[0]
    raise KeyboardInterrupt


@pytest.mark.parametrize("words", [(), ("--json",), ("--csv",)])
def test_what_there_is_is_printed_before_the_interruption_goes_on(words):
    file = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        TABLE.print(failing(), parse(*words), file=file)
    assert "beta" in file.getvalue()
    if words == ("--json",):
        document = json.loads(file.getvalue())
        assert (len(document["things"]), document["complete"]) == (1, False)


class Endless:
    """Rows without end that count how many were taken."""

    def __init__(self):
        self.taken = 0

    def __iter__(self):
        while True:
            self.taken += 1
            yield ("name", self.taken, "why", ())


def test_rows_are_printed_while_they_come_and_not_kept():
    rows = Endless()
    text = TABLE.lines(rows, parse())
    for _ in range(5000):
        next(text)
    assert rows.taken < 5002
    assert next(text).split()[1] == "5000"


def test_lines_fit_the_terminal_and_short_cells_stay_whole():
    rows = [("/run/" + "x" * 100 + "/end", 1, "word " * 20, ()), ("short", 22, "fine", ())]
    for width in (70, 40, 30):
        found = lines(rows, width=width)
        assert max(map(cells, found)) <= width
        assert found[1].startswith("/run/x")
        assert "…" in found[1]
        assert found[2].startswith("short ")
    assert "x" * 100 in lines(rows)[1]
    assert lines(ROWS, width=200) == lines(ROWS)


def test_spare_columns_go_where_there_is_no_room_and_this_is_told():
    rows = [("a" * 30, 1, "b" * 30, ())]
    told = []
    found = lines(rows, width=24, on_left_out=told.append)
    assert told == [["why"]]
    assert found[0].split() == ["NAME", "SIZE"]
    named = lines(rows, "--columns", "name,size,why", width=24, on_left_out=told.append)
    assert named[0].split() == ["NAME", "SIZE", "WHY"]
    assert len(told) == 1


def test_colours_take_no_room():
    plain = lines(ROWS, "--columns", "marked,name")
    coloured = lines(ROWS, "--columns", "marked,name", colours=True)
    assert coloured[1] == "\033[31mno\033[m   beta"
    assert plain[1] == "no   beta"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ä 日", "plain ä 日"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        (os.fsdecode(b"caf\xe9"), r"caf\xe9"),
        ("\u202e", r"\u202e"),
        ("\x9b", r"\x9b"),
    ],
)
def test_a_name_cannot_write_on_the_terminal(text, shown):
    assert printable(text) == shown
    assert lines([(text, 1, "", ())], "--columns", "name")[1] == shown


def test_cutting_counts_columns_of_the_terminal():
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdef", 5) == "ab…ef"
    assert cut("abcdef", 4) == "ab…f"
    assert cut("abcdef", 1) == "…"
    assert cut("abcdef", 0) == ""
    assert cut("日本語日本語", 7) == "日…語"
    assert cells(cut("日本語日本語", 8)) <= 8
    assert cells("e\u0301") == 1


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_colours_are_for_terminals_that_know_them(monkeypatch, environment, wanted):
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert not has_colours(io.StringIO())
    master, side = PseudoTerminal.create()
    with master, side, open(side.blocking_descriptor(), "w") as file:
        assert has_colours(file) == wanted
    assert styled("", "red", colours=True) == ""


def test_help_lists_the_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    parser = argparse.ArgumentParser(prog="things", description="word " * 30, epilog="At the end.")
    TABLE.add_options(parser)
    text = parser.format_help()
    assert "At the end.\n\ncolumns, with * the usual ones:\n  name   * its name\n  size   * 100 % of it\n" in text
    assert "  many     some numbers\n" in text
    assert max(map(len, text.splitlines())) <= 80
