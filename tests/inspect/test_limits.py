"""The kernel's limits as `ipckit.inspect.limits` reads them, and their use by real objects."""

from __future__ import annotations

import csv
import ctypes
import io
import json
import mmap
import os
import re
import resource
import signal
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ipckit
from ipckit import features, posix, sysv
from ipckit.cli import main
from ipckit.errors import LimitError
from ipckit.inspect._limits.cgroups import tightest
from ipckit.inspect._queue_folder import queue_folder
from ipckit.inspect.limits import Limit, kernel_limits
from ipckit.testing import pause
from tests.contract.tools import in_fork

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

ROOT = Path(ipckit.__file__).parent.parent
NEW_USER = 20_000 + os.getpid() % 40_000  # nobody else's, so that nothing else counts against its limits
MOST = 101 + os.getpid() % 97  # descriptors: another run that has the same test at the same time has other ones
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def limit_of(name: str, *, processes: bool = True) -> Limit:
    (found,) = (limit for limit in kernel_limits([name], processes=processes) if limit.name == name)
    return found


# --- values -----------------------------------------------------------------------------------------------------------


def test_values_are_those_that_features_tells() -> None:
    now = features.limits()
    assert now.sem is not None
    expected = {
        "fs.mqueue.queues_max": now.mq_queues_max,
        "fs.mqueue.msg_max": now.mq_max_messages,
        "fs.mqueue.msgsize_max": now.mq_max_message_size,
        "RLIMIT_MSGQUEUE": now.rlimit_msgqueue,
        "kernel.msgmax": now.msgmax,
        "kernel.msgmnb": now.msgmnb,
        "kernel.msgmni": now.msgmni,
        "kernel.sem:SEMMSL": now.sem.semmsl,
        "kernel.sem:SEMMNS": now.sem.semmns,
        "kernel.sem:SEMOPM": now.sem.semopm,
        "kernel.sem:SEMMNI": now.sem.semmni,
        "kernel.shmmni": now.shmmni,
        "/dev/shm": now.shm_size,
        "fs.pipe-max-size": now.pipe_max_size,
        "PIPE_BUF": now.pipe_buf,
        "net.unix.max_dgram_qlen": now.max_dgram_qlen,
        "net.core.somaxconn": now.somaxconn,
        "RLIMIT_NOFILE": now.rlimit_nofile,
        "RLIMIT_SIGPENDING": now.rlimit_sigpending,
        "RLIMIT_MEMLOCK": now.rlimit_memlock,
    }
    found = {limit.name: limit for limit in kernel_limits(processes=False)}
    assert {name: found[name].value for name in expected} == expected
    for name in ("kernel.shmmax", "kernel.shmall"):
        assert found[name].unlimited == (found[name].value is None)


def test_each_says_what_it_is_and_what_to_do() -> None:
    limits = list(kernel_limits())
    assert len({limit.name for limit in limits}) == len(limits) > 40
    for limit in limits:
        assert limit.about, limit
        assert limit.fails, limit
        assert not (limit.unlimited and limit.value is not None), limit
        assert bool(limit.remedy) == (not limit.fixed and not limit.unlimited), limit
        assert limit.share is None or limit.share >= 0, limit
        if limit.scope in {"IPC namespace", "network namespace"} and not limit.unlimited:
            assert limit.container, limit


def test_fixed_ones_are_what_this_kernel_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def most(name: str) -> int:
        value = limit_of(name, processes=False).value
        assert value is not None
        return value

    os.close(os.memfd_create("x" * most("memfd name")))
    with pytest.raises(OSError, match="Invalid argument"):
        os.memfd_create("x" * (most("memfd name") + 1))
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("x" * most("sun_path"))
    one, other = socket.socketpair()
    with one, other:
        socket.send_fds(one, [b"x"], [0] * most("SCM_MAX_FD"))
        with pytest.raises(OSError, match="Invalid argument"):
            socket.send_fds(one, [b"x"], [0] * (most("SCM_MAX_FD") + 1))
    assert most("IOV_MAX") == os.sysconf("SC_IOV_MAX")
    assert most("SIGRTMAX") == signal.SIGRTMAX - signal.SIGRTMIN + 1
    posix.Semaphore.create(value=most("SEM_VALUE_MAX"), unlink_on_close=True).close()
    with sysv.SemaphoreSet.create(values=[most("SEMVMX")], remove_on_close=True) as full:
        assert full.values() == (most("SEMVMX"),)
        with pytest.raises(OSError, match="out of range"):
            full.op([(0, 1)])


