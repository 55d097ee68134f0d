"""Pseudo-terminals."""

from __future__ import annotations

import signal

from ipckit.pty import PseudoTerminal, PtyMaster, Terminal, TerminalProcess
from tests.contract.shapes import Made, Subject, Wait
from tests.contract.traits import PTY_MASTER, PTY_SIDE, SENDS_THERE, pty_waits, pty_writing_waits, reading_waits


def sleeping_program() -> Made:
    """It never reads or prints: what its terminal carries comes from a second hold on the terminal side."""
    program = PseudoTerminal.spawn(["sleep", "1000"], raw=True)
    return [program, program.open_terminal()]


def kill_program(made: Made) -> None:
    made[0].send_signal(signal.SIGKILL)
    made[0].wait(10)


SUBJECTS: tuple[Subject, ...] = (
    Subject(
        "PtyMaster",
        PtyMaster,
        make=lambda: list(PseudoTerminal.create(raw=True)),
        calls=PTY_MASTER,
        waits=pty_waits(),
        never_waits=frozenset({"flush"}),
        constants=frozenset({"max_message_size"}),
        **SENDS_THERE,
    ),
    Subject(
        "Terminal",
        Terminal,
        make=lambda: list(PseudoTerminal.create(raw=True))[::-1],
        calls={
            **PTY_SIDE,
            "blocking_descriptor": lambda h: h.blocking_descriptor(),
            "make_controlling": lambda h: h.make_controlling(),
            "set_foreground": lambda h: h.set_foreground(1),
        },
        waits=(*reading_waits(), *pty_writing_waits()),
        never_waits=frozenset({"flush"}),
        constants=frozenset({"max_message_size"}),
        **SENDS_THERE,
    ),
    Subject(
        "TerminalProcess",
        TerminalProcess,
        make=sleeping_program,
        calls={
            **PTY_MASTER,
            "wait": lambda h: h.wait(),
            "send_signal": lambda h: h.send_signal(signal.SIGTERM),
        },
        waits=pty_waits(
            more=(Wait("wait", lambda made, timeout: made[0].wait(timeout), complete=kill_program),),
        ),
        never_waits=frozenset({"flush"}),
        constants=frozenset({"max_message_size", "pid", "returncode"}),
        **SENDS_THERE,
    ),
)
