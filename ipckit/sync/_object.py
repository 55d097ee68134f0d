"""What every object of synchronisation shares: where it lives, how it is made and opened, and how it travels.

native/include/ipckit/sync.h
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from ipckit._arguments import check_int, spin_ns
from ipckit._handle import NamedHandle, descriptor_for_child, received_descriptor
from ipckit._life import held
from ipckit._located import located
from ipckit._names import check_mode
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._retry import patiently
from ipckit._segment import SegmentHandle, no_segment, open_segment, segment_path, wrong_segment
from ipckit.errors import AlreadyExistsError, LayoutError, NotFoundError, SyscallError, check, syscall_error
from ipckit.sync._home import Home, home_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

ALIGNMENT: int = lib.IPK_SYNC_ALIGNMENT
_MAKING_SECONDS = 1.0  # to make an object takes some microseconds, unless its maker is stopped


class Place(NamedTuple):
    """Where an object is, and this process's view of it."""

    view: Any
    """``struct ipk_sync *``; it keeps the memory and the home"""
    home: Home
    name: str
    within: Any
    """the user's memory, or None"""
    offset: int
    unlink: bool


class Make(NamedTuple):
    """What kind of object to make."""

    options: int
    """as the kind has them"""
    entries: int
    """of what the kind has a number of"""
    size: int
    """bytes, header included"""
    fill: Callable[[Any], object]
    """writes what is not zero at first; it gets a pointer to the object"""


