"""`ipckit wait`: until objects are ready, exist, or are gone."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ipckit.cli.transfer.outcomes import TIME_IS_UP, outcomes
from ipckit.cli.transfer.quantities import seconds

if TYPE_CHECKING:
    from ipckit.cli.transfer.conditions.condition import Condition

DESCRIPTION = """\
Wait until all of the objects are ready, or exist, or are gone.

  ipckit wait mq:/jobs                        there is a message
  ipckit wait --exists ring:/frames           somebody has made it
  ipckit wait pid:4711 --timeout 30           it has ended
  ipckit wait --any tcp:db:5432 tcp:db2:5432  one of them can be connected to; prints which"""

EPILOG = """\
ready means:
  mq, sysv-mq, ring  a message waits (rings: SpscRing and MpmcRing)
  sem, sysv-sem      there is a token (of a set: in its first semaphore); none is taken
  sync:/NAME         an Event is set, a Latch open, a Mutex free, a Semaphore has a token; nothing is taken
  lock:PATH          nobody has locked the file; to see that of flock(2), it is locked for a moment
  pid:NUMBER         the process has ended
  unix, tcp          somebody listens; to see that, a connection is made and closed again
Of fifo, shm, sysv-shm one can wait for --exists and --gone only.

The kernel tells of messages in POSIX queues and of the end of processes. For all else it is asked, at intervals that
grow from 1 to 50 ms.

statuses: 0 so it is, 1 it failed, 2 wrong usage, 3 the time is up"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "wait",
        help="wait until objects are ready, exist or are gone",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("addresses", metavar="ADDRESS", nargs="+", help="what to wait for; see below")
    until = parser.add_mutually_exclusive_group()
    until.set_defaults(until="ready")
    until.add_argument("--exists", dest="until", action="store_const", const="exists", help="until it is there")
    until.add_argument("--gone", dest="until", action="store_const", const="gone", help="until it is not there")
    parser.add_argument("--any", action="store_true", help="until one of them is so; print its address")
    parser.add_argument("--timeout", metavar="S", type=seconds, help="at most so many seconds in all; 0 only looks")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Wait; return the exit status."""
    from ipckit.cli.transfer.conditions import condition_of

    with outcomes():
        conditions: list[Condition] = []
        try:
            for text in arguments.addresses:
                conditions.append(condition_of(text, arguments.until))  # noqa: PERF401 # those so far are closed
            return _wait(conditions, arguments)
        finally:
            for condition in conditions:
                condition.close()


def _wait(conditions: list[Condition], arguments: argparse.Namespace) -> int:
    from ipckit._wait import Deadline
    from ipckit.cli.transfer.conditions.condition import pause

    deadline = Deadline.after(arguments.timeout)
    pending = list(conditions)
    turn = 0
    while True:
        for condition in list(pending):
            if condition.holds():
                if arguments.any:
                    print(condition.address)
                    return 0
                pending.remove(condition)
        if not pending:
            return 0
        if deadline.expired:
            break
        pause(pending, deadline, turn)
        turn += 1
    missing = ", ".join(condition.address for condition in pending)
    print(f"ipckit: the time given is up: {missing}", file=sys.stderr)
    return TIME_IS_UP
