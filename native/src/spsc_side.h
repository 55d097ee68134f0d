/* What sending, receiving and waiting have in common: one side of a ring's view. Private to src/. */
#ifndef IPCKIT_SRC_SPSC_SIDE_H
#define IPCKIT_SRC_SPSC_SIDE_H

#include <errno.h>

#include "ipckit/futex.h"
#include "ipckit/spsc.h"

/* Whether there may be a ring of that size with these options. */
int ipk_spsc_valid(uint64_t capacity, uint32_t options);

/* Claim the role for the view's process, and find out where its last holder stopped. The side is the caller's.
 * Returns 0, -EBUSY, -EBADMSG, -errno. */
int ipk_spsc_claim_role(struct ipk_spsc *ring, uint32_t role);

static inline uint64_t record_size(uint64_t length)
{
	return (IPK_SPSC_RECORD_HEADER + length + 7) & ~UINT64_C(7);
}

/* How much a batch moves before the other side hears of it: both copy at the same time, each its own part. */
static inline uint64_t portion(const struct ipk_spsc *ring)
{
	return ring->capacity / 8;
}

/* Add to a counter that no other process writes. */
static inline void add_to(_Atomic uint64_t *counter, uint64_t number)
{
	/* relaxed, both: of the caller's own */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + number, memory_order_relaxed);
}

static inline void notice_fork(struct ipk_spsc *ring)
{
	/* relaxed: only fork zeroes it, and the child sees all that came before */
	if (ring->shm && !atomic_load_explicit(ring->segment.same_process, memory_order_relaxed))
		ipk_spsc_forked(ring);
}

static inline void leave(struct ipk_spsc_side *side)
{
	/* release: pairs with enter, the view's fields go to the next caller, perhaps another thread */
	atomic_store_explicit(&side->busy, 0, memory_order_release);
}

/* Get the view's side for ourselves, with its role claimed. Returns 0, or -errno and the side is not ours. */
static inline int enter(struct ipk_spsc *ring, uint32_t role)
{
	struct ipk_spsc_side *side = &ring->side[role];
	int rc = 0;

	notice_fork(ring);
	/* acquire: pairs with leave, and with take_side */
	if (atomic_exchange_explicit(&side->busy, 1, memory_order_acquire))
		/* relaxed: ordered by take_side, where it is close that is inside */
		return atomic_load_explicit(&ring->closed, memory_order_relaxed) ? -EBADF : -EBUSY;
	/* relaxed: a close at this very moment finds the memory still mapped */
	if (atomic_load_explicit(&ring->closed, memory_order_relaxed))
		rc = -EBADF;
	else if (!side->held)
		rc = ipk_spsc_claim_role(ring, role);
	if (rc < 0)
		leave(side);
	return rc;
}

/* Wake the other side if it sleeps. */
static inline void wake(struct ipk_spsc_sleep *sleep, struct ipk_spsc_index *waker)
{
	/* relaxed: the flag carries nothing; the sleeper looks at the index again */
	if (!atomic_exchange_explicit(&sleep->asleep, 0, memory_order_relaxed))
		return;
	add_to(&waker->wakes, 1);
	ipk_futex_wake((uint32_t *)&sleep->asleep, 1, IPK_FUTEX_ANY);
}

/* Say where we run, for the peer to know whether to spin. On the line that we write anyway: it costs no transfer. */
static inline void note_cpu(struct ipk_spsc_index *mine)
{
	/* relaxed: a hint */
	atomic_store_explicit(&mine->cpu, ipk_spin_cpu() + 1, memory_order_relaxed);
}

#endif
