"""What the creator of a ring may choose: the words of `create`, and what stands for them in the segment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit._native import lib

if TYPE_CHECKING:
    from collections.abc import Mapping

SPSC_OVERSIZE = {"refuse": 0, "fragments": lib.IPK_SPSC_PARTS, "file": lib.IPK_SPSC_FILES}
SPSC_ON_CONSUMER_GONE = {"block": lib.IPK_SPSC_PATIENT, "error": 0, "drop": lib.IPK_SPSC_DROPS}
MPMC_ON_CONSUMER_DEATH = {"redeliver": lib.IPK_MPMC_REDELIVER, "lose": lib.IPK_MPMC_LOSE}
MPMC_ON_CONSUMER_GONE = {"block": lib.IPK_MPMC_BLOCK, "error": lib.IPK_MPMC_ERROR, "drop": lib.IPK_MPMC_DROP}
MPMC_OVERSIZE = {"refuse": lib.IPK_MPMC_REFUSE, "file": lib.IPK_MPMC_FILES}
BROADCAST_SLOW_READER = {
    "block": lib.IPK_BROADCAST_BLOCK,
    "overwrite": lib.IPK_BROADCAST_OVERWRITE,
    "disconnect": lib.IPK_BROADCAST_DISCONNECT,
}
BROADCAST_OVERSIZE = {"refuse": 0, "fragments": lib.IPK_BROADCAST_PARTS, "file": lib.IPK_BROADCAST_FILES}


def words_of(choices: Mapping[str, int]) -> dict[int, str]:
    """The word for each number."""
    return {number: word for word, number in choices.items()}
