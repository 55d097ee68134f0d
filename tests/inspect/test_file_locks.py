"""Locks on files as they are found."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
from contextlib import closing, suppress
from dataclasses import replace

import pytest

from ipckit import inspect
from ipckit.errors import NotFoundError
from ipckit.filelock import Flock, OfdLock, RecordLock
from ipckit.inspect._processes.scan import Scan
from ipckit.inspect._waits import lock_table
from ipckit.inspect.file_locks import FileLock, collect
from ipckit.ring import SpscRing
from ipckit.sync import Mutex
from ipckit.testing import pause
from tests.nobody import WAS_ROOT, become_nobody

NAME = f"/test-lock-{os.getpid()}"
F_OFD_SETLKW = 38
FLOCK = struct.Struct("hhlli4x")  # struct flock on 64 bits


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "locked file"
    made.write_bytes(bytes(100))
    return str(made)


@pytest.fixture
def ended():
    """Children to be killed and reaped at the end."""
    children = []
    yield children
    for child in children:
        child.kill()
        child.join()


def on(path):
    """The records of a file's locks, in order."""
    return [record for record in inspect.objects(["lock"]) if record.file == path]


def test_each_type_is_told(path):
    with (
        closing(OfdLock(path, start=10, length=5)) as one,
        closing(OfdLock(path, start=20)) as other,
        closing(Flock(path)) as whole,
        closing(RecordLock(path, start=0, length=1)) as record,
        one,
        other.shared(),
        whole,
        record,
    ):
        found = {(lock.type, lock.start): lock for lock in on(path)}
        assert len(found) == 4
        mine = found["ofd", 10]
        assert mine.address == f"lock:{path}:10-14"
        assert (mine.shared, mine.start, mine.end, mine.owners) == (False, 10, 14, 1)
        assert mine.inode == os.stat(path).st_ino
        assert mine.use == "ofd, exclusive"
        assert (mine.pids, mine.verdict.state) == ((os.getpid(),), "in use")
        assert one.fileno() in mine.holders[0].descriptors
        open_end = found["ofd", 20]
        assert (open_end.address, open_end.end, open_end.shared) == (f"lock:{path}:20-EOF", None, True)
        assert open_end.use == "ofd, shared"
        assert found["flock", 0].address == f"lock:{path}:flock"
        assert found["flock", 0].pids == (os.getpid(),)
        assert (found["record", 0].address, found["record", 0].pids) == (f"lock:{path}:0-0", (os.getpid(),))
        for lock in found.values():
            found_again = inspect.find(lock.address)
            assert replace(found_again, unseen=lock.unseen) == lock  # of other users, who come and go
    assert on(path) == []


def hold_shared(path):
    with closing(OfdLock(path)) as lock, lock.shared():
        pause("holding")


def test_several_that_share_are_one_record(spawn, path, ended):
    with closing(OfdLock(path)) as lock, lock.shared():
        ended.append(spawn(hold_shared, path))
        ended[0].wait_reached("holding")
        (record,) = on(path)
        assert record.use == "ofd, shared by 2"
        assert set(record.pids) == {os.getpid(), ended[0].pid}
        ended[0].kill()
        ended[0].join()
        (record,) = on(path)
        assert (record.owners, record.pids) == (1, (os.getpid(),))


def take_and_give_back(path):
    """Change the kernel's list all the time, at its head."""
    with open(path, "r+b") as file:
        pause("beginning")
        while True:
            fcntl.lockf(file, fcntl.LOCK_EX, 1, 0)
            fcntl.lockf(file, fcntl.LOCK_UN, 1, 0)


def test_a_list_of_many_pages_that_changes_while_it_is_read(spawn, path, tmp_path, ended):
    """The kernel gives it page by page, and goes on by counting: of two pages, both or none may have a lock."""
    other = tmp_path / "other file"
    other.write_bytes(bytes(1))
    with open(path, "r+b") as file:
        for start in range(100, 700, 2):  # some 60 bytes of the list each
            fcntl.fcntl(file, F_OFD_SETLKW, FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, 1, 0))
        ended.append(spawn(take_and_give_back, str(other)))
        ended[0].wait_reached("beginning")
        ended[0].resume("beginning")
        for _ in range(20):
            found = on(path)
            assert [(lock.start, lock.owners, lock.pids) for lock in sorted(found, key=lambda lock: lock.start)] == [
                (start, 1, (os.getpid(),)) for start in range(100, 700, 2)
            ]


def wait_for(path, kind, start, length, how):
    """Sleep in the one call of the kernel until the lock is free."""
    with open(path, "r+b") as file:
        if kind == "flock":
            fcntl.flock(file, how)
        elif kind == "record":
            fcntl.lockf(file, how, length, start)
        else:
            type = fcntl.F_RDLCK if how == fcntl.LOCK_SH else fcntl.F_WRLCK
            fcntl.fcntl(file, F_OFD_SETLKW, FLOCK.pack(type, os.SEEK_SET, start, length, 0))


