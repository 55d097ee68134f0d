"""What the handles of System V objects share: sysvipc(7).

The kernel knows an object by a number, which any process may use at any time; there is nothing to open and nothing to
close. A handle keeps the number, and what tells the object from a later one that gets the number again.
"""

from __future__ import annotations

import errno
import os
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from ipckit._arguments import check_int
from ipckit._handle import Handle
from ipckit.errors import AlreadyExistsError, NotFoundError, syscall_error
from ipckit.sysv import key as keys
from ipckit.sysv._kind import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from ipckit.errors import SyscallError
    from ipckit.sysv._kind import Facts, Kind

_NUMBER_MAX = (1 << 31) - 1


class SysvHandle(Handle):
    """A handle of a System V object, made and found by a key, a name that is hashed to one, or its number.

    A subclass says its `_kind`, and implements `create` and `open`.
    """

    __slots__ = ("_changed_s", "_creator_uid", "_id", "_key", "_name", "_number", "_remover")

    _kind: ClassVar[Kind]

    def __init__(self, number: int, facts: Facts, name: str | None, *, remove_on_close: bool = False) -> None:
        super().__init__()
        self._id = self._number = number  # the first one becomes -1
        self._key, self._creator_uid, self._changed_s = facts
        self._name = name
        # A forked child must not remove what its parent made for itself.
        self._remover = os.getpid() if remove_on_close else 0

    @property
    def id(self) -> int:
        """The number that the kernel gave the object, as ipcs(1) shows it."""
        return self._number

    @property
    def key(self) -> int | None:
        """The key that leads to the object, -2**31 to 2**31 - 1; None if it is private."""
        return self._key or None

    @property
    def name(self) -> str | None:
        """The name that the key was hashed from; None if it was found by key or number."""
        return self._name

    @classmethod
    @abstractmethod
    def create(cls, key: int | str | None = None, *, mode: int = 0o600, remove_on_close: bool = False) -> Self:
        """Create the object exclusively."""

    @classmethod
    @abstractmethod
    def open(cls, key: int | str) -> Self:
        """Open the existing object."""

    @classmethod
    def open_or_create(cls, key: int | str, **how: Any) -> Self:
        """Open the object on *key*, or create it if there is none; *how* is for `create` alone."""
        while True:  # each turn that fails means that another process made or removed it between our two calls
            try:
                return cls.open(key)
            except NotFoundError:
                pass
            try:
                return cls.create(key, **how)
            except AlreadyExistsError:
                if cls._kind.stranger(key):
                    raise

    @classmethod
    def open_id(cls, id: int) -> Self:
        """Make a handle of the object with this number, private ones included.

        Raises:
            NotFoundError: there is none (EINVAL).
        """
        check_int(id, "id", 0, _NUMBER_MAX, "an object's number")
        return cls(id, cls._kind.facts(id), None)

    @classmethod
    def remove_key(cls, key: int | str) -> None:
        """Destroy the object that *key* leads to; waits at it end with RemovedError.

        Raises:
            NotFoundError: there is none (ENOENT).
            AccessError: it is another user's (EPERM).
        """
        number, facts, _ = cls._kind.find(key, 0)
        cls._kind.remove(number, facts, shown(key))

    @classmethod
    def remove_id(cls, id: int) -> None:
        """Destroy the object with this number; waits at it end with RemovedError.

        Raises:
            NotFoundError: there is none (EINVAL).
            AccessError: it is another user's (EPERM).
        """
        check_int(id, "id", 0, _NUMBER_MAX, "an object's number")
        cls._kind.remove(id, cls._kind.facts(id), f"id {id}")

    def remove(self) -> None:
        """Destroy the object, for every process; waits at it end with RemovedError. Works after `close`, too.

        Raises:
            NotFoundError: it is gone already (EINVAL).
            AccessError: it is another user's (EPERM).
        """
        subject = self._subject()
        facts = self._kind.facts(self._number, subject)
        if facts[:2] != (self._key, self._creator_uid):
            raise _another(subject)
        self._kind.remove(self._number, facts, subject)
        self._remover = 0

    def close(self) -> None:
        """Let go of the object in this process; remove it only if `create` was told ``remove_on_close``."""
        removing = not self._closed and self._remover == os.getpid()
        super().close()
        if removing:
            try:
                self.remove()
            except NotFoundError:
                pass

    def _failure(self, result: int, call: str, remedy: str | None = None) -> SyscallError:
        """The exception for the ``-errno`` of *call*; ClosedError is raised if that is why it failed."""
        self._check_open()
        if result == -errno.EIDRM or (result == -errno.EINVAL and self._kind.gone(self._id)):
            return syscall_error(errno.EIDRM, call, self._subject())
        return syscall_error(-result, call, self._subject(), remedy=remedy)

    def _identity(self) -> tuple[int, int]:
        return self._number, self._changed_s

    def _subject(self) -> str:
        if self._name is not None:
            return self._name
        return keys.shown(self._key) if self._key else f"id {self._number}"

    def _describe(self) -> str:
        if self._name is not None:
            return f"{self._name!r} id={self._number}"
        return f"{'key=' + keys.shown(self._key) if self._key else 'private'} id={self._number}"

    def _release(self) -> None:
        self._id = -1

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        self._check_open()
        # Asked anew: another process may have set its mode since we opened it.
        return reopen, (type(self), self._number, self._kind.facts(self._number, self._subject()), self._name)


def reopen(cls: type[SysvHandle], number: int, facts: Facts, name: str | None) -> SysvHandle:
    """The handle in the process that unpickles, of the very same object."""
    subject = name or (keys.shown(facts.key) if facts.key else f"id {number}")
    try:
        found = cls._kind.facts(number, subject)
    except NotFoundError:
        found = None
    if found != facts:
        raise _another(subject)
    return cls(number, facts, name)


def _another(subject: str) -> NotFoundError:
    return NotFoundError(
        errno.ENOENT, "the object was removed or changed (remove, set), and its key may lead to another one", subject
    )
