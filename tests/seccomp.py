"""A kernel that lacks some calls, for one process: seccomp(2) answers them with ENOSYS."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

_LOAD, _EQUAL, _GIVE = 0x20, 0x15, 0x06
_ALL_NUMBERS = {
    "x86_64": {
        "fcntl": 72, "memfd_create": 319, "mq_open": 240, "mq_unlink": 241, "msgget": 68, "pidfd_open": 434,
        "pidfd_send_signal": 424, "process_vm_readv": 310, "futex_waitv": 449, "timerfd_create": 283,
    },
    "aarch64": {
        "fcntl": 25, "memfd_create": 279, "mq_open": 180, "mq_unlink": 181, "msgget": 186, "pidfd_open": 434,
        "pidfd_send_signal": 424, "process_vm_readv": 270, "futex_waitv": 449, "timerfd_create": 85,
    },
}  # fmt: skip
NUMBERS = _ALL_NUMBERS.get(os.uname().machine, {})
"""By the names of the calls; empty where they are not known."""


def refuse(*calls: str) -> None:
    """Have the kernel answer these calls of this process with ENOSYS, for good."""
    program = [(_LOAD, 0, 0, 0)]
    for call in calls:
        program += [(_EQUAL, 0, 1, NUMBERS[call]), (_GIVE, 0, 0, 0x0005_0000 | errno.ENOSYS)]
    program.append((_GIVE, 0, 0, 0x7FFF_0000))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    described = ctypes.create_string_buffer(struct.pack("H6xP", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert libc.prctl(22, 2, described, 0, 0) == 0, os.strerror(ctypes.get_errno())  # PR_SET_SECCOMP
