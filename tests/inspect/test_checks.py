"""The checks of the machine, each where it is fine and where it is not."""

from __future__ import annotations

import ctypes
import os
import resource
import shlex
from collections import Counter

import pytest

from ipckit.cli.commands import parser
from ipckit.inspect import checks, find
from ipckit.inspect._checks import kernel, limits, login, machine, mounts, objects
from ipckit.inspect.checks import findings
from ipckit.inspect.limits import kernel_limits
from ipckit.posix import SharedMemory
from ipckit.ring import SpscRing
from ipckit.testing import pause
from tests import seccomp
from tests.inspect.elsewhere import CLONE_NEWNS, enter
from tests.nobody import become_nobody

READ_ONLY = 1


def mount(kind, path, flags=0, options=""):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", os.fsencode(path), kind.encode(), flags, options.encode()):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)


def in_private(path):
    """What the checks say of some file systems, or why none may be mounted."""
    if refused := enter(CLONE_NEWNS):
        return refused
    found = {}
    mount("tmpfs", path, options="size=1m,mode=1777")
    found["small"] = mounts.shared_memory_size(path)
    found["fine"] = mounts.shared_memory(path), mounts.shared_memory_files(path), mounts.shared_memory_mode(path)
    mount("tmpfs", path, READ_ONLY, "mode=1777")
    found["read-only"] = mounts.shared_memory(path)
    mount("tmpfs", path, options="size=0,mode=1777")
    found["endless"] = mounts.shared_memory_size(path)
    mount("tmpfs", path, options="size=64k,mode=1777")
    found["tiny"] = mounts.shared_memory_size(path)
    mount("tmpfs", "/dev/shm", options="size=1m,mode=1777")
    with open("/dev/shm/full", "wb") as file:
        file.write(bytes(900 << 10))
        file.flush()
        found["scarce"] = list(limits.exhaustion(kernel_limits(["/dev/shm"], processes=False)))
        file.write(bytes(124 << 10))
        file.flush()
        found["full"] = list(limits.exhaustion(kernel_limits(["/dev/shm"], processes=False)))
    mount("tmpfs", "/proc")
    found["without /proc"] = {finding.name: finding for finding in findings()}
    return found


@pytest.fixture
def privately(spawn, tmp_path):
    found = spawn(in_private, str(tmp_path)).result()
    if isinstance(found, str):
        pytest.skip(found)
    return found


def test_file_systems_that_are_mounted_otherwise(privately):
    assert [finding.level for finding in privately["fine"]] == ["ok", "ok", "ok"]
    assert privately["small"].level == "warning"
    assert privately["small"].found.startswith("1 MiB")
    assert privately["small"].commands[0].startswith("mount -o remount,size=4M ")
    assert privately["tiny"].commands[0].startswith("mount -o remount,size=1M ")
    assert privately["read-only"].level == "problem"
    assert "read-only" in privately["read-only"].found
    assert privately["endless"].level == "ok"
    assert [(finding.name, finding.level) for finding in privately["scarce"]] == [("/dev/shm", "warning")]
    assert [(finding.name, finding.level) for finding in privately["full"]] == [("/dev/shm", "problem")]
    assert "ENOSPC" in privately["full"][0].advice
    assert any(command.startswith("mount -o remount,size=") for command in privately["full"][0].commands)
    assert privately["without /proc"]["/proc"].level == "problem"
    assert "pseudo-terminals" in privately["without /proc"]


def test_shared_memory_elsewhere(tmp_path):
    missing = mounts.shared_memory(str(tmp_path / "none"))
    assert (missing.level, bool(missing.commands)) == ("problem", True)
    assert mounts.shared_memory("/proc").level == "warning"
    assert "proc, not tmpfs" in mounts.shared_memory("/proc").found
    assert mounts.shared_memory(str(tmp_path), str(tmp_path / "none")).level == "unknown"
    may_try = os.access("/proc", os.W_OK)
    assert mounts.shared_memory_files("/proc").level == ("problem" if may_try else "unknown")
    assert mounts.shared_memory_files(str(tmp_path / "none")).level == "unknown"
    assert mounts.shared_memory_size(str(tmp_path / "none")).level == "unknown"


@pytest.mark.parametrize(("mode", "level"), [(0o1777, "ok"), (0o777, "warning"), (0o755, "warning")])
def test_mode_of_shared_memory(tmp_path, mode, level):
    tmp_path.chmod(mode)
    found = mounts.shared_memory_mode(str(tmp_path))
    assert (found.level, f"{mode:04o}" in found.found or mode == 0o1777) == (level, True)
    assert found.commands == (() if level == "ok" else (f"chmod 1777 {tmp_path}",))


def as_nobody(path):
    become_nobody()
    return mounts.shared_memory_mode(path)


def test_shared_memory_that_this_user_may_not_write(spawn):
    assert spawn(as_nobody, "/proc").result().level == "problem"
    assert mounts.shared_memory_mode("/no/such").level == "unknown"


def lines(*wanted):
    return "".join(f"20 1 0:{number} / {point} rw - {rest}\n" for number, (point, rest) in enumerate(wanted, 30))


