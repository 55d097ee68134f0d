"""What a path leads to, asked only where no other machine and no process would have to answer: path_resolution(7)."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipckit.inspect._processes.mounts import Mounts

_LINKS = 40  # as many as the kernel follows


class QuietPaths:
    """Looks at paths folder by folder, and gives up where a mount is met that does not answer by itself."""

    __slots__ = ("_folders", "_mounts")

    def __init__(self, mounts: Mounts) -> None:
        self._mounts = mounts
        self._folders: dict[str, str | None] = {"/": "/"}

    def status(self, path: str) -> os.stat_result | None:
        """As lstat(2); None if it may not be asked for.

        Args:
            path: absolute.

        Raises:
            FileNotFoundError: there is nothing.
        """
        plain = _plain("/", path)
        if plain is None:
            return None
        folder, name = os.path.split(plain)
        settled = self._settled(folder, _LINKS)
        return None if settled is None else self._asked(os.path.join(settled, name))

    def _settled(self, folder: str, links: int) -> str | None:
        """The folder without links in its path; None if it may not be asked for."""
        if folder in self._folders:
            return self._folders[folder]
        above, name = os.path.split(folder)
        found = self._settled(above, links)
        if found is not None:
            found = self._followed(os.path.join(found, name), links)
        self._folders[folder] = found
        return found

    def _followed(self, path: str, links: int) -> str | None:
        status = self._asked(path)
        if status is None or not stat.S_ISLNK(status.st_mode):
            return path if status else None
        target = _plain(os.path.dirname(path), os.readlink(path)) if links else None
        return None if target is None else self._settled(target, links - 1)

    def _asked(self, path: str) -> os.stat_result | None:
        """lstat(2) of a path without links before its end; a mount that is there is not touched unless it is local."""
        mount = self._mounts.at(self._mounts.own, path)
        if mount is not None and not mount.local:
            return None
        try:
            return os.lstat(path)
        except FileNotFoundError:
            raise
        except OSError:  # folders that we may not search, or a broken file system
            return None


def _plain(folder: str, path: str) -> str | None:
    """The path, from *folder*, without dots; None if only the file system could tell what its dots mean."""
    names = [name for name in path.split("/") if name not in {"", "."}]
    ups = names.count("..")
    if ".." in names[ups:]:  # behind a name, which may be a link
        return None
    joined = os.path.normpath(os.path.join(folder, path))
    return f"/{joined.lstrip('/')}"
