"""The life cycle that every class shares: close, with, names, repr, pickling, garbage collection.

A handle is this process's hold on a kernel object. To close it lets go and destroys nothing; the object lives on
until it is unlinked (or, for nameless objects, until the last process lets go).
"""

from __future__ import annotations

import errno
import os
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

from ipckit._names import unique_name
from ipckit.errors import AccessError, AlreadyExistsError, ClosedError, NotFoundError, syscall_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from ipckit._use import Use
else:
    try:
        from ipckit._lane import Use
    except ImportError:
        from ipckit._use import Use


class Handle:
    """Close once, from any thread; a wait in another thread ends with ClosedError before the resource goes.

    A subclass calls ``super().__init__()`` first, releases its resource in `_release`, and describes itself in
    `_describe`. Threads: closing, and using while another thread closes, are safe. fork(2): the child's handle is
    its own, closing it leaves the parent's open.
    """

    __slots__ = ("__weakref__", "_closed", "_unreleased", "_users")

    pollable: ClassVar[bool] = False
    """Whether select(2), poll(2) and epoll(7) take its `fileno`."""

    _here: ClassVar[object] = object()
    """Stands for this process; a forked child has another one."""

    def __init__(self) -> None:
        self._closed = False
        self._users: list[object] = []  # `_here`, once for each thread that is inside a wait
        self._unreleased = [None]  # emptied by whoever releases: list.pop is atomic, so exactly one does

    @property
    def closed(self) -> bool:
        """Whether this handle was closed in this process."""
        return self._closed

    def close(self) -> None:
        """Let go of the object in this process; never destroys it. Closing again does nothing."""
        self._closed = True
        self._release_unless_used()

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_closed", True):  # closed, or its constructor failed
            return
        try:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
        finally:  # the warning may be an exception
            self._closed = True
            self._release_once()

    def __repr__(self) -> str:
        name = type(self).__name__
        if getattr(self, "_closed", True):
            return f"<{name} closed>"
        try:
            return f"<{name} {self._describe()}".rstrip() + ">"
        except Exception:
            return f"<{name}>"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        raise TypeError(
            f"cannot pickle {type(self).__name__}: a nameless object reaches another process only as an argument of "
            "multiprocessing.Process, by inheritance, or through send_fds of a Unix socket"
        )

    def _describe(self) -> str:
        """What the repr says between the class and the closing bracket."""
        return ""

    def _filename(self) -> str:
        """The object, as an error's `filename` has it."""
        return self._describe()

    def _release(self) -> None:
        """Give the resource back to the kernel; called exactly once, never while a wait is inside."""

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(f"{type(self).__name__} is closed")

    def _in_use(self) -> Use:
        """For a ``with`` block: keep the resource until it ends, even if another thread closes the handle meanwhile."""
        return Use(self, self._users, self._here)

    def _release_unless_used(self) -> None:
        # A thread that was inside when this process was forked does not exist here.
        if self._here not in self._users:
            self._release_once()

    def _release_once(self) -> None:
        try:
            self._unreleased.pop()
        except IndexError:
            return
        self._release()


def _after_fork_in_child() -> None:
    Handle._here = object()


os.register_at_fork(after_in_child=_after_fork_in_child)


class FdHandle(Handle):
    """A handle that is one file descriptor; the descriptor is close-on-exec."""

    __slots__ = ("_fd",)

    pollable = True

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd

    def fileno(self) -> int:
        """The file descriptor; it stays ours to close.

        Raises:
            ClosedError: the handle is closed.
        """
        self._check_open()
        return self._fd

    def _describe(self) -> str:
        return f"fd={self._fd}"

    def _release(self) -> None:
        # -1 and not the old number: a use after close is then EBADF, instead of a stranger's descriptor.
        fd, self._fd = self._fd, -1
        try:
            os.close(fd)
        except OSError as error:  # somebody else closed it, or the device reports a late failure
            raise syscall_error(error.errno or errno.EIO, "close", f"fd {fd}") from None

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        self._check_open()
        travelling = descriptor_for_child(self._fd)
        if travelling is None:
            return super().__reduce__()
        return type(self)._adopt_travelled, (travelling, *self._facts())

    def _facts(self) -> tuple[Any, ...]:
        """What the constructor takes after the descriptor, and travels with it."""
        return ()

    @classmethod
    def _adopt_travelled(cls, travelling: Any, *facts: Any) -> Self:
        """Called in the child: make a handle of the descriptor and the facts that came with the pickle."""
        return cls(received_descriptor(travelling), *facts)


