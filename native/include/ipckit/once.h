/* Something that is done once, by one process, however many come by, and however many are killed at it.
 *
 * Object: sync header, then a lock (lock.h), one line each.
 *
 * The lock is the runner's: whoever takes it runs. A runner that has completed leaves the lock lost, so that
 * nobody ever takes it again: that is what "done" is, and all waiters are woken. A runner that gives up leaves it free, and
 * one that dies leaves it to the next, as with any lock. So the one word says all, and changes in one step.
 *
 * Sync points: those of lock.h, and
 *   once.done  complete stores word (release, in ipk_lock_release) -> done loads it (acquire): what the runner did is seen
 */
#ifndef IPCKIT_ONCE_H
#define IPCKIT_ONCE_H

#include <stdint.h>

#include "ipckit/lock.h"
#include "ipckit/sync.h"

/* cffi: types */
#define IPK_ONCE_SIZE 128
/* cffi: end */

struct ipk_once_shm {
	struct ipk_sync_shm sync;
	struct ipk_lock_shm lock;
};
_Static_assert(sizeof(struct ipk_once_shm) == IPK_ONCE_SIZE, "the layout drawn above");

/* cffi: begin */

/* Whether it is done: then it is so for ever. One load. Does not block. */
int ipk_once_done(const struct ipk_sync *view);

/* Become the runner, if nobody is. Does not block.
 *
 * Returns 0: the caller runs; -EALREADY: it is done; -EAGAIN: another one runs; -EDEADLK: the calling thread does;
 * -errno as ipk_member_join. */
int ipk_once_try(struct ipk_sync *view);

/* The same, and also in the place of a runner that is dead: asks the kernel. Does not block. */
int ipk_once_recover(struct ipk_sync *view);

/* Wait until it is done, or the caller is the runner: spin, then sleep, for a slice or until the deadline. Blocks. Returns as
 * ipk_once_try, where -EAGAIN means: look around and wait again; -ETIMEDOUT. */
int ipk_once_wait(struct ipk_sync *view, int64_t deadline_ns);

/* It is done. Runner. Wakes all who wait. Does not block. Returns 0, -EPERM if the calling thread does not run it. */
int ipk_once_complete(struct ipk_sync *view);

/* It is not done: the next one runs. Runner. Does not block. Returns as ipk_once_complete. */
int ipk_once_abandon(struct ipk_sync *view);

/* If it was begun through this view, by whatever thread, give up. Returns 1 if so, else 0. */
int ipk_once_close(struct ipk_sync *view);

/* Whether the calling thread runs it. */
int ipk_once_mine(struct ipk_sync *view);

/* cffi: end */

#endif
