"""`ipckit ls`: which IPC objects are there, who has them, and were they left behind?"""

from __future__ import annotations

import argparse
import pwd

from ipckit.bench.units import parse_age
from ipckit.cli.failure import Failure
from ipckit.cli.objects.kinds import NAMED, add_kinds
from ipckit.cli.objects.listing import LISTING, chosen, remarks, take
from ipckit.cli.objects.ls_watch import watch
from ipckit.cli.objects.unseen import unseen
from ipckit.cli.terminal.screen import note
from ipckit.inspect import KINDS

DESCRIPTION = f"""\
List the IPC objects of this machine: who owns them, how much they are used,
who has them now, and whether they were left behind.

Without KIND, those that have names and so can be left behind:
  {", ".join(NAMED)}.
What goes with its last process is there by the hundreds on any desktop, and is
listed when its kind is named, with --all, or with --pid:
  {", ".join(kind.name for kind in KINDS.values() if kind.transient)}."""

FOUND = 3
_SHORTEST = 0.1
_PERIOD = 2.0


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "ls",
        help="list the IPC objects of this machine, and who has them",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    which = parser.add_argument_group("which")
    add_kinds(parser)
    which.add_argument("--all", action="store_true", help="objects of all kinds")
    which.add_argument("--stale", action="store_true", help="only what was provably left behind")
    which.add_argument("--pid", metavar="PID", type=int, action="append", help="only what that process has")
    which.add_argument("--user", metavar="USER", type=_user, help="only what belongs to that user, a name or number")
    how = parser.add_argument_group("how")
    how.add_argument(
        "--watch",
        metavar="SECONDS",
        nargs="?",
        type=_seconds,
        const=_PERIOD,
        help=f"look again and again, every {_PERIOD:g} s: drawn in place on a terminal, changes only elsewhere",
    )
    how.add_argument(
        "--exit-code", action="store_true", help=f"exit with {FOUND} if anything is listed, 0 if nothing is"
    )
    LISTING.add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List; return the exit status."""
    if arguments.watch is not None:
        if arguments.json or arguments.csv or arguments.exit_code:
            raise Failure("--watch goes with neither --json, --csv nor --exit-code", status=2)
        watch(arguments)
    look = take(arguments)
    count = LISTING.print(chosen(look, arguments), arguments, ending=lambda: unseen(look))
    if not arguments.json:
        for sentence in remarks(look, arguments):
            note(sentence)
    return FOUND if arguments.exit_code and count else 0


def _user(text: str) -> int:
    try:
        return pwd.getpwnam(text).pw_uid
    except KeyError:
        if text.isascii() and text.isdecimal():
            return int(text)
        raise argparse.ArgumentTypeError(f"there is no user {text!r}") from None


def _seconds(text: str) -> float:
    if text in KINDS:
        raise argparse.ArgumentTypeError(f"takes seconds: put the kind in front of it, as in ls {text} --watch")
    try:
        seconds = parse_age(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if seconds < _SHORTEST:
        raise argparse.ArgumentTypeError(f"must be at least {_SHORTEST} s, not {text!r}")
    return seconds
