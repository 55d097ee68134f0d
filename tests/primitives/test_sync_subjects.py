"""`filename` of an error is the object's name as `open` takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ipckit import Mapping, posix, sync
from ipckit._names import unique_name
from ipckit.errors import SyscallError

if TYPE_CHECKING:
    from collections.abc import Callable

FAILURES: dict[str, tuple[Callable[..., Any], Callable[[Any], object]]] = {
    "Mutex": (sync.Mutex.create, lambda mutex: [mutex.acquire(), mutex.acquire()]),
    "Once": (sync.Once.create, lambda once: [once.begin(), once.begin()]),
    "Futex": (sync.Futex.create, lambda futex: futex.wait(0, timeout=0)),
    "EventPair": (sync.EventPair.create, lambda pair: pair.wait_low(timeout=0)),
    "posix.Semaphore": (
        lambda name, **options: posix.Semaphore.create(name, value=2**31 - 1, **options),
        lambda semaphore: semaphore.release(),
    ),
}


def subject(fail: Callable[[Any], object], handle: Any) -> str:
    with pytest.raises(SyscallError) as failed:
        fail(handle)
    handle.close()
    name: str = failed.value.filename
    return name


@pytest.mark.parametrize("what", FAILURES)
def test_the_name_stands_there_as_it_is(what: str) -> None:
    create, fail = FAILURES[what]
    name = unique_name()
    assert subject(fail, create(name, unlink_on_close=True)) == name


def test_what_has_no_name_is_described() -> None:
    assert subject(lambda futex: futex.wait(0, timeout=0), sync.Futex.create()) == "anonymous"
    with Mapping.create(size=4096) as memory:
        within = sync.Futex.create(within=memory, offset=64)
        assert subject(lambda futex: futex.wait(0, timeout=0), within) == "at 64 of Mapping"
