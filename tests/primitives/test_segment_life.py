"""A segment that somebody has is never removed; one that nobody has, is, whoever comes meanwhile."""

from __future__ import annotations

import os
import pickle
import select
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import _life
from ipckit._life import Removal, open_held, unlink_held
from ipckit._names import unique_name
from ipckit._segment import segment_path
from ipckit.errors import AccessError, AlreadyExistsError, BusyError, NotFoundError
from ipckit.ring import BroadcastRing, Latest, MpmcRing, SpscRing
from ipckit.sockets import unix
from ipckit.sync import Mutex
from ipckit.testing import pause, reached
from tests.contract.tools import in_fork
from tests.nobody import become_nobody

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipckit.testing import Child, Spawn

CREATE: dict[str, Callable[[str], Any]] = {
    "spsc": lambda name: SpscRing.create(name, capacity=4096),
    "mpmc": lambda name: MpmcRing.create(name, capacity=4096),
    "broadcast": lambda name: BroadcastRing.create(name, capacity=4096),
    "latest": lambda name: Latest.create(name, max_size=64),
    "sync": Mutex.create,
}


@pytest.fixture
def name() -> Iterator[str]:
    name = unique_name()
    yield name
    Path(segment_path(name)).unlink(missing_ok=True)


def is_removable(name: str) -> bool:
    try:
        with Removal(segment_path(name)):
            return True
    except BusyError:
        return False


def becomes_removable(name: str) -> bool:
    """Wait until it is: a program that looks at /proc/PID/maps or fdinfo may have what it sees a little longer."""
    deadline = time.monotonic() + 20
    while not is_removable(name):
        if time.monotonic() > deadline:
            return False
    return True


def stop(child: Child) -> None:
    child.send_signal(signal.SIGSTOP)
    assert os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)


def kill(child: Child) -> None:
    child.kill()
    assert child.join() == -signal.SIGKILL


def left(name: str) -> None:
    """Leave a ring behind."""
    SpscRing.create(name, capacity=4096).close()


# --- who has a segment ---------------------------------------------------------------------------------------------


def hold(name: str, kind: str, *, opens: bool) -> None:
    handle = CREATE[kind](name)
    if opens:
        second = type(handle).open(name)
        handle.close()
        handle = second
    reached("holding")
    pause("hold")
    handle.close()


@pytest.mark.parametrize("kind", CREATE)
def test_creators_and_openers_have_it_until_they_close(kind: str, name: str) -> None:
    created = CREATE[kind](name)
    assert not is_removable(name)
    opened = type(created).open(name)
    created.close()
    assert not is_removable(name)
    opened.close()
    assert becomes_removable(name)


def test_a_stopped_process_has_it_and_a_killed_one_has_not(spawn: Spawn, name: str) -> None:
    child = spawn(hold, name, "mpmc", opens=True)
    child.wait_reached("holding")
    assert not is_removable(name)
    stop(child)
    assert not is_removable(name)
    kill(child)
    assert becomes_removable(name)


def keep_in_fork(name: str) -> None:
    """Have a child of fork that has the segment only from its parent."""
    with SpscRing.create(name, capacity=4096):
        if os.fork() == 0:
            reached("forked")
            signal.pause()
        pause("for ever")


def test_a_forked_child_has_it_after_its_parent_was_killed(spawn: Spawn, name: str) -> None:
    child = spawn(keep_in_fork, name)
    child.wait_reached("forked")
    orphan = os.pidfd_open(int(Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text()))
    try:
        kill(child)
        assert not is_removable(name)
        signal.pidfd_send_signal(orphan, signal.SIGKILL)
        assert select.select([orphan], [], [], 20)[0]
        assert becomes_removable(name)
    finally:
        os.close(orphan)


def test_a_descriptor_on_its_way_through_a_socket_keeps_it(name: str) -> None:
    left_end, right_end = unix.Stream.pair()
    with left_end, right_end:
        with SpscRing.create(name, capacity=4096) as ring:
            left_end.send_fds(b"x", [ring.fileno()])
        assert not is_removable(name)  # it is in the socket
        _, (fd,) = right_end.receive_fds(1, 1)
        with SpscRing.from_fd(fd) as received:
            assert not is_removable(name)
            received.send(b"message", timeout=0)
    assert becomes_removable(name)


def test_a_descriptor_that_others_opened_keeps_it_once_it_is_a_handle(name: str) -> None:
    left(name)
    fd = os.open(segment_path(name), os.O_RDWR | os.O_CLOEXEC)
    assert becomes_removable(name)
    with SpscRing.from_fd(fd):
        assert not is_removable(name)
    assert becomes_removable(name)


def lose_descriptors(name: str, kind: str) -> None:
    handle = CREATE[kind](name)
    os.closerange(handle.fileno(), handle.fileno() + 1)
    reached("lost")
    pause("hold")


@pytest.mark.parametrize("kind", ["mpmc", "sync"])
def test_a_mapping_keeps_it_though_its_descriptor_was_closed(spawn: Spawn, kind: str, name: str) -> None:
    child = spawn(lose_descriptors, name, kind)
    child.wait_reached("lost")
    assert not is_removable(name)
    kill(child)
    assert becomes_removable(name)


def test_a_pickle_opens_it_as_any_opener(name: str) -> None:
    with SpscRing.create(name, capacity=4096) as ring:
        data = pickle.dumps(ring)
        with pickle.loads(data):
            ring.close()
            assert not is_removable(name)
    assert becomes_removable(name)


def test_who_only_looks_does_not_have_it(name: str) -> None:
    left(name)
    with open(segment_path(name), "rb"):
        assert becomes_removable(name)


# --- openers against a remover --------------------------------------------------------------------------------------


