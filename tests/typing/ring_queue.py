"""What a type checker knows of the queue."""

from __future__ import annotations

from typing import Any

from typing_extensions import assert_type

from ipckit import Queue
from ipckit.compat.multiprocessing import JoinableQueue, SimpleQueue
from ipckit.ring.codec import Codec, Pickled, Plain

numbers: Queue[int] = Queue(10, capacity=4096)
numbers.put(1)
numbers.put("one")  # type: ignore[arg-type]
numbers.put_many([2, 3], timeout=1.0)
assert_type(numbers.get(timeout=1.0), int)
assert_type(numbers.get_many(2), "list[int]")
assert_type(numbers.qsize(), int)
assert_type(numbers.full(), bool)
numbers.close()

anything: Queue[Any] = Queue(codec=Plain())
codec: Codec = Pickled()

jobs: JoinableQueue[str] = JoinableQueue()
jobs.put("work")
assert_type(jobs.get(), str)
jobs.task_done()

simple: SimpleQueue[bytes] = SimpleQueue()
assert_type(simple.get(), bytes)
