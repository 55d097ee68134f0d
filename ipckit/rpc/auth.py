"""Who calls: credentials and verifiers of RFC 5531, sections 8 to 10 and appendix A (AUTH_NONE, AUTH_SYS).

A credential says who calls, a verifier proves it. AUTH_SYS proves nothing: whoever can reach a server can claim any
user id, so it is worth what the network is worth; on a Unix socket a server can ask the kernel instead.
"""

from __future__ import annotations

import enum
import os
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from ipckit._arguments import check_int
from ipckit.errors import AuthenticationError

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["AuthNone", "AuthStat", "AuthSys", "Credential", "Flavor", "OpaqueAuth", "authentication_error"]

MOST_BODY = 400  # bytes of a credential or verifier
MOST_MACHINE_NAME = 255  # bytes
MOST_GIDS = 16
_UINT = (1 << 32) - 1
_PAIR = struct.Struct(">II")
_THREE = struct.Struct(">III")


class Flavor(enum.IntEnum):
    """Kinds of authentication that have a number of their own; a server or client may use any other number too."""

    NONE = 0
    SYS = 1
    SHORT = 2
    DH = 3
    RPCSEC_GSS = 6
    TLS = 7


class AuthStat(enum.IntEnum):
    """Why a credential or a verifier was refused: auth_stat."""

    OK = 0
    BADCRED = 1
    REJECTEDCRED = 2
    BADVERF = 3
    REJECTEDVERF = 4
    TOOWEAK = 5
    INVALIDRESP = 6
    FAILED = 7
    KERB_GENERIC = 8
    TIMEEXPIRE = 9
    TKT_FILE = 10
    DECODE = 11
    NET_ADDR = 12
    RPCSEC_GSS_CREDPROBLEM = 13
    RPCSEC_GSS_CTXPROBLEM = 14


_REASONS = {
    AuthStat.BADCRED: "the credential is malformed, or of a flavor that the server does not take",
    AuthStat.REJECTEDCRED: "the credential is no longer good; begin a new session",
    AuthStat.BADVERF: "the verifier is malformed",
    AuthStat.REJECTEDVERF: "the verifier has expired, or was used before",
    AuthStat.TOOWEAK: "the credential is too weak, or the server does not believe it",
    AuthStat.INVALIDRESP: "the server's own verifier is wrong",
    AuthStat.FAILED: "for a reason that is not told",
}


def authentication_error(stat: int, text: str = "") -> AuthenticationError:
    """Build the exception for *stat*: what a server's hook raises to refuse a call, and what the client then gets.

    Args:
        stat: an `AuthStat`, or a flavor's own number.
        text: what is said after the status; by default what RFC 5531 says of it.
    """
    known = AuthStat(stat) if stat in AuthStat.__members__.values() else None
    name = f"auth_stat {stat}" if known is None else f"AUTH_{known.name}"
    reason = text or (_REASONS.get(known) if known is not None else None)
    error = AuthenticationError(f"{name}: {reason}" if reason else name)
    error.auth_stat = stat if known is None else known
    return error


class OpaqueAuth(NamedTuple):
    """A credential or verifier as messages carry it: a flavor, and up to 400 bytes that only the flavor can read."""

    flavor: int = Flavor.NONE
    body: bytes = b""

    def encode(self) -> bytes:
        """The bytes of the message.

        Raises:
            ValueError: the body has more than 400 bytes.
        """
        size = len(self.body)
        if size > MOST_BODY:
            raise ValueError(f"body of a credential or verifier must be at most {MOST_BODY} bytes, not {size}")
        return _PAIR.pack(self.flavor, size) + self.body + b"\0" * (-size % 4)


NONE = OpaqueAuth()


class Credential:
    """How a client says who calls, with every call; derive from it for a flavor of your own.

    `opaque` and `verifier` make what goes out with a call, `check` looks at the verifier that comes back. Threads
    that share a client call them at the same time.
    """

    constant: ClassVar[bool] = False
    """Whether `opaque` and `verifier` return the same for every call: they are then asked once."""

    def opaque(self) -> OpaqueAuth:
        """The credential of the next call."""
        raise NotImplementedError

    def verifier(self, header: bytes) -> OpaqueAuth:  # noqa: ARG002 for those that derive
        """The verifier of the call.

        Args:
            header: the call from its xid to the end of its credential, which some flavors sign.
        """
        return NONE

    def check(self, verifier: OpaqueAuth) -> None:
        """Look at the verifier of a reply.

        Raises:
            AuthenticationError: it does not prove what it should; build it with `authentication_error`.
        """

    def refresh(self, auth_stat: int) -> bool:  # noqa: ARG002 for those that derive
        """Whether a call that the server refused for *auth_stat* is to be made once more, with a new credential."""
        return False


