/* What the parts of latest have in common. Private to src/. */
#ifndef IPCKIT_SRC_LATEST_VIEW_H
#define IPCKIT_SRC_LATEST_VIEW_H

#include <errno.h>

#include "ipckit/latest.h"

/* Claim the writer's role for the view's process, and find out where its last holder stopped. The view is busy with us.
 * Returns 0, -EBUSY, -errno. */
int ipk_latest_claim_role(struct ipk_latest *latest);

/* Whether there may be an object of so many buffers, each for a value of so many bytes. */
int ipk_latest_valid(uint64_t max_size, uint64_t buffers);

/* Bytes from one buffer to the next. */
static inline uint64_t ipk_latest_stride(uint64_t max_size)
{
	return (IPK_LATEST_DATA + max_size + IPK_LINE - 1) & ~(uint64_t)(IPK_LINE - 1);
}

static inline struct ipk_latest_buffer *buffer_of(const struct ipk_latest *latest, uint64_t sequence)
{
	return (struct ipk_latest_buffer *)(void *)(latest->buffers + sequence % latest->count * latest->stride);
}

static inline void notice_fork(struct ipk_latest *latest)
{
	/* relaxed: only fork zeroes it, and the child sees all that came before */
	if (!atomic_load_explicit(latest->segment.same_process, memory_order_relaxed))
		ipk_latest_forked(latest);
}

/* Whether this view was closed. */
static inline int is_closed(const struct ipk_latest *latest)
{
	/* relaxed: a close at this very moment finds the memory still mapped */
	return !latest->shm || atomic_load_explicit(&latest->closed, memory_order_relaxed);
}

static inline void leave(struct ipk_latest *latest)
{
	/* release: pairs with enter, the view's fields go to the next caller, perhaps another thread */
	atomic_store_explicit(&latest->busy, 0, memory_order_release);
}

/* Wake all readers that sleep, after a seq_cst store of what they wait for. */
static inline void wake_readers(struct ipk_latest *latest)
{
	struct ipk_latest_index *index = &latest->shm->index;
	int calls = ipk_sleepers_wake_all(&latest->shm->asleep.sleepers);

	if (calls > 0)
		/* relaxed, both: a counter of the writer's own */
		atomic_store_explicit(&index->wakes,
				      atomic_load_explicit(&index->wakes, memory_order_relaxed) + (uint64_t)calls,
				      memory_order_relaxed);
}

#endif
