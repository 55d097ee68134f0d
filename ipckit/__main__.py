"""`python -m ipckit` is `ipckit`."""

from __future__ import annotations

import sys

from ipckit.cli import main

# multiprocessing imports this module again in its children.
if __name__ == "__main__":
    sys.exit(main())
