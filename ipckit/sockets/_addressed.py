"""What datagram sockets of all families have in common: messages to and from an address: sendto(2), recvfrom(2)."""

from __future__ import annotations

import select
import socket
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from ipckit._retry import failure
from ipckit._wait import Deadline
from ipckit.sockets._base import NOW, SEND_NOW
from ipckit.sockets._message import MessageSocket

if TYPE_CHECKING:
    from typing_extensions import Buffer


class DatagramSocket(MessageSocket):
    """A socket for single messages, each to its own address, or all to the one that it is connected to."""

    __slots__ = ()

    _kind = socket.SOCK_DGRAM
    _poll_is_truthful: ClassVar[bool]
    """Whether poll(2) waits for what keeps an unconnected sender waiting."""

    def _send_to(self, data: Buffer, address: Any, deadline: Deadline | None) -> None:
        attempt = partial(self._view.sendto, data, SEND_NOW, address)
        self._try_then_wait(select.POLLOUT, deadline, attempt, "sendto", truthful=self._poll_is_truthful)

    def _receive_from(self, timeout: float | None) -> tuple[bytes, Any]:
        deadline = None if timeout is None else Deadline.after(timeout)
        attempt = self._view.recvfrom
        try:
            data, address = attempt(self._room, NOW)
        except BlockingIOError:
            data, address = self._wait(select.POLLIN, deadline, partial(attempt, self._room, NOW), "recvfrom")
        except OSError as error:
            raise failure(self, error, "recvfrom") from None
        return (data if 0 < len(data) < self._room else self._odd(data, "recvfrom")), address
