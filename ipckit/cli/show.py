"""`ipckit show`: everything that is known of an object, and the tree of processes that share it."""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING

from ipckit.cli.objects.looked_up import looked_up, missing
from ipckit.cli.objects.process_tree import tree, walk
from ipckit.cli.objects.record_columns import RECORD_COLUMNS, STYLES, user_name
from ipckit.cli.objects.record_text import Entry, entries, moment
from ipckit.cli.objects.unseen import footer, unseen
from ipckit.cli.terminal.screen import has_colours, note, printable, styled

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ipckit.cli.objects.process_tree import Node
    from ipckit.inspect import Look, Record

DESCRIPTION = """\
Everything that is known of objects: owner, use, verdict and why, what only their kind has, and who has them, as a tree
of processes. Several objects are looked up at once."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser("show", help="tell everything about an object", description=DESCRIPTION)
    parser.add_argument("objects", nargs="+", metavar="OBJECT", help="such as mq:/jobs; ipckit ls lists them")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show them; return the exit status."""
    look, found = looked_up(arguments.objects)
    records = list({record.address: record for record in found.values() if record is not None}.values())
    absent = [address for address, record in found.items() if record is None]
    if arguments.json:
        _json(records, absent, look)
    else:
        for index, record in enumerate(records):
            print(*([""] if index else []), *_lines(record, colours=has_colours(sys.stdout)), sep="\n")
        for sentence in footer(look):
            note(sentence)
    for address in absent:
        print(f"ipckit: {printable(missing(address))}", file=sys.stderr)
    return 1 if absent else 0


def _json(records: list[Record], absent: list[str], look: Look) -> None:
    shown = [
        {
            **{column.key: column.value(record) for column in RECORD_COLUMNS},
            "processes": [_process(node) for _, _, node in walk(tree(record.holders))],
        }
        for record in records
    ]
    document = {"document": "ipckit show", "version": 1, "objects": shown, "missing": absent}
    json.dump({**document, **unseen(look)}, sys.stdout, indent=1)
    sys.stdout.write("\n")


def _process(node: Node) -> dict[str, object]:
    """A process in the tree; "below" is the one under which it stands there, which need not be its parent."""
    return {"pid": node.pid, "below": node.below, "has_it": node.holder is not None, **node.facts._asdict()}


def _lines(record: Record, *, colours: bool) -> Iterator[str]:
    """The record for a person."""
    verdict = record.verdict
    state = styled(verdict.state, STYLES.get(verdict.state, ""), colours=colours)
    shown = [Entry("state", f"{state}: {printable(verdict.reason)}"), *entries(record)]
    if record.unseen:
        who = "1 process" if record.unseen == 1 else f"{record.unseen} processes"
        shown.append(Entry("not seen", f"{who} could not be looked into, and may have it too"))
    width = max(len(entry.label) + 2 * entry.depth for entry in shown if entry.text)
    yield styled(printable(record.address), "bold", colours=colours)
    for entry in shown:
        label = "  " * entry.depth + entry.label
        yield f"  {label:{width}}  {entry.text}" if entry.text else f"  {label}"
    if record.holders:
        yield f"  {styled('processes that have it', 'bold', colours=colours)}"
        for before, further, node in walk(tree(record.holders)):
            who, how = _who(node), _how(node)
            yield f"    {before}{printable(who) if how else styled(printable(who), 'dim', colours=colours)}"
            if how:
                below = "│  " if node.children else "   "
                yield f"    {further}{below}{styled(printable(how), 'dim', colours=colours)}"


def _who(node: Node) -> str:
    """Which process it is."""
    facts, holder = node.facts, node.holder
    words = shlex.join(facts.command) if facts.command else holder.process.command if holder else "?"
    user = facts.user or (user_name(holder.process.uid) if holder else "?")
    return f"{node.pid} {user}  {words}{'' if holder else '  (does not have it)'}"


def _how(node: Node) -> str:
    """How it has the object, where it runs and since when, such as "descriptors 3, 4, mapped (rw); in /srv"."""
    if node.holder is None:
        return ""
    descriptors, access = node.holder.descriptors, node.holder.access
    parts = []
    if descriptors:
        parts.append(f"descriptor{'s' if len(descriptors) > 1 else ''} {', '.join(map(str, descriptors))}")
    if node.holder.mapped:
        parts.append("mapped")
    how = [" ".join(part for part in (", ".join(parts), f"({access})" if access else "") if part)]
    if node.facts.folder:
        how.append(f"in {node.facts.folder}")
    if node.facts.started is not None:
        how.append(f"since {moment(node.facts.started)}")
    return "; ".join(part for part in how if part) or "has it"
