"""`ipckit.inspect.remove` and `clean`: what they take, what they leave, and what they say of it."""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sysv_ipc

from ipckit import inspect, posix, sysv
from ipckit._names import unique_name
from ipckit.errors import BusyError, NotFoundError
from ipckit.inspect import Outcome, Record, clean, remove
from ipckit.inspect.records import Verdict
from ipckit.ring import Latest, MpmcRing, SpscRing
from ipckit.sync import Event
from ipckit.testing import pause, reached
from tests.contract.tools import in_fork
from tests.inspect.elsewhere import in_a_world_of_its_own
from tests.nobody import become_nobody

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipckit.testing import Spawn

LONG = b"x" * 10_000


@pytest.fixture
def name() -> Iterator[str]:
    name = unique_name()
    yield name
    for path in Path("/dev/shm").glob(f"ipckit.{name[1:]}*"):
        path.unlink()


def leave(create: Callable[[], Any]) -> None:
    """Have a process create something, and be killed."""
    pid = os.fork()
    if pid == 0:
        try:
            kept = create()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
        del kept
    os.waitpid(pid, 0)


def leave_ring(name: str) -> None:
    leave(lambda: SpscRing.create(name, capacity=4096))


def with_long_message(name: str) -> MpmcRing:
    ring = MpmcRing.create(name, capacity=4096, oversize="file")
    ring.send(LONG)
    return ring


def cleaned(*shown: Record, **how: Any) -> list[Outcome]:
    """Clean these, and nothing that other tests may have left for a moment."""
    return list(clean(dry_run=False, shown=shown, **how))


def files(name: str) -> list[str]:
    return sorted(path.name for path in Path("/dev/shm").glob(f"ipckit.{name[1:]}*"))


# --- clean ----------------------------------------------------------------------------------------------------------


def test_a_dry_run_tells_and_removes_nothing(name: str) -> None:
    leave_ring(name)
    (outcome,) = [outcome for outcome in clean() if outcome.record.address == f"ring:{name}"]
    assert not outcome.removed
    assert outcome.reason.startswith("would be removed: made by process")
    assert files(name)
    assert cleaned(outcome.record)[0].removed
    assert not files(name)


@pytest.mark.parametrize("create", [lambda name: Event.create(name), lambda name: Latest.create(name, max_size=8)])
def test_what_was_left_is_removed(create: Callable[[str], Any], name: str) -> None:
    leave(lambda: create(name))
    (record,) = [record for record in inspect.objects(["ring", "sync"]) if record.name == name]
    ((removed, reason),) = [(outcome.removed, outcome.reason) for outcome in cleaned(record)]
    assert (removed, reason) == (True, record.verdict.reason)
    assert not files(name)


def test_with_a_ring_go_its_long_messages(name: str) -> None:
    leave(lambda: with_long_message(name))
    assert len(files(name)) == 2
    messages = [record for record in inspect.objects(["file"]) if record.name in files(name)]
    assert [message.verdict.state for message in messages] == ["stale"]
    assert cleaned(*messages) == []  # it is still to be received: it goes with the ring, or not at all
    ring = inspect.find(f"ring:{name}")
    assert [outcome.removed for outcome in cleaned(ring, *messages, kinds=["ring"])][:1] == [True]
    assert not files(name)


def check_where_all_is_seen(spawn: Spawn, function: Callable[..., None], *arguments: Any) -> None:
    refused, _ = spawn(in_a_world_of_its_own, function, *arguments).result()
    if refused:
        pytest.skip(refused)


def clean_message(name: str) -> None:
    leave(lambda: with_long_message(name))
    MpmcRing.unlink_name(name)
    (message,) = [record for record in inspect.objects(["file"]) if record.name in files(name)]
    assert message.verdict.state == "stale"
    assert [outcome.removed for outcome in cleaned(message)] == [True]
    assert not files(name)


def test_a_message_whose_ring_is_gone_is_removed(spawn: Spawn, name: str) -> None:
    check_where_all_is_seen(spawn, clean_message, name)


def keep_message(name: str) -> None:
    with with_long_message(name) as ring:
        ring.unlink()
        (message,) = [record for record in inspect.objects(["file"]) if record.name in files(name)]
        assert message.verdict.state in {"in use", "unknown"}
        assert [outcome.removed for outcome in cleaned(message)] == []
        assert ring.receive(timeout=0) == LONG


