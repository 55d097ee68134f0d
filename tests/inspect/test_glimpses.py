"""Two who look at the same time: neither takes the other one for a user of what both look at."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import Memfd, inspect, posix
from ipckit._glimpse import GLIMPSE
from ipckit._names import unique_name
from ipckit.errors import NotFoundError
from ipckit.inspect import Record
from ipckit.inspect._own.opening import opened
from ipckit.inspect._queue_folder import queue_folder

if TYPE_CHECKING:
    from collections.abc import Callable


def inode_of_queue(name: str) -> int:
    with posix.MessageQueue.open(name) as queue:
        return os.fstat(queue.fileno()).st_ino


def inode_of_semaphore(name: str) -> int:
    return os.stat(f"/dev/shm/sem.{name[1:]}").st_ino


KINDS: dict[str, tuple[Any, Callable[[str], int]]] = {
    "mq": (posix.MessageQueue, inode_of_queue),
    "sem": (posix.Semaphore, inode_of_semaphore),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_nobody_has_is_had_by_nobody_while_another_one_looks(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, inode_of = KINDS[kind]
    with queue_folder() as folder:
        if kind == "mq" and folder is None:
            pytest.skip("the mqueue file system is mounted nowhere, and we may not mount it")
    name = unique_name()
    made.create(name).close()
    inode, pread = inode_of(name), os.pread
    meanwhile: list[Record] = []

    def look_meanwhile(fd: int, *what: int) -> bytes:
        if os.fstat(fd).st_ino == inode:
            monkeypatch.undo()
            meanwhile.append(inspect.find(f"{kind}:{name}"))
        return pread(fd, *what)

    try:
        monkeypatch.setattr(os, "pread", look_meanwhile)
        assert inspect.find(f"{kind}:{name}").holders == ()
    finally:
        with suppress(NotFoundError):
            made.unlink_name(name)
    assert [record.holders for record in meanwhile] == [()]


def test_so_is_what_lies_beside_our_objects() -> None:
    path = Path(f"/dev/shm/ipckit.{unique_name()[1:]}")
    path.write_bytes(b"no segment")
    try:
        with opened(str(path)) as file:
            assert file is not None
            assert file.fd is not None
            assert inspect.find(f"file:{path.name}").holders == ()
            with open(path, "rb") as reader:
                (holder,) = inspect.find(f"file:{path.name}").holders
                assert holder.descriptors == (reader.fileno(),)
    finally:
        path.unlink()


def test_a_memory_file_is_had_by_its_users() -> None:
    with Memfd.create(size=4096) as memfd:
        looking = os.open(f"/proc/self/fd/{memfd.fileno()}", GLIMPSE)
        (holder,) = inspect.find(f"memfd:[{os.fstat(looking).st_ino}]").holders
        os.close(looking)
        assert holder.descriptors == (memfd.fileno(),)
