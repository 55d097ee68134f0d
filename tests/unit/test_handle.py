"""The life cycle that every class shares, on handles of real descriptors and files."""

from __future__ import annotations

import errno
import gc
import os
import pickle
import select
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from ipckit._handle import FdHandle, Handle, NamedHandle, new_name
from ipckit._names import unique_name
from ipckit._wait import wait_fd
from ipckit.errors import AlreadyExistsError, ClosedError, NotFoundError, syscall_error
from ipckit.testing import Spawn
from tests.contract.tools import Background, in_fork

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self


class File(NamedHandle):
    """A file in /dev/shm: the least that a named object can be."""

    __slots__ = ("fd",)

    def __init__(self, name: str, flags: int, *, unlink_on_close: bool = False) -> None:
        super().__init__(name, unlink_on_close=unlink_on_close)
        try:
            self.fd = os.open(f"/dev/shm{name}", os.O_RDWR | flags, 0o600)
        except OSError as error:
            self._closed = True
            raise syscall_error(error.errno or 0, "open", name) from None

    @classmethod
    def create(cls, name: str | None = None, *, unlink_on_close: bool = False) -> Self:
        return cls(new_name(name), os.O_CREAT | os.O_EXCL, unlink_on_close=unlink_on_close)

    @classmethod
    def open(cls, name: str) -> Self:
        return cls(name, 0)

    @classmethod
    def unlink_name(cls, name: str) -> None:
        try:
            os.unlink(f"/dev/shm{name}")
        except OSError as error:
            raise syscall_error(error.errno or 0, "unlink", name) from None

    def _identity(self) -> object:
        status = os.fstat(self.fd)
        return status.st_dev, status.st_ino, status.st_ctime_ns

    def _release(self) -> None:
        os.close(self.fd)


class Counting(Handle):
    """Counts its releases."""

    __slots__ = ("releases",)

    def __init__(self) -> None:
        super().__init__()
        self.releases: list[None] = []

    def _release(self) -> None:
        self.releases.append(None)


class Broken(Handle):
    """Can't describe itself, and fails in its constructor where told so."""

    def __init__(self, *, fail: bool = False) -> None:
        if fail:
            raise RuntimeError("constructor")
        super().__init__()

    def _describe(self) -> str:
        raise RuntimeError("describe")


@pytest.fixture
def file() -> Iterator[File]:
    with File.create(unlink_on_close=True) as made:
        yield made


def test_close_releases_once_and_may_be_repeated() -> None:
    handle = Counting()
    assert not handle.closed
    handle.close()
    handle.close()
    assert handle.closed
    assert len(handle.releases) == 1


def test_threads_that_close_at_once_release_once() -> None:
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(50):
            handle = Counting()
            start = threading.Barrier(4)
            threads = [threading.Thread(target=lambda h=handle, s=start: (s.wait(), h.close())) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(handle.releases) == 1
    finally:
        sys.setswitchinterval(switch)


def test_resource_stays_until_the_last_use_has_ended() -> None:
    handle = Counting()
    with handle._in_use():
        with handle._in_use():
            handle.close()
        assert not handle.releases
        with pytest.raises(ClosedError), handle._in_use():
            pass
        assert not handle.releases
    assert len(handle.releases) == 1


def test_use_that_raises_ends_all_the_same() -> None:
    handle = Counting()
    with pytest.raises(ZeroDivisionError), handle._in_use():
        handle.close()
        _ = 1 / 0
    assert len(handle.releases) == 1


def test_with_closes_and_a_closed_handle_can_not_be_entered() -> None:
    handle = Counting()
    with handle as entered:
        assert entered is handle
    assert handle.closed
    with pytest.raises(ClosedError, match="Counting is closed"), handle:
        pass


def test_with_closes_when_its_block_raises() -> None:
    handle = Counting()
    with pytest.raises(ZeroDivisionError), handle:
        _ = 1 / 0
    assert handle.closed


def test_repr_names_class_and_object_and_never_raises(file: File) -> None:
    with FdHandle(os.open("/dev/null", os.O_RDONLY)) as handle:
        assert repr(handle) == f"<FdHandle fd={handle.fileno()}>"
    assert repr(handle) == "<FdHandle closed>"
    assert repr(file) == f"<File {file.name!r}>"
    with Broken() as broken:
        assert repr(broken) == "<Broken>"
    assert repr(Broken.__new__(Broken)) == "<Broken closed>"


def test_forgotten_handle_is_closed_with_a_warning() -> None:
    handles = [Counting()]
    releases = handles[0].releases
    with pytest.warns(ResourceWarning, match="unclosed <Counting"):
        handles.clear()
    assert len(releases) == 1


def test_forgotten_name_is_not_unlinked() -> None:
    name = unique_name()
    handles = [File.create(name)]
    with pytest.warns(ResourceWarning, match=name):
        handles.clear()
    File.unlink_name(name)


def test_neither_closed_nor_unfinished_handles_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        handle = Counting()
        handle.close()
        del handle
        with pytest.raises(RuntimeError, match="constructor"):
            Broken(fail=True)
        gc.collect()


def test_closed_descriptor_is_refused_and_forgotten() -> None:
    handle = FdHandle(os.open("/dev/null", os.O_RDONLY))
    handle.close()
    with pytest.raises(ClosedError):
        handle.fileno()
    assert handle._fd == -1


def test_nameless_handles_are_not_pickled_at_other_times() -> None:
    with FdHandle(os.open("/dev/null", os.O_RDONLY)) as handle:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match=r"cannot pickle FdHandle.*multiprocessing\.Process.*send_fds"):
                pickle.dumps(handle, protocol)
    with pytest.raises(ClosedError):
        pickle.dumps(handle)


