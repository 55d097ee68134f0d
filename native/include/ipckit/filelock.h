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
 * taken: becomes 1 with the lock, so that a caller that is thrown out on the way back knows that it has it.
 * A lock that the owner has on these bytes already is converted. Blocks. Returns 0; -ETIMEDOUT; -EINTR after a signal
 * handler ran; -EDEADLK (record locks only: the kernel looks for circles of them); -EBADF (the descriptor is closed, or
 * not open for writing where exclusive, for reading where not); -EINVAL; -ENOLCK; -EOVERFLOW; what
 * ipk_interrupt_arm returns.
 */
int ipk_filelock_wait(int fd, int kind, int exclusive, int64_t start, int64_t length, int64_t deadline_ns,
		      uint32_t *taken);

/* Take a lock if that is possible now; arguments as above.
 *
 * Never waits for another owner; on a network file system it waits for the server. Where flock(2) can't convert a lock,
 * the old one is gone. Returns 0; -EAGAIN or -EACCES where another owner has it; -EINTR; -EBADF, -EINVAL, -ENOLCK,
 * -EOVERFLOW as above.
 */
int ipk_filelock_try(int fd, int kind, int exclusive, int64_t start, int64_t length);

/* Give back what this owner has on these bytes, which may be nothing; arguments as above.
 *
 * Never waits, but for the server of a network file system. Returns 0; -EINTR, -EBADF, -EINVAL, -ENOLCK as above.
 */
int ipk_filelock_release(int fd, int kind, int64_t start, int64_t length);

/* cffi: end */

#endif
