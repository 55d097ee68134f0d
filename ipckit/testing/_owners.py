"""Whose object is it? A machine is shared; what others make while a test runs is not that test's leak.

The kernel does not note who made a file in /dev/shm. So an object counts as a stranger's if a process outside this
run has it open, or is noted as its maker or user; and, where nothing is known, if there are such processes at all:
Python of the same user. Only then can something of ours be missed, which the strict mode is for.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ipckit.testing import _launch, _procfs

if TYPE_CHECKING:
    from ipckit.testing._findings import Finding

_GETPID = 11  # semctl(2)


def strangers(findings: list[Finding]) -> set[Finding]:
    """Those of *findings* that belong to somebody else."""
    if not findings:
        return set()
    ours = {os.getpid(), *_procfs.descendants(os.getpid()), *_launch.spawned}
    others = set(_procfs.pids()) - ours
    holders = _holders({finding.device for finding in findings})
    found = set()
    for finding in findings:
        known = {*_users(finding), *holders.get(finding.device, ())}
        named = {int(digits) for digits in re.findall(r"\d+", str(finding.key[0]))}
        if (known | named) & ours:
            continue
        if known & others or _is_unique_name(finding) or any(_is_suspect(pid) for pid in others):
            found.add(finding)
    return found


def _users(finding: Finding) -> tuple[int, ...]:
    if finding.kind != "System V sem":
        return finding.pids
    import ctypes

    return (ctypes.CDLL(None).semctl(finding.key[0], 0, _GETPID),)


def _is_unique_name(finding: Finding) -> bool:
    """Whether a process that is not ours put its pid into the name: `ipckit._names.unique_name`."""
    return re.search(r"ipckit-\d+-[0-9a-f]{16}", str(finding.key[0])) is not None


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


def _holders(devices: set[tuple[int, int]]) -> dict[tuple[int, int], set[int]]:
    """Which processes have which of these files open or mapped, as far as we may see."""
    found: dict[tuple[int, int], set[int]] = {device: set() for device in devices - {(0, 0)}}
    by_inode = {str(device[1]): device for device in found}
    for pid in _procfs.pids() if found else ():
        for fd in _entries(Path(f"/proc/{pid}/fd")):
            try:
                status = fd.stat()
            except OSError:
                continue
            if (status.st_dev, status.st_ino) in found:
                found[status.st_dev, status.st_ino].add(pid)
        for line in _procfs.read_text(f"/proc/{pid}/maps").splitlines():
            words = line.split(None, 5)
            if len(words) == 6 and words[5].startswith("/dev/shm/") and words[4] in by_inode:
                found[by_inode[words[4]]].add(pid)
    return found


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
