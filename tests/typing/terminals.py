"""A user's program under ``mypy --strict``: pseudo-terminals. It is checked, and never run."""

from __future__ import annotations

import os
from pathlib import Path

from typing_extensions import assert_type

from ipckit import PseudoTerminal
from ipckit.pty import PtyMaster, Terminal, TerminalProcess, WindowSize

master, terminal = PseudoTerminal.create(rows=24, columns=80, echo=False, raw=True)
assert_type(master, PtyMaster)
assert_type(terminal, Terminal)
assert_type(master.window_size, WindowSize)
assert_type(master.window_size.rows, int)
assert_type(master.read_until(b"$ ", timeout=1.5, limit=10), bytes)
assert_type(master.open_terminal(), Terminal)
assert_type(master.receive(), bytes)
assert_type(terminal.write(b"x", timeout=1), int)
assert_type(terminal.echo, bool)
assert_type(terminal.name, str)
assert_type(terminal.foreground, int)
assert_type(Terminal.open(Path("/dev/tty")), Terminal)
assert_type(Terminal.from_fd(0), Terminal)
terminal.echo = True
terminal.echo = "on"  # type: ignore[assignment]
terminal.name = "x"  # type: ignore[misc]
terminal.set_attributes(master.attributes())
master.read_until("$ ")  # type: ignore[arg-type]
master.set_window_size(24)  # type: ignore[call-arg]
PseudoTerminal.create(24, 80)  # type: ignore[call-arg]

with PseudoTerminal.spawn(["sh", b"-c", Path("x")], env=os.environ, grace=0.5) as program:
    assert_type(program, TerminalProcess)
    assert_type(program.wait(timeout=1), int)
    assert_type(program.returncode, int | None)
    assert_type(program.pid, int)
    program.send_signal("TERM")  # type: ignore[arg-type]
PseudoTerminal.spawn([1])  # type: ignore[list-item]
PseudoTerminal.spawn(["x"], timeout=1)  # type: ignore[call-arg]