def remove_by_steps(name: str) -> bool:
    """Stand still before each step of a removal."""
    pause("begin")
    with Removal(segment_path(name)) as removal:
        reached("begun")
        pause("unlink")
        removal.finish()
        reached("unlinked")
        pause("end")
    return True


def test_an_opener_before_the_removal_prevents_it(spawn: Spawn, name: str) -> None:
    left(name)
    child = spawn(remove_by_steps, name)
    with SpscRing.open(name) as ring:
        child.resume("begin")
        with pytest.raises(Exception, match="BusyError"):
            child.result()
        assert os.stat(segment_path(name)).st_ino == os.fstat(ring.fileno()).st_ino


def test_an_opener_amid_the_removal_waits_and_finds_nothing(spawn: Spawn, name: str) -> None:
    left(name)
    child = spawn(remove_by_steps, name)
    child.resume("begin")
    child.wait_reached("begun")
    opener = spawn(open_and_tell, name)
    opener.wait_blocked("clock_nanosleep", "nanosleep", "select", "pselect6")
    child.resume("unlink")
    child.resume("end")
    assert opener.result() == "NotFoundError"
    assert child.result()


def open_and_tell(name: str) -> str:
    _life._PATIENCE = 60.0
    try:
        SpscRing.open(name).close()
    except (NotFoundError, BusyError) as error:
        return type(error).__name__
    return "opened"


def test_an_opener_gets_a_segment_whose_remover_was_killed(spawn: Spawn, name: str) -> None:
    left(name)
    child = spawn(remove_by_steps, name)
    child.resume("begin")
    child.wait_reached("begun")
    opener = spawn(open_and_tell, name)
    opener.wait_blocked("clock_nanosleep", "nanosleep", "select", "pselect6")
    kill(child)
    assert opener.result() == "opened"


def test_a_new_segment_of_that_name_is_not_in_the_removers_way(spawn: Spawn, name: str) -> None:
    left(name)
    child = spawn(remove_by_steps, name)
    child.resume("begin")
    child.wait_reached("begun")
    with pytest.raises(AlreadyExistsError):
        SpscRing.create(name, capacity=4096)
    child.resume("unlink")
    child.wait_reached("unlinked")
    with SpscRing.create(name, capacity=4096) as ring:
        child.resume("end")
        assert child.result()
        assert os.stat(segment_path(name)).st_ino == os.fstat(ring.fileno()).st_ino


def test_a_stopped_remover_is_a_clear_error(spawn: Spawn, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    left(name)
    child = spawn(remove_by_steps, name)
    child.resume("begin")
    child.wait_reached("begun")
    stop(child)
    monkeypatch.setattr(_life, "_PATIENCE", 0.02)
    with pytest.raises(BusyError, match="being removed, by a process that is stopped"):
        SpscRing.open(name)
    with pytest.raises(BusyError, match="being removed"):
        SpscRing.unlink_name(name)
    with pytest.raises(BusyError, match="somebody has it, or is removing it"):
        Removal(segment_path(name))
    fd = os.open(segment_path(name), os.O_RDWR | os.O_CLOEXEC)
    with pytest.raises(BusyError, match="being removed"):
        SpscRing.from_fd(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    kill(child)
    monkeypatch.undo()
    SpscRing.open(name).close()


# --- unlinking ------------------------------------------------------------------------------------------------------


def test_unlink_takes_the_name_of_what_is_in_use(name: str) -> None:
    with SpscRing.create(name, capacity=4096) as ring:
        ring.unlink()
        assert not os.path.exists(segment_path(name))
        assert ring.try_send(b"message")
    with pytest.raises(NotFoundError):
        SpscRing.unlink_name(name)


def test_unlink_goes_on_where_the_file_may_not_be_opened(name: str) -> None:
    left(name)
    os.chmod(segment_path(name), 0)
    SpscRing.unlink_name(name)
    os.symlink("/nowhere", segment_path(name))
    SpscRing.unlink_name(name)
    assert not os.path.lexists(segment_path(name))


def test_only_the_segment_that_is_meant_is_unlinked(name: str) -> None:
    with SpscRing.create(name, capacity=4096):
        with pytest.raises(NotFoundError, match="another one's"):
            unlink_held(segment_path(name), name, wanted=lambda _: False)
        assert os.path.exists(segment_path(name))


def test_of_many_who_unlink_one_has_done_it(name: str) -> None:
    for _ in range(20):
        left(name)
        done: list[bool] = []

        def unlink(done: list[bool] = done) -> None:
            try:
                SpscRing.unlink_name(name)
            except NotFoundError:
                done.append(False)
            else:
                done.append(True)

        threads = [threading.Thread(target=unlink) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(done) == [False, False, False, True]


def test_a_removal_that_is_given_up_leaves_no_lock_to_a_forked_child(name: str) -> None:
    left(name)
    with Removal(segment_path(name)):
        pid = os.fork()
        if pid == 0:
            signal.pause()
            os._exit(0)
    try:
        SpscRing.open(name).close()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


# --- errors ---------------------------------------------------------------------------------------------------------


def test_what_is_not_there_cannot_be_removed(name: str) -> None:
    with pytest.raises(NotFoundError):
        Removal(segment_path(name))
    with pytest.raises(NotFoundError):
        open_held(segment_path(name), name)
    left(name)
    with Removal(segment_path(name)) as removal:
        os.unlink(segment_path(name))
        with pytest.raises(NotFoundError):
            removal.finish()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_users_segment_cannot_be_removed(name: str) -> None:
    left(name)

    def attempt() -> str:
        become_nobody()
        try:
            with Removal(segment_path(name)):
                return "begun"
        except AccessError:
            return "refused"

    assert in_fork(attempt) == "refused"
