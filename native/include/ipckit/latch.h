/* A latch: a number that is counted down, and a gate that opens for good when it is 0.
 *
 *   word  31        30     0
 *        | waiters | count |
 *
 *   waiters  somebody may sleep on the word. Set before each sleep; whoever makes the count 0 with it set wakes all
 *
 * Object: sync header, then the word, one line each.
 *
 * A waiter that is killed leaves nothing but the flag, which costs one needless wake-up. A process that is killed between its
 * store of 0 and the wake-up costs the sleepers a slice. One that is killed before it has counted down is not noticed: nobody knows
 * who was to count.
 *
 * Sync points:
 *   latch.open  count_down changes word (release) -> wait, count load it (acquire): what was stored before is seen
 *
 * No store-buffering case: sleeper and counter both use read-modify-writes of the one word, and futex(2) compares it.
 */
#ifndef IPCKIT_LATCH_H
#define IPCKIT_LATCH_H

#include <stdatomic.h>
#include <stdint.h>

#include "ipckit/sync.h"

/* cffi: types */
#define IPK_LATCH_SIZE 128
#define IPK_LATCH_MAX 2147483647
/* cffi: end */

struct ipk_latch_shm {
	struct ipk_sync_shm sync;
	_Atomic uint32_t word; /* futex */
	uint32_t reserved[15];
};
_Static_assert(sizeof(struct ipk_latch_shm) == IPK_LATCH_SIZE, "the layout drawn above");

/* cffi: begin */

/* Set the count, at most IPK_LATCH_MAX, before the object is published. Maker. */
void ipk_latch_format(void *place, uint32_t count);

/* What is left to count. Does not block. */
uint32_t ipk_latch_count(const struct ipk_sync *view);

/* Take n off the count, or all that is left of it; wake the waiters when nothing is. Does not block. Returns what is left. */
uint32_t ipk_latch_count_down(struct ipk_sync *view, uint32_t n);

/* Wait until the count is 0: spin, then sleep, for a slice or until the deadline. Blocks.
 *
 * Returns 0; -EAGAIN: the slice is over, or a signal handler ran: look around and wait again; -ETIMEDOUT. */
int ipk_latch_wait(struct ipk_sync *view, int64_t deadline_ns);

/* cffi: end */

#endif
