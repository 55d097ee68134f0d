"""The command line, called in this process, or on a terminal of its own."""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import NamedTuple

from ipckit import PseudoTerminal
from ipckit.cli import main

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Done(NamedTuple):
    status: int
    out: str
    err: str


class Calling:
    """Calls in this process, whose signals are given back at the end."""

    def __init__(self, capsys):
        self._capsys = capsys
        self._before = {signum: signal.getsignal(signum) for signum in SIGNALS}

    def __call__(self, *words):
        self._capsys.readouterr()
        try:
            status = main([str(word) for word in words])
        except SystemExit as end:  # argparse: wrong usage, or help
            status = end.code
        return Done(status, *self._capsys.readouterr())

    def close(self):
        for signum, handler in self._before.items():
            signal.signal(signum, handler)


def on_terminal(*words, rows=24, columns=80, term="xterm", **environment):
    """A process of the command line on a terminal."""
    inherited = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "COLUMNS", "LINES"}}
    return PseudoTerminal.spawn(
        [sys.executable, "-m", "ipckit", *map(str, words)],
        env={**inherited, "TERM": term, "PYTHONPATH": os.getcwd(), **environment},
        rows=rows,
        columns=columns,
        echo=False,
    )


def whole(process):
    """All that it prints until it ends, and its status."""
    text = b""
    while part := process.read(65536, timeout=30):
        text += part
    return text.decode().replace("\r\n", "\n"), process.wait(timeout=30)


def without_escapes(text):
    return re.sub(r"\033\[[0-9;?]*[a-zA-Z]", "", text)
