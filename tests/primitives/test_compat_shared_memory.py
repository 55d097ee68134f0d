"""The drop-in for multiprocessing.shared_memory: one table of scenarios, run over both modules and their mixtures."""

from __future__ import annotations

import errno
import inspect
import os
import pickle
import struct
import subprocess
import sys
from importlib.util import find_spec
from multiprocessing import shared_memory as standard
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.compat import shared_memory as ours
from ipckit.errors import AlreadyExistsError, ClosedError, LayoutError, LimitError, NotFoundError
from tests.primitives.standstill import HERE, before_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from ipckit.testing import Spawn

MIXTURES = [(ours, ours), (standard, standard), (ours, standard), (standard, ours)]
ITEMS = [1, -(1 << 63), 2.5, True, False, None, "", "text", "x" * 8, "x" * 17, b"", b"bytes", b"a\0b", "\u00e4"]


def title(module: ModuleType) -> str:
    return "ours" if module is ours else "standard"


def own(word: str) -> str:
    """A name that no test has that runs at the same time."""
    return f"ipckit-{word}-{os.getpid()}"


@pytest.fixture(autouse=True)
def no_tracker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Python 3.13 the standard library notes what it attaches to, to unlink it when this process ends."""
    monkeypatch.setattr(standard.resource_tracker, "register", lambda *_: None)
    monkeypatch.setattr(standard.resource_tracker, "unregister", lambda *_: None)


mixed = pytest.mark.parametrize(
    ("maker", "user"), MIXTURES, ids=[f"{title(maker)}-{title(user)}" for maker, user in MIXTURES]
)
both = pytest.mark.parametrize("module", [ours, standard], ids=title)


# --- SharedMemory -----------------------------------------------------------------------------------------------------


def attach(made: Any, user: ModuleType) -> None:
    other = user.SharedMemory(made.name)
    other.buf[:3] = b"abc"
    assert bytes(made.buf[:3]) == b"abc"
    assert (other.size, other.name) == (made.size, made.name)
    other.close()


def attach_by_keywords(made: Any, user: ModuleType) -> None:
    other = user.SharedMemory(name=made.name, create=False, size=7)
    assert other.size == made.size
    other.close()


def attach_by_position(made: Any, user: ModuleType) -> None:
    other = user.SharedMemory(made.name, False, 0)
    assert repr(other) == f"SharedMemory({made.name!r}, size={made.size})"
    other.close()


def close_again(made: Any, user: ModuleType) -> None:
    other = user.SharedMemory(made.name)
    view = other.buf
    for _ in range(3):
        other.close()
        assert other.buf is None
        assert other.size == made.size
        assert other.name == made.name
    with pytest.raises(ValueError, match="released"):
        view[0]


def close_while_a_slice_is_alive(made: Any, user: ModuleType) -> None:
    other = user.SharedMemory(made.name)
    part = other.buf[1:3]
    with pytest.raises(BufferError):
        other.close()
    part[0] = 5
    assert made.buf[1] == 5
    del part
    other.close()


def travel_in_a_pickle(made: Any, user: ModuleType) -> None:
    other = user.SharedMemory(made.name)
    again = pickle.loads(pickle.dumps(other))
    again.buf[0] = 9
    assert made.buf[0] == other.buf[0] == 9
    assert type(again) is user.SharedMemory
    for each in (again, other):
        each.close()


def take_the_name_that_is_taken(made: Any, user: ModuleType) -> None:
    with pytest.raises(FileExistsError):
        user.SharedMemory(made.name, create=True, size=1)
    assert made.buf[0] == 0


def unlink_once(made: Any, user: ModuleType) -> None:
    other = user.SharedMemory(made.name)
    other.close()
    made.unlink()
    made.buf[0] = 1
    with pytest.raises(FileNotFoundError):
        user.SharedMemory(made.name)
    with pytest.raises(FileNotFoundError):
        made.unlink()


def outlive_the_object(made: Any, user: ModuleType) -> None:
    other = user.SharedMemory(made.name)
    other.buf[0] = 3
    del other
    third = user.SharedMemory(made.name)
    assert third.buf[0] == 3
    third.close()


def be_of_the_exact_size(made: Any, user: ModuleType) -> None:
    assert made.size == len(made.buf) == 5000
    assert os.stat(f"/dev/shm/{made.name}").st_size == 5000
    assert os.stat(f"/dev/shm/{made.name}").st_mode & 0o777 == 0o600
    other = user.SharedMemory(made.name)
    with pytest.raises(IndexError):
        other.buf[5000]
    other.close()


SCENARIOS: tuple[Callable[[Any, ModuleType], None], ...] = (
    attach,
    attach_by_keywords,
    attach_by_position,
    close_again,
    close_while_a_slice_is_alive,
    travel_in_a_pickle,
    take_the_name_that_is_taken,
    unlink_once,
    outlive_the_object,
    be_of_the_exact_size,
)


@mixed
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_segment(scenario: Callable[[Any, ModuleType], None], maker: ModuleType, user: ModuleType) -> None:
    made = maker.SharedMemory(create=True, size=5000)
    try:
        scenario(made, user)
    finally:
        made.close()
        if os.path.exists(f"/dev/shm/{made.name}"):
            made.unlink()


@both
def test_bad_arguments(module: ModuleType) -> None:
    for how in ({}, {"create": True}, {"create": True, "size": 0}, {"create": True, "size": -1}, {"size": -1}):
        with pytest.raises(ValueError, match=r"size|name"):
            module.SharedMemory(**how)
    for how in ({"create": True, "size": "1"}, {"create": True, "size": None}):
        with pytest.raises(TypeError):
            module.SharedMemory(**how)
    for name in ("", "a/b", "n" * 300, "ipckit-none"):
        with pytest.raises(OSError):
            module.SharedMemory(name)
    name = own("empty")
    with open(f"/dev/shm/{name}", "wb"):
        pass
    try:
        with pytest.raises(ValueError, match="empty"):
            module.SharedMemory(name)
    finally:
        if os.path.exists(f"/dev/shm/{name}"):
            os.unlink(f"/dev/shm/{name}")


def test_the_constructors_have_the_same_parameters() -> None:
    for name in ("SharedMemory", "ShareableList"):
        theirs = inspect.signature(getattr(standard, name)).parameters
        mine = inspect.signature(getattr(ours, name)).parameters
        found = [(p.name, p.kind, p.default) for p in mine.values() if p.name in theirs]
        assert found == [(p.name, p.kind, p.default) for p in theirs.values()]
        assert set(mine) - set(theirs) <= {"track"}
        public = {member for member in dir(getattr(standard, name)) if not member.startswith("_")}
        assert public <= set(dir(getattr(ours, name))) | {"shm"}


def test_track_is_accepted_and_nothing_is_tracked() -> None:
    for track in (True, False):
        made = ours.SharedMemory(create=True, size=1, track=track)
        made.close()
        made.unlink()
    untracked = own("untracked")
    code = (
        "import sys, ipckit.compat\n"
        "assert 'ipckit.compat.shared_memory' not in sys.modules\n"
        "from ipckit.compat.shared_memory import SharedMemory, ShareableList\n"
        "shm = SharedMemory(create=True, size=10); ShareableList([1], name=sys.argv[1]).shm.close()\n"
        "heavy = {'multiprocessing', 'posix_ipc', 'sysv_ipc', 'cffi', 'numpy', 'subprocess'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "print(shm.name)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, untracked], capture_output=True, text=True, check=True)
    assert run.stderr == ""
    for name in (run.stdout.strip(), untracked):  # the process has ended, and they are still there
        left = ours.SharedMemory(name)
        left.close()
        left.unlink()


def test_what_only_attached_unlinks_nothing_of_the_standard_librarys() -> None:
    made = standard.SharedMemory(create=True, size=10)
    try:
        code = f"from ipckit.compat.shared_memory import SharedMemory as S; s = S({made.name!r}); s.buf[0] = 5"
        run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
        assert run.stderr == ""
        assert made.buf[0] == 5
        assert os.path.exists(f"/dev/shm/{made.name}")
    finally:
        made.close()
        made.unlink()


def test_a_strangers_segment_of_the_same_name_is_never_unlinked() -> None:
    name = own("stranger")
    made = ours.SharedMemory(name, create=True, size=1)
    packed = pickle.dumps(made)
    os.unlink(f"/dev/shm/{name}")
    strangers = standard.SharedMemory(name, create=True, size=2)
    try:
        made.close()
        with pytest.raises(NotFoundError, match="belongs to another"):
            made.unlink()
        with pytest.raises(NotFoundError, match="belongs to another"):
            pickle.loads(packed)
        assert os.stat(f"/dev/shm/{name}").st_size == 2
    finally:
        strangers.close()
        strangers.unlink()


def test_memory_is_reserved_and_errors_are_of_this_package_too() -> None:
    made = ours.SharedMemory(create=True, size=1 << 20)
    try:
        assert os.stat(f"/dev/shm/{made.name}").st_blocks * 512 >= 1 << 20
        with pytest.raises(AlreadyExistsError):
            ours.SharedMemory(made.name, True, 1)
    finally:
        made.close()
        made.unlink()
    with pytest.raises(LimitError) as caught:
        ours.SharedMemory(own("huge"), create=True, size=1 << 62)
    assert caught.value.errno == errno.ENOSPC
    assert not os.path.exists(f"/dev/shm/{own('huge')}")
    with pytest.raises(NotFoundError):
        ours.SharedMemory("ipckit-none")


def keep_an_array() -> list[object]:
    """The idiom of the standard library's manual, with the array still alive when the segment is closed."""
    import numpy as np

    made = ours.SharedMemory(create=True, size=80)
    array = np.ndarray((10,), dtype="q", buffer=made.buf)
    made.close()
    made.unlink()
    array[:] = 3  # with the standard library, this kills the process
    whole = ours.SharedMemory(create=True, size=80)
    sliced = np.frombuffer(whole.buf, dtype="q")
    try:
        whole.close()
    except BufferError:
        del sliced
        whole.close()
    whole.unlink()
    return [int(array.sum()), made.buf, whole.buf]


