"""Rings and locks are made by `create`; who calls the class, as one calls `Queue`, is told so."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from ipckit import ring, sync

CLASSES = [
    *(ring.BroadcastRing, ring.Latest, ring.MpmcRing, ring.SpscRing),
    *(sync.AtomicInt64, sync.AtomicUInt64, sync.Barrier, sync.Condition, sync.Event, sync.EventPair, sync.Futex),
    *(sync.Latch, sync.Mutex, sync.Once, sync.RWLock, sync.Semaphore, sync.TrackedSemaphore),
]


@pytest.mark.parametrize("cls", CLASSES)
def test_the_error_names_what_to_call(cls: Any, recwarn: pytest.WarningsRecorder) -> None:
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [((), {}), ((3,), {}), (("/x",), {"capacity": 1})]
    for args, options in [*calls, (("/x", "/y"), {})]:
        with pytest.raises(TypeError, match=rf"{cls.__name__}\.create\(\) makes one, and {cls.__name__}\.open\(\)"):
            cls(*args, **options)
    gc.collect()
    assert not recwarn.list
