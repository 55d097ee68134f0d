"""Runs programs one after another, each in a fork of an interpreter that has imported what most of them need.

A program is started in a moment then, and is still one of its own: it has a `__main__` to itself, and ends as any
interpreter does.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
from importlib import import_module
from types import ModuleType
from typing import Any

_MOST = 65536


class Programs:
    """The parent's side; `close` ends it."""

    def __init__(self, root: str, *flags: str, imports: tuple[str, ...] = ()) -> None:
        """Start the interpreter, which finds ipckit in *root*, with *flags*; have it import *imports*."""
        self._command = [sys.executable, *flags, __file__, *imports]
        self._environment = {**os.environ, "PYTHONPATH": root, "PYTHONSAFEPATH": "1"}
        self._start()

    def run(self, arguments: list[str], folder: str, files: tuple[int, int, int], timeout: float) -> int:
        """Run ``python ARGUMENTS`` in *folder* with *files* for stdin, stdout and stderr.

        Returns the exit status, as in subprocess; TimeoutError after *timeout* seconds, which kill it.
        """
        socket.send_fds(self._orders, [json.dumps([arguments, folder]).encode()], files)
        with selectors.DefaultSelector() as selector:
            selector.register(self._orders, selectors.EVENT_READ)
            if not selector.select(timeout):
                os.killpg(self._process.pid, signal.SIGKILL)
                self.close()
                self._start()
                raise TimeoutError(f"{arguments} took more than {timeout} s")
        return int(self._orders.recv(_MOST))

    def close(self) -> None:
        """End it."""
        self._orders.close()
        self._process.wait()

    def _start(self) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                self._command, stdin=theirs.fileno(), env=self._environment, start_new_session=True
            )


def serve() -> list[str]:
    """Answer the orders that come on stdin; it returns in each fork, with the arguments, and ends what forks."""
    with socket.socket(fileno=0) as orders:
        while True:
            order, files, _, _ = socket.recv_fds(orders, _MOST, 3)
            if not order:
                sys.exit()
            arguments, folder = json.loads(order)
            pid = os.fork()
            if pid == 0:
                orders.detach()
                os.chdir(folder)
                for number, file in enumerate(files):
                    os.dup2(file, number)
                os.closerange(3, 3 + max(files))
                return list(arguments)
            for file in files:
                os.close(file)
            orders.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())


def main(arguments: list[str]) -> None:
    """Do what ``python ARGUMENTS`` does with a program or, after -m, with a package."""
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return
    module: Any = ModuleType("__main__")
    module.__file__ = arguments[0]
    sys.modules["__main__"] = module
    sys.argv = arguments
    sys.path.insert(0, os.path.dirname(arguments[0]))
    with open(arguments[0], encoding="utf-8") as file:
        source = file.read()
    exec(compile(source, arguments[0], "exec"), vars(module))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        import_module(name)
    gc.freeze()  # no collection in a fork goes through what it did not make
    main(serve())
