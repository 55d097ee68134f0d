"""`ipckit ls --watch`: the list drawn in place, or what changed in it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, NoReturn

from ipckit.cli.objects.listing import LISTING, chosen, remarks, take
from ipckit.cli.objects.record_columns import held_text
from ipckit.cli.terminal.live import Live, can_be_drawn, every
from ipckit.cli.terminal.screen import cut, has_colours, note, printable, styled

if TYPE_CHECKING:
    import argparse

    from ipckit.inspect import Record


def watch(arguments: argparse.Namespace) -> NoReturn:
    """Look again and again, until KeyboardInterrupt."""
    if can_be_drawn(sys.stdout):
        _draw(arguments)
    else:
        _tell(arguments)
    raise AssertionError  # both go on for ever


def _draw(arguments: argparse.Namespace) -> None:
    colours = has_colours(sys.stdout)
    with Live(sys.stdout) as live:
        for now in every(arguments.watch):
            look = take(arguments)
            columns, rows = live.size
            table = list(
                LISTING.lines(
                    LISTING.sorted(chosen(look, arguments), arguments), arguments, width=columns, colours=colours
                )
            )
            below = [cut(sentence, columns, "end") for sentence in remarks(look, arguments)]
            room = max(1, rows - 1 - len(below))
            hidden = len(table) - room
            head = f"ipckit ls, {time.strftime('%H:%M:%S', time.localtime(now))}, every {arguments.watch:g} s"
            if hidden > 0:
                head += f"; {hidden} more below: narrow it down, or make the terminal higher"
            lines = [styled(cut(head, columns, "end"), "dim", colours=colours), *table[:room]]
            live.draw([*lines, *(styled(line, "dim", colours=colours) for line in below)])


def _tell(arguments: argparse.Namespace) -> None:
    """Print a line for each object that came, changed or went; at first, all came."""
    before: dict[str, str] = {}
    said: set[str] = set()
    for now in every(arguments.watch):
        look = take(arguments)
        clock = time.strftime("%H:%M:%S", time.localtime(now))
        present: dict[str, str] = {}
        for record in chosen(look, arguments):
            present[record.address] = text = _text(record)
            if before.get(record.address) != text:
                print(f"{clock} {'~' if record.address in before else '+'} {printable(record.address)}  {text}")
        for address in before.keys() - present.keys():
            print(f"{clock} - {printable(address)}")
        sys.stdout.flush()
        before = present
        for sentence in remarks(look, arguments):
            if sentence not in said:
                said.add(sentence)
                note(sentence)


def _text(record: Record) -> str:
    """What is worth a line when it changes: not the age."""
    parts = (record.verdict.state, record.use, "" if not record.holders else held_text(record))
    return printable(", ".join(part for part in parts if part))
