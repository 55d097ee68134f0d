"""`ipckit top`: rates from real statistics, and a terminal that is given back as it was."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import sys
import time
from contextlib import closing

import pytest

from ipckit.cli.objects.top_sampling import Sampler
from ipckit.cli.objects.top_table import ORDERS, ordered
from ipckit.inspect._queue_folder import queue_folder
from ipckit.posix import MessageQueue, Semaphore
from ipckit.pty import PseudoTerminal
from ipckit.ring import Latest, SpscRing
from ipckit.testing import wait_blocked
from tests.cli.calling import whole, without_escapes
from tests.cli.shell import ROOT

ENTER, LEAVE, HOME = b"\033[?1049h", b"\033[?1049l", b"\033[H"


def rows_of(sampler, *objects):
    """The rows of those objects by address, and the seconds since the last sample."""
    rows, elapsed = sampler.sample()
    wanted = {f"{kind}:{handle.name}" for kind, handle in objects}
    return {row.record.address: row for row in rows if row.record.address in wanted}, elapsed


@pytest.fixture
def ring():
    with SpscRing.create(f"/top-{os.getpid()}-{os.urandom(4).hex()}", unlink_on_close=True) as made:
        yield made


def send_and_receive(name, count):
    with SpscRing.open(name) as opened:
        for _ in range(count):
            opened.send(b"x" * 100)
            opened.receive()
        opened.send(b"stays")


def test_rates_are_what_was_sent_in_the_time(ring, spawn):
    sampler = Sampler(["ring"])
    found, elapsed = rows_of(sampler, ("ring", ring))
    (row,) = found.values()
    assert (elapsed, row.messages, row.size, row.change, row.depth, row.cpu) == (None, None, None, None, 0, None)
    spawn(send_and_receive, ring.name, 300).result()
    found, elapsed = rows_of(sampler, ("ring", ring))
    (row,) = found.values()
    assert row.messages * elapsed == pytest.approx(301)
    assert row.size * elapsed == pytest.approx(300 * 100 + 5)
    assert (row.depth, row.change) == (1, 1)
    found, elapsed = rows_of(sampler, ("ring", ring))
    (row,) = found.values()
    assert (row.messages, row.size, row.sleeps, row.change) == (0, 0, 0, 0)


def test_depths_of_the_kernels_objects():
    with (
        MessageQueue.create(unlink_on_close=True) as queue,
        closing(Semaphore.create(value=3, unlink_on_close=True)) as semaphore,
    ):
        sampler = Sampler(["mq", "sem"])
        with queue_folder() as folder:
            if folder is None:
                pytest.skip("this user may not list message queues here")
        rows_of(sampler)
        queue.send(b"1")
        queue.send(b"2")
        semaphore.acquire()
        found, _ = rows_of(sampler, ("mq", queue), ("sem", semaphore))
        assert (found[f"mq:{queue.name}"].depth, found[f"mq:{queue.name}"].change) == (2, 2)
        assert found[f"mq:{queue.name}"].messages is None
        assert (found[f"sem:{semaphore.name}"].depth, found[f"sem:{semaphore.name}"].change) == (2, -1)


def test_objects_come_and_go_and_another_one_has_the_name(ring):
    sampler = Sampler(["ring"])
    ring.send(b"x")
    rows_of(sampler, ("ring", ring))
    name = f"{ring.name}-other"
    with SpscRing.create(name, unlink_on_close=True) as first:
        for _ in range(5):
            first.send(b"x")
        (row,) = rows_of(sampler, ("ring", first))[0].values()
        assert row.messages is None
    assert rows_of(sampler, ("ring", first))[0] == {}
    with SpscRing.create(name, unlink_on_close=True) as second:
        rows_of(sampler, ("ring", second))
        second.unlink()
        with SpscRing.create(name, unlink_on_close=True) as third:
            third.send(b"x")
            (row,) = rows_of(sampler, ("ring", third))[0].values()
            assert (row.messages, row.depth) == (None, 1)


def burn(name):
    with SpscRing.open(name):
        while True:
            pass


@pytest.mark.slow
def test_processor_time_of_who_has_it(ring, spawn):
    child = spawn(burn, ring.name)
    sampler = Sampler(["ring"])
    end = time.monotonic() + 20
    while time.monotonic() < end:
        (row,) = rows_of(sampler, ("ring", ring))[0].values()
        if row.cpu and row.record.pids == tuple(sorted((os.getpid(), child.pid))):
            break
    assert row.cpu > 0
    child.kill()


def test_order(ring):
    with Latest.create(f"{ring.name}-busy", unlink_on_close=True) as busy:
        sampler = Sampler(["ring"])
        rows_of(sampler)
        ring.send(b"12345678")
        busy.send(b"1")
        busy.send(b"2")
        rows, _ = sampler.sample()
        ours = [row for row in rows if row.record.address.startswith(f"ring:{ring.name}")]

    def names(key, *, reverse=False):
        return [row.record.address for row in ordered(ours, key, reverse=reverse)]

    plain, other = f"ring:{ring.name}", f"ring:{ring.name}-busy"
    assert names("activity") == names("messages") == [other, plain]
    assert names("size") == names("address") == [plain, other]
    assert names("size", reverse=True) == [other, plain]
    assert all(sorted(names(key)) == [plain, other] for key in ORDERS)


def test_blocks_of_lines(ipckit, ring):
    done = ipckit("top", "ring", "--count", "2", "--interval", "0.1", "--sort", "address")
    assert done.status == 0
    blocks = done.out.split("\n\n")
    assert len(blocks) == 2
    for block in blocks:
        head, columns, *lines = block.splitlines()
        assert head.startswith("ipckit top, ")
        assert columns.split()[:4] == ["OBJECT", "STATE", "DEPTH", "CHANGE"]
        assert any(line.startswith(f"ring:{ring.name} ") for line in lines)
    assert "\033" not in done.out


@pytest.mark.slow
def test_json_and_csv(ipckit, ring):
    document = json.loads(ipckit("top", "ring", "--count", "1", "--interval", "0.1", "--json").out)
    (ours,) = [row for row in document["objects"] if row["address"] == f"ring:{ring.name}"]
    assert (ours["messages"], ours["depth"], ours["pids"]) == (0.0, 0, [os.getpid()])
    assert document["seconds"] >= 0.1
    rows = list(csv.DictReader(io.StringIO(ipckit("top", "ring", "--count", "2", "--interval", "0.1", "--csv").out)))
    assert [row["depth"] for row in rows if row["address"] == f"ring:{ring.name}"] == ["0", "0"]


@pytest.mark.parametrize("words", [("--interval", "0"), ("--count", "0"), ("--sort", "colour"), ("nothing",)])
def test_wrong_usage(ipckit, words):
    done = ipckit("top", *words)
    assert (done.status, done.out) == (2, "")


@pytest.fixture
def untouched(terminal):
    """The modes of a terminal on which nothing was changed."""
    process = terminal("--version")
    modes = process.attributes()
    whole(process)
    return modes


def until(process, wanted):
    """What it draws up to there."""
    return process.read_until(wanted, timeout=30)


def state(process):
    with open(f"/proc/{process.pid}/stat", encoding="utf-8") as file:
        return file.read().rpartition(")")[2].split()[0]


@pytest.mark.slow
def test_on_a_terminal(terminal, untouched, ring, spawn):
    process = terminal("top", "ring", "--interval", "0.2", rows=24, columns=160)
    assert until(process, b"q ends").startswith(ENTER)
    assert not process.canonical
    assert not process.echo
    until(process, ring.name.encode())
    spawn(send_and_receive, ring.name, 50)
    while True:  # in one of the next frames, what the child sent
        frame = without_escapes(until(process, HOME).decode())
        line = next((line for line in frame.splitlines() if line.startswith(f"ring:{ring.name} ")), "")
        if line.split("in use")[-1].split()[2:3] not in ([], ["0"], ["-"]):
            break
    process.write(b"s")
    until(process, b"by messages")
    process.write(b"r")
    until(process, b"by messages, reversed")
    process.write(b"q")
    rest, status = whole(process)
    assert status == 0
    assert rest.encode().endswith(LEAVE)
    assert process.attributes() == untouched


@pytest.mark.slow
def test_another_size_and_a_stop(terminal, untouched, ring):
    process = terminal("top", "ring", "--interval", "30", rows=5000, columns=160)  # for all that may be there
    until(process, ring.name.encode())
    process.set_window_size(24, 40)
    frame = until(process, b"q e")  # at once, not when the interval is over
    process.write(b"\x1a")
    until(process, LEAVE)
    end = time.monotonic() + 20
    while state(process) != "T" and time.monotonic() < end:
        pass
    assert process.attributes() == untouched
    process.send_signal(signal.SIGCONT)
    until(process, ENTER)
    until(process, HOME)
    assert HOME in frame
    process.write(b"q")
    assert whole(process)[1] == 0
    assert process.attributes() == untouched


DRAWS = """
import sys
from ipckit.cli.terminal.live import Live
with Live(sys.stdout) as live:
    live.draw(["x" * 100] * 2000)
