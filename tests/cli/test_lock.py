"""`ipckit lock`: who gets it, what the command gets, and what is left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipckit import sync
from ipckit.filelock import Flock, OfdLock, RecordLock
from ipckit.posix import Semaphore
from ipckit.testing import reached, wait_blocked
from tests.cli.calling import whole
from tests.cli.shell import run, run_anew
from tests.nobody import become_nobody

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.pty import TerminalProcess
    from ipckit.testing import Child
    from tests.cli.shell import Running

TAG = f"ipckit-cli-lock-{os.getpid()}"
HOLD = ("sh", "-c", "echo held; read line; exit 7")  # holds until its input ends
# Their handlers write past sys.stdout, in whose print the signal may come.
TELLS = """
import os, signal, sys
def told(signum, frame):
    os.write(1, b"got\\n")
    sys.exit(5)
signal.signal(int(sys.argv[1]), told)
print("held", flush=True)
while True:
    signal.pause()
"""
COUNTS = """
import os, signal, sys
from tests.nobody import become_nobody
interrupts = []
def told(signum, frame):
    interrupts.append(signum)
    os.write(1, b"interrupted\\n")
def ended(signum, frame):
    os.write(1, b"interrupts: %d\\n" % len(interrupts))
    sys.exit(6)
signal.signal(signal.SIGINT, told)
signal.signal(signal.SIGTERM, ended)
print("held", flush=True)
while True:
    signal.pause()
