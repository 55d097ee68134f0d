/* System V semaphore sets: sysvipc(7), semget(2), semop(2), semctl(2).
 *
 * A set is the number that ipk_sysv_sem_get gave, known to the whole IPC namespace; there is nothing to close. A number
 * that stands for no set, because it was removed, is -EINVAL or -EIDRM. The kernel serialises everything: any thread of
 * any process may call anything here at any time.
 */
#ifndef IPCKIT_SYSV_SEM_H
#define IPCKIT_SYSV_SEM_H

#include <stdint.h>

/* cffi: types */
#define IPK_SYSV_SEM_OPS 500 /* of one operation; the kernel's own limit, SEMOPM, may be lower */

#define IPK_SYSV_SEM_VALUE 0       /* GETVAL */
#define IPK_SYSV_SEM_PID 1         /* GETPID */
#define IPK_SYSV_SEM_WAITING 2     /* GETNCNT */
#define IPK_SYSV_SEM_WAITING_ZERO 3 /* GETZCNT */

struct ipk_sysv_sem_op {
	uint16_t index;
	int16_t delta; /* above 0: added; below 0: taken, waiting until that leaves 0 or more; 0: waited for */
	int16_t undo;  /* not 0: SEM_UNDO */
};

struct ipk_sysv_sem_status {
	int64_t key; /* 0: private */
	int64_t uid, gid, creator_uid, creator_gid;
	int64_t mode; /* permission bits */
	int64_t size; /* semaphores in the set */
	int64_t last_op_s, change_s; /* seconds since 1970; 0: never */
};
/* cffi: end */

/* cffi: begin */

/* The set of `key`: semget(2). key: 0 makes a new private one. create: 0 opens what exists; else it is made,
 * exclusively, with `size` semaphores of the value 0. mode: permission bits, those of the new set, or those that are
 * asked for. Does not block. Returns its number; -ENOENT, -EEXIST, -EACCES, -EINVAL (size beyond SEMMSL), -ENOSPC (too
 * many sets or semaphores: sysctl kernel.sem), -ENOMEM. */
int ipk_sysv_sem_get(int32_t key, uint32_t size, int create, uint32_t mode);

/* Do all of these operations, as one, or none: semtimedop(2).
 *
 * They take effect in their order. deadline_ns: absolute, CLOCK_MONOTONIC; 0 never waits. Blocks until then at most.
 * done: becomes 1 when they are done, so that a caller that is thrown out on the way back knows it; may be NULL.
 * Returns 0; -EAGAIN (only where deadline_ns is 0), -ETIMEDOUT; -EINTR after a signal handler ran; -EFBIG (an index),
 * -E2BIG (too many), -ERANGE (a value would exceed 32767), -ENOSPC (too many processes with SEM_UNDO), -EACCES,
 * -ENOMEM; -EINVAL (none; no such set), -EIDRM also when the set is removed meanwhile. */
int ipk_sysv_sem_op(int id, const struct ipk_sysv_sem_op *ops, uint32_t count, int64_t deadline_ns, uint32_t *done);

/* Read all values of the set, or write them: GETALL, SETALL. values: room for all. To write clears what all processes
 * have to undo. Does not block. Returns 0, -ERANGE, -EACCES, -EINVAL, -EIDRM. */
int ipk_sysv_sem_values(int id, uint16_t *values);
int ipk_sysv_sem_set_values(int id, const uint16_t *values);

/* Tell one thing (see above) of one semaphore. Does not block. Returns 0 or more; -EINVAL, -EIDRM, -EACCES. */
int ipk_sysv_sem_ask(int id, uint32_t index, int what);

/* Write the value of one semaphore: SETVAL. Does not block. Returns 0, -ERANGE, -EACCES, -EINVAL, -EIDRM. */
int ipk_sysv_sem_set_value(int id, uint32_t index, int value);

/* What semctl(2) IPC_STAT tells. Takes the right to read. Does not block. Returns 0, -EINVAL, -EIDRM, -EACCES. */
int ipk_sysv_sem_stat(int id, struct ipk_sysv_sem_status *status);

/* Change owner and mode to those in `status`, the rest of which is ignored: IPC_SET. Takes the owner or creator.
 * Does not block. Returns 0, -EPERM, -EINVAL, -EIDRM. */
int ipk_sysv_sem_set(int id, const struct ipk_sysv_sem_status *status);

/* Destroy the set, and end the waits at it with -EIDRM. Does not block. Returns 0, -EPERM, -EINVAL, -EIDRM. */
int ipk_sysv_sem_remove(int id);

/* cffi: end */

#endif
