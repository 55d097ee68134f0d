/* Data that goes into a pipe without being copied: tee(2) and vmsplice(2).
 *
 * Thin: one system call each. (splice(2) and sendfile(2) are in Python's os module.)
 */
#ifndef IPCKIT_MOVE_H
#define IPCKIT_MOVE_H

#include <stddef.h>
#include <stdint.h>

/* cffi: types */

/* A piece of memory, laid out as struct iovec; the caller's, for as long as the pages are in a pipe. */
struct ipk_span {
	char *base;
	size_t size; /* bytes */
};

/* cffi: end */

/* cffi: begin */

/* Duplicate up to `size` bytes of what is in the pipe `source` into the pipe `target`, and leave them there: tee(2).
 *
 * Never waits (SPLICE_F_NONBLOCK). Returns the bytes duplicated, 0 where the pipe is empty and has no writer; or -errno:
 * -EAGAIN where the one is empty or the other full, -EPIPE where nobody reads the target, -EINVAL where one of them is
 * no pipe or both are the same, -EBADF.
 */
int64_t ipk_tee(int source, int target, uint64_t size);

/* Put the pages of `count` spans (1 to 1024) into the pipe `target`, not copies of them, and no gift: vmsplice(2).
 *
 * The pages stay the caller's, who leaves them as they are until the pipe has been read. Never waits
 * (SPLICE_F_NONBLOCK). Returns the bytes that went in, fewer than given where the pipe is full then; or -errno: -EAGAIN
 * where there is no room at all, -EPIPE where nobody reads, -EINVAL where it is no pipe, -EFAULT, -EBADF.
 */
int64_t ipk_vmsplice(int target, const struct ipk_span *spans, uint32_t count);

/* cffi: end */

#endif
