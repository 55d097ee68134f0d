"""Handles of ipckit's own segments: files in /dev/shm, or without a name (memfds). native/include/ipckit/segment.h."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ipckit._handle import NamedHandle, descriptor_for_child, leads_to, received_descriptor
from ipckit._life import held, open_held, unlink_held
from ipckit._names import posix_name
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._shmfile import DIRECTORY
from ipckit.errors import ClosedError, LayoutError, check

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

_PREFIX = "ipckit."
_CLASSES = {
    lib.IPK_KIND_SPSC: "SpscRing",
    lib.IPK_KIND_SYNC: "a class of ipckit.sync",
    lib.IPK_KIND_MPMC: "MpmcRing",
    lib.IPK_KIND_BROADCAST: "BroadcastRing",
    lib.IPK_KIND_LATEST: "Latest",
}


class SegmentHandle(NamedHandle):
    """A handle of a segment; its name is "" if it is anonymous.

    A subclass implements `create`, `fileno` and `_attach`; it gets the rest.
    """

    __slots__ = ()

    _WHAT: ClassVar[str]
    """What people call the object in the segment."""
    _MADE_OF: ClassVar[type] = ffi.CData
    """What the constructor takes first: users have none of it, and call `create` or `open`."""

    def __new__(cls, *found: object, **_options: object) -> Self:
        """Refuse to be called by users, who would get an error of the inside."""
        if not (found and isinstance(found[0], cls._MADE_OF)):
            raise TypeError(
                f"{cls.__name__} is not made by calling it: {cls.__name__}.create() makes one, and "
                f"{cls.__name__}.open() finds one that exists"
            )
        return super().__new__(cls)

    @classmethod
    def _attach(cls, fd: int, name: str) -> Self:
        """Make a handle of the segment behind *fd*, which becomes the handle's own, also on failure."""
        raise NotImplementedError

    def fileno(self) -> int:
        """The descriptor of the memory, to hand over to another process; it cannot be polled."""
        raise NotImplementedError

    @classmethod
    def open(cls, name: str) -> Self:
        """Open the object of that name.

        Raises:
            NotFoundError: there is none (ENOENT).
            AccessError: its mode forbids it (EACCES).
            BusyError: for five seconds it has been under removal (EBUSY).
            LayoutError: the file holds something else, or another layout version.
        """
        return cls._attach(open_segment(name), name)

    @classmethod
    def from_fd(cls, fd: int) -> Self:
        """Make a handle of the object behind *fd*, as received over a Unix socket; *fd* becomes the handle's own.

        What `create` makes anonymously is sealed against truncation; trust whoever sends anything else.
        """
        return cls._attach(held(fd), "")

    @classmethod
    def unlink_name(cls, name: str) -> None:
        """Destroy the name; processes that have the object open go on using it.

        Raises:
            NotFoundError: there is no object of that name (ENOENT).
            BusyError: for five seconds another process has been unlinking it (EBUSY).
        """
        unlink_held(segment_path(name), name)

    def unlink(self) -> None:
        """Destroy the object's name; handles that are open, this one too, go on working."""
        if not self._name:
            raise ValueError(f"this {self._WHAT} is anonymous: it has no name to unlink, and goes with its memory")
        super().unlink()

    def _is_ours(self) -> bool:
        try:
            return leads_to(segment_path(self._name), self.fileno())
        except ClosedError:  # another thread is just about to have closed it
            return False

    def _identity(self) -> tuple[int, int]:
        info = ffi.new("struct ipk_segment_info *")
        check(quick.ipk_segment_inspect(self.fileno(), info), "ipk_segment_inspect", self._name)
        return (info.id[0], info.id[1])

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        if self._name:
            return super().__reduce__()
        travelling = descriptor_for_child(self.fileno())
        if travelling is None:
            return super(NamedHandle, self).__reduce__()
        return type(self)._adopt_travelled, (travelling,)

    @classmethod
    def _adopt_travelled(cls, travelling: Any) -> Self:
        return cls._attach(held(received_descriptor(travelling)), "")


def segment_path(name: object) -> str:
    """The file of the segment of that name."""
    return f"{DIRECTORY}/{_PREFIX}{posix_name(name, prefix=_PREFIX)[1:]}"


def open_segment(name: str) -> int:
    """A descriptor of the file of the segment of that name; while it is open, the segment counts as in use."""
    return open_held(segment_path(name), name)


def no_segment(subject: object, info: Any) -> LayoutError:
    """The error for a file that is no segment of ours; *info* is what `ipk_segment_inspect` found."""
    return LayoutError(f"{subject!r} is not a segment of ipckit (magic {info.magic:#x})")


def wrong_segment(subject: object, info: Any, what: str, kind: int) -> LayoutError:
    """The error for a segment of another kind, version or size."""
    text = (
        f"{subject!r} is not a {what} of this version: magic {info.magic:#x}, kind {info.kind}, size {info.size}, "
        f"where kind {kind} was expected"
    )
    if info.kind != kind and info.kind in _CLASSES:
        text = f"{text}; it was made by {_CLASSES[info.kind]}"
    return LayoutError(text)
