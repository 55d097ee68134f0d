"""What this process may do, whoever it is: root in a container is not all-powerful. capabilities(7)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CAP_IPC_LOCK = 14
CAP_SYS_PTRACE = 19
CAP_SYS_ADMIN = 21
CAP_WAKE_ALARM = 35


def capable(capability: int) -> bool:
    """Whether it is among the effective ones."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines()
    (effective,) = (line.split()[1] for line in lines if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> capability & 1)


def may_trace_its_parent() -> bool:
    """Whether a process may, which kernel.yama.ptrace_scope forbids where it is not 0: ptrace(2)."""
    scope = Path("/proc/sys/kernel/yama/ptrace_scope")
    return capable(CAP_SYS_PTRACE) or not scope.exists() or scope.read_text(encoding="ascii").strip() == "0"


needs_namespaces = pytest.mark.skipif(
    not capable(CAP_SYS_ADMIN), reason="to enter a namespace and to mount takes CAP_SYS_ADMIN"
)
needs_sysctls = pytest.mark.skipif(
    not (capable(CAP_SYS_ADMIN) and os.access("/proc/sys/kernel/msgmax", os.W_OK)),
    reason="to set limits in an IPC namespace takes CAP_SYS_ADMIN, and a /proc/sys that is not read-only",
)
needs_huge_pages = pytest.mark.skipif(not capable(CAP_IPC_LOCK), reason="huge pages take CAP_IPC_LOCK")
