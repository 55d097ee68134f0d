"""What ipckit keeps in /dev/shm beside its objects, as it is found: needed, left behind, or not to be told."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import sysv
from ipckit._names import unique_name
from ipckit.inspect import find
from ipckit.inspect._processes.scan import Scan
from ipckit.inspect.leftovers import Leftover, collect
from ipckit.ring import BroadcastRing, MpmcRing, Queue, SpscRing
from ipckit.testing import pause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

SHM = Path("/dev/shm")
LONG = bytes(range(256)) * 64  # longer than a ring of 4096 bytes
RINGS = {"spsc": SpscRing, "mpmc": MpmcRing, "broadcast": BroadcastRing}


@pytest.fixture
def name() -> Iterator[str]:
    name = unique_name()
    yield name
    for path in SHM.glob(f"ipckit.{name[1:]}*"):
        path.unlink()


@contextlib.contextmanager
def placed(name: str, content: bytes = b"") -> Iterator[Path]:
    path = SHM / name
    path.write_bytes(content)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def record_of(path: Path) -> Leftover:
    record = find(f"file:{path.name}")
    assert isinstance(record, Leftover)
    return record


def seen(path: Path, *, unseen: int = 0, scan: Scan | None = None) -> Leftover:
    """The record where so many processes could not be looked into, and the others have nothing to do with it."""
    if scan is None:
        scan = Scan.take({"file"})
        for things in scan._held.values():
            for key in [
                key for key, users in things.items() if os.getpid() not in {user.process.pid for user in users}
            ]:
                del things[key]
    scan.unseen = unseen
    (found,) = [record for record in collect(scan, "file") if record.name == path.name]
    assert isinstance(found, Leftover)
    return found


def messages_of(name: str) -> list[Path]:
    return list(SHM.glob(f"ipckit.{name[1:]}.*"))


def beginning_of(path: Path) -> bytes:
    """Of a file that may be another test's, and gone by now."""
    try:
        with open(path, "rb") as file:
            return file.read(2 * len(LONG))
    except FileNotFoundError:
        return b""


def message_of(name: str) -> Path:
    (path,) = messages_of(name)
    return path


def send_long(kind: str, name: str) -> None:
    ring: Any = RINGS[kind].create(name, capacity=4096, oversize="file")
    ring.send(LONG)
    pause("sent")


@pytest.mark.parametrize("kind", RINGS)
def test_a_message_of_a_ring(kind: str, name: str, spawn: Spawn) -> None:
    child = spawn(send_long, kind, name)
    child.wait_reached("sent")
    path = message_of(name)
    record = record_of(path)
    assert (record.what, record.of, record.passed) == ("message", f"ring:{name}", False)
    assert (record.size, record.mode, record.uid) == (len(LONG), 0o600, os.geteuid())
    assert record.use == f"a long message of ring:{name}"
    assert record.verdict.state == "in use"
    assert f"a message of ring:{name}: process {child.pid}" in record.verdict.reason
    assert find(f"ring:{name}").size == 4096 + (8192 if kind == "spsc" else 16384)

    child.kill()
    child.join()
    assert record_of(path).verdict.state == "stale"
    assert record_of(path).verdict.reason == f"a message of ring:{name}: {find(f'ring:{name}').verdict.reason}"

    with open(path, "rb"):
        assert record_of(path).verdict.state == "in use"
    os.unlink(SHM / f"ipckit.{name[1:]}")
    assert seen(path).verdict == ("stale", f"its ring, ring:{name}, is gone")
    assert seen(path, unseen=2).verdict.state == "unknown"
    assert "2 processes could not be looked into" in seen(path, unseen=2).verdict.reason

    with RINGS[kind].create(name, capacity=4096):  # another ring
        assert seen(path).verdict.state == "stale"


@pytest.mark.parametrize("kind", RINGS)
def test_a_message_that_its_ring_has_got_past(kind: str, name: str) -> None:
    with RINGS[kind].create(name, capacity=4096, oversize="file") as made:
        ring: Any = made
        if kind == "broadcast":
            ring.subscribe()
        ring.send(LONG)
        left = message_of(name)
        content = left.read_bytes()
        assert ring.receive(timeout=1) == LONG
        for _ in range(60):  # a broadcast ring keeps what was received as long as there is room
            ring.send(bytes(400))
            ring.receive(timeout=1)
        with placed(left.name, content):
            record = record_of(left)
            assert record.passed is True
            assert record.verdict.state == "in use"
            assert "nobody will ask for it" in record.verdict.reason


