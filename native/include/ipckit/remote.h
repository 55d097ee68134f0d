/* The memory of another process, copied without its help: process_vm_readv(2), process_vm_writev(2).
 *
 * Thin: one system call each, and poll(2). It may wait for pages, and for whoever is changing the other process's mappings.
 */
#ifndef IPCKIT_REMOTE_H
#define IPCKIT_REMOTE_H

#include <stddef.h>
#include <stdint.h>

/* cffi: types */

/* A piece of the other process's memory, laid out as struct iovec. */
struct ipk_remote_span {
	uint64_t address;
	uint64_t size; /* bytes */
};

/* cffi: end */

/* cffi: begin */

/* Copy `count` spans (1 to 1024) of the process `pid` into `local`, one behind the other: process_vm_readv(2).
 *
 * pidfd: of the same process; `pid` may be another one's by now, and was not while the process of pidfd lives.
 * local: at least as many bytes as the spans have together. Returns the bytes copied, fewer than asked for where a
 * later page is not there; or -errno, where the first is not: -EFAULT, -EPERM, -ESRCH (also if the process of pidfd has
 * ended by the end of the call), -EINVAL, -ENOMEM.
 */
int64_t ipk_remote_read(int pid, int pidfd, void *local, const struct ipk_remote_span *spans, uint32_t count);

/* Copy `local` into `count` spans (1 to 1024) of the process `pid`, one behind the other: process_vm_writev(2).
 *
 * As ipk_remote_read; the pages must be writable for that process.
 */
int64_t ipk_remote_write(int pid, int pidfd, const void *local, const struct ipk_remote_span *spans, uint32_t count);

/* cffi: end */

#endif
