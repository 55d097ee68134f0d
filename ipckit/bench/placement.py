"""Which CPUs the two processes run on: sched_setaffinity(2), and the topology that sysfs(5) tells."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

SYSFS = Path("/sys/devices/system/cpu")
KINDS = ("same", "cross", "free")


@dataclass(frozen=True)
class Placement:
    """Where the first and the second process are pinned; None where they are free."""

    kind: str
    first: int | None
    second: int | None
    text: str
    notice: str = ""
    """Why it is not what was asked for."""


@dataclass(frozen=True)
class Cpu:
    """One CPU as the scheduler counts them, and the package and physical core that it belongs to."""

    number: int
    package: int
    core: int


def read_topology(allowed: set[int] | None = None, sysfs: Path = SYSFS) -> list[Cpu]:
    """The CPUs that this process may use, in ascending order.

    Where sysfs does not say, each CPU counts as a core of its own in package 0.
    """
    numbers = os.sched_getaffinity(0) if allowed is None else allowed
    cpus = []
    for number in sorted(numbers):
        folder = sysfs / f"cpu{number}" / "topology"
        cpus.append(Cpu(number, _integer(folder / "physical_package_id", 0), _integer(folder / "core_id", number)))
    return cpus


def choose(kind: str | None, cpus: list[Cpu]) -> Placement:
    """The placement for *kind*: "same", "cross" or "free"; None takes "cross" where there are two CPUs."""
    if kind == "free":
        return Placement("free", None, None, "not pinned: the scheduler places the two processes")
    pairs = list(combinations(cpus, 2))
    if kind == "same" or not pairs:
        only = cpus[-1].number  # the last one: most machines serve their interrupts on the first
        notice = ""
        if kind == "cross":
            notice = f"cross needs two CPUs and this process may use only CPU {only}: measured on the same one"
        return Placement("same", only, only, f"both on CPU {only}", notice)
    # The best pair: two physical cores, of one package (one cache), away from the CPU that serves interrupts.
    first, second = min(pairs, key=_distance)
    text = f"CPU {first.number} and CPU {second.number}"
    if _core(first) == _core(second):
        return Placement(
            "cross",
            first.number,
            second.number,
            f"{text}: two hardware threads of one physical core",
            "no two physical cores are available: measured on two hardware threads of one",
        )
    packages = "the same package" if first.package == second.package else "different packages"
    return Placement("cross", first.number, second.number, f"{text}: different physical cores of {packages}")


def _distance(pair: tuple[Cpu, Cpu]) -> tuple[bool, bool, bool, int, int]:
    first, second = pair
    return (
        _core(first) == _core(second),
        first.package != second.package,
        first.number == 0,
        first.number,
        second.number,
    )


def _core(cpu: Cpu) -> tuple[int, int]:
    return cpu.package, cpu.core


def _integer(path: Path, default: int) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return default
