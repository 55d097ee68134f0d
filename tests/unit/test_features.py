"""features: limits against what the kernel does, probes against what works."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import select
from typing import TYPE_CHECKING

import pytest

from ipckit import features
from ipckit.errors import LimitError
from ipckit.posix import MessageQueue
from tests.rights import needs_sysctls

if TYPE_CHECKING:
    from ipckit.testing import Spawn

CLONE_NEWIPC = 0x08000000
PROBES = [
    features.has_futex_waitv,
    features.has_memfd,
    features.has_mqueue,
    features.has_msg_copy,
    features.has_ofd_locks,
    features.has_pidfd,
    features.has_shm_tmpfile,
]


def read(path: str) -> list[int]:
    with open(f"/proc/sys/{path}") as file:
        return [int(word) for word in file.read().split()]


def test_limits_are_what_proc_says() -> None:
    now = features.limits()
    assert [now.mq_queues_max, now.mq_max_messages, now.mq_max_message_size] == [
        read(f"fs/mqueue/{name}")[0] for name in ("queues_max", "msg_max", "msgsize_max")
    ]
    assert now.pipe_max_size == read("fs/pipe-max-size")[0]
    assert now.sem is not None
    assert list(now.sem) == read("kernel/sem")
    assert [now.msgmax, now.msgmnb, now.msgmni] == [
        read(f"kernel/{name}")[0] for name in ("msgmax", "msgmnb", "msgmni")
    ]
    assert [now.shmmax, now.shmall, now.shmmni] == [
        read(f"kernel/{name}")[0] for name in ("shmmax", "shmall", "shmmni")
    ]
    assert now.max_dgram_qlen == read("net/unix/max_dgram_qlen")[0]
    assert now.somaxconn == read("net/core/somaxconn")[0]
    assert now.pipe_buf == select.PIPE_BUF
    assert now.shm_size is not None
    assert now.shm_free is not None
    assert 0 < now.shm_free <= now.shm_size


def soft_limits(nofile: int, msgqueue: int) -> features.Limits:
    resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    resource.setrlimit(resource.RLIMIT_MSGQUEUE, (msgqueue, resource.getrlimit(resource.RLIMIT_MSGQUEUE)[1]))
    return features.limits()


def test_limits_are_read_afresh(spawn: Spawn) -> None:
    found = spawn(soft_limits, 100, 5000).result()
    assert (found.rlimit_nofile, found.rlimit_msgqueue) == (100, 5000)


def no_limits() -> features.Limits:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return features._soft_limit(resource.RLIMIT_CORE), features._soft_limit(resource.RLIMIT_AS)


def test_an_infinite_limit_is_none(spawn: Spawn) -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    assert spawn(no_limits).result() == (0, None if soft == resource.RLIM_INFINITY else soft)


def limits_in_a_namespace() -> features.Limits:
    if ctypes.CDLL(None).unshare(CLONE_NEWIPC):
        raise OSError("unshare")
    with open("/proc/sys/fs/mqueue/msg_max", "w") as sysctl:
        sysctl.write("7")
    return features.limits()


@needs_sysctls
def test_limits_are_those_of_the_ipc_namespace(spawn: Spawn) -> None:
    assert spawn(limits_in_a_namespace).result().mq_max_messages == 7


def test_limits_are_frozen() -> None:
    with pytest.raises(AttributeError):
        features.limits().pipe_buf = 1


def test_what_the_machine_does_not_tell_is_none() -> None:
    assert features._sysctl("kernel/ipckit-no-such") is None
    assert features._sysctl("kernel/hostname") is None


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.__name__)
def test_probes_answer_and_leave_nothing(probe: object) -> None:
    before = set(os.listdir("/proc/self/fd"))
    probe.cache_clear()
    answer = probe()
    assert type(answer) is bool
    assert probe() is answer
    assert set(os.listdir("/proc/self/fd")) == before


def test_probes_agree_with_what_works() -> None:
    with MessageQueue.create(unlink_on_close=True):
        assert features.has_mqueue()
    if hasattr(os, "pidfd_open"):
        os.close(os.pidfd_open(os.getpid()))
        assert features.has_pidfd()
    os.close(os.memfd_create("x"))
    assert features.has_memfd()


def without_descriptors() -> list[object]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    results: list[object] = []
    for probe in (features.has_memfd, features.has_pidfd, features.has_shm_tmpfile, features.has_ofd_locks):
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            results.append(probe())
        except LimitError as error:
            results.append(error.errno)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        results.append(probe())
    return results


def test_a_limit_is_not_taken_for_a_missing_feature(spawn: Spawn) -> None:
    assert spawn(without_descriptors).result() == [errno.EMFILE, True] * 4


def test_where_queues_are_mounted() -> None:
    place = features.mqueue_mount()
    assert place is None or os.statvfs(place).f_bsize > 0
