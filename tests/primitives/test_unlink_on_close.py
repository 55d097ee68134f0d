"""What `close` unlinks where it was told so: its own name, also with no descriptor left, and never a stranger's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import Fifo, Mapping, SpscRing, sync
from ipckit.posix import Semaphore, SharedMemory
from tests.primitives.test_no_descriptors import left

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Made = tuple[Any, str]
"""A handle, and where the file is that has its name."""


def a_fifo(folder: Path) -> Made:
    return Fifo.create(folder / "fifo", unlink_on_close=True), f"{folder}/fifo"


def a_mapping(folder: Path) -> Made:
    return Mapping.create(folder / "file", size=1, unlink_on_close=True), f"{folder}/file"


def a_segment(cls: Any) -> Callable[[Path], Made]:
    def make(folder: Path) -> Made:
        name = f"/unlink-on-close-{os.getpid()}-{folder.name}"
        return cls.create(name, unlink_on_close=True), f"/dev/shm/ipckit.{name[1:]}"

    return make


def a_semaphore(folder: Path) -> Made:
    name = f"/unlink-on-close-{os.getpid()}-{folder.name}"
    return Semaphore.create(name, unlink_on_close=True), f"/dev/shm/sem.{name[1:]}"


def shared_memory(folder: Path) -> Made:
    name = f"/unlink-on-close-{os.getpid()}-{folder.name}"
    return SharedMemory.create(name, size=1, unlink_on_close=True), f"/dev/shm{name}"


MAKERS = {
    "Fifo": a_fifo,
    "Mapping": a_mapping,
    "SpscRing": a_segment(SpscRing),
    "posix.Semaphore": a_semaphore,
    "posix.SharedMemory": shared_memory,
    "sync.Condition": a_segment(sync.Condition),
    "sync.Mutex": a_segment(sync.Mutex),
}
every = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


@every
def test_the_name_goes_also_with_no_descriptor_left(make: Callable[[Path], Made], tmp_path: Path) -> None:
    handle, path = make(tmp_path)
    with left(0):
        handle.close()
    assert not os.path.lexists(path)
    assert handle.closed


@every
@pytest.mark.parametrize("put", [os.mkdir, os.mkfifo, os.mknod])  # the last one makes an ordinary file
def test_what_has_the_name_by_now_stays_whatever_it_is(
    make: Callable[[Path], Made], put: Callable[[str], None], tmp_path: Path
) -> None:
    handle, path = make(tmp_path)
    os.unlink(path)
    put(path)
    try:
        handle.close()
        assert handle.closed
        assert os.path.lexists(path)
    finally:
        (os.rmdir if put is os.mkdir else os.unlink)(path)
