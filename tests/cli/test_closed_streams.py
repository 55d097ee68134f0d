"""Commands whose standard output or standard error is closed, as some daemons and cron jobs start them."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from ipckit.posix import SharedMemory
from tests.cli.shell import ENVIRONMENT, IPCKIT, SECONDS

pytestmark = pytest.mark.slow


def run(redirected: str, *words: str) -> tuple[int, str, str]:
    """Status, standard output and standard error of a command with the shell's redirections."""
    command = ["sh", "-c", f'exec "$@" {redirected}', "sh", *IPCKIT, *words]
    done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False, env=ENVIRONMENT, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("closed", [">&-", "<&- >&-"])
def test_what_cannot_be_printed_is_a_failure_and_a_sentence(closed: str) -> None:
    with SharedMemory.create(f"/closed-{os.getpid()}", size=1) as memory:
        assert run(closed, "signal", "--list") == (1, "", "ipckit: [Errno 9] Bad file descriptor\n")
        assert run(f"{closed} 2>&-", "signal", "--list") == (1, "", "")
        assert run(closed, "signal", str(os.getpid()), "0") == (0, "", "")  # which has nothing to print
        status, _, told = run(closed, "rm", "--force", "--yes", f"shm:{memory.name}")
    assert (status, told) == (1, "ipckit: [Errno 9] Bad file descriptor\n")
    assert not os.path.exists(f"/dev/shm{memory.name}")


@pytest.mark.parametrize("words", [["signal", "--list"], ["--help"], ["lock", "--help"]])
def test_a_full_disk_is_a_failure_and_a_sentence(words: list[str]) -> None:
    assert run(">/dev/full", *words) == (1, "", "ipckit: [Errno 28] No space left on device\n")


def test_what_is_said_on_standard_error_is_not_printed_on_standard_output() -> None:
    assert run("2>&-", "show", "ring:/no-such-ring") == (1, "", "")
    status, out, _ = run("2>&-", "signal", "--list")
    assert (status, "SIGHUP" in out) == (0, True)


def test_ctrl_c_while_modules_are_imported_is_no_traceback() -> None:
    program = (
        "import os, signal, sys; from ipckit.cli import main; "
        "sys.meta_path.insert(0, type('F', (), {'find_spec': lambda *a: os.kill(os.getpid(), signal.SIGINT)})()); "
        "sys.exit(main(['signal', '--list']))"
    )
    command = [*IPCKIT[:1], "-c", program]
    done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False, env=ENVIRONMENT, text=True)
    assert (done.returncode, done.stderr) == (128 + signal.SIGINT, "")
