"""Messages and arrays in place: the same for every ring that has `reserve` and `peek`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def placing_sender(ring: Any, size: int) -> Callable[[Any], object]:
    """Copy *data* into the ring, once."""
    reserve = ring.reserve

    def send(data: bytes) -> None:
        room = reserve(size)
        room.buf[:] = data
        room.commit()

    return send


def showing_receiver(ring: Any, shown: list[Any]) -> Callable[[], Any]:
    """Give out each message where it lies, until the next is asked for: *shown* keeps it."""
    peek = ring.peek

    def receive() -> Any:
        if shown:
            shown.pop().release()
        loan = peek()
        shown.append(loan)
        return loan.buf

    return receive


def array_giver(ring: Any, size: int) -> Callable[[int], Callable[[], object]]:
    """What `Arrays.giver` returns: the array lies in the ring from the beginning."""
    import numpy as np

    reserve = ring.reserve

    def ready(number: int) -> Callable[[], object]:
        room = reserve(size)
        array = room.array(np.uint64)
        array[-1] = number
        del array
        commit: Callable[[], object] = room.commit
        return commit

    return ready


def array_taker(ring: Any) -> Callable[[], int]:
    """What `Arrays.taker` returns: the array is read where it lies."""
    import numpy as np

    peek = ring.peek

    def take() -> int:
        loan = peek()
        array = loan.array(np.uint64)
        number = int(array[-1])
        del array
        loan.release()
        return number

    return take
