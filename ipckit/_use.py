"""A thread that is inside an operation on a handle, for an installation without the compiled type of this name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipckit._handle import Handle


class Use:
    """What `Handle._in_use` returns; a generator would cost twice as much, on the way of every wait."""

    __slots__ = ("_handle", "_here", "_users")

    def __init__(self, handle: Handle, users: list[object], here: object) -> None:
        self._handle = handle
        self._users = users
        self._here = here

    def __enter__(self) -> None:
        self._users += (self._here,)
        if self._handle._closed:
            self.__exit__()
            self._handle._check_open()

    def __exit__(self, *error: object) -> None:
        try:
            self._users.pop()  # in one step, which to delete the last is not on a free-threaded Python
        finally:
            if self._handle._closed:
                self._handle._release_unless_used()
