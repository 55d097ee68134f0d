"""In the place of multiprocessing.shared_memory: change the import, keep the program."""

from __future__ import annotations

from ipckit.compat._segment import SharedMemory
from ipckit.compat._shareable_list import ShareableList

__all__ = ["ShareableList", "SharedMemory"]
