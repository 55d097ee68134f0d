"""A crowd that creates, opens, uses and drops named segments and is killed all the time, while cleaners clean.

Whoever has a segment that has not been unlinked asks again and again whether its name still leads to it.
"""

from __future__ import annotations

import mmap
import os
import pickle
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ipckit import inspect, posix
from ipckit._segment import segment_path
from ipckit.errors import AlreadyExistsError, NotFoundError
from ipckit.inspect.cleaning import clean
from ipckit.ring import BroadcastRing, Latest, MpmcRing, SpscRing
from ipckit.sync import Event

if TYPE_CHECKING:
    from collections.abc import Callable


class Sort(NamedTuple):
    """A class of objects with names, and what its users do.

    Attributes:
        cls: opens by name.
        create: makes one of that name.
        use: does something with a handle.
        path: the file of a name.
    """

    cls: Any
    create: Callable[[str], Any]
    use: Callable[[Any], object]
    path: Callable[[str], str] = segment_path


def _exchange(ring: Any) -> None:
    ring.try_send(b"y" * 10_000)
    ring.try_receive()


def _newest(latest: Any) -> None:
    if latest.stat().sent:
        latest.read(timeout=0)


def _touch(memory: Any) -> None:
    memory.buf[0] = 1


OURS = (
    Sort(SpscRing, lambda name: SpscRing.create(name, capacity=4096), lambda ring: ring.stat()),
    Sort(MpmcRing, lambda name: MpmcRing.create(name, capacity=4096, oversize="file"), _exchange),
    Sort(BroadcastRing, lambda name: BroadcastRing.create(name, capacity=4096), lambda ring: ring.try_send(b"x" * 100)),
    Sort(Latest, lambda name: Latest.create(name, max_size=64), _newest),
    Sort(Event, Event.create, lambda event: event.set()),
)
FOREIGN = (
    Sort(
        posix.SharedMemory,
        lambda name: posix.SharedMemory.create(name, size=4096),
        _touch,
        lambda name: f"/dev/shm{name}",
    ),
)
SHARED_NAMES = 2  # of each sort, that all fight for
WORKERS = 4
STEPS = 12
_COUNT = 8  # bytes


class Report(NamedTuple):
    """What became of a crowd.

    Attributes:
        lives: of how many processes.
        killed: how many of them were killed.
        looks: how often one asked for the name of what it had.
        lost: what those found whose segment had lost its name.
    """

    lives: int
    killed: int
    looks: int
    lost: list[str]


def crowd(prefix: str, lives: int, seed: int, sorts: tuple[Sort, ...] = OURS) -> Report:
    """Let processes live and die, so many altogether, a few at a time."""
    chance = random.Random(seed)
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    looks = mmap.mmap(-1, (lives + 1) * _COUNT)
    living: set[int] = set()
    begun = killed = 0
    while begun < lives or living:
        while begun < lives and len(living) < WORKERS:
            begun += 1
            pid = os.fork()
            if pid == 0:
                _live(prefix, random.Random(seed * 1_000_003 + begun), sorts, writing, looks, begun)
            living.add(pid)
        if chance.random() < 0.5:
            os.kill(chance.choice(sorted(living)), signal.SIGKILL)
        time.sleep(chance.random() * 0.01)  # the rhythm of the storm: nothing is awaited by it
        for pid in sorted(living):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                living.discard(pid)
                killed += os.WIFSIGNALED(status)
    os.close(writing)
    with open(reading, encoding="utf-8") as told:
        lost = told.read().splitlines()
    total = sum(int.from_bytes(looks[at : at + _COUNT], "little") for at in range(0, len(looks), _COUNT))
    return Report(lives, killed, total, lost)


def _live(
    prefix: str, chance: random.Random, sorts: tuple[Sort, ...], telling: int, looks: mmap.mmap, number: int
) -> None:
    """A life: some segments, one after the other, or two at a time."""
    try:
        seen = 0
        kept: list[tuple[Any, str]] = []
        for _ in range(STEPS):
            sort = chance.choice(sorts)
            alone = chance.random() < 0.3
            own = os.getpid() if alone else chance.randrange(SHARED_NAMES)
            name = f"/{prefix}-{sort.cls.__name__}-{own}"
            kept.append((_made(sort, name), sort.path(name)))
            for _ in range(chance.randrange(1, 6)):
                if chance.random() < 0.5:
                    sort.use(kept[-1][0])
                for handle, path in kept:
                    seen += 1
                    looks[number * _COUNT : (number + 1) * _COUNT] = seen.to_bytes(_COUNT, "little")
                    _look(handle, path, telling)
            if len(kept) == 2:
                kept.pop(chance.randrange(2))[0].close()
            if chance.random() < 0.05:
                os.kill(os.getpid(), signal.SIGKILL)
        for handle, path in kept:
            _look(handle, path, telling)
            handle.close()
    except BaseException as error:  # a failure is a finding, too
        os.write(telling, f"{number}: {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(0)


def _made(sort: Sort, name: str) -> Any:
    while True:
        try:
            return sort.cls.open(name)
        except NotFoundError:
            pass
        try:
            return sort.create(name)
        except AlreadyExistsError:
            pass


def _look(handle: Any, path: str, telling: int) -> None:
    try:
        found = os.stat(path).st_ino
    except FileNotFoundError:
        found = 0
    if found != os.fstat(handle.fileno()).st_ino:
        os.write(telling, f"{path} leads to {found or 'nothing'}\n".encode())


def cleaner(prefix: str, until: str) -> Counter[str]:
    """Clean what has names of that prefix until there is a file *until*; what came of it, counted."""
    outcomes: Counter[str] = Counter()
    while not os.path.exists(until):
        outcomes.update(sweep(prefix))
    return outcomes


def sweep(prefix: str, kinds: tuple[str, ...] = ("ring", "sync", "file"), **how: Any) -> Counter[str]:
    """Clean once."""
    mine = [record for record in inspect.objects(kinds) if record.name.startswith((f"/{prefix}", f"ipckit.{prefix}"))]
    return Counter(
        "removed" if outcome.removed else outcome.reason.split(":")[0]
        for outcome in clean(dry_run=False, kinds=kinds, shown=mine, **how)
    )


def foreign_storm(prefix: str, lives: int, seed: int) -> tuple[Report, Counter[str]]:
    """The same with shared memory that has no life lock. To be run where all processes are seen."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        report = crowd(prefix, lives, seed, FOREIGN)
        os.write(writing, pickle.dumps(report))
        os._exit(0)
    os.close(writing)
    outcomes: Counter[str] = Counter()
    try:
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            outcomes.update(sweep(prefix, ("shm",), foreign=True, older_than=1e-9))
        with open(reading, "rb") as told:
            return pickle.load(told), outcomes
    finally:
        for path in Path("/dev/shm").glob(f"{prefix}*"):
            path.unlink()


def remains(prefix: str) -> list[str]:
    """The files that are left."""
    return sorted(path.name for path in Path("/dev/shm").glob(f"ipckit.{prefix}*"))
