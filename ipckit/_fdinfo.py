"""What the kernel tells of a descriptor's kind: proc_pid_fdinfo(5)."""

from __future__ import annotations

import errno

from ipckit.errors import syscall_error


def fdinfo(fd: int) -> dict[str, str]:
    """The fields of /proc/self/fdinfo for descriptor *fd*.

    Raises:
        SyscallError: it is not open (EBADF).
        UnsupportedError: /proc is not mounted (ENOSYS).
    """
    try:
        with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
            return {name: value.strip() for name, _, value in (line.partition(":") for line in file)}
    except FileNotFoundError:
        pass
    except OSError as error:
        raise syscall_error(error.errno or errno.EIO, "read", f"/proc/self/fdinfo/{fd}") from None
    number, remedy = errno.EBADF, None
    try:
        open("/proc/self/fdinfo", "rb").close()
    except IsADirectoryError:
        pass
    except OSError:
        number, remedy = errno.ENOSYS, "/proc must be mounted"
    raise syscall_error(number, "read", f"fd {fd}", remedy=remedy)
