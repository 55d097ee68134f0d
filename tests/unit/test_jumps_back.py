"""No exception of a signal handler passes by what gives back; see docs/decisions/0027-jumps-back.md."""

from __future__ import annotations

import _thread
import dis
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import ipckit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="it has no table of exceptions")

FILES = sorted(Path(ipckit.__file__).parent.rglob("*.py"))
CLASSES = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_ATTR", "BUILD_TUPLE"}
"""What puts the classes that an `except` names on the stack."""
ALL = {"BaseException", "Exception"}
PLACE = sys.version_info >= (3, 13)
"""Whether a jump's exceptions are looked up at the jump, or at what stands before the place where it leads."""


def codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if hasattr(constant, "co_code"):
            yield from codes(constant)


class Coverage:
    """The instructions of one code object, and who handles exceptions at them."""

    def __init__(self, code: CodeType) -> None:
        self._entries = dis.Bytecode(code).exception_entries  # type: ignore[attr-defined]
        self._instructions = [one for one in dis.get_instructions(code) if one.opname != "NOT_TAKEN"]
        self._index = {one.offset: index for index, one in enumerate(self._instructions)}

    def laid_bare(self) -> Iterator[dis.Instruction]:
        """The jumps back at which an exception misses what gives back around them."""
        if self._entries:
            for condition, before, jump in zip(*(self._instructions[at:] for at in range(3)), strict=False):
                if _looks_for_signals(jump):
                    # A condition that leads back is made of two jumps, which may have no handlers in the table.
                    bare = before.opname.startswith("POP_JUMP") and self._handler(jump.offset) is None
                    around = self._giving_back(condition.offset if bare else jump.offset)
                    if not around <= self._giving_back(jump.offset if PLACE else jump.argval - 2):
                        yield jump

    def _handler(self, offset: int) -> int | None:
        return next((entry.target for entry in self._entries if entry.start <= offset < entry.end), None)

    def _giving_back(self, offset: int) -> set[int]:
        """Each `finally`, `with`, and `except` for all exceptions, around the instruction."""
        found = set()
        handler = self._handler(offset)
        while handler is not None:
            if self._takes_all(handler):
                found.add(handler)
            handler = self._handler(handler)
        return found

    def _takes_all(self, handler: int) -> bool:
        at = self._index[handler]
        if self._instructions[at].opname != "PUSH_EXC_INFO":  # the compiler's own: it ends a handler, say
            return False
        while True:
            named = set()
            while self._instructions[at := at + 1].opname in CLASSES:
                named.add(self._instructions[at].argval)
            if self._instructions[at].opname != "CHECK_EXC_MATCH":
                return self._instructions[at].opname != "RERAISE"
            if named & ALL:
                return True
            at = self._index[self._instructions[at + 1].argval] - 1  # where the next `except` begins


def _looks_for_signals(one: dis.Instruction) -> bool:
    return one.opname == "JUMP_BACKWARD" or one.opname.startswith("POP_JUMP_BACKWARD")


def test_no_jump_back_passes_by_what_gives_back() -> None:
    found = {
        f"{path}:{jump.positions and jump.positions.lineno} in {code.co_name}"
        for path in FILES
        for code in codes(compile(path.read_text(), str(path), "exec"))
        for jump in Coverage(code).laid_bare()
    }
    assert sorted(found) == [], "see docs/decisions/0027-jumps-back.md for what to do"
    assert len(FILES) > 300


class Interruption(Exception):
    """What the handler of a signal raises."""


class Signum(int):
    """A signal that comes when it is looked at, and not when something is called."""

    come = property(_thread.interrupt_main)


@pytest.fixture
def signum() -> Iterator[Signum]:
    def interrupt(*_: object) -> None:
        raise Interruption

    before = signal.signal(signal.SIGUSR1, interrupt)
    yield Signum(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


LOOPS = {
    "a condition": "while not signum.come: pass",
    "an if that ends the body": "for _ in range(9):\n   if signum.come: break",
    "a plain end": "while True:\n   if given_back: break\n   signum.come",
    "a plain end of a for": "for _ in range(9): signum.come",
    "a continue": "while True:\n   if not signum.come: continue\n   break",
    "a continue behind a statement": "one = 1\n  while True:\n   if not signum.come: continue\n   break",
}
AROUND = {
    "finally": "try:\n  {loop}\n finally:\n  given_back.append(1)",
    "except BaseException": "try:\n  {loop}\n except BaseException:\n  given_back.append(1)\n  raise",
    "except with other classes": "try:\n  {loop}\n except OSError: pass\n except (KeyError, Exception):\n"
    "  given_back.append(1)\n  raise",
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_it_is_found_by_looking_where_it_happens(loop: str, around: str, signum: Signum) -> None:
    names: dict[str, Any] = {"signum": signum}
    exec(f"def run(given_back):\n {around.format(loop=loop)}", names)
    given_back: list[int] = []
    with pytest.raises(Interruption):
        names["run"](given_back)
    assert bool(given_back) is not any(Coverage(names["run"].__code__).laid_bare())


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_whoever_takes_its_own_errors_alone_loses_nothing(loop: str) -> None:
    names: dict[str, Any] = {}
    exec(f"def run(given_back):\n try:\n  {loop}\n except OSError:\n  given_back.append(1)", names)
    assert not any(Coverage(names["run"].__code__).laid_bare())
