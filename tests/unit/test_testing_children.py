"""Children: results, failures, checkpoints, time limits, what is left of them."""

from __future__ import annotations

import atexit
import ctypes
import errno
import functools
import os
import pickle
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from ipckit._handle import FdHandle
from ipckit.errors import NotFoundError, TimeoutExpired, syscall_error
from ipckit.testing import Child, ChildFailed, Spawn, Watchdog, _launch, _procfs, pause, reached
from ipckit.testing import spawn as spawn_one
from ipckit.testing._wire import DUMP_SIGNAL

if TYPE_CHECKING:
    from collections.abc import Callable

SEIZE, INTERRUPT = 0x4206, 0x4207  # linux/ptrace.h


class Point:
    def __init__(self, x: int) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and other.x == self.x

    def __hash__(self) -> int:
        return hash(self.x)

    def move(self) -> None:
        self.x += 1


def double(point: Point) -> Point:
    return Point(point.x * 2)


def echo(value: object) -> object:
    return value


def facts() -> tuple[int, list[str], bool]:
    return os.getpid(), sys.path, "_pytest" in sys.modules


def hold() -> None:
    pause("holding")


def test_arguments_and_result_travel_with_classes_of_the_test_file(spawn: Spawn) -> None:
    assert spawn(double, Point(21)).result() == Point(42)
    assert spawn(double, point=Point(1)).result() == Point(2)


def test_child_is_a_fresh_interpreter_with_our_path(spawn: Spawn) -> None:
    child = spawn(facts)
    pid, path, loaded = child.result()
    assert pid == child.pid != os.getpid()
    assert path == sys.path
    assert not loaded


def test_builtins_and_functions_of_the_library_can_be_run(spawn: Spawn) -> None:
    assert spawn(os.getppid).result() == os.getpid()
    assert spawn(int, "ff", base=16).result() == 255


def test_arguments_and_results_larger_than_any_buffer(spawn: Spawn) -> None:
    data = bytes(range(256)) * 40_000
    child = spawn(echo, data)
    assert child.join() == 0
    assert child.result() == data


def nested() -> object:
    def inner() -> None: ...

    return inner


def return_when_told() -> int:
    pause("go")
    return 7


