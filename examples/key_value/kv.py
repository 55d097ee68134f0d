"""Made from kv.x by `ipckit rpcgen`: change that file, not this one."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated

from ipckit import rpc
from ipckit.rpc import xdr

KV_MAX_NAME = 255

KvName = Annotated[str, xdr.Max(KV_MAX_NAME)]
KvData = bytes


@dataclass(slots=True)
class KvEntry:
    """What is stored under a name."""

    data: KvData
    revision: xdr.UHyper  # how many times it was put


@xdr.union
@dataclass(slots=True)
class KvFound:
    """What is stored, if anything is."""

    found: bool
    value: (
        Annotated[KvEntry, xdr.Case(True)]  # entry
        | Annotated[None, xdr.Case(False)]
    )


KvNames = list[KvName]


class KeyValueV1(rpc.Service):
    """Version 1 of KEY_VALUE: the server's side."""

    PROGRAM = 0x20000099
    VERSION = 1
    NAME = "KEY_VALUE"
    PROCEDURES = (
        rpc.Procedure(1, "kv_put", (KvName, KvData), xdr.UHyper),
        rpc.Procedure(2, "kv_get", (KvName,), KvFound),
        rpc.Procedure(3, "kv_remove", (KvName,), bool),
        rpc.Procedure(4, "kv_list", (KvName,), KvNames),
    )

    @abstractmethod
    def kv_put(self, name: KvName, data: KvData) -> rpc.Returns[int]:
        """Store data under a name; give its revision."""

    @abstractmethod
    def kv_get(self, name: KvName) -> rpc.Returns[KvFound]:
        """What is stored under a name."""

    @abstractmethod
    def kv_remove(self, name: KvName) -> rpc.Returns[bool]:
        """Forget a name; say whether it was there."""

    @abstractmethod
    def kv_list(self, prefix: KvName) -> rpc.Returns[KvNames]:
        """The names that begin with a prefix, sorted."""


class KeyValueV1Client(rpc.Stub):
    """Version 1 of KEY_VALUE: the client's side."""

    SERVICE = KeyValueV1

    def kv_put(self, name: KvName, data: KvData, *, timeout: float | None = None) -> int:
        """Store data under a name; give its revision."""
        result: int = self._call("kv_put", (name, data), timeout)
        return result

    def kv_get(self, name: KvName, *, timeout: float | None = None) -> KvFound:
        """What is stored under a name."""
        result: KvFound = self._call("kv_get", (name,), timeout)
        return result

    def kv_remove(self, name: KvName, *, timeout: float | None = None) -> bool:
        """Forget a name; say whether it was there."""
        result: bool = self._call("kv_remove", (name,), timeout)
        return result

    def kv_list(self, prefix: KvName, *, timeout: float | None = None) -> KvNames:
        """The names that begin with a prefix, sorted."""
        result: KvNames = self._call("kv_list", (prefix,), timeout)
        return result


class KeyValueV1AsyncClient(rpc.AsyncStub):
    """Version 1 of KEY_VALUE: the client's side, with coroutines."""

    SERVICE = KeyValueV1

    async def kv_put(self, name: KvName, data: KvData, *, timeout: float | None = None) -> int:
        """Store data under a name; give its revision."""
        result: int = await self._call("kv_put", (name, data), timeout)
        return result

    async def kv_get(self, name: KvName, *, timeout: float | None = None) -> KvFound:
        """What is stored under a name."""
        result: KvFound = await self._call("kv_get", (name,), timeout)
        return result

    async def kv_remove(self, name: KvName, *, timeout: float | None = None) -> bool:
        """Forget a name; say whether it was there."""
        result: bool = await self._call("kv_remove", (name,), timeout)
        return result

    async def kv_list(self, prefix: KvName, *, timeout: float | None = None) -> KvNames:
        """The names that begin with a prefix, sorted."""
        result: KvNames = await self._call("kv_list", (prefix,), timeout)
        return result
