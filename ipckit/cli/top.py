"""`ipckit top`: what goes on in the IPC objects of this machine, again and again."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from ipckit._wait import SLICE_NS
from ipckit.cli.objects.kinds import NAMED, add_kinds, expanded
from ipckit.cli.objects.top_sampling import Sampler
from ipckit.cli.objects.top_table import ORDERS, TABLE, head, ordered
from ipckit.cli.objects.unseen import footer
from ipckit.cli.terminal.live import can_be_drawn
from ipckit.cli.terminal.screen import note
from ipckit.cli.transfer.quantities import whole_number

if TYPE_CHECKING:
    from ipckit.inspect import Look

KINDS = tuple(kind for kind in NAMED if kind != "file")
"""Without others: those that can be called by name, and do something."""

DESCRIPTION = f"""\
Show what goes on in IPC objects: how full they are, messages and bytes per second, who waits, and how much processor
time those who have them use. On a terminal in place, until q or Ctrl-C; elsewhere, and with --plain, one block of
lines for each interval.

Rates come of the statistics that ipckit's rings keep; for queues of the kernel there is what their depth changed by.
CPU is of the processes that have the object, for whatever they do; who has several objects counts for each.

Without KIND: {", ".join(KINDS)}.
Keys: q ends it; s sorts by the next column; r turns the order round; any other key looks at once."""

_SHORTEST, _LONGEST = 0.1, 86400.0  # seconds


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "top",
        help="show what goes on in IPC objects, again and again",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_kinds(parser)
    parser.add_argument("--interval", metavar="S", type=_interval, default=1.0, help="seconds between looks: 1")
    parser.add_argument("--count", metavar="N", type=whole_number, help="end after so many intervals")
    parser.add_argument("--sort", metavar="KEY", choices=ORDERS, default=ORDERS[0], help=f"{', '.join(ORDERS)}")
    parser.add_argument("--reverse", action="store_true", help="the other way round")
    parser.add_argument("--plain", action="store_true", help="lines one below the other, on a terminal too")
    TABLE.add_options(parser, sort=False)
    parser.set_defaults(run=run, sort=ORDERS[0])


def run(arguments: argparse.Namespace) -> int:
    """Look and show until told to end."""
    kinds = expanded(arguments.kinds) or list(KINDS)
    if can_be_drawn(sys.stdout) and not (arguments.plain or arguments.json or arguments.csv):
        from ipckit.cli.objects.top_screen import draw

        draw(Sampler(kinds), arguments)
    else:
        _print(Sampler(kinds), arguments)
    return 0


def _print(sampler: Sampler, arguments: argparse.Namespace) -> None:
    """One block for each interval, the first when it is over."""
    sampler.sample()
    began = time.monotonic()
    shown = 0
    said: set[str] = set()
    options = argparse.Namespace(**{**vars(arguments), "sort": None, "reverse": False})
    while arguments.count is None or shown < arguments.count:
        began = _sleep_until(began + arguments.interval)
        rows, elapsed = sampler.sample()
        wanted = ordered(rows, arguments.sort, reverse=arguments.reverse)
        clock = time.time()
        if not (arguments.json or arguments.csv):
            print("\n" * bool(shown) + head(clock, elapsed, wanted))
        TABLE.print(wanted, options, ending=lambda now=clock, took=elapsed: _ending(sampler.look, now, took))  # type: ignore[misc]
        sys.stdout.flush()
        if arguments.csv:
            options.header = False  # one is enough
        shown += 1
        for sentence in () if arguments.json else footer(sampler.look):
            if sentence not in said:
                said.add(sentence)
                note(sentence)


def _ending(look: Look, clock: float, elapsed: float | None) -> dict[str, object]:
    return {"time": clock, "seconds": elapsed, "unseen": look.unseen, "notes": look.notes}


def _sleep_until(due: float) -> float:
    """Sleep; return when the interval is over, which is later where the machine did not keep up."""
    late = time.monotonic()
    if late >= due:
        return late
    while (left := due - time.monotonic()) > 0:
        time.sleep(min(left, SLICE_NS / 1e9))  # a Ctrl-C that comes just before a sleep would wait for its end
    return due


def _interval(text: str) -> float:
    from ipckit.bench.units import parse_age

    try:
        seconds = parse_age(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not _SHORTEST <= seconds <= _LONGEST:
        raise argparse.ArgumentTypeError(f"must be {_SHORTEST} s to a day, not {text!r}")
    return seconds