@pytest.mark.skipif(find_spec("numpy") is None, reason="numpy, of the extra of that name, is not installed")
@pytest.mark.slow
def test_an_array_of_the_whole_buffer_keeps_the_memory_after_close(spawn: Spawn) -> None:
    assert spawn(keep_an_array).result() == [30, None, None]


def use_in_child(made: Any) -> bytes:
    made.buf[1] = 66
    found = bytes(made.buf[:2])
    made.close()
    return found


@both
def test_it_travels_to_a_child(module: ModuleType, spawn: Spawn) -> None:
    made = module.SharedMemory(create=True, size=2)
    try:
        made.buf[0] = 65
        memory = made if module is ours else ours.SharedMemory(made.name)
        assert spawn(use_in_child, memory).result() == bytes(made.buf) == b"AB"
        memory.close()
    finally:
        made.close()
        made.unlink()


def test_a_forked_child_that_ends_unlinks_nothing() -> None:
    made = ours.SharedMemory(create=True, size=1)
    pid = os.fork()
    if pid == 0:
        made.buf[0] = 1
        del made
        os._exit(0)
    os.waitpid(pid, 0)
    assert made.buf[0] == 1
    assert os.path.exists(f"/dev/shm/{made.name}")
    made.close()
    made.unlink()


# --- ShareableList ----------------------------------------------------------------------------------------------------