def test_message_queues_and_processes(tmp_path):
    table = tmp_path / "mountinfo"
    table.write_text(lines(("/proc", "proc proc rw,hidepid=invisible"), ("/a\\040b", "mqueue none rw")))
    assert mounts.message_queues(str(table)).found.endswith("/a b")
    hidden = mounts.processes("/proc", str(table), privileged=False)
    assert (hidden.level, "hidepid=invisible" in hidden.found) == ("warning", True)
    assert mounts.processes("/proc", str(table), privileged=True).level == "ok"
    table.write_text(lines(("/proc", f"proc proc rw,gid={(*os.getgroups(), -1)[0]},hidepid=2")))
    assert mounts.processes("/proc", str(table), privileged=False).level == ("ok" if os.getgroups() else "warning")
    table.write_text(lines(("/proc", "proc proc rw,hidepid=0")))
    assert mounts.processes("/proc", str(table), privileged=False).level == "ok"
    assert mounts.message_queues(str(table)).level == "warning"
    assert mounts.processes(str(tmp_path)).level == "problem"


def test_terminals(tmp_path):
    assert mounts.terminals().level == "ok"
    assert mounts.terminals(str(tmp_path / "ptmx")).level == "problem"
    assert mounts.terminals("/dev/null").level == "problem"
    assert mounts.terminals(directory=str(tmp_path)).level == "problem"


@pytest.mark.parametrize(
    ("release", "level"),
    [("6.1.0-13-amd64", "ok"), ("4.14.0", "ok"), ("4.9.337", "problem"), ("3.16", "problem"), ("odd", "unknown")],
)
def test_kernel(release, level):
    assert kernel.release(release).level == level
    assert kernel.release().level == "ok"


def found_without(*calls):
    seccomp.refuse(*calls)
    return {finding.name: finding for finding in kernel.available()}


@pytest.mark.skipif(not seccomp.NUMBERS, reason="numbers of system calls are spelt out")
def test_features_that_a_filter_takes_away(spawn):
    found = spawn(found_without, "memfd_create", "pidfd_open", "futex_waitv", "mq_unlink").result()
    missing = {"memfd_create", "pidfd_open", "futex_waitv", "POSIX message queues", "OFD locks"}  # tried on a memfd
    assert {name for name in missing if found[name].found.startswith("missing: ")} == missing
    assert found["futex_waitv"].level == "warning"
    assert found["memfd_create"].level == found["POSIX message queues"].level == "problem"
    assert all(found[name].advice for name in missing)
    assert found["MSG_COPY"].found == next(kernel.available(kernel.FEATURES[-1:])).found


@pytest.mark.parametrize(
    ("text", "capable", "level", "advised"),
    [
        ("0\n", False, "ok", False),
        ("1\n", False, "ok", True),
        ("1\n", True, "ok", False),
        ("2\n", False, "warning", True),
        ("2\n", True, "ok", False),
        ("3\n", True, "warning", True),
        ("?", True, "unknown", False),
    ],
)
def test_tracing(tmp_path, text, capable, level, advised):
    path = tmp_path / "ptrace_scope"
    path.write_text(text)
    found = kernel.tracing(str(path), capable=capable)
    assert (found.level, bool(found.advice)) == (level, advised)
    assert kernel.tracing(str(tmp_path / "none"), capable=False).level == "ok"


def test_capability_to_trace(tmp_path):
    status = tmp_path / "status"
    status.write_text("CapEff:\t0000000000080000\n")
    assert kernel.can_trace(str(status))
    status.write_text("Name:\tx\nCapEff:\t000001ffffffffff\n")
    assert kernel.can_trace(str(status))
    status.write_text("CapEff:\t0000000000000000\n")
    assert not kernel.can_trace(str(status))
    assert not kernel.can_trace(str(tmp_path / "none"))


def test_user_namespaces(tmp_path):
    assert "can be made" in kernel.user_namespaces(str(tmp_path)).found
    (tmp_path / "user").mkdir()
    (tmp_path / "user/max_user_namespaces").write_text("0\n")
    assert "user.max_user_namespaces is 0" in kernel.user_namespaces(str(tmp_path)).found


def on_one_processor():
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    return machine.processors()


def test_processors(spawn, tmp_path):
    assert spawn(on_one_processor).result().level == "warning"
    assert machine.processors(4, []).level == "ok"
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    found = machine.processors(4, [(str(tmp_path), 2)])
    assert (found.level, "1.5 of their time" in found.found) == ("warning", True)
    assert machine.processors(4, [(str(tmp_path), 1)]).level == "ok"
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert machine.processors(4, [(str(tmp_path), 2)]).level == "ok"
    (tmp_path / "cpu.cfs_quota_us").write_text("200000\n")
    (tmp_path / "cpu.cfs_period_us").write_text("100000\n")
    assert machine.processors(4, [(str(tmp_path), 1)]).level == "warning"


@pytest.mark.parametrize(
    ("allowed", "room", "level"), [(1 << 30, 2 << 30, "warning"), (4 << 30, 2 << 30, "ok"), (None, 2 << 30, "ok")]
)
def test_memory(allowed, room, level):
    assert machine.memory(allowed, room).level == level


