"""In the place of the C core where that is not built: Python takes a compiled module before one in Python."""

from __future__ import annotations

from ipckit._unbuilt import unbuilt

raise unbuilt()
