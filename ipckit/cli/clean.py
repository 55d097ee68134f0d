"""`ipckit clean`: remove what was provably left behind."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING

from ipckit.bench.units import parse_age
from ipckit.cli.failure import Failure
from ipckit.cli.objects.clean_table import CLEANING, Line
from ipckit.cli.objects.kinds import GROUPS, NAMED, add_kinds, expanded
from ipckit.cli.objects.unseen import footer, unseen
from ipckit.cli.terminal.progress import progress
from ipckit.cli.terminal.screen import agreed, note
from ipckit.inspect import Look
from ipckit.inspect.cleaning import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ipckit.inspect import Record
    from ipckit.inspect.cleaning import Outcome

DESCRIPTION = """\
Remove what was provably left behind: objects of ipckit whose makers and users
are all gone. Without --yes or --ask nothing is removed; it says what would be.

What a process has is never removed. Each object is looked at once more, under
a lock that keeps others from opening it, right before it goes.

Of what other programs made, nobody can know whether it is still wanted, and no
lock protects it: --foreign takes what no process has and what is older than
--older-than. Name the kinds, and an age beyond doubt.

Without KIND: ring, sync, file; with --foreign all that have names."""

FOUND = 3


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "clean",
        help="remove what was provably left behind",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_kinds(parser, kinds=NAMED)
    what = parser.add_argument_group("what")
    what.add_argument("--older-than", metavar="AGE", type=_age, default=0.0, help="as in 90s, 15min, 2h, 1.5d, 2w")
    what.add_argument("--foreign", action="store_true", help="also what others made and nobody is seen to have")
    how = parser.add_argument_group("how")
    consent = how.add_mutually_exclusive_group()
    consent.add_argument("-y", "--yes", action="store_true", help="remove it")
    consent.add_argument("--ask", action="store_true", help="show it, ask, and ask again for what changed meanwhile")
    how.add_argument("-v", "--verbose", action="store_true", help="list what is left alone, too, and why")
    how.add_argument(
        "--exit-code", action="store_true", help=f"exit with {FOUND} if there is something that could be removed"
    )
    CLEANING.add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do it, or say what would be done; return the exit status."""
    if arguments.foreign and not arguments.older_than:
        raise Failure("--foreign needs --older-than: nobody can know what others still want", status=2)
    if arguments.ask and (arguments.json or arguments.csv or arguments.exit_code):
        raise Failure("--ask goes with neither --json, --csv nor --exit-code", status=2)
    if arguments.yes and arguments.exit_code:
        raise Failure("--exit-code is for what would be removed, without --yes", status=2)
    cleaning = _Cleaning(arguments)
    if arguments.ask:
        return cleaning.ask()
    cleaning.print(cleaning.lines(dry_run=not arguments.yes))
    if not arguments.yes:
        return FOUND if arguments.exit_code and cleaning.handled["would remove"] else 0
    return 1 if cleaning.handled["kept"] else 0


class _Cleaning:
    """One call of the command."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._kinds = expanded(arguments.kinds) or list(NAMED if arguments.foreign else GROUPS["ipckit"])
        self._look: Look | None = None
        self._left: Counter[str] = Counter()
        self._addresses: set[str] = set()
        self.handled: Counter[str] = Counter()

    def lines(self, *, dry_run: bool) -> Iterator[Line]:
        """A line for each object that goes, or should, and with --verbose for all others."""
        for outcome in self._outcomes(dry_run=dry_run):
            action = "would remove" if dry_run else "removed" if outcome.removed else "kept"
            yield self._line(outcome, action)
        yield from self._rest()

    def print(self, lines: Iterable[Line]) -> None:
        """Print them, and what there is to say beside."""
        arguments = self._arguments
        CLEANING.print(lines, arguments, ending=lambda: {"left_alone": dict(self._left), **self._unseen()})
        if not arguments.json:
            for sentence in self._remarks():
                note(sentence)

    def ask(self) -> int:
        """Show what could go, and remove it when told to; 1 if something of that is still there."""
        lines = [self._line(outcome, "would remove") for outcome in self._outcomes(dry_run=True)]
        records = [line.record for line in lines]
        self.print([*lines, *self._rest()])
        question = "Remove this?"
        while records:
            if not agreed(question):
                return 1
            outcomes = list(self._outcomes(dry_run=False, shown=records))
            CLEANING.print([self._line(one, "removed" if one.removed else "kept") for one in outcomes], self._arguments)
            kept = {one.record.address: one.reason for one in outcomes if not one.removed}
            still = [one.record for one in self._outcomes(dry_run=True) if one.record.address in kept]
            records = [record for record in still if kept[record.address].startswith("changed")]
            if not records:
                return 1 if still else 0
            question = "This changed meanwhile, and could still go. Remove it?"
        return 0

    def _outcomes(self, *, dry_run: bool, shown: Iterable[Record] | None = None) -> Iterator[Outcome]:
        arguments = self._arguments
        with progress("looking at processes") as show:
            return clean(
                older_than=arguments.older_than,
                foreign=arguments.foreign,
                kinds=self._kinds,
                dry_run=dry_run,
                shown=shown,
                progress=show,
            )

    def _line(self, outcome: Outcome, action: str) -> Line:
        self.handled[action] += 1
        self._addresses.add(outcome.record.address)
        return Line(
            outcome.record, action, outcome.record.verdict.reason if action == "would remove" else outcome.reason
        )

    def _rest(self) -> Iterator[Line]:
        """What is left alone, counted, and told with --verbose."""
        self._look = Look(self._kinds)
        for record in self._look:
            if record.address in self._addresses:
                continue
            self._left[record.verdict.state] += 1
            if self._arguments.verbose:
                yield Line(record, "left alone", self._why(record))

    def _why(self, record: Record) -> str:
        """Why it is left alone."""
        state, reason = record.verdict
        if state == "unused" and not self._arguments.foreign:
            return f"{reason}; only --foreign takes what others made"
        if state in {"stale", "unused"}:
            return f"{reason}; but it is not older than that" if self._arguments.older_than else reason
        return reason

    def _unseen(self) -> dict[str, object]:
        return {} if self._look is None else unseen(self._look)

    def _remarks(self) -> Iterator[str]:
        """What there is to say below the table."""
        if not self._arguments.yes and not self._arguments.ask:
            count = self.handled["would remove"]
            yield f"Nothing was removed: --yes removes {count}." if count else "Nothing is provably left behind."
        if self._left:
            states = ", ".join(f"{count} {state}" for state, count in self._left.most_common())
            more = "" if self._arguments.verbose else "; --verbose lists them"
            yield f"Left alone: {states}{more}."
        if self._look is not None:
            yield from footer(self._look)


def _age(text: str) -> float:
    try:
        return parse_age(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
