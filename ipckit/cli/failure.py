"""Why a command cannot go on."""

from __future__ import annotations


class Failure(Exception):
    """The message is one sentence for the user; the status is 1, or 2 where the usage was wrong."""

    def __init__(self, message: str, *, status: int = 1) -> None:
        super().__init__(message)
        self.status = status
