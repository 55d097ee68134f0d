"""What is no buffer is refused by all rings in the same words, which name the argument and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ipckit.ring import BroadcastRing, Latest, MpmcRing, SpscRing

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=[BroadcastRing, Latest, MpmcRing, SpscRing])
def ring(request: pytest.FixtureRequest) -> Iterator[Any]:
    with request.param.create() as made:
        yield made


def test_what_has_no_bytes_is_not_sent(ring: Any) -> None:
    with pytest.raises(TypeError, match=r"data must be bytes .*, not str; encode it first, as with data\.encode\(\)"):
        ring.send("text")
    for wrong in (1, None, [1]):
        with pytest.raises(TypeError, match=f"data must be bytes or another buffer, not {type(wrong).__name__}"):
            ring.send(wrong)
    with pytest.raises(ValueError, match="data must be C-contiguous"):
        ring.send(memoryview(b"abcd")[::2])
    assert ring.stat().sent == 0


def test_what_has_no_room_receives_nothing(ring: Any) -> None:
    for wrong in ("text", None):
        with pytest.raises(TypeError, match=f"buffer must be a writable buffer .*, not {type(wrong).__name__}"):
            ring.receive_into(wrong, timeout=0)
    with pytest.raises((TypeError, ValueError), match="buffer must be writable"):
        ring.receive_into(b"constant", timeout=0)


def test_the_spin_is_a_number(ring: Any) -> None:
    for wrong in ("a", None):
        with pytest.raises(TypeError, match="seconds must be a number, 0 to 1, not"):
            ring.set_spin(wrong)
