"""The rings and the objects of synchronisation of ipckit: files in /dev/shm, and memory files without a name.

A look at one disturbs nobody: it takes no role and no lock, and writes nothing.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

from ipckit._shmfile import DIRECTORY
from ipckit.inspect._own.leftover_names import is_spill_file
from ipckit.inspect._own.opening import Opened, opened
from ipckit.inspect._own.ring_look import ring_fields
from ipckit.inspect._own.segment_look import Look
from ipckit.inspect._own.segment_records import Creator, Participant, Ring, Segment, Sync
from ipckit.inspect._own.segment_verdict import judge_segment, judge_unread
from ipckit.inspect._own.sync_look import sync_fields
from ipckit.inspect._processes.scan import Scan
from ipckit.inspect._shm_files import shm_files
from ipckit.inspect.records import users

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.inspect.records import Holder, Record

__all__ = ["Creator", "Participant", "Ring", "Segment", "Sync", "collect", "record_alone"]

_PREFIX = "ipckit."
_MEMFD = "/memfd:ipckit"
_RECORDS: dict[str, type[Ring | Sync]] = {"ring": Ring, "sync": Sync}


def collect(scan: Scan, kind: str) -> Iterator[Record]:
    """The segments with rings ("ring"), or with objects of synchronisation ("sync")."""
    look = Look({process.pid: process.command for process in scan.processes})
    for name, _ in shm_files():
        if name.startswith(_PREFIX):
            with opened(f"{DIRECTORY}/{name}") as file:
                if file is not None:
                    record = _named(look, scan, kind, name, file)
                    if record is not None:
                        yield record
    for thing, path, holders in scan.things("memfd"):
        if path.removesuffix(" (deleted)") == _MEMFD:
            record = _anonymous(look, kind, scan, thing.inode, users(holders))
            if record is not None:
                yield record


def absent(name: str, scan: Scan) -> Record | None:
    """A segment that may not be looked into: it is listed as a ring, but is what was asked for as likely."""
    file_name = _PREFIX + name[1:]
    with opened(f"{DIRECTORY}/{file_name}") as file:
        if not name.startswith("/") or file is None or file.fd is not None:
            return None
        return _named(Look({}), scan, "ring", file_name, file)


def record_alone(kind: str, name: str, fd: int) -> Record | None:
    """The record of the file *name* in /dev/shm, if it is of that kind, by what it and the locks on it say alone.

    Args:
        fd: the file, open for reading; locks of this description are not counted.
    """
    return _named(Look({}), Scan(), kind, name, Opened(fd, os.fstat(fd)))


def _named(look: Look, scan: Scan, kind: str, name: str, file: Opened) -> Record | None:
    """The record of a file in /dev/shm, if it is of that kind."""
    address = f"{kind}:/{name[len(_PREFIX) :]}"
    holders = users(scan.holders(file.status.st_dev, file.status.st_ino))
    common = _common(address, file.status, holders, scan.unseen)
    if file.fd is None:
        if kind != "ring" or is_spill_file(name):
            return None
        forbidden = f"its mode {stat.S_IMODE(file.status.st_mode):04o} forbids us to look into it"
        return Ring(**common, problem=forbidden, verdict=judge_unread(holders, scan.unseen, forbidden))
    problem = look.begin(file.fd)
    if problem is None or look.kind != kind:
        return None
    return _record(look, kind, common, problem, holders)


def _anonymous(look: Look, kind: str, scan: Scan, inode: int, holders: tuple[Holder, ...]) -> Record | None:
    """The record of a memory file, if it is of that kind and can be read."""
    for holder in holders:
        for descriptor in holder.descriptors:
            with opened(f"/proc/{holder.process.pid}/fd/{descriptor}", link=True) as file:
                if file is None or file.fd is None or file.status.st_ino != inode:
                    continue
                problem = look.begin(file.fd)
                if problem is None or look.kind != kind:
                    return None
                common = _common(f"{kind}:[{inode}]", file.status, holders, scan.unseen)
                return _record(look, kind, common, problem, holders)
    return None


def _record(look: Look, kind: str, common: dict[str, Any], problem: str, holders: tuple[Holder, ...]) -> Record:
    fields: dict[str, Any] = {"layout": look.layout, "id": look.id, "problem": problem}
    if not problem:
        fields["creator"] = look.creator()
        try:
            found = ring_fields(look) if kind == "ring" else sync_fields(look)
        except OSError as error:
            fields["problem"] = error.strerror
        else:
            if found is None:
                fields["problem"] = f"it is of a kind, {look.info.kind}, that this ipckit does not know"
            fields.update(found or {})
    if fields["problem"]:
        verdict = judge_unread(holders, common["unseen"], fields["problem"])
    else:
        verdict = judge_segment(
            holders,
            held=look.held(),
            creator=fields["creator"],
            participants=fields["participants"],
            may_run=look.may_run,
        )
    return _RECORDS[kind](**common, **fields, verdict=verdict)


def _common(address: str, status: os.stat_result, holders: tuple[Holder, ...], unseen: int) -> dict[str, Any]:
    return {
        "address": address,
        "uid": status.st_uid,
        "gid": status.st_gid,
        "mode": stat.S_IMODE(status.st_mode),
        "size": status.st_size,
        "since": status.st_ctime,
        "holders": holders,
        "unseen": unseen,
    }
