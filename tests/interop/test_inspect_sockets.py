"""`ipckit.inspect` beside ss(8): the same Unix sockets, in the same states, with the same peers and processes."""

from __future__ import annotations

import os
import re
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ipckit import inspect
from ipckit.inspect.unix_sockets import UnixSocket

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.interop.conftest import Program

NETID = {"u_str": "stream", "u_dgr": "dgram", "u_seq": "seqpacket"}
ROW = re.compile(r"(u_\w+)\s+(\S+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(\d+)\s+(\S+)\s+(\d+)(?:\s+users:\((.*)\))?\s*")


def test_the_same_sockets_as_ss(start: Callable[..., Program], tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) for _ in range(3)]
        listener, client, waiting = sockets
        listener.bind(path)
        listener.listen(7)
        client.connect(path)
        accepted = stack.enter_context(listener.accept()[0])
        waiting.connect(path)
        packets = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        packets.bind(f"\0inspect-beside-ss-{os.getpid()}")
        one, other = map(stack.enter_context, socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        accepted.send(b"12345")
        mine = {os.fstat(each.fileno()).st_ino for each in (*sockets, accepted, packets, one, other)}

        said = start("ss", "--unix", "--all", "--processes", "--no-header", package="iproute2").finish().decode()
        theirs = {}
        for line in said.splitlines():
            row = ROW.fullmatch(line)
            if row and int(row[6]) in mine:
                theirs[int(row[6])] = row
        ours = {
            record.inode: record
            for record in inspect.objects(["unix"])
            if isinstance(record, UnixSocket) and record.inode in mine
        }
        assert theirs.keys() == ours.keys() == mine
        for inode, record in ours.items():
            netid, state, received, sent, local, _, _, peer, users = theirs[inode].groups()
            assert NETID[netid] == record.type
            assert (state == "LISTEN") == (record.state == "listening")
            assert (state == "ESTAB") == (record.state in {"connected", "waiting"})
            assert local == (record.bound or "*")
            queues = (record.backlog, record.backlog_limit) if state == "LISTEN" else (record.to_read, record.unread)
            assert (int(received), int(sent)) == queues
            assert f"pid={os.getpid()}," in users
            assert record.pids == (os.getpid(),)
            if record.state == "connected":
                assert record.peer is not None
                assert record.peer.address == f"unix:[{peer}]"
        assert ours[os.fstat(listener.fileno()).st_ino].backlog == 1
