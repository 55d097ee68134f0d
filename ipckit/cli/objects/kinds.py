"""Which kinds of objects a command is about."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from ipckit.inspect import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable

GROUPS = {
    "ipckit": ("ring", "sync", "file"),
    "posix": ("mq", "sem", "shm"),
    "sysv": ("sysv-mq", "sysv-sem", "sysv-shm"),
}
"""Kinds that can be named together."""

NAMED = tuple(kind.name for kind in KINDS.values() if not kind.transient)
"""Those that can outlive all who have them."""


def add_kinds(parser: argparse.ArgumentParser, *, kinds: Iterable[str] = KINDS) -> None:
    """Add KIND..., of which there may be none."""
    offered = tuple(kinds)
    groups = [name for name, members in GROUPS.items() if set(members) <= set(offered)]
    parser.add_argument(
        "kinds",
        nargs="*",
        type=partial(_kind, (*offered, *groups)),  # not choices: "no words at all" would have to be one of them
        default=[],
        metavar="KIND",
        help=f"{', '.join(offered)}; or groups of them: {', '.join(groups)}",
    )


def expanded(kinds: Iterable[str]) -> list[str]:
    """The kinds, with those of groups in their places, each once.

    >>> expanded(["sem", "posix"])
    ['sem', 'mq', 'shm']
    """
    return list(dict.fromkeys(kind for name in kinds for kind in GROUPS.get(name, (name,))))


def _kind(offered: tuple[str, ...], text: str) -> str:
    if text not in offered:
        raise argparse.ArgumentTypeError(f"there is no kind {text!r} here; there are: {', '.join(offered)}")
    return text
