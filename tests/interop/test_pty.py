"""Terminals of other programs and ours: socat, script, stty, tty, and a shell with job control."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.pty import PseudoTerminal, Terminal, TerminalProcess
from ipckit.testing import wait_blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROMPT = b"%prompt% "
EVERY_BYTE = bytes(range(256)) * 4


@pytest.fixture
def shell() -> Iterator[TerminalProcess]:
    # Whoever runs this has their own; and sh may be bash, which tells a better terminal when it may paste.
    theirs = {"ENV": "", "PROMPT_COMMAND": "", "HISTFILE": os.devnull, "INPUTRC": os.devnull, "TERM": "dumb"}
    env = {**os.environ, **theirs, "PS1": PROMPT.decode(), "LC_ALL": "C"}
    with PseudoTerminal.spawn(["sh", "-i"], env=env, echo=False) as program:
        program.read_until(PROMPT, 20)
        yield program


def said(shell: TerminalProcess, line: bytes) -> list[str]:
    """What the shell prints after *line*, in lines."""
    shell.write(line)
    return shell.read_until(PROMPT, 20).removesuffix(PROMPT).decode().split("\r\n")


def child_in_foreground(shell: TerminalProcess) -> int:
    while shell.foreground == shell.pid:
        pass
    return shell.foreground


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def exactly(side: Terminal, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += side.read(timeout=20)
    return data


def until_ready(socat: Any) -> None:
    """It has made its links and set its modes, and waits for data."""
    socat.wait_blocked("select", "poll")


def needs(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def test_socat_makes_the_terminal_and_we_open_it(start: Callable[..., Any], tmp_path: Path) -> None:
    link = tmp_path / "terminal"
    socat = start("socat", f"PTY,link={link},rawer", "STDIO")
    until_ready(socat)
    with Terminal.open(link) as terminal:
        assert not terminal.canonical
        terminal.write(EVERY_BYTE, timeout=20)
        assert socat.process.stdout.read(len(EVERY_BYTE)) == EVERY_BYTE
        socat.process.stdin.write(EVERY_BYTE)
        socat.process.stdin.flush()
        assert exactly(terminal, len(EVERY_BYTE)) == EVERY_BYTE


def test_two_terminals_of_socat_are_a_cable(start: Callable[..., Any], tmp_path: Path) -> None:
    links = [tmp_path / "one", tmp_path / "other"]
    until_ready(start("socat", *(f"PTY,link={link},rawer" for link in links)))
    with Terminal.open(links[0]) as one, Terminal.open(links[1]) as other:
        one.send(EVERY_BYTE, timeout=20)
        assert other.receive(timeout=20) == EVERY_BYTE
        other.send(b"", timeout=20)
        assert one.receive(timeout=20) == b""


def test_socat_uses_our_terminal(start: Callable[..., Any]) -> None:
    master, terminal = PseudoTerminal.create(raw=True)
    with master:
        with terminal:
            socat = start("socat", "STDIO", f"FILE:{terminal.name},rawer")
            until_ready(socat)
            socat.process.stdin.write(EVERY_BYTE)
            socat.process.stdin.flush()
            assert exactly(master, len(EVERY_BYTE)) == EVERY_BYTE
        master.write(EVERY_BYTE, timeout=20)
        assert socat.process.stdout.read(len(EVERY_BYTE)) == EVERY_BYTE
        assert socat.finish() == b""  # while there is a master: without one, its read(2) may fail with EIO


def test_stty_and_tty_say_what_we_set() -> None:
    needs("stty")
    master, terminal = PseudoTerminal.create(rows=31, columns=97)
    with master, terminal:
        stdin = terminal.blocking_descriptor()

        def run(*command: str) -> str:
            return subprocess.run(command, stdin=stdin, capture_output=True, text=True, check=True).stdout

        assert run("stty", "size") == "31 97\n"
        assert run("tty") == f"{master.name}\n"
        words = run("stty", "-a").replace(";", " ").split()
        assert {"icanon", "isig", "echo", "onlcr", "icrnl", "ixon"} <= set(words)
        master.set_raw()
        words = run("stty", "-a").replace(";", " ").split()
        assert {"-icanon", "-isig", "-echo", "-opost", "-icrnl", "-ixon", "cs8"} <= set(words)
        master.set_cooked()
        cooked = run("stty", "-g")
        run("stty", "sane")
        sane = run("stty", "-a")
        master.set_cooked()
        differences = {word.lstrip("-") for word in {*run("stty", "-a").split()} ^ {*sane.split()}}
        assert differences <= {"imaxbel", "iutf8", "brkint"}
        run("stty", cooked.strip())
        run("stty", "rows", "12", "columns", "34", "-echo")
        assert master.window_size == (12, 34)
        assert not master.echo
        os.close(stdin)


def test_script_records_a_session_on_our_terminal(tmp_path: Path) -> None:
    needs("script")
    record = tmp_path / "typescript"
    command = ["script", "-qefc", "tty; stty size; read line; echo got $line", str(record)]
    with PseudoTerminal.spawn(command, rows=40, columns=120, env={**os.environ, "SHELL": "/bin/sh"}) as program:
        inner = program.read_until(b"\r\n", 20).strip().decode()
        assert inner.startswith("/dev/pts/")
        assert inner != program.name
        assert program.read_until(b"\r\n", 20) == b"40 120\r\n"
        program.write(b"typed\r")
        program.read_until(b"got typed\r\n", 20)
        assert program.wait(20) == 0
    assert b"got typed" in record.read_bytes()


def test_shell_runs_jobs(shell: TerminalProcess) -> None:
    assert said(shell, b"tty\n") == [shell.name, ""]
    shell.write(b"sleep 1000\n")
    job = child_in_foreground(shell)
    wait_blocked(job, "clock_nanosleep", "nanosleep")  # before, it is the shell that ignores ^Z
    shell.write(b"\x1a")
    assert "Stopped" in shell.read_until(PROMPT, 20).decode()
    assert state_of(job) == "T"
    assert shell.foreground == shell.pid
    assert "Stopped" in said(shell, b"jobs\n")[0]

    shell.write(b"fg\n")
    assert child_in_foreground(shell) == job
    while state_of(job) == "T":
        pass
    shell.write(b"\x03")
    shell.read_until(PROMPT, 20)
    assert said(shell, b"echo $?; jobs\n") == ["130", ""]

    shell.write(b"exit 9\x03")
    shell.read_until(PROMPT, 20)
    assert said(shell, b"echo still here\n") == ["still here", ""]
    shell.write(b"\x04")
    while shell.try_read() != b"":
        select.select([shell], [], [], 20)
    assert shell.wait(20) == 0


def test_shell_kills_a_job_that_ignores_the_interrupt_key(shell: TerminalProcess) -> None:
    shell.write(b"(trap '' INT; echo ignored; exec sleep 1000)\n")
    shell.read_until(b"ignored\r\n", 20)
    job = child_in_foreground(shell)
    shell.write(b"\x03\x1c")
    shell.read_until(PROMPT, 20)
    assert said(shell, b"echo $?\n") == ["131", ""]
    assert not Path(f"/proc/{job}").exists()


def test_hidden_password_is_not_shown() -> None:
    needs("bash")
    with PseudoTerminal.spawn(["bash", "-c", "read -s -p 'password: ' x; echo; echo ${#x}"]) as program:
        program.read_until(b"password: ", 20)
        assert not program.echo
        program.write(b"secret\n")
        assert program.read_until(b"6\r\n", 20) == b"\r\n6\r\n"
        assert program.wait(20) == 0
