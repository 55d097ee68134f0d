/* A mutex that survives the death of its owner: lock.h, with an owner that is checked, and recursion if wanted.
 *
 * Object: sync header, then the lock, one line each.
 */
#ifndef IPCKIT_MUTEX_H
#define IPCKIT_MUTEX_H

#include <stdint.h>

#include "ipckit/lock.h"
#include "ipckit/sync.h"

/* cffi: types */
#define IPK_MUTEX_SIZE 128
#define IPK_MUTEX_RECURSIVE 1
#define IPK_MUTEX_ANYONE 2 /* anybody may give it back, and its owner waits for it like the rest: threading.Lock. Never lost */
#define IPK_MUTEX_INHERITS 4 /* its owner runs with the priority of whoever waits: mutex_pi.h has how. Not for ANYONE */

struct ipk_mutex_owner {
	uint32_t pid;    /* 0: nobody, or one that has not yet said who it is; in pid_namespace */
	uint32_t thread; /* its thread id there; 0: it has not yet said */
	uint64_t start_time;
	uint64_t pid_namespace;
	uint32_t depth;
	uint32_t word; /* of the lock, with its flags */
};
/* cffi: end */

struct ipk_mutex_shm {
	struct ipk_sync_shm sync;
	struct ipk_lock_shm lock;
};
_Static_assert(sizeof(struct ipk_mutex_shm) == IPK_MUTEX_SIZE, "the layout drawn above");

/* cffi: begin */

/* Take the mutex if it is free, or ours and recursive. Does not block.
 *
 * Returns 0; -EOWNERDEAD: taken, and the last owner died; -EAGAIN if another one has it; -EDEADLK if the calling thread has it and
 * it is not recursive; -EOVERFLOW at a depth of 2^32 - 1; -ENOTRECOVERABLE; -errno as ipk_member_join. */
int ipk_mutex_try(struct ipk_sync *view);

/* The same, but take it also from an owner that is dead: asks the kernel. Does not block. */
int ipk_mutex_recover(struct ipk_sync *view);

/* Wait for the mutex: spin, then sleep, for a slice or until the deadline. Blocks. Returns as ipk_mutex_try, where
 * -EAGAIN means: look around and wait again; -ETIMEDOUT. */
int ipk_mutex_wait(struct ipk_sync *view, int64_t deadline_ns);

/* The same; *taken becomes 1 where it has taken the mutex, for callers who may not come to see what it returns. */
int ipk_mutex_wait_taking(struct ipk_sync *view, int64_t deadline_ns, uint32_t *taken);

/* Give it back, or one level of it. Does not block. Returns 0, -EPERM if the calling thread does not own it, or, where anybody may
 * give it back, if nobody does. */
int ipk_mutex_release(struct ipk_sync *view);

/* Say that what it protects is consistent again. Returns 0, -EPERM as ipk_mutex_release. */
int ipk_mutex_consistent(struct ipk_sync *view);

/* If it was taken through this view, by whatever thread, leave it as if we had died with it. Returns 1 if so, else 0. */
int ipk_mutex_abandon(struct ipk_sync *view);

/* Give back what a wait got that came to nothing. Who was told of a death leaves it for the next one to be told. Returns 0, -EPERM as
 * ipk_mutex_release. */
int ipk_mutex_undo(struct ipk_sync *view);

/* Whether the calling thread owns it. */
int ipk_mutex_mine(struct ipk_sync *view);

/* Who owns it, as it said itself. Of some moment; torn if the owner changes meanwhile. Returns 1 if somebody does, else 0. */
int ipk_mutex_owner(const struct ipk_sync *view, struct ipk_mutex_owner *owner);

/* Whether the owner that `word` names lives; word: as ipk_mutex_owner told it. Returns 1, 0, -errno. Does not block. */
int ipk_mutex_lives(const struct ipk_sync *view, uint32_t word);

/* cffi: end */

/* For conditions: before one waiter is moved over to sleep on the mutex's word. Owner. Returns 1 if the mutex's release through this
 * view will wake it without a flag in the word, so that it need not set one for others when it has the mutex: the first one since the
 * mutex was taken, while nobody else sleeps there. Else 0: then the flag has to be set. */
int ipk_mutex_alone(struct ipk_sync *view);

#endif