"""

SETPRIV = shutil.which("setpriv") or ""

pytestmark = pytest.mark.slow


def die_owning(name: str) -> None:
    sync.Mutex.open(name).acquire()
    reached("owning")


@pytest.mark.parametrize(
    ("how", "home"), [("flock", Flock), ("ofd", OfdLock), ("record", RecordLock)], ids=lambda value: str(value)
)
def test_a_file_is_locked_while_the_command_runs(
    how: str, home: type[Flock], tmp_path: Path, start: Callable[..., Running]
) -> None:
    path = tmp_path / "lock"
    holder = start("lock", "--how", how, path, "--", *HOLD)
    assert holder.line() == b"held\n"
    with closing(home(path)) as lock:
        assert not lock.try_acquire()
        assert run("lock", "--how", how, "--no-wait", path, "true")[0] == 3
        assert run("lock", "--how", how, "--timeout", "0.1", "-E", 99, path, "true")[0] == 99
        waiter = start("lock", "--how", how, f"lock:{path}", "--", "sh", "-c", "echo mine")
        waiter.wait_blocked("flock", "fcntl")
        assert holder.finish(b"\n")[:2] == (7, b"")
        assert waiter.finish()[:2] == (0, b"mine\n")
        assert lock.try_acquire()
        lock.release()


def test_shared_locks_go_together(tmp_path: Path, start: Callable[..., Running]) -> None:
    path = tmp_path / "lock"
    reader = start("lock", "--shared", path, "--", *HOLD)
    assert reader.line() == b"held\n"
    assert run("lock", "--shared", "-n", path, "true")[0] == 0
    assert run("lock", "-n", path, "true")[0] == 3
    assert reader.finish(b"\n")[0] == 7


@pytest.mark.skipif(shutil.which("flock") is None, reason="flock(1) is not installed")
def test_it_and_flock_keep_each_other_out(tmp_path: Path, start: Callable[..., Running]) -> None:
    path = tmp_path / "lock"
    holder = start("lock", path, "--", *HOLD)
    assert holder.line() == b"held\n"
    assert subprocess.run(["flock", "-n", path, "true"], check=False).returncode == 1
    holder.finish(b"\n")
    assert subprocess.run(["flock", "-n", path, "true"], check=False).returncode == 0


def test_the_command_has_the_lock_only_if_it_is_to_inherit_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    show = ["sh", "-c", "ls -l /proc/self/fd"]
    assert str(path).encode() not in run("lock", path, "--", *show)[1]
    assert str(path).encode() in run("lock", "--inherit", path, "--", *show)[1]
    for more in (["--how", "record", path], [f"sem:/{TAG}-none"]):
        assert run("lock", "--inherit", *more, "true")[0] in {1, 2}


def test_the_status_is_the_commands(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert run("lock", path, "sh", "-c", "exit 42")[0] == 42
    assert run("lock", path, "--", "sh", "-c", "kill -9 $$")[0] == 137
    assert run("lock", path, "--", tmp_path / "no-such-command")[0] == 127
    assert run("lock", path, "--", tmp_path)[0] == 126
    assert run("lock", path)[0] == 2
    assert run("lock", tmp_path / "none" / "lock", "true")[0] == 1
    assert run("lock", path, "--", "cat", given=b"\0in\n")[:2] == (0, b"\0in\n")
    assert run("lock", "-n", path, "true")[0] == 0  # whatever happened, it was given back


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_are_passed_on(signum: int, tmp_path: Path, start: Callable[..., Running]) -> None:
    path = tmp_path / "lock"
    holder = start("lock", path, "--", sys.executable, "-c", TELLS, int(signum))
    assert holder.line() == b"held\n"
    holder.process.send_signal(signum)
    assert holder.finish()[:2] == (5, b"got\n")
    assert run("lock", "-n", path, "true")[0] == 0


def lock_as_nobody(path: str, *command: str) -> int:
    from ipckit.cli import commands

    assert commands.run(["lock", f"{path}-of-root", "true"]) == 0  # loads what nobody may not read, perhaps
    become_nobody()
    reached("nobody")
    return commands.run(["lock", path, *command])


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user, and make a program of its own")
@pytest.mark.skipif(not SETPRIV, reason="setpriv(1) is not installed")
def test_a_command_that_may_not_be_signalled_keeps_the_lock(spawn: Callable[..., Child]) -> None:
    """As sudo(8) may not, that has become root."""
    with tempfile.TemporaryDirectory() as folder:
        if os.statvfs(folder).f_flag & os.ST_NOSUID:
            pytest.skip("programs become nobody's here: the file system is mounted nosuid")
        path, program = f"{folder}/lock", f"{folder}/become-root"
        shutil.copy(SETPRIV, program)
        os.chmod(program, 0o4755)
        os.chmod(folder, 0o777)
        child = spawn(lock_as_nobody, path, program, "--reuid=0", "sleep", "1000")
        child.wait_reached("nobody")
        child.wait_blocked("rt_sigtimedwait")
        (command,) = map(int, Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split())
        wait_blocked(command, "nanosleep")  # so it is sleep(1) by now
        child.send_signal(signal.SIGTERM)
        child.wait_blocked("rt_sigtimedwait")
        with closing(Flock(path)) as lock:
            assert not lock.try_acquire()
            os.kill(command, signal.SIGKILL)
            assert child.result() == 128 + signal.SIGKILL
            assert lock.try_acquire()


def test_ctrl_c_of_a_terminal_reaches_the_command_once(
    tmp_path: Path, terminal: Callable[..., TerminalProcess]
) -> None:
    process = terminal("lock", tmp_path / "lock", "--", sys.executable, "-c", COUNTS)
    process.read_until(b"held", timeout=30)
    process.write(b"\x03")
    process.read_until(b"interrupted", timeout=30)
    wait_blocked(process.pid, "rt_sigtimedwait", timeout=30)
    process.send_signal(signal.SIGTERM)
    text, status = whole(process)
    assert text.split() == ["interrupts:", "1"]
    assert status == 6


def test_a_status_is_told_where_sigchld_was_ignored(tmp_path: Path) -> None:
    how = {"preexec_fn": lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)}
    assert run_anew("lock", tmp_path / "lock", "--", "sh", "-c", "exit 9", **how)[0] == 9


def test_a_signal_ends_the_wait_for_the_lock(tmp_path: Path, start: Callable[..., Running]) -> None:
    with closing(Flock(tmp_path / "lock")) as lock:
        lock.acquire()
        waiter = start("lock", tmp_path / "lock", "--", "echo", "never")
        waiter.wait_blocked("flock")
        waiter.process.send_signal(signal.SIGINT)
        assert waiter.finish()[:2] == (130, b"")


def test_the_end_of_a_child_that_it_was_left_ends_no_wait(tmp_path: Path, start: Callable[..., Running]) -> None:
    """As in ``sleep 1 & exec ipckit lock ...``."""
    with closing(Flock(tmp_path / "lock")) as lock:
        lock.acquire()
        waiter = start("lock", tmp_path / "lock", "--", "echo", "mine")
        waiter.wait_blocked("flock")
        waiter.process.send_signal(signal.SIGCHLD)
        with pytest.raises(subprocess.TimeoutExpired):
            waiter.process.wait(0.5)
        lock.release()
        assert waiter.finish()[:2] == (0, b"mine\n")


def test_synchronisation_objects(start: Callable[..., Running], spawn: Callable[..., object]) -> None:
    name = f"/{TAG}-mutex"
    mutex = sync.Mutex.create(name, unlink_on_close=True)
    holder = start("lock", f"sync:{name}", "--", *HOLD)
    assert holder.line() == b"held\n"
    assert mutex.owner().pid == holder.pid
    assert run("lock", "-n", f"sync:{name}", "true")[0] == 3
    assert holder.finish(b"\n")[0] == 7
    child = spawn(die_owning, name)
    child.wait_reached("owning")
    child.kill()
    status, out, err = run("lock", f"sync:{name}", "--", "sh", "-c", "echo $IPCKIT_OWNER_DIED")
    assert (status, out) == (0, b"1\n")
    assert "the last owner" in err
    status, out, err = run("lock", f"sync:{name}", "--", "sh", "-c", "echo $IPCKIT_OWNER_DIED")
    assert (status, out, err) == (0, b"\n", "")
    mutex.close()
    with closing(sync.RWLock.create(name, unlink_on_close=True)) as lock:
        lock.acquire_read()
        assert run("lock", "--shared", "-n", f"sync:{name}", "true")[0] == 0
        assert run("lock", "-n", f"sync:{name}", "true")[0] == 3
        lock.release_read()
        assert run("lock", "-n", f"sync:{name}", "true")[0] == 0
    with sync.Event.create(name, unlink_on_close=True):
        assert run("lock", f"sync:{name}", "true")[0] == 2
    with closing(Semaphore.create(name, value=1, unlink_on_close=True)) as semaphore:
        assert run("lock", f"sem:{name}", "--", "sh", "-c", "exit 3")[0] == 3
        assert semaphore.value == 1
        assert run("lock", "--shared", f"sem:{name}", "true")[0] == 2
        semaphore.acquire()
        assert run("lock", "-n", "-E", 9, f"sem:{name}", "true")[0] == 9


def test_the_address_of_what_cannot_be_locked_is_no_file_to_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = run("lock", "sysv-sem:0x1234", "--", "echo", "held")
    assert (status, out) == (2, b"")
    assert "lock:sysv-sem:0x1234" in err
    assert os.listdir() == []
    assert run("lock", "lock:sysv-sem:0x1234", "--", "echo", "held") == (0, b"held\n", "")
    assert run("lock", "sysv-sem:0x1234", "--", "echo", "held") == (0, b"held\n", "")  # there is such a file
