"""Typed views of mapped memory, and that none of them can crash, whatever is closed first."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.mapping import PAGE_SIZE, Mapping
from ipckit.posix import SharedMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ipckit.testing import Spawn

SIZE = 2 * PAGE_SIZE + 4


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int32), ("y", ctypes.c_double)]


@pytest.fixture(params=["SharedMemory", "Mapping", "private"])
def memory(request: pytest.FixtureRequest) -> Iterator[Mapping | SharedMemory]:
    if request.param == "SharedMemory":
        made: Mapping | SharedMemory = SharedMemory.create(size=SIZE, unlink_on_close=True)
    else:
        made = Mapping.create(size=SIZE, shared=request.param == "Mapping")
    with made:
        yield made


def test_a_view_of_numbers(memory: Mapping) -> None:
    numbers = memory.view("d")
    assert (numbers.format, numbers.itemsize, len(numbers)) == ("d", 8, SIZE // 8)
    numbers[1] = 2.5
    assert memory.view("d", offset=8, count=1).tolist() == [2.5]
    assert memory.view(offset=SIZE - 4).tolist() == [0] * 4
    assert len(memory.view("q", offset=SIZE)) == 0
    assert len(memory.view("i", offset=1, count=0)) == 0
    memory.view("i", offset=3, count=1)[0] = -1
    assert bytes(memory.buf[3:7]) == b"\xff" * 4


def test_views_that_are_none(memory: Mapping) -> None:
    for how, words in (
        ({"format": "dd"}, "format must be one letter"),
        ({"format": "<d"}, "format must be one letter"),
        ({"format": ""}, "format must be one letter"),
        ({"offset": SIZE + 1}, "offset must be 0 to"),
        ({"offset": -1}, "offset must be 0 to"),
        ({"format": "d", "count": SIZE // 8 + 1}, "count must be 0 to"),
        ({"count": -1}, "count must be 0 to"),
    ):
        with pytest.raises(ValueError, match=words):
            memory.view(**how)
    for offset in (SIZE - 15, SIZE + 1, -1):
        with pytest.raises(ValueError, match=r"cls must fit|offset must be"):
            memory.structure(Point, offset=offset)
    nothings: list[Any] = [int, None]
    for nothing in nothings:
        with pytest.raises(TypeError, match="cls must be a ctypes structure"):
            memory.structure(nothing)


def test_a_structure_is_the_memory(memory: Mapping) -> None:
    point = memory.structure(Point, offset=16)
    point.x, point.y = 7, 1.5
    again = memory.structure(Point, offset=16)
    assert (again.x, again.y) == (7, 1.5)
    points = memory.structure(Point * 3)
    assert points[1].x == 7
    points[1].x = 8
    assert point.x == memory.view("i", offset=16)[0] == 8


def test_read_only_memory_has_read_only_views(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(16))
    with Mapping.open(path, read_only=True) as memory:
        with pytest.raises(TypeError, match="read-only"):
            memory.view("d")[0] = 1.0
        with pytest.raises(TypeError, match="from_buffer_copy"):
            memory.structure(Point)
        assert Point.from_buffer_copy(memory.buf).x == 0


VIEWS: dict[str, Callable[[Any], object]] = {
    "slice": lambda m: m.buf[1:3],
    "slice of a slice": lambda m: m.buf[1:30][2:4],
    "cast": lambda m: m.view("i"),
    "memoryview": lambda m: memoryview(m.buf),
    "structure": lambda m: m.structure(Point),
    "structure of the user's": lambda m: Point.from_buffer(m.buf),
    "part of a structure": lambda m: m.structure(Point * 4)[2],
    "iterator": lambda m: advanced(iter(m.buf[5:])),
}


def advanced(iterator: Iterator[int]) -> Iterator[int]:
    next(iterator)
    return iterator


@pytest.mark.parametrize("kind", VIEWS)
def test_close_and_resize_refuse_while_a_view_is_alive(memory: Mapping, kind: str) -> None:
    view = VIEWS[kind](memory)
    for action, attempt in (("close", memory.close), ("resize", lambda: memory.resize(4 * PAGE_SIZE))):
        with pytest.raises(BufferError, match=rf"cannot {action} .* while views of its buf are alive"):
            attempt()
        assert not memory.closed
        assert memory.size == SIZE
        memory.buf[0] = 1
    del view
    memory.resize(4 * PAGE_SIZE)
    memory.close()


@pytest.mark.parametrize("kind", VIEWS)
def test_a_view_outlives_a_handle_that_is_forgotten(kind: str) -> None:
    memory = Mapping.create(size=SIZE)
    view = VIEWS[kind](memory)
    with pytest.warns(ResourceWarning, match="unclosed <Mapping"):
        del memory
    gc.collect()
    if isinstance(view, memoryview):
        view[0] = 1
        assert view[0] == 1
    elif isinstance(view, Point):
        view.x = 5
        assert view.x == 5
    else:
        assert sum(1 for _ in view) == SIZE - 6


def test_views_of_one_thread_keep_the_memory_from_the_close_of_another(memory: Mapping) -> None:
    """Nothing crashes, and nobody reads what is not there: either the close is refused, or the handle is closed."""
    refused, stop = [], threading.Event()

    def look() -> None:
        while not stop.is_set():
            try:
                assert memory.view("q", count=10).tolist() == [0] * 10
            except ValueError:  # ClosedError, or the view itself was released in between
                return

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    while not memory.closed:
        try:
            memory.close()
        except BufferError as error:
            refused.append(error)
    stop.set()
    for thread in threads:
        thread.join()
    assert memory.closed


# --- numpy, in a child: its libraries start threads that stay ---------------------------------------------------------


def numpy_views(name: str) -> None:
    import numpy as np

    with SharedMemory.open(name) as memory, SharedMemory.open(name, read_only=True) as reader:
        numbers = memory.array("f8", (2, 3), offset=8)
        numbers[1, 2] = 2.5
        assert memory.view("d", offset=8)[5] == 2.5
        assert numbers.flags.writeable
        assert numbers.flags.c_contiguous
        still = reader.array(np.float64, offset=8)
        assert still.shape == ((SIZE - 8) // 8,)
        assert still[5] == 2.5
        assert not still.flags.writeable
        assert memory.array("i4", 5).shape == (5,)
        assert memory.array("i4", 0, offset=SIZE).shape == (0,)
        assert memory.array("i4", ()).shape == ()
        assert memory.array("(3,)i4").shape == (SIZE // 12, 3)
        assert memory.array("(3,)i4", (5, 2)).shape == (5, 2, 3)
        assert (
            memory.array([("a", "i4"), ("b", "f8")], 2)["b"].tolist()
            == memory.array([("a", "i4"), ("b", "f8")], 2)["b"].tolist()
        )
        for how in (
            {"dtype": "O"},
            {"dtype": "V0"},
            {"dtype": "f8", "shape": SIZE // 8 + 1},
            {"dtype": "f8", "shape": (-1,)},
            {"dtype": "f8", "shape": (1 << 40, 1 << 40)},
            {"dtype": "f8", "offset": SIZE + 1},
        ):
            with pytest.raises(ValueError, match=r"dtype must|shape must|offset must"):
                memory.array(**how)
        with pytest.raises(BufferError):
            reader.close()
        with pytest.raises(BufferError):
            memory.close()
        del numbers, still
        makers = (
            lambda: memory.array("i4"),
            lambda: memory.array("i4", (3, 4))[1:, 2],
            lambda: np.frombuffer(memory.buf, "i4", 2),
            lambda: np.asarray(memory.buf),
            lambda: np.ndarray((4,), "i4", buffer=memory.buf),
            lambda: np.ndarray((2,), "i4", buffer=memory.buf, offset=4)[1:],
            lambda: np.ndarray((4,), "i4", buffer=memory.view("i")),
        )
        for maker in makers:
            array = maker()
            with pytest.raises(BufferError):
                memory.close()
            with pytest.raises(BufferError):
                memory.resize(2 * SIZE)
            array[...] = 9
            assert memory.size == SIZE
            del array
    for maker in (lambda m: m.array("i4"), lambda m: np.ndarray((4,), "i4", buffer=m.buf)):
        left = maker(forgotten(name))
        gc.collect()
        left[:] = 3
        assert left.sum() == 3 * left.size


def forgotten(name: str) -> SharedMemory:
    warnings.simplefilter("ignore", ResourceWarning)
    return SharedMemory.open(name)


@pytest.mark.skipif(find_spec("numpy") is None, reason="numpy, of the extra of that name, is not installed")
@pytest.mark.slow
def test_numpy_arrays_are_the_memory_and_none_can_crash(spawn: Spawn) -> None:
    with SharedMemory.create(size=SIZE, unlink_on_close=True) as memory:
        spawn(numpy_views, memory.name).result()


def without_numpy() -> str:
    sys.modules["numpy"] = None  # as if it were not installed
    with Mapping.create(size=8) as memory:
        try:
            memory.array("d")
        except ImportError as error:
            return str(error)
    return "imported"


def test_without_numpy_the_error_says_what_to_install(spawn: Spawn) -> None:
    assert spawn(without_numpy).result() == "array() needs the package numpy: pip install 'ipckit[numpy]'"
