"""The kernel's limits on IPC: what each is, how much of it is used, and how to raise it.

>>> from ipckit.inspect.limits import kernel_limits
>>> [limit.name for limit in kernel_limits(["pipe"])]
['fs.pipe-max-size', 'fs.pipe-user-pages-soft', 'fs.pipe-user-pages-hard', 'PIPE_BUF']
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from ipckit.inspect._limits.facts import UNLIMITED, Facts
from ipckit.inspect._limits.processes import Nearest
from ipckit.inspect._limits.table import RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ipckit.inspect._limits.rules import Rule

__all__ = ["Limit", "Nearest", "Scope", "kernel_limits"]

Scope = Literal[
    "machine", "IPC namespace", "network namespace", "mount", "cgroup", "user", "process", "object", "fixed"
]
"""What a limit is for.

=================  =========================================================================================
scope              the limit is for
=================  =========================================================================================
machine            all that runs on this kernel
IPC namespace      all processes of this one: a container usually has its own
network namespace  the same
mount              all that use this file system
cgroup             the processes of this one and of those below it
user               all processes of one user; in a container, of one user of the machine as a rule
process            each process
object             each object: its current use is that of one object, and not told here
fixed              anything, by how Linux is built: it cannot be raised
=================  =========================================================================================
"""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One limit.

    Attributes:
        name: of the sysctl, "/dev/shm", or the constant of getrlimit(2) or limits.h; kernel.sem is four.
        about: what it limits.
        unit: of `value` and `used`, such as "bytes".
        scope: what it is for.
        value: the limit; None where there is none, or the machine does not tell. Of a process it is the soft limit of
            this one.
        unlimited: whether there is none.
        used: how much of it is used now; None where nobody tells. Of a process it is the use of this one.
        nearest: of the limits of processes, that process which is nearest to its own.
        fails: what fails when it is reached, and how.
        remedy: how to raise it; "" where it cannot be raised, or need not.
        container: how to raise it for a container; "" where that is no question of the container.
    """

    name: str
    about: str
    unit: str
    scope: Scope
    value: int | None
    unlimited: bool
    used: int | None
    nearest: Nearest | None
    fails: str
    remedy: str
    container: str

    @property
    def fixed(self) -> bool:
        """Whether it cannot be raised."""
        return self.scope == "fixed"

    @property
    def share(self) -> float | None:
        """How much of it is used, 1.0 is all, by the `nearest` process if that uses more; None where nobody tells.

        It is more than 1.0 where the limit was lowered below what was in use.
        """
        shares = [] if self.nearest is None else [self.nearest.share]
        if self.used is not None and self.value:
            shares.append(self.used / self.value)
        return max(shares) if shares else None


def kernel_limits(names: Iterable[str] | None = None, *, processes: bool = True) -> Iterator[Limit]:
    """Read the limits, and how much of them is used, as they are now.

    Args:
        names: parts of names, such as "mqueue" or "nofile", or patterns such as "kernel.msg*"; upper and lower case
            are the same. None is all.
        processes: whether to look at all processes for what they use of their own limits.

    Raises:
        ValueError: there is no limit of such a name.
    """
    chosen = list(RULES)
    if names is not None:
        patterns = [name.lower() for name in names]
        for pattern in patterns:
            if not any(_matches(rule.name, pattern) for rule in RULES):
                raise ValueError(f"there is no limit with {pattern!r} in its name")
        chosen = [rule for rule in RULES if any(_matches(rule.name, pattern) for pattern in patterns)]
    return _read(chosen, Facts(processes=processes))


def _read(rules: list[Rule], facts: Facts) -> Iterator[Limit]:
    for rule in rules:
        value = rule.value(facts)
        unlimited = value == UNLIMITED
        yield Limit(
            name=rule.name,
            about=rule.about,
            unit=rule.unit,
            scope=rule.scope,
            value=None if unlimited else value,
            unlimited=unlimited,
            used=rule.used(facts) if rule.used is not None else None,
            nearest=rule.nearest(facts) if rule.nearest is not None else None,
            fails=rule.fails,
            remedy="" if unlimited else rule.remedy(value),
            container="" if unlimited else rule.container,
        )


def _matches(name: str, pattern: str) -> bool:
    return pattern in name.lower() or fnmatchcase(name.lower(), pattern)
