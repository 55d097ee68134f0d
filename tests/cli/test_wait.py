"""`ipckit wait`: ready, there, gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest

from ipckit import Fifo, MpmcRing, features, posix, sync, sysv
from ipckit.errors import TimeoutExpired
from ipckit.filelock import Flock, OfdLock
from ipckit.sockets import inet, unix
from tests.cli.shell import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.calling import Done
    from tests.cli.shell import Running

NAME = f"/ipckit-cli-wait-{os.getpid()}"
KEY = 0x4B000000 | os.getpid() & 0xFFFFFF

pytestmark = pytest.mark.slow


def free(lock: Flock) -> Flock:
    assert lock.acquire()
    return lock


def made(path: Path) -> Iterator[tuple[str, object, Callable[[object], object]]]:
    """Address, object that is not ready, what makes it ready."""
    if features.has_mqueue():
        queue = posix.MessageQueue.create(NAME, unlink_on_close=True)
        yield f"mq:{NAME}", queue, lambda found: found.send(b"x")
    yield f"sem:{NAME}", posix.Semaphore.create(NAME, unlink_on_close=True), lambda found: found.release()
    private = sysv.MessageQueue.create(KEY, remove_on_close=True)
    yield f"sysv-mq:{KEY:#x}", private, lambda found: found.send(b"x")
    yield (
        f"sysv-sem:{KEY}",
        sysv.SemaphoreSet.create(KEY, size=2, remove_on_close=True),
        lambda found: found.op([(0, 1)]),
    )
    yield f"ring:{NAME}", MpmcRing.create(NAME, unlink_on_close=True), lambda found: found.send(b"x")
    yield f"sync:{NAME}", sync.Event.create(NAME, unlink_on_close=True), lambda found: found.set()
    yield (
        f"sync:{NAME}",
        sync.Latch.create(NAME, count=1, unlink_on_close=True),
        lambda found: found.count_down(),
    )
    mutex = sync.Mutex.create(NAME, unlink_on_close=True)
    mutex.acquire()
    yield f"sync:{NAME}", mutex, lambda found: found.release()
    for home in (Flock, OfdLock):
        yield f"lock:{path}/lock", free(home(path / "lock")), lambda found: found.release()


def test_objects_that_become_ready(tmp_path: Path, start: Callable[..., Running]) -> None:
    seen = 0
    for address, handle, make_ready in made(tmp_path):
        with closing(handle):
            assert run("wait", "--timeout", 0, address)[0] == 3, address
            waiter = start("wait", address)
            waiter.wait_blocked("poll", "ppoll")
            make_ready(handle)
            assert waiter.finish() == (0, b"", ""), address
            assert run("wait", "--timeout", 0, address)[0] == 0  # nothing was taken
            seen += 1
        if not address.startswith("lock:"):
            assert run("wait", address)[0] == 1
    assert seen >= 9


def test_objects_that_come_and_go(tmp_path: Path, start: Callable[..., Running]) -> None:
    path = tmp_path / "x"
    cases = {
        f"sem:{NAME}": lambda: posix.Semaphore.create(NAME, unlink_on_close=True),
        f"shm:{NAME}": lambda: posix.SharedMemory.create(NAME, size=1, unlink_on_close=True),
        f"ring:{NAME}": lambda: MpmcRing.create(NAME, unlink_on_close=True),
        f"sysv-shm:{KEY}": lambda: sysv.SharedMemory.create(KEY, size=1, remove_on_close=True),
        f"sysv-mq:{KEY}": lambda: sysv.MessageQueue.create(KEY, remove_on_close=True),
        f"fifo:{path}": lambda: Fifo.create(path, unlink_on_close=True),
        f"unix:@{NAME}": lambda: unix.Stream.listen(f"\0{NAME}"),
        f"unix:{path}": lambda: unix.Datagram.bind(str(path)),
    }
    if features.has_mqueue():
        cases[f"mq:{NAME}"] = lambda: posix.MessageQueue.create(NAME, unlink_on_close=True)
    coming = start("wait", "--exists", *cases)
    coming.wait_blocked("poll", "ppoll")
    handles = {}
    for number, (address, make) in enumerate(cases.items()):
        if not address.endswith(str(path)) or number < 6:
            handles[address] = make()
    handles[f"fifo:{path}"].close()
    for address in [f"fifo:{path}"]:
        handles.pop(address)
    handles[f"unix:{path}"] = cases[f"unix:{path}"]()
    assert coming.finish()[0] == 0
    assert run("wait", "--gone", "--timeout", "0.1", *handles)[0] == 3
    going = start("wait", "--gone", *handles)
    going.wait_blocked("poll", "ppoll")
    for handle in handles.values():
        handle.close()
    assert going.finish()[0] == 0


def test_processes(start: Callable[..., Running]) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        address = f"pid:{child.pid}"
        assert run("wait", "--timeout", 0, address)[0] == 3
        assert run("wait", "--exists", address)[0] == 0
        for how in ([], ["--gone"]):
            waiter = start("wait", *how, address)
            waiter.wait_blocked("poll", "ppoll")
        child.stdin.close()
        assert waiter.finish()[0] == 0
    assert run("wait", address)[0] == 0
    assert run("wait", "--exists", "--timeout", 0, address)[0] == 3


def test_the_time_may_be_longer_than_poll_takes(start: Callable[..., Running]) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        waiter = start("wait", f"pid:{process.pid}", "--timeout", 1 << 31)
        waiter.wait_blocked("poll")
    assert waiter.finish() == (0, b"", "")


def test_any_names_the_first(start: Callable[..., Running], tmp_path: Path) -> None:
    with inet.Stream.listen(("127.0.0.1", 0)) as listener:
        address = f"tcp:127.0.0.1:{listener.address[1]}"
        assert run("wait", "--any", f"unix:{tmp_path}/none", address)[:2] == (0, f"{address}\n".encode())
        status, _, err = run("wait", "--timeout", 0, f"unix:{tmp_path}/none", address)
        assert status == 3
        assert address not in err
        assert "none" in err
    waiter = start("wait", address)
    waiter.wait_blocked("poll", "ppoll")
    waiter.process.send_signal(signal.SIGINT)
    assert waiter.finish()[0] == 130


@pytest.mark.parametrize("name", [f"@{NAME}", "s"], ids=["abstract", "path"])
def test_who_listens_and_accepts_nobody_is_there(name: str, tmp_path: Path) -> None:
    where = f"\0{NAME}" if name.startswith("@") else str(tmp_path / name)
    address = f"unix:{name}" if name.startswith("@") else f"unix:{where}"
    with unix.Stream.listen(where, backlog=0), ExitStack() as stack:
        with pytest.raises(TimeoutExpired):
            while True:
                stack.enter_context(unix.Stream.connect(where, timeout=0))
        assert run("wait", "--timeout", 0, address)[0] == 0
        assert run("wait", "--exists", "--timeout", 0, address)[0] == 0
        assert run("wait", "--gone", "--timeout", 0, address)[0] == 3


def test_what_cannot_be_waited_for_is_said(tmp_path: Path) -> None:
    with Fifo.create(tmp_path / "f"):
        assert run("wait", f"fifo:{tmp_path}/f")[0] == 2
    assert run("wait", "pid:self")[0] == 2
    assert run("wait", "--exists", "pid:self")[0] == 2
    assert run("wait", "udp:1")[0] == 2
    assert run("wait", "--timeout", "x", "mq:/q")[0] == 2
    with sync.Barrier.create(NAME, parties=2, unlink_on_close=True):
        assert run("wait", f"sync:{NAME}")[0] == 2


def test_a_lock_that_was_looked_at_is_let_go_of(tmp_path: Path, ipckit: Callable[..., Done]) -> None:
    (tmp_path / "lock").touch()
    assert ipckit("wait", f"lock:{tmp_path}/lock") == (0, "", "")  # a handle that is left open warns
