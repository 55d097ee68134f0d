"""The life of a handle: closed once and for all, described, collected, let go of without a trace."""

from __future__ import annotations

import gc
import os
import select
import subprocess
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipckit._handle import Handle
from ipckit.errors import ClosedError
from tests.contract.shapes import Made, Subject, dispose, exists, make, unlink_name
from tests.contract.subjects import SUBJECTS
from tests.contract.tools import Background, in_fork

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

every = pytest.mark.parametrize("subject", SUBJECTS, ids=str)
resources = pytest.mark.parametrize("subject", [s for s in SUBJECTS if not s.rival], ids=str)
locks = pytest.mark.parametrize("subject", [s for s in SUBJECTS if s.rival], ids=str)


def descriptors() -> dict[int, str]:
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[int(entry.name)] = str(entry.readlink())
        except FileNotFoundError:  # the one that lists
            pass
    return found


@every
def test_close_again_does_nothing(subject: Subject, made: Made) -> None:
    assert not made[0].closed
    for _ in range(3):
        made[0].close()
        assert made[0].closed


@every
def test_many_threads_may_close_at_once(subject: Subject, made: Made) -> None:
    before = descriptors()
    threads = [Background(made[0].close) for _ in range(8)]
    for thread in threads:
        thread.join()
    assert made[0].closed
    assert set(descriptors()) <= set(before)


@every
def test_every_use_after_close_is_a_closed_error(subject: Subject, made: Made) -> None:
    before = descriptors()
    made[0].close()
    for verb, use in {
        **subject.calls,
        "__enter__": lambda h: h.__enter__(),
        "__reduce__": lambda h: h.__reduce__(),
    }.items():
        with pytest.raises(ClosedError):
            use(made[0])
            pytest.fail(f"{verb} of a closed {subject} did not raise")
    for constant in subject.constants:
        getattr(made[0], constant)
    assert set(descriptors()) <= set(before)


@every
def test_close_lets_go_of_a_descriptor_number_for_good(subject: Subject, made: Made) -> None:
    """A stranger that gets the same number next must not be touched by the closed handle."""
    number = made[0].fileno() if "fileno" in subject.calls else None
    made[0].close()
    stranger = os.memfd_create("stranger")
    try:
        if number is not None and stranger != number:
            os.dup2(stranger, number)
        for use in subject.calls.values():
            with pytest.raises(ClosedError):
                use(made[0])
        made[0].close()
        assert os.fstat(stranger if number is None else number).st_size == 0
    finally:
        os.close(stranger)
        if number is not None and stranger != number:
            os.close(number)


@resources
def test_with_closes(subject: Subject, made: Made) -> None:
    with made[0] as entered:
        assert entered is made[0]
        assert not entered.closed
    assert made[0].closed


@resources
def test_with_closes_after_an_exception_and_lets_it_through(subject: Subject, made: Made) -> None:
    with pytest.raises(ZeroDivisionError), made[0]:
        1 / 0  # noqa: B018
    assert made[0].closed


@locks
def test_with_acquires_and_releases_a_lock(subject: Subject, made: Made) -> None:
    assert subject.rival is not None
    rival = subject.rival(made)
    for _ in range(2):
        with made[0]:
            assert not rival.acquire(timeout=0)
        assert not made[0].closed
    with pytest.raises(ZeroDivisionError), made[0]:
        1 / 0  # noqa: B018
    assert rival.acquire(timeout=0)


@every
def test_repr_says_what_is_open_and_what_is_closed(subject: Subject, made: Made) -> None:
    handle = made[0]
    name = subject.cls.__name__
    assert repr(handle).startswith(f"<{name} ")
    assert repr(handle).endswith(">")
    if subject.naming:
        assert repr(handle.name) in repr(handle)
    if handle.pollable:
        assert f"fd={handle.fileno()}" in repr(handle)
    handle.close()
    assert repr(handle) == f"<{name} closed>"


@every
def test_half_made_handle_has_a_repr_and_goes_without_a_word(subject: Subject) -> None:
    half = object.__new__(subject.cls)  # as where an exception comes before the constructor
    assert repr(half) == f"<{subject.cls.__name__} closed>"
    half.__del__()
    half._closed = False  # as after Handle.__init__, when the rest of the constructor fails
    assert repr(half).startswith(f"<{subject.cls.__name__}")
    half._closed = True


