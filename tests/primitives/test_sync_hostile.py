"""ipckit.sync: whatever a file holds under the name of an object, opening and using it raises, or returns.

What the core does with any bytes at all, also with such as change meanwhile, `make -C native fuzz` tries; here it is
that what it answers becomes an exception of ipckit, in each class.
"""

from __future__ import annotations

import contextlib
import os
import random
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import sync
from ipckit._names import unique_name
from ipckit._native import lib
from ipckit._segment import segment_path
from ipckit.errors import IPCError, LayoutError, NotFoundError
from ipckit.posix import SharedMemory
from ipckit.ring import SpscRing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEADER = 4096  # of the segment; the object follows
BODY = HEADER + 64
ROUNDS = 12

CREATE: dict[type[Any], dict[str, Any]] = {
    sync.AtomicInt64: {},
    sync.AtomicUInt64: {},
    sync.Barrier: {"parties": 2},
    sync.Condition: {"waiters": 2},
    sync.Event: {"auto_reset": True},
    sync.EventPair: {},
    sync.Futex: {},
    sync.Latch: {"count": 2},
    sync.Mutex: {},
    sync.Once: {},
    sync.RWLock: {"readers": 2},
    sync.Semaphore: {"value": 2},
    sync.TrackedSemaphore: {"value": 2, "holders": 2},
}
TABLES = {sync.Barrier, sync.Condition, sync.RWLock, sync.TrackedSemaphore}  # their count is the size of a table
EVERY = pytest.mark.parametrize("cls", CREATE, ids=lambda cls: cls.__name__)

USES: dict[type[Any], list[Callable[[Any], object]]] = {
    sync.AtomicInt64: [lambda o: o.load(), lambda o: o.add(1), lambda o: o.compare_exchange(0, 1)],
    sync.AtomicUInt64: [lambda o: o.load(), lambda o: o.add(1), lambda o: o.compare_exchange(0, 1)],
    sync.Barrier: [
        lambda o: o.wait(0),
        lambda o: o.wait(0.001),
        lambda o: o.n_waiting,
        lambda o: o.abort(),
        lambda o: o.reset(),
    ],
    sync.Condition: [
        lambda o: o.acquire(timeout=0.001),
        lambda o: o.notify(),
        lambda o: o.wait(0.001),
        lambda o: o.notify_all(),
        lambda o: (o.n_waiting, o.waiters, o.owner()),
        lambda o: o.mark_consistent(),
        lambda o: o.release(),
    ],
    sync.Event: [
        lambda o: o.wait(0.001),
        lambda o: o.set(),
        lambda o: type(o).wait_any([o], 0),
        lambda o: type(o).wait_all([o], 0.001),
        lambda o: o.clear(),
        lambda o: o.is_set(),
    ],
    sync.EventPair: [lambda o: o.wait_low(0.001), lambda o: o.set_low_wait_high(0), lambda o: o.clear()],
    sync.Futex: [lambda o: o.wait(0, 0.001), lambda o: o.wake(), lambda o: o.fetch_add(1), lambda o: o.load()],
    sync.Latch: [lambda o: o.wait(0.001), lambda o: o.count_down(), lambda o: o.count],
    sync.Mutex: [
        lambda o: o.owner(),
        lambda o: o.acquire(timeout=0.001),
        lambda o: o.locked(),
        lambda o: o.mark_consistent(),
        lambda o: o.release(),
    ],
    sync.Once: [lambda o: o.begin(0.001), lambda o: o.done, lambda o: o.complete(), lambda o: o.try_begin()],
    sync.RWLock: [
        lambda o: (o.readers(), o.writer()),
        lambda o: o.acquire_read(timeout=0.001),
        lambda o: o.release_read(),
        lambda o: o.acquire_write(timeout=0.001),
        lambda o: o.mark_consistent(),
        lambda o: o.downgrade(),
        lambda o: o.release_write(),
    ],
    sync.Semaphore: [lambda o: o.acquire(timeout=0.001), lambda o: o.value, lambda o: o.release()],
    sync.TrackedSemaphore: [
        lambda o: o.holders(),
        lambda o: o.acquire(timeout=0.001),
        lambda o: o.value,
        lambda o: o.release(),
    ],
}


@pytest.fixture
def name() -> Iterator[str]:
    fresh = unique_name()
    yield fresh
    with contextlib.suppress(FileNotFoundError):
        os.unlink(segment_path(fresh))


def image_of(cls: type[Any]) -> bytes:
    """The file of a fresh object."""
    with contextlib.closing(cls.create(unique_name(), unlink_on_close=True, **CREATE[cls])) as made:
        return Path(segment_path(made.name)).read_bytes()


def publish(name: str, content: bytes) -> None:
    """Give the name to a file of that content, which says of itself that it is that file."""
    path = Path(segment_path(name))
    path.write_bytes(content)
    if len(content) >= BODY:
        status = path.stat()
        with path.open("r+b") as file:
            file.seek(HEADER + 8)
            file.write(struct.pack("=QQ", status.st_dev, status.st_ino))


