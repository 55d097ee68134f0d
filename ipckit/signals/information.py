"""What comes with a signal: siginfo_t of sigaction(2)."""

from __future__ import annotations

import signal
import struct
from typing import TYPE_CHECKING, NamedTuple

from ipckit._native import ffi, lib
from ipckit._signums import signal_name

if TYPE_CHECKING:
    from typing import Any

__all__ = ["SignalInfo"]

_FIELDS = struct.Struct("=7qQ7qQ3q")  # struct ipk_siginfo
_ONE = ffi.typeof("struct ipk_siginfo *")
_MANY = ffi.typeof("struct ipk_siginfo[]")
_new = ffi.new
_buffer = ffi.buffer

# asm-generic/siginfo.h
_CODES = {
    0: "SI_USER",
    0x80: "SI_KERNEL",
    -1: "SI_QUEUE",
    -2: "SI_TIMER",
    -3: "SI_MESGQ",
    -4: "SI_ASYNCIO",
    -5: "SI_SIGIO",
    -6: "SI_TKILL",
    -7: "SI_DETHREAD",
    -60: "SI_ASYNCNL",
}
_POLL_CODES = "POLL_IN POLL_OUT POLL_MSG POLL_ERR POLL_PRI POLL_HUP"
_OWN_CODES: dict[int, str] = {
    signal.SIGILL: "ILL_ILLOPC ILL_ILLOPN ILL_ILLADR ILL_ILLTRP ILL_PRVOPC ILL_PRVREG ILL_COPROC ILL_BADSTK",
    signal.SIGFPE: "FPE_INTDIV FPE_INTOVF FPE_FLTDIV FPE_FLTOVF FPE_FLTUND FPE_FLTRES FPE_FLTINV FPE_FLTSUB",
    signal.SIGSEGV: "SEGV_MAPERR SEGV_ACCERR SEGV_BNDERR SEGV_PKUERR",
    signal.SIGBUS: "BUS_ADRALN BUS_ADRERR BUS_OBJERR BUS_MCEERR_AR BUS_MCEERR_AO",
    signal.SIGTRAP: "TRAP_BRKPT TRAP_TRACE TRAP_BRANCH TRAP_HWBKPT TRAP_UNK TRAP_PERF",
    signal.SIGCHLD: "CLD_EXITED CLD_KILLED CLD_DUMPED CLD_TRAPPED CLD_STOPPED CLD_CONTINUED",
    signal.SIGIO: _POLL_CODES,
    signal.SIGSYS: "SYS_SECCOMP SYS_USER_DISPATCH",
}


class SignalInfo(NamedTuple):
    """One signal that was taken, and what came with it; None for what this kind of signal does not have.

    Attributes:
        signum: its number; `name` has its name.
        code: why it was sent, as in sigaction(2); `code_name` has its name.
        errno: hardly ever anything but 0.
        pid: of the sender; of the child, where SIGCHLD comes from the kernel. 0 is the kernel, a process outside of
            our PID namespace, or a sender of whom there was no room to note more (RLIMIT_SIGPENDING).
        uid: the sender's real user id, or the child's.
        value: the integer of `sigqueue`, of a POSIX timer, or of mq_notify(3).
        pointer: the same bits as a pointer, for senders that set sival_ptr.
        status: of the child: its exit status, or the signal that ended, stopped or continued it.
        band: poll(2) events, of a signal that a descriptor sends (O_ASYNC, F_SETSIG).
        fd: that descriptor.
        timer: the kernel's number for the POSIX timer.
        overrun: how many more times that timer has expired since it sent the signal.
        utime, stime: the child's time in user mode and in the kernel, in clock ticks (sysconf(_SC_CLK_TCK)).
        address: that was accessed, of SIGSEGV and its like; of the instruction, for SIGSYS.
        address_lsb: the least significant bit of that address that is known (SIGBUS).
        syscall: that seccomp(2) refused, for SIGSYS.
        arch: the AUDIT_ARCH_* of that call.
    """

    signum: int
    code: int
    errno: int = 0
    pid: int | None = None
    uid: int | None = None
    value: int | None = None
    pointer: int | None = None
    status: int | None = None
    band: int | None = None
    fd: int | None = None
    timer: int | None = None
    overrun: int | None = None
    utime: int | None = None
    stime: int | None = None
    address: int | None = None
    address_lsb: int | None = None
    syscall: int | None = None
    arch: int | None = None

    @property
    def name(self) -> str:
        """What signal(7) calls it: "SIGTERM", "SIGRTMIN+3"."""
        return signal_name(self.signum)

    @property
    def code_name(self) -> str:
        """What sigaction(2) calls the code: "SI_QUEUE", "CLD_EXITED"; the number where it has no name."""
        if self.code in _CODES:
            return _CODES[self.code]
        names = _OWN_CODES.get(self.signum, _POLL_CODES).split()
        return names[self.code - 1] if 1 <= self.code <= len(names) else str(self.code)

    def __repr__(self) -> str:
        told = ", ".join(
            f"{field}={value}"
            for field, value in zip(self._fields[2:], self[2:], strict=True)
            if value is not None and (field, value) != ("errno", 0)
        )
        return f"<SignalInfo {self.name} {self.code_name}{': ' if told else ''}{told}>"


_NAMES = SignalInfo._fields
_ALWAYS = frozenset(_NAMES[:3])
# Of the usual layouts: up to which field of struct ipk_siginfo there is everything, and nothing after it.
_FIRST = {lib.IPK_SIGINFO_KILL: 6, lib.IPK_SIGINFO_RT: 8}
_THERE = {
    lib.IPK_SIGINFO_TIMER: _ALWAYS | {"value", "pointer", "timer", "overrun"},
    lib.IPK_SIGINFO_CHILD: _ALWAYS | {"pid", "uid", "status", "utime", "stime"},
    lib.IPK_SIGINFO_POLL: _ALWAYS | {"band", "fd"},
    lib.IPK_SIGINFO_FAULT: _ALWAYS | {"address", "address_lsb"},
    lib.IPK_SIGINFO_CALL: _ALWAYS | {"address", "syscall", "arch"},
}


def new_info() -> Any:
    """Room for one, where the C core puts it; each call has its own, for a handler may interrupt it to wait, too."""
    return _new(_ONE)


def new_infos(count: int) -> Any:
    """Room for *count*."""
    return _new(_MANY, count)


def info_of(raw: Any) -> SignalInfo:
    """The record of what is in `new_info`'s room."""
    return _record(_FIELDS.unpack(_buffer(raw)))


def infos_of(raw: Any, count: int) -> list[SignalInfo]:
    """The records of the first *count* in `new_infos`'s room."""
    return [_record(fields) for fields in _FIELDS.iter_unpack(_buffer(raw, count * _FIELDS.size))]


def _record(fields: tuple[int, ...]) -> SignalInfo:
    """Of the fields of struct ipk_siginfo, which are those of the record after the layout."""
    layout = fields[0]
    if layout in _FIRST:
        return SignalInfo(*fields[1 : _FIRST[layout]])
    there = _THERE[layout]
    return SignalInfo._make(value if name in there else None for name, value in zip(_NAMES, fields[1:], strict=True))
