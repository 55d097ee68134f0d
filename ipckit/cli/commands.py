"""Commands, exit statuses and signals, the same for every command.

========  ======================================================
status    meaning
========  ======================================================
0         done
1         it failed; one sentence on stderr says why
2         wrong usage, or an extra is not installed
3         `ls --exit-code`, `limits --exit-code`: something is listed;
          `clean --exit-code`: something could be removed;
          `send`, `recv`, `wait`, `lock`, `sem`: the time is up
4         `recv`: the stream ended before the messages came
130, 143  ended by Ctrl-C or SIGTERM, after printing what there is
========  ======================================================
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

import ipckit
from ipckit.cli.failure import Failure
from ipckit.errors import IPCError

if TYPE_CHECKING:
    from types import FrameType

COMMANDS = (
    "ls",
    "show",
    "explain",
    "top",
    "limits",
    "doctor",
    "rm",
    "clean",
    "send",
    "recv",
    "wait",
    "lock",
    "sem",
    "signal",
    "bench",
    "rpcinfo",
    "rpcgen",
    "completion",
)
"""In the order of `--help`; each has a module of its name here, with `add(commands)` and `run(arguments)`."""


def run(arguments: list[str] | None = None) -> int:
    """What `ipckit.cli.main` does."""
    _occupy()
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")  # an ASCII terminal gets "?" for "µ", not a traceback
    words = sys.argv[1:] if arguments is None else arguments
    ended: list[int] = []

    def end(signum: int, _frame: FrameType | None) -> NoReturn:
        ended.append(signum)
        raise KeyboardInterrupt

    try:
        parsed = _parsed(words)
        for signum in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, end)
        status: int = parsed.run(parsed)
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = 130
    except IPCError as error:  # before the next one: some of ours derive from it, and are no trouble with stdout
        print(f"ipckit: {error}", file=sys.stderr)
        status = 1
    except BrokenPipeError:  # `ipckit ... | head`: whoever read has seen enough
        status = 0
    except Failure as failure:
        print(f"ipckit: {failure}", file=sys.stderr)
        status = failure.status
    except OSError as error:
        print(f"ipckit: {error}", file=sys.stderr)
        status = 1
    _flush_for_good()
    return 128 + ended[0] if ended else status


def _parsed(words: list[str]) -> argparse.Namespace:
    try:
        return parser(words[0] if words else None).parse_args(words)
    except SystemExit:
        sys.stdout.flush()  # the help, or the version
        raise


def _flush_for_good() -> None:
    """Have nothing left for the flush at exit, which would fail again, with a status and a sentence of its own."""
    try:
        sys.stdout.flush()
    except (OSError, KeyboardInterrupt):  # the disk is full, the reader or the terminal is gone; or nobody waits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _occupy() -> None:
    """Where standard output or standard error is closed, let no object that is opened get its number.

    What is written to standard output fails as it would have; what is said on standard error, nobody wanted to hear.
    """
    for fd, name, access in ((1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, access)
            if null != fd:
                os.dup2(null, fd)
                os.close(null)
            raw = open(fd, "wb", buffering=0, closefd=False)  # noqa: SIM115  # it lives as long as the process
            setattr(sys, name, io.TextIOWrapper(raw, write_through=True))  # nothing is left to be flushed at the end


def parser(wanted: str | None = None) -> argparse.ArgumentParser:
    """The parser of all commands; where *wanted* is the name of one, of that one alone: the others are not imported."""
    top = argparse.ArgumentParser(prog="ipckit", description="Inter-process communication on Linux.")
    top.add_argument("--version", action="version", version=f"ipckit {ipckit.__version__}")
    commands = top.add_subparsers(prog="ipckit", title="commands", metavar="COMMAND", required=True)
    for command in (wanted,) if wanted in COMMANDS else COMMANDS:
        import_module(f"ipckit.cli.{command}").add(commands)
    return top
