"""`ipckit rm`: remove objects by their addresses."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ipckit.cli.objects.looked_up import looked_up, missing
from ipckit.cli.terminal.screen import agreed, is_terminal, printable
from ipckit.errors import IPCError
from ipckit.inspect.cleaning import remove

if TYPE_CHECKING:
    import argparse

    from ipckit.inspect import Record

DESCRIPTION = """\
Remove objects, whoever made them. What somebody is seen to have is left, unless --force: whoever has it goes on with
what nobody else finds any more, and who waits at a System V object is woken with an error."""

_HARMLESS = ("stale", "unused", "idle")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser("rm", help="remove objects by their addresses", description=DESCRIPTION)
    parser.add_argument("objects", nargs="+", metavar="OBJECT", help="such as mq:/jobs; ipckit ls lists them")
    parser.add_argument("-f", "--force", action="store_true", help="also what is in use; on a terminal, asks first")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Remove them; 1 if one of them is left, or was not there."""
    asks = arguments.force and not arguments.yes and is_terminal(sys.stdin)
    removed: set[str] = set()
    left = False
    for address, record in looked_up(arguments.objects)[1].items():
        if record is None:
            _complain(missing(address))
            left = True
        elif record.address not in removed:  # several addresses may be of one object
            if _remove(record, force=arguments.force, asks=asks):
                removed.add(record.address)
                print(f"removed {printable(record.address)}")
            else:
                left = True
    return 1 if left else 0


def _remove(record: Record, *, force: bool, asks: bool) -> bool:
    """Whether it is gone."""
    if asks and record.verdict.state not in _HARMLESS:
        _complain(f"{record.address} is {record.verdict.state}: {record.verdict.reason}")
        if not agreed("Remove it all the same?"):
            return False
    try:
        remove(record, force=force)
    except (IPCError, ValueError) as error:
        _complain(str(error))
        return False
    return True


def _complain(sentence: str) -> None:
    print(f"ipckit: {printable(sentence)}", file=sys.stderr)
