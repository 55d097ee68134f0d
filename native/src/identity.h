/* Who a process is, beyond its pid, and the locks by which the kernel tells that it lives. Private to src/. */
#ifndef IPCKIT_SRC_IDENTITY_H
#define IPCKIT_SRC_IDENTITY_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>

#include "ipckit/segment.h"

#define IPK_LIFE_BYTE (INT64_C(1) << 62) /* far beyond any data, where no user's own lock lies */

/* fcntl(fd, command, ...) on the byte IPK_LIFE_BYTE + which. Returns 0, with what it told in *lock, or -errno. */
int ipk_identity_lock(int fd, int command, int type, uint64_t which, struct flock *lock);

/* Fill in who the calling process is. Returns 0, -ENOENT without /proc, -errno. */
int ipk_identity_self(struct ipk_participant_info *self);

/* Whether the process of that record runs: 1, also if it cannot be asked now; 0 if it is gone or cannot be looked up from our
 * pid namespace. */
int ipk_identity_runs(const struct ipk_participant_info *who);

static inline bool ipk_identity_same(const struct ipk_participant_info *a, const struct ipk_participant_info *b)
{
	return a->pid == b->pid && a->start_time == b->start_time && a->pid_namespace == b->pid_namespace;
}

#endif
