"""What a spawned child runs: take the order from the control channel, run the function, send back what came of it."""

from __future__ import annotations

import faulthandler
import fcntl
import os
import pickle
import signal
import sys

from ipckit.testing import _light_pytest, checkpoints
from ipckit.testing._wire import DUMP_SIGNAL, read_message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipckit.testing._functions import FunctionName


def main(channel_fd: int, lifeline: int) -> None:
    """Run one function; the interpreter ends as after any script, with status 1 if the function raised."""
    os.set_inheritable(channel_fd, False)
    os.set_inheritable(lifeline, False)
    _die_with_parent(lifeline)
    faulthandler.enable()
    faulthandler.register(DUMP_SIGNAL, all_threads=True)
    # A shell starts background jobs with SIGINT ignored, and that is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    channel = checkpoints.connect(channel_fd)
    try:
        order = read_message(channel_fd)
    except EOFError:
        sys.exit("the parent ended before it said what to do")
    try:
        result = _run(channel, *order)
    except BaseException as error:
        channel.send("raised", _describe(error), _pickled(error))
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            raise  # their exit statuses are the interpreter's business
        sys.exit(1)
    channel.send("returned", result)


def _run(channel: checkpoints.Channel, light: bool, name: FunctionName, packed: bytes) -> bytes:  # noqa: FBT001
    if light:
        _light_pytest.install()
    function = name.find()
    args, kwargs = pickle.loads(packed)
    channel.send("started")
    return pickle.dumps(function(*args, **kwargs))


def _die_with_parent(lifeline: int) -> None:
    """Have the kernel send SIGKILL when the write end of *lifeline* closes, however the parent ended.

    PR_SET_PDEATHSIG would follow the thread that started us, and be lost when we change our credentials.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    try:
        os.read(lifeline, 1)
    except BlockingIOError:
        return
    os._exit(1)  # end of file: the parent was faster


def _describe(error: BaseException) -> str:
    try:
        import traceback
    except ImportError:  # the function became a user who may not read the library
        return f"{type(error).__name__}: {error}\n"
    frames = traceback.TracebackException.from_exception(error)
    # The first two frames are this file's, and say nothing about the function.
    while frames.stack and frames.stack[0].filename == __file__:
        del frames.stack[0]
    return "".join(frames.format())


def _pickled(error: BaseException) -> bytes | None:
    try:
        data = pickle.dumps(error)
        pickle.loads(data)
    except Exception:  # an exception that is no good outside its process; its traceback has been sent as text
        return None
    return data
