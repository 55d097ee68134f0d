"""Objects with a name: made, found, removed, by whom and for whom."""

from __future__ import annotations

import os
import pickle
import secrets
import stat
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import AccessError, AlreadyExistsError, NotFoundError, RemovedError
from tests.contract.shapes import Made, Subject, exists, unlink, unlink_if_there, unlink_name
from tests.contract.subjects import NAMED
from tests.contract.tools import in_fork
from tests.nobody import become_nobody

if TYPE_CHECKING:
    from collections.abc import Iterator


every = pytest.mark.parametrize("subject", NAMED, ids=str)
outliving = pytest.mark.parametrize("subject", [s for s in NAMED if s.naming and s.naming.outlives], ids=str)
ending = pytest.mark.parametrize("subject", [s for s in NAMED if s.naming and not s.naming.outlives], ids=str)


@pytest.fixture
def name(subject: Subject) -> Iterator[str]:
    """A name that is free, and removed afterwards."""
    assert subject.naming is not None
    name = subject.naming.new()
    yield name
    unlink_if_there(subject, name)


def create(subject: Subject, name: str | None, **how: object) -> object:
    assert subject.naming is not None
    return subject.cls.create(name, **{**subject.naming.create, **how})


def create_unlinking(subject: Subject, name: str, **how: object) -> object:
    """`create`, with `close` told to destroy the name."""
    assert subject.naming is not None
    return create(subject, name, **{subject.naming.on_close: True, **how})


@every
def test_create_is_exclusive(subject: Subject, made: Made) -> None:
    with pytest.raises(AlreadyExistsError) as caught:
        create(subject, made[0].name)
    assert caught.value.filename == made[0].name
    assert isinstance(caught.value, FileExistsError)


