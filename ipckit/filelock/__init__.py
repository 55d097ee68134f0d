"""Locks on files: fcntl_locking(2), flock(2). Advisory: they bind only those who ask for them.

=============  ==========================  ===================  ======================  =======================
class          owner                       after fork(2)        bytes                   deadlock
=============  ==========================  ===================  ======================  =======================
`RecordLock`   the process                 the child has none   a range                 DeadlockError
`OfdLock`      the open file description   shared               a range                 waits until the timeout
`Flock`        the open file description   shared               always the whole file   waits until the timeout
=============  ==========================  ===================  ======================  =======================

The kernel drops a lock when its owner goes, by SIGKILL too. `RecordLock` and `OfdLock` see each other; `Flock` sees
neither of them on a local file. Take `OfdLock` unless another program dictates the kind.

`FileRWLock` and `PidFile` are made of OFD locks.
"""

from __future__ import annotations

from ipckit.filelock._flock import Flock
from ipckit.filelock._holders import Holder
from ipckit.filelock._pidfile import PidFile
from ipckit.filelock._ranges import OfdLock, RecordLock
from ipckit.filelock._rwlock import FileRWLock

__all__ = ["FileRWLock", "Flock", "Holder", "OfdLock", "PidFile", "RecordLock"]
