"""`ipckit send`: messages from the command line, or from standard input, to whatever takes messages."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ipckit.cli.transfer.endpoints import sender
from ipckit.cli.transfer.endpoints.options import add_options, how, in_pieces
from ipckit.cli.transfer.outcomes import outcomes
from ipckit.cli.transfer.standard import incoming

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

DESCRIPTION = """\
Send messages: those that are named here, else those of standard input, each line one, each as soon as it is there.

  ipckit send mq:/jobs "first" "second"
  tail -f log | ipckit send unix:/run/log.sock
  ipckit send --whole ring:/frames < picture"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser("send", help="send messages to a queue, ring, FIFO or socket", description=DESCRIPTION)
    parser.add_argument("address", metavar="ADDRESS", help="where to; see below")
    parser.add_argument(
        "message", metavar="MESSAGE", nargs="*", help="a message; without any, they are read from stdin"
    )
    add_options(parser, what="opening, and for each message, to wait for room or for the other side")
    parser.add_argument(
        "--priority", metavar="N", type=int, default=0, help="of a POSIX queue: 0, the lowest, to 32767"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Send; return the exit status."""
    with outcomes():
        chosen = how(arguments)
        end = sender(arguments.address, chosen)
        try:
            messages: Iterable[bytes] = map(os.fsencode, arguments.message)
            if not arguments.message:
                messages = incoming("pieces" if in_pieces(end, chosen) else arguments.form)
            for message in messages:
                end.send(message, arguments.timeout)
            if arguments.unlink:
                end.unlink()
        finally:
            end.close()
    return 0
