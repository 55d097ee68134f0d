"""Arrays of rows that copy: what is ready is an array in the sender's own memory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


def fresh(size: int, send: Callable[[Any], object]) -> Callable[[int], Callable[[], object]]:
    """What `Arrays.giver` returns, for a *send* that takes any array."""
    # Two in turns: a library's own thread may read the last one while the next is made ready.
    arrays = np.zeros((2, size // 8), np.uint64)

    def ready(number: int) -> Callable[[], object]:
        array = arrays[number % 2]
        array[-1] = number
        return partial(send, array)

    return ready


def last_of_bytes(data: Any) -> int:
    """The last number of the array that *data* holds, without a copy."""
    return int(np.frombuffer(data, np.uint64)[-1])
