"""`ipckit explain`: what an error number, an object or a primitive means, and what to do."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, NamedTuple

from ipckit.cli import explanations
from ipckit.cli.failure import Failure
from ipckit.cli.objects.explained_object import object_sections
from ipckit.cli.terminal.screen import has_colours, is_terminal, printable, styled
from ipckit.inspect import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ipckit.cli.explanations.topics import PrimitiveTopic
    from ipckit.cli.objects.explained_object import Section

DESCRIPTION = """\
Explain a word:

  ipckit explain EIDRM            an error number, by its name or its number
  ipckit explain RemovedError     a class of ipckit.errors
  ipckit explain ring:/jobs       an object of this machine, by its address: `ipckit ls` shows it
  ipckit explain mq               a primitive, by one of its names, or by its class
  ipckit explain                  list what there is to explain"""

_MOST_COLUMNS = 100
_LABEL = 12


class Explanation(NamedTuple):
    """What is told."""

    topic: str
    title: str
    sections: list[Section]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "explain",
        help="say what an errno, an object or a primitive means, and what to do",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", nargs="*", metavar="WORD", help="ERRNO, OBJECT or PRIMITIVE")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Explain; 1 where the word means nothing, or the object is not there."""
    told = [explain(word) for word in arguments.words] or [_list()]
    if arguments.json:
        documents = [
            {"topic": one.topic, "title": one.title, "sections": {label: list(lines) for label, lines in one.sections}}
            for one in told
        ]
        print(json.dumps({"document": "ipckit explain", "version": 1, "explanations": documents}, indent=1))
        return 0
    width = min(shutil.get_terminal_size().columns, _MOST_COLUMNS) if is_terminal(sys.stdout) else _MOST_COLUMNS
    colours = has_colours(sys.stdout)
    for index, one in enumerate(told):
        if index:
            print()
        for line in _lines(one, width, colours=colours):
            print(line)
    return 0


def explain(word: str) -> Explanation:
    """What there is to say about *word*.

    Raises:
        Failure: it means nothing, or is the address of an object that is not there.
    """
    number = explanations.error_number(word)
    if number is not None:
        return _error(number)
    kind, colon, _ = word.partition(":")
    if colon and kind in KINDS:
        title, sections = object_sections(word)
        return Explanation(word, title, sections)
    if (named := _error_class(word)) is not None:
        return named
    if (topic := explanations.primitive(word)) is not None:
        return _primitive(topic)
    meant = explanations.suggestions(word)
    hint = f"did you mean {', '.join(meant)}?" if meant else "`ipckit explain` lists what there is to explain"
    raise Failure(f"explain: '{printable(word)}' is no errno, no address of an object and no primitive; {hint}")


def _error(number: int) -> Explanation:
    import errno
    import os

    from ipckit.errors import remedies, syscall_error

    name = errno.errorcode[number]
    raised = type(syscall_error(number, ""))
    hints = remedies(number)
    hints.pop("", None)
    topic = explanations.ERRORS.get(number)
    sections: list[Section] = []
    if topic is None:
        sections.append(("Means", ["what its text says: no call for IPC gives it a meaning of its own."]))
    else:
        sections.append(("Means", [topic.meaning]))
        sections.append(("Calls", [f"{call}: {when}" for call, when in topic.calls]))
        sections.append(("To do", [topic.remedy]))
    sections.append(("In Python", [f"ipckit.errors.{raised.__name__}: {_first_line(raised)}"]))
    if hints:
        sections.append(("Messages", [f"{call}: {hint}" for call, hint in hints.items()]))
    return Explanation(name, f"{name}, errno {number}: {os.strerror(number)}", sections)


def _error_class(word: str) -> Explanation | None:
    """The explanation of a class of `ipckit.errors`."""
    from ipckit import errors

    found = {name.lower(): name for name in errors.__all__ if name[0].isupper()}
    name = found.get(word.removeprefix("ipckit.errors.").lower())
    if name is None:
        return None
    raised = getattr(errors, name)
    bases = [base.__name__ for base in raised.__mro__[1:] if base not in (object, BaseException, Exception)]
    sections: list[Section] = [("Means", [_first_line(raised)]), ("Also a", [", ".join(bases)])]
    topics = [
        topic for number, topic in explanations.ERRORS.items() if type(errors.syscall_error(number, "")) is raised
    ]
    sections.extend((topic.name, [topic.meaning, topic.remedy]) for topic in topics)
    return Explanation(name, f"ipckit.errors.{name}", sections)


def _primitive(topic: PrimitiveTopic) -> Explanation:
    sections: list[Section] = [
        ("What", [topic.what]),
        ("Choose for", [topic.choose]),
        ("Not for", [topic.avoid]),
        ("At a crash", [topic.crash]),
        ("Limits", [topic.limits]),
    ]
    if topic.names:
        sections.append(("In Python", [", ".join(topic.names)]))
    if topic.name in KINDS:
        sections.append(("Here", [f"`ipckit ls {topic.name}` lists those of this machine."]))
    if topic.manual:
        sections.append(("Manual", [", ".join(topic.manual)]))
    if topic.see:
        sections.append(("See also", [", ".join(topic.see)]))
    return Explanation(topic.name, f"{topic.name}: {topic.title}", sections)


def _list() -> Explanation:
    sections: list[Section] = [(name, [topic.title]) for name, topic in explanations.PRIMITIVES.items()]
    names = sorted(topic.name for topic in explanations.ERRORS.values())
    sections.append(("errno", [", ".join(names)]))
    sections.append(("addresses", [f"KIND:NAME, with KIND one of {', '.join(KINDS)}"]))
    return Explanation("", "What `ipckit explain` explains, by one word", sections)


def _first_line(documented: type) -> str:
    return (documented.__doc__ or "").partition("\n")[0]


def _lines(told: Explanation, width: int, *, colours: bool) -> Iterator[str]:
    yield styled(printable(told.title), "bold", colours=colours)
    label_width = max([_LABEL, *(len(label) + 2 for label, _ in told.sections)])
    for label, paragraphs in told.sections:
        heads: Iterable[str] = [label, *[""] * len(paragraphs)]
        for head, paragraph in zip(heads, paragraphs, strict=False):
            first = True
            for line in _wrapped(paragraph, max(30, width - label_width)):
                shown = styled(head, "cyan", colours=colours) + " " * (label_width - len(head)) if first else ""
                yield f"{shown or ' ' * label_width}{line}".rstrip()
                first = False


def _wrapped(text: str, room: int) -> list[str]:
    return textwrap.wrap(printable(text), room, break_on_hyphens=False, break_long_words=False) or [""]
