"""Rings and objects of synchronisation as they are found: while they live, when they die, where there is garbage."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import sync
from ipckit.errors import NotFoundError
from ipckit.inspect import find
from ipckit.inspect._own.segment_verdict import judge_segment
from ipckit.inspect.segments import Creator, Participant, Ring, Sync
from ipckit.ring import BroadcastRing, Latest, MpmcRing, SpscRing
from ipckit.testing import Child, pause
from tests.inspect.segment_files import HEADER, a_name, path_of, unscanned
from tests.nobody import WAS_ROOT, become_nobody

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn


def ring_of(name: str) -> Ring:
    record = find(f"ring:{name}")
    assert isinstance(record, Ring)
    return record


def sync_of(name: str) -> Sync:
    record = find(f"sync:{name}")
    assert isinstance(record, Sync)
    return record


@pytest.fixture
def name() -> Iterator[str]:
    with a_name() as name:
        yield name


@contextlib.contextmanager
def stopped(child: Child) -> Iterator[None]:
    child.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    try:
        yield
    finally:
        child.send_signal(signal.SIGCONT)


# --- rings: each is made and used by a child --------------------------------------------------------------------------


def use_spsc(name: str) -> None:
    with SpscRing.create(name, capacity=4096, oversize="fragments", on_consumer_gone="drop") as ring:
        ring.send(b"one")
        ring.send(b"three")
        assert ring.receive(timeout=1) == b"one"
        pause("made")


def use_mpmc(name: str) -> None:
    how = {"max_messages": 9, "participants": 5, "on_consumer_death": "lose", "on_consumer_gone": "drop"}
    with MpmcRing.create(name, capacity=4096, oversize="file", **how) as ring:
        ring.send(b"one")
        ring.send(b"three")
        assert ring.receive(timeout=1) == b"one"
        pause("made")


def use_broadcast(name: str) -> None:
    with BroadcastRing.create(name, capacity=4096, slow_reader="overwrite", oversize="file", participants=3) as ring:
        ring.subscribe()
        ring.send(b"one")
        ring.send(b"three")
        assert ring.receive(timeout=1) == b"one"
        pause("made")


def use_latest(name: str) -> None:
    with Latest.create(name, max_size=100, buffers=3) as latest:
        latest.send(b"one")
        latest.send(b"three")
        pause("made")


RINGS: dict[Any, dict[str, Any]] = {
    use_spsc: {
        "type": "SpscRing",
        "roles": ["producer", "consumer"],
        "choices": {"capacity": 4096, "oversize": "fragments", "on_consumer_gone": "drop"},
        "use": "1 message, 16 of 4096 bytes",
        "numbers": {"used": 16, "sent": 2, "received": 1, "bytes_sent": 8, "lost": 0, "recoveries": 0},
        "ends": ("open", "open"),
        "died": ("died", "died"),
    },
    use_mpmc: {
        "type": "MpmcRing",
        "roles": ["producer, consumer"],
        "choices": {
            "capacity": 4096,
            "max_messages": 9,
            "participants": 5,
            "on_consumer_death": "lose",
            "on_consumer_gone": "drop",
            "oversize": "file",
        },
        "use": "1 message, 16 of 4096 bytes",
        "numbers": {"used": 16, "depth": 1, "sent": 2, "received": 1, "bytes_sent": 8, "bytes_received": 3},
        "ends": ("open", "open"),
        "died": ("died", "died"),
    },
    use_broadcast: {
        "type": "BroadcastRing",
        "roles": ["producer, consumer"],
        "choices": {"capacity": 4096, "slow_reader": "overwrite", "oversize": "file", "participants": 3},
        "use": "1 message, 48 of 4096 bytes",
        "numbers": {"used": 48, "sent": 2, "received": 1, "bytes_sent": 8, "bytes_received": 3, "lost": 0},
        "ends": ("open", "open"),
        "died": ("died", "died"),
    },
    use_latest: {
        "type": "Latest",
        "roles": ["producer"],
        "choices": {"max_size": 100, "buffers": 3},
        "use": "value 2, 5 bytes",
        "numbers": {"used": 5, "sent": 2, "bytes_sent": 8, "recoveries": 0},
        "ends": ("open", None),
        "died": ("died", None),
    },
}


@pytest.mark.parametrize("use", RINGS, ids=lambda use: use.__name__[4:])
def test_a_ring_while_its_maker_uses_it_is_stopped_and_is_killed(use: Any, name: str, spawn: Spawn) -> None:
    wanted = RINGS[use]
    child = spawn(use, name)
    child.wait_reached("made")
    content = Path(path_of(name)).read_bytes()
    status = os.stat(path_of(name))

    record = ring_of(name)
    assert (record.type, record.layout, record.problem) == (wanted["type"], 2, "")
    assert (record.uid, record.gid, record.mode) == (os.geteuid(), status.st_gid, 0o600)
    assert (record.size, record.since) == (status.st_size, status.st_ctime)
    assert record.id is not None
    assert len(record.id) == 32
    assert record.creator is not None
    assert (record.creator.pid, record.creator.alive) == (child.pid, True)
    assert record.creator.command is not None
    assert [who.role for who in record.participants] == wanted["roles"]
    for who in record.participants:
        assert (who.pid, who.alive, who.pid_namespace) == (child.pid, True, os.stat("/proc/self/ns/pid").st_ino)
        assert who.started == pytest.approx(record.creator.started)
        assert who.command == record.creator.command
    assert record.choices == wanted["choices"]
    assert record.use == wanted["use"]
    assert record.depth == 1
    for field, number in wanted["numbers"].items():
        assert getattr(record.statistics, field) == number, field
    assert (record.producers_end, record.consumers_end) == wanted["ends"]
    assert record.pids == (child.pid,)
    assert record.verdict.state == "in use"
    assert str(child.pid) in record.verdict.reason
    assert record.aliases == ()
    # nobody notices
    assert Path(path_of(name)).read_bytes() == content
    assert os.stat(path_of(name)).st_mtime_ns == status.st_mtime_ns

    with stopped(child):
        assert ring_of(name).verdict.state == "in use"
        assert all(who.alive for who in ring_of(name).participants)

    child.kill()
    child.join()
    record = ring_of(name)
    assert record.creator is not None
    assert record.creator.alive is False
    assert [who.alive for who in record.participants] == [False] * len(wanted["roles"])
    assert (record.producers_end, record.consumers_end) == wanted["died"]
    assert record.verdict.state == "stale"
    assert record.verdict.reason == f"made by process {child.pid}, which is gone; nobody has it open"
    assert record.holders == ()


def test_who_only_reads_it_looks_and_has_it_not(name: str) -> None:
    """As every look does, for the looks of others."""
    with SpscRing.create(name, capacity=4096):
        assert ring_of(name).holders
    with open(path_of(name), "rb") as file, mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ):
        assert (ring_of(name).holders, ring_of(name).verdict.state) == ((), "idle")
        with open(path_of(name), "r+b"):
            assert (ring_of(name).pids, ring_of(name).verdict.state) == ((os.getpid(),), "in use")


def test_a_ring_that_nobody_has_is_idle_as_long_as_its_maker_runs(name: str) -> None:
    with SpscRing.create(name, capacity=4096) as ring:
        ring.send(b"one")
    record = ring_of(name)
    assert record.participants == ()
    assert (record.producers_end, record.consumers_end) == ("closed", "nobody yet")
    assert record.verdict == ("idle", f"nobody has it open; process {os.getpid()}, which made it, still runs")


def test_a_ring_that_somebody_unseen_has_is_in_use(name: str) -> None:
    with Latest.create(name, max_size=8):
        record = unscanned(name)
        assert record is not None
        assert record.holders == ()
        assert record.verdict.state == "in use"
        assert "could not be looked into" in record.verdict.reason


def close_all_and_stay(name: str) -> None:
    ring = SpscRing.create(name, capacity=4096)
    ring.send(b"one")
    os.close(ring.fileno())
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{fd}").startswith("/dev/shm"):
                os.close(int(fd))
    pause("closed")
    os._exit(0)


def test_whoever_maps_it_without_a_descriptor_has_it(name: str, spawn: Spawn) -> None:
    child = spawn(close_all_and_stay, name)
    child.wait_reached("closed")
    (holder,) = ring_of(name).holders
    assert (holder.process.pid, holder.descriptors, holder.mapped) == (child.pid, (), True)
    record = unscanned(name)
    assert record is not None
    assert (record.verdict.state, [who.alive for who in record.participants]) == ("in use", [True])
    child.resume("closed")


def use_anonymous(ring: SpscRing, mutex: sync.Mutex) -> None:
    with ring, contextlib.closing(mutex):
        ring.receive(timeout=5)
        mutex.acquire()
        pause("taken")
        mutex.release()


def test_rings_and_locks_without_a_name(spawn: Spawn) -> None:
    with SpscRing.create(capacity=4096) as ring, contextlib.closing(sync.Mutex.create()) as mutex:
        ring.send(b"one")
        child = spawn(use_anonymous, ring, mutex)
        child.wait_reached("taken")
        record = ring_of(f"[{os.fstat(ring.fileno()).st_ino}]")
        assert {who.pid for who in record.participants} == {os.getpid(), child.pid}
        assert set(record.pids) == {os.getpid(), child.pid}
        assert record.verdict.state == "in use"
        lock = sync_of(f"[{os.fstat(mutex.fileno()).st_ino}]")
        assert (lock.type, lock.use) == ("Mutex", f"held by process {child.pid}")
        child.resume("taken")
        child.join()
    with pytest.raises(NotFoundError):
        find(record.address)


# --- objects of synchronisation ---------------------------------------------------------------------------------------


def act(cls_name: str, name: str, how: dict[str, Any], action: str) -> None:
    """In a child: make an object, do something with it, and stay."""
    made = getattr(sync, cls_name).create(name, **how)
    ACTIONS[action](made)
    pause("done")
    os._exit(0)


def in_thread(function: Any) -> None:
    threading.Thread(target=function, daemon=True).start()


def wait_for(condition: sync.Condition) -> None:
    def wait() -> None:
        with condition:
            condition.wait()

    in_thread(wait)
    while not condition.n_waiting or condition.locked():  # it gives the mutex back once it is one of those who wait
        pass


def arrive(barrier: sync.Barrier) -> None:
    in_thread(barrier.wait)
    while not barrier.n_waiting:
        pass


ACTIONS: dict[str, Any] = {
    "nothing": id,
    "acquire": lambda made: made.acquire(),
    "twice": lambda made: (made.acquire(), made.acquire()),
    "read": lambda made: made.acquire_read(),
    "write": lambda made: made.acquire_write(),
    "set": lambda made: made.set(),
    "high": lambda made: made.set_high(),
    "wait": wait_for,
    "arrive": arrive,
    "count": lambda made: made.count_down(),
    "begin": lambda made: made.begin(),
    "add": lambda made: made.add(-7),
    "store": lambda made: made.store(9),
}

SYNCS: list[tuple[str, dict[str, Any], str, dict[str, Any], list[tuple[str, int | None]], str]] = [
    ("Mutex", {}, "nothing", {"owner_died": False, "lost": False, "contended": False}, [], "free"),
    ("Mutex", {"recursive": True}, "twice", {"choices": {"recursive": True, "priority_inheritance": False}},
     [("owner", 2)], "held by process PID"),
    ("Mutex", {"priority_inheritance": True}, "acquire", {}, [("owner", 1)], "held by process PID"),
    ("RWLock", {"readers": 5}, "read", {"choices": {"readers": 5}, "waiting": 0}, [("reader", 1)], "1 read"),
    ("RWLock", {}, "write", {}, [("owner", 1)], "held by process PID"),
    ("Condition", {"waiters": 7}, "wait", {"choices": {"waiters": 7}, "waiting": 1}, [("waiter", None)], "1 wait"),
    ("Semaphore", {"value": 3}, "acquire", {"value": 2, "limit": None}, [], "value 2"),
    ("Semaphore", {"value": 3, "bounded": True}, "acquire", {"value": 2, "limit": 3}, [], "2 of 3 permits left"),
    ("Semaphore", {"value": 3, "tracked": True, "holders": 4}, "twice",
     {"value": 1, "limit": 3, "choices": {"bounded": True, "holders": 4}}, [("holder", 2)], "1 of 3 permits left"),
    ("Barrier", {"parties": 3}, "arrive", {"waiting": 1, "broken": False}, [("party", None)], "1 of 3 parties wait"),
    ("Event", {"auto_reset": True}, "set", {"value": 1, "choices": {"auto_reset": True}}, [], "set"),
    ("Event", {}, "nothing", {"value": 0}, [], "clear"),
    ("EventPair", {}, "high", {"value": 2}, [], "low clear, high set"),
    ("Latch", {"count": 3}, "count", {"value": 2}, [], "2 left to count"),
    ("Once", {}, "nothing", {"value": 0}, [], "not done"),
    ("AtomicInt64", {}, "add", {"value": -7}, [], "value -7"),
    ("AtomicUInt64", {}, "store", {"value": 9}, [], "value 9"),
    ("Futex", {}, "store", {"value": 9}, [], "value 9"),
]  # fmt: skip


@pytest.mark.parametrize("case", SYNCS, ids=lambda case: f"{case[0]}-{case[2]}")
def test_an_object_of_synchronisation(case: Any, name: str, spawn: Spawn) -> None:
    cls_name, how, action, wanted, participants, use = case
    child = spawn(act, cls_name, name, how, action)
    child.wait_reached("done")
    record = sync_of(name)
    assert record.type == ("TrackedSemaphore" if how.get("tracked") else cls_name)
    assert (record.layout, record.problem, record.mode) == (2, "", 0o600)
    for field, value in wanted.items():
        assert getattr(record, field) == value, field
    assert [(who.role, who.held) for who in record.participants] == participants
    for who in record.participants:
        assert (who.pid, who.alive) == (child.pid, True)
        assert who.thread == (child.pid if who.role == "owner" else None)
    assert record.use == use.replace("PID", str(child.pid))
    assert record.verdict.state == "in use"
    assert record.creator is not None
    assert record.creator.pid == child.pid

    child.kill()
    child.join()
    record = sync_of(name)
    assert [who.alive for who in record.participants] == [False] * len(participants)
    assert record.verdict == ("stale", f"made by process {child.pid}, which is gone; nobody has it open")
    if participants and participants[0][0] == "owner":
        assert record.use == f"held by process {child.pid}, which is dead"


def test_the_table_has_all_classes() -> None:
    named = {case[0] for case in SYNCS} | {"TrackedSemaphore"}
    made = {name for name in sync.__all__ if hasattr(getattr(sync, name), "create")}
    assert made - named == set()


def test_what_the_death_of_an_owner_leaves(name: str, spawn: Spawn) -> None:
    with contextlib.closing(sync.Mutex.create(name)) as mutex:
        spawn(hold_and_die, mutex).join()
        assert mutex.acquire(timeout=5)
        record = sync_of(name)
        assert (record.owner_died, record.lost) == (True, False)
        assert record.use == f"held by process {os.getpid()}, owner died"
        mutex.release()
        record = sync_of(name)
        assert record.lost is True
        assert "lost" in record.use


def hold_and_die(mutex: sync.Mutex) -> None:
    mutex.acquire()
    os._exit(0)


def test_a_barrier_that_is_broken_and_a_once_that_is_done(name: str) -> None:
    with contextlib.closing(sync.Barrier.create(name, parties=2)) as barrier:
        barrier.abort()
        assert (sync_of(name).broken, sync_of(name).use) == (True, "0 of 2 parties wait, broken")
    os.unlink(path_of(name))
    with contextlib.closing(sync.Once.create(name)) as once:
        once.run(lambda: None)
        assert (sync_of(name).value, sync_of(name).use) == (1, "done")


# --- who may not look -------------------------------------------------------------------------------------------------


def look_as_nobody(name: str) -> None:
    find(f"ring:{name}")  # loads all modules, while they may be read
    become_nobody()
    record = find(f"ring:{name}")
    assert isinstance(record, Ring)
    assert (record.type, record.size, record.uid) == (None, HEADER + 4096 + 4096, 0)
    assert record.problem == "its mode 0600 forbids us to look into it"
    assert record.verdict == ("unknown", record.problem)
    assert (record.aliases, record.use) == ((f"sync:{name}",), "")
    assert find(f"sync:{name}").address == record.address


@pytest.mark.skipif(not WAS_ROOT, reason="only root can become another user")
def test_another_users_segment_is_told_as_far_as_stat_can(name: str, spawn: Spawn) -> None:
    with SpscRing.create(name, capacity=4096):
        spawn(look_as_nobody, name).result()
        with pytest.raises(NotFoundError):
            find(f"sync:{name}")  # by who may look, and sees that it is a ring


def test_a_creator_of_another_pid_namespace() -> None:
    def judge(alive: bool | None, *, may_run: bool, participants: tuple[Participant, ...] = ()) -> tuple[str, str]:
        creator = Creator(123, None, 0.0, 77, alive)
        return judge_segment(
            (),
            held=False,
            creator=creator,
            participants=participants,
            may_run=lambda namespace: may_run and namespace == 77,
        )

    assert judge(None, may_run=True)[0] == "unknown"
    assert "pid:[77]" in judge(None, may_run=True)[1]
    assert judge(None, may_run=False) == (
        "stale",
        "made by process 123, which is gone with its pid namespace; nobody has it open",
    )
    elsewhere = Participant("consumer", pid=9, pid_namespace=77, alive=False)
    assert judge(False, may_run=True, participants=(elsewhere,))[0] == "unknown"
