"""The processes that have an object, as a tree."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ipckit.inspect import Holder

_FIRST, _LAST = "├─ ", "└─ "
_DOWN, _EMPTY = "│  ", "   "


class Facts(NamedTuple):
    """What is known of a process, None where it is gone or may not be looked at.

    Attributes:
        parent: the pid of its parent.
        command: its words.
        folder: its working directory.
        user: the name of its user.
        started: when, in seconds since the epoch.
    """

    parent: int | None = None
    command: list[str] | None = None
    folder: str | None = None
    user: str | None = None
    started: float | None = None


@dataclass
class Node:
    """A process: one that has the object, or an ancestor that joins several of them.

    Attributes:
        holder: how it has the object; None for an ancestor that has it not.
        below: the pid of the node above it in the tree.
    """

    pid: int
    facts: Facts
    holder: Holder | None = None
    children: list[Node] = field(default_factory=list)
    below: int | None = None


def facts_of(pid: int) -> Facts:
    """Ask the kernel."""
    import psutil

    try:
        process = psutil.Process(pid)
    except psutil.Error:
        return Facts()

    def ask(question: Callable[[], object]) -> object:
        try:
            return question()
        except (psutil.Error, OSError):
            return None

    with process.oneshot():
        return Facts(
            ask(process.ppid),  # type: ignore[arg-type]  # or None
            ask(process.cmdline) or None,  # type: ignore[arg-type]
            ask(process.cwd) or None,  # type: ignore[arg-type]
            ask(process.username),  # type: ignore[arg-type]
            ask(process.create_time),  # type: ignore[arg-type]
        )


def tree(holders: Iterable[Holder], facts: Callable[[int], Facts] = facts_of) -> list[Node]:
    """The holders under their parents, with those ancestors that join several branches; the roots of what remains."""
    nodes = {holder.process.pid: Node(holder.process.pid, facts(holder.process.pid), holder) for holder in holders}
    parents: dict[int, int] = {}
    todo = list(nodes)
    while todo:
        pid = todo.pop()
        parent = nodes[pid].facts.parent
        if parent and pid not in parents:
            parents[pid] = parent
            if parent not in nodes:
                nodes[parent] = Node(parent, facts(parent))
                todo.append(parent)
    for pid in sorted(parents):
        nodes[parents[pid]].children.append(nodes[pid])
    roots = [kept for node in list(nodes.values()) if node.pid not in parents for kept in _pruned(node)]
    for root in roots:
        root.below = None
    return roots


def walk(roots: list[Node]) -> Iterator[tuple[str, str, Node]]:
    """Each node with what stands before it, and before further lines on it."""
    todo = [("", "", root) for root in reversed(roots)]  # not by recursion: a chain of parents may be long
    while todo:
        before, further, node = todo.pop()
        yield before, further, node
        for child in reversed(node.children):
            last = child is node.children[-1]
            todo.append((further + (_LAST if last else _FIRST), further + (_EMPTY if last else _DOWN), child))


def _pruned(node: Node) -> list[Node]:
    """The node, or its children where it neither has the object nor joins any."""
    todo = [node]
    order = []
    while todo:
        one = todo.pop()
        order.append(one)
        todo += one.children
    kept: dict[int, list[Node]] = {}
    for one in reversed(order):
        one.children = [part for child in one.children for part in kept.pop(child.pid)]
        for child in one.children:
            child.below = one.pid
        joins = len(one.children) > 1 and one.pid != 1  # everything has process 1 for an ancestor
        kept[one.pid] = [one] if one.holder or joins else one.children
    return kept[node.pid]