def read_all(made: Any, other: Any) -> None:
    assert list(other) == list(made)
    assert [type(item) for item in other] == [type(item) for item in made]
    assert len(other) == len(made) == len(ITEMS[:-1])
    assert other.format == made.format
    assert repr(other) == repr(made) == f"ShareableList({list(made)!r}, name={made.shm.name!r})"


def find(made: Any, other: Any) -> None:
    assert other.count(1) == 2  # True is 1
    assert other.index("text") == ITEMS.index("text")
    assert b"bytes" in other
    assert "nothing" not in other
    with pytest.raises(ValueError, match="not in"):
        other.index("nothing")
    assert other[-1] == made[len(made) - 1]


def assign(made: Any, other: Any) -> None:
    for position, value in (
        (0, 5),
        (0, "12345678"),
        (0, None),
        (0, 2.5),
        (2, True),
        (ITEMS.index("text"), "longer."),
        (ITEMS.index("text"), 7),
        (ITEMS.index("text"), b"again"),
        (ITEMS.index("x" * 17), "y" * 24),
        (-1, b"a\0b\0c"),
    ):
        other[position] = value
        assert made[position] == value
        assert type(made[position]) is type(value)
    assert made.format == other.format


def assign_too_much(made: Any, other: Any) -> None:
    for position, value in ((0, "123456789"), (0, b"123456789"), (ITEMS.index("text"), "\u00e4" * 5)):
        with pytest.raises(ValueError, match="exceeds available storage"):
            other[position] = value
    with pytest.raises(struct.error):
        other[0] = 1 << 63
    assert made[ITEMS.index("text")] == "text"