def test_a_result_that_comes_while_the_messages_are_taken_is_not_missed(
    spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = spawn(return_when_told)
    child.wait_reached("go")
    drain = child._talk.drain

    def drain_and_let_it_end() -> None:
        drain()
        monkeypatch.undo()
        child.resume("go")
        select.select([child._pidfd], [], [])

    monkeypatch.setattr(child._talk, "drain", drain_and_let_it_end)
    assert child.result() == 7


@pytest.mark.parametrize(
    "function", [lambda: None, nested(), functools.partial(echo, 1), Point(1).move, threading.Lock(), "echo", None]
)
def test_what_a_fresh_interpreter_can_not_find_is_refused(spawn: Spawn, function: object) -> None:
    with pytest.raises(TypeError, match="top level of a module"):
        spawn(function)  # type: ignore[arg-type]


def test_function_typed_at_the_prompt_is_refused() -> None:
    code = "import ipckit.testing as t\ndef f(): pass\nt.spawn(f)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "put it into a file" in done.stderr
    assert done.returncode == 1


def test_argument_that_can_not_be_pickled_is_refused(spawn: Spawn) -> None:
    with pytest.raises(TypeError, match="pickle"):
        spawn(echo, threading.Lock())


def fail(message: str) -> NoReturn:
    print("said on stderr", file=sys.stderr)
    raise ValueError(message)


def test_child_that_raises(spawn: Spawn) -> None:
    child = spawn(fail, "the reason")
    with pytest.raises(ChildFailed, match="the reason") as caught:
        child.result()
    assert caught.value.status == 1
    assert isinstance(caught.value.__cause__, ValueError)
    assert f'"{__file__}"' in str(caught.value)
    assert "in fail" in str(caught.value)
    assert "_child_main" not in str(caught.value)
    assert "said on stderr" in str(caught.value)
    assert child.join() == 1


class Unpicklable(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def fail_unpicklable() -> NoReturn:
    raise Unpicklable(1, 2)


def test_exception_that_can_not_travel_arrives_as_text(spawn: Spawn) -> None:
    with pytest.raises(ChildFailed, match="Unpicklable: 1 and 2") as caught:
        spawn(fail_unpicklable).result()
    assert caught.value.__cause__ is None


def fail_with_errno() -> NoReturn:
    raise syscall_error(2, "mq_open", "/q")


def test_error_of_ipckit_arrives_whole(spawn: Spawn) -> None:
    with pytest.raises(ChildFailed) as caught:
        spawn(fail_with_errno).result()
    assert isinstance(caught.value.__cause__, NotFoundError)
    assert str(caught.value.__cause__) == "[Errno 2] mq_open: No such file or directory: '/q'"


def return_lock() -> object:
    return threading.Lock()


def test_result_that_can_not_be_pickled_is_a_failure(spawn: Spawn) -> None:
    with pytest.raises(ChildFailed, match="pickle"):
        spawn(return_lock).result()


def crash_at_exit() -> int:
    atexit.register(os._exit, 5)
    return 1


def test_crash_after_the_function_returned_is_a_failure(spawn: Spawn) -> None:
    with pytest.raises(ChildFailed, match="exit status 5, after its function had returned") as caught:
        spawn(crash_at_exit).result()
    assert caught.value.status == 5


def test_argument_that_fails_to_unpickle_is_a_failure(spawn: Spawn) -> None:
    child = spawn(echo, UnpicklesBadly())
    with pytest.raises(ChildFailed, match="only in the child"):
        child.wait_reached("anything")


class UnpicklesBadly:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return fail, ("only in the child",)


@pytest.mark.parametrize(("how", "status"), [(sys.exit, 3), (os._exit, 7)])
def test_child_that_exits(spawn: Spawn, how: object, status: int) -> None:
    child = spawn(how, status)  # type: ignore[arg-type]
    assert child.join() == status
    with pytest.raises(ChildFailed, match=f"exit status {status}"):
        child.result()


def test_child_that_is_killed(spawn: Spawn) -> None:
    child = spawn(hold)
    child.wait_reached("holding")
    child.kill()
    assert child.join() == -signal.SIGKILL
    assert not child.running
    with pytest.raises(ChildFailed, match="SIGKILL"):
        child.result()
    child.kill()  # has nothing left to kill


def stop_by_tracing(pid: int) -> None:
    """Leave it in a stop of which the next waitpid(2) would tell."""
    libc = ctypes.CDLL(None)
    if libc.ptrace(SEIZE, pid, None, None) != 0:
        pytest.skip("ptrace(2) is forbidden here")
    libc.ptrace(INTERRUPT, pid, None, None)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)


def test_child_that_we_trace_runs_though_it_has_just_stopped(spawn: Spawn) -> None:
    child = spawn(hold)
    child.wait_reached("holding")
    stop_by_tracing(child.pid)
    assert child.running
    with pytest.raises(TimeoutExpired, match="did not end"):
        child.join(timeout=0.01)
    child.kill()
    assert child.join() == -signal.SIGKILL


def test_child_that_we_trace_is_closed_though_it_has_just_stopped() -> None:
    with spawn_one(hold) as child:
        child.wait_reached("holding")
        stop_by_tracing(child.pid)
    assert not Path("/proc", str(child.pid)).exists()  # neither left stopped, nor a zombie


def test_crash_shows_the_stack_at_that_moment(spawn: Spawn) -> None:
    child = spawn(os.abort)
    with pytest.raises(ChildFailed, match=r"(?s)SIGABRT.*Fatal Python error: Aborted"):
        child.result()


def test_interrupt_ends_a_child_as_it_does_any_script(spawn: Spawn) -> None:
    child = spawn(time.sleep, 60)
    child.wait_blocked("nanosleep", "select")  # the latter in Python 3.10
    child.send_signal(signal.SIGINT)
    assert child.join() == -signal.SIGINT


def test_real_time_signal_has_no_name(spawn: Spawn) -> None:
    child = spawn(hold)
    child.wait_reached("holding")
    child.send_signal(signal.SIGRTMIN + 2)
    with pytest.raises(ChildFailed, match=f"signal {signal.SIGRTMIN + 2}"):
        child.result()


def hang_in_a_lock() -> None:
    reached("first")
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def test_time_limit_tells_where_the_child_hangs(capsys: pytest.CaptureFixture[str]) -> None:
    with spawn_one(hang_in_a_lock) as child:
        child.wait_blocked("futex")
        for wait in (child.join, child.result):
            with pytest.raises(TimeoutExpired, match="did not end") as caught:
                wait(timeout=0.05)
            for clue in ("0.05 s", "checkpoints reached: first", "in futex", "hang_in_a_lock", str(child.pid)):
                assert clue in str(caught.value)
        with pytest.raises(TimeoutExpired, match="did not reach 'second'"):
            child.wait_reached("second", timeout=0.05)
        assert "in hang_in_a_lock" not in capsys.readouterr().err
    assert "in hang_in_a_lock" in capsys.readouterr().err


def raise_and_stay() -> None:
    atexit.register(hang_in_a_lock)
    raise LookupError("on the way to the checkpoint")


def test_time_limit_tells_what_a_child_that_has_not_ended_raised(spawn: Spawn) -> None:
    child = spawn(raise_and_stay)
    child.wait_reached("first")
    with pytest.raises(TimeoutExpired, match="did not reach 'second'") as caught:
        child.wait_reached("second", timeout=0)
    assert "has raised" in str(caught.value)
    assert "LookupError: on the way to the checkpoint" in str(caught.value)


def write_stacks_slowly() -> None:
    def write(_: int) -> None:
        os.write(2, b"the first one, ")
        time.sleep(0.3)  # held up
        os.write(2, b"the last one")

    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(write)
    ctypes.CDLL(None).signal(DUMP_SIGNAL, handler)
    while True:
        signal.pause()


def test_stacks_are_waited_for_until_the_last_one_is_written(spawn: Spawn) -> None:
    child = spawn(write_stacks_slowly)
    child.wait_blocked("pause")
    assert _procfs.python_stacks(child.pid) == "the first one, the last one"


def become_nobody_and_fail() -> NoReturn:
    os.setuid(65534)
    sys.path.clear()  # as if none of it could be read
    sys.modules.pop("traceback", None)
    sys.path_importer_cache.clear()
    raise ValueError("without its library")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_failure_arrives_though_the_library_can_not_be_read(spawn: Spawn) -> None:
    with pytest.raises(ChildFailed, match="ValueError: without its library"):
        spawn(become_nobody_and_fail).result()


def test_time_limit_of_a_stopped_child_is_kept_as_well(spawn: Spawn) -> None:
    child = spawn(hold)
    child.wait_reached("holding")
    child.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED)
    with pytest.raises(TimeoutExpired, match="state T"):
        child.join(timeout=0.05)


