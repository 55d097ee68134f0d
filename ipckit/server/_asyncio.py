"""The same conversations inside an asyncio event loop."""

from __future__ import annotations

import asyncio
from functools import partial
from select import POLLIN
from typing import TYPE_CHECKING, Any

from ipckit.errors import IPCError
from ipckit.server._alarm import Alarm
from ipckit.server._events import Events

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ipckit.server._events import Served


class Asyncio(Events):
    """Readers and writers of the running loop; each awaitable that the handler returns becomes a task."""

    def __init__(self, *how: Any) -> None:
        super().__init__(*how)
        self._tasks: dict[Served, asyncio.Future[Any]] = {}

    async def run(self) -> None:
        """Serve until told to stop, or until the FIFO or queue has come to its end."""
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._alarm = Alarm(self._loop, self.switch, self._go_on)
        try:
            self.start()
            self._go_on()
            await self._over
        finally:
            self._loop.remove_reader(self.switch.fd)
            self._alarm.cancel()
            self.close()

    def watch(self, fd: int, events: int) -> None:
        add = self._loop.add_reader if events == POLLIN else self._loop.add_writer
        add(fd, self._called, fd)

    def change(self, fd: int, events: int) -> None:
        self.unwatch(fd)
        self.watch(fd, events)

    def unwatch(self, fd: int) -> None:
        self._loop.remove_reader(fd)
        self._loop.remove_writer(fd)

    def await_reply(self, served: Served, reply: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(reply, loop=self._loop)
        self._tasks[served] = task
        task.add_done_callback(partial(self._replied, served))

    def close(self) -> None:
        """Cut off whoever is left, and let go of everything."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()
        super().close()

    def _replied(self, served: Served, task: asyncio.Future[Any]) -> None:
        if self._tasks.pop(served, None) is None:
            if not task.cancelled():
                task.exception()  # seen: the peer was cut off, and nobody waits for it
            return
        if task.cancelled():
            self.advance(served, error=IPCError("the handler's task was cancelled"))
        elif (error := task.exception()) is not None:
            self.advance(served, error=error)
        else:
            self.advance(served, task.result())
        self._go_on()

    def _called(self, fd: int) -> None:
        self.ready(fd)
        self._go_on()

    def _go_on(self) -> None:
        self.look()
        if self.finished():
            if not self._over.done():
                self._over.set_result(None)
            return
        self._alarm.set(self.due_ns())
