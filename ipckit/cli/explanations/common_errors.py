"""Error numbers that nearly every program which communicates meets: errno(3)."""

from __future__ import annotations

from ipckit.cli.explanations.topics import ErrorTopic

TOPICS = (
    ErrorTopic(
        "EPERM",
        "It is not yours to do: ownership, a capability, or a seal of a memory file forbids it, whatever the mode "
        "says.",
        (
            ("msgctl, semctl, shmctl", "IPC_RMID and IPC_SET: only the owner, the creator or root may"),
            ("kill, sigqueue", "the receiver runs as another user"),
            ("fcntl(F_ADD_SEALS), ftruncate, write", "a seal forbids it (memfd)"),
            ("fcntl(F_SETPIPE_SZ)", "more than fs.pipe-max-size without CAP_SYS_RESOURCE"),
            ("process_vm_readv, pidfd_getfd", "it takes what ptrace takes"),
        ),
        "Do it as the owner, whom `ipckit show` tells, or give the program the capability that the message names. "
        "For ptrace, `ipckit doctor` says what stands in the way.",
    ),
    ErrorTopic(
        "ENOENT",
        "There is no object of that name, or it was unlinked meanwhile and another one has its name.",
        (
            ("mq_open, sem_open, shm_open, open", "nobody has created it, or somebody has unlinked it"),
            ("msgget, semget, shmget", "no object has that key"),
            ("connect", "no socket has that path"),
        ),
        "Look with `ipckit ls`. Names of POSIX objects begin with a slash. In another container the name leads "
        "elsewhere: /dev/shm and the IPC namespace are private. To create it where it is missing, use open_or_create.",
    ),
    ErrorTopic(
        "ESRCH",
        "There is no such process, or it has ended and was waited for.",
        (("kill, sigqueue, pidfd_open, pidfd_send_signal", "the pid is gone"), ("process_vm_readv", "likewise")),
        "A pid can be another process's a moment later. Keep a PidFd of what you want to signal: it never means "
        "another one.",
    ),
    ErrorTopic(
        "EINTR",
        "A signal handler ran while the call waited.",
        (("every call that waits", "semop, msgsnd, msgrcv and epoll_wait even with SA_RESTART"),),
        "Nothing: ipckit goes on waiting with what is left of the time, after the handler has run, as PEP 475 says. A "
        "handler that raises ends the wait. In C, call again.",
    ),
    ErrorTopic(
        "EBADF",
        "The descriptor is closed, or open the wrong way round.",
        (
            ("read, write, mq_send, mq_receive", "the descriptor was closed, or opened for the other direction only"),
            ("splice, tee, sendfile", "the source must be open for reading, the target for writing"),
            ("fcntl(F_SETLK)", "a shared lock takes a descriptor for reading, an exclusive one for writing"),
        ),
        "A handle of ipckit that this process has closed raises ClosedError. EBADF means that somebody closed the "
        "descriptor behind its back, as daemons do with os.closerange: create handles after that.",
    ),
    ErrorTopic(
        "EAGAIN",
        "The call would have to wait, and was told not to. Some calls give it for a limit that is reached.",
        (
            ("read, recv, mq_receive, msgrcv", "nothing is there yet"),
            ("write, send, mq_send, msgsnd", "there is no room"),
            ("semop, sem_trywait, futex, flock, fcntl", "somebody else has it; of a futex, its value differs"),
            ("sigqueue", "the receiver's RLIMIT_SIGPENDING is reached: LimitError"),
            ("fork, pthread_create", "the user's RLIMIT_NPROC, or pids.max of the cgroup, is reached"),
        ),
        "Give a timeout, or none to wait for ever, instead of 0; wait for several objects at once with poll. For "
        "limits see `ipckit limits`.",
    ),
    ErrorTopic(
        "ENOMEM",
        "The kernel has no memory for it, or the process no more room for mappings.",
        (
            ("mmap, shmat", "more mappings than vm.max_map_count, or RLIMIT_AS"),
            ("mlock, shmctl(SHM_LOCK)", "RLIMIT_MEMLOCK"),
            ("shmget with SHM_HUGETLB", "no huge pages are reserved: vm.nr_hugepages"),
            ("msgsnd, semget, eventfd", "the memory of the kernel, or of the cgroup, is used up"),
        ),
        "Look at `ipckit limits` and at the memory limit of the container.",
    ),
    ErrorTopic(
        "EACCES",
        "The permission bits of the object, or of a directory on the way, forbid it.",
        (
            ("mq_open, sem_open, shm_open, open, connect", "the mode of the object; another user made it with 0600"),
            ("msgget, semget, shmget, shmat, msgsnd", "the mode of the object"),
            ("mmap", "a writable shared mapping of a file that is open for reading only"),
            ("open in /dev/shm with O_CREAT", "fs.protected_regular: the file is another user's"),
        ),
        "`ipckit show` tells owner and mode. Objects of ipckit are made with mode 0600 unless their creator says "
        "otherwise: create them with mode=0o660 and a common group.",
    ),
    ErrorTopic(
        "EFAULT",
        "An address is outside what the process has mapped.",
        (("process_vm_readv, process_vm_writev", "of the other process"), ("futex, semop, msgsnd", "of this one")),
        "From Python this comes of ProcessMemory alone: the other process has nothing there, or has unmapped it.",
    ),
    ErrorTopic(
        "EBUSY",
        "Another thread, process or registration has what was asked for.",
        (
            ("mq_notify", "a process is registered for that queue already"),
            ("fcntl(F_SETPIPE_SZ)", "the pipe holds more than the new size"),
            ("fcntl(F_ADD_SEALS)", "F_SEAL_WRITE while somebody has the file mapped for writing"),
            ("roles of rings", "a living process is the producer, the consumer or the writer already"),
        ),
        "`ipckit show` tells who has it. Roles come free when their process closes the ring, or dies.",
    ),
    ErrorTopic(
        "EEXIST",
        "The name or the key is taken, and the creation was to be exclusive, as create always is.",
        (("mq_open, sem_open, shm_open, open, mkfifo, link", "the name"), ("msgget, semget, shmget", "the key")),
        "Use open, or open_or_create. Was it left behind by a program that was killed? `ipckit show` gives the "
        "verdict, `ipckit clean` removes what is provably stale, `ipckit rm` what you name.",
    ),
    ErrorTopic(
        "EINVAL",
        "An argument makes no sense for this object: a size, a name, a flag, or what the descriptor is of.",
        (
            ("mq_open", "more messages or larger ones than fs.mqueue.msg_max and fs.mqueue.msgsize_max allow"),
            ("msgsnd", "a type below 1, or more bytes than kernel.msgmax"),
            ("msgget, semget, shmget", "the object exists, and is smaller than asked for; or more than SHMMAX"),
            ("msgctl, semop, shmat", "there is no object of that number (any more)"),
            ("splice, tee", "neither side is a pipe, or the target is open with O_APPEND"),
        ),
        "Most of these are ValueError in ipckit, before the kernel is asked, with the limit in the message. "
        "`ipckit limits` shows what mq_open may ask for.",
    ),
    ErrorTopic(
        "ENFILE",
        "The whole machine has as many files open as it may.",
        (("open, pipe, socket, eventfd, memfd_create", "fs.file-max"), ("pipe", "fs.pipe-user-pages-hard of the user")),
        "Find who has so many with `ipckit ls pipe unix`, raise fs.file-max.",
    ),
    ErrorTopic(
        "EMFILE",
        "This process, or this user, has as many as it may.",
        (
            ("open, pipe, socket, accept, eventfd, mq_open", "RLIMIT_NOFILE: descriptors of the process"),
            ("mq_open", "RLIMIT_MSGQUEUE: bytes in all queues of the user"),
            ("inotify_init", "fs.inotify.max_user_instances"),
        ),
        "`ipckit limits` shows use and limit. `ulimit -n` or LimitNOFILE= for descriptors, `ulimit -q` or "
        "LimitMSGQUEUE= for queues. Close what is not used: handles are context managers.",
    ),
    ErrorTopic(
        "ENOTTY",
        "The descriptor is not a terminal, or not this process's own one.",
        (("tcgetattr, ioctl", "no terminal"), ("tcgetpgrp", "not the controlling terminal of this session")),
        "Programs that ask for passwords or edit lines want a terminal: give them a PseudoTerminal.",
    ),
    ErrorTopic(
        "EFBIG",
        "A file would grow beyond RLIMIT_FSIZE, or a semaphore's index lies outside its set.",
        (("ftruncate, write", "RLIMIT_FSIZE, with SIGXFSZ"), ("semop", "no semaphore of that index")),
        "`ulimit -f`; or count the semaphores of the set: `ipckit show sysv-sem:KEY`.",
    ),
    ErrorTopic(
        "ENOSPC",
        "A limit on how many objects there may be, or on how large they are together, is reached; or /dev/shm is full.",
        (
            ("mq_open", "fs.mqueue.queues_max"),
            ("msgget", "kernel.msgmni"),
            ("semget", "kernel.sem: the second number, all semaphores; the fourth, sets"),
            ("shmget", "kernel.shmmni, kernel.shmall"),
            ("posix_fallocate, write in /dev/shm", "the tmpfs is full"),
            ("posix_openpt", "kernel.pty.max"),
        ),
        "Often nothing has to be raised: `ipckit ls --stale` and `ipckit clean` find what dead programs left. "
        "Otherwise `ipckit limits` names the sysctl; /dev/shm of a container grows with docker run --shm-size.",
    ),
    ErrorTopic(
        "EPIPE",
        "Everybody who could have read has closed the other end. A program in C is sent SIGPIPE as well.",
        (("write, send", "to a pipe, a FIFO or a socket without a reader"),),
        "Stop writing: what was written before may or may not have been read. Python ignores SIGPIPE; a shell does "
        "not. For a server: the client has gone, serve the next one.",
    ),
    ErrorTopic(
        "ENAMETOOLONG",
        "The name is longer than the kernel allows.",
        (("mq_open, shm_open", "255 bytes"), ("sem_open", "251"), ("bind, connect", "107 bytes of a socket's path")),
        "Shorter names, or hash the long part. For sockets a shorter directory, a relative path or an abstract name.",
    ),
)
