"""The limits of the control groups that this process is in: cgroups(7)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENDLESS = 1 << 62  # version 1 writes "no limit" as a number near the largest


class Group(NamedTuple):
    """What one group allows, and uses."""

    value: int
    used: int


def tightest(controller: str, names: tuple[tuple[str, str], tuple[str, str]]) -> Group | None:
    """Of the groups that this process is in, one in another, that which is nearest to its limit; None without any.

    Args:
        controller: "memory" or "pids".
        names: of the files with the limit and with the use, in version 2, and in version 1.
    """
    groups = [group for folder, version in own_groups(controller) if (group := _group(folder, names[2 - version]))]
    return max(groups, key=lambda group: group.used / group.value if group.value else 1.0, default=None)


def own_groups(controller: str) -> Iterator[tuple[str, int]]:
    """The folders of our groups for that controller, each with its version, 1 or 2."""
    paths = {}
    for line in _lines("/proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if not controllers:
            paths["cgroup2"] = path
        elif controller in controllers.split(","):
            paths["cgroup"] = path
    for line in _lines("/proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        root, point = before.split(" ")[3:5]
        type_, _, options = after.split(" ", 2)
        if type_ not in paths or (type_ == "cgroup" and controller not in options.split(" ")[-1].split(",")):
            continue
        inside = os.path.relpath(paths[type_], root)
        if inside.startswith(".."):  # mounted is a part of the tree that we are not in
            continue
        folder = os.path.normpath(os.path.join(point, inside))
        while True:
            yield folder, 2 if type_ == "cgroup2" else 1
            if len(folder) <= len(point):
                break
            folder = os.path.dirname(folder)


def _group(folder: str, names: tuple[str, str]) -> Group | None:
    try:
        value, used = (_word(os.path.join(folder, name)) for name in names)
    except OSError:  # the root has no limit, nor has a group without that controller
        return None
    return None if not value.isdecimal() or int(value) >= _ENDLESS else Group(int(value), int(used))


def _word(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().splitlines()
    except OSError:
        return []
