"""Pseudo-terminals as they are found."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ipckit.inspect import find, objects
from ipckit.inspect.terminals import PseudoTerminal as Record
from ipckit.pty import PseudoTerminal
from tests.inspect.elsewhere import CLONE_NEWNS, enter, mount, tell, told_by
from tests.nobody import become_nobody

if TYPE_CHECKING:
    from pathlib import Path

    from ipckit.testing import Spawn


def found(path: str) -> Record:
    record = find(f"pty:{path}")
    assert isinstance(record, Record)
    return record


def ours() -> set[str]:
    """Those that this process has; the one that it was started from may be among them."""
    records = [record for record in objects(["pty"]) if os.getpid() in record.pids]
    return {record.path for record in records if isinstance(record, Record)}


def test_master_and_slave_in_one_process() -> None:
    before = ours()
    master, slave = os.openpty()
    path = os.ttyname(slave)
    record = found(path)
    status = os.fstat(slave)
    assert (record.path, record.masters, record.slaves) == (path, (os.getpid(),), (os.getpid(),))
    assert record.holders[0].descriptors == (master, slave)
    assert len(record.holders) == 1
    assert (record.uid, record.gid, record.mode) == (status.st_uid, status.st_gid, status.st_mode & 0o777)
    assert (record.session, record.foreground, record.use) == (None, None, "no session")
    assert record.verdict.state == "in use"
    os.close(slave)
    assert (found(path).masters, found(path).slaves) == ((os.getpid(),), ())
    os.close(master)
    assert ours() == before  # others may have its number now


def test_the_session_of_a_program() -> None:
    with PseudoTerminal.spawn(["sh", "-c", "echo ready; read answer"], echo=False) as program:
        assert program.read(timeout=20).strip() == b"ready"
        path = os.readlink(f"/proc/{program.pid}/fd/0")
        record = found(path)
        assert (record.masters, record.slaves) == ((os.getpid(),), (program.pid,))
        assert (record.session, record.foreground) == (program.pid, program.pid)
        assert record.use == f"session {program.pid}"
        program.write(b"\n")
        program.wait(timeout=20)


def test_a_slave_whose_master_is_closed_is_no_terminal_any_more() -> None:
    before = ours()
    master, slave = os.openpty()
    path = os.ttyname(slave)
    os.close(master)
    assert ours() == before
    other, again = os.openpty()
    if os.ttyname(again) == path:  # the number was given again
        assert found(path).holders[0].descriptors == (other, again)
    for fd in (slave, other, again):
        os.close(fd)


def look_as_nobody(path: str) -> tuple[str, str, tuple[int, ...], int | None]:
    found(path)  # loads all modules, while they may be read
    become_nobody()
    record = found(path)
    return record.verdict.state, record.verdict.reason, record.pids, record.uid


def test_it_is_in_use_though_nobody_can_be_seen_to_have_it(spawn: Spawn) -> None:
    if os.geteuid():
        pytest.skip("only root can become somebody else")
    master, slave = os.openpty()
    assert spawn(look_as_nobody, os.ttyname(slave)).result() == (
        "in use",
        "its master is open by a process that could not be looked into",
        (),
        0,
    )
    os.close(master)
    os.close(slave)


def with_terminals_of_its_own(path: str) -> None:
    if refusal := enter(CLONE_NEWNS) or mount("none", "/dev/pts", "devpts", 0, "newinstance,ptmxmode=666"):
        tell(path, refusal)
        return
    master = os.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
    tell(path, [sorted(name for name in os.listdir("/dev/pts") if name.isdecimal()), master])
    os.close(master)


def test_a_terminal_of_another_instance_is_foreign(spawn: Spawn, tmp_path: Path) -> None:
    with told_by(spawn, with_terminals_of_its_own, tmp_path) as (child, (names, master)):
        assert names == ["0"]
        records = [record for record in objects(["pty"]) if child.pid in record.pids]
        if not records:
            pytest.skip("a process in a user namespace of its own may not be looked into here")
        (record,) = records
        assert record.address == "pty:/dev/pts/0"
        assert record.verdict.state == "foreign"
        assert record.verdict.reason.startswith("it belongs to another /dev/pts; process")
        assert record.holders[0].descriptors == (master,)
