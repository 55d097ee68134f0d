#include "ipckit/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>

int ipk_memory_sync(void *start, uint64_t size)
{
	return msync(start, (size_t)size, MS_SYNC) == 0 ? 0 : -errno;
}

int ipk_memory_advise(void *start, uint64_t size, int advice)
{
	return madvise(start, (size_t)size, advice) == 0 ? 0 : -errno;
}

int ipk_memory_lock(void *start, uint64_t size, int on_fault)
{
	int rc = on_fault ? mlock2(start, (size_t)size, MLOCK_ONFAULT) : mlock(start, (size_t)size);

	return rc == 0 ? 0 : -errno;
}

int ipk_memory_unlock(void *start, uint64_t size)
{
	return munlock(start, (size_t)size) == 0 ? 0 : -errno;
}

int ipk_memory_allocate(int fd, uint64_t offset, uint64_t size)
{
	return fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size) == 0 ? 0 : -errno;
}