def test_time_limits_are_validated(spawn: Spawn) -> None:
    child = spawn(hold)
    with pytest.raises(ValueError, match="timeout"):
        child.join(timeout=-1)
    with pytest.raises(TypeError, match="timeout"):
        child.wait_reached("holding", timeout=True)


def test_end_before_a_checkpoint_is_a_failure_with_its_reason(spawn: Spawn) -> None:
    child = spawn(fail, "too early")
    with pytest.raises(ChildFailed, match=r"(?s)exit status 1 before it came to reach 'there'.*too early"):
        child.wait_reached("there")


def three_turns() -> list[str]:
    done = []
    for turn in "abc":
        pause("turn")
        done.append(turn)
    reached("end")
    return done


def test_pause_lets_one_pass_for_each_resume(spawn: Spawn) -> None:
    child = spawn(three_turns)
    for _ in range(3):
        child.wait_reached("turn")
        with pytest.raises(TimeoutExpired):
            child.wait_reached("turn", timeout=0)
        child.resume("turn")
    child.wait_reached("end")
    assert child.result() == ["a", "b", "c"]


def test_resume_may_come_first(spawn: Spawn) -> None:
    child = spawn(three_turns)
    for _ in range(3):
        child.resume("turn")
    assert child.result() == ["a", "b", "c"]


