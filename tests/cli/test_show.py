"""`ipckit show`: everything that is known of objects, and the tree of processes that have them."""

from __future__ import annotations

import json
import os
import re
import signal
import sys

import pytest

from ipckit import posix
from ipckit.cli.objects.process_tree import Facts, facts_of, tree, walk
from ipckit.inspect import Holder, Process
from ipckit.testing import reached
from ipckit.testing import spawn as start
from tests.cli.calling import whole

NAME = f"/test-show-{os.getpid()}"
ADDRESS = f"shm:{NAME}"


@pytest.fixture(autouse=True)
def memory():
    with posix.SharedMemory.create(NAME, size=5000, unlink_on_close=True) as memory:
        yield memory


def test_text_tells_owner_use_verdict_and_who_has_it(ipckit):
    done = ipckit("show", ADDRESS)
    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[0] == ADDRESS
    fields = dict(re.fullmatch(r"  (\w+(?: \w+)*)  +(\S.*)", line).groups() for line in lines[1:6])
    assert fields["state"].startswith(f"in use: process {os.getpid()} (")
    assert re.fullmatch(rf"\S+ \(uid {os.getuid()}, gid \d+\), mode 0600", fields["owner"])
    assert fields["size"] == "4.88 KiB (5000 bytes)"
    assert re.search(r"^  since +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d, \d+ s ago$", done.out, re.MULTILINE)
    assert re.search(r"^  allocated +\d+ KiB \(\d+ bytes\)$", done.out, re.MULTILINE)
    own = next(index for index, line in enumerate(lines) if line.startswith(f"    {os.getpid()} "))
    assert "pytest" in lines[own] or "python" in lines[own]
    assert re.search(r"descriptors? [\d, ]+, mapped \(rw\); in /.*; since ", lines[own + 1])
    assert "\033" not in done.out


def hold(name):
    with posix.SharedMemory.open(name), start(hold_too, name) as child:
        child.wait_reached("open")
        reached("open")
        signal.pause()


def hold_too(name):
    with posix.SharedMemory.open(name):
        reached("open")
        signal.pause()


def test_json_has_the_tree_of_processes(ipckit, spawn):
    child = spawn(hold, NAME)
    child.wait_reached("open")
    done = ipckit("show", ADDRESS, "--json")
    assert done.status == 0
    document = json.loads(done.out)
    (shown,) = document["objects"]
    assert (shown["address"], shown["size"], shown["state"]) == (ADDRESS, 5000, "in use")
    processes = {process["pid"]: process for process in shown["processes"]}
    own = processes[os.getpid()]
    assert own["command"][0].startswith(sys.executable[:5])
    assert (own["folder"], own["has_it"]) == (os.getcwd(), True)
    (grandchild,) = set(shown["pids"]) - {os.getpid(), child.pid}
    assert processes[child.pid]["below"] == os.getpid()
    assert processes[grandchild]["below"] == child.pid
    text = ipckit("show", ADDRESS).out
    assert f"    └─ {child.pid} " in text
    assert f"       └─ {grandchild} " in text


def test_several_objects_and_one_that_is_not_there(ipckit):
    done = ipckit("show", ADDRESS, "mq:/no-such-queue", f"shm:{NAME[1:]}")
    assert done.status == 1
    assert done.out.count(f"{ADDRESS}\n") == 1, "two addresses of one object show it once"
    assert "ipckit: there is no mq:/no-such-queue\n" in done.err
    document = json.loads(ipckit("show", "mq:/no-such-queue", "--json").out)
    assert (document["objects"], document["missing"]) == ([], ["mq:/no-such-queue"])


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("shm:/ipckit.jobs", "files of such names are objects of ipckit, as ring:/jobs or sync:/jobs"),
        ("shm:/sem.jobs", "files of such names are semaphores, as sem:/jobs"),
        ("fifo:/no/such/fifo", "FIFOs that nobody has open are not looked for"),
    ],
)
def test_what_is_looked_for_in_the_wrong_place(ipckit, address, sentence):
    done = ipckit("show", address)
    assert (done.status, done.out) == (1, "")
    assert sentence in done.err


def test_what_is_no_address_is_wrong_usage(ipckit):
    done = ipckit("show", "jobs")
    assert (done.status, done.out) == (2, "")
    assert "an address is KIND:NAME" in done.err
    assert "Traceback" not in done.err
    assert ipckit("show").status == 2


def test_on_a_terminal_it_has_colours(terminal):
    text, status = whole(terminal("show", ADDRESS, columns=200))
    assert status == 0
    assert f"\033[1m{ADDRESS}\033[m" in text
    assert "\033[32min use\033[m: " in text


def made(parents, *holding):
    """The tree of these holders in a system of these parents, as lines."""
    holders = [Holder(Process(pid, "x", 0), (3,)) for pid in holding]
    roots = tree(holders, lambda pid: Facts(parent=parents.get(pid)))
    return [f"{before}{node.pid}{'' if node.holder else ' -'}" for before, _, node in walk(roots)]


def test_the_tree_keeps_holders_and_those_who_join_them():
    parents = {2: 1, 3: 2, 4: 2, 5: 3, 6: 3, 7: 6, 1: 0}
    assert made(parents, 5) == ["5"]
    assert made(parents, 5, 7) == ["3 -", "├─ 5", "└─ 7"]
    assert made(parents, 3, 7) == ["3", "└─ 7"]
    assert made(parents, 4, 5, 7) == ["2 -", "├─ 3 -", "│  ├─ 5", "│  └─ 7", "└─ 4"]
    assert made({10: 1, 20: 1, 1: 0}, 10, 20) == ["10", "20"], "process 1 joins everything, and so tells nothing"
    assert made({10: 1, 1: 0}, 1, 10) == ["1", "└─ 10"]
    assert made({}, 8) == ["8"], "one that is gone has no parent"
    assert made({pid: pid - 1 for pid in range(2, 5000)}, 4999, 1000) == ["1000", "└─ 4999"]


def test_facts_of_a_process_that_is_gone(spawn):
    child = spawn(os.getpid)
    pid = child.result()
    child.join()
    assert facts_of(pid) == Facts()
    own = facts_of(os.getpid())
    assert (own.parent, own.folder) == (os.getppid(), os.getcwd())
