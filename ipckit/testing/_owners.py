"""Whose object is it? A machine is shared; what others make while a test runs is not that test's leak.

The kernel does not note who made a file in /dev/shm. So an object counts as a stranger's if a process outside this
run has it open, or is noted as its maker or user; and, where nothing is known, if there are such processes at all:
Python of the same user. Only then can something of ours be missed, which the strict mode is for.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ipckit.testing import _launch, _procfs

if TYPE_CHECKING:
    from ipckit.testing._findings import Finding

_GETPID = 11  # semctl(2)
_UNIQUE_NAME = re.compile(r"ipckit-(\d+)-[0-9a-f]{16}")  # `ipckit._names.unique_name`: the maker's pid, random digits


def strangers(findings: list[Finding], since: float) -> set[Finding]:
    """Those of *findings*, made after the time *since* (time.monotonic), that belong to somebody else."""
    if not findings:
        return set()
    spawned = {pid for pid, end in _launch.spawned.items() if end >= since}
    ours = {os.getpid(), *_procfs.descendants(os.getpid()), *spawned}
    alive = set(_procfs.pids())
    others = alive - ours
    devices = {finding.device for finding in findings}

    @cache
    def suspected() -> bool:
        return any(_is_suspect(pid) for pid in others)

    @cache
    def held_by_others() -> set[tuple[int, int]]:
        return _held(devices, others)

    held_by_us = _held(devices, ours & alive)
    found = set()
    for finding in findings:
        users = set(_users(finding))
        name = finding.key[0] if isinstance(finding.key[0], str) else ""  # the number of a System V object is no pid
        unique = _UNIQUE_NAME.search(name)
        named = set(map(int, unique.groups() if unique else re.findall(r"\d+", name)))
        if finding.device in held_by_us or (users | named) & ours:
            continue
        # The last question is the dear one: all open files of all processes.
        if users & others or unique or suspected() or finding.device in held_by_others():
            found.add(finding)
    return found


def _users(finding: Finding) -> tuple[int, ...]:
    if finding.kind != "System V sem":
        return finding.pids
    import ctypes

    return (ctypes.CDLL(None).semctl(finding.key[0], 0, _GETPID),)


def _is_suspect(pid: int) -> bool:
    """Whether *pid* could be another test run or program of the same user; those that started us could not."""
    ancestor = os.getpid()
    while ancestor > 1:
        if pid == ancestor:
            return False
        ancestor = _procfs.parent_of(ancestor)
    try:
        folder = Path(f"/proc/{pid}")
        return folder.stat().st_uid == os.geteuid() and "python" in (folder / "exe").readlink().name
    except OSError:  # gone, or a kernel thread
        return False


def _held(devices: set[tuple[int, int]], pids: set[int]) -> set[tuple[int, int]]:
    """Which of these files the processes *pids* have open or mapped, as far as we may see."""
    wanted = devices - {(0, 0)}
    found: set[tuple[int, int]] = set()
    by_inode = {str(device[1]): device for device in wanted}
    for pid in pids if wanted else ():
        for fd in _entries(Path(f"/proc/{pid}/fd")):
            try:
                status = fd.stat()
            except OSError:
                continue
            if (status.st_dev, status.st_ino) in wanted:
                found.add((status.st_dev, status.st_ino))
        for line in _procfs.read_text(f"/proc/{pid}/maps").splitlines():
            words = line.split(None, 5)
            if len(words) == 6 and words[5].startswith("/dev/shm/") and words[4] in by_inode:
                found.add(by_inode[words[4]])
    return found


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
