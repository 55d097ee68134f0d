"""`ipckit completion`: what bash does with it, and that the other shells can read theirs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from shlex import quote

import pytest

from ipckit import PseudoTerminal, posix
from ipckit.cli.commands import COMMANDS
from tests.cli.calling import without_escapes
from tests.cli.shell import ROOT

pytest.importorskip("shtab", reason="shtab is not installed")

NAME = f"/{os.urandom(6).hex()}-complete"  # begins as no other object does
PROMPT = b"ready> "


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """A folder with the script, and with a command of the name ipckit."""
    folder = tmp_path_factory.mktemp("shell")
    command = folder / "ipckit"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={quote(str(ROOT))} exec {quote(sys.executable)} -m ipckit "$@"\n')
    command.chmod(0o755)
    (folder / "script").write_bytes(subprocess.check_output([command, "completion", "bash"], timeout=30))
    return folder


def environment(folder):
    path = f"{folder}:{os.environ['PATH']}"
    theirs = {"PROMPT_COMMAND": "", "INPUTRC": os.devnull, "HISTFILE": os.devnull}  # whoever runs this has their own
    return {**os.environ, **theirs, "PATH": path, "TERM": "dumb", "PS1": PROMPT.decode()}


def offered(folder, line):
    """What bash's completion offers at the end of a line."""
    words = line.split() + ([""] if line.endswith(" ") else [])
    code = f"""
        source {quote(str(folder))}/script
        COMP_LINE={line!r} COMP_POINT={len(line)} COMP_WORDS=({" ".join(map(repr, words))}) COMP_CWORD={len(words) - 1}
        _ipckit
        printf '%s\\n' "${{COMPREPLY[@]}}"
        """
    done = subprocess.run(
        ["bash", "--norc", "-c", code], env=environment(folder), capture_output=True, text=True, timeout=50, check=True
    )
    assert "syntax" not in done.stderr
    return done.stdout.split()


@pytest.mark.slow
def test_commands_options_and_kinds_are_offered(shell):
    assert set(offered(shell, "ipckit ")) >= set(COMMANDS)
    assert offered(shell, "ipckit comp") == ["completion"]
    assert {"--stale", "--json", "--watch"} <= set(offered(shell, "ipckit ls --"))
    assert offered(shell, "ipckit ls sysv-s") == ["sysv-sem", "sysv-shm"]
    assert "zsh" in offered(shell, "ipckit completion ")
    assert "address" in offered(shell, "ipckit ls --columns ")


@pytest.mark.slow
def test_objects_are_offered_by_their_addresses(shell):
    with posix.SharedMemory.create(NAME, size=1, unlink_on_close=True):
        assert offered(shell, f"ipckit show shm:{NAME[:-1]}") == [NAME]
        assert f"shm:{NAME}" in offered(shell, "ipckit show sh")
        assert f"shm:{NAME}" in offered(shell, "ipckit show ring:/x ")


@pytest.mark.slow
def test_a_person_presses_tab(shell):
    posix.SharedMemory.create(NAME, size=1).close()
    try:
        with PseudoTerminal.spawn(
            ["bash", "--norc", "--noprofile", "-i"], env=environment(shell), columns=200
        ) as terminal:
            terminal.read_until(PROMPT, timeout=30)
            terminal.write(f"source {quote(str(shell))}/script\n".encode())
            terminal.read_until(PROMPT, timeout=30)
            terminal.write(f"ipckit show shm:{NAME[:8]}\t".encode())
            terminal.read_until(f"shm:{NAME} ".encode(), timeout=30)
            terminal.write(b"\n")
            shown = terminal.read_until(PROMPT, timeout=30).decode()
            assert "unused: " in without_escapes(shown) or "unknown: " in without_escapes(shown)
    finally:
        posix.SharedMemory.unlink_name(NAME)


@pytest.mark.parametrize(("program", "check"), [("zsh", "-n"), ("fish", "--no-execute")])
def test_other_shells_can_read_theirs(ipckit, tmp_path, program, check):
    done = ipckit("completion", program)
    assert done.status == 0
    assert "ipckit ls --columns address --no-header" in done.out
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    (tmp_path / "script").write_text(done.out)
    subprocess.run([program, check, tmp_path / "script"], check=True, timeout=30)


def test_every_shell_knows_every_command(ipckit):
    for program in ("bash", "zsh", "fish"):
        text = ipckit("completion", program).out
        assert [name for name in COMMANDS if name not in text] == []


def test_without_shtab_a_sentence_says_what_to_install():
    code = (
        "import sys; sys.modules['shtab'] = None; from ipckit.cli import main; sys.exit(main(['completion', 'bash']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert done.stderr == "ipckit: completion needs the package shtab: pip install 'ipckit[cli]'\n"


def test_an_unknown_shell_is_wrong_usage(ipckit):
    done = ipckit("completion", "csh")
    assert done.status == 2
    assert "csh" in done.err
