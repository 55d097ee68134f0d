"""Keys of System V objects: sysvipc(7), ftok(3)."""

from __future__ import annotations

import os

from ipckit._names import posix_name
from ipckit._native import ffi
from ipckit._native_quick import lib as quick
from ipckit.errors import check
from ipckit.sysv._registry import lookup

PRIVATE = 0  # IPC_PRIVATE: always a new object, which no key leads to
_KEY_BITS = 32
_NAME_BITS = 31


def ftok(path: str | bytes | os.PathLike[str] | os.PathLike[bytes], project_id: int) -> int:
    """Make a key of a file and a number, the same one in every program.

    As ftok(3) makes it: of the lower 8 bits of *project_id*, 8 bits of the device and the lower 16 of the inode. Two
    files of one file system have the same key once in 65536 times; a file that is made anew has another than before.

    Args:
        path: an existing file.
        project_id: 1 to 255; the C function would take more, and ignore the rest.

    Returns:
        The key, from -2**31 to 2**31 - 1.

    Raises:
        NotFoundError: there is no such file (ENOENT).

    >>> ftok("/", 1) == ftok("/.", 1) != ftok("/", 2)
    True
    """
    name = os.fsencode(path)
    if b"\0" in name:
        raise ValueError(f"path must have no NUL character: {path!r}")
    if isinstance(project_id, bool) or not isinstance(project_id, int):
        raise TypeError(f"project_id must be an int from 1 to 255, not {project_id!r}")
    if not 1 <= project_id <= 255:
        raise ValueError(f"project_id must be 1 to 255, for only 8 bits of it count, not {project_id}")
    out = ffi.new("int32_t *")
    check(quick.ipk_sysv_ftok(name, project_id, out), "ftok", os.fspath(path))
    key: int = out[0]
    return key


def resolve(key: object) -> tuple[int, str | None]:
    """The number that the kernel knows a key by, and the name that it was hashed from, None where it was a number.

    Raises:
        TypeError: *key* is neither an int nor a str.
        ValueError: it is 0 or beyond 32 bits, or no name.
    """
    if isinstance(key, str):
        try:
            return hashed(posix_name(key)), key
        except ValueError as error:
            raise ValueError(f"key: as a name, {error}") from None
    if isinstance(key, bool) or not isinstance(key, int):
        raise TypeError(f"key must be an int, as from ftok, or a name such as '/name', not {key!r}")
    if key == PRIVATE:
        raise ValueError("key must not be 0, which is IPC_PRIVATE: create without a key makes a private object")
    if not -(1 << (_KEY_BITS - 1)) <= key < 1 << _KEY_BITS:
        raise ValueError(f"key must fit into 32 bits, not {key}")
    return key - (1 << _KEY_BITS) if key >> (_KEY_BITS - 1) == 1 else key, None


def hashed(name: str) -> int:
    """The key of a name: the last 31 bits of its SHA-256 (the 31 before them, should these all be zero)."""
    import hashlib

    digest = int.from_bytes(hashlib.sha256(os.fsencode(name)).digest(), "big")
    while (key := digest & ((1 << _NAME_BITS) - 1)) == PRIVATE:
        digest >>= _NAME_BITS
    return key


def noted_name(kind: str, key: int, creator_uid: int, number: int) -> str | None:
    """The name that an object's key was hashed from, as whoever made it noted; None if it was not made by name.

    Args:
        kind: "msg", "sem" or "shm".
        creator_uid: the object's creator.
        number: the object's own.
    """
    entry = lookup(kind, key, creator_uid) if key != PRIVATE else None
    return entry.name if entry is not None and entry.number == number else None


def shown(key: int) -> str:
    """The key as ipcs(1) prints it."""
    return f"{key & ((1 << _KEY_BITS) - 1):#010x}"
