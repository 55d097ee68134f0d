"""What the objects of synchronisation in segments say of themselves."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick

if TYPE_CHECKING:
    from ipckit.inspect._own.segment_look import Look

_TYPES = {
    lib.IPK_SYNC_MUTEX: "Mutex",
    lib.IPK_SYNC_RWLOCK: "RWLock",
    lib.IPK_SYNC_CONDITION: "Condition",
    lib.IPK_SYNC_SEMAPHORE: "Semaphore",
    lib.IPK_SYNC_TRACKED_SEMAPHORE: "TrackedSemaphore",
    lib.IPK_SYNC_EVENT: "Event",
    lib.IPK_SYNC_EVENT_PAIR: "EventPair",
    lib.IPK_SYNC_BARRIER: "Barrier",
    lib.IPK_SYNC_LATCH: "Latch",
    lib.IPK_SYNC_ONCE: "Once",
    lib.IPK_SYNC_ATOMIC_INT64: "AtomicInt64",
    lib.IPK_SYNC_ATOMIC_UINT64: "AtomicUInt64",
    lib.IPK_SYNC_FUTEX: "Futex",
}
_OWNED = {"Mutex", "RWLock"}
_SLEPT_ON = {"Mutex", "RWLock", "Semaphore", "TrackedSemaphore", "Event", "Latch", "Once"}
_WAITED_FOR = {"Barrier", "Condition", "RWLock"}
_WITHOUT_VALUE = {"Mutex", "RWLock", "Condition", "Barrier"}
_COUNTS = {"RWLock": "readers", "TrackedSemaphore": "holders", "Condition": "waiters", "Barrier": "parties"}


def sync_fields(look: Look) -> dict[str, Any]:
    """The fields of the record of the object that *look* has begun with.

    Raises:
        OSError: it is torn, or of another layout (EPROTO); it was copied from elsewhere (EXDEV).
    """
    info = ffi.new("struct ipk_sync_info *")
    state = ffi.new("struct ipk_look_state *")
    rc = quick.ipk_look_sync(look.core, info, state)
    if rc < 0:
        raise OSError(-rc, _problem(rc))
    type = _TYPES[info.kind]
    flags = state.flags
    choices = _choices(type, info)
    return {
        "type": type,
        "participants": tuple(look.participants()),
        "choices": choices,
        "value": _value(type, state),
        "limit": state.limit if choices.get("bounded") else None,
        "waiting": state.waiting if type in _WAITED_FOR else None,
        "contended": bool(flags & lib.IPK_LOCK_WAITERS) if type in _SLEPT_ON else None,
        "owner_died": bool(flags & lib.IPK_LOCK_DIED) if type in _OWNED else None,
        "lost": bool(flags & lib.IPK_LOCK_LOST) if type in _OWNED else None,
        "broken": bool(flags & lib.IPK_LOOK_BROKEN) if type == "Barrier" else None,
    }


def _problem(rc: int) -> str:
    if rc == -errno.EXDEV:
        return "the object in it was copied from another file"
    return "the object in it is torn, or of another layout" if rc == -errno.EPROTO else "it cannot be read"


def _value(type: str, state: Any) -> int | None:
    if type in _WITHOUT_VALUE:
        return None
    if type == "Once":
        return int(bool(state.flags & lib.IPK_LOCK_LOST))
    value: int = state.value
    return value - (1 << 64) if type == "AtomicInt64" and value >> 63 else value


def _choices(type: str, info: Any) -> dict[str, int | str | bool]:
    options = info.options
    chosen: dict[str, int | str | bool] = {}
    if type == "Mutex":
        chosen["recursive"] = bool(options & lib.IPK_MUTEX_RECURSIVE)
        chosen["priority_inheritance"] = bool(options & lib.IPK_MUTEX_INHERITS)
    if type == "Semaphore":
        chosen["bounded"] = bool(options & lib.IPK_SEMAPHORE_BOUNDED)
    if type == "TrackedSemaphore":
        chosen["bounded"] = True
    if type == "Event":
        chosen["auto_reset"] = bool(options & lib.IPK_EVENT_AUTO_RESET)
    if type in _COUNTS:
        chosen[_COUNTS[type]] = info.count
    return chosen