# --- use --------------------------------------------------------------------------------------------------------------


def test_use_counts_what_there_is() -> None:
    names = ("kernel.msgmni", "kernel.sem:SEMMNI", "kernel.sem:SEMMNS", "kernel.shmmni", "kernel.shmall")
    with (
        sysv.MessageQueue.create(remove_on_close=True),
        sysv.SemaphoreSet.create(size=5, remove_on_close=True),
        sysv.SharedMemory.create(size=mmap.PAGESIZE * 3 - 1, remove_on_close=True),
    ):
        used = [limit_of(name).used for name in names]
    assert all(count is not None and count >= least for count, least in zip(used, (1, 1, 5, 1, 3), strict=True)), used


def test_use_of_dev_shm() -> None:
    with posix.SharedMemory.create(size=1 << 20, unlink_on_close=True):
        assert (limit_of("/dev/shm").used or 0) >= 1 << 20
        assert (limit_of("/dev/shm inodes").used or 0) >= 1


@contextmanager
def queues_seen() -> Iterator[None]:
    with queue_folder() as folder:
        if folder is None:
            pytest.skip("the mqueue file system is mounted nowhere, and we may not mount it")
        yield


def test_use_of_message_queues() -> None:
    with queues_seen(), posix.MessageQueue.create(unlink_on_close=True):
        assert (limit_of("fs.mqueue.queues_max").used or 0) >= 1
        assert (limit_of("RLIMIT_MSGQUEUE").used or 0) >= 10 * 8192


@needs_root
@pytest.mark.parametrize(("messages", "size"), [(10, 8192), (7, 100), (1, 1)])
def test_bytes_of_message_queues_are_counted_as_the_kernel_counts_them(messages: int, size: int) -> None:
    """A user who has none makes one; then the limit is what is said to be used: one more byte does not fit."""
    if features.mqueue_mount() is None:
        pytest.skip("the mqueue file system is mounted nowhere, and an ordinary user may not mount it")

    def count() -> list[object]:
        os.setgroups([])
        os.setgid(NEW_USER)
        os.setuid(NEW_USER)
        with posix.MessageQueue.create(max_messages=messages, max_message_size=size, unlink_on_close=True):
            used = limit_of("RLIMIT_MSGQUEUE", processes=False).used
        assert used is not None
        outcomes: list[object] = []
        for limit in (used, used - 1):
            resource.setrlimit(resource.RLIMIT_MSGQUEUE, (limit, resource.getrlimit(resource.RLIMIT_MSGQUEUE)[1]))
            try:
                posix.MessageQueue.create(max_messages=messages, max_message_size=size, unlink_on_close=True).close()
                outcomes.append("fits")
            except LimitError:
                outcomes.append("does not")
        return outcomes

    assert in_fork(count) == ["fits", "does not"]


