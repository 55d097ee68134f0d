"""`ipckit recv`: messages of whatever gives messages, to standard output."""

from __future__ import annotations

import errno
import sys
import time
from typing import TYPE_CHECKING

from ipckit._wait import Deadline
from ipckit.cli.transfer.endpoints import receiver
from ipckit.cli.transfer.endpoints.options import add_options, how, in_pieces
from ipckit.cli.transfer.framing import framed
from ipckit.cli.transfer.outcomes import outcomes
from ipckit.cli.transfer.postponed import SLICE, Postponed
from ipckit.cli.transfer.quantities import whole_number
from ipckit.cli.transfer.standard import Output
from ipckit.errors import EndOfStreamError, MessagesLostError, PeerDiedError, TimeoutExpired, syscall_error

if TYPE_CHECKING:
    import argparse

    from ipckit.cli.transfer.endpoints import Endpoint

DESCRIPTION = """\
Receive one message, or more, and write each to standard output as soon as it is there.

  ipckit recv mq:/jobs
  ipckit recv --all fifo:/run/in
  ipckit recv --follow --listen unix:/run/log.sock"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "recv", help="receive messages of a queue, ring, FIFO or socket", description=DESCRIPTION
    )
    parser.add_argument("address", metavar="ADDRESS", help="where from; see below")
    many = parser.add_mutually_exclusive_group()
    many.add_argument("-n", "--count", metavar="N", type=whole_number, help="receive so many messages: 1")
    many.add_argument("-a", "--all", action="store_true", help="receive until the end of the stream")
    parser.add_argument(
        "-f",
        "--follow",
        action="store_true",
        help="go on after the end of a stream, with the next writer; without -n, for ever",
    )
    add_options(parser, what="opening, and for each message")
    parser.add_argument(
        "--history", metavar="N", type=whole_number, default=0, help="of a broadcast ring: N older ones first"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Receive; return the exit status."""
    count = arguments.count or (None if arguments.all or arguments.follow else 1)
    with outcomes():
        output = Output()
        chosen = how(arguments, exact=count is not None)
        end = receiver(arguments.address, chosen)
        try:
            if in_pieces(end, chosen):
                count = None
            _receive(end, count, output, arguments)
            if arguments.unlink:
                end.unlink()
        finally:
            end.close()
    return 0


def _receive(end: Endpoint, count: int | None, output: Output, arguments: argparse.Namespace) -> None:
    """Take messages and write them; a signal that ends this does so between two of them."""
    with Postponed() as signals:
        taken = 0
        while True:
            if taken == count:
                return
            message = _next(end, output, signals, arguments, needed=count is not None)
            if message is None:
                return
            output.write(framed(arguments.form, message))
            taken += 1


def _next(
    end: Endpoint, output: Output, signals: Postponed, arguments: argparse.Namespace, *, needed: bool
) -> bytes | None:
    """The next message; None where there is none, and that is no failure."""
    deadline = Deadline.after(arguments.timeout)
    follows = arguments.follow and not end.final
    told = ""
    while not signals.wanted:
        if output.gone:
            raise BrokenPipeError  # before a message is taken that nobody would see
        left = deadline.left()
        try:
            return end.receive(SLICE if left is None else min(SLICE, left))
        except TimeoutExpired:
            if deadline.expired:
                raise
        except MessagesLostError as gap:
            print(f"ipckit: {gap}", file=sys.stderr)
        except (EndOfStreamError, PeerDiedError) as error:
            if not follows:
                _raise_if_missed(error, needed=needed)
                return None
            told = _between_streams(error, deadline, told)
    return None


def _raise_if_missed(error: Exception, *, needed: bool) -> None:
    if needed or not isinstance(error, EOFError):
        raise error


def _between_streams(error: Exception, deadline: Deadline, told: str) -> str:
    """Pause before the next look for a writer, of whom no event tells; say once that the last one died."""
    if deadline.expired:
        raise syscall_error(errno.ETIMEDOUT, "receive") from None
    if not isinstance(error, EOFError) and str(error) != told:
        print(f"ipckit: {error}", file=sys.stderr)
    time.sleep(SLICE)
    return str(error)
