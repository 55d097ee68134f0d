"""Shared memory, and descriptors that notify: shm_overview(7), mmap(2), eventfd(2)."""

from __future__ import annotations

from ipckit.cli.explanations.topics import PrimitiveTopic as Topic

_NOTHING = "Nothing stays behind: it goes with the last descriptor and mapping."

TOPICS = (
    Topic(
        "shm",
        "POSIX shared memory",
        ("posix-shm", "shared-memory", "sharedmemory", "shm_open"),
        (
            "ipckit.posix.SharedMemory",
            "ipckit.compat.shared_memory.SharedMemory",
            "ipckit.compat.shared_memory.ShareableList",
        ),
        "A file in /dev/shm that processes map: the same bytes for all.",
        "Large data that stays and is read by many, by name; arrays of numpy.",
        "Messages: memory has no order of its own; send one, or post a semaphore, when the data is there.",
        "What was written is there, half-finished or not. The name stays until somebody unlinks it.",
        "Room in /dev/shm: mount -o remount,size=, docker --shm-size.",
        ("shm_overview(7)", "shm_open(3)"),
        ("memfd", "mapping", "sysv-shm"),
    ),
    Topic(
        "sysv-shm",
        "System V shared memory",
        ("shmget", "shmat", "sysv-shared-memory"),
        ("ipckit.sysv.SharedMemory", "ipckit.sysv.Attachment"),
        "Segments by key, attached to the memory of processes; also in huge pages, or locked.",
        "Old programs, and databases, that use it; huge pages without a mount.",
        "New programs: shm or memfd have names or descriptors, and modes that everybody knows.",
        "What was written is there. The segment stays until it is removed; one that was removed goes with its last "
        "attachment.",
        "kernel.shmmax bytes in one, kernel.shmall pages in all, kernel.shmmni segments.",
        ("sysvipc(7)", "shmget(2)", "shmop(2)"),
        ("shm", "memfd"),
    ),
    Topic(
        "memfd",
        "memory file without a name",
        ("memfd_create", "seals", "anonymous-file"),
        ("ipckit.Memfd",),
        "Memory with a descriptor, that is passed on through a Unix socket or to children. Seals forbid to change or "
        "to shrink it for ever.",
        "A block that is handed over whole; a receiver that need not trust the sender; anything that must not be left "
        "behind.",
        "Strangers that meet by name: shm.",
        _NOTHING,
        "The memory of the cgroup; RLIMIT_NOFILE.",
        ("memfd_create(2)", "fcntl(2)"),
        ("shm", "mapping", "unix"),
    ),
    Topic(
        "mapping",
        "memory mapping",
        ("mmap", "mapped-file", "mappings"),
        ("ipckit.Mapping",),
        "A file, or memory of no file, in the address space of processes: shared, or private.",
        "A file that outlives a restart of the machine; memory for forked children; locks and numbers side by side in "
        "one page.",
        "Growing data: mappings have a size.",
        "As shm; a file has what was written, when the kernel has written it back (sync).",
        "vm.max_map_count mappings of a process; RLIMIT_MEMLOCK bytes locked.",
        ("mmap(2)", "msync(2)"),
        ("shm", "memfd"),
    ),
    Topic(
        "process-memory",
        "the memory of another process",
        ("processmemory", "process_vm_readv", "remote-memory"),
        ("ipckit.ProcessMemory",),
        "Reads and writes what another process has mapped, in one copy, without its help.",
        "Debuggers, checkpoints, one large copy from a process that tells the address.",
        "Where the other process can share memory: shm needs no rights over it.",
        "NoProcessError, whoever has got its pid. Of a write, a part may be done.",
        "The rights of ptrace: the same user, sysctl kernel.yama.ptrace_scope, CAP_SYS_PTRACE.",
        ("process_vm_readv(2)", "ptrace(2)"),
        ("shm",),
    ),
    Topic(
        "eventfd",
        "eventfd",
        ("event-fd", "eventfds"),
        ("ipckit.EventFd",),
        "A count in the kernel, with a descriptor that is ready while it is not 0.",
        "It has happened, for a loop that polls other things too; a semaphore for such loops.",
        "Processes that share no descriptor; the utmost speed: event.",
        f"The count stays while anybody has it. {_NOTHING}",
        "RLIMIT_NOFILE.",
        ("eventfd(2)",),
        ("event", "timerfd"),
    ),
    Topic(
        "timerfd",
        "timer with a descriptor",
        ("timer", "timer-fd"),
        ("ipckit.TimerFd",),
        "A timer on any clock, with a descriptor that is ready when it has expired.",
        "Timeouts and periods in a loop that polls; alarms at a time of day, that notice when the clock is set.",
        "One wait of one thread: every wait has a timeout.",
        f"The timer goes on while anybody has it. {_NOTHING}",
        "RLIMIT_NOFILE.",
        ("timerfd_create(2)",),
        ("eventfd",),
    ),
    Topic(
        "pidfd",
        "a process as a descriptor",
        ("pid-fd", "process", "pidfd_open"),
        ("ipckit.PidFd",),
        "A descriptor that means this process and never another one, and is ready when it has ended.",
        "To wait for the end of processes that are no children; to signal without the danger of a pid that was given "
        "again.",
        "Kernels before Linux 5.3.",
        "That is what it is for: it becomes ready.",
        "RLIMIT_NOFILE.",
        ("pidfd_open(2)", "pidfd_send_signal(2)"),
        ("signal",),
    ),
)
