"""A look at all objects, or at some."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ipckit.errors import syscall_error
from ipckit.inspect._kinds import KINDS
from ipckit.inspect._processes.scan import Scan
from ipckit.inspect.addresses import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ipckit.inspect.namespaces import IpcNamespace
    from ipckit.inspect.records import Process, Record


class Look:
    """The objects of some kinds, as far as this process may see them.

    Iterating gives the records kind by kind, each found when it is asked for, from the one look at all processes that
    was taken when this was made. An object that vanishes meanwhile is left out. A second iteration looks at the
    objects again, but not at the processes.

    It belongs to this process, and holds no descriptor.

    >>> look = Look(["mq", "shm"])
    >>> kinds = {record.kind for record in look}
    >>> kinds <= {"mq", "shm"}
    True

    Args:
        kinds: names from `KINDS`; None is all.
        progress: called with (processes looked at, processes), now and then during the look at the processes.

    Raises:
        ValueError: there is no kind of that name.
        UnsupportedError: /proc is not mounted (ENOSYS).
    """

    __slots__ = ("_kinds", "_scan")

    def __init__(
        self, kinds: Iterable[str] | None = None, *, progress: Callable[[int, int], None] | None = None
    ) -> None:
        self._kinds = [_known(name) for name in dict.fromkeys(KINDS if kinds is None else kinds)]
        self._scan = Scan.take(set(self._kinds), progress)

    def __iter__(self) -> Iterator[Record]:
        for name in self._kinds:
            yield from KINDS[name].collect(self._scan)

    def find(self, addresses: Iterable[str]) -> dict[str, Record | None]:
        """The objects of these addresses, by the addresses as they were given; None where there is none.

        Raises:
            ValueError: one of the addresses is none.
        """
        wanted = list(addresses)
        found: dict[str, Record | None] = dict.fromkeys(wanted)
        missing: dict[str, list[str]] = {}
        for address in found:
            missing.setdefault(str(parse(address)), []).append(address)
        for record in self if missing else ():
            for name in (record.address, *record.aliases):
                for address in missing.pop(name, ()):
                    found[address] = record
            if not missing:
                break
        for name, asked in missing.items():
            kind, _, rest = name.partition(":")
            found.update(dict.fromkeys(asked, KINDS[kind].left(rest, self._scan)))
        return found

    @property
    def processes(self) -> tuple[Process, ...]:
        """Those that were looked into."""
        return tuple(self._scan.processes)

    @property
    def unseen(self) -> int:
        """How many processes could not be looked into."""
        return self._scan.unseen

    @property
    def notes(self) -> tuple[str, ...]:
        """What else could not be seen, and why, in sentences; complete when the iteration is over."""
        return tuple(dict.fromkeys(self._scan.notes))

    def other_namespaces(self) -> tuple[IpcNamespace, ...]:
        """The IPC namespaces of the processes that were looked into, but for ours: what is in them is not listed."""
        from ipckit.inspect.namespaces import ipc_namespaces

        return tuple(namespace for namespace in ipc_namespaces(self._scan) if not namespace.ours)


def objects(
    kinds: Iterable[str] | None = None, *, progress: Callable[[int, int], None] | None = None
) -> Iterator[Record]:
    """Find the objects of this machine that this process may see, kind by kind; `Look` tells what it could not see.

    Args:
        kinds: names from `KINDS`; None is all.
        progress: called with (processes looked at, processes), now and then during the look at the processes.

    Raises:
        ValueError: there is no kind of that name.
        UnsupportedError: /proc is not mounted (ENOSYS).
    """
    return iter(Look(kinds, progress=progress))


def find(address: str) -> Record:
    """Find one object.

    Raises:
        ValueError: *address* is none: `ipckit.inspect.addresses` lists them.
        NotFoundError: there is none (ENOENT).
    """
    record = find_all([address])[address]
    if record is None:
        raise syscall_error(errno.ENOENT, "find", str(parse(address)))
    return record


def find_all(addresses: Iterable[str]) -> dict[str, Record | None]:
    """Find several objects with one look.

    Returns:
        The records by the addresses that were given, in their order; None where there is no such object.

    Raises:
        ValueError: one of the addresses is none.
    """
    wanted = list(addresses)
    return Look({parse(address).kind for address in wanted}).find(wanted)


def _known(name: str) -> str:
    if name not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {name!r}")
    return name