class AuthNone(Credential):
    """The caller says nothing about itself: AUTH_NONE."""

    constant = True

    def opaque(self) -> OpaqueAuth:
        """AUTH_NONE, without a body."""
        return NONE

    def __repr__(self) -> str:
        return "AuthNone()"


@dataclass(frozen=True)
class AuthSys(Credential):
    """User and groups as the caller claims them: AUTH_SYS, formerly AUTH_UNIX. Nothing proves them.

    >>> AuthSys.decode(AuthSys(machine_name="here", uid=1000, gid=100, gids=(4, 24)).opaque().body).gids
    (4, 24)
    """

    constant = True

    stamp: int = 0
    """Any number that the caller's machine chose."""
    machine_name: str = ""
    """At most 255 bytes; other than UTF-8 comes as ``surrogateescape`` gives it."""
    uid: int = 0
    gid: int = 0
    gids: tuple[int, ...] = ()
    """At most 16 groups."""

    def __post_init__(self) -> None:
        for name in ("stamp", "uid", "gid"):
            check_int(getattr(self, name), name, 0, _UINT, "32 bits")
        size = len(self._raw_name())
        if size > MOST_MACHINE_NAME:
            raise ValueError(f"machine_name must be at most {MOST_MACHINE_NAME} bytes, not {size}")
        if len(self.gids) > MOST_GIDS:
            raise ValueError(f"gids must be at most {MOST_GIDS} groups, not {len(self.gids)}; send those that matter")
        for gid in self.gids:
            check_int(gid, "gids", 0, _UINT, "32 bits each")

    @classmethod
    def of_this_process(cls, machine_name: str | None = None) -> Self:
        """The effective user and groups of this process; of more than 16 groups the first 16.

        Args:
            machine_name: the host's name where it is None.
        """
        name = socket.gethostname() if machine_name is None else machine_name
        groups = tuple(os.getgroups()[:MOST_GIDS])
        return cls(int(time.time()) & _UINT, name, os.geteuid(), os.getegid(), groups)

    def opaque(self) -> OpaqueAuth:
        """AUTH_SYS with what this object holds."""
        name = self._raw_name()
        return OpaqueAuth(
            Flavor.SYS,
            b"".join(
                [
                    _PAIR.pack(self.stamp, len(name)),
                    name,
                    b"\0" * (-len(name) % 4),
                    _THREE.pack(self.uid, self.gid, len(self.gids)),
                    struct.pack(f">{len(self.gids)}I", *self.gids),
                ]
            ),
        )

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """The credential in *body*.

        Raises:
            AuthenticationError: it is malformed, or above a limit (AUTH_BADCRED).
        """
        try:
            stamp, size = _PAIR.unpack_from(body)
            if size > MOST_MACHINE_NAME:
                raise authentication_error(AuthStat.BADCRED, f"machine name of {size} bytes")
            at = 8 + size
            name, padding = body[8:at], body[at : (start := at + -size % 4)]
            uid, gid, count = _THREE.unpack_from(body, start)
            if count > MOST_GIDS:
                raise authentication_error(AuthStat.BADCRED, f"{count} groups")
            gids = struct.unpack_from(f">{count}I", body, start + 12)
        except struct.error:
            raise authentication_error(AuthStat.BADCRED, "AUTH_SYS that ends too early") from None
        if padding.strip(b"\0") or len(body) != start + 12 + 4 * count:
            raise authentication_error(AuthStat.BADCRED, "AUTH_SYS with bytes that do not belong there")
        return cls(stamp, name.decode("utf-8", "surrogateescape"), uid, gid, gids)

    def _raw_name(self) -> bytes:
        return self.machine_name.encode("utf-8", "surrogateescape")