def pause_in_threads(names: list[str]) -> None:
    threads = [threading.Thread(target=pause, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_threads_pause_independently(spawn: Spawn) -> None:
    names = [f"thread {number}" for number in range(8)]
    child = spawn(pause_in_threads, names)
    for name in names:
        child.wait_reached(name)
    for name in reversed(names):
        child.resume(name)
    assert child.join() == 0


def test_checkpoints_do_nothing_outside_a_child() -> None:
    reached("here")
    pause("here")


class PipeEnd(FdHandle):
    """A handle without a name."""


def read_all(*ends: PipeEnd) -> tuple[list[bytes], list[bool]]:
    inheritable = [os.get_inheritable(end.fileno()) for end in ends]
    received = [os.read(end.fileno(), 100) for end in ends]
    for end in ends:
        end.close()
    return received, inheritable


def test_nameless_handles_travel_as_arguments(spawn: Spawn) -> None:
    read_fd, write_fd = os.pipe()
    with PipeEnd(read_fd) as reader, PipeEnd(write_fd) as writer:
        child = spawn(read_all, reader)
        os.write(writer.fileno(), b"through the child's copy")
        assert child.result() == ([b"through the child's copy"], [False])
        with pytest.raises(TypeError, match="cannot pickle"):  # nobody is being spawned any more
            pickle.dumps(reader)


def test_two_handles_of_one_descriptor_arrive_as_two(spawn: Spawn) -> None:
    read_fd, write_fd = os.pipe()
    first, second, writer = PipeEnd(read_fd), PipeEnd(os.dup(read_fd)), PipeEnd(write_fd)
    with first, second, writer:
        child = spawn(read_all, first, first, second)
        child.wait_blocked("read")
        os.write(write_fd, b"x")
        child.wait_blocked("read")
        # One object in the arguments is one object there; it was closed once, or this would raise.
        os.write(write_fd, b"y")
        child.wait_blocked("read")
        os.write(write_fd, b"z")
        assert child.result()[0] == [b"x", b"y", b"z"]


def test_child_holds_no_descriptor_that_was_not_handed_to_it(spawn: Spawn) -> None:
    read_fd, write_fd = os.pipe()
    child = spawn(hold)
    child.wait_reached("holding")
    os.close(write_fd)
    assert os.read(read_fd, 1) == b""
    os.close(read_fd)


def test_failure_that_nobody_saw_is_raised_at_the_end() -> None:
    child = spawn_one(fail, "unseen")
    select_ended(child)
    with pytest.raises(ChildFailed, match=r"(?s)failed unobserved, with exit status 1.*unseen"):
        child.close()
    child.close()


def test_every_child_is_closed_though_one_failed() -> None:
    starter = Spawn()
    children = [starter(hold), starter(fail, "unseen"), starter(hold)]
    select_ended(children[1])
    with pytest.raises(ChildFailed, match="unseen"):
        starter.close()
    assert not any(child.running for child in children)


def test_death_that_the_test_ordered_is_no_failure() -> None:
    with spawn_one(hold) as child:
        child.wait_reached("holding")
        child.send_signal(signal.SIGTERM)
        select_ended(child)


def test_child_that_still_runs_is_killed_at_the_end() -> None:
    with spawn_one(hold) as child:
        child.wait_reached("holding")
        assert child.running
        assert repr(child).endswith("running>")
    assert not child.running
    assert repr(child).endswith("status=-9>")
    for use in (child.result, functools.partial(child.wait_reached, "never"), child.wait_blocked):
        with pytest.raises(ChildFailed, match=r"hold\) ended with SIGKILL"):
            use()


def select_ended(child: Child) -> None:
    poller = select.poll()
    fd = os.pidfd_open(child.pid)
    try:
        poller.register(fd, select.POLLIN)
        assert poller.poll(20_000)
    finally:
        os.close(fd)


def test_the_environment_of_a_process_that_is_just_executing_a_program_is_seen() -> None:
    again = 'exec sh -c "$0" "$0"'
    marked = {**os.environ, "MARK": "seen"}
    with subprocess.Popen(["sh", "-c", again, again], env=marked) as process:
        try:
            while "MARK=seen" not in _procfs.environment(process.pid):
                pass
            assert all("MARK=seen" in _procfs.environment(process.pid) for _ in range(2000))
        finally:
            process.kill()


def test_who_has_no_environment_is_not_waited_for() -> None:
    with subprocess.Popen(["sleep", "1000"], env={}) as process:
        try:
            while _procfs.command(process.pid) != "sleep 1000":
                pass
            start = time.monotonic()
            assert _procfs.environment(process.pid) == [""]
            assert _procfs.environment(0) == []
            assert time.monotonic() - start < _procfs._EXEC_SECONDS
        finally:
            process.kill()


def leave_orphan() -> int:
    return subprocess.Popen(["/bin/sleep", "1000"]).pid


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_orphans_of_a_child_are_killed_with_it() -> None:
    with spawn_one(leave_orphan) as child:
        orphan = os.pidfd_open(child.result())
    try:
        assert select.select([orphan], [], [], 20)[0]
    finally:
        os.close(orphan)


def be_parent(writer: PipeEnd, uid: int) -> None:
    child = spawn_one(change_user, uid)
    child.wait_reached("changed")
    os.write(writer.fileno(), str(child.pid).encode())
    pause("never")


def change_user(uid: int) -> None:
    if uid != os.getuid():
        os.setuid(uid)
    pause("changed")


@pytest.mark.parametrize(
    "uid", [os.getuid(), pytest.param(65534, marks=pytest.mark.skipif(os.getuid(), reason="root"))]
)
def test_children_die_with_a_parent_that_is_killed(spawn: Spawn, uid: int) -> None:
    read_fd, write_fd = os.pipe()
    with PipeEnd(read_fd) as reader, PipeEnd(write_fd) as writer:
        parent = spawn(be_parent, writer, uid)
        grandchild = os.pidfd_open(int(os.read(reader.fileno(), 20)))
    try:
        assert not select.select([grandchild], [], [], 0)[0]
        parent.kill()
        assert select.select([grandchild], [], [], 20)[0]
    finally:
        os.close(grandchild)


def be_parent_of_a_copy_too(writer: PipeEnd) -> None:
    child = spawn_one(pause, "never")
    child.wait_reached("never")
    copy = os.fork()
    if copy:
        os.write(writer.fileno(), f"{child.pid} {copy}".encode())
    signal.pause()


def test_child_does_not_live_on_with_a_forked_copy_of_its_parent(spawn: Spawn) -> None:
    read_fd, write_fd = os.pipe()
    with PipeEnd(read_fd) as reader, PipeEnd(write_fd) as writer:
        parent = spawn(be_parent_of_a_copy_too, writer)
        grandchild, copy = (os.pidfd_open(int(pid)) for pid in os.read(reader.fileno(), 40).split())
    try:
        parent.kill()
        assert select.select([grandchild], [], [], 20)[0]
        assert not select.select([copy], [], [], 0)[0]
    finally:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(grandchild, signal.SIGKILL)
        os.close(grandchild)
        os.close(copy)


def use_real_pytest() -> str:
    with pytest.raises(ValueError, match="reason") as caught:
        fail("the reason")
    return type(caught).__module__


def test_a_child_has_the_real_pytest_where_it_asks_for_it(spawn: Spawn) -> None:
    assert spawn(use_real_pytest).result().startswith("_pytest")


def test_script_can_spawn_its_own_functions(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from ipckit.testing import spawn\n"
        "class Thing:\n    n = 3\n"
        "def function(thing):\n    return type(thing).__module__, thing.n\n"
        "if __name__ == '__main__':\n"
        "    with spawn(function, Thing()) as child:\n        print(child.result())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("('__mp_main__', 3)\n", "")


def test_stderr_of_a_child_that_succeeds_is_passed_on(capsys: pytest.CaptureFixture[str]) -> None:
    with spawn_one(say_on_stderr) as child:
        child.result()
    assert "a word" in capsys.readouterr().err


def say_on_stderr() -> None:
    print("a word", file=sys.stderr)


def start_short_of_descriptors(start: Callable[[], object]) -> None:
    """With one descriptor more each time, until there are enough."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = os.listdir("/proc/self/fd")
    most = os.dup(0)  # the first number that is free
    os.close(most)
    while True:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        try:
            start()
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
            most += 1
        else:
            break
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        assert os.listdir("/proc/self/fd") == before


def start_child() -> None:
    spawn_one(int).close()


def start_watchdog() -> None:
    Watchdog(1000).close()


@pytest.mark.parametrize("start", [start_child, start_watchdog])
def test_what_cannot_be_started_for_want_of_descriptors_leaves_none_open(
    spawn: Spawn, start: Callable[[], object]
) -> None:
    spawn(start_short_of_descriptors, start).result()


def leave_one_that_passes_on(fifo: str) -> None:
    if pid := os.fork():
        reached(str(pid))
        os._exit(0)
    with open(fifo) as told:
        told.read()
    if os.fork():
        os._exit(0)
    signal.pause()


def test_descendant_that_forks_and_ends_while_it_is_looked_for_leaves_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fifo, listed = str(tmp_path / "fifo"), _procfs.pids
    os.mkfifo(fifo)
    child = spawn_one(leave_one_that_passes_on, fifo)
    assert child.join() == 0
    (forker,) = map(int, child._talk.reached)

    def listed_and_then_it_forks() -> list[int]:
        monkeypatch.undo()
        found = listed()
        watched = os.pidfd_open(forker)
        with open(fifo, "w"):
            pass
        select.select([watched], [], [])
        os.close(watched)
        return found

    monkeypatch.setattr(_procfs, "pids", listed_and_then_it_forks)
    try:
        child.close()
        assert not _launch.bearers(child._token)
    finally:
        _launch.end(child._token)
