#include "ipckit/posix_sem.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdalign.h>
#include <stddef.h>
#include <sys/stat.h>
#include <time.h>

#define NS_PER_S 1000000000

int ipk_posix_sem_open(const char *name, int create, uint32_t mode, uint32_t value, void **sem)
{
	sem_t *opened = create ? sem_open(name, O_CREAT | O_EXCL, (mode_t)mode, (unsigned int)value) : sem_open(name, 0);

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

int ipk_posix_sem_wait(void *sem, int64_t deadline_ns)
{
	struct timespec deadline = { .tv_sec = deadline_ns / NS_PER_S, .tv_nsec = deadline_ns % NS_PER_S };

	if (sem == NULL)
		return -EBADF;
	return sem_clockwait(sem, CLOCK_MONOTONIC, &deadline) == 0 ? 0 : -errno;
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
