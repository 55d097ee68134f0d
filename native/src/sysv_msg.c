#include "ipckit/sysv_msg.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>

#include "ipckit/base.h"
#include "ipckit/interrupt.h"

#ifndef MSG_COPY
#define MSG_COPY 040000 /* linux/msg.h */
#endif
#ifndef MSG_EXCEPT
#define MSG_EXCEPT 020000
#endif

_Static_assert(sizeof(long) == 8, "the type in a box is a long");

struct small_box {
	long type;
	char data[IPK_SYSV_MSG_SMALL];
};

static int kernel_flags(int flags)
{
	return (flags & IPK_SYSV_MSG_EXCEPT ? MSG_EXCEPT : 0) | (flags & IPK_SYSV_MSG_TRUNCATE ? MSG_NOERROR : 0);
}

int ipk_sysv_msg_get(int32_t key, int create, uint32_t mode)
{
	int id = msgget(key, (create ? IPC_CREAT | IPC_EXCL : 0) | (int)(mode & 0777));

	return id < 0 ? -errno : id;
}

int ipk_sysv_msg_try_send(int id, int64_t type, const void *data, uint64_t size)
{
	struct small_box box;

	if (size > sizeof(box.data))
		return -EMSGSIZE;
	box.type = type;
	if (size != 0)
		memcpy(box.data, data, size); /* data may be NULL then */
	return msgsnd(id, &box, size, IPC_NOWAIT) < 0 ? -errno : 0;
}

int ipk_sysv_msg_send(int id, const void *box, uint64_t size, int64_t deadline_ns)
{
	int rc;

	if (deadline_ns == 0)
		return msgsnd(id, box, size, IPC_NOWAIT) < 0 ? -errno : 0;
	rc = ipk_interrupt_arm(deadline_ns);
	if (rc < 0)
		return rc;
	rc = msgsnd(id, box, size, 0) < 0 ? -errno : 0;
	ipk_interrupt_disarm();
	return (int)ipk_interrupt_reason(rc, deadline_ns);
}

static int64_t take(int id, void *box, uint64_t size, int64_t type, int flags)
{
	ssize_t got = msgrcv(id, box, size, type, flags);

	if (got < 0)
		return errno == ENOMSG ? -EAGAIN : -errno; /* msgsnd's word for the same */
	return got;
}

int64_t ipk_sysv_msg_try_receive(int id, void *box, uint64_t size, int64_t type, int flags)
{
	return take(id, box, size, type, kernel_flags(flags) | IPC_NOWAIT);
}

int64_t ipk_sysv_msg_receive(int id, void *box, uint64_t size, int64_t type, int flags, int64_t deadline_ns)
{
	int64_t got = ipk_interrupt_arm(deadline_ns);

	if (got < 0)
		return got;
	got = take(id, box, size, type, kernel_flags(flags));
	ipk_interrupt_disarm();
	return ipk_interrupt_reason(got, deadline_ns);
}

int64_t ipk_sysv_msg_peek(int id, void *box, uint64_t size, int64_t index)
{
	return take(id, box, size, index, MSG_COPY | IPC_NOWAIT);
}

int ipk_sysv_msg_stat(int id, struct ipk_sysv_msg_status *status)
{
	struct msqid_ds found;

	if (msgctl(id, IPC_STAT, &found) < 0)
		return -errno;
	*status = (struct ipk_sysv_msg_status){
		.key = found.msg_perm.__key,
		.uid = found.msg_perm.uid,
		.gid = found.msg_perm.gid,
		.creator_uid = found.msg_perm.cuid,
		.creator_gid = found.msg_perm.cgid,
		.mode = found.msg_perm.mode & 0777,
		.messages = (int64_t)found.msg_qnum,
		.bytes = (int64_t)found.__msg_cbytes,
		.max_bytes = (int64_t)found.msg_qbytes,
		.last_send_pid = found.msg_lspid,
		.last_receive_pid = found.msg_lrpid,
		.last_send_s = found.msg_stime,
		.last_receive_s = found.msg_rtime,
		.change_s = found.msg_ctime,
	};
	return 0;
}

int ipk_sysv_msg_set(int id, const struct ipk_sysv_msg_status *status)
{
	struct msqid_ds wanted;

	memset(&wanted, 0, sizeof(wanted));
	wanted.msg_perm.uid = (uid_t)status->uid;
	wanted.msg_perm.gid = (gid_t)status->gid;
	wanted.msg_perm.mode = (unsigned short)(status->mode & 0777);
	wanted.msg_qbytes = (msglen_t)status->max_bytes;
	return msgctl(id, IPC_SET, &wanted) < 0 ? -errno : 0;
}

int ipk_sysv_msg_remove(int id)
{
	return msgctl(id, IPC_RMID, NULL) < 0 ? -errno : 0;
}

int ipk_sysv_ftok(const char *path, int project_id, int32_t *key)
{
	errno = 0;
	*key = ftok(path, project_id);
	return *key == -1 && errno != 0 ? -errno : 0;
}
