"""What is said where the C core is not built."""

from __future__ import annotations

import os
import sys


def unbuilt() -> ImportError:
    """The error of an import of the C core from a copy of ipckit that lacks it."""
    if not sys.platform.startswith("linux"):
        return ImportError(f"ipckit works on Linux only: it wraps its kernel's primitives (this is {sys.platform})")
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return ImportError(
        f"the C core of the ipckit in {home} is not built for this Python: run make build there; or, where ipckit is "
        "installed, start Python in another directory, or it takes the one that lies in this one"
    )
