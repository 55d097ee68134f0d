/* Locks on files, with the deadline that the kernel does not have: fcntl_locking(2), flock(2), ipckit/interrupt.h. */
#ifndef IPCKIT_FILELOCK_H
#define IPCKIT_FILELOCK_H

#include <stdint.h>

/* cffi: types */
#define IPK_FILELOCK_RECORD 0 /* F_SETLKW: owned by the process */
#define IPK_FILELOCK_OFD 1    /* F_OFD_SETLKW: owned by the open file description */
#define IPK_FILELOCK_FLOCK 2  /* flock: owned by the open file description, on the whole file */
/* cffi: end */

/* cffi: begin */

/* Take a lock, waiting in the kernel's own queue until the deadline at most.
 *
 * kind: one of the above. exclusive: 0 for a shared lock. start, length: the bytes, length 0 to the end of the file
 * whatever that becomes; flock(2) ignores both. deadline_ns: absolute, CLOCK_MONOTONIC.
 * A lock that the owner has on these bytes already is converted. Blocks. Returns 0; -ETIMEDOUT; -EINTR after a signal
 * handler ran; -EDEADLK (record locks only: the kernel looks for circles of them); -EBADF (the descriptor is closed, or
 * not open for writing where exclusive, for reading where not); -EINVAL; -ENOLCK; -EOVERFLOW; what
 * ipk_interrupt_arm returns.
 */
int ipk_filelock_wait(int fd, int kind, int exclusive, int64_t start, int64_t length, int64_t deadline_ns);

/* cffi: end */

#endif
