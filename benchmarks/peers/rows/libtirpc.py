"""libtirpc: a client and a server in C, compiled when they are needed. Python starts them and has no further part."""

from __future__ import annotations

import subprocess
from array import array
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from benchmarks.peers.rows._compiled import compiled, installed
from ipckit.bench.measurements import CheckFailed, warm_up
from ipckit.bench.row import Caller

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).with_suffix(".c")


class _Pair(Caller):
    """The client notes the time of each call, as the other rows do."""

    family = "libtirpc"
    _kind: ClassVar[str]

    def __init__(self) -> None:
        self.folder = str(_folder())
        self.program = str(_folder() / SOURCE.stem)

    @contextmanager
    def serving(self) -> Iterator[str]:
        path = f"{self._kind}.sock"  # beside the program: in full it may be longer than sun_path
        command = [self.program, "serve", self._kind, path]
        with subprocess.Popen(
            command, cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            if not port:
                raise CheckFailed("the server in C could not begin to serve")
            yield path if self._kind == "unix" else port
            # It ends when its stdin does, so that it outlives no process of the measurement.

    def trips(self, where: str, data: bytes, count: int, /) -> list[int]:
        command = [self.program, "call", self._kind, where, str(len(data)), str(warm_up(count)), str(count)]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, check=False)
        if done.returncode:
            raise CheckFailed(f"the client in C: {done.stderr.decode().strip() or done.returncode}")
        return array("q", done.stdout).tolist()


class OverUnix(_Pair):
    """A Unix stream socket."""

    name = "libtirpc unix"
    about = "libtirpc's clnt_call and svc_run, in C, over a Unix socket"
    _kind = "unix"


class OverTcp(_Pair):
    """A connection to 127.0.0.1."""

    name = "libtirpc TCP"
    about = "libtirpc's clnt_call and svc_run, in C, over TCP to 127.0.0.1"
    _kind = "tcp"


class OverUdp(_Pair):
    """Datagrams to 127.0.0.1."""

    name = "libtirpc UDP"
    about = "libtirpc's clnt_call and svc_run, in C, over UDP to 127.0.0.1"
    _kind = "udp"


def _folder() -> Path:
    for tool in ("gcc", "pkg-config"):
        installed(tool)
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libtirpc"], capture_output=True, text=True, check=False
    )
    if flags.returncode:
        raise CheckFailed("libtirpc's headers are not installed (Debian, Ubuntu: apt-get install libtirpc-dev)")
    return compiled(SOURCE, *flags.stdout.split()).parent
