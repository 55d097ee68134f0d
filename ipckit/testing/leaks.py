"""A snapshot of all that a process can leave behind, and what came on top of it since."""

from __future__ import annotations

import gc
import os
import time

from ipckit._wait import Deadline
from ipckit.testing import _findings, _owners

_PRIVATE = ("descriptor", "shared mapping", "child process", "thread")


class LeakSnapshot:
    """This process's descriptors, shared mappings, children and threads, and the machine's IPC objects, at one time.

    Objects that other programs make meanwhile are told apart as well as the kernel permits, unless *strict*: then all
    that is new counts. Immutable; take it in the process that is to be watched.

    >>> import os
    >>> before = LeakSnapshot.take(strict=False)
    >>> fd = os.memfd_create("forgotten")
    >>> [line.split(" -> ")[1] for line in before.leaked(timeout=0)]
    ['/memfd:forgotten (deleted)']
    >>> os.close(fd)
    >>> before.leaked()
    []
    """

    __slots__ = ("_found", "_taken", "strict")

    def __init__(self, found: list[_findings.Finding], taken: float, *, strict: bool) -> None:
        self._found = {(finding.kind, *finding.key): finding for finding in found}
        self._taken = taken
        self.strict = strict

    @classmethod
    def take(cls, *, strict: bool | None = None) -> LeakSnapshot:
        """Look at everything.

        Args:
            strict: count also what others may have made; by default so where the environment says ``CI=true``.
        """
        if strict is None:
            strict = os.environ.get("CI", "").lower() in {"1", "true"}
        taken = time.monotonic()
        found = [
            *_findings.message_queues(),
            *_findings.shared_memory(),
            *_findings.system_v(),
            *_findings.mappings(),
            *_findings.children(),
            *_findings.threads(),
            *_findings.descriptors(),
        ]
        return cls(found, taken, strict=strict)

    @staticmethod
    def invisible() -> list[str]:
        """What no snapshot can see on this machine, in sentences; empty where everything is visible."""
        return _findings.invisible()

    def difference(self, later: LeakSnapshot) -> list[str]:
        """What *later* has on top of this snapshot, in lines for a person."""
        new = [
            finding
            for key, finding in later._found.items()
            if key not in self._found or finding.size > self._found[key].size > 0
        ]
        public = [finding for finding in new if finding.kind not in _PRIVATE]
        foreign = set() if self.strict else _owners.strangers(public, self._taken)
        return [f"{finding.kind} {finding.detail}" for finding in new if finding not in foreign]

    def leaked(self, timeout: float = 10.0) -> list[str]:
        """`difference` to now, once garbage is collected and what is about to end has had its time.

        Args:
            timeout: seconds given to threads and processes that are ending; nothing is waited for if all is well.
        """
        lines = self.difference(LeakSnapshot.take(strict=self.strict))
        if not lines:
            return []
        gc.collect()
        deadline = Deadline.after(timeout)
        while lines := self.difference(LeakSnapshot.take(strict=self.strict)):
            if deadline.expired:
                break
            time.sleep(0.01)
        return lines