def changed(image: bytes, at: int, form: str, value: int) -> bytes:
    return image[:at] + struct.pack(form, value) + image[at + struct.calcsize(form) :]


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def words(seed: int, size: int) -> bytes:
    """Words that might mean something: flags, states, small numbers, ids of nobody."""
    choose = random.Random(seed)
    some = (0, 0, 0, 1, 2, 3, 0x80000000, 0x7FFFFFFF, 0xFFFFFFFF, 0x0DEAD01, 0x40000000, 0x20000000)
    return b"".join(
        struct.pack("=I", choose.choice(some) | choose.choice((0, choose.getrandbits(4) << 28)))
        for _ in range(size // 4)
    )


def no_objects(image: bytes) -> dict[str, bytes]:
    """What is none of this class, by how it differs."""
    other_kind = changed(image, HEADER + 2, "=H", 99)
    return {
        "empty": b"",
        "one byte": b"i",
        "text": b"not a segment\n" * 1000,
        "zeros": bytes(len(image)),
        "noise": noise(1, len(image)),
        "a header cut off": image[: HEADER - 1],
        "a header alone": image[:HEADER],
        "half the object's header": image[: HEADER + 32],
        "the object's header alone": changed(image[:BODY], 16, "=Q", BODY),
        "cut": image[:-64],
        "cut, and it says so": changed(image[:-64], 16, "=Q", len(image) - 64),
        "one byte more": image + b"\0",
        "another magic": changed(image, 4, "=I", 0x12345678),
        "another version of the segment": changed(image, 0, "=H", 1),
        "another kind of segment": changed(image, 8, "=I", 99),
        "participants": changed(image, 12, "=I", 63),
        "an endless size": changed(image, 16, "=Q", (1 << 64) - 1),
        "no size": changed(image, 16, "=Q", 0),
        "another kind": other_kind,
        "another version": changed(image, HEADER, "=H", 99),
        "an object of no size": changed(image, HEADER + 40, "=I", 0),
        "a larger object": changed(image, HEADER + 40, "=I", len(image)),
        "an endless object": changed(image, HEADER + 40, "=I", 0xFFFFFFC0),
        "a dead maker's": changed(changed(image, HEADER, "=I", 0x0DEAD01), HEADER + 4, "=I", 0x69706B6D),
    }


@EVERY
def test_what_is_no_object_is_refused(cls: type[Any], name: str):
    for what, content in no_objects(image_of(cls)).items():
        publish(name, content)
        with pytest.raises((LayoutError, NotFoundError)):
            cls.open(name).close()
            pytest.fail(f"opened: {what}")


@EVERY
def test_another_number_of_entries_is_another_size(cls: type[Any], name: str):
    image = image_of(cls)
    for count in (0, 1, 3, 4096, 4097, 65536, 65537, 1 << 31, (1 << 32) - 1):
        publish(name, changed(image, HEADER + 48, "=I", count))
        try:
            handle = cls.open(name)
        except LayoutError:
            continue
        handle.close()
        assert cls not in TABLES


@EVERY
def test_the_files_of_all_others_are_refused(cls: type[Any], name: str):
    for other in CREATE:
        if issubclass(other, cls):
            continue
        publish(name, image_of(other))
        with pytest.raises(LayoutError):
            cls.open(name).close()
    with SpscRing.create(unique_name(), unlink_on_close=True) as ring, pytest.raises(LayoutError):
        cls.open(ring.name)


def test_an_object_that_asks_another_file_who_lives_is_refused(name: str):
    for cls in CREATE:
        image = image_of(cls)
        publish(name, image)
        Path(segment_path(name)).write_bytes(image)  # as it was: it names the file that it was in
        with pytest.raises(LayoutError, match="another file"):
            cls.open(name)


def use(handle: Any, call: Callable[[Any], object]) -> None:
    """An exception of ipckit, or a result; more permits than fit are a ValueError, as in threading."""
    with contextlib.suppress(IPCError):
        try:
            call(handle)
        except ValueError as error:
            if not isinstance(handle, sync.Semaphore):
                raise
            assert "permit" in str(error)  # noqa: PT017


def with_its_mutex(body: bytes, image: bytes, name: str) -> None:
    """A condition is not opened at all unless the header of its mutex is right, and says that it is its own."""
    publish(name, image[: BODY + 64] + body[64:128] + bytes(16) + body[144:])
    status = os.stat(segment_path(name))
    with open(segment_path(name), "r+b") as file:
        file.seek(BODY + 8)
        file.write(struct.pack("=QQ", status.st_dev, status.st_ino))


@EVERY
def test_any_bytes_in_an_object_end_in_an_answer(cls: type[Any], name: str):
    image = image_of(cls)
    opened = 0
    for seed in range(ROUNDS):
        body = (noise if seed % 3 == 0 else words)(seed, len(image) - BODY)
        if cls is sync.Condition and seed % 4:
            with_its_mutex(body, image, name)
        else:
            publish(name, image[:BODY] + body)
        try:
            handle = cls.open(name)
        except (IPCError, ValueError):
            assert cls is sync.Condition
            continue
        opened += 1
        with contextlib.closing(handle):
            for call in USES[cls]:
                use(handle, call)
    assert opened >= ROUNDS // 2


@EVERY
def test_any_bytes_of_memory_are_refused_or_used(cls: type[Any]):
    with SharedMemory.create(size=8192, unlink_on_close=True) as memory:
        for seed in range(ROUNDS):
            memory.buf[:] = (noise if seed % 2 else words)(seed, 8192)
            if cls is sync.Futex:  # any four bytes are one
                with cls.open(within=memory, offset=seed * 4) as futex:
                    assert futex.load() == struct.unpack_from("=I", memory.buf, seed * 4)[0]
                continue
            with pytest.raises((LayoutError, NotFoundError)):
                cls.open(within=memory, offset=seed * 64)
            memory.buf[seed * 64] |= 1  # neither zero nor an object
            with pytest.raises(LayoutError):
                cls.create(within=memory, offset=seed * 64, **CREATE[cls])


def test_each_class_is_here():
    assert {cls.__name__ for cls in CREATE} == set(sync.__all__)
    assert set(CREATE) == set(USES)
    assert lib.IPK_KIND_SYNC == 2
