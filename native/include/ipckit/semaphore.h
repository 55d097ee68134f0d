/* A counting semaphore: one word.
 *
 *   word  31        30      0
 *        | waiters | value   |
 *
 *   waiters  somebody may sleep on the word. A sleeper sets it, while the value is 0; whoever releases clears it, and
 *            wakes as many as it gives. A sleeper that was woken sets it again, for there may be others, and wakes one
 *            more if there is still something left
 *
 * A permit has no owner, and dies with who has it. One that is killed between being woken and taking, or between giving
 * and waking, costs the others at most a slice: they look again.
 *
 * Sync points:
 *   semaphore.permit  release exchanges word (release) -> acquire exchanges word (acquire)
 *
 * No store-buffering case: all of them use read-modify-writes of the one word, and futex(2) compares it.
 */
#ifndef IPCKIT_SEMAPHORE_H
#define IPCKIT_SEMAPHORE_H

#include <stdatomic.h>
#include <stdint.h>

#include "ipckit/sync.h"

/* cffi: types */
#define IPK_SEMAPHORE_SIZE 128
#define IPK_SEMAPHORE_VALUE_MAX 2147483647
#define IPK_SEMAPHORE_BOUNDED 1
/* cffi: end */

#define IPK_SEMAPHORE_WAITERS 0x80000000U

struct ipk_semaphore_shm {
	struct ipk_sync_shm sync;
	_Atomic uint32_t word; /* futex */
	uint32_t limit;	       /* r/o: the value never exceeds it */
	uint32_t reserved[14];
};
_Static_assert(sizeof(struct ipk_semaphore_shm) == IPK_SEMAPHORE_SIZE, "the layout drawn above");

/* cffi: begin */

/* Fill in what a new object begins with. place: of the object, which is not yet published. value: at most limit. */
void ipk_semaphore_format(void *place, uint32_t value, uint32_t limit);

/* Take a permit if there is one. Does not block; lock-free. Returns 0, -EAGAIN. */
int ipk_semaphore_try(struct ipk_sync *view);

/* Wait for one: spin, then sleep, for a slice or until the deadline. *taken becomes 1 with it. Blocks.
 *
 * Returns 0; -EAGAIN and -EINTR: look around and wait again; -ETIMEDOUT. */
int ipk_semaphore_wait(struct ipk_sync *view, int64_t deadline_ns, uint32_t *taken);

/* Give n permits at once. n: 1 to IPK_SEMAPHORE_VALUE_MAX. Does not block; lock-free. Returns 0; -EOVERFLOW if there
 * would be more than the limit: then none is given. */
int ipk_semaphore_release(struct ipk_sync *view, uint32_t n);

/* How many there are. Returns 0 or more. */
int64_t ipk_semaphore_value(const struct ipk_sync *view);

/* Whether it was made with IPK_SEMAPHORE_BOUNDED. */
int ipk_semaphore_bounded(const struct ipk_sync *view);

/* cffi: end */

#endif
