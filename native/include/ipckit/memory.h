/* What can be asked of mapped memory, and for a file: msync(2), madvise(2), mlock2(2), munlock(2), fallocate(2).
 *
 * Thin: one system call each, which may wait (for a disk, for pages). The caller keeps the mapping, or the file, while a
 * call is inside. `start` of a sync or an advice is the start of a page, as msync(2) and madvise(2) want it.
 */
#ifndef IPCKIT_MEMORY_H
#define IPCKIT_MEMORY_H

#include <stdint.h>

/* cffi: begin */

/* Write what was changed to the file, and wait until it is there: msync(2) with MS_SYNC.
 *
 * Returns 0, or -errno: -ENOMEM where not all of it is mapped, -EIO, -EINVAL.
 */
int ipk_memory_sync(void *start, uint64_t size);

/* Tell the kernel how the pages will be used: madvise(2). Returns 0, or -errno. */
int ipk_memory_advise(void *start, uint64_t size, int advice);

/* Keep the pages in memory, at once, or with on_fault as they are touched: mlock2(2).
 *
 * Returns 0, or -errno: -ENOMEM (RLIMIT_MEMLOCK, or not all of it is there), -EPERM, -EAGAIN.
 */
int ipk_memory_lock(void *start, uint64_t size, int on_fault);

/* Let the pages go again, however often they were locked: munlock(2). Returns 0 or -ENOMEM. */
int ipk_memory_unlock(void *start, uint64_t size);

/* Give a file memory for size bytes, 1 or more, from offset on, also where they lie beyond its end, which stays:
 * fallocate(2) with FALLOC_FL_KEEP_SIZE.
 *
 * Returns 0, or -errno: -ENOSPC, -EFBIG (RLIMIT_FSIZE), -EPERM (a seal), -EINTR, -EOPNOTSUPP.
 */
int ipk_memory_allocate(int fd, uint64_t offset, uint64_t size);

/* cffi: end */

#endif