def open_many(most: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    files = []
    while True:
        try:
            files.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            break
    os.close(files.pop())  # the test's own
    pause("has many")


def test_the_process_that_is_nearest_to_its_limit_is_named(spawn: Spawn) -> None:
    child = spawn(open_many, MOST)
    child.wait_reached("has many")
    limit = limit_of("RLIMIT_NOFILE")
    assert limit.nearest is not None
    assert limit.nearest.share >= (MOST - 1) / MOST
    if limit.nearest.share == (MOST - 1) / MOST:  # none of the others is nearer
        assert (limit.nearest.pid, limit.nearest.value) == (child.pid, MOST)
    assert limit.share == limit.nearest.share
    assert limit.value == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert limit.used == len(os.listdir("/proc/self/fd")) - 1
    alone = limit_of("RLIMIT_NOFILE", processes=False)
    assert alone.nearest is None or alone.nearest.pid == os.getpid()


def test_locked_memory_counts() -> None:
    def lock() -> tuple[int | None, int | None]:
        memory = mmap.mmap(-1, 5 * mmap.PAGESIZE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        if ctypes.CDLL(None).mlock(ctypes.c_void_p(start), 5 * mmap.PAGESIZE):
            return None, None
        limit = limit_of("RLIMIT_MEMLOCK", processes=False)
        return limit.used, limit.nearest and limit.nearest.used

    found = in_fork(lock)
    if found == (None, None):
        pytest.skip("no memory may be locked here")
    assert found[0] == 5 * mmap.PAGESIZE
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY:
        assert found[1] == 5 * mmap.PAGESIZE


def test_use_of_signals_and_threads() -> None:
    for name in ("RLIMIT_SIGPENDING", "RLIMIT_NPROC", "kernel.threads-max", "kernel.pid_max", "fs.file-max"):
        assert (limit_of(name).used or 0) >= (0 if name == "RLIMIT_SIGPENDING" else 1), name


# --- control groups ---------------------------------------------------------------------------------------------------


def group_folder() -> Path:
    """A group of our own, with a limit on processes; of whichever version there is."""
    for parent in (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup")):
        folder = parent / f"ipckit-test-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        if (folder / "pids.max").exists():
            return folder
        folder.rmdir()
    return pytest.skip("no control group with a limit on processes can be made here")


def test_the_tightest_group_counts() -> None:
    folder = group_folder()
    try:
        (folder / "pids.max").write_text("50")

        def look() -> tuple[object, ...]:
            (folder / "cgroup.procs").write_text(str(os.getpid()))
            limit = limit_of("pids.max", processes=False)
            return limit.value, limit.used, limit.unlimited, bool(limit.remedy)

        assert in_fork(look) == (50, 1, False, True)
    finally:
        folder.rmdir()
    assert tightest("no such controller", (("a", "b"), ("a", "b"))) is None


# --- names ------------------------------------------------------------------------------------------------------------


def test_limits_are_chosen_by_parts_of_names_and_by_patterns() -> None:
    def names(*chosen: str) -> list[str]:
        return [limit.name for limit in kernel_limits(chosen)]

    assert names("NOFILE") == names("nofile") == ["RLIMIT_NOFILE"]
    assert names("kernel.m*") == ["kernel.msgmax", "kernel.msgmnb", "kernel.msgmni"]
    assert names("somaxconn", "PIPE_BUF") == ["PIPE_BUF", "net.core.somaxconn"]
    assert names() == []
    with pytest.raises(ValueError, match="no limit with 'quota' in its name"):
        kernel_limits(["sem", "quota"])


def test_the_document_names_the_same_sysctls_and_resource_limits() -> None:
    text = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"\b(?:fs|kernel|net|vm)\.[\w.-]*\w|\bRLIMIT_\w+|\b(?:memory|pids)\.max\b", text))
    ours = {limit.name.partition(":")[0] for limit in kernel_limits(processes=False)}
    names = {name for name in ours if re.match(r"(?:fs|kernel|net|vm)\.|RLIMIT_|\w+\.max$", name)}
    assert documented == names


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["limits", "kernel.msg", "PIPE_BUF"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["LIMIT", "USED", "OF", "UNIT", "SHARE", "WHAT", "TO", "RAISE", "IT"]
    assert [line.split()[0] for line in lines[1:]] == ["kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "PIPE_BUF"]
    assert "it is fixed" in lines[4]
    assert "sysctl -w kernel.msgmax=" in lines[1]


def test_the_command_prints_documents(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["limits", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["complete"]
    rows = {row["name"]: row for row in document["limits"]}
    assert len(rows) == len(document["limits"]) > 40
    nofile = rows["RLIMIT_NOFILE"]
    assert nofile["value"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert set(nofile["nearest"]) == {"pid", "command", "used", "value"}
    assert nofile["share"] >= nofile["nearest"]["used"] / nofile["nearest"]["value"] > 0
    assert main(["limits", "nofile", "--csv"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["value"] == str(nofile["value"])
    assert json.loads(row["nearest"])["pid"] > 0


def test_the_command_shows_what_is_nearly_used_up(capsys: pytest.CaptureFixture[str], spawn: Spawn) -> None:
    spawn(open_many, 100).wait_reached("has many")  # what other processes have may change meanwhile
    assert main(["limits", "nofile", "--exhausted", "0", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["limits"]
    assert row["share"] >= 0.98
    assert main(["limits", "nofile", "--exhausted", "49%", "--exit-code"]) == 3
    assert "RLIMIT_NOFILE" in capsys.readouterr().out
    assert main(["limits", "PIPE_BUF", "--exhausted", "0", "--exit-code"]) == 0
    assert "PIPE_BUF" not in capsys.readouterr().out


@pytest.mark.parametrize("words", [["no-such-limit"], ["--exhausted", "101"], ["--exhausted", "many"]])
def test_the_command_refuses_what_it_does_not_know(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main(["limits", *words])
    except SystemExit as end:
        status = int(end.code or 0)
    assert status == 2
    assert capsys.readouterr().err