def systemd(root, **files):
    for folder in ("run/systemd/system", "run/systemd/seats", "etc/systemd", "usr/lib/systemd/logind.conf.d"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def test_removal_at_logout(tmp_path):
    def level(uid=1000):
        return login.removal_at_logout(str(tmp_path), uid).level

    assert level() == "ok"  # no systemd
    systemd(tmp_path, **{"etc/systemd/logind.conf": "[Login]\n#RemoveIPC=no\n"})
    assert level() == "warning"  # it is what systemd does by itself
    assert level(0) == level(999) == "ok"
    (tmp_path / "etc/login.defs").write_text("SYS_UID_MAX 499\n")
    assert level(999) == "warning"
    (tmp_path / "etc/systemd/logind.conf").write_text("[Login]\nRemoveIPC=no\n")
    assert level() == "ok"
    dropin = tmp_path / "usr/lib/systemd/logind.conf.d/50-vendor.conf"
    dropin.write_text("[Other]\nRemoveIPC=no\n[Login]\n RemoveIPC = yes\n")
    found = login.removal_at_logout(str(tmp_path), 1000)
    assert (found.level, str(dropin) in found.found) == ("warning", True)
    systemd(tmp_path, **{"etc/systemd/logind.conf.d/50-vendor.conf": "[Login]\nRemoveIPC=off\n"})  # hides that
    assert level() == "ok"
    systemd(tmp_path, **{"run/systemd/logind.conf.d/60.conf": "[Login]\nRemoveIPC=true\n"})
    assert level() == "warning"
    systemd(tmp_path, **{"var/lib/systemd/linger/4294967": ""})
    assert level(4294967) == "ok"
    (tmp_path / "run/systemd/seats").rmdir()
    assert level() == "ok"


def test_installation():
    assert [finding.level for finding in machine.core(("ipckit.no_such_module",))] == ["problem"]
    assert [finding.level for finding in machine.core(lane="ipckit.no_such_module")] == ["ok", "warning"]
    wanted = (("cffi", "1.0"), ("cffi", "999"), ("ipckit-no-such-package", "1"))
    assert [finding.level for finding in machine.packages(wanted)] == ["ok", "problem", "problem"]
    assert machine.interpreter().level == "ok"


def near_its_limit():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    opened = []
    while len(os.listdir("/proc/self/fd")) < 60:
        opened.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
    try:
        # Of this process alone: another one may be nearer to its own limit.
        return [os.getpid(), *limits.exhaustion(kernel_limits(["RLIMIT_NOFILE"], processes=False))]
    finally:
        for fd in opened:
            os.close(fd)


def test_a_process_near_its_limit(spawn):
    pid, found = spawn(near_its_limit).result()
    assert (found.name, found.level) == ("RLIMIT_NOFILE", "warning")
    assert f"process {pid} " in found.found
    assert any(command.startswith("ulimit -n ") for command in found.commands)
    assert [finding.level for finding in limits.exhaustion(kernel_limits(["PIPE_BUF"], processes=False))] == ["ok"]


def understood(finding):
    """Every command that it advises is one."""
    assert finding.commands
    for command in finding.commands:
        program, *words = shlex.split(command)
        assert program == "ipckit"
        assert parser(words[0]).parse_args(words).run


def leave(name):
    ring = SpscRing.create(name)
    ring.send(b"x")
    pause("sent")


def test_what_was_left_behind(spawn):
    name = f"/checks-{os.getpid()}"
    child = spawn(leave, name)
    child.wait_reached("sent")
    try:
        levels = {found.name: found.level for found in objects.left_behind([find(f"ring:{name}")])}
        assert levels["stale objects"] == "ok"
        child.kill()
        child.join()
        record = find(f"ring:{name}")
        by_name = {found.name: found for found in objects.left_behind([record, record])}
        if not record.unseen:
            assert by_name["stale objects"].level == "warning"
            assert by_name["stale objects"].found.startswith("2 (ring 2)")
            assert "ipckit clean --yes" in by_name["stale objects"].commands
            understood(by_name["stale objects"])
    finally:
        SpscRing.unlink_name(name)


def test_what_nobody_has():
    memory = SharedMemory.create(size=4096)
    memory.close()
    try:
        record = find(f"shm:{memory.name}")
        young = {found.name: found for found in objects.left_behind([record])}
        assert young["unused objects"].commands == ()
        if not record.unseen:
            old = {found.name: found for found in objects.left_behind([record], older=-1)}
            assert old["unused objects"].found.startswith("1 (shm 1)")
            understood(old["unused objects"])
    finally:
        SharedMemory.unlink_name(memory.name)


def test_all_together():
    found = list(findings(processes=False))
    names = Counter(finding.name for finding in found)
    assert max(names.values()) == 1
    assert len(names) > 20
    for finding in found:
        assert finding.level in checks.Level.__args__
        assert finding.found
        assert finding.advice or finding.level in ("ok", "unknown"), finding
