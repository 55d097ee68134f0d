"""Whether this machine is fit for IPC: what `ipckit doctor` prints.

>>> from ipckit.inspect import checks
>>> [finding.name for finding in checks.findings(processes=False)][:2]
['/dev/shm', 'mode of /dev/shm']
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit.inspect._checks import kernel, login, machine, mounts
from ipckit.inspect._checks.finding import Finding, Level
from ipckit.inspect._checks.limits import exhaustion
from ipckit.inspect._checks.objects import left_behind
from ipckit.inspect._kinds import KINDS
from ipckit.inspect._looking import objects
from ipckit.inspect.limits import kernel_limits

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Finding", "Level", "findings"]


def findings(*, processes: bool = True) -> Iterator[Finding]:
    """Look at the machine, check by check. Nothing is changed, but for files without a name that are gone at once.

    Args:
        processes: whether to look at all processes, too: for what was left behind, and how near each is to its limits.
    """
    yield mounts.shared_memory()
    yield mounts.shared_memory_mode()
    yield mounts.shared_memory_files()
    yield mounts.shared_memory_size()
    yield mounts.message_queues()
    yield (seen := mounts.processes())
    processes = processes and seen.level != "problem"
    yield mounts.terminals()
    yield kernel.release()
    yield from kernel.available()
    yield kernel.tracing()
    yield kernel.user_namespaces()
    yield machine.processors()
    values = {limit.name: limit.value for limit in kernel_limits(["memory.max", "/dev/shm"], processes=False)}
    yield machine.memory(values["memory.max"], values["/dev/shm"])
    yield from exhaustion(kernel_limits(processes=processes))
    yield login.removal_at_logout()
    yield from machine.core()
    yield machine.interpreter()
    yield from machine.packages()
    if processes:
        yield from left_behind(objects(kind.name for kind in KINDS.values() if not kind.transient))
