"""Looks into segments, by the C core: native/include/ipckit/look.h. Nobody who takes part in a segment notices."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit.inspect._own.segment_records import Creator, Participant
from ipckit.inspect._processes.procfs import booted
from ipckit.inspect.namespaces import pid_namespace_alive

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ENDS = {
    lib.IPK_ROSTER_NOBODY_YET: "nobody yet",
    lib.IPK_ROSTER_OPEN: "open",
    lib.IPK_ROSTER_CLOSED: "closed",
    lib.IPK_ROSTER_DIED: "died",
}
_ROLES = {
    lib.IPK_LOOK_PRODUCER: "producer",
    lib.IPK_LOOK_CONSUMER: "consumer",
    lib.IPK_LOOK_OWNER: "owner",
    lib.IPK_LOOK_READER: "reader",
    lib.IPK_LOOK_HOLDER: "holder",
    lib.IPK_LOOK_WAITER: "waiter",
    lib.IPK_LOOK_PARTY: "party",
}
_WITH_COUNT = lib.IPK_LOOK_OWNER | lib.IPK_LOOK_READER | lib.IPK_LOOK_HOLDER
_TICK = os.sysconf("SC_CLK_TCK")


class Look:
    """A look into one segment after the other, with one piece of memory for all.

    Attributes:
        core: the core's ``struct ipk_look *``.
        info: what the header of the present one says.
        fd: the present one.
    """

    __slots__ = ("_booted", "_commands", "_namespace", "_namespaces", "_who", "core", "fd", "info")

    def __init__(self, commands: Mapping[int, str]) -> None:
        """Processes are called what *commands* says, by their pid here."""
        self.core: Any = ffi.new("struct ipk_look *")
        self.info: Any = ffi.new("struct ipk_segment_info *")
        self._who: Any = ffi.new("struct ipk_look_participant *")
        self.fd = -1
        self._commands = commands
        self._namespace = os.stat("/proc/self/ns/pid").st_ino
        self._namespaces: dict[int, bool | None] = {}
        self._booted = booted()

    def begin(self, fd: int) -> str | None:
        """Look at the header of the file behind *fd*.

        Returns:
            What is wrong with it; "" if nothing is; None if it is no segment.
        """
        self.fd = fd
        rc = quick.ipk_look_begin(self.core, fd, self.info)
        if rc == -errno.ENOMSG:
            return None
        if rc not in {0, -errno.EPROTO}:
            return f"it cannot be read: {os.strerror(-rc)}"
        if self.layout != lib.IPK_LOOK_LAYOUT:
            return f"its layout is of version {self.layout}, and this ipckit knows version {lib.IPK_LOOK_LAYOUT}"
        if rc:
            return f"it is torn: it should have {self.info.size} bytes"
        return ""

    @property
    def layout(self) -> int:
        """The version in the header."""
        return int(self.info.magic & 0xFFFF)

    @property
    def kind(self) -> str:
        """The kind of its addresses: "ring" or "sync"."""
        return "sync" if self.info.kind == lib.IPK_KIND_SYNC else "ring"

    @property
    def id(self) -> str:
        """What tells the segment from all others."""
        return f"{self.info.id[0]:016x}{self.info.id[1]:016x}"

    def creator(self) -> Creator | None:
        """Who made it, if the header says so."""
        who = self.info.creator
        if who.pid == 0:
            return None
        here = who.pid_namespace == self._namespace
        alive = bool(quick.ipk_segment_runs(ffi.addressof(self.info, "creator"))) if here else None
        command = self._commands.get(who.pid) if alive else None
        return Creator(who.pid, command, self._moment(who.start_time), who.pid_namespace, alive)

    def may_run(self, namespace: int) -> bool:
        """Whether processes of that pid namespace, if it is not ours, may run."""
        if namespace == self._namespace:
            return False
        if namespace not in self._namespaces:
            self._namespaces[namespace] = pid_namespace_alive(namespace)  # looks at all processes
        return self._namespaces[namespace] is not False

    def held(self) -> bool | None:
        """Whether somebody has it, by the locks that are held on it; None if the kernel would not tell."""
        rc = quick.ipk_life_held(self.fd)
        return None if rc < 0 else bool(rc)

    def participants(self) -> Iterator[Participant]:
        """Who takes part in what was looked at."""
        who = self._who
        index = 0
        while (rc := quick.ipk_look_participant(self.core, index, who)) != -errno.ENOENT:
            if rc == 1:
                yield self._participant(who)
            elif rc < 0:
                return
            index += 1

    def end(self, role: int, *, alive: bool) -> str:
        """How the last of a role went; *alive*: whether any of them lives."""
        how = quick.ipk_look_end(self.core, role)
        if how == lib.IPK_ROSTER_OPEN and not alive:
            how = lib.IPK_ROSTER_DIED
        return _ENDS.get(how, "open")

    def _participant(self, who: Any) -> Participant:
        said = who.pid != 0
        here = who.pid_namespace == self._namespace
        alive = bool(who.lives) if who.lives >= 0 else None
        return Participant(
            role=", ".join(word for bit, word in _ROLES.items() if who.role & bit),
            pid=who.pid if said else None,
            command=self._commands.get(who.pid) if said and here and alive else None,
            started=self._moment(who.start_time) if said else None,
            pid_namespace=who.pid_namespace if said else None,
            alive=alive,
            held=who.count if who.role & _WITH_COUNT else None,
            thread=who.thread or None,
            behind=who.behind
            if who.role & lib.IPK_LOOK_CONSUMER and self.info.kind == lib.IPK_KIND_BROADCAST
            else None,
            cut_off=bool(who.role & lib.IPK_LOOK_CUT_OFF),
        )

    def _moment(self, ticks: int) -> float:
        return float(self._booted + ticks / _TICK)
