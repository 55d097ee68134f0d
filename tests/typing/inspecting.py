"""A user's program under ``mypy --strict``: looking at objects, and removing them. It is checked, and never run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from typing_extensions import assert_type

from ipckit import inspect
from ipckit.inspect import Holder, Look, Outcome, Record, Verdict
from ipckit.inspect.leftovers import Leftover
from ipckit.inspect.segments import Creator, Participant, Ring, Sync

assert_type(inspect.objects(["mq", "ring"]), Iterator[Record])
assert_type(inspect.find("ring:/jobs"), Record)
assert_type(inspect.find_all(["ring:/jobs"]), dict[str, Record | None])
inspect.find(7)  # type: ignore[arg-type]
inspect.objects(kinds=7)  # type: ignore[arg-type]

look = Look(progress=lambda done, of: print(done, of))
assert_type(look.unseen, int)
assert_type(look.notes, tuple[str, ...])
for record in look:
    assert_type(record, Record)
    assert_type(record.address, str)
    assert_type(record.verdict, Verdict)
    assert_type(record.verdict.state, Literal["in use", "idle", "stale", "unused", "foreign", "unknown"])
    assert_type(record.holders, tuple[Holder, ...])
    assert_type(record.age, float | None)
    record.size = 1  # type: ignore[misc]

    if isinstance(record, Ring):
        assert_type(record.creator, Creator | None)
        assert_type(record.participants, tuple[Participant, ...])
        assert_type(record.depth, int | None)
    elif isinstance(record, Sync):
        assert_type(record.value, int | None)
        assert_type(record.owner_died, bool | None)
    elif isinstance(record, Leftover):
        assert_type(record.of, str | None)

for outcome in inspect.clean(older_than=3600.0, foreign=True, kinds=["shm"], dry_run=False):
    assert_type(outcome, Outcome)
    assert_type(outcome.removed, bool)
inspect.remove("mq:/jobs", force=True)
inspect.remove(record)
