"""`ipckit rm`: objects of every kind that has a name, and what is left."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from ipckit import posix, sync, sysv
from ipckit.ring import SpscRing
from ipckit.testing import reached
from tests.cli.calling import whole

NAME = f"/test-rm-{os.getpid()}"


def unowned(kind, high=0x49):
    """Make an object that nobody has, with *high* as the first byte of a System V key, and return its address."""
    if kind in {"mq", "sem", "shm"}:
        made = {
            "mq": posix.MessageQueue.create,
            "sem": posix.Semaphore.create,
            "shm": lambda name: posix.SharedMemory.create(name, size=1),
        }
        made[kind](NAME).close()
        return f"{kind}:{NAME}"
    if kind in {"ring", "sync"}:
        (SpscRing if kind == "ring" else sync.Event).create(NAME).close()
        return f"{kind}:{NAME}"
    made = {
        "sysv-mq": sysv.MessageQueue.create,
        "sysv-sem": sysv.SemaphoreSet.create,
        "sysv-shm": lambda key: sysv.SharedMemory.create(key, size=1),
    }
    key = high << 24 | (os.getpid() & 0xFFFFFF)
    made[kind](key).close()
    return f"{kind}:{key:#x}"


@pytest.mark.parametrize("kind", ["ring", "sync", "mq", "sem", "shm", "sysv-mq", "sysv-sem", "sysv-shm"])
def test_what_nobody_has_is_removed(ipckit, kind):
    address = unowned(kind)
    if kind == "mq" and not os.path.ismount("/dev/mqueue") and ipckit("show", address).status:
        posix.MessageQueue.unlink_name(NAME)
        pytest.skip("queues that nobody has open cannot be listed: /dev/mqueue is not mounted")
    done = ipckit("rm", address)
    assert done.out == f"removed {address}\n"
    assert (done.status, done.err) == (0, "")
    done = ipckit("rm", address)
    assert (done.status, done.out, done.err) == (1, "", f"ipckit: there is no {address}\n")


@pytest.mark.parametrize("kind", ["sysv-mq", "sysv-sem", "sysv-shm"])
def test_a_key_that_is_negative_as_a_c_int_is_one_as_any(ipckit, kind):
    address = unowned(kind, 0xC9)  # as ftok(path, 0xC9) makes them
    assert ipckit("rm", address) == (0, f"removed {address}\n", "")


def test_what_somebody_has_is_left_unless_forced(ipckit):
    with posix.SharedMemory.create(NAME, size=1), SpscRing.create(NAME) as ring:
        for address in (f"shm:{NAME}", f"ring:{NAME}"):
            done = ipckit("rm", address)
            assert (done.status, done.out) == (1, "")
            assert address in done.err
            assert f"{os.getpid()}" in done.err
            assert "Traceback" not in done.err
            done = ipckit("rm", "--force", "--yes", address)
            assert (done.status, done.out) == (0, f"removed {address}\n")
        ring.send(b"goes on")
        assert ring.receive() == b"goes on"


def test_a_fifo_goes_while_it_is_open_if_forced(ipckit, tmp_path):
    path = str(tmp_path / "fifo")
    os.mkfifo(path)
    done = ipckit("rm", f"fifo:{path}")
    assert done.status == 1
    assert "FIFOs that nobody has open are not looked for" in done.err
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert ipckit("rm", f"fifo:{path}").status == 1
        assert ipckit("rm", "-fy", f"fifo:{path}").out == f"removed fifo:{path}\n"
    finally:
        os.close(fd)
    assert not os.path.exists(path)


def test_a_socket_file_goes_that_nobody_is_bound_to(ipckit, tmp_path):
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        done = ipckit("rm", f"unix:{path}")
        assert (done.status, done.out) == (1, "")
        assert f"{os.getpid()}" in done.err
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
    assert ipckit("rm", "-fy", f"unix:{path}").out == f"removed unix:{path}\n"
    assert not os.path.exists(path)
    assert ipckit("rm", f"unix:{path}").err == f"ipckit: there is no unix:{path}\n"


def test_several_are_looked_up_at_once_and_the_rest_goes(ipckit):
    posix.SharedMemory.create(NAME, size=1).close()
    done = ipckit("rm", f"shm:{NAME[1:]}", "mq:/no-such-queue", f"shm:{NAME}")
    assert (done.status, done.out) == (1, f"removed shm:{NAME}\n")
    assert done.err == "ipckit: there is no mq:/no-such-queue\n"


def test_what_has_no_name_goes_by_itself(ipckit):
    ends = os.pipe()
    try:
        done = ipckit("rm", "--force", "--yes", f"pipe:[{os.fstat(ends[0]).st_ino}]")
        assert (done.status, done.out) == (1, "")
        assert done.err.count("\n") == 1
        assert "no name" in done.err
    finally:
        os.close(ends[0])
        os.close(ends[1])


def hold(name):
    with posix.SharedMemory.open(name):
        reached("open")
        signal.pause()


@pytest.mark.slow
def test_force_asks_on_a_terminal(terminal, spawn):
    posix.SharedMemory.create(NAME, size=1).close()
    child = spawn(hold, NAME)
    child.wait_reached("open")
    refused = terminal("rm", "--force", f"shm:{NAME}", columns=200)
    asked = refused.read_until(b"[y/N] ", timeout=30).decode()
    assert f"shm:{NAME} is in use: process {child.pid} " in asked
    refused.write(b"\n")
    assert whole(refused)[1] == 1
    agreed = terminal("rm", "--force", f"shm:{NAME}", columns=200)
    agreed.read_until(b"[y/N] ", timeout=30)
    agreed.write(b"y\n")
    text, status = whole(agreed)
    assert (text.strip(), status) == (f"removed shm:{NAME}", 0)
    child.kill()
    child.join()


def test_what_is_no_address_is_wrong_usage_and_nothing_goes(ipckit):
    posix.SharedMemory.create(NAME, size=1).close()
    try:
        done = ipckit("rm", f"shm:{NAME}", "jobs")
        assert (done.status, done.out) == (2, "")
        assert "an address is KIND:NAME" in done.err
        assert ipckit("rm").status == 2
    finally:
        posix.SharedMemory.unlink_name(NAME)
