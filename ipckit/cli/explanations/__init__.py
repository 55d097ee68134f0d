"""The texts of `ipckit explain`, and what a word means."""

from __future__ import annotations

import errno
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING

from ipckit.cli.explanations import (
    common_errors,
    lock_primitives,
    memory_primitives,
    message_primitives,
    rarer_errors,
    service_primitives,
    stream_primitives,
    sync_primitives,
)

if TYPE_CHECKING:
    from ipckit.cli.explanations.topics import ErrorTopic, PrimitiveTopic

_MEANT = 3
"""Suggestions for a word that means nothing."""

ERRORS: dict[int, ErrorTopic] = {
    getattr(errno, topic.name): topic for topic in (*common_errors.TOPICS, *rarer_errors.TOPICS)
}
"""By number."""

PRIMITIVES: dict[str, PrimitiveTopic] = {
    topic.name: topic
    for topic in (
        *stream_primitives.TOPICS,
        *message_primitives.TOPICS,
        *memory_primitives.TOPICS,
        *lock_primitives.TOPICS,
        *sync_primitives.TOPICS,
        *service_primitives.TOPICS,
    )
}
"""By name."""


def error_number(word: str) -> int | None:
    """The number that *word* means: "EIDRM", "eidrm", "43"; None if it is none."""
    if word.isdecimal() and word.isascii():
        return int(word) if int(word) in errno.errorcode else None
    number = getattr(errno, word.upper(), None) if word[:1] in "eE" else None
    return number if isinstance(number, int) else None


def primitive(word: str) -> PrimitiveTopic | None:
    """The topic that *word* means: its name, another word for it, or a class; None if it is none."""
    name = _words().get(word.lower().replace(" ", "-"))
    return None if name is None else PRIMITIVES[name]


def suggestions(word: str) -> list[str]:
    """What may have been meant by *word*."""
    known = {name.lower(): name for name in errno.errorcode.values()}
    known.update({name: name for name in _words() if "." not in name})
    return [known[found] for found in get_close_matches(word.lower(), known, _MEANT)]


@cache
def _words() -> dict[str, str]:
    """All words for the topics; a topic's own name comes before another's second one."""
    found = {name: name for name in PRIMITIVES}
    for topic in PRIMITIVES.values():
        for alias in topic.aliases:
            found.setdefault(alias, topic.name)
    for topic in PRIMITIVES.values():
        for name in topic.names:
            parts = name.lower().split(".")
            for start in range(len(parts)):
                found.setdefault(".".join(parts[start:]), topic.name)
    return found