def test_a_message_of_a_ring_that_lost_its_name(name: str) -> None:
    with SpscRing.create(name, capacity=4096, oversize="file") as ring:
        ring.send(LONG)
        ring.unlink()
        record = seen(message_of(name))
        assert record.verdict.state == "in use"
        assert record.verdict.reason.endswith(f"of a ring that has lost the name ring:{name}")
    assert messages_of(name) == []


def fill_queue() -> None:
    queue: Queue[bytes] = Queue(capacity=4096)
    queue.put(LONG)
    pause("put")


def test_a_message_of_a_queue_without_a_name(spawn: Spawn) -> None:
    before = set(SHM.glob("ipckit.queue.*"))
    child = spawn(fill_queue)
    child.wait_reached("put")
    (path,) = [path for path in set(SHM.glob("ipckit.queue.*")) - before if LONG in beginning_of(path)]
    record = record_of(path)
    assert (record.what, record.of, record.passed) == ("message", None, False)
    assert (record.verdict.state, record.use) == ("in use", "a long message of a queue without a name")
    child.kill()
    child.join()
    assert seen(path).verdict == ("stale", "nobody has its queue")
    assert seen(path, unseen=1).verdict.state == "unknown"
    path.unlink()


def test_the_note_of_a_system_v_name() -> None:
    name = unique_name()
    queue = sysv.MessageQueue.create(name)
    namespace = os.stat("/proc/self/ns/ipc").st_ino
    path = SHM / f"ipckit-sysv.{namespace}.msg.{queue.key & 0xFFFFFFFF:08x}.{os.geteuid()}"
    record = record_of(path)
    assert (record.what, record.of, record.text) == ("note", f"sysv-mq:{queue.key & 0xFFFFFFFF:#x}", name)
    assert record.verdict.state == "in use"
    assert record.use == f"the name {name} of {record.of}"
    content = path.read_bytes()
    queue.remove()
    queue.close()
    assert not path.exists()
    with placed(path.name, content):  # as after ipcrm(1)
        assert seen(path).verdict == ("stale", "the object is gone")
        assert seen(path, unseen=1).verdict.state == "unknown"
        with open(path, "rb") as file:
            assert record_of(path).verdict.state == "in use"
            fcntl.flock(file, fcntl.LOCK_EX)
            verdict = seen(path, scan=Scan()).verdict  # nobody is seen
            assert verdict == ("in use", "somebody who cannot be seen has it locked")


def test_a_note_of_another_ipc_namespace() -> None:
    with placed(f"ipckit-sysv.1.shm.00000a0b.{os.geteuid()}", b"/jobs\x007") as path:
        record = record_of(path)
        assert (record.what, record.of, record.text) == ("note", "sysv-shm:0xa0b", "/jobs")
        assert record.verdict.state == "foreign"
        assert "ipc:[1]" in record.verdict.reason


def test_the_lock_of_a_set_that_is_started() -> None:
    with contextlib.closing(sysv.SemaphoreSet.create(size=2)) as semaphores:
        with placed(f"ipckit-sysv.start.{semaphores.id}") as path:
            record = seen(path)
            assert (record.what, record.of) == ("lock", f"sysv-sem:id={semaphores.id}")
            assert record.verdict.state == "stale"
            assert "the next one to open it" in record.verdict.reason
        semaphores.remove()
        with placed(path.name):
            assert seen(path).verdict == ("stale", "the set is gone")


def test_a_file_that_is_being_made() -> None:
    with placed(f".ipckit-{os.urandom(8).hex()}") as path:
        with open(path, "rb"):
            assert (record_of(path).what, record_of(path).verdict.state) == ("temporary", "in use")
        assert seen(path).verdict.state == "stale"
        assert seen(path, unseen=3).verdict.state == "unknown"


def test_what_only_looks_like_ours(name: str) -> None:
    with placed(f"ipckit.{name[1:]}", b"no segment") as path:
        record = seen(path)
        assert (record.what, record.verdict.state, record.use) == ("unknown", "unused", "not known")
        assert "it is no segment" in record.verdict.reason
    with placed(f"ipckit.{name[1:]}.{'0' * 48}", b"x") as path:
        assert seen(path).verdict == ("stale", f"its ring, ring:{name}, is gone")
        assert seen(path).what == "message"
    path = SHM / f"ipckit.{name[1:]}"
    os.mkfifo(path)
    assert [record for record in collect(Scan(), "file") if record.name == path.name] == []


def test_a_segment_with_the_name_of_a_message_is_a_ring(name: str) -> None:
    longer = f"{name}.{'a' * 48}"
    with SpscRing.create(longer, capacity=4096):
        assert find(f"ring:{longer}").kind == "ring"
        assert [record for record in collect(Scan(), "file") if longer[1:] in record.name] == []
