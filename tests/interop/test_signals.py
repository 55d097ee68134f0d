"""Signals and processes against kill(1) and C programs on plain libc: tests/interop/signals.c, early_handler.c."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipckit import PidFd
from ipckit.signals import SignalFd, blocked, send, sigqueue, sigwait, table
from ipckit.testing import reached

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.testing import Spawn
    from tests.interop.conftest import Program

HERE = Path(__file__).parent
RT = signal.SIGRTMIN + 4


@pytest.fixture
def program(start: Callable[..., Program], build: Callable[[str], Path]) -> Callable[..., Program]:
    compiled = build("signals")
    return lambda *words: start(compiled, *(str(int(word) if isinstance(word, int) else word) for word in words))


def take(way: str, count: int) -> list[tuple[int, str, int | None, int | None]]:
    """In a child: take so many signals, and tell what came with them."""
    with blocked({RT}), SignalFd.create({RT}) as descriptor:
        reached("blocked")
        infos = [sigwait({RT}, 20) if way == "sigwait" else descriptor.read(20) for _ in range(count)]
    return [(info.signum, info.code_name, info.pid, info.value) for info in infos]


@pytest.mark.parametrize("way", ["sigwait", "SignalFd"])
def test_what_c_queues_arrives_in_order(way: str, program: Callable[..., Program], spawn: Spawn) -> None:
    child = spawn(take, way, 4)
    child.wait_reached("blocked")
    sender = program("send", child.pid, RT, 5, -6, 2**31 - 1, -(2**31))
    sender.finish()
    values = [5, -6, 2**31 - 1, -(2**31)]
    assert child.result() == [(RT, "SI_QUEUE", sender.pid, value) for value in values]


def test_what_we_queue_arrives_in_order(program: Callable[..., Program]) -> None:
    receiver = program("wait", RT, 5)
    assert receiver.line() == b"ready"
    with PidFd.open(receiver.pid) as process:
        for value in (1, -2):
            sigqueue(receiver.pid, RT, value)
        process.sigqueue(RT, 3)
        process.send_signal(RT)
        send(receiver.pid, RT)
    me = os.getpid()
    lines = [receiver.line().split() for _ in range(5)]
    assert [line[:3] for line in lines] == [[b"%d" % RT, b"%d" % code, b"%d" % me] for code in (-1, -1, -1, 0, 0)]
    assert [int(line[3]) for line in lines[:3]] == [1, -2, 3]
    receiver.finish()


def test_kill_1_sends_to_us(start: Callable[..., Program], spawn: Spawn) -> None:
    child = spawn(take, "SignalFd", 2)
    child.wait_reached("blocked")
    kill = shutil.which("kill")
    sent = [start("kill", f"-{int(RT)}", str(child.pid), package="procps")]
    sent[0].finish()
    queued = "--queue" in subprocess.run([kill, "--help"], capture_output=True, text=True, check=False).stdout
    sent.append(start("kill", *(["-q", "77"] if queued else []), "-s", f"{int(RT)}", str(child.pid), package="procps"))
    sent[1].finish()
    expected = (RT, "SI_QUEUE", sent[1].pid, 77) if queued else (RT, "SI_USER", sent[1].pid, None)
    assert child.result() == [(RT, "SI_USER", sent[0].pid, None), expected]


def test_kill_1_knows_the_signals_by_the_same_names(start: Callable[..., Program]) -> None:
    for row in table():
        if row.queued or row.name == "SIGSTKFLT":
            continue
        name = start("kill", "-l", str(row.number), package="procps").finish().decode().strip()
        assert name.removeprefix("SIG") in {row.name.removeprefix("SIG"), "POLL", "IOT", "CLD"}, row


def test_the_end_of_a_program_that_knows_nothing_of_us(program: Callable[..., Program]) -> None:
    holder = program("hold")
    assert holder.line() == b"ready"
    with PidFd.open(holder.pid) as process:
        assert process.running
        copy = process.getfd(0)
        assert os.readlink(f"/proc/self/fd/{copy}") == os.readlink(f"/proc/{holder.pid}/fd/0")
        os.close(copy)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20, reap=False) == -signal.SIGTERM
        assert holder.process.wait() == -signal.SIGTERM


USE_IT = """
import signal
from ipckit.signals import handler
assert signal.getsignal(signal.SIGUSR2) is None
with handler(signal.SIGUSR2, lambda *_: print("ours", flush=True)):
    signal.raise_signal(signal.SIGUSR2)
signal.raise_signal(signal.SIGUSR2)
with handler(signal.SIGUSR2, signal.SIG_IGN):
    signal.raise_signal(signal.SIGUSR2)
signal.raise_signal(signal.SIGUSR2)
"""


def test_a_handler_that_c_code_installed_before_python_comes_back(tmp_path: Path) -> None:
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("gcc is not installed (Debian, Ubuntu: apt-get install gcc)")
    library = tmp_path / "early.so"
    flags = ["-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([gcc, *flags, "-o", library, HERE / "early_handler.c"], check=True)
    run = subprocess.run(
        [sys.executable, "-c", USE_IT],
        env={**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": os.getcwd()},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (run.stdout, run.stderr, run.returncode) == ("ours\n", "early\nearly\n", 0)
