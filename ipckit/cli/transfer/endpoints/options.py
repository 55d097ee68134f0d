"""The options of `ipckit send` and `ipckit recv` that say how an endpoint is opened."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ipckit.cli.transfer import framing
from ipckit.cli.transfer.endpoints import How
from ipckit.cli.transfer.quantities import permissions, seconds, size, whole_number

if TYPE_CHECKING:
    from ipckit.cli.transfer.endpoints import Endpoint

ADDRESSES = """\
addresses:
  mq:/NAME           POSIX message queue           fifo:PATH          FIFO
  sysv-mq:KEY        System V message queue        unix:PATH          Unix socket; unix:@NAME, an abstract one
  ring:/NAME         ring of ipckit, of any kind   tcp:HOST:PORT, udp:HOST:PORT

statuses: 0 done, 1 it failed, 2 wrong usage, 3 the time is up, 4 the end of the stream came first, 130 Ctrl-C"""


def add_options(parser: argparse.ArgumentParser, *, what: str) -> None:
    """Add them; *what* a timeout is for."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = ADDRESSES
    parser.add_argument("--timeout", metavar="S", type=seconds, help=f"seconds for {what}; 0 never waits")
    parser.add_argument("--type", metavar="T", help="System V: the type, a number; Unix sockets: see below")
    parser.add_argument("--unlink", action="store_true", help="remove the object when done")
    framing.add_options(parser)
    sockets = parser.add_argument_group("sockets")
    sockets.add_argument("--listen", action="store_true", help="wait for connections there, instead of connecting")
    sockets.description = "--type is stream, seqpacket or dgram; without it, what is found when connecting, else stream"
    made = parser.add_argument_group("making the object")
    made.add_argument("--create", action="store_true", help="make the object if there is none")
    made.add_argument("--mode", metavar="OCTAL", type=permissions, default=0o600, help="its permission bits: 600")
    made.add_argument(
        "--ring", choices=("spsc", "mpmc", "broadcast", "latest"), default="mpmc", help="which kind of ring: mpmc"
    )
    made.add_argument("--capacity", metavar="SIZE", type=size, default=1 << 20, help="bytes of a ring: 1M")
    made.add_argument("--max-messages", metavar="N", type=whole_number, default=0, help="of a queue, a ring")
    made.add_argument(
        "--max-size", metavar="SIZE", type=size, default=0, help="bytes of a message: of a queue, a Latest"
    )


def how(arguments: argparse.Namespace, **more: object) -> How:
    """What the options say."""
    known = {name: getattr(arguments, name) for name in How._fields if hasattr(arguments, name)}
    known["wire"] = arguments.wire or arguments.form
    if arguments.form == known["wire"] == "whole" and not arguments.listen:
        known["wire"] = "pieces"  # nobody has to hold all of it
    return How(**{**known, **more})


def in_pieces(end: Endpoint, chosen: How) -> bool:
    """Whether bytes go through as they come."""
    return end.stream and chosen.wire == "pieces"
