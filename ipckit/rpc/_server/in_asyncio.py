"""The same connections inside an asyncio event loop."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from ipckit.errors import IPCError, RemoteFailureError
from ipckit.rpc._server.engine import Engine
from ipckit.rpc._wire.replies import refusal
from ipckit.server.machinery import Alarm

if TYPE_CHECKING:
    from ipckit.rpc._server.answer import Answerer
    from ipckit.rpc._server.port import Job
    from ipckit.rpc._server.settings import Limits
    from ipckit.server.machinery import Plan, Switch

_AT_ONCE = 64
"""How many ports get their turn before the loop's other business does."""


class Asyncio(Engine):
    """The loop watches the epoll descriptor itself; each call of a coroutine function becomes a task."""

    def __init__(self, plan: Plan, answerer: Answerer, switch: Switch, listeners: list[Any], limits: Limits) -> None:
        super().__init__(plan, answerer, switch, listeners, limits)
        self._tasks: dict[asyncio.Future[Any], Job] = {}
        self._accepting: set[int] = set()

    async def run(self, _owner: object = None) -> None:
        """Serve until told to stop."""
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._alarm = Alarm(self._loop, self.switch, self._go_on)
        try:
            self._loop.add_reader(self.switch.fd, self._switched)
            self._loop.add_reader(self.epoll.fileno(), self._ready)
            self._go_on()
            await self._over
        finally:
            self._alarm.cancel()
            for fd in (self.switch.fd, self.epoll.fileno(), *self._accepting):
                self._loop.remove_reader(fd)
            self.close()

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        super().close()
        self.epoll.close()

    def _ready(self) -> None:
        for fd, _ in self.epoll.poll(0, _AT_ONCE):
            port = self.ports.get(fd)
            if port is None or (job := port.ready()) is None:
                continue
            awaitable = self.handle(job)
            if awaitable is not None:
                task = asyncio.ensure_future(awaitable, loop=self._loop)
                self._tasks[task] = job
                task.add_done_callback(self._replied)
        self._go_on()

    def _replied(self, task: asyncio.Future[Any]) -> None:
        job = self._tasks.pop(task, None)
        if job is None:
            if not task.cancelled():
                task.exception()  # seen: the peer was cut off, and nobody waits for it
            return
        if task.cancelled():
            self.plan.report(IPCError("the handler's task was cancelled"), job.peer)
            job.port.give(refusal(job.message[:4], RemoteFailureError()), job.where)
        else:
            job.port.give(task.result(), job.where)
        self._go_on()

    def _switched(self) -> None:
        self.switch.read()
        self._go_on()

    def _accept(self, fd: int) -> None:
        self.accept(self.gates[fd])
        self._go_on()

    def _go_on(self) -> None:
        if self._over.done():
            return
        if not self.look():
            self._over.set_result(None)
            return
        wanted = {gate.fd for gate in self.open_gates()}
        for fd in self._accepting - wanted:
            self._loop.remove_reader(fd)
        for fd in wanted - self._accepting:
            self._loop.add_reader(fd, partial(self._accept, fd))
        self._accepting = wanted
        self._alarm.set(self.due_ns())