class ObjectHandle(SegmentHandle):
    """A handle of an object in shared memory: in a segment of its own, or at an offset of memory of the user's.

    A subclass says its `_KIND`; if its objects differ when they are made, it has a `create` of its own, which calls
    `_make`, and if its handles differ, an `open`, which calls `_find`.
    """

    __slots__ = ("_home", "_offset", "_view", "_within")

    _MADE_OF = Place
    _KIND: ClassVar[int]
    _OPTIONS: ClassVar[frozenset[str]] = frozenset()
    """The arguments of `create` that are the handle's and not the object's: `open` has them too."""

    def __init__(self, place: Place) -> None:
        super().__init__(place.name, unlink_on_close=place.unlink)
        self._home: Home | None = place.home
        self._view = place.view
        self._within = place.within
        self._offset = place.offset

    # --- making and finding -----------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        name: str | None = None,
        *,
        within: Any = None,
        offset: int = 0,
        mode: int = 0o600,
        unlink_on_close: bool = False,
    ) -> Self:
        """Create an object in its first state, exclusively.

        Args:
            name: "/" and at most 247 more bytes; the file is ``/dev/shm/ipckit.NAME``. None: anonymous, for children
                and for whoever gets its descriptor.
            within: memory of yours to put it into instead, zeroed, as for `Mutex.create`.
            offset: bytes from the beginning of *within*, a multiple of 64.
            mode: permission bits of the file, exactly, whatever the umask.
            unlink_on_close: `close` unlinks the name too, in the process that created it.

        Raises:
            AlreadyExistsError: the name is taken, or there is an object at that offset (EEXIST).
            LimitError: /dev/shm, or memory, is full (ENOSPC, ENOMEM).
        """
        return cls(cls._make(name, within, offset, mode, unlink_on_close))

    @classmethod
    def open(cls, name: str | None = None, *, within: Any = None, offset: int = 0) -> Self:
        """Open the object of that name, or at that offset of memory of yours; arguments as for `create`.

        Raises:
            NotFoundError: there is none (ENOENT).
            AccessError: its mode forbids it (EACCES).
            LayoutError: there is something else, or another layout version.
        """
        return cls(cls._find(name, within, offset))

    @classmethod
    def _make(
        cls,
        name: str | None,
        within: Any,
        offset: int,
        mode: int,
        unlink_on_close: bool,  # noqa: FBT001
        *,
        options: int = 0,
        count: int = 0,
        fill: Callable[[Any], object] = lambda _: None,
    ) -> Place:
        """Make an object, exclusively.

        Args:
            options, count: of the object, as its kind has them.
            fill: writes what is not zero at first; it gets a pointer to the object.

        Raises:
            AlreadyExistsError: the name is taken, or there is an object at that offset (EEXIST).
        """
        check_mode(mode)
        make = Make(options, count, quick.ipk_sync_size(cls._KIND, count), fill)
        if within is not None:
            if name is not None:
                raise ValueError("name must be None where within is given: the object is found by its offset")
            return cls._make_within(within, offset, make)
        check_int(offset, "offset", 0, 0, "bytes, where within is None")
        path = ffi.NULL if name is None else os.fsencode(segment_path(name))
        pointer = ffi.new("struct ipk_home *")
        check(lib.ipk_home_create(pointer, path, make.size, mode), "ipk_home_create", name)
        home = Home(pointer)
        cls._format(quick.ipk_home_place(pointer), home, make)
        check(lib.ipk_home_publish(pointer, path), "ipk_home_publish", name)
        unlink = unlink_on_close and name is not None
        return Place(cls._viewed(home, None, name or "anonymous"), home, name or "", None, 0, unlink)

    @classmethod
    def _make_within(cls, within: Any, offset: int, make: Make) -> Place:
        home = home_of(within)
        memory = located(within, offset, make.size, ALIGNMENT)
        cls._format(memory, home, make)
        return Place(cls._viewed(home, memory, f"offset {offset}", make.size), home, "", within, offset, unlink=False)

    @classmethod
    def _format(cls, memory: Any, home: Home, make: Make) -> None:
        rc = _patiently(lambda: quick.ipk_sync_begin(memory, home.member, make.size))
        if rc == -errno.ENOTEMPTY:
            raise LayoutError("the bytes at this offset are neither zero nor an object of ipckit: zero them first")
        check(rc, "ipk_sync_begin", cls.__name__)
        make.fill(memory)
        rc = quick.ipk_sync_publish(memory, home.member, cls._KIND, make.options, make.entries, make.size)
        check(rc, "ipk_sync_publish", cls.__name__)

    @classmethod
    def _find(cls, name: str | None, within: Any, offset: int) -> Place:
        """Find the object of that name, or at that offset.

        Raises:
            NotFoundError: there is none (ENOENT).
            LayoutError: there is something else.
        """
        if within is None:
            if name is None:
                raise TypeError("open needs a name, or memory to look within")
            return cls._found(open_segment(name), name)
        if name is not None:
            raise ValueError("name must be None where within is given: the object is found by its offset")
        home = home_of(within)
        memory = located(within, offset, ALIGNMENT, ALIGNMENT)
        view = cls._viewed(home, memory, f"offset {offset}", memoryview(getattr(within, "buf", within)).nbytes - offset)
        return Place(view, home, "", within, offset, unlink=False)

    @classmethod
    def _found(cls, fd: int, name: str) -> Place:
        info = ffi.new("struct ipk_segment_info *")
        quick.ipk_segment_inspect(fd, info)
        pointer = ffi.new("struct ipk_home *")
        rc = lib.ipk_home_attach(pointer, fd)
        if rc == -errno.ENOMSG:
            raise no_segment(name or fd, info)
        if rc == -errno.EPROTO:
            raise wrong_segment(name or fd, info, "segment of one object", lib.IPK_KIND_SYNC)
        check(rc, "ipk_home_attach", name or fd)
        home = Home(pointer)
        return Place(cls._viewed(home, None, name or "anonymous"), home, name, None, 0, unlink=False)

    @classmethod
    def _viewed(cls, home: Home, memory: Any, subject: str, room: int = 0) -> Any:
        """A view of the object in *memory*, or in the home's own segment where that is None."""
        own = memory is None
        place = quick.ipk_home_place(home.pointer) if own else memory
        if own:
            room = quick.ipk_home_room(home.pointer)
        view = ffi.new("struct ipk_sync *")
        rc = _patiently(lambda: quick.ipk_sync_attach(view, place, room, home.member, cls._KIND))
        if rc == -errno.ENOENT:
            raise NotFoundError(errno.ENOENT, f"there is no {cls.__name__} here", subject)
        if rc == -errno.EXDEV:
            raise LayoutError(
                f"whether the owners of the {cls.__name__} at {subject} live is told by another file than this "
                "memory's: open the same file; in memory of no file, make the object before you fork"
            )
        if rc in {-errno.ENOMSG, -errno.EPROTO}:
            info = ffi.new("struct ipk_sync_info *")
            quick.ipk_sync_inspect(place, home.member, info)
            raise LayoutError(
                f"there is no {cls.__name__} of this version at {subject}: magic {info.magic:#x}, kind {info.kind}, "
                f"version {info.version}, {info.size} bytes, where kind {cls._KIND} was expected"
            )
        check(rc, "ipk_sync_attach", subject)
        return ffi.gc(view, lambda _: (home, memory))  # the pointer keeps them

    @classmethod
    def _attach(cls, fd: int, name: str, **how: Any) -> Self:
        return cls(cls._found(fd, name), **how)

    @classmethod
    def open_or_create(cls, name: str | None = None, *, within: Any = None, offset: int = 0, **how: Any) -> Self:
        """Open the object of that name, or at that offset, or create it if there is none; *how* is for `create`."""
        handles = {key: value for key, value in how.items() if key in cls._OPTIONS}
        where = {"within": within, "offset": offset}
        while True:  # each turn that fails means that another process made or unlinked it between our two calls
            try:
                return cls.open(name, **where, **handles)
            except NotFoundError:
                pass
            try:
                return cls.create(name, **where, **how)
            except AlreadyExistsError:
                pass

    # --- the rest of its life ---------------------------------------------------------------------------------------

    @property
    def offset(self) -> int:
        """Where the object lies in the memory that it was made within, in bytes; 0 in a segment of its own."""
        return self._offset

    def fileno(self) -> int:
        """The descriptor of the memory's file, to hand over to another process; it cannot be polled."""
        home = self._home
        if home is None:
            self._check_open()
        assert home is not None
        return home.fileno()

    def _opened(self) -> Any:
        """The view, or ClosedError."""
        view = self._view
        if view is None:
            self._check_open()
        return view

    def _release(self) -> None:
        # The memory, and our membership, go when no call is inside any more.
        self._view = None
        self._home = None
        self._within = None

    def _how(self) -> dict[str, Any]:
        """The handle's own options, which travel with it."""
        return {}

    def _identity(self) -> tuple[int, int]:
        info = ffi.new("struct ipk_sync_info *")
        view = self._opened()
        home = self._home
        assert home is not None
        check(quick.ipk_sync_inspect(quick.ipk_sync_place(view), home.member, info), "ipk_sync_inspect", self._name)
        return (info.id[0], info.id[1])

    def _describe(self) -> str:
        if self._within is not None:
            return f"at {self._offset} of {type(self._within).__name__}"
        return repr(self._name) if self._name else "anonymous"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        self._check_open()
        if self._within is not None:
            return _reopen_within, (type(self), self._within, self._offset, self._identity(), self._how())
        if self._name:
            reopen, where = super().__reduce__()
            return reopen, (*where, self._how())
        travelling = descriptor_for_child(self.fileno())
        if travelling is None:
            return super(NamedHandle, self).__reduce__()
        return _adopt_travelled, (type(self), travelling, self._how())


