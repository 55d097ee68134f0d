"""Queues of messages: mq_overview(7), sysvipc(7), and the rings of ipckit."""

from __future__ import annotations

from ipckit.cli.explanations.topics import PrimitiveTopic as Topic

_RING_LIMITS = "2 GiB for a ring; all of it is memory, reserved at creation: room in /dev/shm for a named one."

TOPICS = (
    Topic(
        "mq",
        "POSIX message queue",
        ("mqueue", "posix-mq", "posix-message-queue", "message-queue"),
        ("ipckit.posix.MessageQueue", "ipckit.posix.Notification"),
        "Messages with priorities, kept by the kernel until they are received or the machine is started anew. They "
        "can be polled, and notify by a signal.",
        "Several senders and receivers, also in C; messages that must outlive their sender; priorities.",
        "Messages above 8 KiB, more than ten of them waiting, or where speed counts: the limits are small.",
        "Nothing: a message is in the queue whole or not at all. The queue stays until it is unlinked.",
        "fs.mqueue.msg_max messages and fs.mqueue.msgsize_max bytes each, fs.mqueue.queues_max queues, "
        "RLIMIT_MSGQUEUE bytes of one user.",
        ("mq_overview(7)", "mq_open(3)"),
        ("sysv-mq", "mpmc", "unix"),
    ),
    Topic(
        "sysv-mq",
        "System V message queue",
        ("sysv-msg", "msgget", "msg", "sysv-message-queue"),
        ("ipckit.sysv.MessageQueue", "ipckit.sysv.ftok"),
        "Messages with types, by which receivers choose; found by a number, the key.",
        "Old programs that use them; receivers that each want their own type.",
        "New programs: no descriptor, so nothing to poll; keys may collide; objects are forgotten easily.",
        "Nothing: a message is in the queue whole or not at all. The queue stays until it is removed.",
        "kernel.msgmax bytes in a message, kernel.msgmnb in a queue, kernel.msgmni queues.",
        ("sysvipc(7)", "msgget(2)", "msgop(2)"),
        ("mq", "mpmc"),
    ),
    Topic(
        "ring",
        "rings of ipckit",
        ("rings", "ring-buffer", "shared-memory-ring"),
        ("ipckit.SpscRing", "ipckit.MpmcRing", "ipckit.BroadcastRing", "ipckit.Latest"),
        "Messages in shared memory. No system call while both sides are awake; whoever waits spins for a moment, then "
        "sleeps in futex(2). One producer and one consumer: spsc; many, each message to one: mpmc; many, each message "
        "to all: broadcast; only the newest value: latest.",
        "Speed, large messages, messages written and read in place.",
        "Programs that do not use ipckit, or that must poll: a ring has no descriptor that becomes ready.",
        "Nobody hangs and nothing committed is lost, whichever instruction was the last: the others go on within 50 "
        "ms. A named ring stays in /dev/shm as ipckit.NAME until it is unlinked; when all are gone it is stale, and "
        "`ipckit clean` takes it.",
        _RING_LIMITS,
        ("futex(2)", "shm_overview(7)"),
        ("spsc", "mpmc", "broadcast", "latest", "queue"),
    ),
    Topic(
        "spsc",
        "ring from one producer to one consumer",
        ("spscring", "spsc-ring", "spsc_ring"),
        ("ipckit.SpscRing",),
        "Messages of any length in shared memory, in order, from one process to another.",
        "Two processes, as fast as the machine allows; a stream of samples or frames; a ring in each direction for "
        "questions and answers.",
        "More than one sender or receiver: mpmc. Both on one processor: a pipe is as quick.",
        "Of the producer: what it committed is received, then PeerDiedError. Of the consumer: the messages of its "
        "last call go to its successor, or are gone with it; never half of one.",
        _RING_LIMITS,
        ("futex(2)",),
        ("mpmc", "broadcast", "pipe"),
    ),
    Topic(
        "mpmc",
        "ring for many producers and consumers",
        ("mpmcring", "mpmc-ring", "mpmc_ring", "work-queue"),
        ("ipckit.MpmcRing",),
        "Messages of any length from any number of producers to any number of consumers, each message to one of them.",
        "Work for several workers; many senders to one receiver.",
        "One to one: spsc is quicker. Every message to everybody: broadcast. Objects of Python: queue.",
        "What was committed is received once. What a killed consumer had on loan goes to another one, or is counted "
        "as lost, as the creator chose.",
        f"64 participants at a time unless the creator says otherwise. {_RING_LIMITS}",
        ("futex(2)",),
        ("spsc", "broadcast", "queue", "mq"),
    ),
    Topic(
        "broadcast",
        "broadcast ring",
        ("broadcastring", "broadcast-ring", "pubsub", "publish-subscribe"),
        ("ipckit.BroadcastRing",),
        "Messages from one or more writers to any number of readers, that all see every message. What a slow reader "
        "costs, the creator chooses: writers wait, it loses messages and is told how many, or it is cut off.",
        "Market data, telemetry, logs for several readers, configuration.",
        "Each message to one of many: mpmc. Only the newest value counts: latest.",
        "Of a writer: what it committed is received by all, then PeerDiedError if it was the last. Of a reader: "
        "nothing.",
        f"64 writers and readers at a time, up to 4096 on request. {_RING_LIMITS}",
        ("futex(2)",),
        ("latest", "mpmc"),
    ),
    Topic(
        "latest",
        "the newest value",
        ("latest-value", "seqlock", "state"),
        ("ipckit.Latest",),
        "One value that a writer replaces and any number of readers copy. Nobody waits for anybody; a reader gets a "
        "whole value, the newest.",
        "State: a position, a price, a configuration.",
        "Where every value counts: broadcast.",
        "The newest value stays, whole; readers get PeerDiedError when they have it; a successor may write.",
        "One writer at a time; 4096 bytes unless the creator says otherwise.",
        ("futex(2)",),
        ("broadcast",),
    ),
    Topic(
        "queue",
        "queue of Python objects",
        ("queues", "multiprocessing-queue", "mp-queue", "joinablequeue", "simplequeue"),
        ("ipckit.Queue", "ipckit.compat.multiprocessing.JoinableQueue", "ipckit.compat.multiprocessing.SimpleQueue"),
        "multiprocessing.Queue on an mpmc ring: pickled objects, without a thread as long as there is room.",
        "A program that uses multiprocessing.Queue: change the import.",
        "Bytes: an mpmc ring takes them as they are.",
        "What was put is got, but for what waited for room in the memory of who died; what it was getting, another "
        "one gets.",
        _RING_LIMITS,
        (),
        ("mpmc", "compat"),
    ),
    Topic(
        "file",
        "files that ipckit keeps beside its objects",
        ("files", "leftovers"),
        (),
        "Names of System V objects, long messages of rings, half-made objects of kernels without O_TMPFILE: files in "
        "/dev/shm whose names begin with ipckit or .ipckit.",
        "Nobody chooses them; they belong to an object, and go with it.",
        "Do not remove them by hand: `ipckit clean` knows which are still needed.",
        "Some are left by whoever is killed at the wrong moment, and removed by whoever next opens the object, or by "
        "`ipckit clean`.",
        "Room in /dev/shm.",
        (),
        ("ring", "sysv-sem"),
    ),
)
