"""All limits, in the order of a listing."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from ipckit.features import PIPE_BUF
from ipckit.inspect._limits.cgroups import tightest
from ipckit.inspect._limits.facts import UNLIMITED, fields, mappings, sysctl
from ipckit.inspect._limits.processes import descriptors_of_this_process
from ipckit.inspect._limits.rules import (
    IPCMNI,
    Rule,
    for_container,
    of_kernel,
    of_rlimit,
    of_semaphores,
    of_sysctl,
    other,
)

if TYPE_CHECKING:
    from ipckit.inspect._limits.facts import Facts

_MEMORY = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))
_PIDS = (("pids.max", "pids.current"), ("pids.max", "pids.current"))


def _nonzero(name: str) -> int | None:
    """A sysctl of which 0 means that there is no limit."""
    return UNLIMITED if (value := sysctl(name)) == 0 else value


def _ports() -> int | None:
    low, high = (sysctl("net.ipv4.ip_local_port_range", index) for index in (0, 1))
    return None if low is None or high is None else high - low + 1


def _shm_bytes(facts: Facts, free: int) -> int | None:
    return None if facts.shm is None else facts.shm.f_frsize * (facts.shm.f_blocks - free)


def _group(controller: str, *, used: bool) -> int | None:
    found = tightest(controller, _PIDS if controller == "pids" else _MEMORY)
    if found is None:
        return None if used else UNLIMITED
    return found.used if used else found.value


_POSIX_QUEUES = (
    of_sysctl(
        "fs.mqueue.queues_max", "POSIX message queues", "queues", "IPC namespace", "mq_open: ENOSPC",
        used=lambda facts: None if facts.queues is None else len(facts.queues),
    ),
    of_sysctl(
        "fs.mqueue.msg_max", "messages in one POSIX queue, for the unprivileged", "messages", "object",
        "mq_open: EINVAL", most=65536,
    ),
    of_sysctl(
        "fs.mqueue.msgsize_max", "bytes in one message of a POSIX queue, for the unprivileged", "bytes", "object",
        "mq_open: EINVAL", most=1 << 24,
    ),
    of_rlimit(
        "RLIMIT_MSGQUEUE", "bytes that all POSIX queues of a user have room for", "bytes", "user", "mq_open: EMFILE",
        letter="q", used=lambda facts: facts.queue_bytes,
    ),
    of_kernel("MQ_PRIO_MAX", "priorities of a POSIX message", "priorities", 32768, "mq_send: EINVAL"),
)  # fmt: skip

_SYSTEM_V = (
    of_sysctl("kernel.msgmax", "bytes in one System V message", "bytes", "object", "msgsnd: EINVAL"),
    of_sysctl(
        "kernel.msgmnb", "bytes in one System V queue, and messages", "bytes", "object",
        "msgsnd: EAGAIN, or it waits", also="for queues that are made then; msgctl(IPC_SET) for one that is there",
    ),
    of_sysctl(
        "kernel.msgmni", "System V message queues", "queues", "IPC namespace", "msgget: ENOSPC",
        used=lambda facts: facts.msg_queues, most=IPCMNI,
    ),
    of_semaphores(0, "SEMMSL", "semaphores in one System V set", "semaphores", "semget: EINVAL"),
    of_semaphores(
        1, "SEMMNS", "semaphores in all System V sets", "semaphores", "semget: ENOSPC",
        used=lambda facts: facts.sem_sets and facts.sem_sets[1],
    ),
    of_semaphores(2, "SEMOPM", "pairs in one operation on a System V set", "pairs", "semop: E2BIG"),
    of_semaphores(
        3, "SEMMNI", "System V semaphore sets", "sets", "semget: ENOSPC",
        used=lambda facts: facts.sem_sets and facts.sem_sets[0],
    ),
    of_kernel("SEMVMX", "tokens of a System V semaphore", "tokens", 32767, "semop, semctl: ERANGE"),
    of_kernel("SEMAEM", "what a process has to undo at a System V semaphore", "tokens", 32767, "semop: ERANGE"),
    of_sysctl("kernel.shmmax", "bytes in one System V segment", "bytes", "object", "shmget: EINVAL"),
    of_sysctl(
        "kernel.shmall", "pages in all System V segments", "pages", "IPC namespace", "shmget: ENOSPC",
        used=lambda facts: facts.shm_segments and facts.shm_segments[1],
    ),
    of_sysctl(
        "kernel.shmmni", "System V segments", "segments", "IPC namespace", "shmget: ENOSPC",
        used=lambda facts: facts.shm_segments and facts.shm_segments[0], most=IPCMNI,
    ),
)  # fmt: skip

_MEMORY_LIMITS = (
    other(
        "/dev/shm", "POSIX shared memory and semaphores, named rings", "bytes", "mount",
        "ftruncate, fallocate: ENOSPC; SIGBUS where memory is touched that was not reserved",
        value=lambda facts: facts.shm and (_shm_bytes(facts, 0) or UNLIMITED),
        used=lambda facts: facts.shm and _shm_bytes(facts, facts.shm.f_bfree),
        remedy="mount -o remount,size={more} /dev/shm",
        container="docker run --shm-size=NUMBER; Kubernetes: an emptyDir with medium: Memory at /dev/shm",
    ),
    other(
        "/dev/shm inodes", "files in /dev/shm", "files", "mount", "shm_open, sem_open: ENOSPC",
        value=lambda facts: facts.shm and (facts.shm.f_files or UNLIMITED),
        used=lambda facts: facts.shm and facts.shm.f_files - facts.shm.f_ffree,
        remedy="mount -o remount,nr_inodes={more} /dev/shm", container="",
    ),
    of_rlimit(
        "RLIMIT_MEMLOCK", "bytes that a process may lock in memory", "bytes", "process",
        "mlock: ENOMEM; shmctl(SHM_LOCK): ENOMEM", letter="l",
        used=lambda _: fields("/proc/self/status").get("VmLck", 0) * 1024,
        nearest=lambda facts: facts.processes.locked,
    ),
    of_sysctl(
        "vm.nr_hugepages", "huge pages", "pages", "machine", "mmap(MAP_HUGETLB), shmget(SHM_HUGETLB): ENOMEM",
        value=lambda facts: facts.huge_pages and facts.huge_pages[0],
        used=lambda facts: facts.huge_pages and facts.huge_pages[1],
        also="soon after start, while memory is in one piece",
    ),
    of_sysctl(
        "vm.max_map_count", "mappings of a process", "mappings", "process", "mmap, shmat: ENOMEM",
        used=lambda _: mappings(),
    ),
    of_rlimit(
        "RLIMIT_AS", "bytes of address space of a process", "bytes", "process", "mmap, shmat: ENOMEM", letter="v",
    ),
    of_rlimit(
        "RLIMIT_FSIZE", "bytes in a file, one in /dev/shm and a memfd too", "bytes", "process",
        "ftruncate, write: EFBIG, with SIGXFSZ", letter="f",
    ),
    other(
        "memory.max", "memory of the control group; /dev/shm and memfds count", "bytes", "cgroup",
        "the kernel ends a process with SIGKILL",
        value=lambda _: _group("memory", used=False), used=lambda _: _group("memory", used=True),
        remedy="systemd MemoryMax=; echo {more} > memory.max in the group", container="docker run --memory=NUMBER",
    ),
    of_kernel("memfd name", "bytes in the name of a memfd", "bytes", 249, "memfd_create: EINVAL"),
    of_kernel("IOV_MAX", "pieces in one call of writev, process_vm_readv", "pieces", 1024, "writev: EINVAL"),
)  # fmt: skip

_STREAMS = (
    of_sysctl(
        "fs.pipe-max-size", "bytes in one pipe, for the unprivileged", "bytes", "object",
        "fcntl(F_SETPIPE_SZ): EPERM",
    ),
    of_sysctl(
        "fs.pipe-user-pages-soft", "pages in all pipes of a user", "pages", "user",
        "a new pipe has two pages; fcntl(F_SETPIPE_SZ): EPERM", value=lambda _: _nonzero("fs.pipe-user-pages-soft"),
    ),
    of_sysctl(
        "fs.pipe-user-pages-hard", "pages in all pipes of a user", "pages", "user", "pipe2: ENFILE",
        value=lambda _: _nonzero("fs.pipe-user-pages-hard"),
    ),
    of_kernel(
        "PIPE_BUF", "bytes that go into a pipe in one piece", "bytes", PIPE_BUF, "write: others' bytes come between",
    ),
    of_sysctl(
        "kernel.pty.max", "pseudo-terminals", "terminals", "machine", "open of /dev/ptmx: ENOSPC",
        used=lambda _: sysctl("kernel.pty.nr"),
    ),
    of_kernel("N_TTY_BUF_SIZE", "bytes in one line of a terminal in cooked mode", "bytes", 4095, "the rest is dropped"),
)  # fmt: skip

_SOCKETS = (
    of_sysctl(
        "net.unix.max_dgram_qlen", "datagrams that wait at one Unix socket", "datagrams", "object",
        "send: EAGAIN, or it waits", also="for sockets that are made then",
    ),
    of_sysctl(
        "net.core.wmem_max", "bytes that wait in one socket, and so in one datagram", "bytes", "object",
        "send: EMSGSIZE", also="then setsockopt(SO_SNDBUF)",
    ),
    of_sysctl(
        "net.core.somaxconn", "connections in the backlog of one socket", "connections", "object",
        "connect: EAGAIN (Unix), or it waits", also="then listen() again",
    ),
    other(
        "net.ipv4.ip_local_port_range", "ports for connections towards one address", "ports", "network namespace",
        "connect: EADDRNOTAVAIL", value=lambda _: _ports(),
        remedy='sysctl -w net.ipv4.ip_local_port_range="15000 60999"',
        container=for_container("net.ipv4.ip_local_port_range"),
    ),
    of_kernel("SCM_MAX_FD", "descriptors in one message", "descriptors", 253, "sendmsg: EINVAL"),
    of_kernel("sun_path", "bytes in the path of a Unix socket", "bytes", 107, "bind, connect: ENAMETOOLONG"),
    of_kernel("UDP message", "bytes in one UDP message (IPv4)", "bytes", 65507, "send: EMSGSIZE"),
)  # fmt: skip

_PROCESSES = (
    of_rlimit(
        "RLIMIT_NOFILE", "descriptors of a process", "descriptors", "process",
        "open, pipe2, socket: EMFILE; sendmsg(SCM_RIGHTS): ETOOMANYREFS", letter="n",
        used=lambda _: descriptors_of_this_process(), nearest=lambda facts: facts.processes.descriptors,
    ),
    of_sysctl(
        "fs.nr_open", "what RLIMIT_NOFILE may be raised to", "descriptors", "process", "setrlimit: EPERM",
    ),
    of_sysctl(
        "fs.file-max", "open files, pipes and sockets, for the unprivileged", "files", "machine",
        "open, pipe2, socket: ENFILE", used=lambda _: sysctl("fs.file-nr"),
    ),
    of_rlimit(
        "RLIMIT_NPROC", "processes and threads of a user, for the unprivileged", "threads", "user", "fork: EAGAIN",
        letter="u", used=lambda facts: facts.processes.threads.get(os.getuid()),
    ),
    of_sysctl(
        "kernel.threads-max", "processes and threads", "threads", "machine", "fork: EAGAIN",
        used=lambda facts: facts.threads,
    ),
    of_sysctl(
        "kernel.pid_max", "numbers of processes and threads", "threads", "machine", "fork: EAGAIN",
        used=lambda facts: facts.threads, most=1 << 22,
    ),
    other(
        "pids.max", "processes and threads of the control group", "threads", "cgroup", "fork: EAGAIN",
        value=lambda _: _group("pids", used=False), used=lambda _: _group("pids", used=True),
        remedy="systemd TasksMax=; echo {more} > pids.max in the group", container="docker run --pids-limit=NUMBER",
    ),
)  # fmt: skip

_SIGNALS = (
    of_rlimit(
        "RLIMIT_SIGPENDING", "signals queued for one user", "signals", "user", "sigqueue: EAGAIN", letter="i",
        used=lambda facts: facts.signals and facts.signals[0],
    ),
    of_kernel(
        "SIGRTMAX", "real-time signals", "signals", signal.SIGRTMAX - signal.SIGRTMIN + 1, "sigaction: EINVAL",
    ),
    of_kernel("sigqueue value", "bits that come with a queued signal", "bits", 32, "the rest is lost"),
    of_kernel("SEM_VALUE_MAX", "tokens of a POSIX semaphore", "tokens", 2**31 - 1, "sem_post: EOVERFLOW"),
    of_kernel("eventfd count", "count of an eventfd", "", 2**64 - 2, "write: EAGAIN, or it waits"),
    of_kernel(
        "NAME_MAX", "bytes in the name of a POSIX queue or memory; 4 less of a semaphore", "bytes", 255,
        "mq_open, shm_open, sem_open: ENAMETOOLONG",
    ),
)  # fmt: skip

RULES: tuple[Rule, ...] = (
    *_POSIX_QUEUES, *_SYSTEM_V, *_MEMORY_LIMITS, *_STREAMS, *_SOCKETS, *_PROCESSES, *_SIGNALS,
)  # fmt: skip
