"""One definition of a table, from which come its text, JSON, CSV and the list of its columns in the help.

A command makes a `Table` of `Column`s once, calls `add_options` for its parser and `print` for its rows:

>>> from types import SimpleNamespace
>>> sizes = Table("sizes", "names", (
...     Column(key="name", header="NAME", help="what it is called", value=lambda row: row),
...     Column(key="length", header="LENGTH", help="characters", value=len, right=True),
... ))
>>> options = SimpleNamespace(json=False, csv=False, columns=None, header=True, sort=None, reverse=False)
>>> sizes.print(["ring", "pipe"], options)
NAME  LENGTH
ring       4
pipe       4
2

Text is aligned by the first rows, as many as are kept to find the widths; all that follows is printed as it comes. On a
terminal the lines fit: long cells are cut, and then columns are left out, where they allow it. In a pipe or a file
nothing is cut. `--json` is one document, one row a line, written as the rows come:

    {"document": "ipckit sizes", "version": 1, "names": [
    {"name": "ring", "length": 4},
    {"name": "pipe", "length": 4}
    ], "complete": true}

"complete" is false where an error or Ctrl-C ended it early. In CSV the first line has the keys of the columns; lists
are separated by spaces, what is unknown is empty.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from ipckit.cli.terminal import table_forms
from ipckit.cli.terminal.screen import has_colours, is_terminal, note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Protocol, TextIO

    from ipckit.cli.terminal.screen import Style

    class Chosen(Protocol):
        """What `Table.add_options` leaves in the parsed arguments."""

        json: bool
        csv: bool
        columns: list[str] | None
        header: bool
        sort: str | None
        reverse: bool


Row = TypeVar("Row")

_HELP_WIDTH = 78


@dataclass(frozen=True, kw_only=True)
class Column(Generic[Row]):
    """A column.

    Attributes:
        key: its name in --columns, JSON and CSV.
        header: its head in the text.
        help: what it shows, in a few words.
        value: what JSON and CSV have: a str, int, float, bool, None, or lists and dicts of them.
        text: how people read it; by default the value.
        style: its style on a terminal.
        right: whether it is aligned to the right.
        cut: where long cells may be cut to fit a terminal; "" is nowhere.
        extra: whether the text shows it only if --columns says so; JSON and CSV have all columns.
        spare: whether it may be left out on a terminal that is too narrow.
    """

    key: str
    header: str
    help: str
    value: Callable[[Row], object]
    text: Callable[[Row], str] | None = None
    style: Callable[[Row], Style] | None = None
    right: bool = False
    cut: Literal["", "middle", "end"] = ""
    extra: bool = False
    spare: bool = False


class Table(Generic[Row]):
    """A table of one command.

    Args:
        command: the command's name; the JSON document tells it.
        rows: what the rows are called in the JSON document.
        columns: in order.
        version: of the JSON document; it grows when a key goes or changes its meaning.
    """

    def __init__(self, command: str, rows: str, columns: Sequence[Column[Row]], *, version: int = 1) -> None:
        self.command = command
        self.rows = rows
        self.columns = {column.key: column for column in columns}
        self.version = version

    def add_options(self, parser: argparse.ArgumentParser, *, sort: bool = True) -> None:
        """Add --json, --csv, --columns, --no-header and, unless the order is the command's, --sort and --reverse."""
        if parser.formatter_class is argparse.HelpFormatter:  # which would fill the list of columns, too
            parser.formatter_class = argparse.RawDescriptionHelpFormatter
            parser.description = textwrap.fill(parser.description or "", _HELP_WIDTH)
        parser.epilog = "\n\n".join(part for part in (parser.epilog, self._list()) if part)
        group = parser.add_argument_group("output")
        form = group.add_mutually_exclusive_group()
        form.add_argument("--json", action="store_true", help="one JSON document, with all columns")
        form.add_argument("--csv", action="store_true", help="CSV, with all columns")
        group.add_argument(
            "--columns",
            metavar="KEY,...",
            type=self._parse,
            help="these columns in this order; all; or +KEY,... for more than the usual ones",
        )
        group.add_argument("--no-header", dest="header", action="store_false", help="no line with the heads")
        if sort:
            group.add_argument("--sort", metavar="KEY", choices=tuple(self.columns), help="sort by that column")
            group.add_argument("--reverse", action="store_true", help="the other way round")
        parser.set_defaults(sort=None, reverse=False)

    def print(
        self,
        rows: Iterable[Row],
        arguments: Chosen,
        *,
        ending: Callable[[], Mapping[str, object]] | None = None,
        file: TextIO | None = None,
    ) -> int:
        """Print all rows as the options say.

        Args:
            rows: they are printed as they come, unless they must be sorted.
            arguments: the parsed arguments.
            ending: called behind the last row, for more of the JSON document, such as what could not be seen.
            file: standard output by default.

        Returns:
            How many rows there were.
        """
        file = sys.stdout if file is None else file
        counted = _Counted(self.sorted(rows, arguments))
        if arguments.json:
            table_forms.write_json(self, counted, self._whole(arguments), ending, file)
        elif arguments.csv:
            table_forms.write_csv(counted, self._whole(arguments), file, header=arguments.header)
        else:
            width = shutil.get_terminal_size().columns if is_terminal(file) else None
            lines = self.lines(counted, arguments, width=width, colours=has_colours(file), on_left_out=_left_out)
            for line in lines:
                print(line, file=file)
        return counted.count

    def lines(
        self,
        rows: Iterable[Row],
        arguments: Chosen,
        *,
        width: int | None = None,
        colours: bool = False,
        on_left_out: Callable[[list[str]], None] | None = None,
    ) -> Iterator[str]:
        """The lines of the text.

        Args:
            rows: sorted already.
            arguments: the parsed arguments, of which `columns` and `header` count here.
            width: columns of the terminal; None is no limit.
            colours: whether styles become escape sequences.
            on_left_out: called with the keys of the columns for which there was no room.
        """
        named = arguments.columns is not None
        columns = self._whole(arguments) if named else [column for column in self.columns.values() if not column.extra]
        form = table_forms.Text(columns, width=width, colours=colours, header=arguments.header, may_leave_out=not named)
        yield from form.lines(rows, on_left_out)

    def sorted(self, rows: Iterable[Row], arguments: Chosen) -> Iterable[Row]:
        """The rows as --sort and --reverse want them, unknown values last; these keep all of them."""
        if arguments.sort is None:
            return reversed(list(rows)) if arguments.reverse else rows
        value = self.columns[arguments.sort].value
        keyed = [(value(row), row) for row in rows]
        known = [pair for pair in keyed if pair[0] is not None]
        known.sort(key=lambda pair: _ordered(pair[0]), reverse=arguments.reverse)
        return [row for _, row in known] + [row for key, row in keyed if key is None]

    def _whole(self, arguments: Chosen) -> list[Column[Row]]:
        return [self.columns[key] for key in (self.columns if arguments.columns is None else arguments.columns)]

    def _parse(self, text: str) -> list[str]:
        """What --columns says.

        Raises:
            argparse.ArgumentTypeError: there is no such column.
        """
        keys = [key.strip() for key in text.removeprefix("+").split(",") if key.strip()]
        if keys == ["all"]:
            return list(self.columns)
        for key in keys or [text]:
            if key not in self.columns:
                raise argparse.ArgumentTypeError(f"there is no column {key!r}; there are: {', '.join(self.columns)}")
        usual = [column.key for column in self.columns.values() if not column.extra] if text.startswith("+") else []
        return list(dict.fromkeys([*usual, *keys]))

    def _list(self) -> str:
        """The columns, for the help."""
        width = max(map(len, self.columns))
        lines = (
            f"  {key:{width}} {' ' if column.extra else '*'} {column.help}" for key, column in self.columns.items()
        )
        return "\n".join(["columns, with * the usual ones:", *lines])


class _Counted(Generic[Row]):
    """Rows on their way, counted."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            yield row


def _ordered(value: object) -> tuple[int, float, str]:
    """Numbers by their size, before words by the alphabet."""
    return (0, float(value), "") if isinstance(value, int | float) else (1, 0.0, str(value))


def _left_out(keys: list[str]) -> None:
    note(f"No room for: {', '.join(keys)}. A wider terminal, --columns or a pipe shows them.")
