"""Servers, remote procedure calls, and what stands in for the standard library."""

from __future__ import annotations

from ipckit.cli.explanations.topics import PrimitiveTopic as Topic

TOPICS = (
    Topic(
        "server",
        "server for many peers",
        ("servers", "peer"),
        ("ipckit.server.Server", "ipckit.server.Peer"),
        "One handler for many peers over Unix sockets, TCP, a FIFO or a message queue: by processes, threads, a "
        "selector loop or asyncio, with limits and a graceful stop.",
        "Anything that answers many clients.",
        "Procedures with types, called from C too: rpc.",
        "Of a client: its connection ends. Of a worker: its connection ends (WorkerDiedError), its place is free.",
        "RLIMIT_NOFILE; RLIMIT_NPROC for a process or thread each; net.core.somaxconn.",
        ("epoll(7)", "fork(2)"),
        ("unix", "tcp", "rpc"),
    ),
    Topic(
        "rpc",
        "remote procedure calls",
        ("onc-rpc", "sunrpc", "rpcgen", "procedure-call"),
        ("ipckit.rpc.Client", "ipckit.rpc.AsyncClient", "ipckit.rpc.Server"),
        "ONC RPC (RFC 5531): procedures with types, over TCP, UDP and Unix sockets, many calls at once. `ipckit "
        "rpcgen` makes a module of a file in the RPC language.",
        "Services that programs in C or on other machines call, too.",
        "Streams of data, and broadcast: a ring or a socket.",
        "Of the server: calls in flight get BrokenPeerError, and nobody knows whether they were made. Over UDP a call "
        "may be made twice.",
        "As TCP and UDP.",
        ("rpc(3)", "rpcgen(1)"),
        ("rpcbind", "xdr", "server"),
    ),
    Topic(
        "rpcbind",
        "port mapper of RPC",
        ("portmapper", "portmap", "rpcinfo"),
        ("ipckit.rpc.rpcbind.Rpcbind", "ipckit.rpc.portmapper.serve"),
        "Tells the port of a program by its number. `ipckit rpcinfo` asks it.",
        "Programs whose clients know only the number.",
        "Where the port or the socket is known.",
        "What a killed server had registered stays until the next one replaces it: `ipckit rpcinfo -d` removes it.",
        "None.",
        ("rpcbind(8)", "rpcinfo(8)"),
        ("rpc",),
    ),
    Topic(
        "xdr",
        "external data representation",
        ("rpc-xdr", "encoding"),
        ("ipckit.rpc.xdr.codec", "ipckit.rpc.xdr.Packer", "ipckit.rpc.xdr.Unpacker"),
        "RFC 4506: values as bytes that every machine reads alike.",
        "Messages to programs in C or on other machines; files that must stay readable.",
        "Python to Python: pickle is at hand, where the sender is trusted.",
        "Not concerned.",
        "Lengths that the types declare.",
        ("xdr(3)",),
        ("rpc",),
    ),
    Topic(
        "compat",
        "in place of the standard library",
        ("drop-in", "multiprocessing", "threading"),
        ("ipckit.compat.threading", "ipckit.compat.multiprocessing", "ipckit.compat.shared_memory"),
        "Locks, queues and shared memory with the names and habits of threading and multiprocessing, that survive the "
        "death of anyone.",
        "A program that exists: change the import.",
        "A new program: the classes of ipckit tell more.",
        "An OwnerDiedWarning for the next owner of a lock; the rest as the classes behind it.",
        "As the classes behind it.",
        (),
        ("queue", "mutex", "shm"),
    ),
)