def same_file(other: FdHandle, named: File) -> tuple[tuple[int, int], bool, str]:
    with other, named:
        first, second = os.fstat(other.fileno()), os.fstat(named.fd)
        assert (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)
        return (first.st_dev, first.st_ino), os.get_inheritable(other.fileno()), named.name


def test_handles_reach_a_child_by_descriptor_and_by_name(spawn: Spawn, file: File) -> None:
    status = os.fstat(file.fd)
    with FdHandle(os.dup(file.fd)) as handle:
        found, inheritable, name = spawn(same_file, handle, file).result()
    assert found == (status.st_dev, status.st_ino)
    assert not inheritable
    assert name == file.name


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_named_handle_is_pickled_as_its_name(file: File, protocol: int) -> None:
    with pickle.loads(pickle.dumps(file, protocol)) as again:
        assert again.name == file.name
        assert again._identity() == file._identity()
    assert os.path.exists(f"/dev/shm{file.name}")  # the copy unlinks nothing


def test_name_that_now_belongs_to_another_object_is_not_found() -> None:
    with File.create() as first:
        data = pickle.dumps(first)
        first.unlink()
        with pytest.raises(NotFoundError):
            pickle.loads(data)
        with File.create(first.name, unlink_on_close=True), pytest.raises(NotFoundError, match="another one"):
            pickle.loads(data)


def test_closed_named_handle_is_not_pickled(file: File) -> None:
    file.close()
    with pytest.raises(ClosedError):
        pickle.dumps(file)


def test_create_is_exclusive_and_open_needs_the_object(file: File) -> None:
    with pytest.raises(AlreadyExistsError) as taken:
        File.create(file.name)
    assert (taken.value.errno, taken.value.filename) == (errno.EEXIST, file.name)
    with pytest.raises(NotFoundError):
        File.open(unique_name())


def test_open_or_create_does_one_or_the_other(file: File) -> None:
    with File.open_or_create(file.name, unlink_on_close=True) as second:
        assert second._identity() == file._identity()
    assert os.path.exists(f"/dev/shm{file.name}")  # what is for create alone was not applied
    name = unique_name()
    with File.open_or_create(name, unlink_on_close=True) as created:
        assert created.name == name
    assert not os.path.exists(f"/dev/shm{name}")


class Contested(File):
    """Between our calls its name is unlinked and made again, as other processes may do."""

    __slots__ = ()
    turns: ClassVar[list[int]] = []

    @classmethod
    def open(cls, name: str) -> Self:
        if cls.turns:
            cls.unlink_name(name)
        return super().open(name)

    @classmethod
    def create(cls, name: str | None = None, **how: Any) -> Self:
        File.create(name).close()
        cls.turns.pop()
        return super().create(name, **how)


def test_open_or_create_tries_again_when_others_are_faster() -> None:
    Contested.turns[:] = range(3)
    name = unique_name()
    File.create(name).close()
    with Contested.open_or_create(name) as handle:
        assert not Contested.turns
        handle.unlink()


def test_unlink_leaves_open_handles_working() -> None:
    with File.create() as file:
        file.unlink()
        os.write(file.fd, b"still here")
        with pytest.raises(NotFoundError):
            file.unlink()
        with pytest.raises(NotFoundError):
            File.open(file.name)


def test_unlink_on_close_minds_neither_an_earlier_unlink_nor_a_second_close() -> None:
    file = File.create(unlink_on_close=True)
    file.unlink()
    file.close()
    with File.create(file.name, unlink_on_close=True):
        file.close()
        assert os.path.exists(f"/dev/shm{file.name}")


def test_unlink_on_close_spares_the_next_owner_of_the_name() -> None:
    mine = File.create(unlink_on_close=True)
    os.rename(f"/dev/shm{mine.name}", f"/dev/shm{mine.name}-aside")
    with File.create(mine.name, unlink_on_close=True):
        mine.close()
        assert os.path.exists(f"/dev/shm{mine.name}")
    os.unlink(f"/dev/shm{mine.name}-aside")


def test_a_warning_that_is_an_error_leaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    unraised: list[type[BaseException] | None] = []
    gc.collect()  # what earlier tests left is none of this one's
    monkeypatch.setattr(sys, "unraisablehook", lambda what: unraised.append(what.exc_type))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        handle = FdHandle(os.open(os.devnull, os.O_RDONLY))
        fd = handle.fileno()
        del handle
        gc.collect()
    assert unraised == [ResourceWarning]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def fork_and_close() -> tuple[int, bool]:
    with File.create(unlink_on_close=True) as file:
        pid = os.fork()
        if pid == 0:
            file.close()
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), os.path.exists(f"/dev/shm{file.name}")


def test_forked_child_unlinks_nothing_that_its_parent_made(spawn: Spawn) -> None:
    assert spawn(fork_and_close).result() == (0, True)


def test_forked_child_lets_go_of_what_another_thread_waits_on() -> None:
    """The thread does not exist in the child, and so it can't keep the descriptor open there."""
    reading, writing = os.pipe()
    with FdHandle(reading) as handle:
        waiter = Background(lambda: wait_fd(handle, reading, select.POLLIN, None))
        waiter.wait_blocked("poll")

        def close_and_count() -> tuple[bool, int]:
            handle.close()
            return os.path.exists(f"/proc/self/fd/{reading}"), len(handle._users)

        assert in_fork(close_and_count) == (False, 1)
        os.close(writing)
        assert waiter.join() is True
        assert not handle._users


def test_new_name_is_the_given_or_a_unique_one() -> None:
    assert new_name("/given") == "/given"
    assert new_name(None) != new_name(None)
