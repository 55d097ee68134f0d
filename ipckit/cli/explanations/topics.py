"""What `ipckit explain` can explain: error numbers and primitives."""

from __future__ import annotations

from typing import NamedTuple


class ErrorTopic(NamedTuple):
    """An error number.

    Attributes:
        name: as errno(3) has it.
        meaning: in IPC.
        calls: which calls give it, and when.
        remedy: what to do.
    """

    name: str
    meaning: str
    calls: tuple[tuple[str, str], ...]
    remedy: str


class PrimitiveTopic(NamedTuple):
    """A primitive, or a family of them.

    Attributes:
        name: what it is called here; for a kind of `ipckit ls`, the name of that.
        title: what people call it.
        aliases: other words for it, in lower case.
        names: where it is in Python.
        what: what it is.
        choose: when to choose it.
        avoid: when not.
        crash: what a process that is killed leaves.
        limits: what limits it, with the sysctl or the option.
        manual: its man pages.
        see: other topics.
    """

    name: str
    title: str
    aliases: tuple[str, ...]
    names: tuple[str, ...]
    what: str
    choose: str
    avoid: str
    crash: str
    limits: str
    manual: tuple[str, ...] = ()
    see: tuple[str, ...] = ()
