"""The kernel's own: futex(2), as near to C as Python comes. A wake-up carries nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit._native import lib
from ipckit._native_quick import lib as quick
from ipckit._wait import NEVER_NS
from ipckit.bench.quantity import ROUNDTRIP
from ipckit.bench.row import Channel
from ipckit.sync.futex import Futex

if TYPE_CHECKING:
    from collections.abc import Callable


class BareFutex(Channel):
    """A word that counts the wake-ups: what any sleep in shared memory costs at the least."""

    name = "futex (bare)"
    about = "FUTEX_WAKE and FUTEX_WAIT on a word in shared memory, one C call each, no spinning"
    family = "futex"
    measures = (ROUNDTRIP,)
    payload = False

    def __init__(self, _size: int, /) -> None:
        self.futex = Futex.create()
        self.seen = 0

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        word, add, wake = self.futex._word, quick.ipk_futex_add, lib.ipk_futex_wake

        def send(_data: Any) -> None:
            add(word, 1)
            wake(word, 1, Futex.ANY)

        return send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        word, load, wait = self.futex._word, quick.ipk_futex_load, lib.ipk_futex_wait

        def receive() -> None:
            while load(word) == self.seen:
                wait(word, self.seen, NEVER_NS, Futex.ANY)
            self.seen += 1

        return receive
