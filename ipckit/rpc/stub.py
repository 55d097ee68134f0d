"""What a client calls: the procedures of a service as methods, that `ipckit rpcgen` writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

from ipckit.rpc.async_client import AsyncClient
from ipckit.rpc.client import Client
from ipckit.rpc.transient import TRANSIENT

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from ipckit.rpc.auth import Credential
    from ipckit.rpc.procedure import Procedure
    from ipckit.rpc.service import Service
    from ipckit.sockets import unix


class StreamOptions(TypedDict, total=False):
    """The options of `Client.connect_tcp` and `Client.connect_unix`."""

    credential: Credential | None
    max_message_size: int
    reconnect: bool
    timeout: float | None


class DatagramOptions(TypedDict, total=False):
    """The options of `Client.connect_udp`."""

    credential: Credential | None
    max_message_size: int
    retry_interval: float


class _Procedures:
    """The procedures of the service, by name."""

    __slots__ = ()

    SERVICE: ClassVar[type[Service]]
    _procedures: ClassVar[dict[str, Procedure]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if service := getattr(cls, "SERVICE", None):
            cls._procedures = {procedure.name: procedure for procedure in service.PROCEDURES}

    @classmethod
    def _check(cls, client: Client | AsyncClient) -> None:
        wanted = (cls.SERVICE.PROGRAM, cls.SERVICE.VERSION)
        # A transient program is whatever its client was told that it is.
        program = wanted[0] if client.program in TRANSIENT else client.program
        if (program, client.version) != wanted:
            raise ValueError(
                f"{cls.__name__} calls program {wanted[0]} version {wanted[1]}, and the client is for "
                f"program {client.program} version {client.version}: connect it for those"
            )


class Stub(_Procedures):
    """The procedures of a service as methods that call them over a `Client`.

    Threads share a stub as they share its client, and what the client's documentation says of fork and of repeated
    calls holds here. The stub closes its client.

    >>> from ipckit.rpc import Procedure, Service
    >>> class Adder(Service):
    ...     PROGRAM, VERSION = 0x20000001, 1
    ...     PROCEDURES = (Procedure(1, "add", (int, int), int),)
    >>> class AdderClient(Stub):
    ...     SERVICE = Adder
    ...
    ...     def add(self, a: int, b: int, *, timeout: float | None = None) -> int:
    ...         return self._call("add", (a, b), timeout)
    >>> try:
    ...     AdderClient.connect_unix("/nowhere/adder", timeout=5)
    ... except FileNotFoundError as error:
    ...     print(error.strerror)
    No such file or directory

    Attributes:
        SERVICE: the service whose procedures are called.
    """

    __slots__ = ("_client",)

    def __init__(self, client: Client) -> None:
        self._check(client)
        self._client = client

    @classmethod
    def connect_tcp(cls, host: str, port: int, **options: Unpack[StreamOptions]) -> Self:
        """Connect to the server at *host* and *port*, with the options of `Client.connect_tcp`."""
        return cls(Client.connect_tcp(host, port, cls.SERVICE.PROGRAM, cls.SERVICE.VERSION, **options))

    @classmethod
    def connect_unix(cls, path: unix.Address, **options: Unpack[StreamOptions]) -> Self:
        """Connect to the server at *path*, with the options of `Client.connect_unix`."""
        return cls(Client.connect_unix(path, cls.SERVICE.PROGRAM, cls.SERVICE.VERSION, **options))

    @classmethod
    def connect_udp(cls, host: str, port: int, **options: Unpack[DatagramOptions]) -> Self:
        """Call the server at *host* and *port* by UDP, with the options of `Client.connect_udp`."""
        return cls(Client.connect_udp(host, port, cls.SERVICE.PROGRAM, cls.SERVICE.VERSION, **options))

    @property
    def client(self) -> Client:
        """The client over which the methods call; it also sends what wants no reply."""
        return self._client

    def close(self) -> None:
        """Close the client. Closing again does nothing."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._client!r}>"

    def _call(self, name: str, arguments: tuple[Any, ...], timeout: float | None) -> Any:
        return self._client.call(self._procedures[name], *arguments, timeout=timeout)


class AsyncStub(_Procedures):
    """As `Stub`, with coroutines over an `AsyncClient`: for one event loop, whose tasks share it.

    >>> from ipckit.rpc import Procedure, Service
    >>> class Adder(Service):
    ...     PROGRAM, VERSION = 0x20000001, 1
    ...     PROCEDURES = (Procedure(1, "add", (int, int), int),)
    >>> class AdderAsyncClient(AsyncStub):
    ...     SERVICE = Adder
    ...
    ...     async def add(self, a: int, b: int, *, timeout: float | None = None) -> int:
    ...         return await self._call("add", (a, b), timeout)

    Attributes:
        SERVICE: the service whose procedures are called.
    """

    __slots__ = ("_client",)

    def __init__(self, client: AsyncClient) -> None:
        self._check(client)
        self._client = client

    @classmethod
    async def connect_tcp(cls, host: str, port: int, **options: Unpack[StreamOptions]) -> Self:
        """Connect to the server at *host* and *port*, with the options of `Client.connect_tcp`."""
        service = cls.SERVICE
        return cls(await AsyncClient.connect_tcp(host, port, service.PROGRAM, service.VERSION, **options))

    @classmethod
    async def connect_unix(cls, path: unix.Address, **options: Unpack[StreamOptions]) -> Self:
        """Connect to the server at *path*, with the options of `Client.connect_unix`."""
        return cls(await AsyncClient.connect_unix(path, cls.SERVICE.PROGRAM, cls.SERVICE.VERSION, **options))

    @classmethod
    async def connect_udp(cls, host: str, port: int, **options: Unpack[DatagramOptions]) -> Self:
        """Call the server at *host* and *port* by UDP, with the options of `Client.connect_udp`."""
        service = cls.SERVICE
        return cls(await AsyncClient.connect_udp(host, port, service.PROGRAM, service.VERSION, **options))

    @property
    def client(self) -> AsyncClient:
        """The client over which the methods call; it also sends what wants no reply."""
        return self._client

    def close(self) -> None:
        """Close the client. Closing again does nothing."""
        self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._client!r}>"

    async def _call(self, name: str, arguments: tuple[Any, ...], timeout: float | None) -> Any:
        return await self._client.call(self._procedures[name], *arguments, timeout=timeout)
