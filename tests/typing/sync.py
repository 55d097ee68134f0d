"""How a user's code uses synchronisation objects; checked by mypy --strict, never run."""

from __future__ import annotations

from typing_extensions import assert_type

from ipckit import Mapping, sync


def mutexes(memory: Mapping) -> None:
    mutex = sync.Mutex.create("/name", recursive=True, on_owner_death="raise")
    other = sync.Mutex.open(within=memory, offset=64)
    if got := mutex.acquire(timeout=1.0):
        assert_type(got.owner_died, bool)
        mutex.mark_consistent()
        mutex.release()
    with other as got:
        assert_type(got.owner_died, bool)
    owner = other.owner()
    if owner is not None:
        assert_type(owner.pid, int)
