/* What the parts of barrier.h share: its table, and what goes on under its guard. Private to src/. */
#ifndef IPCKIT_SRC_BARRIER_PARTS_H
#define IPCKIT_SRC_BARRIER_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "ipckit/barrier.h"

#define STATE_SHIFT IPK_MEMBER_ID_BITS
#define ID IPK_MEMBER_ID_MASK
#define SLEEPERS UINT32_C(1)
#define BROKEN_GATE UINT32_C(2)
#define NEXT_GENERATION UINT32_C(4)
#define AT_ONCE INT64_MIN /* instead of a deadline */

enum state { FREE, ARRIVED, RELEASED, BROKEN, PAST, GONE };
enum ending { GOES_ON, ENDS_RELEASED, ENDS_BROKEN, ENDS_RESET };

static inline struct ipk_barrier_shm *barrier_of(const struct ipk_sync *view)
{
	return (struct ipk_barrier_shm *)(void *)view->object;
}

static inline uint32_t entries_of(const struct ipk_sync *view)
{
	return 2 * view->count;
}

static inline uint32_t state_of(uint32_t word)
{
	return word >> STATE_SHIFT;
}

static inline uint32_t word_of(enum state state, uint32_t id)
{
	return (uint32_t)state << STATE_SHIFT | (id & ID);
}

static inline uint32_t load(const struct ipk_barrier_party *party)
{
	/* acquire: barrier.party */
	return atomic_load_explicit(&party->word, memory_order_acquire);
}

static inline bool change(struct ipk_barrier_party *party, uint32_t was, uint32_t next)
{
	/* acq_rel: barrier.party, whichever end we are; relaxed: nothing is done with a failure */
	return atomic_compare_exchange_strong_explicit(&party->word, &was, next, memory_order_acq_rel, memory_order_relaxed);
}

static inline bool dead(const struct ipk_sync *view, const struct ipk_barrier_party *party, uint32_t word)
{
	return (word & ID) != ipk_member_id(view->member) &&
	       ipk_member_alive(view->member, word & ID, &party->holder) == 0;
}

static inline uint32_t gate_of(const struct ipk_sync *view)
{
	/* acquire: barrier.gate */
	return atomic_load_explicit(&barrier_of(view)->gate, memory_order_acquire);
}

/* --- barrier_guard.c ----------------------------------------------------------------------------------------------- */

/* Enter the guard; wait for it, for a slice or until the deadline, unless that is AT_ONCE. Returns 0; -EAGAIN, also when the time is
 * up; -errno as ipk_member_join. */
int ipk_barrier_enter(struct ipk_sync *view, int64_t deadline_ns);

/* Leave the guard; was: what the gate was before a generation ended in it, else 0. */
void ipk_barrier_leave_guard(struct ipk_sync *view, uint32_t was);

/* End the generation. Under the guard. Returns the gate as it was. */
uint32_t ipk_barrier_over(struct ipk_sync *view, enum ending ending);

/* The same, where all have arrived: they are released, unless one of them has given up who could not say so otherwise. */
uint32_t ipk_barrier_complete(struct ipk_sync *view);

/* Turn our entry into what is left of us, and tell how the wait ended: 0, -ECANCELED; -EAGAIN: it has not. */
int ipk_barrier_outcome(struct ipk_sync *view, struct ipk_barrier_wait *wait);

/* --- barrier.c ----------------------------------------------------------------------------------------------------- */

/* As ipk_barrier_arrive and ipk_barrier_release, and wait for the guard as ipk_barrier_enter. */
int ipk_barrier_arrive_until(struct ipk_sync *view, struct ipk_barrier_wait *wait, int64_t deadline_ns);
int ipk_barrier_release_until(struct ipk_sync *view, struct ipk_barrier_wait *wait, int64_t deadline_ns);

/* Break the generation that we wait in, or for, unless it is over. Returns as ipk_barrier_outcome; -ETIMEDOUT: broken, and by us. */
int ipk_barrier_break_off(struct ipk_sync *view, struct ipk_barrier_wait *wait, int64_t deadline_ns);

#endif
