"""`ipckit ls`: which objects it lists, for a person, a script and a terminal."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from ipckit import Pipe, PseudoTerminal, posix
from ipckit.cli.objects.kinds import NAMED
from ipckit.cli.terminal.progress import progress
from ipckit.inspect import KINDS
from ipckit.ring import SpscRing
from ipckit.testing import reached
from tests.cli.calling import whole, without_escapes

NAME = f"/test-ls-{os.getpid()}"
MEMORY, SEMAPHORE = f"shm:{NAME}", f"sem:{NAME}"


@pytest.fixture(autouse=True)
def objects():
    """Shared memory that this process has, and a semaphore that nobody has open."""
    with posix.SharedMemory.create(NAME, size=1536, unlink_on_close=True):
        posix.Semaphore.create(NAME, value=3).close()
        yield
        posix.Semaphore.unlink_name(NAME)


def rows_of(done):
    assert done.status == 0
    return {row["address"]: row for row in json.loads(done.out)["objects"]}


def test_text_has_a_line_for_each_object(ipckit):
    done = ipckit("ls", "shm", "sem")
    assert done.status == 0
    head, *lines = done.out.splitlines()
    assert head.split() == ["OBJECT", "STATE", "OWNER", "SIZE", "USE", "AGE", "HELD", "BY"]
    memory = next(line for line in lines if line.startswith(f"{MEMORY} "))
    assert re.search(rf"in use .* 1\.50 KiB .* \d+ s +{os.getpid()} ", memory)
    assert sum(line.startswith(f"{SEMAPHORE} ") for line in lines) == 1
    assert "\033" not in done.out


def test_json_tells_everything_and_what_could_not_be_seen(ipckit):
    done = ipckit("ls", "shm", "--json")
    row = rows_of(done)[MEMORY]
    assert (row["kind"], row["name"], row["state"], row["size"]) == ("shm", NAME, "in use", 1536)
    assert (row["uid"], row["mode"], row["pids"]) == (os.getuid(), "0600", [os.getpid()])
    assert 0 <= row["age"] < 60
    assert row["holders"][0]["mapped"] is True
    assert set(row["details"]) == {"allocated", "made_by"}
    document = json.loads(done.out)
    assert document["complete"] is True
    assert isinstance(document["unseen"], int)
    assert isinstance(document["notes"], list)
    assert done.err == ""


def test_csv_has_the_same_rows(ipckit):
    done = ipckit("ls", "posix", "--csv", "--sort", "address")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert {MEMORY, SEMAPHORE} <= {row["address"] for row in rows}
    assert [row["address"] for row in rows] == sorted(row["address"] for row in rows)


def test_a_process_and_a_user_narrow_it_down(ipckit, spawn):
    child = spawn(hold, NAME)
    child.wait_reached("open")
    assert rows_of(ipckit("ls", "shm", "--json", "--pid", child.pid)).keys() == {MEMORY}
    both = rows_of(ipckit("ls", "shm", "--json", "--pid", child.pid, "--pid", os.getpid()))
    assert set(both[MEMORY]["pids"]) == {os.getpid(), child.pid}
    child.kill()
    child.join()
    assert rows_of(ipckit("ls", "shm", "--json"))[MEMORY]["pids"] == [os.getpid()]
    mine = ipckit("ls", "shm", "--json", "--user", os.getuid())
    assert MEMORY in rows_of(mine)
    assert MEMORY not in rows_of(ipckit("ls", "shm", "--json", "--user", 54321))


def hold(name):
    with posix.SharedMemory.open(name):
        reached("open")
        signal.pause()


def test_without_an_owner_it_is_his_who_has_it(ipckit):
    reader, writer = Pipe.create()
    with reader, writer:
        address = f"pipe:[{os.fstat(reader.fileno()).st_ino}]"
        assert address in rows_of(ipckit("ls", "pipe", "--json", "--user", os.getuid()))
        assert address in rows_of(ipckit("ls", "pipe", "--json", "--pid", os.getpid()))
        assert address not in rows_of(ipckit("ls", "pipe", "--json", "--user", 54321))


def make_and_wait(name):
    SpscRing.create(name)
    reached("made")
    signal.pause()


def test_stale_lists_what_a_killed_process_left(ipckit, spawn):
    name = f"{NAME}-ring"
    child = spawn(make_and_wait, name)
    child.wait_reached("made")
    assert f"ring:{name}" not in rows_of(ipckit("ls", "--stale", "--json"))
    child.kill()
    child.join()
    try:
        row = rows_of(ipckit("ls", "--stale", "--json"))[f"ring:{name}"]
        assert (row["state"], row["pids"]) == ("stale", [])
        assert f"ring:{name}" in ipckit("ls", "ring", "--stale").out
        assert ipckit("ls", "--stale", "--exit-code").status == 3
    finally:
        SpscRing.unlink_name(name)


def test_stale_leaves_out_all_that_is_not_provably_so(ipckit):
    assert {MEMORY, SEMAPHORE}.isdisjoint(rows_of(ipckit("ls", "posix", "--stale", "--json")))
    assert ipckit("ls", "posix", "--stale", "--exit-code").status == 0, "no object of another is ever stale"
    assert ipckit("ls", "shm", "--exit-code").status == 3


def test_named_kinds_are_those_that_can_be_left_behind():
    assert {"ring", "mq", "sysv-shm", "fifo"} <= set(NAMED)
    assert {"pipe", "unix", "futex"} <= set(KINDS) - set(NAMED)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["mqs"], "there is no kind 'mqs' here; there are: ring"),
        (["--all", "mq"], "--all is all kinds"),
        (["--watch", "mq"], "put the kind in front of it, as in ls mq --watch"),
        (["--watch", "0"], "must be at least 0.1 s"),
        (["--watch", "soon"], "a time is a number"),
        (["--watch", "--json"], "--watch goes with neither"),
        (["--user", "no such user"], "there is no user 'no such user'"),
        (["--sort", "colour"], "invalid choice"),
        (["--columns", "colour"], "there is no column 'colour'"),
    ],
)
def test_wrong_usage_is_status_2_and_a_sentence(ipckit, words, sentence):
    done = ipckit("ls", *words)
    assert (done.status, done.out) == (2, "")
    assert sentence in done.err


@pytest.mark.slow
def test_on_a_terminal_it_has_colours_and_fits(terminal):
    long = f"{NAME}-{'x' * 60}"
    with posix.SharedMemory.create(long, size=1, unlink_on_close=True):
        text, status = whole(terminal("ls", "shm", "--pid", os.getpid(), columns=60))
        assert status == 0
        plain = [line for line in without_escapes(text).splitlines() if line.startswith(("OBJECT", "shm:"))]
        assert max(map(len, plain)) <= 60
        assert "\033[1mOBJECT\033[m" in text
        assert "\033[32min use\033[m" in text
        assert any(re.match(r"shm:/\S*…x+  in use", line) for line in plain)
        monochrome, _ = whole(terminal("ls", "shm", columns=60, NO_COLOR="1"))
        assert "\033[" not in monochrome
        dumb, _ = whole(terminal("ls", "shm", term="dumb"))
        assert "\033[" not in dumb
    in_a_pipe = subprocess.run(
        [sys.executable, "-m", "ipckit", "ls", "shm"], capture_output=True, text=True, check=True, timeout=30
    )
    assert "\033" not in in_a_pipe.stdout
    assert f"{MEMORY}  " in in_a_pipe.stdout


@pytest.mark.slow
def test_watch_draws_in_place_and_gives_the_screen_back(terminal):
    ours = ("--pid", os.getpid())  # all that there is may be more than fits
    process = terminal("ls", "shm", "--watch", "0.1", *ours, "--columns", "address,size", columns=100, rows=60)
    before = process.read_until(f"{MEMORY}".encode(), timeout=30).decode()
    assert "\033[?1049h" in before
    assert process.window_size.columns == 100
    with posix.SharedMemory.create(f"{NAME}-new", size=5, unlink_on_close=True):
        process.read_until(f"{MEMORY}-new  ".encode(), timeout=30)
    process.write(b"\x03")
    rest, status = whole(process)
    assert status == 130
    assert rest.endswith("\033[?7h\033[?25h\033[?1049l")
    assert "Traceback" not in rest


@pytest.mark.slow
def test_watch_around_a_stop_shows_the_other_screen_only_while_it_runs(terminal):
    process = terminal("ls", "shm", "--watch", "0.1", columns=100)
    process.read_until(b"\033[J", timeout=30)
    process.write(b"\x1a")
    process.read_until(b"\033[?1049l", timeout=30)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    process.send_signal(signal.SIGCONT)
    process.read_until(b"\033[?1049h", timeout=30)
    process.write(b"\x03")
    assert whole(process)[1] == 130


@pytest.mark.slow
def test_watch_in_a_pipe_prints_what_changed():
    command = [sys.executable, "-m", "ipckit", "ls", "shm", "--watch", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            until(process, rf"\+ {MEMORY}  in use")
            with posix.SharedMemory.create(f"{NAME}-new", size=5, unlink_on_close=True):
                until(process, rf"\+ {MEMORY}-new  in use")
            until(process, rf"- {MEMORY}-new$")
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


def until(process, pattern):
    for line in process.stdout:
        if re.search(pattern, line):
            return
    pytest.fail(f"it ended before {pattern}")


def test_progress_is_for_a_terminal_and_leaves_no_trace(capsys, monkeypatch):
    with progress("looking") as show:
        assert show is None
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("ipckit.cli.terminal.progress._PATIENCE", 0.0)
    master, side = PseudoTerminal.create()
    with master, side, open(side.blocking_descriptor(), "w") as file:
        monkeypatch.setattr(sys, "stderr", file)
        with progress("looking") as show:
            show(3, 10)
            show(4, 10)  # too early for another line
        monkeypatch.undo()
        assert master.read_until(b"\033[K", timeout=10) == b"\rlooking: 3 of 10\033[K"
        assert master.read_until(b"\033[K", timeout=10) == b"\r\033[K"
        assert master.try_read(100) is None


@pytest.mark.slow
def test_many_objects_stream():
    names = [f"{NAME}-{number}" for number in range(2000)]
    try:
        for name in names:
            posix.SharedMemory.create(name, size=1).close()
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "ipckit", "ls", "shm", "--columns", "address", "--no-header"],
            capture_output=True,
            text=True,
            check=True,
            timeout=50,
        )
        assert {f"shm:{name}" for name in names} <= set(done.stdout.split())
        assert time.monotonic() - started < 50
    finally:
        for name in names:
            posix.SharedMemory.unlink_name(name)


def test_a_process_that_is_not_there_is_told(ipckit, spawn):
    child = spawn(os.getpid)
    pid = child.result()
    child.join()
    done = ipckit("ls", "--pid", pid)
    assert (done.status, done.out, done.err) == (1, "", f"ipckit: there is no process {pid}\n")


@pytest.mark.slow
def test_other_ipc_namespaces_are_told():
    command = ["unshare", "--ipc", sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as other:
        if other.stdout.readline() != "\n":
            pytest.skip("this user may not unshare an IPC namespace")
        done = subprocess.run(
            [sys.executable, "-m", "ipckit", "ls", "mq", "--json"],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        found = json.loads(done.stdout)["other_ipc_namespaces"]
        assert any(other.pid in namespace["pids"] for namespace in found)
        words = subprocess.run(
            [sys.executable, "-m", "ipckit", "ls", "mq"], capture_output=True, text=True, check=True, timeout=30
        )
        assert re.search(r"other IPC namespaces? ha\w+ objects that are not listed \(.*process \d+", words.stderr)
        other.stdin.close()
