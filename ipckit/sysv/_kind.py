"""One kind of System V object, and how an object of it is made, found, told from others and removed: sysvipc(7)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, NamedTuple

from ipckit.errors import NotFoundError, check, syscall_error
from ipckit.sysv import key as keys
from ipckit.sysv._registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

READ, WRITE = 0o400, 0o200  # asked of the kernel by msgget, semget, shmget
_GONE = (-errno.EINVAL, -errno.EIDRM)


class Facts(NamedTuple):
    """What tells an object from others."""

    key: int
    creator_uid: int
    changed_s: int  # seconds since 1970: when it was made, or its owner, mode or size were set


class Found(NamedTuple):
    """An object, and the name by which it was made or found."""

    number: int
    facts: Facts
    name: str | None


class Kind:
    """Message queues, semaphore sets or segments; immutable."""

    def __init__(
        self,
        title: str,
        get: Callable[[int, int], int],
        stat: Callable[[int], Facts | int],
        destroy: Callable[[int], int],
        *,
        change_tells: bool = True,
    ) -> None:
        """Describe a kind by what the C core does; each function returns ``-errno`` where it fails.

        Args:
            title: msg, sem or shm: as in the names of the system calls and in /proc/sysvipc.
            get: the number of the object on a key, if that grants a mode.
            stat: IPC_STAT.
            destroy: IPC_RMID.
            change_tells: False where use changes the time of the last change, which *stat* then gives as 0.
        """
        self._title = title
        self._get = get
        self._stat = stat
        self._destroy = destroy
        self._change_tells = change_tells
        self.registry = Registry(title, lambda key: get(key, 0))

    def create(self, key: int | str | None, make: Callable[[int], int]) -> Found:
        """Create an object exclusively by *make*, which takes the key as a number."""
        call = f"{self._title}get"
        if key is None:
            number = check(make(keys.PRIVATE), call)
            return Found(number, self.facts(number), None)
        numeric, name = keys.resolve(key)
        number = make(numeric) if name is None else self.registry.make(name, numeric, lambda: make(numeric))
        if number == -errno.EEXIST:
            raise syscall_error(errno.EEXIST, call, shown(key), remedy=self.stranger(key))
        check(number, call, shown(key))
        return Found(number, self.facts(number, shown(key)), name)

    def find(self, key: int | str, mode: int) -> Found:
        """The existing object on *key*.

        Args:
            mode: the rights that are asked for: READ, WRITE, both, or 0.
        """
        numeric, name = keys.resolve(key)
        while True:
            number = check(self._get(numeric, mode), f"{self._title}get", shown(key))
            try:
                facts = self.facts(number)
            except NotFoundError:  # removed between the two calls
                continue
            remedy = self._verdict(numeric, name, number, facts)
            if remedy is None:
                return Found(number, facts, name)
            if self._get(numeric, 0) == number:  # else it was removed, and the entry is that of its successor
                raise syscall_error(errno.ENOENT, f"{self._title}get", shown(key), remedy=remedy)

    def stranger(self, key: int | str) -> str | None:
        """Why the object on *key* is not the one that is meant; None if it is, or if there is none."""
        numeric, name = keys.resolve(key)
        while True:
            number = self._get(numeric, 0)
            try:
                verdict = None if number < 0 else self._verdict(numeric, name, number, self.facts(number))
            except NotFoundError:  # just removed
                continue
            if verdict is None or self._get(numeric, 0) == number:
                return verdict

    def facts(self, number: int, subject: str | None = None) -> Facts:
        """What tells the object *number* from others, also where we may not read it.

        Raises:
            NotFoundError: there is none.
        """
        facts = self._stat(number)
        if facts == -errno.EACCES:  # but everybody may read this file
            facts = _listed(self._title, number)
            if isinstance(facts, Facts) and not self._change_tells:
                facts = facts._replace(changed_s=0)
        if isinstance(facts, Facts):
            return facts
        raise self._failed(facts, subject or f"id {number}")

    def gone(self, number: int) -> bool:
        """Whether there is no object of that number."""
        return self._stat(number) in _GONE

    def remove(self, number: int, facts: Facts, subject: str) -> None:
        """Destroy an object, and the note of its name."""
        result = self._destroy(number)
        if result < 0:
            raise self._failed(result, subject)
        if facts.key != keys.PRIVATE:
            self.registry.forget(facts.key, facts.creator_uid, number)

    def _failed(self, result: int, subject: str) -> Exception:
        if result in _GONE:
            return syscall_error(errno.ENOENT, f"{self._title}ctl", subject, remedy="it was removed")
        return syscall_error(-result, f"{self._title}ctl", subject)

    def _verdict(self, key: int, name: str | None, number: int, facts: Facts) -> str | None:
        if name is None:
            return None
        entry = self.registry.lookup(key, facts.creator_uid)
        if entry is None or entry.number not in (number, None):
            return f"its key {keys.shown(key)} is that of object {number}, which was not made by a name"
        if entry.name != name:
            return f"its key {keys.shown(key)} is that of {entry.name!r}, too; choose another name"
        return None


def shown(key: int | str) -> str:
    """What errors call the object on *key*."""
    return key if isinstance(key, str) else keys.shown(key)


def _listed(kind: str, number: int) -> Facts | int:
    """What proc_sysvipc(5) tells about an object; -EINVAL if it is not there."""
    try:
        with open(f"/proc/sysvipc/{kind}", "rb") as file:
            heads = file.readline().split()
            numbers = heads[1]  # msqid, semid or shmid
            lines = file.readlines()
    except OSError:
        return -errno.EACCES
    for line in lines:
        row = dict(zip(heads, line.split(), strict=False))
        if int(row[numbers]) == number:
            return Facts(int(row[b"key"]), int(row[b"cuid"]), int(row[b"ctime"]))
    return -errno.EINVAL
