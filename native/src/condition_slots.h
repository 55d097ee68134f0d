/* What the parts of condition.h share: its slots, one for each waiter. Private to src/. */
#ifndef IPCKIT_SRC_CONDITION_SLOTS_H
#define IPCKIT_SRC_CONDITION_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "ipckit/condition.h"

#define STATE_SHIFT IPK_MEMBER_ID_BITS
#define ID IPK_MEMBER_ID_MASK
#define NOBODY UINT32_MAX /* instead of a slot */

enum state { FREE, CLAIMED, AWAKE, ASLEEP, NOTIFIED, MOVED, PASSING };

static inline struct ipk_condition_shm *condition_of(const struct ipk_sync *view)
{
	return (struct ipk_condition_shm *)(void *)view->object;
}

static inline struct ipk_lock_shm *lock_of(const struct ipk_sync *mutex)
{
	return &((struct ipk_mutex_shm *)(void *)mutex->object)->lock;
}

static inline uint32_t state_of(uint32_t word)
{
	return word >> STATE_SHIFT;
}

static inline uint32_t word_of(enum state state, uint32_t id)
{
	return (uint32_t)state << STATE_SHIFT | (id & ID);
}

/* How many slots to look at. */
static inline uint32_t used_of(const struct ipk_sync *view)
{
	/* relaxed: whoever looks for a certain waiter has it from the mutex, or has a slot below it itself */
	uint32_t used = atomic_load_explicit(&condition_of(view)->used, memory_order_relaxed);

	return used < view->count ? used : view->count;
}

/* Change a slot's state, if its word still is *was. */
static inline bool change(struct ipk_condition_slot *slot, uint32_t *was, uint32_t next)
{
	/* acq_rel: condition.waiting, whichever end we are; relaxed: nothing is done with a failure but to look again */
	return atomic_compare_exchange_strong_explicit(&slot->word, was, next, memory_order_acq_rel, memory_order_relaxed);
}

/* The oldest of those who wait, or NOBODY. */
uint32_t ipk_condition_oldest(const struct ipk_sync *view);

/* Notify the waiter of a slot. mutex: if it is ours, else NULL. Returns 1; 0 if it waits no more, or is dead. */
int ipk_condition_notify_slot(struct ipk_sync *view, struct ipk_condition_slot *slot, struct ipk_sync *mutex);

/* Hand a notification on to the oldest waiter that lives, if there is any. */
void ipk_condition_hand_on(struct ipk_sync *view);

/* Hand on what the dead were notified of. all: also free the slots of those who just waited, which hurt nobody until all
 * are taken, or one of them is the oldest. */
void ipk_condition_sweep(struct ipk_sync *view, bool all);

#endif
