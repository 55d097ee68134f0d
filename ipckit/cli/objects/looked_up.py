"""The objects that a command's words name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit.cli.failure import Failure
from ipckit.cli.terminal.progress import progress
from ipckit.inspect import Look
from ipckit.inspect.addresses import parse

if TYPE_CHECKING:
    from ipckit.inspect import Record


def looked_up(addresses: list[str]) -> tuple[Look, dict[str, Record | None]]:
    """The objects of these addresses, with one look; None where there is none.

    Raises:
        Failure: one of the addresses is none.
    """
    try:
        kinds = {parse(address).kind for address in addresses}
    except ValueError as error:
        raise Failure(str(error), status=2) from None
    with progress("looking at processes") as show:
        look = Look(kinds, progress=show)
    return look, look.find(addresses)


def missing(address: str) -> str:
    """That there is no such object, in a sentence."""
    kind, name = parse(address)
    if kind == "fifo":
        return f"no process that can be seen has {address} open; FIFOs that nobody has open are not looked for"
    if kind == "shm" and name.startswith("/ipckit."):
        own = name.removeprefix("/ipckit.")
        return f"there is no {address}: files of such names are objects of ipckit, as ring:/{own} or sync:/{own}"
    if kind == "shm" and name.startswith("/sem."):
        return f"there is no {address}: files of such names are semaphores, as sem:/{name.removeprefix('/sem.')}"
    return f"there is no {address}"
