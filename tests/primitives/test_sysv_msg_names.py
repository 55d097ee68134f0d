"""Names of System V queues: collisions and strangers are seen, and nobody's death blocks a name: sysvipc(7)."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sysv_ipc

from ipckit._native_quick import lib
from ipckit.errors import AccessError, AlreadyExistsError, BusyError, NotFoundError
from ipckit.sysv import MessageQueue, _registry
from ipckit.sysv.key import hashed
from ipckit.testing import pause
from tests.contract.tools import in_fork
from tests.nobody import NOBODY, become_nobody
from tests.rights import needs_namespaces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

CLONE_NEWIPC = 0x08000000
ONE, OTHER = "/c78780", "/c113754"  # which have the same key
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def entries(name: str) -> list[Path]:
    return list(Path("/dev/shm").glob(f"ipckit-sysv.*.msg.{hashed(name):08x}.*"))


def only_entry(name: str) -> bytes:
    (path,) = entries(name)
    return path.read_bytes()


@pytest.fixture
def name() -> Iterator[str]:
    """A name that is free, and removed afterwards with its entries."""
    name = f"/ipckit-test-names-{os.getpid()}"
    yield name
    forget(name)


@pytest.fixture
def colliding() -> Iterator[None]:
    assert hashed(ONE) == hashed(OTHER)
    lock = os.open(tempfile.gettempdir(), os.O_RDONLY)  # such a pair is rare: run by run, whoever's
    fcntl.flock(lock, fcntl.LOCK_EX)
    forget(ONE)  # of an earlier run that was killed
    yield
    forget(ONE)
    os.close(lock)


def forget(name: str) -> None:
    try:
        sysv_ipc.MessageQueue(hashed(name)).remove()
    except sysv_ipc.ExistentialError:
        pass
    for path in entries(name):
        path.unlink()


def remove_as_others_do(queue: MessageQueue) -> None:
    """Without a word to the registry, as ipcrm(1) does."""
    sysv_ipc.remove_message_queue(queue.id)


# --- what is noted ---------------------------------------------------------------------------------------------


def test_a_name_is_noted_while_its_queue_lives(name: str) -> None:
    with MessageQueue.create(name, remove_on_close=True) as queue:
        assert queue.key == hashed(name)
        assert only_entry(name) == name.encode() + b"\0%d" % queue.id
        path = entries(name)[0]
        assert path.stat().st_mode & 0o777 == 0o644
        assert path.name.endswith(f".msg.{hashed(name):08x}.{os.geteuid()}")
    assert entries(name) == []


@pytest.mark.parametrize("how", ["handle", "key", "name", "id", "handle by key"])
def test_every_way_to_remove_it_takes_the_note_along(name: str, how: str) -> None:
    queue = MessageQueue.create(name)
    queue.close()
    if how == "handle":
        queue.remove()
    elif how == "key":
        MessageQueue.remove_key(hashed(name))
    elif how == "name":
        MessageQueue.remove_key(name)
    elif how == "id":
        MessageQueue.remove_id(queue.id)
    else:
        with MessageQueue.open(hashed(name)) as by_key:
            assert by_key.name is None
            by_key.remove()
    assert entries(name) == []


def test_numeric_keys_and_private_queues_are_not_noted() -> None:
    key = 0x1BD00000 + os.getpid() % 0x10000
    with MessageQueue.create(remove_on_close=True), MessageQueue.create(key, remove_on_close=True):
        for number in (0, key):
            assert list(Path("/dev/shm").glob(f"ipckit-sysv.*.{number:08x}.*")) == []


# --- collisions and strangers ----------------------------------------------------------------------------------


def test_two_names_with_one_key_are_told_apart(colliding: None) -> None:
    queue = MessageQueue.create(ONE)
    for make in (MessageQueue.create, MessageQueue.open_or_create):
        with pytest.raises(AlreadyExistsError, match=f"key 0x{hashed(ONE):08x} is that of '{ONE}', too"):
            make(OTHER)
    for find in (MessageQueue.open, MessageQueue.remove_key):
        with pytest.raises(NotFoundError, match=f"that of '{ONE}'"):
            find(OTHER)
    assert only_entry(ONE).startswith(ONE.encode())
    queue.remove()
    queue.close()
    with MessageQueue.create(OTHER, remove_on_close=True):
        assert only_entry(ONE).startswith(OTHER.encode())


def test_the_note_of_a_queue_that_is_gone_is_replaced(colliding: None) -> None:
    with MessageQueue.create(ONE) as queue:
        remove_as_others_do(queue)
    assert only_entry(ONE).startswith(ONE.encode())
    with pytest.raises(NotFoundError):
        MessageQueue.open(ONE)
    with MessageQueue.create(OTHER) as queue:
        assert only_entry(ONE).startswith(OTHER.encode())
        remove_as_others_do(queue)
    with MessageQueue.create(OTHER, remove_on_close=True) as queue:
        assert only_entry(ONE) == OTHER.encode() + b"\0%d" % queue.id
        MessageQueue.open(OTHER).close()


def test_a_queue_that_another_program_made_on_the_key_is_not_taken_for_ours(name: str) -> None:
    theirs = sysv_ipc.MessageQueue(hashed(name), sysv_ipc.IPC_CREX)
    for make in (MessageQueue.create, MessageQueue.open_or_create):
        with pytest.raises(AlreadyExistsError, match=f"object {theirs.id}, which was not made by a name"):
            make(name)
    for find in (MessageQueue.open, MessageQueue.remove_key):
        with pytest.raises(NotFoundError, match="not made by a name"):
            find(name)
    assert entries(name) == []
    with MessageQueue.open(hashed(name)) as queue:  # by its key it is open to everybody
        assert queue.id == theirs.id
        queue.remove()


def test_a_stranger_on_the_key_of_a_name_that_is_gone_is_seen_too(name: str) -> None:
    with MessageQueue.create(name) as queue:
        remove_as_others_do(queue)
    theirs = sysv_ipc.MessageQueue(hashed(name), sysv_ipc.IPC_CREX)
    with pytest.raises(AlreadyExistsError, match="not made by a name"):
        MessageQueue.create(name)
    with pytest.raises(NotFoundError, match="not made by a name"):
        MessageQueue.open(name)
    theirs.remove()
    MessageQueue.create(name, remove_on_close=True).close()
    assert entries(name) == []


# --- deaths ----------------------------------------------------------------------------------------------------


def make_and_stop(name: str, when: str) -> None:
    """Create the queue of *name*, and stand still before or after the system call, the entry being claimed."""
    registry = MessageQueue._kind.registry

    def make() -> int:
        if when == "before":
            pause("here")
        number = lib.ipk_sysv_msg_get(hashed(name), 1, 0o600)
        if when == "after":
            pause("here")
        return number

    registry.make(name, hashed(name), make)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_creator_that_is_killed_blocks_nobody(name: str, when: str, spawn: Spawn) -> None:
    child = spawn(make_and_stop, name, when)
    child.wait_reached("here")
    child.kill()
    assert child.join() == -signal.SIGKILL
    assert only_entry(name) == name.encode() + b"\0"
    if when == "before":
        with pytest.raises(NotFoundError):
            MessageQueue.open(name)
        MessageQueue.create(name).close()
    else:  # the queue is complete, and everything says whose it is
        with pytest.raises(AlreadyExistsError) as caught:
            MessageQueue.create(name)
        assert "key" not in str(caught.value)
    with MessageQueue.open_or_create(name) as queue:
        queue.remove()
    assert entries(name) == []


def test_what_a_killed_creator_left_does_not_block_another_name(colliding: None, spawn: Spawn) -> None:
    child = spawn(make_and_stop, ONE, "before")
    child.wait_reached("here")
    child.kill()
    assert child.join() == -signal.SIGKILL
    MessageQueue.create(OTHER, remove_on_close=True).close()


def test_a_creator_that_is_stopped_is_waited_for_and_then_reported(
    name: str, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = spawn(make_and_stop, name, "before")
    child.wait_reached("here")
    monkeypatch.setattr(_registry, "_PATIENCE", 0.01)
    with pytest.raises(BusyError, match="in the middle of creating it"):
        MessageQueue.create(name)
    child.resume("here")
    child.join()
    with pytest.raises(AlreadyExistsError):
        MessageQueue.create(name)


def test_an_opener_meets_a_queue_that_is_being_noted(name: str, spawn: Spawn) -> None:
    child = spawn(make_and_stop, name, "after")
    child.wait_reached("here")
    with MessageQueue.open(name) as queue:
        queue.send(b"early")
    child.resume("here")
    child.join()
    with MessageQueue.open(name) as queue:
        assert queue.receive(timeout=0).data == b"early"


def create_often(name: str, count: int) -> int:
    won = 0
    for _ in range(count):
        try:
            MessageQueue.create(name, remove_on_close=True).close()
            won += 1
        except AlreadyExistsError as error:
            if "key" in str(error):  # a rival is no stranger
                raise
    return won


def test_creators_that_race_for_a_name_leave_nothing(colliding: None, spawn: Spawn) -> None:
    children = [spawn(create_often, ONE, 60) for _ in range(2)]
    assert create_often(ONE, 60) + sum(child.result() for child in children) > 0
    assert entries(ONE) == []


# --- users and namespaces --------------------------------------------------------------------------------------


@needs_root
def test_what_one_user_leaves_is_not_in_the_way_of_another(colliding: None) -> None:
    def as_nobody(name: str, others: int) -> None:
        become_nobody()
        assert len(entries(name)) == others
        remove_as_others_do(MessageQueue.create(name))

    in_fork(lambda: as_nobody(ONE, 0))
    queue = MessageQueue.create(OTHER)
    remove_as_others_do(queue)
    queue.close()
    assert len(entries(ONE)) == 2
    in_fork(lambda: as_nobody(ONE, 2))


@needs_root
def test_users_meet_by_name_and_see_each_others_collisions(colliding: None) -> None:
    queue = MessageQueue.create(ONE, mode=0o666)
    queue.close()

    def as_nobody() -> str:
        become_nobody()
        with MessageQueue.open(ONE) as opened:
            opened.send(b"x")
        with pytest.raises(AlreadyExistsError) as plain:
            MessageQueue.create(ONE)
        assert "key" not in str(plain.value)
        with pytest.raises(AccessError):
            MessageQueue.remove_key(ONE)
        with pytest.raises(AlreadyExistsError) as collision:
            MessageQueue.create(OTHER)
        return str(collision.value)

    assert f"that of '{ONE}'" in in_fork(as_nobody)
    with MessageQueue.open(ONE) as opened:
        assert opened.receive(timeout=0).data == b"x"


@needs_root
def test_a_file_that_another_user_put_in_our_place_is_reported_and_not_believed(name: str) -> None:
    namespace = os.stat("/proc/self/ns/ipc").st_ino
    path = Path(f"/dev/shm/ipckit-sysv.{namespace}.msg.{hashed(name):08x}.{NOBODY}")
    path.write_bytes(name.encode() + b"\0")
    path.chmod(0o666)

    def as_nobody() -> None:
        become_nobody()
        with pytest.raises(AccessError, match="another user has put this file in our place"):
            MessageQueue.create(name)

    in_fork(as_nobody)


@needs_namespaces
def test_the_same_name_in_another_ipc_namespace_is_another_queue(name: str) -> None:
    def elsewhere() -> int:
        assert ctypes.CDLL(None).unshare(CLONE_NEWIPC) == 0
        with pytest.raises(NotFoundError):
            MessageQueue.open(name)
        with MessageQueue.create(name, remove_on_close=True) as queue:
            MessageQueue.open(name).close()
            assert len(entries(name)) == 2
            return queue.key

    with MessageQueue.create(name, remove_on_close=True) as queue:
        assert in_fork(elsewhere) == queue.key
        MessageQueue.open(name).close()


def test_a_child_that_another_thread_forks_does_not_keep_the_lock(name: str) -> None:
    """The lock is given back, not only closed: a child may have a copy of the descriptor."""
    children: list[int] = []

    def make() -> int:
        children.append(os.fork())
        if children[-1] == 0:
            signal.pause()
        return lib.ipk_sysv_msg_get(hashed(name), 1, 0o600)

    MessageQueue._kind.registry.make(name, hashed(name), make)
    try:
        MessageQueue.remove_key(name)
        MessageQueue.create(name, remove_on_close=True).close()
    finally:
        os.kill(children[0], signal.SIGKILL)
        os.waitpid(children[0], 0)