def test_a_message_of_a_ring_that_lost_its_name_is_kept_for_who_has_it(spawn: Spawn, name: str) -> None:
    check_where_all_is_seen(spawn, keep_message, name)


def test_what_somebody_has_is_left_alone(name: str) -> None:
    leave_ring(name)
    stale = inspect.find(f"ring:{name}")
    with SpscRing.open(name):
        assert [outcome.record for outcome in clean() if outcome.record.name == name] == []
        (outcome,) = cleaned(stale)
        assert not outcome.removed
        assert outcome.reason.startswith("changed since it was shown: in use, process")
    assert files(name)


def test_what_its_maker_may_want_again_is_left_alone(name: str) -> None:
    SpscRing.create(name, capacity=4096).close()
    idle = inspect.find(f"ring:{name}")
    assert idle.verdict.state == "idle"
    assert cleaned(idle) == []
    remove(idle)
    assert not files(name)


def test_what_was_used_since_it_was_shown_is_left_alone(name: str) -> None:
    leave_ring(name)
    stale = inspect.find(f"ring:{name}")

    def use() -> None:
        with SpscRing.open(name) as ring:
            ring.send(b"message")

    in_fork(use)
    (outcome,) = cleaned(stale)
    assert not outcome.removed
    assert "somebody has used it" in outcome.reason
    assert cleaned(outcome.record)[0].removed


def test_the_next_segment_of_that_name_is_left_alone(name: str) -> None:
    leave_ring(name)
    stale = inspect.find(f"ring:{name}")
    SpscRing.unlink_name(name)
    (gone,) = cleaned(stale)
    assert (gone.removed, gone.reason) == (False, "changed since it was shown: it is gone")
    leave_ring(name)
    (another,) = cleaned(stale)
    assert not another.removed
    with pytest.raises(NotFoundError, match="another one's"):
        remove(stale)
    with pytest.raises(NotFoundError, match="another one's"):
        remove(stale, force=True)
    assert files(name)


def test_the_young_are_left_alone(name: str) -> None:
    leave_ring(name)
    stale = inspect.find(f"ring:{name}")
    assert cleaned(stale, older_than=3600) == []
    assert files(name)


