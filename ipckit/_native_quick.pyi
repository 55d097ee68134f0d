"""The C core, for calls that cannot block: the same functions, which keep the GIL."""

from ipckit._native import ffi as ffi
from ipckit._native import lib as lib
