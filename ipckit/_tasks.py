"""The threads of a process: proc_pid_task(5)."""

from __future__ import annotations

import os

_LINKS = 2  # that a folder without folders has; "task" has one more for each thread
_AGAIN = 20  # times at most: some threads of a process may end faster than they can be listed


def tasks(pid: int | str) -> list[int]:
    """The numbers of the threads of *pid*, or of "self", those that have just ended perhaps among them.

    Raises:
        FileNotFoundError, ProcessLookupError: the process is gone.
    """
    folder = os.open(f"/proc/{pid}/task", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return tasks_in(folder)
    finally:
        os.close(folder)


def tasks_in(folder: int) -> list[int]:
    """The same of an open folder "task".

    A listing goes from thread to thread, and ends early where one that it comes to ends meanwhile. So it is complete
    when as many of those that it told of are still there as the process had after it.
    """
    found: dict[str, None] = {}
    for _ in range(_AGAIN):
        names = os.listdir(folder)
        threads = os.stat(folder).st_nlink - _LINKS
        if sum(_is_there(name, folder) for name in names) == threads:
            return list(map(int, names))
        found |= dict.fromkeys(names)
    return list(map(int, found))


def _is_there(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True
