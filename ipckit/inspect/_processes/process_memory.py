"""Bytes of another process's memory: proc_pid_mem(5), proc_pid_pagemap(5)."""

from __future__ import annotations

import mmap
import os
import struct

_PRESENT = 1 << 63


def memory_of(pid: int, address: int, size: int) -> bytes | None:
    """Some bytes, *size* of them, 1 or more; None if they may not be read, or not at once.

    Only pages that are in memory are touched: to fetch one may take another process, which may never answer.
    """
    first, last = address // mmap.PAGESIZE, (address + size - 1) // mmap.PAGESIZE
    try:
        with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pages:
            entries = os.pread(pages.fileno(), (last - first + 1) * 8, first * 8)
        present = [entry & _PRESENT for (entry,) in struct.iter_unpack("=Q", entries)]
        if len(present) <= last - first or not all(present):
            return None
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            data = os.pread(memory.fileno(), size, address)
    except (OSError, OverflowError, struct.error):  # gone, forbidden, or no address of a process
        return None
    return data if len(data) == size else None
