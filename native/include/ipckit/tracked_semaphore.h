/* A counting semaphore that knows who has its permits, and takes them back from the dead.
 *
 *   0        64      128             192       256
 *   | header | guard | word, limit   | holders: holders.h ...
 *
 * Nothing says how many permits are left: it is the limit, less what the entries of the table count. So there is no
 * second place that could disagree with the first, and a process that is killed at any instruction has taken a permit
 * or has not. Who takes one sums and counts under the guard (lock.h), so that two never take the same one; what a
 * guard's dead owner left is always consistent. Giving needs no guard: it only makes the sum smaller.
 *
 * A waiter that found nothing for a slice takes off what the dead hold.
 *
 *   word  31        30                 0
 *        | waiters | wake-ups so far   |
 *
 *   waiters  somebody may sleep on the word; as in semaphore.h, whoever gives clears it, and wakes as many as it gives
 *
 * Store-buffering:
 *   giver: count-- (seq_cst), looks at the word (seq_cst) | sleeper: sets waiters (seq_cst), sums the counts (seq_cst)
 *   Whoever comes second in the one order of these four sees the other: nobody sleeps beside a permit.
 *
 * Sync points:
 *   holders.count   from who gives a permit to who takes it
 *   lock.handover   from one who takes to the next: their counts are summed
 */
#ifndef IPCKIT_TRACKED_SEMAPHORE_H
#define IPCKIT_TRACKED_SEMAPHORE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "ipckit/holders.h"
#include "ipckit/lock.h"
#include "ipckit/sync.h"

struct ipk_tracked_semaphore_shm {
	struct ipk_sync_shm sync;
	struct ipk_lock_shm guard;
	_Atomic uint32_t word; /* futex */
	uint32_t limit;	       /* r/o */
	uint32_t reserved[14];
	struct ipk_holders_shm holders;
};
_Static_assert(offsetof(struct ipk_tracked_semaphore_shm, holders) == IPK_HOLDERS_OFFSET, "where holders.h looks for it");

/* cffi: begin */

/* Fill in what a new object begins with. place: of the object, which is not yet published. */
void ipk_tracked_semaphore_format(void *place, uint32_t limit);

/* Take a permit if there is one. Does not block.
 *
 * Returns 0; -EAGAIN if there is none, or the guard is not to be had at once; -ENOSPC if the table of holders is full; -errno as
 * ipk_member_join. */
int ipk_tracked_semaphore_try(struct ipk_sync *view);

/* Wait for one: spin, then sleep, for a slice or until the deadline; a deadline that has passed only has the dead looked for.
 * *taken becomes 1 with it. Blocks.
 *
 * Returns as ipk_tracked_semaphore_try, where -EAGAIN and -EINTR mean: look around and wait again; -ETIMEDOUT. */
int ipk_tracked_semaphore_wait(struct ipk_sync *view, int64_t deadline_ns, uint32_t *taken);

/* Give n permits back, at once. n: at least 1. Does not block; lock-free. Returns 0; -EPERM if fewer were taken through
 * this view: then none is given. */
int ipk_tracked_semaphore_release(struct ipk_sync *view, uint32_t n);

/* How many there are. Those of the dead are missing until somebody has waited for them. Returns 0 or more. */
int64_t ipk_tracked_semaphore_value(const struct ipk_sync *view);

/* Give back all that was taken through this view. Returns how many permits that were. */
uint32_t ipk_tracked_semaphore_abandon(struct ipk_sync *view);

/* cffi: end */

#endif
