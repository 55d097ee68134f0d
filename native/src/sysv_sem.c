#include "ipckit/sysv_sem.h"

#include <errno.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <time.h>

#include "ipckit/base.h"

#define NS_PER_S 1000000000

union argument { /* semctl(2): the calling program defines it */
	int val;
	struct semid_ds *buf;
	unsigned short *array;
};

int ipk_sysv_sem_get(int32_t key, uint32_t size, int create, uint32_t mode)
{
	int id = semget(key, (int)size, (create ? IPC_CREAT | IPC_EXCL : 0) | (int)(mode & 0777));

	return id < 0 ? -errno : id;
}

static int wait_for_op(int id, struct sembuf *ops, uint32_t count, int64_t deadline_ns)
{
	int64_t left_ns = deadline_ns - ipk_monotonic_ns();
	struct timespec left;

	if (left_ns < 0)
		left_ns = 0;
	left.tv_sec = (time_t)(left_ns / NS_PER_S);
	left.tv_nsec = (long)(left_ns % NS_PER_S);
	if (semtimedop(id, ops, count, &left) == 0)
		return 0;
	return errno == EAGAIN ? -ETIMEDOUT : -errno;
}

int ipk_sysv_sem_op(int id, const struct ipk_sysv_sem_op *ops, uint32_t count, int64_t deadline_ns, uint32_t *done)
{
	struct sembuf converted[IPK_SYSV_SEM_OPS];
	short now = deadline_ns == 0 ? IPC_NOWAIT : 0;
	int rc;

	if (count > IPK_SYSV_SEM_OPS)
		return -E2BIG;
	for (uint32_t i = 0; i < count; i++) {
		converted[i].sem_num = ops[i].index;
		converted[i].sem_op = ops[i].delta;
		converted[i].sem_flg = (short)(now | (ops[i].undo ? SEM_UNDO : 0));
	}
	if (now)
		rc = semop(id, converted, count) < 0 ? -errno : 0;
	else
		rc = wait_for_op(id, converted, count, deadline_ns);
	if (done)
		*done = rc == 0;
	return rc;
}

int ipk_sysv_sem_values(int id, uint16_t *values)
{
	return semctl(id, 0, GETALL, (union argument){.array = values}) < 0 ? -errno : 0;
}

int ipk_sysv_sem_set_values(int id, const uint16_t *values)
{
	union argument argument = {.array = (unsigned short *)values}; /* the kernel only reads them */

	return semctl(id, 0, SETALL, argument) < 0 ? -errno : 0;
}

int ipk_sysv_sem_ask(int id, uint32_t index, int what)
{
	static const int commands[] = {GETVAL, GETPID, GETNCNT, GETZCNT};
	int answer;

	if (what < 0 || what > IPK_SYSV_SEM_WAITING_ZERO)
		return -EINVAL;
	answer = semctl(id, (int)index, commands[what]);
	return answer < 0 ? -errno : answer;
}

int ipk_sysv_sem_set_value(int id, uint32_t index, int value)
{
	return semctl(id, (int)index, SETVAL, (union argument){.val = value}) < 0 ? -errno : 0;
}

int ipk_sysv_sem_stat(int id, struct ipk_sysv_sem_status *status)
{
	struct semid_ds found;

	if (semctl(id, 0, IPC_STAT, (union argument){.buf = &found}) < 0)
		return -errno;
	status->key = found.sem_perm.__key;
	status->uid = found.sem_perm.uid;
	status->gid = found.sem_perm.gid;
	status->creator_uid = found.sem_perm.cuid;
	status->creator_gid = found.sem_perm.cgid;
	status->mode = found.sem_perm.mode & 0777;
	status->size = (int64_t)found.sem_nsems;
	status->last_op_s = found.sem_otime;
	status->change_s = found.sem_ctime;
	return 0;
}

int ipk_sysv_sem_set(int id, const struct ipk_sysv_sem_status *status)
{
	struct semid_ds wanted = {.sem_otime = 0};

	wanted.sem_perm.uid = (uid_t)status->uid;
	wanted.sem_perm.gid = (gid_t)status->gid;
	wanted.sem_perm.mode = (unsigned short)(status->mode & 0777);
	return semctl(id, 0, IPC_SET, (union argument){.buf = &wanted}) < 0 ? -errno : 0;
}

int ipk_sysv_sem_remove(int id)
{
	return semctl(id, 0, IPC_RMID) < 0 ? -errno : 0;
}
