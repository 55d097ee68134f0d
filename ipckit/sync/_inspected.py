"""What the header of an object says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit._native import ffi
from ipckit._native_quick import lib as quick
from ipckit.errors import check

if TYPE_CHECKING:
    from ipckit.sync._object import Place


def inspected(place: Place) -> Any:
    """The ``struct ipk_sync_info *`` of the object at *place*."""
    info = ffi.new("struct ipk_sync_info *")
    found = quick.ipk_sync_inspect(quick.ipk_sync_place(place.view), place.home.member, info)
    check(found, "ipk_sync_inspect", place.name)
    return info
