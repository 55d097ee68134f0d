"""Around every test: children are reaped, nothing may be left behind, and a hang ends the run with all stacks."""

from __future__ import annotations

import gc
import os
import sys
import sysconfig
from typing import TYPE_CHECKING

import pytest

from ipckit.testing import LeakSnapshot, Spawn, Watchdog

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

SECONDS = 60

# A run is more than a thousand interpreters. Each would compile the same modules again where the environment forbids
# to keep what was compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Tests run side by side, so what others make meanwhile must be told apart, by the tests' children too; the run as a
# whole answers for all.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["CI"] = "false"

_watchdog = pytest.StashKey[Watchdog]()
_before = pytest.StashKey[LeakSnapshot]()
_failed = pytest.StashKey[bool]()


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start children as fresh interpreters; what they leave is killed, and a failure that nobody saw fails the test."""
    with Spawn() as starter:
        yield starter


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compare descriptors, mappings, threads, children and IPC objects before and after the test."""
    before = LeakSnapshot.take()
    yield
    if request.node.stash.get(_failed, False):
        return  # the traceback of the failure keeps all that its frames held
    if lines := before.leaked():
        pytest.fail("the test left behind:\n" + "\n".join(lines), pytrace=False)


def pytest_configure(config: pytest.Config) -> None:
    """Start the watchdog here, where standard error is not yet captured."""
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        os.environ["PYTHON_GIL"] = "0"  # children: posix_ipc and sysv_ipc would turn it on, with a warning
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note failures for the leak check."""
    report = yield
    item.stash[_failed] = item.stash.get(_failed, False) or report.failed
    return report


def pytest_collection_finish() -> None:
    """Take what is there for good, all modules and tests, from what each garbage collection goes through."""
    gc.collect()
    gc.freeze()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember what was there before all tests."""
    session.stash[_before] = LeakSnapshot.take()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if anything is left at its end, by fixtures of a wider scope too."""
    if session.testsfailed:
        return
    if lines := session.stash[_before].leaked():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print("\nthe test run left behind:", *lines, sep="\n")