class Quiet(Handle):
    """A handle of which nobody knows: it is closed when it is collected, and nobody is warned."""

    __slots__ = ()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self._closed = True
            self._release_once()


class NamedHandle(Handle):
    """A handle of an object that has a name in the system.

    A subclass implements `create`, `open`, `unlink_name` and `_identity`; it gets the rest.
    """

    __slots__ = ("_name", "_unlinker")

    def __init__(self, name: str, *, unlink_on_close: bool = False) -> None:
        super().__init__()
        self._name = name
        # A forked child must not unlink what its parent made for itself.
        self._unlinker = os.getpid() if unlink_on_close else 0

    @property
    def name(self) -> str:
        """The name under which other processes open the object."""
        return self._name

    @classmethod
    def create(cls, name: str | None = None) -> Self:
        """Create the object exclusively."""
        raise NotImplementedError

    @classmethod
    def open(cls, name: str) -> Self:
        """Open the existing object."""
        raise NotImplementedError

    @classmethod
    def open_or_create(cls, name: str, **how: Any) -> Self:
        """Open the object of that name, or create it if there is none; *how* is for `create` alone."""
        while True:  # each turn that fails means that another process made or unlinked it between our two calls
            try:
                return cls.open(name)
            except NotFoundError:
                pass
            try:
                return cls.create(name, **how)
            except AlreadyExistsError:
                pass

    @classmethod
    def unlink_name(cls, name: str) -> None:
        """Destroy *name*; the object goes when the last process that has it open lets go.

        Raises:
            NotFoundError: there is no object of that name (ENOENT).
        """
        raise NotImplementedError

    def unlink(self) -> None:
        """Destroy the object's name; handles that are open, this one too, go on working.

        Raises:
            NotFoundError: the name is gone already (ENOENT).
        """
        self.unlink_name(self._name)
        self._unlinker = 0  # whoever takes the name next keeps it

    def close(self) -> None:
        """Let go of the object in this process; unlink its name only if `create` was told ``unlink_on_close``.

        A name that meanwhile belongs to another object stays.
        """
        try:
            if not self._closed and self._unlinker == os.getpid() and self._is_ours():
                self.unlink_name(self._name)
        except NotFoundError:
            pass
        finally:
            super().close()

    def _is_ours(self) -> bool:
        """Whether the name still leads to this object."""
        try:
            found = type(self).open(self._name)
        except AccessError:
            return True  # made with a mode that shuts out its own maker
        try:
            return found._identity() == self._identity()
        finally:
            Handle.close(found)

    def _identity(self) -> object:
        """What tells this object from another one that has its name later."""
        raise NotImplementedError

    def _describe(self) -> str:
        return repr(self._name)

    def _filename(self) -> str:
        return self._name or self._describe()

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        self._check_open()
        return reopen, (type(self), self._name, self._identity())


def reopen(cls: type[NamedHandle], name: str, identity: object, how: dict[str, Any] | None = None) -> NamedHandle:
    """Open *name* again in the process that unpickles, and make sure that it is still the same object.

    Args:
        how: the access that the pickled handle had, for classes whose `open` takes it.
    """
    handle = cls.open(name, **(how or {}))
    if handle._identity() != identity:
        handle.close()
        raise NotFoundError(errno.ENOENT, "the object was unlinked, and its name now belongs to another one", name)
    return handle


def leads_to(path: str, fd: int) -> bool:
    """Whether *path* is that of the very file which *fd* is open on.

    It is not opened for that, which takes a descriptor: who has none left must be able to close and unlink.
    """
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(fd))
    except OSError:
        return False


def new_name(name: str | None) -> str:
    """The name to create: the one given, or a unique one for None."""
    return unique_name() if name is None else name


def descriptor_for_child(fd: int) -> object | None:
    """What to pickle in the place of *fd* while a multiprocessing child is being started; None at other times."""
    from multiprocessing import context, reduction

    if context.get_spawning_popen() is None:
        return None
    return reduction.DupFd(fd)


def received_descriptor(travelling: Any) -> int:
    """In the child: the descriptor behind what `descriptor_for_child` made, close-on-exec."""
    fd: int = travelling.detach()
    os.set_inheritable(fd, False)
    return fd