@every
def test_handle_that_is_forgotten_warns_and_closes_and_destroys_nothing(subject: Subject) -> None:
    before = set(descriptors())
    made = make(subject)
    name = made[0].name if subject.naming else ""
    title = f"unclosed <{subject.cls.__name__}"
    handle = made.pop(0)
    with pytest.warns(ResourceWarning, match=title):
        del handle
    if subject.naming:
        assert exists(subject, name)
        unlink_name(subject, name)
    for companion in made:
        companion.close()
    assert set(descriptors()) <= before


@every
def test_closed_handle_goes_without_the_garbage_collector(subject: Subject) -> None:
    made = make(subject)
    for verb in ("try_receive", "try_read", "try_acquire", "try_accept"):
        if verb in subject.calls:
            getattr(made[0], verb)()
    watch = weakref.ref(made[0])
    gc.disable()
    try:
        dispose(subject, made)
        made.clear()
        assert watch() is None
    finally:
        gc.enable()


@every
def test_descriptors_are_close_on_exec(subject: Subject) -> None:
    before = set(descriptors())
    made = make(subject)
    use_all(subject, made)
    try:
        new = set(descriptors()) - before
        assert new or not owned(made)
        assert [fd for fd in new if os.get_inheritable(fd)] == []
    finally:
        dispose(subject, made)


@every
def test_no_program_that_is_started_gets_a_descriptor(subject: Subject, made: Made) -> None:
    use_all(subject, made)
    if "fileno" in subject.calls:
        made[0].fileno()
    inherited = subprocess.run(
        ["sh", "-c", "for f in /proc/$$/fd/*; do readlink $f; done"],
        close_fds=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
        text=True,
    ).stdout.split()
    assert inherited
    ours = {what for fd, what in descriptors().items() if fd in owned(made)}
    assert not ours & set(inherited)


def owned(made: Iterable[object]) -> set[int]:
    return {handle.fileno() for handle in made if hasattr(handle, "fileno")}  # type: ignore[attr-defined]


def use_all(subject: Subject, made: Made) -> None:
    """Let the handle open whatever it opens only on use."""
    for verb in ("try_send", "try_receive", "try_write", "try_read", "try_acquire", "try_accept"):
        use = subject.calls.get(verb)
        if use:
            use(made[0])


@pytest.mark.parametrize("subject", [s for s in SUBJECTS if "fileno" in s.calls], ids=str)
def test_epoll_takes_what_calls_itself_pollable_and_nothing_else(subject: Subject, made: Made) -> None:
    with select.epoll() as epoll:
        if made[0].pollable:
            epoll.register(made[0].fileno(), select.EPOLLIN | select.EPOLLOUT)
        else:
            with pytest.raises(PermissionError):
                epoll.register(made[0].fileno(), select.EPOLLIN)


@every
def test_many_handles_leave_nothing(subject: Subject) -> None:
    def cycle() -> None:
        made = make(subject)
        use_all(subject, made)
        dispose(subject, made)

    cycle()
    gc.collect()
    before = (len(descriptors()), mappings(), handles())
    for _ in range(10):
        cycle()
    gc.collect()
    assert (len(descriptors()), mappings(), handles()) == before


def mappings() -> int:
    """Shared mappings: the allocator's own come and go."""
    return sum(line.split()[1].endswith("s") for line in Path("/proc/self/maps").read_text().splitlines())


def handles() -> int:
    kinds = set(classes(Handle))  # to ask each object's class is many times as fast as isinstance of an ABC
    return sum(type(thing) in kinds for thing in gc.get_objects())


def classes(base: type[Any]) -> Iterator[type[Any]]:
    yield base
    for derived in base.__subclasses__():
        yield from classes(derived)


@every
def test_close_in_a_forked_child_leaves_ours_usable(subject: Subject, made: Made) -> None:
    in_fork(made[0].close)
    assert not made[0].closed
    subject.before(made)
    result = subject.there(made[0])
    assert subject.here(made, result)


@every
def test_forked_child_uses_what_it_inherited(subject: Subject, made: Made) -> None:
    subject.before(made)
    result = in_fork(lambda: subject.there(made[0]))
    assert subject.here(made, result)
