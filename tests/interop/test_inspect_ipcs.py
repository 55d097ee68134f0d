"""`ipckit.inspect` beside ipcs(1) and lsipc(1): the same objects, the same numbers, the same limits."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import inspect, sysv
from ipckit.inspect.limits import kernel_limits
from ipckit.inspect.sysv_memory import SystemVMemory
from ipckit.inspect.sysv_queues import SystemVQueue
from ipckit.inspect.sysv_semaphores import SystemVSet
from ipckit.testing import pause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipckit.testing import Spawn
    from tests.interop.conftest import Program

LIMITS = {
    "MSGMNI": "kernel.msgmni",
    "MSGMAX": "kernel.msgmax",
    "MSGMNB": "kernel.msgmnb",
    "SHMMNI": "kernel.shmmni",
    "SHMMAX": "kernel.shmmax",
    "SHMALL": "kernel.shmall",
    "SEMMNI": "kernel.sem:SEMMNI",
    "SEMMNS": "kernel.sem:SEMMNS",
    "SEMMSL": "kernel.sem:SEMMSL",
    "SEMOPM": "kernel.sem:SEMOPM",
    "SEMVMX": "SEMVMX",
}
NO_LIMIT = 1 << 62


@pytest.fixture
def lsipc(start: Callable[..., Program]) -> Callable[..., list[dict[str, Any]]]:
    def listed(*options: str) -> list[dict[str, Any]]:
        said = start("lsipc", "--json", "--bytes", *options, package="util-linux").finish()
        rows: list[dict[str, Any]] = next(iter(json.loads(said).values()))
        return rows

    return listed


@pytest.fixture
def ipcs(start: Callable[..., Program]) -> Callable[..., dict[int, list[str]]]:
    def listed(*options: str) -> dict[int, list[str]]:
        """The words of each line with a number in front or behind the key."""
        lines = start("ipcs", *options, package="util-linux").finish().decode().splitlines()
        words = [line.split() for line in lines]
        if any(line and line[0] == "key" for line in words):
            return {int(line[1]): line for line in words if line and line[0].startswith("0x")}
        return {int(line[0]): line for line in words if line and line[0].isdecimal()}

    return listed


@pytest.fixture
def key() -> int:
    return 0x1EE00000 + os.getpid() % 0x10000


def use_segment(number: int) -> None:
    with sysv.SharedMemory.open_id(number).attach():
        pause("attached")


def send(number: int) -> None:
    sysv.MessageQueue.open_id(number).send(b"hello")


def mine(kind: str, numbers: set[int]) -> Iterator[Any]:
    return (record for record in inspect.objects([kind]) if record.id in numbers)  # type: ignore[attr-defined]


def test_queues_agree(
    key: int, spawn: Spawn, lsipc: Callable[..., list[dict[str, Any]]], ipcs: Callable[..., dict[int, list[str]]]
) -> None:
    with (
        sysv.MessageQueue.create(key, mode=0o640, remove_on_close=True) as one,
        sysv.MessageQueue.create(remove_on_close=True) as other,
    ):
        spawn(send, one.id).result()
        one.send(b"abc")
        one.receive()
        found = {record.id: record for record in mine("sysv-mq", {one.id, other.id})}
        theirs = {int(row["id"]): row for row in lsipc("-q", "-o", "ID,KEY,USEDBYTES,MSGS,LSPID,LRPID,CUID", "-P")}
        plain, pids = ipcs("-q"), ipcs("-q", "-p")
        assert set(found) == {one.id, other.id}
        for number, record in found.items():
            assert isinstance(record, SystemVQueue)
            row = theirs[number]
            assert int(row["key"], 16) == record.key
            assert (int(row["usedbytes"]), int(row["msgs"])) == (record.queued_bytes, record.messages)
            assert (int(row["lspid"]), int(row["lrpid"])) == (record.send_pid or 0, record.receive_pid or 0)
            assert int(row["cuid"]) == record.creator_uid
            assert int(plain[number][0], 16) == record.key
            assert plain[number][3:] == [f"{record.mode:o}", str(record.queued_bytes), str(record.messages)]
            assert pids[number][-2:] == [str(record.send_pid or 0), str(record.receive_pid or 0)]


def test_sets_agree(
    key: int, start: Callable[..., Program], lsipc: Callable[..., list[dict[str, Any]]],
    ipcs: Callable[..., dict[int, list[str]]],
) -> None:  # fmt: skip
    with (
        sysv.SemaphoreSet.create(key, size=3, values=[1, 0, 2], remove_on_close=True) as one,
        sysv.SemaphoreSet.create(mode=0o600, remove_on_close=True) as other,
    ):
        found = {record.id: record for record in mine("sysv-sem", {one.id, other.id})}
        theirs, plain = {int(row["id"]): row for row in lsipc("-s", "-P")}, ipcs("-s")
        assert set(found) == {one.id, other.id}
        for number, record in found.items():
            assert isinstance(record, SystemVSet)
            assert int(theirs[number]["key"], 16) == int(plain[number][0], 16) == record.key
            assert int(theirs[number]["nsems"]) == int(plain[number][4]) == record.semaphores
            assert int(plain[number][3], 8) == record.mode
            details = start("ipcs", "-s", "-i", number, package="util-linux").finish().decode()
            each = re.findall(r"^(\d+) +(\d+) +(\d+) +(\d+) +(\d+) *$", details, re.MULTILINE)
            assert [tuple(map(int, line[1:])) for line in each] == list(
                zip(record.values, record.waiting, record.waiting_for_zero, record.last_pids, strict=True)  # type: ignore[arg-type]
            )


def test_segments_agree(
    key: int, spawn: Spawn, lsipc: Callable[..., list[dict[str, Any]]], ipcs: Callable[..., dict[int, list[str]]]
) -> None:
    with (
        sysv.SharedMemory.create(key, size=5000, mode=0o640, remove_on_close=True) as one,
        sysv.SharedMemory.create(size=1, remove_on_close=True) as other,
    ):
        child = spawn(use_segment, one.id)
        child.wait_reached("attached")
        found = {record.id: record for record in mine("sysv-shm", {one.id, other.id})}
        theirs = {int(row["id"]): row for row in lsipc("-m", "-o", "ID,KEY,PERMS,SIZE,NATTCH,CPID,LPID,UID", "-P")}
        plain, pids = ipcs("-m"), ipcs("-m", "-p")
        assert set(found) == {one.id, other.id}
        for number, record in found.items():
            assert isinstance(record, SystemVMemory)
            row = theirs[number]
            assert int(row["key"], 16) == int(plain[number][0], 16) == record.key
            assert int(str(row["perms"]), 8) == int(plain[number][3], 8) == record.mode
            assert (int(row["size"]), int(row["nattch"])) == (record.size, record.attached)
            assert plain[number][4:6] == [str(record.size), str(record.attached)]
            assert (int(row["cpid"]), int(row["lpid"])) == (record.creator_pid, record.last_pid or 0)
            assert pids[number][-2:] == [str(record.creator_pid), str(record.last_pid or 0)]
        assert found[one.id].pids == (child.pid,)


def test_limits_agree(lsipc: Callable[..., list[dict[str, Any]]]) -> None:
    theirs = {row["resource"]: row for row in lsipc("--global")}
    ours = {limit.name: limit for limit in kernel_limits(processes=False)}
    compared = set(theirs) & set(LIMITS)
    assert len(compared) >= 9
    for resource in compared:
        value = int(theirs[resource]["limit"])
        assert (ours[LIMITS[resource]].value or NO_LIMIT) == min(value, NO_LIMIT), resource
