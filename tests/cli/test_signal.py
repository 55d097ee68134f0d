"""`ipckit signal`: which signal, to whom, with what."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from ipckit import signals
from ipckit.cli import signal as command
from ipckit.testing import reached
from tests.cli.shell import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.process import PidFd
    from ipckit.testing import Child
    from tests.cli.calling import Done

NAME = f"ipk-{os.getpid()}"
WAITED = {signal.SIGUSR1, signal.SIGTERM, signal.SIGRTMIN + 2, signal.SIGRTMAX - 1}

pytestmark = pytest.mark.slow


def waits_for_one(name: str = "") -> tuple[int, int | None, str]:
    if name:
        with open("/proc/self/comm", "w") as file:
            file.write(name)
    with signals.blocked(WAITED):
        reached("waiting")
        found = signals.sigwait(WAITED, timeout=40)
    return found.signum, found.value, found.code_name


@pytest.mark.parametrize(
    ("word", "signum"),
    [
        ("USR1", signal.SIGUSR1),
        ("sigterm", signal.SIGTERM),
        (str(int(signal.SIGUSR1)), signal.SIGUSR1),
        ("RTMIN+2", signal.SIGRTMIN + 2),
        ("SIGRTMAX-1", signal.SIGRTMAX - 1),
    ],
)
def test_names_of_signals(word: str, signum: int, spawn: Callable[..., Child]) -> None:
    child = spawn(waits_for_one)
    child.wait_reached("waiting")
    assert run("signal", child.pid, 0)[0] == 0
    assert run("signal", child.pid, word) == (0, b"", "")
    assert child.result()[0] == signum


def test_a_value_goes_with_it(spawn: Callable[..., Child]) -> None:
    child = spawn(waits_for_one)
    child.wait_reached("waiting")
    assert run("signal", child.pid, "USR1", "--value", -42)[0] == 0
    assert child.result() == (signal.SIGUSR1, -42, "SI_QUEUE")
    assert run("signal", child.pid, "USR1")[0] == 1


def test_a_process_is_found_by_its_name(spawn: Callable[..., Child]) -> None:
    assert run("signal", NAME, 0)[0] == 1
    children = [spawn(waits_for_one, NAME) for _ in range(2)]
    for child in children:
        child.wait_reached("waiting")
    status, _, err = run("signal", NAME, "USR1")
    assert status == 1
    assert all(str(child.pid) in err for child in children)
    assert run("signal", "--all", NAME, "USR1", "--value", 7)[0] == 0
    assert [child.result()[:2] for child in children] == [(signal.SIGUSR1, 7)] * 2


def test_one_that_has_just_ended_keeps_it_from_no_other(
    spawn: Callable[..., Child], ipckit: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    children = {child.pid: child for child in [spawn(waits_for_one, NAME) for _ in range(2)]}
    for child in children.values():
        child.wait_reached("waiting")
    named = command._named

    def named_before_one_ended(name: str) -> list[PidFd]:
        found = named(name)
        ending = children.pop(found[0].pid)
        ending.kill()
        ending.join()
        return found

    monkeypatch.setattr(command, "_named", named_before_one_ended)
    assert ipckit("signal", "--all", NAME, "USR1").status == 1
    (other,) = children.values()
    assert other.result()[0] == signal.SIGUSR1


def test_the_list_and_wrong_usage() -> None:
    status, out, _ = run("signal", "--list")
    assert status == 0
    assert "15  SIGTERM" in out.decode()
    assert len(out.splitlines()) == len(signals.table())
    for words in (["1"], ["1", "NOSUCH"], ["1", "RTMIN+99"], ["1", "RTMAX+1"], ["1", "99"], ["1", "RTMIN+x"]):
        assert run("signal", *words)[0] == 2, words