def leave_the_range(made: Any, other: Any) -> None:
    with pytest.raises(IndexError, match="index out of range"):
        other[len(made)]
    with pytest.raises(IndexError, match="assignment index out of range"):
        other[len(made)] = 1


def lose_trailing_nuls(made: Any, other: Any) -> None:
    other[ITEMS.index(b"bytes")] = b"ab\0\0"
    assert made[ITEMS.index(b"bytes")] == b"ab"


def pickle_and_back(made: Any, other: Any) -> None:
    again = pickle.loads(pickle.dumps(other))
    again[0] = 77
    assert made[0] == 77
    again.shm.close()


LISTS: tuple[Callable[[Any, Any], None], ...] = (
    read_all,
    find,
    assign,
    assign_too_much,
    leave_the_range,
    lose_trailing_nuls,
    pickle_and_back,
)


@mixed
@pytest.mark.parametrize("scenario", LISTS, ids=lambda scenario: scenario.__name__)
def test_list(scenario: Callable[[Any, Any], None], maker: ModuleType, user: ModuleType) -> None:
    made = maker.ShareableList(ITEMS[:-1])  # not the last: see the test of text that is not ASCII
    other = user.ShareableList(name=made.shm.name)
    try:
        scenario(made, other)
    finally:
        other.shm.close()
        made.shm.close()
        made.shm.unlink()


@mixed
def test_lists_without_items_and_of_lists(maker: ModuleType, user: ModuleType) -> None:
    for sequence in ((), [], range(3), (1, "a"), user.ShareableList([1])):
        made = maker.ShareableList(sequence, name=None)
        other = user.ShareableList(name=made.shm.name)
        assert list(other) == list(made) == list(sequence)
        if hasattr(sequence, "shm"):
            sequence.shm.close()
            sequence.shm.unlink()
        other.shm.close()
        made.shm.close()
        made.shm.unlink()


def test_both_lay_a_list_out_alike() -> None:
    made = [module.ShareableList(ITEMS[:-1]) for module in (ours, standard)]
    assert bytes(made[0].shm.buf) == bytes(made[1].shm.buf)
    for each in made:
        each.shm.close()
        each.shm.unlink()


@pytest.fixture
def numbers() -> Iterator[ours.ShareableList[Any]]:
    made = ours.ShareableList([1, "text"])
    yield made
    made.shm.close()
    made.shm.unlink()


def test_text_that_is_not_ascii_gets_the_room_that_it_needs() -> None:
    """The standard library counts characters and not bytes, and cuts such a text off."""
    made = ours.ShareableList(["\u00e4" * 7, "\U0001f600" * 4])
    other = standard.ShareableList(name=made.shm.name)
    assert list(made) == list(other) == ["\u00e4" * 7, "\U0001f600" * 4]
    other.shm.close()
    made.shm.close()
    made.shm.unlink()


