"""PidFd: programs that it starts, descriptors that it fetches, what a death in the middle leaves."""

from __future__ import annotations

import errno
import os
import resource
import signal
from typing import TYPE_CHECKING

import pytest

from ipckit import EventFd, Fifo, PidFd
from ipckit.errors import AccessError, LimitError, NotFoundError, SyscallError
from ipckit.testing import pause, wait_blocked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ipckit.testing import Spawn

KILLED = -signal.SIGKILL


@pytest.fixture
def sleeper() -> Iterator[PidFd]:
    with PidFd.spawn(["sleep", "1000"]) as made:
        yield made
        if made.running:
            made.send_signal(signal.SIGKILL)
        made.wait(10)


def test_programs_are_found_and_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.defpath)  # a directory that may not be searched would be EACCES
    with pytest.raises(NotFoundError, match="no-such-program"):
        PidFd.spawn(["no-such-program"])
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nexit 4\n")
    with pytest.raises(AccessError, match="script"):
        PidFd.spawn([str(script)])
    script.chmod(0o700)
    with PidFd.spawn((str(script),)) as child:
        assert child.wait(10) == 4
    with PidFd.spawn(["sh", "-c", 'test "$A" = b && test -z "$HOME"'], env={"A": "b"}) as child:
        assert child.wait(10) == 0
    with PidFd.spawn(["sh", "-c", "test $(cut -d ' ' -f 5 /proc/$$/stat) = $$"], setpgroup=0) as child:
        assert child.wait(10) == 0
    for bad in ("sleep 1", [], b"true"):
        with pytest.raises(TypeError, match="args must be a list"):
            PidFd.spawn(bad)  # type: ignore[arg-type]


def spawn_without_descriptors() -> str:
    """Start a program while no descriptor is left for it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    refusal = ""
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        PidFd.spawn(["sleep", "1000"])
    except LimitError as error:
        refusal = str(error)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    return refusal


def test_a_program_that_can_not_be_held_is_taken_back(spawn: Spawn) -> None:
    refusal = spawn(spawn_without_descriptors).result()
    assert "pidfd_open" in refusal
    assert "RLIMIT_NOFILE" in refusal


def test_descriptors_of_another_process_are_duplicates(spawn: Spawn) -> None:
    with EventFd.create() as event:
        child = spawn(hold, event)
        child.wait_reached("holds")
        with PidFd.open(child.pid) as process:
            numbers = [int(n) for n in os.listdir(f"/proc/{child.pid}/fd")]
            theirs = next(n for n in numbers if "eventfd" in os.readlink(f"/proc/{child.pid}/fd/{n}"))
            copy = process.getfd(theirs)
            assert not os.get_inheritable(copy)
            with EventFd.from_fd(copy) as same:
                same.write(5)
                assert event.read(0) == 5
            with pytest.raises(SyscallError, match="has no descriptor 9999") as caught:
                process.getfd(9999)
            assert caught.value.errno == errno.EBADF
        child.resume("holds")
        child.join()
    with PidFd.open(os.getpid()) as me:
        for bad in (-1, 2**31):
            with pytest.raises(ValueError, match="fd must be"):
                me.getfd(bad)


def hold(event: EventFd) -> None:
    with event:
        pause("holds")


def take_as_another_user(uid: int, pid: int) -> tuple[str, str]:
    with PidFd.open(pid) as process:
        os.setuid(uid)
        try:
            process.getfd(0)
        except AccessError as error:
            return error.syscall, str(error)
    return "permitted", ""


@pytest.mark.skipif(os.getuid() != 0, reason="it takes root to become another user")
def test_to_take_a_descriptor_takes_what_ptrace_takes(spawn: Spawn) -> None:
    syscall, text = spawn(take_as_another_user, 65534, os.getpid()).result()
    assert syscall == "pidfd_getfd"
    assert all(word in text for word in ("ptrace(2)", "dumpable", "CAP_SYS_PTRACE", "kernel.yama.ptrace_scope"))


def test_taking_over_a_descriptor(sleeper: PidFd) -> None:
    with PidFd.from_fd(os.dup(sleeper.fileno())) as other:
        assert other.pid == sleeper.pid
        assert not os.get_inheritable(other.fileno())
    nonblocking = os.pidfd_open(sleeper.pid, os.O_NONBLOCK)
    with PidFd.from_fd(nonblocking) as other:
        assert other.returncode is None
        sleeper.send_signal(signal.SIGKILL)
        assert other.wait(10) == KILLED
    with PidFd.from_fd(os.dup(sleeper.fileno())) as reaped:
        assert reaped.pid == -1
    reading, writing = os.pipe()
    with pytest.raises(ValueError, match="must be a pidfd"):
        PidFd.from_fd(reading)
    os.close(reading)
    os.close(writing)


def wait_for(process: PidFd) -> None:
    with process:
        process.wait()


def test_a_watcher_that_is_killed_does_nothing_to_the_process(sleeper: PidFd, spawn: Spawn) -> None:
    watcher = spawn(wait_for, sleeper)
    watcher.wait_blocked("poll")
    watcher.kill()
    watcher.join()
    assert sleeper.running


def spawn_in_the_middle(fifo: str, output: str) -> None:
    """The new process opens a FIFO before it becomes the program, and posix_spawn waits for it."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, fifo, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY | os.O_CREAT, 0o600),
    ]
    PidFd.spawn(["cat"], file_actions=actions)


def test_a_parent_that_is_killed_while_it_starts_a_program_leaves_it_running(spawn: Spawn, tmp_path: Path) -> None:
    output = tmp_path / "output"
    with Fifo.create(str(tmp_path / "fifo"), unlink_on_close=True) as fifo:
        parent = spawn(spawn_in_the_middle, fifo.name, str(output))
        orphan = child_of(parent)
        with PidFd.open(orphan) as process:
            wait_blocked(orphan, "open", "openat")
            parent.kill()
            assert parent.join() == KILLED
            assert process.running
            with fifo.open_writer(20) as writer:
                writer.write(b"it runs on")
            process.wait(20)
    assert output.read_bytes() == b"it runs on"


def child_of(parent: object) -> int:
    """The process that *parent* is starting."""
    pid = parent.pid
    while True:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            if children := file.read().split():
                return int(children[0])
