"""Around every test: children are reaped, nothing may be left behind, and a hang ends the run with all stacks."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from ipckit.testing import LeakSnapshot, Spawn, Watchdog
from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

SECONDS = examples(60)
LONGEST_FOLDER = 80  # bytes
ENDING = 15.0  # seconds for threads and processes that are ending, on a machine that is busy with others

# A run is more than a thousand interpreters. Each would compile the same modules again where the environment forbids
# to keep what was compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# What children print is buffered, as it is for users; without a buffer, less can go wrong.
os.environ.pop("PYTHONUNBUFFERED", None)

# Tests run side by side, so what others make meanwhile must be told apart, by the tests' children too; the run as a
# whole answers for all.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["CI"] = "false"

# The checkout may be read-only, and the machine busy with others.
settings.register_profile("ipckit", database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ipckit")

_finished = itertools.count(1)
_watchdog = pytest.StashKey[Watchdog]()
_before = pytest.StashKey[LeakSnapshot]()
_last = pytest.StashKey[LeakSnapshot | None]()
_failed = pytest.StashKey[bool]()


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """One whose path leaves room for the names of sockets, wherever TMPDIR is: unix(7) takes 107 bytes."""
    if len(os.fsencode(tmp_path)) <= LONGEST_FOLDER or not os.access("/tmp", os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(prefix="ipckit-test-", dir="/tmp") as short:
        yield Path(short).resolve()


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start children as fresh interpreters; what they leave is killed, and a failure that nobody saw fails the test."""
    with Spawn() as starter:
        yield starter


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compare descriptors, mappings, threads, children and IPC objects before and after the test."""
    # What was there after the last test is there before this one, unless a fixture of a wider scope came or went.
    before = request.config.stash.get(_last, None) or LeakSnapshot.take()
    request.config.stash[_last] = None
    yield
    if request.node.stash.get(_failed, False):
        return  # the traceback of the failure keeps all that its frames held
    after = LeakSnapshot.take()
    if not before.difference(after):
        request.config.stash[_last] = after
    elif lines := before.leaked(ENDING):
        pytest.fail("the test left behind:\n" + "\n".join(lines), pytrace=False)


class WiderScopes:
    """Forgets what was there after the last test, where a fixture of a wider scope adds to it, or takes away.

    A plugin, because pytest does not ask a conftest.py below its root about fixtures of the session.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._stash = config.stash

    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> None:
        if fixturedef.scope != "function":
            self._stash[_last] = None

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[object]) -> None:
        self.pytest_fixture_setup(fixturedef)


def pytest_configure(config: pytest.Config) -> None:
    """Start the watchdog here, where standard error is not yet captured."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # of a job in the background of a shell, and inherited
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        os.environ["PYTHON_GIL"] = "0"  # children: posix_ipc and sysv_ipc would turn it on, with a warning
    config.pluginmanager.register(WiderScopes(config))
    config.addinivalue_line("markers", f"watchdog(seconds): the test may take so long, instead of {SECONDS} s")
    if not config.getoption("usepdb"):
        config.stash[_watchdog] = watchdog = Watchdog(SECONDS)
        watchdog.rest()
        config.add_cleanup(watchdog.close)


def pytest_report_header() -> list[str]:
    """Say what the leak check can't see on this machine."""
    return [f"leak check: {sentence}" for sentence in LeakSnapshot.invisible()]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Give each test its time, fixtures included."""
    watchdog = item.config.stash.get(_watchdog, None)
    if watchdog is None:
        return (yield)
    marker = item.get_closest_marker("watchdog")
    watchdog.feed(marker.args[0] if marker else SECONDS, item.nodeid)
    try:
        return (yield)
    finally:
        watchdog.rest()


def pytest_runtest_logfinish() -> None:
    """The same, now and then, for what pytest keeps of each test."""
    if next(_finished) % 200 == 0:
        _collect_and_freeze()


def _collect_and_freeze() -> None:
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note failures for the leak check."""
    report = yield
    item.stash[_failed] = item.stash.get(_failed, False) or report.failed
    return report


def pytest_collection_finish() -> None:
    """Take what is there for good, all modules and tests, from what each garbage collection goes through."""
    _collect_and_freeze()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember what was there before all tests."""
    with suppress(ImportError):
        import numpy as np  # noqa: F401 - its import starts threads that stay
    session.stash[_before] = LeakSnapshot.take()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if anything is left at its end, by fixtures of a wider scope too."""
    if session.testsfailed:
        return
    if lines := session.stash[_before].leaked(ENDING):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print("\nthe test run left behind:", *lines, sep="\n")
