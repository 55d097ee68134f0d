"""The further loads: how they are named, asked for, and shown; how several processes answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ipckit.bench.compare import compare
from ipckit.bench.engine import Engine
from ipckit.bench.loads import Arrays, Crowd, Fan, Objects
from ipckit.bench.many_loops import Gate
from ipckit.bench.quantity import (
    ARRAY,
    ASLEEP,
    BESIDE,
    BY_KEY,
    CALL,
    CALLS,
    CROWD,
    FAN_COST,
    FAN_RATE,
    FURTHER,
    IDLE,
    OBJECTS,
    PAIR,
    ROUNDTRIP,
    THROUGHPUT,
)
from ipckit.bench.report import Cell, Report
from ipckit.bench.row import Caller, Channel, Lock
from ipckit.bench.settings import QUICK
from ipckit.bench.sheets import NOTHING, sheets


class Stream(Channel):
    name = "stream"


class Batches(Stream):
    name = "batches"
    batch = 10
    measures = (THROUGHPUT,)


class Signal(Stream):
    name = "signal"
    measures = (ROUNDTRIP,)
    payload = False


class Mutex(Lock):
    name = "mutex"


class Dicts(Objects):
    name = "dicts"


class Tables(Arrays):
    name = "tables"


class Shared(Crowd):
    name = "shared"


class Published(Fan):
    name = "published"


class Asked(Caller):
    name = "asked"


ROWS = [Stream, Batches, Signal, Mutex, Dicts, Tables, Shared, Published, Asked]


def questions(**changes):
    report = Engine(ROWS, {}, replace(QUICK, **changes)).report
    return {row.name: [(c.quantity, c.size) for c in report.cells if c.row == row.name] for row in ROWS}


def test_each_number_is_said_as_what_it_counts():
    assert [THROUGHPUT.at(1024), CROWD.at(4), FAN_COST.at(1), FAN_RATE.at(8)] == [
        "1 KiB", "4+4", "1 reader", "8 readers",
    ]  # fmt: skip
    assert [CALL.at(0), CALLS.at(1024)] == ["null", "1 KiB"]
    assert [ASLEEP.text(60_000), IDLE.text(0.5), CROWD.text(4.2e5)] == ["60.0 µs", "0.500 %", "420 k"]
    assert all(BY_KEY[quantity.key] is quantity for quantity in FURTHER)


def test_rows_measure_their_own_unless_the_settings_name_what_is_asked():
    usual = questions()
    assert {quantity for quantity, _ in usual["stream"]}.isdisjoint(FURTHER)
    assert usual["dicts"] == [(OBJECTS, None)]
    assert usual["shared"] == [(CROWD, 1), (CROWD, 2), (CROWD, 4)]
    assert usual["asked"] == [(CALLS, 0), (CALLS, 1024), (CALL, 0), (CALL, 1024)]
    named = questions(measures=("beside", "asleep", "idle", "array", "pair"), sizes=(64, 1 << 20))
    assert named["stream"] == [(BESIDE, None), (ASLEEP, None), (IDLE, None)]
    assert named["batches"] == []  # one call in a hundred has to wait: that says nothing of the GIL
    assert named["signal"] == [(ASLEEP, None), (IDLE, None)]
    assert named["mutex"] == [(PAIR, None)]
    assert named["tables"] == [(ARRAY, 64), (ARRAY, 1 << 20)]
    assert named["dicts"] == named["shared"] == []


def test_readers_come_and_none_goes_in_the_order_of_the_questions():
    asked = questions(measures=("fan cost", "fan rate"), readers=(1, 8))["published"]
    assert asked == [(FAN_COST, 1), (FAN_RATE, 1), (FAN_COST, 8), (FAN_RATE, 8)]
    assert (Fan.sides(8), Crowd.sides(4)) == ((1, 8), (4, 4))


def test_the_tables_show_them_in_their_units():
    report = Report(
        cells=[
            Cell("mp.Queue", CROWD, 1, {"rate": [1e5]}, [9]),
            Cell("shared", CROWD, 1, {"rate": [8e5]}, [9]),
            Cell("shared", CROWD, 4, {"rate": [7e5]}, [9]),
            Cell("mp.Queue", IDLE, None, {"use": [0.0]}, [1]),
            Cell("stream", IDLE, None, {"use": [0.25]}, [1]),
            Cell("tables", ARRAY, 1 << 20, {"p50": [4000.0], "p90": [5000.0]}, [9]),
            Cell("asked", CALLS, 0, {"rate": [2e4]}, [10]),
            Cell("asked", CALL, 0, {"p50": [50_000.0], "p90": [70_000.0]}, [10]),
        ]
    )
    found = {sheet.title.split(",")[0].split(":")[0]: sheet for sheet in sheets(report)}
    crowd = found["Many to many"]
    assert crowd.columns[:3] == ["", "1+1", "4+4"]
    assert [entry.text for entry in crowd.rows[0]][:3] == ["shared", "800k", "700k"]
    idle = found["Processor time of a receiver that waits"]
    assert idle.title.endswith(", %")
    assert [[entry.text for entry in row] for row in idle.rows] == [
        ["mp.Queue", "0", NOTHING],
        ["stream", "0.250", NOTHING],
    ]
    assert [entry.text for entry in found["Hand-off of an array"].rows[0]] == ["tables", "4.00"]
    assert [entry.text for entry in found["Remote procedure calls"].rows[0]] == ["asked", "20.0k"]
    call = found["Remote procedure call"]
    assert call.title.endswith("µs, null")
    assert [entry.text for entry in call.rows[0]] == ["asked", "50.0", "70.0", NOTHING, NOTHING]
    assert Report.from_json(report.to_json()) == report


def test_a_comparison_says_them_with_their_units():
    def report(use):
        return Report(
            environment={"host": "here", "cpu": "c", "kernel": "k"},
            settings={"placement": "cross"},
            cells=[
                Cell("stream", IDLE, None, {"use": [use] * 6}, [1] * 6),
                Cell("shared", CROWD, 2, {"rate": [use * 1e6] * 6}, [1] * 6),
            ],
        )

    found = {difference.what: difference for difference in compare(report(0.2), report(0.1)).differences}
    assert (found["idle"].old, found["idle"].new, found["idle"].better) == ("0.200 %", "0.100 %", True)
    assert (found["crowd 2+2"].old, found["crowd 2+2"].better) == ("200 k", False)


class Control:
    """The worker's end of what leads to the orchestrator, with the answers that lie in it."""

    def __init__(self, *answers):
        self.sent, self.answers = [], list(answers)

    def send(self, message):
        self.sent.append(message)

    def recv(self):
        if not self.answers:
            raise EOFError
        return self.answers.pop(0)


def test_a_gate_opens_when_the_orchestrator_says_so_or_has_gone():
    control = Control("go")
    gate = Gate(control)
    gate.tell()
    gate.wait()
    assert control.sent == [("ready", b".")]
    with pytest.raises(EOFError):
        gate.wait()
