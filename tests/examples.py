"""How many examples a property is tried with: a few in `make test`, many more in `make stress`."""

from __future__ import annotations

import os

_TIMES = int(os.environ.get("IPCKIT_EXAMPLES", "1"))


def examples(usual: int) -> int:
    """The number for ``max_examples``, where the usual run tries *usual*."""
    return usual * _TIMES
