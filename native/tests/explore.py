"""Every interleaving of the core's protocols (model/*.py), with a crash allowed at every step.

The processes run the memory operations of src/, in its order, each with its memory order, on a machine with a store
buffer per process (model/machine.py). In every reachable state what the protocol promises must hold, from everywhere
the end can be reached, and nobody sleeps when nothing can happen any more. A sleeper's slice may run out only after
somebody has died: so with all alive every wake-up must come, and a death costs no more than a slice.

usage: explore.py [MODEL ...]             the protocols as they are, then with mistakes, then with each order weakened
       explore.py [-v] MODEL NAME=ORDER   with one operation weakened (the names: OPERATIONS); -v: how it comes to that
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from model import MODELS
from model.explorer import explore
from model.processor import WEAKER
from model.program import Violation

if TYPE_CHECKING:
    from model.explorer import Model
    from model.machine import Machine


def check(model: Model) -> bool:
    """Whether a protocol holds, and no longer does with a mistake planted in it, or with each operation weakened."""
    well = True
    for setting in model.settings:
        machine = model.machine(setting, {})
        try:
            print(f"{model.name}, {setting.name}: {explore(machine)} states, all well", flush=True)
        except Violation as violation:
            print(f"{model.name}, {setting.name}: {violation}")
            tell(machine, violation)
            well = False
    for mistake in model.planted:
        try:
            print(f"{model.name}, {mistake.name}: {explore(model.machine(mistake, {}))} states, NOT FOUND", flush=True)
            well = False
        except Violation as violation:
            print(f"{model.name}, {mistake.name}: {violation}", flush=True)
    for name, place in model.operations.items():
        for weaker in WEAKER[place[3]].get(place[4], []):
            found = model.flaw(name, weaker)
            print(f"{model.name}, {name} {place[4]} -> {weaker}: {found or 'no flaw'}", flush=True)
            well &= (found is None) == (f"{name}={weaker}" in model.harmless)
    return well


def tell(machine: Machine, violation: Violation) -> None:
    """Print how it came to that, one change a line."""
    for before, after in zip(violation.trace, violation.trace[1:], strict=False):
        for role, (p, q) in enumerate(zip(before.processes, after.processes, strict=True)):
            if p == q:
                continue
            step = machine.code[role][p.pc]
            what = "a store is seen" if len(q.buffer) < len(p.buffer) else q.status if p.status != q.status else step
            print(f"  {role}: {what}  {q.registers}  buffer {q.buffer}")
        changed = zip(machine.at, before.memory, after.memory, strict=True)
        print("     ", *(f"{name}: {old} -> {new}" for name, old, new in changed if old != new))


def main(arguments: list[str]) -> int:
    """Explore what the command line says."""
    verbose = "-v" in arguments
    names = [argument for argument in arguments if argument != "-v"]
    if len(names) == 2 and "=" in names[1]:
        model = MODELS[names[0]]
        name, _, order = names[1].partition("=")
        found = model.flaw(name, order)
        print(found or "no flaw found")
        if found and verbose:
            tell(model.machine(model.settings[0], {name: order}), found)
        return 0 if found else 1
    well = [check(MODELS[name]) for name in names or MODELS]
    return int(not all(well))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
