"""What a figure depends on, recorded with it: proc(5), sysfs(5), uname(2)."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import ipckit
from ipckit.bench.units import counted

if TYPE_CHECKING:
    from ipckit.bench.placement import Cpu

DEPENDENCIES = ("posix_ipc", "sysv_ipc", "psutil", "cffi")

SAME_MACHINE = ("host", "cpu", "kernel")
"""Where one of these differs, two reports can't be compared."""


def record(cpus: list[Cpu]) -> dict[str, str]:
    """The environment as texts, in the order in which a reader wants them."""
    info = _cpuinfo()
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "host": platform.node(),
        "cpu": info.get("model name") or info.get("Model") or info.get("CPU implementer") or platform.machine(),
        "cpus": _topology(cpus),
        "machine": _machine(info),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "not visible",
        "clock": _read("/sys/devices/system/clocksource/clocksource0/current_clocksource") or "not visible",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "libc": " ".join(platform.libc_ver()).strip() or "not glibc",
        "python": _python(),
        "ipckit": ipckit.__version__,
        "packages": ", ".join(f"{name} {_version(name)}" for name in DEPENDENCIES),
        "cpu quota": _read("/sys/fs/cgroup/cpu.max") or "none",
        "load before": load(),
    }


def load() -> str:
    """The load averages of 1, 5 and 15 minutes."""
    try:
        return " ".join(f"{value:.2f}" for value in os.getloadavg())
    except OSError:
        return "not visible"


def busy(cpus: list[Cpu]) -> str:
    """A warning if others use the CPUs; empty otherwise."""
    try:
        one_minute = os.getloadavg()[0]
    except OSError:
        return ""
    if one_minute < 0.5 * len(cpus):
        return ""
    where = counted(len(cpus), "CPU")
    return f"the load average was {one_minute:.1f} on {where} at the start: others disturbed the measurement"


def _cpuinfo() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    first = text.split("\n\n", 1)[0]
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}


def _topology(cpus: list[Cpu]) -> str:
    cores = counted(len({(cpu.package, cpu.core) for cpu in cpus}), "physical core")
    packages = counted(len({cpu.package for cpu in cpus}), "package")
    numbers = ",".join(str(cpu.number) for cpu in cpus)
    return f"{len(cpus)} usable ({numbers}), {cores}, {packages}, of {os.cpu_count()} online"


def _machine(info: dict[str, str]) -> str:
    product = " ".join(filter(None, (_read(f"/sys/class/dmi/id/{name}") for name in ("sys_vendor", "product_name"))))
    virtual = "hypervisor" in info.get("flags", "").split() or bool(_read("/sys/hypervisor/type"))
    kind = "virtual machine" if virtual else "no hypervisor seen"
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        kind += ", container"
    return f"{kind} ({product})" if product else kind


def _python() -> str:
    free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    build = ", free-threaded" if free_threaded else ""
    return f"{platform.python_implementation()} {platform.python_version()}{build} ({platform.python_compiler()})"


def command_line() -> str:
    """How this process was called."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