def test_items_that_cannot_be_stored(numbers: ours.ShareableList[Any]) -> None:
    for item in ([], {}, 1j, object(), bytearray(b"x")):
        with pytest.raises(TypeError, match="an item must be"):
            ours.ShareableList([item])
        with pytest.raises(TypeError, match="an item must be"):
            numbers[0] = item
    with pytest.raises(ValueError, match="at most"):
        ours.ShareableList([bytes(10_000_000)])
    assert list(numbers) == [1, "text"]


@pytest.mark.parametrize("item", [1 << 63, -(1 << 63) - 1, "x" * 17, [1]])
def test_an_item_that_is_refused_changes_nothing(numbers: ours.ShareableList[Any], item: object) -> None:
    for position in (0, 1):
        with pytest.raises((struct.error, TypeError, ValueError)):
            numbers[position] = item
    assert list(numbers) == [1, "text"]


def test_positions_before_the_first_are_out_of_range(numbers: ours.ShareableList[Any]) -> None:
    with pytest.raises(IndexError):
        numbers[-3]
    with pytest.raises(IndexError):
        numbers[-3] = 1


def test_a_list_whose_segment_is_closed() -> None:
    made = ours.ShareableList([1])
    made.shm.close()
    for use in (lambda: made[0], lambda: made.format, lambda: made.__setitem__(0, 1), lambda: list(made)):
        with pytest.raises(ClosedError):
            use()
    assert "closed" in repr(made)
    made.shm.unlink()


@pytest.mark.parametrize(
    "content",
    [
        b"\0" * 7,
        struct.pack("q", -1) + bytes(24),
        struct.pack("q", 1 << 62) + bytes(24),
        struct.pack("3q", 1, 0, 1 << 62) + bytes(8),
        struct.pack("3q", 1, 8, 0) + bytes(32),
        struct.pack("3q", 1, -8, 8) + bytes(32),
        struct.pack("3q", 1, 0, 8) + b"12345678" + b"q",
    ],
)
def test_a_segment_without_a_list_is_a_layout_error(content: bytes) -> None:
    made = ours.SharedMemory(create=True, size=len(content))
    made.buf[:] = content
    with pytest.raises(LayoutError, match="has no ShareableList"):
        ours.ShareableList(name=made.name)
    made.close()
    made.unlink()


@pytest.mark.parametrize("form", [b"1000000s", b"16s", b"16q", b"s", b"P", b"\xff", b"99999999", b"-8s"])
def test_a_format_that_somebody_overwrote_reads_nothing_outside(numbers: ours.ShareableList[Any], form: bytes) -> None:
    start = numbers._forms_start()
    numbers.shm.buf[start : start + 8] = form.ljust(8, b"\0")
    with pytest.raises(LayoutError, match="has the format"):
        numbers[0]
    numbers[0] = 2
    numbers.shm.buf[numbers._kinds_start()] = 2
    with pytest.raises(LayoutError, match="is no text"):
        numbers[0]


# --- killed -----------------------------------------------------------------------------------------------------------


def make_list_until(event: str, name: str) -> None:
    before_event(event)
    ours.ShareableList([1, "two"], name=name)


@pytest.mark.parametrize(("event", "named"), [("os.link", False), ("mmap.__new__", True)])
def test_a_maker_that_is_killed_leaves_nothing_or_a_whole_list(event: str, named: bool, spawn: Spawn) -> None:
    name = own("killed")
    maker = spawn(make_list_until, event, name)
    maker.wait_reached(HERE)
    maker.kill()
    maker.join()
    assert os.path.exists(f"/dev/shm/{name}") == named
    if named:
        found = ours.ShareableList(name=name)
        assert list(found) == [1, "two"]
        found.shm.close()
        found.shm.unlink()
