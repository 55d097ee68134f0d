"""FIFOs as they are found while they are open."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import NotFoundError
from ipckit.inspect import find
from ipckit.inspect._processes.scan import Scan
from ipckit.inspect.fifos import Fifo as Record
from ipckit.inspect.fifos import collect
from ipckit.testing import pause

if TYPE_CHECKING:
    from pathlib import Path

    from ipckit.testing import Spawn


@pytest.fixture
def path(tmp_path: Path) -> str:
    made = str(tmp_path / "a fifo")
    os.mkfifo(made, 0o620)
    os.chmod(made, 0o620)
    return made


def found(path: str) -> Record:
    record = find(f"fifo:{path}")
    assert isinstance(record, Record)
    return record


def read_from(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    pause("open")
    os.close(fd)


def test_a_fifo_is_found_while_it_is_open(path: str) -> None:
    with pytest.raises(NotFoundError):
        find(f"fifo:{path}")
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    record = found(path)
    assert (record.path, record.mode, record.uid, record.gid) == (path, 0o620, os.getuid(), os.stat(path).st_gid)
    assert record.holders[0].descriptors == (fd,)
    assert (record.readers, record.writers, record.use) == ((os.getpid(),), (), "1 reader, no writer")
    assert "nobody has it open for writing" in record.verdict.reason
    assert record.verdict.state == "in use"
    assert record.age is not None
    assert record.age < 60
    os.close(fd)
    with pytest.raises(NotFoundError):
        find(f"fifo:{path}")


def test_readers_and_writers(path: str, spawn: Spawn) -> None:
    child = spawn(read_from, path)
    child.wait_blocked("openat")  # until there is a writer; a blocked open(2) has no descriptor yet
    writer = os.open(path, os.O_WRONLY)
    child.wait_reached("open")
    record = found(path)
    assert (record.readers, record.writers, record.use) == ((child.pid,), (os.getpid(),), "1 reader, 1 writer")
    child.kill()
    child.join()
    assert "nobody has it open for reading" in found(path).verdict.reason
    os.close(writer)


def test_a_path_alone_is_neither_end(path: str) -> None:
    fd = os.open(path, os.O_PATH)
    record = found(path)
    assert (record.readers, record.writers, record.pids) == ((), (), (os.getpid(),))
    assert record.use == "no reader, no writer"
    os.close(fd)


def test_both_ends_by_one_descriptor_and_a_name_that_is_gone(path: str) -> None:
    fd = os.open(path, os.O_RDWR)
    os.unlink(path)
    record = found(f"{path} (deleted)")
    assert record.readers == record.writers == (os.getpid(),)
    assert "nobody" not in record.verdict.reason
    os.close(fd)


def test_what_closes_after_the_look_is_left_out(path: str) -> None:
    fd = os.open(path, os.O_RDWR)
    scan = Scan.take({"fifo"})
    assert path in {record.name for record in collect(scan, "fifo")}
    os.close(fd)
    other = os.open(os.path.dirname(path), os.O_PATH)
    assert other == fd  # another file has the number now
    assert path not in {record.name for record in collect(scan, "fifo")}
    os.close(other)
