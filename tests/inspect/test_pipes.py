"""Pipes as they are found: their ends, and what can be said of them."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from ipckit import Pipe
from ipckit.errors import NotFoundError
from ipckit.inspect import find, objects
from ipckit.inspect.pipes import Pipe as Record
from ipckit.testing import pause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.pipe import PipeReader, PipeWriter
    from ipckit.testing import Spawn


@pytest.fixture
def pipe() -> Iterator[tuple[PipeReader, PipeWriter]]:
    reader, writer = Pipe.create()
    with reader, writer:
        yield reader, writer


def address_of(fd: int) -> str:
    return f"pipe:[{os.fstat(fd).st_ino}]"


def found(address: str) -> Record:
    record = find(address)
    assert isinstance(record, Record)
    return record


def hold(end: PipeReader | PipeWriter) -> None:
    with end:
        pause("holding")


def test_both_ends_in_one_process(pipe: tuple[PipeReader, PipeWriter]) -> None:
    reader, writer = pipe
    writer.write(b"abc")
    record = found(address_of(reader.fileno()))
    assert record.readers == record.writers == record.pids == (os.getpid(),)
    assert record.holders[0].descriptors == tuple(sorted((reader.fileno(), writer.fileno())))
    assert (record.waiting, record.size) == (3, fcntl.fcntl(reader.fileno(), fcntl.F_GETPIPE_SZ))
    assert record.use == "3 bytes wait, 1 reader, 1 writer"
    assert record.verdict.state == "in use"
    assert "nobody" not in record.verdict.reason
    assert record.inode == os.fstat(reader.fileno()).st_ino
    assert reader.read() == b"abc"  # it was looked at, and nothing was taken


def test_an_end_in_a_child(pipe: tuple[PipeReader, PipeWriter], spawn: Spawn) -> None:
    reader, writer = pipe
    address = address_of(reader.fileno())
    child = spawn(hold, writer)
    child.wait_reached("holding")
    assert set(found(address).writers) == {os.getpid(), child.pid}
    writer.close()
    record = found(address)
    assert (record.readers, record.writers) == ((os.getpid(),), (child.pid,))
    child.kill()
    child.join()
    record = found(address)
    assert (record.readers, record.writers) == ((os.getpid(),), ())
    assert "nobody can write, and nothing will ever arrive" in record.verdict.reason
    assert (", as far as can be seen" in record.verdict.reason) == (record.unseen > 0)
    assert record.use == "0 bytes wait, 1 reader, no writer"


def test_a_pipe_that_nobody_can_read(pipe: tuple[PipeReader, PipeWriter]) -> None:
    reader, writer = pipe
    reader.close()
    record = found(address_of(writer.fileno()))
    assert (record.readers, record.writers) == ((), (os.getpid(),))
    assert "nobody can read what is written" in record.verdict.reason


def test_what_waits_is_not_known_of_pipes_of_others(pipe: tuple[PipeReader, PipeWriter], spawn: Spawn) -> None:
    """To ask, one would have to become a reader: then the child's write would not fail when its reader is gone."""
    reader, writer = pipe
    address = address_of(reader.fileno())
    child = spawn(hold, reader)
    child.wait_reached("holding")
    writer.write(b"abc")
    own = os.dup(reader.fileno())
    reader.close()
    writer.close()
    assert found(address).waiting == 3
    os.close(own)
    record = found(address)
    assert (record.waiting, record.size, record.readers) == (None, None, (child.pid,))
    assert record.use == "1 reader, no writer"
    child.kill()
    child.join()
    with pytest.raises(NotFoundError):
        find(address)


def test_pipes_are_listed_and_others_are_not(pipe: tuple[PipeReader, PipeWriter]) -> None:
    records = list(objects(["pipe"]))
    assert {record.kind for record in records} == {"pipe"}
    assert address_of(pipe[0].fileno()) in {record.address for record in records}
    assert len({record.address for record in records}) == len(records)
