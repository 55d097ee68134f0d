"""A rule for each limit: where its value and its use are found, and what is to be said of it."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, NamedTuple

from ipckit.inspect._limits.facts import UNLIMITED, Facts, soft_limit, sysctl

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.inspect._limits.processes import Nearest
    from ipckit.inspect.limits import Scope

_NAMESPACED = (
    "fs.mqueue.", "kernel.msg", "kernel.sem", "kernel.shm", "net.core.somaxconn", "net.ipv4.", "net.unix.",
)  # fmt: skip
"""What a container has to itself."""
_KIB_UNITS = ("RLIMIT_AS", "RLIMIT_FSIZE", "RLIMIT_MEMLOCK")  # what ulimit counts in these
_KIB = 1024
_INT_MAX = (1 << 31) - 1
IPCMNI = 32768
"""System V queues, sets and segments that there can be of each, unless the kernel was booted with ipcmni_extend."""


class Rule(NamedTuple):
    """One limit; fields as those of `ipckit.inspect.limits.Limit`."""

    name: str
    about: str
    unit: str
    scope: Scope
    fails: str
    value: Callable[[Facts], int | None]
    used: Callable[[Facts], int | None] | None
    nearest: Callable[[Facts], Nearest | None] | None
    remedy: Callable[[int | None], str]
    container: str


def of_sysctl(
    name: str,
    about: str,
    unit: str,
    scope: Scope,
    fails: str,
    *,
    value: Callable[[Facts], int | None] | None = None,
    used: Callable[[Facts], int | None] | None = None,
    most: int = _INT_MAX,
    also: str = "",
) -> Rule:
    """A limit that a sysctl sets.

    Args:
        value: by default, the first number of the sysctl.
        most: what the kernel lets nobody raise it beyond.
        also: what else there is to do, or to mind.
    """

    def remedy(now: int | None) -> str:
        words = f"sysctl -w {name}={_more(now, most)}"
        return f"{words}; {also}" if also else words

    found = value or (lambda _: sysctl(name))
    return Rule(name, about, unit, scope, fails, found, used, None, remedy, for_container(name))


def of_semaphores(
    index: int, constant: str, about: str, unit: str, fails: str, *, used: Callable[[Facts], int | None] | None = None
) -> Rule:
    """One of the four numbers of kernel.sem; those of which no use is told are of one object."""

    def remedy(now: int | None) -> str:
        numbers = [str(sysctl("kernel.sem", at)) for at in range(4)]
        numbers[index] = _more(now, IPCMNI if constant == "SEMMNI" else _INT_MAX)
        return f'sysctl -w kernel.sem="{" ".join(numbers)}"'

    name = f"kernel.sem:{constant}"
    scope: Scope = "object" if used is None else "IPC namespace"
    container = 'docker run --sysctl "kernel.sem=SEMMSL SEMMNS SEMOPM SEMMNI"'
    return Rule(name, about, unit, scope, fails, lambda _: sysctl("kernel.sem", index), used, None, remedy, container)


def of_rlimit(
    name: str,
    about: str,
    unit: str,
    scope: Scope,
    fails: str,
    *,
    letter: str,
    value: Callable[[Facts], int | None] | None = None,
    used: Callable[[Facts], int | None] | None = None,
    nearest: Callable[[Facts], Nearest | None] | None = None,
) -> Rule:
    """A limit of setrlimit(2).

    Args:
        letter: the option of ulimit.
        value: by default, the soft limit of this process.
    """
    short = name.removeprefix("RLIMIT_")
    which: int = getattr(resource, name)
    docker = "" if name == "RLIMIT_AS" else f"docker run --ulimit {short.lower()}=NUMBER"

    def remedy(now: int | None) -> str:
        number = now // _KIB if now is not None and name in _KIB_UNITS and now != UNLIMITED else now
        return f"ulimit -{letter} {_more(number)}; limits.conf(5); systemd Limit{short}="

    return Rule(name, about, unit, scope, fails, value or (lambda _: soft_limit(which)), used, nearest, remedy, docker)


def of_kernel(name: str, about: str, unit: str, value: int, fails: str) -> Rule:
    """A limit that nobody can raise."""
    return Rule(name, about, unit, "fixed", fails, lambda _: value, None, None, lambda _: "", "")


def other(
    name: str,
    about: str,
    unit: str,
    scope: Scope,
    fails: str,
    *,
    value: Callable[[Facts], int | None],
    used: Callable[[Facts], int | None] | None = None,
    remedy: str,
    container: str,
) -> Rule:
    """Any other limit; in *remedy*, "{more}" is twice as much as now."""

    def more(now: int | None) -> str:
        return remedy.format(more=_more(now))

    return Rule(name, about, unit, scope, fails, value, used, None, more, container)


def for_container(name: str) -> str:
    """How to set a sysctl for one container; "" where it is that of the machine."""
    return f"docker run --sysctl {name}=NUMBER" if name.startswith(_NAMESPACED) else ""


def _more(now: int | None, most: int | None = None) -> str:
    """Twice as much, as far as that goes."""
    if now is None or now <= 0 or (most is not None and now >= most):
        return "NUMBER"
    return str(2 * now if most is None else min(2 * now, most))