@every
def test_open_needs_something_to_open(subject: Subject, name: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        subject.cls.open(name)
    assert caught.value.filename == name
    assert isinstance(caught.value, FileNotFoundError)
    assert not exists(subject, name)


@every
def test_open_finds_what_was_created(subject: Subject, made: Made) -> None:
    other = subject.cls.open(made[0].name)
    try:
        assert other.name == made[0].name
        assert other._identity() == made[0]._identity()
        subject.before(made)
        assert subject.here(made, subject.there(other))
    finally:
        other.close()


@every
def test_open_or_create_does_one_or_the_other(subject: Subject, name: str) -> None:
    assert subject.naming is not None
    first = subject.cls.open_or_create(name, **subject.naming.create)
    second = subject.cls.open_or_create(name, **subject.naming.create)
    try:
        assert first._identity() == second._identity()
    finally:
        first.close()
        second.close()


@every
def test_create_without_a_name_makes_unique_objects(subject: Subject) -> None:
    assert subject.naming is not None
    handles = [create(subject, None) for _ in range(3)]
    try:
        assert len({handle._identity() for handle in handles}) == 3
        names = [handle.name for handle in handles if handle.name]
        assert len(set(names)) == len(names)
    finally:
        for handle in handles:
            if handle.name or not subject.naming.outlives:
                unlink(subject, handle)
            handle.close()


@every
def test_close_keeps_the_name(subject: Subject, made: Made) -> None:
    made[0].close()
    assert exists(subject, made[0].name)


@outliving
def test_unlink_takes_the_name_and_leaves_the_handle(subject: Subject, made: Made) -> None:
    unlink(subject, made[0])
    assert not exists(subject, made[0].name)
    assert not made[0].closed
    subject.before(made)
    assert subject.here(made, subject.there(made[0]))


@ending
def test_removal_ends_the_object_for_every_handle(subject: Subject, made: Made) -> None:
    made.append(subject.cls.open(made[0].name))
    unlink(subject, made[0])
    assert not exists(subject, made[0].name)
    for handle in made:
        assert not handle.closed
        for verb, use in subject.calls.items():
            with pytest.raises(RemovedError) as caught:
                use(handle)
                pytest.fail(f"{verb} of a removed {subject} did not raise")
            assert caught.value.filename == handle.name


@every
def test_unlink_again_is_not_found(subject: Subject, made: Made) -> None:
    unlink(subject, made[0])
    for again in (lambda: unlink(subject, made[0]), lambda: unlink_name(subject, made[0].name)):
        with pytest.raises(NotFoundError) as caught:
            again()
        assert caught.value.filename == made[0].name


@every
def test_unlink_name_needs_no_handle_and_works_after_close(subject: Subject, name: str) -> None:
    create(subject, name).close()
    unlink_name(subject, name)
    assert not exists(subject, name)
    handle = create(subject, name)
    handle.close()
    unlink(subject, handle)
    assert not exists(subject, name)


@every
def test_name_is_free_again_after_unlink_and_means_another_object(subject: Subject, made: Made) -> None:
    unlink(subject, made[0])
    other = create(subject, made[0].name)
    try:
        assert other._identity() != made[0]._identity()
    finally:
        other.close()


@every
def test_unlink_on_close_unlinks_once(subject: Subject, name: str) -> None:
    handle = create_unlinking(subject, name)
    handle.close()
    assert not exists(subject, name)
    create(subject, name).close()  # somebody else's, by now
    handle.close()
    assert exists(subject, name)


@every
def test_unlink_on_close_forgives_a_name_that_is_gone(subject: Subject, name: str) -> None:
    handle = create_unlinking(subject, name)
    unlink(subject, handle)
    handle.close()
    assert handle.closed


@every
def test_unlink_on_close_is_not_for_a_forked_child(subject: Subject, name: str) -> None:
    handle = create_unlinking(subject, name)
    try:
        in_fork(handle.close)
        assert exists(subject, name)
    finally:
        handle.close()
    assert not exists(subject, name)


@every
def test_unlink_on_close_is_not_for_the_garbage_collector(subject: Subject, name: str) -> None:
    handle = create_unlinking(subject, name)
    with pytest.warns(ResourceWarning):
        del handle
    assert exists(subject, name)


@every
def test_mode_is_exactly_what_was_asked_for_whatever_the_umask(subject: Subject, name: str) -> None:
    assert subject.naming is not None
    for umask in (0o077, 0, 0o777):
        before = os.umask(umask)
        try:
            for mode, expected in ((None, 0o600), (0o666, 0o666), (0o640, 0o640), (0o622, 0o622)):
                handle = create(subject, name, **({} if mode is None else {"mode": mode}))
                found = stat.S_IMODE(subject.naming.stat(handle).st_mode)
                unlink(subject, handle)
                handle.close()
                assert found == expected, f"umask {umask:#o}, mode {mode}"
        finally:
            os.umask(before)


@every
@pytest.mark.parametrize("verb", ["create", "open", "open_or_create", "unlink_name"])
def test_bad_name_is_refused_by_the_name_of_its_argument(subject: Subject, verb: str) -> None:
    assert subject.naming is not None
    how = subject.naming.create if verb in {"create", "open_or_create"} else {}
    for why, name in subject.naming.bad.items():
        expected = ValueError if isinstance(name, str) else TypeError
        with pytest.raises(expected, match=subject.naming.argument) as caught:
            unlink_name(subject, name) if verb == "unlink_name" else getattr(subject.cls, verb)(name, **how)
            pytest.fail(f"{verb} took a name that is wrong: {why}")
        assert type(caught.value) is expected, f"{why}: {caught.value!r}"


@every
def test_longest_name_is_taken(subject: Subject) -> None:
    assert subject.naming is not None
    if "too long" not in subject.naming.bad:
        longest = f"{os.path.dirname(subject.naming.new())}/{secrets.token_hex(8):x<255}"
    else:
        longest = f"/{secrets.token_hex(8):x<{len(subject.naming.bad['too long']) - 2}}"  # type: ignore[arg-type]
    handle = create_unlinking(subject, longest)
    assert handle.name == longest
    handle.close()


@every
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_kept_out_by_the_mode(subject: Subject, name: str) -> None:
    def as_nobody() -> list[str]:
        subject.cls.open(public.name).close()  # so that all is imported
        become_nobody()
        outcomes = []
        for handle in (private, public):
            try:
                opened = subject.cls.open(handle.name)
                subject.calls["open_reader"](opened).close() if "open_reader" in subject.calls else None
            except AccessError as error:
                outcomes.append(f"{type(error).__name__} {error.filename}")
            else:
                outcomes.append("opened")
        return outcomes

    private = create(subject, name)
    public = create_unlinking(subject, subject.naming.new(), mode=0o666)
    try:
        assert in_fork(as_nobody) == [f"AccessError {name}", "opened"]
    finally:
        private.close()
        public.close()


@every
def test_pickle_is_an_address(subject: Subject, made: Made) -> None:
    other = pickle.loads(pickle.dumps(made[0]))
    try:
        assert type(other) is subject.cls
        assert other.name == made[0].name
        assert other._identity() == made[0]._identity()
        subject.before(made)
        assert subject.here(made, subject.there(other))
    finally:
        other.close()


@every
def test_pickle_of_what_was_unlinked_is_not_found(subject: Subject, made: Made) -> None:
    data = pickle.dumps(made[0])
    unlink(subject, made[0])
    with pytest.raises(NotFoundError):
        pickle.loads(data)
    other = create(subject, made[0].name)
    try:
        with pytest.raises(NotFoundError, match="another"):
            pickle.loads(data)
    finally:
        other.close()
