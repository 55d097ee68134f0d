"""Error numbers of sockets, System V objects, locks and limits: errno(3)."""

from __future__ import annotations

from ipckit.cli.explanations.topics import ErrorTopic

TOPICS = (
    ErrorTopic(
        "E2BIG",
        "The message, or the number of operations, is larger than the call allows.",
        (
            ("msgrcv", "the message is longer than the buffer, and MSG_NOERROR was not given: it stays in the queue"),
            ("semop", "more operations than the third number of kernel.sem"),
            ("execve", "arguments and environment are too long"),
        ),
        "Receive with a larger max_size, or with truncate=True. Split the operations, if they need not be atomic.",
    ),
    ErrorTopic(
        "ECHILD",
        "There is no such child to wait for.",
        (("waitpid, waitid", "it is not a child of this process, was reaped already, or SIGCHLD is ignored"),),
        "Only the parent gets the status, and only once. A PidFd becomes ready for everybody.",
    ),
    ErrorTopic(
        "ENXIO",
        "Nobody is at the other end.",
        (("open", "a FIFO for writing with O_NONBLOCK, without a reader; a socket's file"),),
        "Start the reader first, or wait for one: Fifo.open_writer with a timeout does.",
    ),
    ErrorTopic(
        "EIO",
        "The terminal is gone, or the process in the background may not use it.",
        (("read, write", "of a pseudo-terminal whose other side is closed; for the master that is the end"),),
        'Read it as the end: ipckit returns b"".',
    ),
    ErrorTopic(
        "ERANGE",
        "A value is outside what the object can hold.",
        (("semop, semctl", "a System V semaphore would exceed 32767, or what is to be undone would"),),
        "Release less often, or spread it over several semaphores.",
    ),
    ErrorTopic(
        "EDEADLK",
        "To wait would never end: this thread has the lock already, or the owners wait for each other in a circle.",
        (
            ("fcntl(F_SETLKW)", "the kernel found a circle; it looks at record locks only, not at OFD locks"),
            ("pthread_mutex_lock, futex(FUTEX_LOCK_PI)", "the owner locks again, or a circle"),
        ),
        "Take several locks always in the same order, or with timeouts. `ipckit ls lock` shows who has which.",
    ),
    ErrorTopic(
        "ENOLCK",
        "The kernel has no room for more locks, or the file system has none.",
        (("fcntl(F_SETLK)", "on some network file systems, and with very many locks"),),
        "Lock a file on a local file system, such as /run or /dev/shm.",
    ),
    ErrorTopic(
        "ENOSYS",
        "This kernel has no such call, or a seccomp filter says so.",
        (
            ("mq_open", "no CONFIG_POSIX_MQUEUE"),
            ("msgrcv(MSG_COPY)", "no CONFIG_CHECKPOINT_RESTORE"),
            ("futex_waitv, pidfd_open, process_vm_readv", "an older kernel, or the filter of a container"),
        ),
        "`ipckit doctor` tells what is missing here, and what works without.",
    ),
    ErrorTopic(
        "ENOMSG",
        "The queue has no message of the wanted type.",
        (("msgrcv", "with IPC_NOWAIT, or with MSG_COPY beyond the last message"),),
        "Wait for one: receive(type=..., timeout=...). `ipckit show sysv-mq:KEY` tells how many there are.",
    ),
    ErrorTopic(
        "EIDRM",
        "The System V object was removed while the call waited for it, or its number belongs to another one by now.",
        (
            ("msgsnd, msgrcv, semop", "somebody removed the queue or the set: all who wait are woken with this"),
            ("msgctl, semctl, shmctl", "the number is of an object that was removed"),
        ),
        "It is gone for good, with what was in it. Create or open it again by its key. If nobody meant to remove it, "
        "look for ipcrm, for RemoveIPC= of systemd-logind (`ipckit doctor`), and for whoever created it with "
        "remove_on_close.",
    ),
    ErrorTopic(
        "EBADMSG",
        "What was found is no message.",
        (("rings of ipckit", "a peer has overwritten the ring with garbage: LayoutError"),),
        "Find out who may write there: the mode of the object says whom you trust. Create the ring anew.",
    ),
    ErrorTopic(
        "EPROTO",
        "The two sides do not speak the same protocol.",
        (("rings and locks of ipckit", "the segment has another layout version, kind or geometry: LayoutError"),),
        "All programs that share an object need versions of ipckit with the same layout; remove the old object.",
    ),
    ErrorTopic(
        "EOVERFLOW",
        "A number is larger than the field it has to go into.",
        (("sem_post", "more than SEM_VALUE_MAX tokens"), ("fcntl(F_SETLK)", "a range beyond the largest offset")),
        "A semaphore that overflows is released more often than it is acquired.",
    ),
    ErrorTopic(
        "ENOTSOCK",
        "The descriptor is not a socket.",
        (("send, recv, getsockopt", "of a pipe or a file"),),
        "Use read and write, or look at what was handed over: `ipckit ls --pid PID`.",
    ),
    ErrorTopic(
        "EMSGSIZE",
        "The message is larger than the object ever takes; waiting would not help.",
        (
            ("mq_send", "more than the queue's message size; mq_receive: the buffer is smaller than that"),
            ("send", "of a datagram larger than SO_SNDBUF, or than 65507 bytes over UDP"),
            ("rings of ipckit", "longer than the ring can hold"),
        ),
        "Create the object with a larger max_message_size or capacity, a ring with oversize='fragments'; or share the "
        "data (a Memfd, SharedMemory) and send only where it is.",
    ),
    ErrorTopic(
        "EOPNOTSUPP",
        "This file system, socket or kernel lacks the operation.",
        (
            ("open(O_TMPFILE)", "/dev/shm is not a tmpfs: named rings are refused"),
            ("sendmsg", "descriptors over a socket that is not a Unix socket"),
        ),
        "`ipckit doctor` says what /dev/shm lacks. Anonymous rings work anywhere.",
    ),
    ErrorTopic(
        "EADDRINUSE",
        "The address is taken.",
        (
            ("bind", "a Unix socket's path exists, also if nobody listens there any more"),
            ("bind", "another process listens on that port"),
        ),
        "Listener.listen of ipckit replaces a path that nobody listens on. Who has the address, `ipckit ls unix` "
        "tells.",
    ),
    ErrorTopic(
        "EADDRNOTAVAIL",
        "The address is none of this machine's, or no port is free.",
        (("bind", "not an address of this machine"), ("connect", "all of net.ipv4.ip_local_port_range are in use")),
        "Bind to 0.0.0.0, ::, or an address that `ip addr` shows.",
    ),
    ErrorTopic(
        "ENETUNREACH",
        "There is no way to that network.",
        (("connect, sendto", "no route; a container without a network"),),
        "`ip route`. Two processes of one machine need no network: use a Unix socket.",
    ),
    ErrorTopic(
        "ECONNRESET",
        "The other side went away with bytes of ours unread, or was killed.",
        (("recv, send", "of a stream socket"), ("BroadcastRing", "a slow reader was cut off: DisconnectedError")),
        "Connect again. Nobody knows which of the last messages were handled: ask, or make them harmless to repeat.",
    ),
    ErrorTopic(
        "ENOBUFS",
        "The kernel has no buffer for it at the moment.",
        (("send", "of a datagram, when the device's queue is full"),),
        "Try again later, or send slower.",
    ),
    ErrorTopic(
        "ENOTCONN",
        "The socket is not connected, or not any more.",
        (("send, recv, getpeername", "before connect, or after the other side is gone"),),
        "Connect first; give sendto an address.",
    ),
    ErrorTopic(
        "ETOOMANYREFS",
        "Too many descriptors are on their way through Unix sockets and were not yet received.",
        (("sendmsg(SCM_RIGHTS)", "more than RLIMIT_NOFILE of the user in flight"),),
        "The receiver must receive them; raise `ulimit -n`.",
    ),
    ErrorTopic(
        "ETIMEDOUT",
        "The time that was given to a wait is up; of a connection, the other machine no longer answers.",
        (
            ("mq_timedsend, sem_timedwait, futex, semtimedop", "the timeout; semtimedop says EAGAIN, ipckit this one"),
            ("connect, recv", "of TCP: BrokenPeerError"),
        ),
        "Who should have answered? `ipckit show OBJECT` tells who has it, and who waits. A StalledError has the pid "
        "of a process that lives and does not go on: it may be stopped.",
    ),
    ErrorTopic(
        "ECONNREFUSED",
        "Nobody listens there.",
        (
            ("connect", "the socket's file is there, but its listener is gone; or its backlog is full (TCP: dropped)"),
            ("send", "of a connected UDP socket: the other machine has said so"),
        ),
        "Start the server. `ipckit ls unix` shows who listens; a file that was left behind is replaced by the next "
        "listen.",
    ),
    ErrorTopic(
        "EDQUOT",
        "The user's quota is used up.",
        (("open, write, mkfifo", "on file systems with quotas; tmpfs has them from Linux 6.6 on"),),
        "Remove what is not needed, or have the quota raised.",
    ),
    ErrorTopic(
        "ECANCELED",
        "The wall clock was set, and what was reckoned with it no longer holds.",
        (("read", "of a TimerFd with cancel_on_set=True"),),
        "Reckon again from the new time, and set the timer anew.",
    ),
    ErrorTopic(
        "EOWNERDEAD",
        "The last owner of a lock died while it had it. The lock is yours now; what it protects may be half-changed.",
        (
            ("pthread_mutex_lock, futex", "of robust mutexes"),
            ("sync.Mutex, sync.RWLock", "told in the result, or raised, as the handle's on_owner_death says"),
        ),
        "Put right what it protects, then mark_consistent(). Whoever releases it without that makes it unusable.",
    ),
    ErrorTopic(
        "ENOTRECOVERABLE",
        "An owner died, and the next one gave the lock back without putting right what it protects.",
        (("pthread_mutex_lock, sync.Mutex", "for everybody, from then on"),),
        "Create lock and data anew. In the program, call mark_consistent() after OwnerDiedError.",
    ),
)
