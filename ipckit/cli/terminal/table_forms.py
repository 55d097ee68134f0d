"""The forms of a table: text, JSON, CSV."""

from __future__ import annotations

import csv
import json
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar

from ipckit.cli.terminal.screen import cells, cut, printable, styled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import TextIO

    from ipckit.cli.terminal.screen import Style
    from ipckit.cli.terminal.table import Column, Table

Row = TypeVar("Row")

_SAMPLE = 1000
"""Rows kept to find the widths."""
_GAP = 2
"""Columns of the terminal between two columns of the table."""
_LEAST = 12
"""Columns of the terminal that a cell is never cut below."""


class Text(Generic[Row]):
    """Aligned lines.

    Args:
        columns: in order.
        width: columns of the terminal; None is no limit.
        colours: whether styles become escape sequences.
        header: whether the first line has the heads.
        may_leave_out: whether spare columns may go where there is no room.
    """

    def __init__(
        self, columns: Sequence[Column[Row]], *, width: int | None, colours: bool, header: bool, may_leave_out: bool
    ) -> None:
        self._columns = list(columns)
        self._width = width
        self._colours = colours
        self._header = header
        self._may_leave_out = may_leave_out
        self._widths: list[int] = []

    def lines(self, rows: Iterable[Row], on_left_out: Callable[[list[str]], None] | None) -> Iterator[str]:
        """The lines; those of the first rows when the widths are known, which are found by them."""
        source = iter(rows)
        sample: list[list[tuple[str, Style]]] = []
        trouble: BaseException | None = None
        try:
            sample.extend(self._cells(row) for row in islice(source, _SAMPLE))
        except BaseException as error:  # what there is, is printed first
            trouble = error
        left_out = self._fit(sample)
        if self._header and (sample or trouble is None):
            yield self._line([(column.header, "bold") for column in self._columns])
        for row in sample:
            yield self._line(row)
        if left_out and on_left_out is not None:
            on_left_out(left_out)
        if trouble is not None:
            raise trouble
        del sample
        for further in source:
            yield self._line(self._cells(further))

    def _cells(self, row: Row) -> list[tuple[str, Style]]:
        return [
            (
                printable(column.text(row) if column.text else _text(column.value(row))),
                column.style(row) if column.style and self._colours else "",
            )
            for column in self._columns
        ]

    def _fit(self, sample: list[list[tuple[str, Style]]]) -> list[str]:
        """Choose the widths, and take out of *sample* the columns for which there is no room; their keys."""
        self._widths = [
            max([cells(column.header) if self._header else 0, *(cells(row[index][0]) for row in sample)])
            for index, column in enumerate(self._columns)
        ]
        if self._width is None:
            return []
        left_out: list[str] = []
        while not self._shrink(self._width) and self._may_leave_out:
            spare = [index for index, column in enumerate(self._columns) if column.spare]
            if not spare:
                break
            left_out.append(self._columns[spare[-1]].key)
            del self._columns[spare[-1]], self._widths[spare[-1]]
            for line in sample:
                del line[spare[-1]]
        return left_out[::-1]

    def _shrink(self, room: int) -> bool:
        """Make columns whose cells may be cut narrower, the widest first, until all fit; whether they do."""
        least = [
            min(width, max(_LEAST, cells(column.header))) if column.cut else width
            for column, width in zip(self._columns, self._widths, strict=True)
        ]
        room -= _GAP * (len(least) - 1)
        if sum(least) > room:
            if not self._may_leave_out or not any(column.spare for column in self._columns):
                self._widths = least  # the best that there is
            return False
        while (over := sum(self._widths) - room) > 0:
            widest = max(
                (index for index, width in enumerate(self._widths) if width > least[index]),
                key=lambda index: self._widths[index],
            )
            self._widths[widest] -= min(over, max(1, (self._widths[widest] - least[widest]) // 4))
        return True

    def _line(self, row: list[tuple[str, Style]]) -> str:
        parts = []
        for index, (column, width, (text, style)) in enumerate(zip(self._columns, self._widths, row, strict=True)):
            shown = cut(text, width, column.cut) if column.cut and self._width is not None else text
            space = " " * (width - cells(shown))
            last = index == len(row) - 1
            coloured = styled(shown, style, colours=self._colours)
            parts.append(f"{space}{coloured}" if column.right else f"{coloured}{'' if last else space}")
        return (" " * _GAP).join(parts).rstrip()


def write_json(
    table: Table[Row],
    rows: Iterable[Row],
    columns: Sequence[Column[Row]],
    ending: Callable[[], Mapping[str, object]] | None,
    file: TextIO,
) -> None:
    """Write one document, a row a line, as the rows come."""
    head = json.dumps({"document": f"ipckit {table.command}", "version": table.version})
    file.write(f"{head[:-1]}, {json.dumps(table.rows)}: [")
    complete = False
    between = "\n"
    try:
        for row in rows:
            file.write(between + json.dumps({column.key: column.value(row) for column in columns}))
            between = ",\n"
        complete = True
    finally:
        last = {"complete": complete, **(ending() if ending is not None else {})}
        file.write(f"\n], {json.dumps(last)[1:]}\n")


def write_csv(rows: Iterable[Row], columns: Sequence[Column[Row]], file: TextIO, *, header: bool) -> None:
    """Write one line for each row."""
    writer = csv.writer(file, lineterminator="\n")
    if header:
        writer.writerow([column.key for column in columns])
    for row in rows:
        writer.writerow([_field(column.value(row)) for column in columns])


def _text(value: object) -> str:
    if value is None or value in ("", [], ()):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _field(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple) and not any(isinstance(part, dict) for part in value):
        return " ".join(map(str, value))
    return json.dumps(value) if isinstance(value, list | tuple | dict) else value
