"""What this kernel can do, and whom it lets do it. ptrace(2), capabilities(7), cgroups(7)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from ipckit import features
from ipckit.errors import IPCError
from ipckit.inspect._checks.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipckit.inspect._checks.finding import Level

_OLDEST = (4, 14)
_CAP_SYS_PTRACE = 19


class Feature(NamedTuple):
    """Something that not every kernel has.

    Attributes:
        name: as its man page calls it.
        probe: whether it is here.
        level: how bad it is where it is missing.
        without: what is missing then.
        advice: how to get it.
    """

    name: str
    probe: Callable[[], bool]
    level: Level
    without: str
    advice: str


_FILTER = "or have the seccomp filter of the container let it pass"

FEATURES = (
    Feature(
        "memfd_create",
        features.has_memfd,
        "problem",
        "Memfd, anonymous rings and locks are refused",
        f"it takes Linux 3.17, {_FILTER}",
    ),
    Feature(
        "OFD locks",
        features.has_ofd_locks,
        "problem",
        "rings and filelock.OfdLock are refused: they tell the living from the dead by these locks",
        f"it takes Linux 3.15, {_FILTER}",
    ),
    Feature(
        "pidfd_open",
        features.has_pidfd,
        "problem",
        "PidFd and ProcessMemory are refused; the end of a process is noticed by asking again and again",
        f"it takes Linux 5.3, {_FILTER}",
    ),
    Feature(
        "POSIX message queues",
        features.has_mqueue,
        "problem",
        "posix.MessageQueue is refused",
        "it takes a kernel with CONFIG_POSIX_MQUEUE",
    ),
    Feature(
        "futex_waitv",
        features.has_futex_waitv,
        "warning",
        "Event.wait_any and Futex.wait_any look again every 1 to 30 ms instead of being woken",
        f"it takes Linux 5.16, {_FILTER}",
    ),
    Feature(
        "SO_PEERPIDFD",
        features.has_peer_pidfd,
        "ok",
        "the peer's pidfd of a Unix socket is opened by its number, which may be another process's by then",
        "it takes Linux 6.5",
    ),
    Feature(
        "MSG_COPY",
        features.has_msg_copy,
        "ok",
        "sysv.MessageQueue.peek is refused",
        "it takes a kernel with CONFIG_CHECKPOINT_RESTORE",
    ),
)


def release(text: str | None = None) -> Finding:
    """Whether the kernel is young enough for all that ipckit does not probe for.

    Args:
        text: what `uname -r` prints; None: here.
    """
    text = os.uname().release if text is None else text
    numbers = [part for part in text.split("-")[0].split(".")[:2] if part.isdecimal()]
    if len(numbers) < 2:
        return Finding(name="kernel", level="unknown", found=f"release {text!r} has no number")
    if (int(numbers[0]), int(numbers[1])) < _OLDEST:
        what = f"Linux {text}: rings are refused, for want of MADV_WIPEONFORK"
        return Finding(name="kernel", level="problem", found=what, advice="it takes Linux 4.14 or later")
    return Finding(name="kernel", level="ok", found=f"Linux {text}")


def available(wanted: tuple[Feature, ...] = FEATURES) -> Iterator[Finding]:
    """Which of the features are here, and what works without them."""
    for feature in wanted:
        try:
            there = feature.probe()
        except (IPCError, ImportError) as error:  # what is not installed is told elsewhere
            yield Finding(name=feature.name, level="unknown", found=f"can't be tried: {error}")
            continue
        if there:
            yield Finding(name=feature.name, level="ok", found="works here")
        else:
            what = f"missing: {feature.without}"
            yield Finding(name=feature.name, level=feature.level, found=what, advice=feature.advice)


def tracing(path: str = "/proc/sys/kernel/yama/ptrace_scope", *, capable: bool | None = None) -> Finding:
    """Whom a process may look into: the sysctl of Yama.

    Args:
        path: of the sysctl; where it is missing there is no Yama.
        capable: whether this process has CAP_SYS_PTRACE; None: as it is.
    """
    name = "ptrace scope"
    capable = can_trace() if capable is None else capable
    try:
        with open(path, encoding="ascii") as file:
            scope = int(file.read())
    except FileNotFoundError:
        return Finding(name=name, level="ok", found="processes of the same user may be looked into; there is no Yama")
    except (OSError, ValueError):
        return Finding(name=name, level="unknown", found=f"{path} can't be read")
    less = "ProcessMemory, PidFd.get_fd and waiters of other processes on futexes"
    lower = ("sysctl -w kernel.yama.ptrace_scope=0",)
    if scope >= 3:
        what = f"{scope}: {less} are refused to everybody, until the machine is started anew"
        return Finding(name=name, level="warning", found=what, advice="start the machine with a lower value")
    if scope == 0 or capable:
        return Finding(name=name, level="ok", found=f"{scope}: does not stand in the way here")
    if scope == 2:
        what = f"2: {less} take CAP_SYS_PTRACE"
        return Finding(name=name, level="warning", found=what, advice="ask as root, or lower it", commands=lower)
    what = f"1: {less} are limited to descendants of whoever asks"
    advice = "where strangers have to be looked into, ask as root, or lower it"
    return Finding(name=name, level="ok", found=what, advice=advice, commands=lower)


def can_trace(path: str = "/proc/self/status") -> bool:
    """Whether this process has CAP_SYS_PTRACE."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            lines = file.readlines()
    except OSError:
        return False
    sets = [line.split()[1] for line in lines if line.startswith("CapEff:")]
    return bool(sets) and bool(int(sets[0], 16) >> _CAP_SYS_PTRACE & 1)


def user_namespaces(directory: str = "/proc/sys") -> Finding:
    """Whether an unprivileged user may make a namespace, to try things out in private."""
    name = "user namespaces"
    for path, none in (("user/max_user_namespaces", 0), ("kernel/unprivileged_userns_clone", 0)):
        try:
            with open(f"{directory}/{path}", encoding="ascii") as file:
                value = int(file.read())
        except (OSError, ValueError):
            continue
        if value == none:
            what = f"{path.replace('/', '.', 1)} is 0: no private IPC namespace without root; ipckit needs none"
            return Finding(name=name, level="ok", found=what)
    return Finding(name=name, level="ok", found="can be made: `unshare -Uri` gives a private IPC namespace")