def test_what_it_cannot_remove_it_says(name: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    leave_ring(name)
    stale = inspect.find(f"ring:{name}")

    def as_nobody() -> list[tuple[bool, str]]:
        become_nobody()
        return [(outcome.removed, outcome.reason) for outcome in cleaned(stale)]

    ((removed, reason),) = in_fork(as_nobody)
    assert not removed
    assert "changed since it was shown: unknown" in reason  # its mode shuts others out
    assert files(name)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"older_than": -1.0}, "older_than must be seconds"),
        ({"older_than": float("nan")}, "older_than must be seconds"),
        ({"foreign": True}, "foreign needs older_than"),
        ({"kinds": ["queue"]}, "kind must be one of"),
    ],
)
def test_bad_arguments(how: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        clean(**how)


def clean_memory(name: str) -> None:
    memory = posix.SharedMemory.create(name, size=4096)
    memory.close()
    path = Path(f"/dev/shm{name}")
    os.utime(path, (1, 1))
    record = inspect.find(f"shm:{name}")
    assert record.verdict.state == "unused"
    (outcome,) = cleaned(record)
    assert (outcome.removed, outcome.reason) == (False, "shm is not among the kinds to clean")
    with posix.SharedMemory.open(name):
        (used,) = cleaned(record, foreign=True, older_than=60, kinds=["shm"])
    assert not used.removed
    assert cleaned(record, foreign=True, older_than=1e10, kinds=["shm"]) == []
    assert path.exists()
    (outcome,) = cleaned(record, foreign=True, older_than=60, kinds=["shm"])
    assert outcome.removed
    assert not path.exists()


def test_foreign_objects_go_only_when_asked_and_old(spawn: Spawn) -> None:
    name = unique_name()
    try:
        check_where_all_is_seen(spawn, clean_memory, name)
    finally:
        Path(f"/dev/shm{name}").unlink(missing_ok=True)


def clean_queue() -> None:
    how: dict[str, Any] = {"foreign": True, "older_than": 1e-9, "kinds": ["sysv-mq"]}
    with sysv.MessageQueue.create(remove_on_close=True) as queue:
        in_fork(lambda: queue.send(b"message"))
        record = inspect.find(f"sysv-mq:id={queue.id}")
        assert record.verdict.state == "unused"
        in_fork(lambda: queue.send(b"another"))
        (outcome,) = cleaned(record, **how)
        assert not outcome.removed
        assert "somebody has used it" in outcome.reason
        (outcome,) = cleaned(outcome.record, **how)
        assert outcome.removed
        assert inspect.find_all([record.address]) == {record.address: None}


def test_a_foreign_queue_that_got_a_message_meanwhile_is_left_alone(spawn: Spawn) -> None:
    check_where_all_is_seen(spawn, clean_queue)


# --- remove ---------------------------------------------------------------------------------------------------------


def hold(name: str) -> None:
    with SpscRing.open(name):
        reached("holding")
        pause("hold")


def test_what_is_in_use_is_refused_and_who_has_it_is_named(spawn: Spawn, name: str) -> None:
    leave_ring(name)
    child = spawn(hold, name)
    child.wait_reached("holding")
    with pytest.raises(BusyError, match=f"process {child.pid} .* has it"):
        remove(f"ring:{name}")
    record = inspect.find(f"ring:{name}")
    unaware = replace(record, holders=(), verdict=Verdict("stale", "as it was before"))
    with pytest.raises(BusyError, match="came just now"):
        remove(unaware)
    with SpscRing.open(name), pytest.raises(BusyError, match="held by"):
        remove(f"ring:{name}")
    remove(f"ring:{name}", force=True)
    assert not files(name)
    child.resume("hold")
    assert child.join() == 0


def test_system_v_objects_are_removed_by_number_if_they_are_the_same() -> None:
    for made in (sysv.MessageQueue.create(), sysv.SemaphoreSet.create(), sysv.SharedMemory.create(size=4096)):
        kind = {"MessageQueue": "mq", "SemaphoreSet": "sem", "SharedMemory": "shm"}[type(made).__name__]
        made.close()
        record: Any = inspect.find(f"sysv-{kind}:id={made.id}")
        with pytest.raises(NotFoundError, match="another one has its number"):
            remove(replace(record, creator_uid=record.creator_uid + 1, verdict=Verdict("unused", "")))
        remove(record)
        with pytest.raises(NotFoundError):
            remove(record)


def test_posix_objects_are_removed_by_name() -> None:
    memory = posix.SharedMemory.create(unique_name(), size=4096)
    semaphore = posix.Semaphore.create(unique_name())
    for address, handle in ((f"shm:{memory.name}", memory), (f"sem:{semaphore.name}", semaphore)):
        with pytest.raises(BusyError):
            remove(address)
        handle.close()
        remove(inspect.find(address))
        with pytest.raises(NotFoundError):
            remove(address)


def test_fifos_and_sockets_are_removed_by_path_unless_in_use(tmp_path: Path) -> None:
    fifo, path = tmp_path / "fifo", tmp_path / "socket"
    os.mkfifo(fifo)
    fd = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        for address in (f"fifo:{fifo}", f"unix:{path}"):
            with pytest.raises(BusyError):
                remove(address)
            record = inspect.find(address)
            os.rename(record.name, f"{record.name}.aside")
            os.mkfifo(record.name)
            with pytest.raises(NotFoundError, match="another one's"):
                remove(record, force=True)
            os.replace(f"{record.name}.aside", record.name)
            remove(address, force=True)
            assert not os.path.exists(record.name)
    os.close(fd)


def test_what_has_no_name_or_is_elsewhere_is_not_ours_to_remove() -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(ValueError, match="has no name to remove"):
            remove(f"pipe:[{os.fstat(reading).st_ino}]", force=True)
    finally:
        os.close(reading)
        os.close(writing)
    record = Record(address="mq:/elsewhere", verdict=Verdict("foreign", "it is of another IPC namespace"))
    with pytest.raises(ValueError, match="must be removed where it belongs"):
        remove(record)


def test_notes_of_system_v_names_go_with_nothing_to_note() -> None:
    queue = sysv.MessageQueue.create(f"/{unique_name()[1:]}")
    queue.close()
    (note,) = [record for record in inspect.objects(["file"]) if getattr(record, "text", None) == queue.name]
    assert note.verdict.state == "in use"
    with pytest.raises(BusyError, match="an object has its key"):
        remove(replace(note, verdict=Verdict("stale", "as it was before")))
    sysv_ipc.MessageQueue(queue.key).remove()  # which knows of no notes
    (note,) = [record for record in inspect.objects(["file"]) if getattr(record, "text", None) == queue.name]
    remove(note)
    assert not os.path.exists(f"/dev/shm/{note.name}")
