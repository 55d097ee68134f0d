/* Event pairs: two auto-reset events, low and high, and calls that set one and wait for the other; as in Windows NT.
 *
 * For two sides that take turns: a client sets low and waits for high, a server waits for low and answers with high.
 *
 * Object: sync header, then low and high, a line each; the words are those of event.h.
 */
#ifndef IPCKIT_EVENT_PAIR_H
#define IPCKIT_EVENT_PAIR_H

#include <stdint.h>

#include "ipckit/event.h"
#include "ipckit/sync.h"

/* cffi: types */
#define IPK_EVENT_PAIR_SIZE 192
#define IPK_EVENT_PAIR_LOW 0
#define IPK_EVENT_PAIR_HIGH 1
/* cffi: end */

struct ipk_event_pair_shm {
	struct ipk_sync_shm sync;
	struct ipk_event_word_shm side[2]; /* low, high */
};
_Static_assert(sizeof(struct ipk_event_pair_shm) == IPK_EVENT_PAIR_SIZE, "the layout drawn above");

/* side, in all that follows: IPK_EVENT_PAIR_LOW or IPK_EVENT_PAIR_HIGH; of others, the lowest bit counts */

/* cffi: begin */

/* Set one side; wakes one of those who wait for it. Does not block. Returns 0. */
int ipk_event_pair_set(struct ipk_sync *view, uint32_t side);

/* Consume one side if it is set. Does not block. Returns 0, or -EAGAIN. */
int ipk_event_pair_take(struct ipk_sync *view, uint32_t side);

/* The same, but look for some 2 microseconds if whoever sets that side was last seen on another CPU: an answer often
 * takes no longer, and not to sleep is not to hand anything over meanwhile. Does not block. */
int ipk_event_pair_glance(struct ipk_sync *view, uint32_t side);

/* Wait until one side is set, and consume it: spin, then sleep, for a slice or until the deadline. Blocks.
 * taken: as ipk_event_wait. Returns 0; -EAGAIN: the slice is over, or a signal handler ran: look around and wait again;
 * -ETIMEDOUT. */
int ipk_event_pair_wait(struct ipk_sync *view, uint32_t side, int64_t deadline_ns, uint32_t *taken);

/* Clear both sides. Does not block. Returns 0. */
int ipk_event_pair_clear(struct ipk_sync *view);

/* cffi: end */

#endif
