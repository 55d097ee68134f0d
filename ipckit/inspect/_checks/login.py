"""Whether the objects of a user vanish when he logs out: RemoveIPC= of logind.conf(5)."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

from ipckit.inspect._checks.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "RemoveIPC"

_LAYERS = ("usr/lib", "usr/local/lib", "run", "etc")  # of systemd's settings; a later one hides files of the same name
_SYSTEM_UID_MAX = 999
_YES = ("1", "yes", "y", "true", "t", "on")


def removal_at_logout(root: str = "/", uid: int | None = None) -> Finding:
    """Whether systemd-logind removes the IPC objects of *uid* (None: of this process) when its last session ends.

    Args:
        root: the directory that settings and state are looked for in.
    """
    uid = os.geteuid() if uid is None else uid
    if not os.path.isdir(os.path.join(root, "run/systemd/system")):
        return Finding(name=NAME, level="ok", found="this machine was not started by systemd: nobody removes objects")
    if not os.path.isdir(os.path.join(root, "run/systemd/seats")):
        return Finding(name=NAME, level="ok", found="systemd-logind does not run: nobody removes objects")
    setting, where = _setting(root)
    if setting.lower() not in _YES:
        return Finding(name=NAME, level="ok", found=f"{setting} in {where}: objects outlive the sessions of their user")
    said = f"{setting} {f'in {where}' if where else 'by default'}"
    if uid == 0 or uid <= _system_uid_max(root):
        return Finding(name=NAME, level="ok", found=f"{said}, but uid {uid} is a system user, whose objects stay")
    user = _name(uid)
    if os.path.exists(os.path.join(root, "var/lib/systemd/linger", user)):
        return Finding(name=NAME, level="ok", found=f"{said}, but user {user} lingers, so that objects stay")
    what = f"{said}: when the last session of user {user} ends, all its objects are removed, also those in use"
    advice = "run services as a system user, have the user linger, or turn it off"
    commands = (
        f"loginctl enable-linger {user}",
        "mkdir -p /etc/systemd/logind.conf.d",
        r"printf '[Login]\nRemoveIPC=no\n' > /etc/systemd/logind.conf.d/ipc.conf",
        "systemctl restart systemd-logind",
    )
    return Finding(name=NAME, level="warning", found=what, advice=advice, commands=commands)


def _setting(root: str) -> tuple[str, str]:
    """The value that holds, and the file that it is from; "" where nobody has said."""
    value, where = "yes", ""
    for path in _files(root):
        section = ""
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()
        except OSError:
            continue
        for line in lines:
            text = line.strip()
            if text.startswith("["):
                section = text
            key, equals, given = text.partition("=")
            if section == "[Login]" and equals and key.strip() == "RemoveIPC":
                value, where = (given.strip(), path) if given.strip() else ("yes", "")
    return value, where


def _files(root: str) -> Iterator[str]:
    """The files in the order in which they are read: the main one, then the drop-ins by name."""
    main = [os.path.join(root, layer, "systemd/logind.conf") for layer in _LAYERS]
    yield from [path for path in main if os.path.exists(path)][-1:]
    parts: dict[str, str] = {}
    for layer in _LAYERS:
        folder = os.path.join(root, layer, "systemd/logind.conf.d")
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        parts.update({name: os.path.join(folder, name) for name in names if name.endswith(".conf")})
    yield from (parts[name] for name in sorted(parts))


def _system_uid_max(root: str) -> int:
    try:
        with open(os.path.join(root, "etc/login.defs"), encoding="utf-8", errors="replace") as file:
            words = [line.split() for line in file]
        return next(int(word[1]) for word in words if len(word) > 1 and word[0] == "SYS_UID_MAX")
    except (OSError, ValueError, StopIteration):
        return _SYSTEM_UID_MAX


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
