"""`ipckit.inspect` beside lsfd(1) and lsns(8): the same descriptors, the same namespaces."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import Pipe
from ipckit.inspect._processes.scan import Scan
from ipckit.inspect.namespaces import ipc_namespaces, namespace_of
from ipckit.testing import pause
from tests.inspect.elsewhere import CLONE_NEWIPC, enter, tell, told_by
from tests.interop.conftest import SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ipckit.pipe import PipeWriter
    from ipckit.testing import Spawn
    from tests.interop.conftest import Program

HELD = {"pipe", "fifo", "memfd", "unix"}
FAMILIES = ("pipe", "fifo", "memfd", "socket")


def rows(program: Program) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = next(iter(json.loads(program.finish()).values()))
    return found


def namespaces(start: Callable[..., Program]) -> dict[int, dict[str, Any]]:
    """By their numbers. lsns(8) gives up, without a word, where any process of the machine ends while it looks."""
    while True:
        program = start("lsns", "--json", "-t", "ipc", package="util-linux")
        out, err = program.process.communicate(timeout=SECONDS)
        if program.process.returncode == 0:
            return {row["ns"]: row for row in json.loads(out)["namespaces"]}
        assert not err


def hold(writer: PipeWriter, path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with writer:
        pause("holding")
    os.close(fd)


def test_the_same_descriptors_as_lsfd(start: Callable[..., Program], spawn: Spawn, tmp_path: Path) -> None:
    path = str(tmp_path / "fifo")
    os.mkfifo(path)
    reader, writer = Pipe.create()
    memfd, fifo = os.memfd_create("beside-lsfd"), os.open(path, os.O_RDWR)
    with reader, writer:
        child = spawn(hold, writer, path)
        child.wait_reached("holding")
        pids = (os.getpid(), child.pid)
        wanted = {os.fstat(fd).st_ino for fd in (reader.fileno(), memfd, fifo)}
        columns = ("lsfd", "--json", "-o", "PID,FD,MODE,INODE", "-p", ",".join(map(str, pids)))
        theirs: dict[tuple[int, int], tuple[set[int], str]] = {}
        for row in rows(start(*columns, package="util-linux")):
            if row["fd"] is not None and row["inode"] in wanted:
                fds, mode = theirs.get((row["pid"], row["inode"]), (set(), ""))
                theirs[row["pid"], row["inode"]] = fds | {row["fd"]}, mode + row["mode"]
        scan = Scan.take(HELD)
        ours = {
            (holder.process.pid, thing.inode): holder
            for family in FAMILIES
            for thing, _, holders in scan.things(family)
            for holder in holders
            if holder.process.pid in pids and thing.inode in wanted
        }
        assert len(theirs) == 5  # the pipe and the FIFO in both, the memfd in one
        assert {key: set(holder.descriptors) for key, holder in ours.items()} == {
            key: fds for key, (fds, _) in theirs.items()
        }
        assert {key: set(holder.access) for key, holder in ours.items()} == {
            key: set(mode) & set("rw") for key, (_, mode) in theirs.items()
        }
        child.resume("holding")
    os.close(memfd)
    os.close(fifo)


def with_ipc_of_its_own(path: str) -> None:
    tell(path, enter(CLONE_NEWIPC) or namespace_of("self", "ipc"))


def test_the_same_namespaces_as_lsns(start: Callable[..., Program], spawn: Spawn, tmp_path: Path) -> None:
    with told_by(spawn, with_ipc_of_its_own, tmp_path) as (child, inode):
        listed = namespaces(start)
        if inode not in listed:
            pytest.skip("a process in a user namespace of its own may not be looked into here")
        ours = {found.inode: found for found in ipc_namespaces()}
        assert (listed[inode]["pid"], listed[inode]["nprocs"]) == (child.pid, 1)
        assert [process.pid for process in ours[inode].processes] == [child.pid]
        own = namespace_of("self", "ipc")
        assert own in listed
        assert next(iter(ours.values())).inode == own
