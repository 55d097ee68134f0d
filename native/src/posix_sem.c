#include "ipckit/posix_sem.h"

#include <errno.h>
#include <semaphore.h>
#include <stdalign.h>
#include <stddef.h>
#include <sys/mman.h>
#include <time.h>

#define NS_PER_S 1000000000

int ipk_posix_sem_open(const char *name, void **sem)
{
	sem_t *opened = sem_open(name, 0);

	if (opened == SEM_FAILED)
		return -errno;
	*sem = opened;
	return 0;
}

int ipk_posix_sem_close(void *sem)
{
	if (sem == NULL)
		return -EBADF;
	return sem_close(sem) == 0 ? 0 : -errno;
}

int ipk_posix_sem_map(int fd, void **sem)
{
	void *mapped = mmap(NULL, sizeof(sem_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (mapped == MAP_FAILED)
		return -errno;
	*sem = mapped;
	return 0;
}

int ipk_posix_sem_unmap(void *sem)
{
	if (sem == NULL)
		return -EBADF;
	return munmap(sem, sizeof(sem_t)) == 0 ? 0 : -errno;
}

int ipk_posix_sem_unlink(const char *name)
{
	return sem_unlink(name) == 0 ? 0 : -errno;
}

uint32_t ipk_posix_sem_size(void)
{
	return sizeof(sem_t);
}

uint32_t ipk_posix_sem_alignment(void)
{
	return alignof(sem_t);
}

int ipk_posix_sem_init(void *sem, uint32_t value)
{
	return sem_init(sem, 1, value) == 0 ? 0 : -errno;
}

int ipk_posix_sem_trywait(void *sem)
{
	if (sem == NULL)
		return -EBADF;
	return sem_trywait(sem) == 0 ? 0 : -errno;
}

int ipk_posix_sem_wait(void *sem, int64_t deadline_ns, uint32_t *taken)
{
	struct timespec deadline = { .tv_sec = deadline_ns / NS_PER_S, .tv_nsec = deadline_ns % NS_PER_S };

	if (sem == NULL)
		return -EBADF;
	if (sem_clockwait(sem, CLOCK_MONOTONIC, &deadline) != 0)
		return -errno;
	*taken = 1;
	return 0;
}

int ipk_posix_sem_post(void *sem)
{
	if (sem == NULL)
		return -EBADF;
	return sem_post(sem) == 0 ? 0 : -errno;
}

int ipk_posix_sem_value(void *sem)
{
	int value;

	if (sem == NULL)
		return -EBADF;
	return sem_getvalue(sem, &value) == 0 ? value : -errno;
}
