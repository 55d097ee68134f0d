"""Streams of bytes, sockets and terminals: pipe(7), unix(7), tcp(7), pty(7)."""

from __future__ import annotations

from ipckit.cli.explanations.topics import PrimitiveTopic as Topic

TOPICS = (
    Topic(
        "pipe",
        "pipe",
        ("pipes", "anonymous-pipe"),
        ("ipckit.Pipe",),
        "Bytes in one direction, between processes that inherit its descriptors or are sent them. The kernel buffers "
        "64 KiB. With send and receive they are whole messages; with packet=True the kernel keeps the boundaries.",
        "One sender and one receiver that are parent and child; the output of a program; anything that is polled.",
        "Where strangers meet by name (fifo, unix), both ways are needed (duplex), or a message takes less time than "
        "a switch of processes (spsc).",
        "What was written is still read; then the end of the stream, or PeerDiedError in the middle of a message. "
        "Nothing stays behind.",
        "64 KiB, up to fs.pipe-max-size on request; beyond fs.pipe-user-pages-soft a new pipe has two pages; 4096 "
        "bytes go in in one piece (PIPE_BUF).",
        ("pipe(7)", "pipe(2)", "splice(2)"),
        ("fifo", "duplex", "spsc"),
    ),
    Topic(
        "fifo",
        "FIFO, or named pipe",
        ("named-pipe", "fifos"),
        ("ipckit.Fifo",),
        "A pipe with a path. The file is only the meeting point: nothing is ever stored in it.",
        "Programs, of C or of the shell, that know one path and nothing else.",
        "Several writers of messages above 4096 bytes: they mix. Opening waits for the other side, so use timeouts.",
        "As a pipe; the file stays until somebody unlinks it, and does no harm.",
        "As a pipe.",
        ("fifo(7)", "mkfifo(3)"),
        ("pipe", "unix"),
    ),
    Topic(
        "duplex",
        "full-duplex pipe",
        ("socketpair", "duplexpipe", "duplex-pipe", "stream-pipe"),
        ("ipckit.DuplexPipe",),
        "Two connected Unix sockets: bytes, or messages with boundaries, in both directions.",
        "Parent and child that ask and answer; descriptors are to be passed.",
        "Strangers that meet by name: unix.",
        "What was sent is still received, then the end, or PeerDiedError in the middle of a message. Nothing stays "
        "behind.",
        "SO_SNDBUF of each side, at first net.core.wmem_default.",
        ("socketpair(2)", "unix(7)"),
        ("pipe", "unix"),
    ),
    Topic(
        "unix",
        "Unix socket",
        ("unix-socket", "unix-sockets", "uds", "af_unix", "local-socket", "socket"),
        (
            "ipckit.sockets.unix.Stream",
            "ipckit.sockets.unix.SeqPacket",
            "ipckit.sockets.unix.Datagram",
            "ipckit.sockets.unix.Listener",
        ),
        "Connections within one machine, by a path or an abstract name: a stream, a sequence of messages (SeqPacket), "
        "or datagrams. They carry descriptors, and tell who the peer is.",
        "A server with many clients on this machine; permissions by path and by the peer's uid; passing descriptors.",
        "Other machines: tcp. The utmost speed between two processes: spsc.",
        "A client gets BrokenPeerError or the end of the stream. The path of a killed listener stays; the next listen "
        "replaces it. Abstract names go with their socket.",
        "SO_SNDBUF; net.core.somaxconn connections in a backlog; net.unix.max_dgram_qlen datagrams at one socket; 253 "
        "descriptors in one message; 107 bytes of path.",
        ("unix(7)", "socket(2)"),
        ("tcp", "duplex", "server"),
    ),
    Topic(
        "tcp",
        "TCP connection",
        ("inet", "inet-stream", "sockets", "inet-sockets"),
        ("ipckit.sockets.inet.Stream", "ipckit.sockets.inet.Listener"),
        "A stream of bytes between machines; with send and receive, messages.",
        "Other machines, or other containers without a shared directory.",
        "The same machine: a Unix socket takes less time, has permissions, and passes descriptors.",
        "BrokenPeerError, or the end of the stream. A machine that vanished is noticed by writing, or by keep_alive.",
        "SO_SNDBUF and SO_RCVBUF, net.ipv4.tcp_wmem; net.core.somaxconn; ports of net.ipv4.ip_local_port_range.",
        ("tcp(7)", "ip(7)"),
        ("udp", "unix", "rpc"),
    ),
    Topic(
        "udp",
        "UDP datagrams",
        ("inet-datagram", "datagram", "datagrams"),
        ("ipckit.sockets.inet.Datagram", "ipckit.sockets.unix.Datagram"),
        "Single messages, between machines also lost, doubled or out of order; a Unix datagram socket loses none, and "
        "waits instead.",
        "Many senders and one receiver; news of which the next one replaces the last; broadcast in a network.",
        "Whatever must arrive, from other machines: tcp.",
        "Nobody is told, but a connected sender: BrokenPeerError, once.",
        "65507 bytes over IPv4; net.core.rmem_max of the receiver, beyond which datagrams are dropped silently.",
        ("udp(7)", "unix(7)"),
        ("tcp", "unix"),
    ),
    Topic(
        "pty",
        "pseudo-terminal",
        ("ptys", "terminal", "pseudo-terminal", "pseudoterminal", "tty"),
        ("ipckit.PseudoTerminal", "ipckit.pty.TerminalProcess"),
        "A terminal in software: programs have one side as their keyboard and screen, whoever drives them has the "
        "other.",
        "Programs that ask for passwords, edit lines, colour their output, or buffer it in a pipe.",
        "Programs that are content with a pipe: that has no echo, no line length, no control characters.",
        "When the last copy of the master goes, programs on it get SIGHUP. When all programs are gone, the master "
        "reads the end.",
        "kernel.pty.max; in cooked mode 4095 bytes in a line.",
        ("pty(7)", "pts(4)", "termios(3)"),
        ("pipe",),
    ),
    Topic(
        "signal",
        "signals",
        ("signals", "sigqueue", "signalfd", "realtime-signal", "kill"),
        ("ipckit.signals.send", "ipckit.signals.sigqueue", "ipckit.signals.sigtimedwait", "ipckit.signals.SignalFd"),
        "A number for a process, that interrupts it or is fetched: from SIGRTMIN to SIGRTMAX queued, in order, and "
        "with 32 bits of value.",
        "A nudge for a process of which one knows no more than its pid: reload, end, wake up.",
        "Data: any queue. Counting with ordinary signals: several that are pending are one.",
        "What a killed sender had queued arrives, from a pid that is gone; what a killed receiver had pending is gone.",
        "RLIMIT_SIGPENDING of the receiving user; 31 real-time signals.",
        ("signal(7)", "sigqueue(3)", "signalfd(2)"),
        ("eventfd", "pidfd"),
    ),
)
