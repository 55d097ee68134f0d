"""Addresses of Unix sockets: a path, an abstract name, or none: unix(7)."""

from __future__ import annotations

import os
from typing import Union

Address = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]
"""A path; or, with a NUL as its first character, an abstract name."""

LONGEST = 107  # sun_path has 108 bytes: a path's ending NUL, or an abstract name's leading one, takes one


def kernel_address(address: object) -> bytes:
    """Return *address* as the kernel takes it.

    Raises:
        TypeError: it is no str, bytes or path object.
        ValueError: it is empty, or longer than 107 bytes, or a path with a NUL in it.
    """
    if not isinstance(address, (str, bytes, os.PathLike)):
        raise TypeError(f"address must be a path, or an abstract name as '\\0name', not {address!r}")
    raw = os.fsencode(address)
    if not raw:
        raise ValueError(
            "address must not be empty; None asks the kernel for an abstract name, where a method takes it"
        )
    if raw[:1] == b"\0":
        if len(raw) > LONGEST + 1:
            raise ValueError(f"address must have at most {LONGEST} bytes after its NUL, this one has {len(raw) - 1}")
        return raw
    if b"\0" in raw:
        raise ValueError(f"address must have no NUL but a leading one: {address!r}")
    if len(raw) > LONGEST:
        raise ValueError(
            f"address must have at most {LONGEST} bytes, this path has {len(raw)}; "
            f"choose a shorter directory, or a path relative to the current one: {address!r}"
        )
    return raw


def is_path(raw: bytes) -> bool:
    """Whether *raw*, from `kernel_address`, is in the file system."""
    return raw[:1] != b"\0"
