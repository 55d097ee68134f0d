/* POSIX semaphores, named and unnamed: sem_overview(7), with waits on CLOCK_MONOTONIC.
 *
 * A semaphore is the pointer that ipk_posix_sem_open or ipk_posix_sem_map gave, or where ipk_posix_sem_init was called;
 * NULL is a closed one, and every function refuses it with -EBADF, so that a handle closed by another thread is an error
 * and not a crash. The same name opened twice by one process is the same address (glibc counts the openings). The caller
 * sees to it that no call is inside when it closes or unmaps.
 */
#ifndef IPCKIT_POSIX_SEM_H
#define IPCKIT_POSIX_SEM_H

#include <stdint.h>

/* cffi: begin */

/* Open the existing semaphore `name` ("/" and no other slash) and store it in *sem: sem_open(3).
 *
 * Does not block. Returns 0, or -errno: -ENOENT, -EACCES, -EINVAL, -ENAMETOOLONG, -EMFILE, -ENFILE, -ENOMEM.
 */
int ipk_posix_sem_open(const char *name, void **sem);

/* Let go of one opening: sem_close(3). Does not block. Returns 0, or -EINVAL for what is no semaphore. */
int ipk_posix_sem_close(void *sem);

/* Map the file that is, or shall become, a named semaphore, and store where it is in *sem: mmap(2).
 *
 * fd: of ipk_posix_sem_size() bytes, readable and writable; not needed any more afterwards. Does not block. Returns 0, or
 * -errno: -EACCES, -ENOMEM.
 */
int ipk_posix_sem_map(int fd, void **sem);

/* Let go of what ipk_posix_sem_map gave. Does not block. Returns 0, or -EBADF. */
int ipk_posix_sem_unmap(void *sem);

/* Destroy the name: sem_unlink(3). Does not block. Returns 0, -ENOENT or -EACCES. */
int ipk_posix_sem_unlink(const char *name);

/* What an unnamed semaphore takes of shared memory, and a divisor of its address; bytes. */
uint32_t ipk_posix_sem_size(void);
uint32_t ipk_posix_sem_alignment(void);

/* Make an unnamed semaphore for all processes that map the memory at `sem`: sem_init(3).
 *
 * sem: ipk_posix_sem_size() writable bytes, aligned, in which there is none, or none that anybody uses. Does not block.
 * Returns 0, or -EINVAL for a value beyond 2^31-1.
 */
int ipk_posix_sem_init(void *sem, uint32_t value);

/* Take a token if there is one: sem_trywait(3). Wait-free but for the race with other takers. Returns 0 or -EAGAIN. */
int ipk_posix_sem_trywait(void *sem);

/* Take a token, waiting until the deadline at most: sem_clockwait(3).
 *
 * deadline_ns: absolute, CLOCK_MONOTONIC, 0 or more. A token that is there is taken even after the deadline.
 * taken: becomes 1 when there is a token, so that a caller that is thrown out on the way back knows that it has one.
 * Blocks. Returns 0, -ETIMEDOUT, or -EINTR after a signal handler ran.
 */
int ipk_posix_sem_wait(void *sem, int64_t deadline_ns, uint32_t *taken);

/* Give one token, and wake a waiter: sem_post(3). Does not block. Returns 0, or -EOVERFLOW at 2^31-1 tokens. */
int ipk_posix_sem_post(void *sem);

/* The tokens there are now: sem_getvalue(3). Does not block. Returns 0 or more, or -EBADF. */
int ipk_posix_sem_value(void *sem);

/* cffi: end */

#endif
