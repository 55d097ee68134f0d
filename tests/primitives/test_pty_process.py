"""Programs on a terminal of their own: how they start, what they find, how they end."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.errors import (
    AccessError,
    ClosedError,
    EndOfStreamError,
    LimitError,
    NotFoundError,
    SyscallError,
    TimeoutExpired,
)
from ipckit.features import has_pidfd
from ipckit.pty import PseudoTerminal, PtyMaster, TerminalProcess, _child
from ipckit.testing import pause, wait_blocked
from tests.primitives.tracing import PERMIT, tracer_of

if TYPE_CHECKING:
    from ipckit.testing import Spawn

STUBBORN = "trap '' HUP TERM INT; echo ready; read never; sleep 1000; exit"  # or some shells would become the sleep


def sh(script: str, **how: Any) -> TerminalProcess:
    return PseudoTerminal.spawn(["sh", "-c", script], **{"echo": False, **how})


def output(program: TerminalProcess) -> bytes:
    printed = b""
    while chunk := program.read(timeout=20):
        printed += chunk
    return printed


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def until_ended(pid: int) -> None:
    """A program that has lost its parent is init's to reap."""
    try:
        while " Z " not in Path(f"/proc/{pid}/stat").read_text():
            pass
    except (FileNotFoundError, ProcessLookupError):
        pass


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def without_setsid(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a Python that was built with an old C library."""
    real = os.posix_spawn

    def posix_spawn(*args: Any, setsid: bool = False, **how: Any) -> int:
        if setsid:
            raise NotImplementedError
        return real(*args, **how)

    monkeypatch.setattr(os, "posix_spawn", posix_spawn)


@pytest.fixture(params=["setsid in posix_spawn", "no setsid in posix_spawn"])
def either_start(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param.startswith("no"):
        without_setsid(monkeypatch)


@pytest.fixture(params=["pidfd", "no pidfd"])
def either_wait(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param.startswith("no"):
        monkeypatch.setattr(_child, "has_pidfd", lambda: False)


@pytest.mark.usefixtures("either_start")
def test_terminal_is_the_controlling_one_of_the_program() -> None:
    script = "read go; tty; stty size; cut -d ' ' -f 1,5,6,8 /proc/$$/stat; tty < /dev/tty"
    with sh(script, rows=33, columns=101) as program:
        assert program.foreground == program.pid  # nobody's, once it has ended
        program.write(b"\n")
        lines = output(program).split(b"\r\n")
        assert lines[0] == program.name.encode()
        assert lines[1] == b"33 101"
        assert lines[2].split() == [b"%d" % program.pid] * 4  # pid, pgrp, session, tpgid: proc_pid_stat(5)
        assert lines[3] == b"/dev/tty"
        assert program.wait(20) == 0


@pytest.mark.usefixtures("either_start")
def test_program_has_three_descriptors_and_all_are_the_terminal() -> None:
    with tempfile.TemporaryFile() as file:
        os.set_inheritable(file.fileno(), True)
        with sh("readlink /proc/$$/fd/*") as program:
            assert output(program).decode().splitlines() == [program.name] * 3


@pytest.mark.usefixtures("either_start")
def test_program_has_default_signals_and_none_blocked() -> None:
    ignored = {signal.SIGHUP, signal.SIGUSR1, signal.SIGRTMIN + 3}
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ignored}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGWINCH, signal.SIGRTMIN + 4})
    try:
        with PseudoTerminal.spawn(["grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"]) as program:
            lines = output(program).split()
        reserved = 0b11 << 31  # 32 and 33 are the C library's, and no program's to set
        assert [int(mask, 16) & ~reserved for mask in lines[1::2]] == [0, 0]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, action in before.items():
            signal.signal(number, action)


@pytest.mark.usefixtures("either_start")
def test_environment_is_ours_or_exactly_the_one_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPCKIT_SEEN", "yes = \udcff")
    with PseudoTerminal.spawn(["env"]) as program:
        assert b"IPCKIT_SEEN=yes = \xff\r\n" in output(program)
    given = {"ONE": "1", "PATH": "/usr/bin:/bin", "LC_ALL": "C", "odd%": ""}
    with PseudoTerminal.spawn(["env"], env=given) as program:
        assert sorted(output(program).decode().splitlines()) == sorted(
            f"{name}={value}" for name, value in given.items()
        )


@pytest.mark.usefixtures("either_start")
def test_arguments_arrive_as_they_are() -> None:
    odd = ["", " two words ", "$HOME;'\"", "\u00fc", b"\xff\xfe", Path("/tmp")]
    with PseudoTerminal.spawn(["printf", "<%s>", *odd]) as program:
        assert output(program) == b"<>< two words ><$HOME;'\"><\xc3\xbc><\xff\xfe></tmp>"
        assert program.wait(20) == 0


@pytest.mark.usefixtures("either_start")
def test_program_that_can_not_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\x7fELF garbage")
    garbage.chmod(0o755)
    cases: list[tuple[str, dict[str, str] | None, type[SyscallError], str]] = [
        ("no-such-program", None, NotFoundError, "no such program in any directory of PATH.*'no-such-program'"),
        ("plain", {"PATH": str(tmp_path)}, NotFoundError, "'plain'"),
        (str(tmp_path / "none"), None, NotFoundError, "posix_spawn.*none"),
        (str(plain), None, AccessError, "posix_spawn.*plain"),
        (str(garbage), None, SyscallError, "Errno 8.*garbage"),
        (str(tmp_path), None, AccessError, "posix_spawn"),
    ]
    for program, env, error, text in cases:
        with pytest.raises(error, match=text):
            PseudoTerminal.spawn([program], env=env)


def test_program_is_looked_for_in_the_path_that_it_gets(tmp_path: Path) -> None:
    tool = tmp_path / "only-here"
    tool.write_text("#!/bin/sh\necho found $0\n")
    tool.chmod(0o755)
    with PseudoTerminal.spawn(["only-here"], env={"PATH": f"/nowhere:{tmp_path}"}) as program:
        assert output(program) == f"found {tool}\r\n".encode()


def test_bad_arguments_are_refused_before_anything_is_done() -> None:
    cases: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
        ("ls -l", {}, TypeError, r"shlex\.split\('ls -l'\)"),
        (b"ls", {}, TypeError, "args must be a list"),
        ([], {}, ValueError, "args must have at least the program"),
        ([1], {}, TypeError, "int"),
        (["true"], {"grace": -1}, ValueError, "grace must be 0 or more seconds"),
        (["true"], {"grace": float("nan")}, ValueError, "grace"),
        (["true"], {"rows": -1}, ValueError, "rows"),
        (["true", "a\0b"], {}, ValueError, "null"),
    ]
    for args, how, error, text in cases:
        with pytest.raises(error, match=text):
            PseudoTerminal.spawn(args, **how)


def test_no_interpreter_to_help_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    without_setsid(monkeypatch)
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(NotImplementedError, match=r"sys\.executable is unknown"):
        PseudoTerminal.spawn(["true"])


def test_many_threads_may_spawn_at_once() -> None:
    results: list[tuple[bytes, int]] = []

    def run(number: int) -> None:
        for turn in range(5):
            with sh(f"read x; echo {number}-{turn}-$x") as program:
                program.write(b"%d\n" % number)
                results.append((output(program), program.wait(20)))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted((b"%d-%d-%d\r\n" % (n, t, n), 0) for n in range(4) for t in range(5))


@pytest.mark.usefixtures("either_wait")
def test_a_traced_program_ends_when_its_tracer_knows_it(spawn: Spawn) -> None:
    program = f"{PERMIT}; print('ready', flush=True); import signal; signal.pause()"
    with PseudoTerminal.spawn([sys.executable, "-S", "-c", program], echo=False) as traced:
        traced.read_until(b"ready", timeout=20)
        tracer = tracer_of(spawn, traced.pid)
        traced.send_signal(signal.SIGKILL)
        until_ended(traced.pid)
        with pytest.raises(TimeoutExpired, match="waitpid"):
            traced.wait(timeout=0.1)
        tracer.resume("attached")
        assert traced.wait(timeout=20) == -signal.SIGKILL
        assert tracer.result()


def test_exit_status_is_that_of_wait() -> None:
    cases = [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -TERM $$", -15), ("kill -KILL $$", -9)]
    for script, code in cases:
        with sh(script) as program:
            assert program.wait(20) == code
            assert program.wait() == program.wait(0) == program.returncode == code
            assert not exists(program.pid), "it is reaped"
            program.send_signal(signal.SIGTERM)
        assert program.returncode == code
        with pytest.raises(ClosedError):
            program.wait()


@pytest.mark.usefixtures("either_wait")
def test_program_that_runs_has_no_status() -> None:
    with sh("read x; exit 3") as program:
        assert program.returncode is None
        for timeout in (0, 0.01):
            with pytest.raises(TimeoutExpired, match="waitpid"):
                program.wait(timeout)
        waiter = threading.Thread(target=program.wait)
        waiter.start()
        wait_blocked(os.getpid(), "poll", "clock_nanosleep", "select", tid=waiter.native_id)
        program.write(b"\n")
        waiter.join()
        assert program.returncode == 3


def test_keys_reach_the_program() -> None:
    for key, number in ((b"\x03", signal.SIGINT), (b"\x1c", signal.SIGQUIT)):
        with PseudoTerminal.spawn(["sleep", "1000"]) as program:
            program.write(key)
            assert program.wait(20) == -number
    with PseudoTerminal.spawn(["cat"], echo=False) as program:
        program.write(b"line\n\x04")
        assert output(program) == b"line\r\n"
        assert program.wait(20) == 0


@pytest.mark.usefixtures("either_wait")
def test_close_hangs_up_and_leaves_no_zombie() -> None:
    program = PseudoTerminal.spawn(["sleep", "1000"], grace=20)
    with program:
        pass
    assert program.returncode == -signal.SIGHUP
    assert not exists(program.pid)
    assert repr(program) == "<TerminalProcess closed>"


def test_program_may_use_its_grace_to_end_in_its_own_way() -> None:
    with sh("trap 'exit 5' HUP; echo ready; read never", grace=20) as program:
        program.read_until(b"ready", 20)
    assert program.returncode == 5


@pytest.mark.usefixtures("either_wait")
def test_program_that_does_not_end_is_killed_with_its_group() -> None:
    with sh(STUBBORN, grace=0.05) as program:
        program.read_until(b"ready", 20)
        program.write(b"\n")
        while not (started := children_of(program.pid)):
            pass
    assert program.returncode == -signal.SIGKILL
    for pid in (program.pid, *started):
        until_ended(pid)


def test_grace_of_zero_kills_at_once() -> None:
    with sh(STUBBORN, grace=0) as program:
        program.read_until(b"ready", 20)
    assert program.returncode == -signal.SIGKILL


def test_interrupt_in_the_grace_kills_and_leaves_no_zombie(spawn: Spawn) -> None:
    assert spawn(interrupted_close).result() == [True, -signal.SIGKILL, False]


def interrupted_close() -> list[object]:
    program = sh(STUBBORN, grace=1000)
    program.read_until(b"ready", 20)
    sender = threading.Thread(target=lambda: (wait_blocked(os.getpid(), "poll"), os.kill(os.getpid(), signal.SIGINT)))
    sender.start()
    interrupted = False
    try:
        program.close()
    except KeyboardInterrupt:
        interrupted = True
    sender.join()
    return [interrupted, program.returncode, exists(program.pid)]


def test_close_under_a_reader_hangs_up_when_it_has_left() -> None:
    program = PseudoTerminal.spawn(["sleep", "1000"], grace=20)
    errors: list[Exception] = []

    def read() -> None:
        try:
            program.read()
        except ClosedError as error:
            errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
        wait_blocked(os.getpid(), "poll", tid=reader.native_id)
    program.close()
    assert program.returncode == -signal.SIGHUP
    for reader in readers:
        reader.join()
    assert len(errors) == 3


def test_forgotten_program_is_ended_in_the_background() -> None:
    program = PseudoTerminal.spawn(["sleep", "1000"])
    pid = program.pid
    with pytest.warns(ResourceWarning, match=f"unclosed <TerminalProcess pid={pid}"):
        del program
    while exists(pid):
        pass


def printed_by(code: str) -> str:
    """What another Python prints, which says nothing else."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stderr == ""
    return done.stdout


def test_program_forgotten_at_exit_is_hung_up() -> None:
    code = "from ipckit import PseudoTerminal; kept = PseudoTerminal.spawn(['sleep', '1000']); print(kept.pid)"
    until_ended(int(printed_by(code)))


def threads_begun(ending: str) -> str:
    """What a Python prints that ends after *ending*: lines, too, from each thread that a finalizer starts."""
    spy = """
import _thread
def spied(run, args, write=os.write, start=_thread.start_new_thread):
    write(1, b"started\\n")
    return start(lambda: (write(1, b"runs\\n"), run(*args)), ())
"""
    return printed_by(f"""
import _thread, os, sys
scope = {{"os": os}}
exec({spy!r}, scope)  # not of this module, which would then live on until `_thread` itself is emptied
_thread.start_new_thread = scope.pop("spied")
del scope
sys.setswitchinterval(1000)
from ipckit import PseudoTerminal
kept = PseudoTerminal.spawn(["sleep", "1000"])
{ending}
""")


def test_program_forgotten_at_exit_gets_no_thread() -> None:
    assert threads_begun("os.write(1, b'exit\\n')") == "exit\n"


def test_program_forgotten_before_exit_has_its_thread_begun() -> None:
    assert threads_begun("del kept; os.write(1, b'exit\\n')") == "started\nruns\nexit\n"


def spawn_and_pause(path: str) -> None:
    program = PseudoTerminal.spawn(["sleep", "1000"])
    Path(path).write_text(str(program.pid))
    pause("spawned")


def test_program_of_a_killed_process_is_hung_up(spawn: Spawn, tmp_path: Path) -> None:
    child = spawn(spawn_and_pause, str(tmp_path / "pid"))
    child.wait_reached("spawned")
    child.kill()
    assert child.join() == -signal.SIGKILL
    until_ended(int((tmp_path / "pid").read_text()))


def test_program_is_ended_even_if_somebody_closed_our_descriptor() -> None:
    program = PseudoTerminal.spawn(["sleep", "1000"], grace=20)
    os.close(program.fileno())
    with pytest.raises(SyscallError, match="Errno 9"):
        program.close()
    assert program.returncode == -signal.SIGHUP


def test_stream_ends_after_what_was_left() -> None:
    with sh("printf 'last words'; exit 4") as program:
        assert program.wait(20) == 4
        assert program.read(timeout=20) == b"last words"
        assert program.read(timeout=20) == b""
        with pytest.raises(EndOfStreamError, match="nothing came"):
            program.read_until(b"more", 20)


def test_stream_goes_on_while_somebody_else_has_the_terminal() -> None:
    with sh("trap '' HUP; exec 3<&0; (read x <&3; echo child $x) & exit 0") as program:
        assert program.wait(20) == 0
        assert program.try_read() is None
        program.write(b"here\n")
        assert output(program) == b"child here\r\n"


def test_end_of_the_program_hangs_up_on_the_foreground_group() -> None:
    with sh("exec 3<&0; sleep 1000 & echo $!; read x; exit 0") as program:
        left = int(program.read_until(b"\n", 20))
        assert os.getpgid(left) == program.foreground
        program.write(b"\n")
        assert program.wait(20) == 0
        until_ended(left)


def test_hang_up_reaches_the_foreground_job_of_a_shell() -> None:
    env = {**os.environ, "PS1": "$ ", "ENV": "", "HISTFILE": os.devnull}
    with PseudoTerminal.spawn(["sh", "-i"], env=env, echo=False) as shell:
        shell.read_until(b"$ ", 20)
        shell.write(b"sleep 1000\n")
        while not (jobs := children_of(shell.pid)) or shell.foreground != jobs[0]:
            pass
        wait_blocked(jobs[0])
    until_ended(jobs[0])


def test_size_of_the_window_reaches_the_program() -> None:
    # A signal ends the wait of every shell, the read of some.
    with sh("trap 'stty size; exit 0' WINCH; sleep 1000 & echo ready; while :; do wait; done") as program:
        program.read_until(b"ready\r\n", 20)
        wait_blocked(program.pid)
        program.set_window_size(12, 34)
        assert output(program) == b"12 34\r\n"


def test_status_that_somebody_else_took_is_said() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with sh("exit 3") as program:
            with pytest.raises(SyscallError, match="status is lost: SIGCHLD is ignored"):
                program.wait(20)
            assert program.returncode is None
        with PseudoTerminal.spawn(["sleep", "1000"]) as program:
            pass
        assert program.returncode is None
        assert not exists(program.pid)
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_forked_child_has_the_master_only() -> None:
    with PseudoTerminal.spawn(["cat"], echo=False, grace=20) as program:
        pid = os.fork()
        if pid == 0:
            try:
                for use in (program.wait, lambda: program.send_signal(signal.SIGKILL)):
                    with pytest.raises(SyscallError, match="only the process that started it"):
                        use()
                assert program.returncode is None
                program.write(b"from the child\n")
                program.close()
            except BaseException:
                os._exit(1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert program.read_until(b"\n", 20) == b"from the child\r\n"
        assert program.returncode is None
    assert program.returncode == -signal.SIGHUP


def write_to(master: PtyMaster) -> str:
    with master:
        master.write(b"from afar\n")
        return type(master).__name__


def test_handle_arrives_in_another_process_as_a_master(spawn: Spawn) -> None:
    with PseudoTerminal.spawn(["cat"], echo=False) as program:
        assert spawn(write_to, program).result() == "PtyMaster"
        assert program.read_until(b"\n", 20) == b"from afar\r\n"
        assert program.returncode is None


def spawn_without_descriptors() -> list[str]:
    failures = []
    first = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    os.close(first)
    assert has_pidfd()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for spare in range(3):
        resource.setrlimit(resource.RLIMIT_NOFILE, (first + spare, hard))
        try:
            PseudoTerminal.spawn(["true"]).close()
            failures.append("started")
        except LimitError as error:
            failures.append(error.syscall)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        after = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        os.close(after)
        assert after == first, "a descriptor was left open"
    try:
        os.waitpid(-1, 0)
    except ChildProcessError:
        return failures
    return ["a child was left"]


def test_spawn_without_descriptors_leaves_nothing(spawn: Spawn) -> None:
    assert spawn(spawn_without_descriptors).result() == ["posix_openpt", "posix_spawn", "started"]