class SyncHandle(ObjectHandle):
    """A handle of an object whose waits spin before they sleep."""

    __slots__ = ()

    def set_spin(self, seconds: float) -> None:
        """Spin for so long before sleeping; 0 never spins. The default is about one wake-up, some 40 microseconds."""
        budget_ns = spin_ns(seconds)
        quick.ipk_sync_set_spin(self._opened(), budget_ns)


def failure(rc: int, call: str, subject: str) -> SyscallError:
    """The exception for what a call of the core returned, with what to do about it."""
    remedies = {
        -errno.EBADF: "somebody closed the descriptors of its memory behind its back",
        -errno.ENOENT: "it needs /proc to tell the living from the dead; mount it",
        -errno.EACCES: "to take part in it takes the right to write its file",
        -errno.ENOTRECOVERABLE: "an owner died, and the next one released without mark_consistent()",
    }
    return syscall_error(-rc, call, subject, remedy=remedies.get(rc))


def _patiently(attempt: Callable[[], int]) -> int:
    """Try again while another process is making the object."""
    rc = patiently(attempt, _MAKING_SECONDS)
    if rc == -errno.EAGAIN:
        remedy = "another process has been making this object for a second; is it stopped?"
        raise syscall_error(errno.EBUSY, "ipk_sync_begin", None, remedy=remedy)
    return rc


def _reopen_within(
    cls: type[ObjectHandle], within: Any, offset: int, identity: object, how: dict[str, Any]
) -> ObjectHandle:
    handle = cls.open(None, within=within, offset=offset, **how)
    if handle._identity() != identity:
        handle.close()
        raise NotFoundError(errno.ENOENT, "there is another object at that offset now", str(offset))
    return handle


def _adopt_travelled(cls: type[ObjectHandle], travelling: Any, how: dict[str, Any]) -> ObjectHandle:
    return cls._attach(held(received_descriptor(travelling)), "", **how)
