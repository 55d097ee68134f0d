"""A user's tests under ``mypy --strict``: ipckit.testing. It is checked, and never run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import assert_type

from ipckit.testing import Child, LeakSnapshot, Spawn, pause, reached, spawn

if TYPE_CHECKING:
    from ipckit.posix import Semaphore


def take(semaphore: Semaphore) -> bool:
    reached("start")
    pause("middle")
    return semaphore.acquire(timeout=1)


with Spawn() as start, spawn(take, None) as child:
    assert_type(start, Spawn)
    assert_type(child, Child)
    child.wait_reached("start")
    child.wait_blocked("futex", timeout=5)
    child.resume("middle")
    assert_type(child.join(), int)
    assert_type(child.pid, int)
    assert_type(start(take, None), Child)
    child.wait_reached()  # type: ignore[call-arg]

assert_type(LeakSnapshot.take().leaked(), list[str])
