"""From a call to its reply, on whatever way it came: RFC 5531, section 8."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from ipckit.errors import GarbageArgumentsError, XdrError, syscall_error
from ipckit.rpc._server.calls import NO_REPLY, Call
from ipckit.rpc._wire.message import BadCall, decode_call
from ipckit.rpc._wire.record import MARK_SIZE, as_record
from ipckit.rpc._wire.replies import ANSWERS, begun, finished, refusal, void
from ipckit.rpc.auth import NONE

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ipckit.rpc._server.calls import Target, Targets
    from ipckit.rpc._server.doorkeeper import Doorkeeper
    from ipckit.rpc._server.port import Job
    from ipckit.rpc.auth import OpaqueAuth
    from ipckit.server.machinery import Plan

    Reply = bytes | bytearray | None

_PLAIN_END = 40
"""Where the arguments begin, in bytes, if credential and verifier say nothing."""


class Answerer:
    """Makes the calls of one server. Any number of threads may use it."""

    def __init__(self, targets: Targets, doorkeeper: Doorkeeper, plan: Plan) -> None:
        self._targets = targets
        self._doorkeeper = doorkeeper
        self._plan = plan
        # By all of the head but the xid, so that the usual call takes one look-up.
        self._plain = {
            target.head(): target for target in targets.all.values() if doorkeeper.indifferent or target.procedure == 0
        }

    def answer(self, job: Job) -> Reply | Awaitable[Reply]:
        """Make the call of *job*; its reply, as a record, None where none is to be sent, or what gives it.

        Raises:
            BadCall: it is no call, and nobody is to be answered.
        """
        message = job.message
        target = self._plain.get(message[4:_PLAIN_END])
        if target is None:
            return self._answer_other(job)
        call = None
        if target.wants_call:
            xid = int.from_bytes(message[:4], "big")
            call = Call(job.peer, xid, target.program, target.version, target.procedure)
        return self._make(job, target, _PLAIN_END, call, NONE)

    def _answer_other(self, job: Job) -> Reply | Awaitable[Reply]:
        try:
            head = decode_call(job.message)
        except BadCall as bad:
            if bad.reply is None:
                raise
            return as_record(bad.reply)
        call = Call(job.peer, head.xid, head.program, head.version, head.procedure)
        try:
            verifier = self._doorkeeper.admit(call, head.credential, head.verifier)
            target = self._targets.find(head.program, head.version, head.procedure)
        except BaseException as error:
            return self._failed(job, error, NONE)
        return self._make(job, target, head.start, call if target.wants_call else None, verifier)

    def _make(
        self, job: Job, target: Target, start: int, call: Call | None, verifier: OpaqueAuth
    ) -> Reply | Awaitable[Reply]:
        try:
            arguments = target.decode(job.message, start)
        except XdrError:
            return refusal(job.message[:4], GarbageArgumentsError(), verifier)
        try:
            result = target.function(*arguments) if call is None else target.function(*arguments, call=call)
            if target.awaits or hasattr(result, "__await__"):
                if self._plan.awaits:
                    return self._awaited(job, target, result, verifier)
                if hasattr(result, "close"):
                    result.close()  # or Python warns of a coroutine that was never awaited
                raise TypeError(f'{target.name} returned an awaitable: mode="asyncio" is for these')
            return _written(job, target, result, verifier)
        except BaseException as error:
            return self._failed(job, error, verifier)

    async def _awaited(self, job: Job, target: Target, result: Any, verifier: OpaqueAuth) -> Reply:
        try:
            return _written(job, target, await result, verifier)
        except (Exception, SystemExit) as error:
            return self._failed(job, error, verifier)

    def _failed(self, job: Job, error: BaseException, verifier: OpaqueAuth) -> Reply:
        if isinstance(error, KeyboardInterrupt) and self._plan.awaits:
            raise error  # Ctrl-C in the loop's thread; a worker gets none
        if not isinstance(error, ANSWERS):
            self._plan.report(error, job.peer)
        return refusal(job.message[:4], error, verifier)


def _written(job: Job, target: Target, result: Any, verifier: OpaqueAuth) -> Reply:
    """The reply that carries *result*.

    Raises:
        XdrError: it is not of the procedure's type.
        MessageTooLargeError: it is too large for the way back (EMSGSIZE).
    """
    if result is NO_REPLY:
        return None
    xid = job.message[:4]
    if result is None and verifier is NONE and target.returns_nothing:
        return void(xid)
    reply = begun(xid, verifier)
    target.encode_into(reply, result)
    if len(reply) - MARK_SIZE > job.most:
        remedy = f"the reply has {len(reply) - MARK_SIZE} bytes, and at most {job.most} can be sent here"
        raise syscall_error(errno.EMSGSIZE, "send", target.name, remedy=remedy)
    return finished(reply)