"""


def test_a_stop_in_the_middle_of_a_frame_comes_behind_it():
    env = {**os.environ, "PYTHONPATH": str(ROOT), "LINES": "2000", "COLUMNS": "100"}
    with PseudoTerminal.spawn([sys.executable, "-c", DRAWS], env=env, echo=False) as process:
        wait_blocked(process.pid, "write", timeout=30)  # nobody reads what it draws
        process.send_signal(signal.SIGTSTP)
        frame = until(process, LEAVE)
        assert frame.count(b"x" * 100) == 2000
        end = time.monotonic() + 20
        while state(process) != "T" and time.monotonic() < end:
            pass
        process.send_signal(signal.SIGCONT)
        assert until(process, b"x").startswith(ENTER)
        assert whole(process)[1] == 0


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (None, 130)])
def test_signals_give_the_terminal_back(terminal, untouched, signum, status):
    process = terminal("top", "ring", "--interval", "30")
    until(process, b"q ends")
    if signum is None:
        process.write(b"\x03")
    else:
        process.send_signal(signum)
    rest, ended = whole(process)
    assert ended == status
    assert rest.encode().endswith(LEAVE)
    assert process.attributes() == untouched


@pytest.mark.slow
def test_it_ends_with_its_terminal(terminal):
    process = terminal("top", "ring", "--interval", "30")
    until(process, b"q ends")
    process.close()  # kills what does not end by itself
    assert process.returncode == 129


@pytest.mark.slow
@pytest.mark.parametrize(("words", "term"), [(["--plain"], "xterm"), ([], "dumb")])
def test_plain_on_a_terminal(terminal, ring, words, term):
    text, status = whole(terminal("top", "ring", "--interval", "0.1", "--count", "1", *words, term=term, columns=160))
    assert status == 0
    assert "\033[?" not in text
    assert f"ring:{ring.name}" in text
