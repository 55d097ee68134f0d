"""sysv.ftok, and the keys that names are hashed to: ftok(3), sysvipc(7)."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import sysv_ipc

from ipckit import sysv
from ipckit.errors import AccessError, NotFoundError, SyscallError
from ipckit.sysv import key as keys
from ipckit.sysv.key import ftok
from tests.contract.tools import in_fork


def test_other_programs_get_the_same_key(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for project_id in (1, 2, 127, 128, 255):
        key = ftok(file, project_id)
        assert key == sysv_ipc.ftok(str(file), project_id, silence_warning=True)
        assert key == ftok(str(file), project_id) == ftok(os.fsencode(file), project_id)
        assert -(1 << 31) <= key < 1 << 31
        assert key & 0xFFFF == file.stat().st_ino & 0xFFFF
        assert key >> 24 & 0xFF == project_id
    assert sysv.ftok is ftok


@pytest.mark.parametrize("project_id", [0, -1, 256, 257, 1 << 40])
def test_project_id_of_which_not_all_would_count_is_refused(project_id: int) -> None:
    """257 would be the same as 1, and 0 is unspecified."""
    with pytest.raises(ValueError, match="project_id must be 1 to 255"):
        ftok("/", project_id)


@pytest.mark.parametrize("project_id", [1.0, "A", b"A", None, True])
def test_project_id_is_an_int(project_id: object) -> None:
    with pytest.raises(TypeError, match="project_id"):
        ftok("/", project_id)


def test_path_must_exist_and_be_reachable(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        ftok(tmp_path / "nothing", 1)
    assert caught.value.filename == str(tmp_path / "nothing")
    assert caught.value.syscall == "ftok"
    (tmp_path / "file").touch()
    with pytest.raises(SyscallError) as not_a_directory:
        ftok(tmp_path / "file" / "below", 1)
    assert not_a_directory.value.errno == errno.ENOTDIR
    with pytest.raises(ValueError, match="NUL"):
        ftok("/tmp/a\0b", 1)
    with pytest.raises(TypeError):
        ftok(5, 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_path_that_may_not_be_searched_is_an_access_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    tmp_path.chmod(0o700)

    def as_nobody() -> None:
        os.setuid(65534)
        ftok(tmp_path / "file", 1)

    with pytest.raises(AccessError):
        in_fork(as_nobody)


def test_a_file_made_anew_has_another_key(tmp_path: Path) -> None:
    first = tmp_path / "file"
    first.touch()
    key = ftok(first, 1)
    second = tmp_path / "second"
    second.touch()
    second.replace(first)
    assert ftok(first, 1) != key


def test_names_are_hashed_alike_for_ever() -> None:
    """Processes with different versions of ipckit must meet: the last 31 bits of SHA-256."""
    assert keys.hashed("/jobs") == 0x44C93C52
    assert keys.hashed("/\u00fc") == keys.hashed("/" + os.fsdecode(b"\xc3\xbc"))
    found = {keys.hashed(f"/{number}") for number in range(2000)}
    assert len(found) == 2000
    assert all(0 < key < 1 << 31 for key in found)


@pytest.mark.parametrize(
    ("given", "key"),
    [(1, 1), (-1, -1), (0x7FFFFFFF, 0x7FFFFFFF), (0x80000000, -(1 << 31)), (0xFFFFFFFF, -1), (-(1 << 31), -(1 << 31))],
)
def test_key_may_be_written_as_ipcs_shows_it(given: int, key: int) -> None:
    assert keys.resolve(given) == (key, None)
    assert int(keys.shown(key), 16) == given & 0xFFFFFFFF


@pytest.mark.parametrize("key", [0, 1 << 32, -(1 << 31) - 1, "", "jobs", "/", "/a/b"])
def test_what_is_no_key_is_a_value_error(key: int | str) -> None:
    for call in (sysv.MessageQueue.create, sysv.MessageQueue.open, sysv.MessageQueue.remove_key):
        with pytest.raises(ValueError, match="key"):
            call(key)


def test_key_0_is_private_and_not_a_key() -> None:
    with pytest.raises(ValueError, match="IPC_PRIVATE"):
        sysv.MessageQueue.create(0)
    one, other = (sysv.MessageQueue.create(remove_on_close=True) for _ in range(2))
    with one, other:
        assert one.id != other.id
        assert one.key is None
        assert one.stat().key == 0
