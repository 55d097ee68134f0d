"""`ipckit sem`: semaphores from the shell."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import TYPE_CHECKING

from ipckit.cli.transfer.outcomes import TIME_IS_UP, outcomes
from ipckit.cli.transfer.pending import Pending
from ipckit.cli.transfer.quantities import permissions, seconds, whole_number
from ipckit.cli.transfer.semaphores import semaphore_of

if TYPE_CHECKING:
    from ipckit.cli.transfer.semaphores import Semaphore

DESCRIPTION = """\
Work on a semaphore.

  ipckit sem sem:/slots create --value 4
  ipckit sem sem:/slots wait --timeout 10 && { ./job; ipckit sem sem:/slots post; }
  ipckit sem sem:/slots value"""

EPILOG = """\
verbs:
  create     make it, with --value tokens        value      print how many tokens there are
  post       give --tokens tokens, 1             remove     remove it, or its name
  wait       take one, waiting for it            try        take one if there is one

semaphores:
  sem:/NAME          POSIX                       sysv-sem:KEY       one of a System V set: --index
  sync:/NAME         ipckit's own

A token that is taken here stays taken when this command has ended, whatever becomes of the script. For a token that
comes back with the end of one command: ipckit lock.

statuses: 0 done, 1 it failed, 2 wrong usage, 3 the time is up, or there was no token to try"""

_VERBS = ("create", "post", "wait", "try", "value", "remove")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "sem",
        help="take and give tokens of a semaphore",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("address", metavar="ADDRESS", help="which one; see below")
    parser.add_argument("verb", metavar="VERB", choices=_VERBS, help="what to do; see below")
    parser.add_argument("--timeout", metavar="S", type=seconds, help="wait: at most so many seconds")
    parser.add_argument("--tokens", metavar="N", type=whole_number, default=1, help="post: how many: 1")
    parser.add_argument("--value", metavar="N", type=_natural, default=0, help="create: tokens at first: 0")
    parser.add_argument("--size", metavar="N", type=whole_number, default=1, help="create: System V: semaphores: 1")
    parser.add_argument("--index", metavar="N", type=_natural, default=0, help="System V: which of the set: 0")
    parser.add_argument("--mode", metavar="OCTAL", type=permissions, default=0o600, help="create: permission bits: 600")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    with outcomes():
        found = semaphore_of(arguments)
        try:
            if arguments.verb == "post":
                found.post(arguments.tokens)
            elif arguments.verb == "value":
                print(found.value())
            elif arguments.verb == "remove":
                found.remove()
            elif arguments.verb in {"wait", "try"} and not _taken(found, arguments):
                print(f"ipckit: {arguments.address} has no token", file=sys.stderr)
                return TIME_IS_UP
        finally:
            found.close()
    return 0


def _taken(found: Semaphore, arguments: argparse.Namespace) -> bool:
    """Take a token. A signal either ends the wait, or comes too late: none is taken by a command that fails."""
    with Pending((signal.SIGINT, signal.SIGTERM, signal.SIGHUP)) as signals:
        taken = signals.acquire(found.take, 0 if arguments.verb == "try" else arguments.timeout)
        if taken:
            signals.forget()
    return taken


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be 0 or more, not {text!r}")
    return int(text)
