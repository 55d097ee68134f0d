"""What the rings in segments say of themselves."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from ipckit import _ring_choices as tables
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._ring_choices import words_of
from ipckit.ring import BroadcastStat, LatestStat, MpmcStat, SpscStat

if TYPE_CHECKING:
    from ipckit.inspect._own.segment_look import Look
    from ipckit.inspect._own.segment_records import Participant

_SPSC_OVERSIZE = words_of(tables.SPSC_OVERSIZE)
_SPSC_GONE = words_of(tables.SPSC_ON_CONSUMER_GONE)
_MPMC_DEATH = words_of(tables.MPMC_ON_CONSUMER_DEATH)
_MPMC_GONE = words_of(tables.MPMC_ON_CONSUMER_GONE)
_MPMC_OVERSIZE = words_of(tables.MPMC_OVERSIZE)
_SLOW_READER = words_of(tables.BROADCAST_SLOW_READER)
_BROADCAST_OVERSIZE = words_of(tables.BROADCAST_OVERSIZE)


def ring_fields(look: Look) -> dict[str, Any] | None:
    """The fields of the record of the ring that *look* has begun with; None if its kind is not known.

    Raises:
        OSError: it is torn, or of another layout (EPROTO).
    """
    read = _READERS.get(look.info.kind)
    return None if read is None else read(look)


def _spsc(look: Look) -> dict[str, Any]:
    stat = ffi.new("struct ipk_spsc_stat *")
    _check(quick.ipk_look_spsc(look.core, stat))
    files = stat.options & (lib.IPK_SPSC_PARTS | lib.IPK_SPSC_FILES)
    gone = stat.options & (lib.IPK_SPSC_PATIENT | lib.IPK_SPSC_DROPS)
    choices = {
        "capacity": stat.capacity,
        "oversize": _SPSC_OVERSIZE.get(files, "fragments"),
        "on_consumer_gone": _SPSC_GONE.get(gone, "drop"),
    }
    return _fields(
        look,
        type="SpscRing",
        capacity=stat.capacity,
        depth=stat.waiting,
        statistics=SpscStat.of(stat),
        choices=choices,
    )


def _mpmc(look: Look) -> dict[str, Any]:
    stat = ffi.new("struct ipk_mpmc_stat *")
    chosen = ffi.new("struct ipk_mpmc_options *")
    _check(quick.ipk_look_mpmc(look.core, stat, chosen))
    choices = {
        "capacity": chosen.capacity,
        "max_messages": chosen.max_messages,
        "participants": chosen.participants,
        "on_consumer_death": _MPMC_DEATH[chosen.on_consumer_death],
        "on_consumer_gone": _MPMC_GONE[chosen.on_consumer_gone],
        "oversize": _MPMC_OVERSIZE[chosen.oversize],
    }
    return _fields(
        look,
        type="MpmcRing",
        capacity=stat.capacity,
        depth=stat.depth,
        statistics=MpmcStat.of(stat),
        choices=choices,
    )


def _broadcast(look: Look) -> dict[str, Any]:
    stat = ffi.new("struct ipk_broadcast_stat *")
    _check(quick.ipk_look_broadcast(look.core, stat))
    choices = {
        "capacity": stat.capacity,
        "slow_reader": _SLOW_READER[stat.policy],
        "oversize": _BROADCAST_OVERSIZE[stat.oversize],
        "participants": stat.participants,
    }
    return _fields(
        look,
        type="BroadcastRing",
        capacity=stat.capacity,
        depth=stat.depth,
        statistics=BroadcastStat.of(stat),
        choices=choices,
    )


def _latest(look: Look) -> dict[str, Any]:
    stat = ffi.new("struct ipk_latest_stat *")
    _check(quick.ipk_look_latest(look.core, stat))
    choices = {"max_size": stat.max_size, "buffers": stat.buffers}
    return _fields(
        look,
        type="Latest",
        capacity=stat.capacity,
        depth=int(stat.sequence > 0),
        statistics=LatestStat.of(stat),
        choices=choices,
        consumers_end=None,  # readers are not counted
    )


def _fields(look: Look, **own: Any) -> dict[str, Any]:
    participants = tuple(look.participants())
    return {
        "participants": participants,
        "producers_end": look.end(lib.IPK_LOOK_PRODUCER, alive=_any_alive(participants, "producer")),
        "consumers_end": look.end(lib.IPK_LOOK_CONSUMER, alive=_any_alive(participants, "consumer")),
        **own,
    }


def _any_alive(participants: tuple[Participant, ...], role: str) -> bool:
    return any(who.alive is not False and role in who.role for who in participants)


def _check(rc: int) -> None:
    if rc < 0:
        raise OSError(-rc, "the ring in it is torn, or of another layout" if rc == -errno.EPROTO else "cannot be read")


_READERS = {
    lib.IPK_KIND_SPSC: _spsc,
    lib.IPK_KIND_MPMC: _mpmc,
    lib.IPK_KIND_BROADCAST: _broadcast,
    lib.IPK_KIND_LATEST: _latest,
}