@pytest.mark.parametrize("kind", ["flock", "record", "ofd"])
def test_who_waits_is_told(spawn, path, ended, kind):
    made = {"flock": Flock, "record": RecordLock, "ofd": OfdLock}[kind]
    with closing(made(path)) as lock, lock:
        ended += [spawn(wait_for, path, kind, 0, 0, how) for how in (fcntl.LOCK_EX, fcntl.LOCK_SH)]
        call = "flock" if kind == "flock" else "fcntl"
        for child in ended:
            child.wait_blocked(call)
        (record,) = on(path)
        assert record.pids == (os.getpid(),)
        assert {(who.process.pid, who.shared) for who in record.waiters} == {
            (ended[0].pid, False),
            (ended[1].pid, True),
        }
        assert all((who.start, who.end) == (0, None) for who in record.waiters)
        assert record.use == f"{kind}, exclusive, 2 wait"
        assert "2 wait for it: " in record.verdict.reason
        for child in ended:
            assert f"{child.pid} (" in record.verdict.reason
        ended[1].kill()
        ended[1].join()
        ended[0].wait_blocked(call)  # who waited behind the dead one tries anew, and is on the kernel's list only then
        (record,) = on(path)
        assert [who.process.pid for who in record.waiters] == [ended[0].pid]
        assert "1 waits for it: " in record.verdict.reason


def test_only_locks_that_are_in_the_way_have_the_waiter(spawn, path, ended):
    one, other = (OfdLock(path, start=start, length=10) for start in (0, 20))
    with closing(one), closing(other), one, other:
        ended.append(spawn(wait_for, path, "ofd", 25, 1, fcntl.LOCK_EX))
        ended[0].wait_blocked("fcntl")
        free, asked = on(path)
        assert (free.waiters, free.use) == ((), "ofd, exclusive")
        (who,) = asked.waiters
        assert (who.process.pid, who.start, who.end) == (ended[0].pid, 25, 25)


def hold_twice(path):
    lock = OfdLock(path)
    lock.acquire()
    pause("holding")
    del lock


def test_a_lock_goes_with_its_holder(spawn, path, ended):
    ended.append(spawn(hold_twice, path))
    ended[0].wait_reached("holding")
    (record,) = on(path)
    assert record.pids == (ended[0].pid,)
    os.unlink(path)
    (record,) = (lock for lock in inspect.objects(["lock"]) if lock.file == f"{path} (deleted)")
    assert record.address.startswith("lock:[")
    assert record.address.endswith("]:0-EOF")
    ended[0].send_signal(signal.SIGKILL)
    ended[0].join()
    with suppress(NotFoundError):  # another file may have its number
        assert ended[0].pid not in inspect.find(record.address).pids


def test_who_gave_back_since_the_look_is_left_out(path):
    with closing(OfdLock(path)) as lock:
        with lock:
            scan = Scan.take({"lock"})
            assert path in {record.file for record in collect(scan, "lock")}
        assert path not in {record.file for record in collect(scan, "lock")}


def test_signs_of_life_of_our_segments_are_said_to_be_that():
    with SpscRing.create(NAME, unlink_on_close=True), closing(Mutex.create(f"{NAME}-mutex", unlink_on_close=True)):
        for name in (NAME, f"{NAME}-mutex"):
            found = on(f"/dev/shm/ipckit.{name[1:]}")
            assert found
            assert all("signs of life" in record.verdict.reason for record in found)


def lease_and_wait(path):
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    with open(path, "rb") as file:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        pause("holding")


def test_a_lease_is_told(spawn, path, ended):
    ended.append(spawn(lease_and_wait, path))
    ended[0].wait_reached("holding")
    (record,) = on(path)
    assert (record.type, record.address, record.pids) == ("lease", f"lock:{path}:lease", (ended[0].pid,))
    with pytest.raises(BlockingIOError):
        os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    (record,) = on(path)
    assert "was asked to give it up" in record.verdict.reason


def look_as_nobody(inode):
    list(inspect.objects(["lock"]))  # loads all modules, while they may be read
    become_nobody()
    (record,) = (record for record in inspect.objects(["lock"]) if record.inode == inode)
    return record.address, record.pids, record.file, record.verdict


@pytest.mark.skipif(not WAS_ROOT, reason="takes root, to have processes of two users")
def test_of_another_user_the_holder_of_a_record_lock_is_known_and_the_path_is_not(spawn, path):
    inode = os.stat(path).st_ino
    with closing(RecordLock(path)) as lock, lock:
        address, pids, file, verdict = spawn(look_as_nobody, inode).result()
        assert address.startswith("lock:[")
        assert (pids, file, verdict.state) == ((os.getpid(),), None, "in use")
    with closing(OfdLock(path)) as lock, lock:
        _, pids, file, verdict = spawn(look_as_nobody, inode).result()
        assert (pids, file, verdict.state) == ((), None, "unknown")


def test_without_the_kernels_list_locks_of_open_files_are_found(path, monkeypatch):
    def refuse():
        raise FileNotFoundError(2, "No such file or directory")
        yield

    monkeypatch.setattr(lock_table, "listed", refuse)
    with closing(OfdLock(path)) as lock, lock:
        scan = Scan.take({"lock"})
        (record,) = (record for record in collect(scan, "lock") if record.file == path)
        assert isinstance(record, FileLock)
        assert (record.use, record.pids) == ("ofd, exclusive", (os.getpid(),))
        assert any("/proc/locks can't be read" in note for note in scan.notes)
