"""What is said with one peer, the same in every mode: a generator that says what it waits for.

It yields POLLIN when it has nothing to do until more of a message is there, POLLOUT when a reply needs room, and an
awaitable when the handler returned one. A mode resumes it when that has come, and may let it go only at POLLIN: then
no message is being handled and no reply is on its way.
"""

from __future__ import annotations

from select import POLLIN, POLLOUT
from typing import TYPE_CHECKING, Any

from ipckit.errors import LayoutError
from ipckit.server._line import Ended

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator

    from ipckit.server._line import Line
    from ipckit.server._peer import Peer
    from ipckit.server._plan import Plan
    from ipckit.server._source import Source

    Steps = Generator[int | Awaitable[Any], Any, Any]


def converse(line: Line, peer: Peer, plan: Plan) -> Steps:
    """Answer the messages of one connection, in order, one at a time, until it ends or something fails."""
    try:
        handler, take, give = plan.handler, line.take, line.give
        while True:
            yield POLLIN
            message = take()
            if message is None:
                continue
            line.progress += 1
            reply: Any = handler(message, peer)
            if type(reply) is not bytes:
                reply = yield from _awaited(reply, plan)
                if reply is None:
                    continue
            if not give(reply):
                yield from _given(line)
            line.progress += 1
    except Ended:
        return
    except (Exception, SystemExit) as error:
        if not line.cut:
            plan.report(error, peer)


def _given(line: Line) -> Steps:
    """Wait until the reply is sent. Nothing more is read from a peer that does not take its replies."""
    yield POLLOUT
    while not line.go_on():
        yield POLLOUT


def attend(source: Source, plan: Plan) -> Steps:
    """Handle the messages of a FIFO or queue. A handler that fails has used up its message; the next one follows."""
    while True:
        yield POLLIN
        try:
            taken = source.take()
        except LayoutError as error:
            plan.report(error, None)
            continue
        except Exception as error:  # the queue was removed, or the handle closed
            if not source.cut:
                plan.report(error, None)
            return
        if taken is None:
            continue
        message, peer = taken
        try:
            reply = yield from _awaited(plan.handler(message, peer), plan)
            if reply is not None:
                raise TypeError(
                    f"the handler returned {type(reply).__name__}, and nothing leads back from here: return None, and "
                    f"for a reply {source.reply_path}"
                )
        except (Exception, SystemExit) as error:
            plan.report(error, peer)


def _awaited(reply: Any, plan: Plan) -> Steps:
    """What *reply* is, or what comes of it when it has been awaited.

    Raises:
        TypeError: it is to be awaited, and the mode is not "asyncio".
    """
    if not hasattr(reply, "__await__"):
        return reply
    if not plan.awaits:
        if hasattr(reply, "close"):
            reply.close()  # or Python warns of a coroutine that was never awaited
        raise TypeError('the handler returned an awaitable: mode="asyncio" is for these')
    return (yield reply)
