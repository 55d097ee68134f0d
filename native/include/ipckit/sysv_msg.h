/* System V message queues: sysvipc(7), msgget(2), msgop(2), msgctl(2); and ftok(3), which makes the keys.
 *
 * A queue is the number that ipk_sysv_msg_get gave, known to the whole IPC namespace; there is nothing to close. A number
 * that stands for no queue, because it was removed, is -EINVAL or -EIDRM. The kernel orders and serialises everything:
 * any thread of any process may call anything here at any time.
 *
 * A message is its type (1 or more) and 0 or more bytes. A box is what msgop(2) calls struct msgbuf: the type in its
 * first 8 bytes, then the data; so that a box for n bytes of data has 8 + n.
 */
#ifndef IPCKIT_SYSV_MSG_H
#define IPCKIT_SYSV_MSG_H

#include <stdint.h>

/* cffi: types */
#define IPK_SYSV_MSG_SMALL 8192 /* bytes of data; the usual sysctl kernel.msgmax */

/* flags of the functions that receive */
#define IPK_SYSV_MSG_EXCEPT 1   /* any type but this one */
#define IPK_SYSV_MSG_TRUNCATE 2 /* what does not fit is lost, instead of -E2BIG */

struct ipk_sysv_msg_status {
	int64_t key; /* 0: private */
	int64_t uid, gid, creator_uid, creator_gid;
	int64_t mode;     /* permission bits */
	int64_t messages; /* in the queue now */
	int64_t bytes;    /* of data in the queue now */
	int64_t max_bytes;
	int64_t last_send_pid, last_receive_pid;       /* 0: never */
	int64_t last_send_s, last_receive_s, change_s; /* seconds since 1970; 0: never */
};
/* cffi: end */

/* cffi: begin */

/* The queue of `key`: msgget(2). key: 0 makes a new private one. create: 0 opens what exists; else it is made,
 * exclusively. mode: permission bits, those of the new queue, or those that are asked for.
 * Does not block. Returns its number; -ENOENT, -EEXIST, -EACCES, -ENOSPC (sysctl kernel.msgmni), -ENOMEM. */
int ipk_sysv_msg_get(int32_t key, int create, uint32_t mode);

/* Append a message if there is room now: msgsnd(2). size: bytes of data, IPK_SYSV_MSG_SMALL at most.
 * Does not block. Returns 0; -EAGAIN; -EMSGSIZE if size is more than that; -EINVAL (the type is below 1, size is beyond
 * sysctl kernel.msgmax, there is no such queue); -EIDRM, -EACCES, -ENOMEM. */
int ipk_sysv_msg_try_send(int id, int64_t type, const void *data, uint64_t size);

/* Append the message in `box`, which has `size` bytes of data, waiting for room until the deadline.
 *
 * deadline_ns: absolute, CLOCK_MONOTONIC; 0 never waits. Blocks. Returns as try_send (-EAGAIN only where deadline_ns is
 * 0); -EIDRM also when the queue is removed meanwhile; -ETIMEDOUT; -EINTR after a signal handler ran; -EBUSY and -ENOBUFS
 * as ipk_interrupt_arm.
 */
int ipk_sysv_msg_send(int id, const void *box, uint64_t size, int64_t deadline_ns);

/* Take a message into `box`, which has room for `size` bytes of data, if there is one now: msgrcv(2).
 *
 * type: 0 the oldest message, above 0 the oldest of this type, below 0 the oldest of the lowest type up to -type.
 * Does not block. Returns the bytes of data; -EAGAIN; -E2BIG if it does not fit, and then stays in the queue; -EINVAL,
 * -EIDRM if there is no such queue; -EACCES.
 */
int64_t ipk_sysv_msg_try_receive(int id, void *box, uint64_t size, int64_t type, int flags);

/* The same, waiting for a message until the deadline. Blocks. Returns as try_receive; -EIDRM also when the queue is
 * removed meanwhile; -ETIMEDOUT, -EINTR, -EBUSY, -ENOBUFS as ipk_sysv_msg_send. Whatever ends the wait, no message is
 * lost: it was received, or it is in the queue. */
int64_t ipk_sysv_msg_receive(int id, void *box, uint64_t size, int64_t type, int flags, int64_t deadline_ns);

/* Copy the message at `index` (0: the oldest) into `box`, and leave it in the queue: MSG_COPY.
 * Does not block. Returns the bytes of data; -EAGAIN if there is none at that index; -ENOSYS if the kernel was built
 * without CONFIG_CHECKPOINT_RESTORE; -E2BIG, -EINVAL, -EIDRM, -EACCES. */
int64_t ipk_sysv_msg_peek(int id, void *box, uint64_t size, int64_t index);

/* What msgctl(2) IPC_STAT tells. Takes the right to read. Does not block. Returns 0, -EINVAL, -EIDRM, -EACCES. */
int ipk_sysv_msg_stat(int id, struct ipk_sysv_msg_status *status);

/* Change owner, mode and size to those in `status`, the rest of which is ignored: IPC_SET. Takes the owner or creator.
 * Does not block. Returns 0; -EPERM also for max_bytes above sysctl kernel.msgmnb without CAP_SYS_RESOURCE; -EINVAL,
 * -EIDRM. */
int ipk_sysv_msg_set(int id, const struct ipk_sysv_msg_status *status);

/* Destroy the queue and all that is in it, and end the waits at it with -EIDRM. Does not block.
 * Returns 0, -EPERM, -EINVAL, -EIDRM. */
int ipk_sysv_msg_remove(int id);

/* A key from the file at `path` and the lower 8 bits of project_id: ftok(3). Stores it in *key, for it may be negative.
 * Does not block (but as stat(2) does). Returns 0, or the -errno of stat(2). */
int ipk_sysv_ftok(const char *path, int project_id, int32_t *key);

/* cffi: end */

#endif
