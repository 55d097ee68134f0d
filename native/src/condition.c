#include "condition_slots.h"

#include <errno.h>
#include <string.h>

int ipk_condition_format(void *place, struct ipk_member *member, const struct ipk_sync *mutex, uint32_t options)
{
	struct ipk_condition_shm *condition = place;
	int rc;

	if (mutex) {
		memcpy(condition->of, mutex->object->id, sizeof(condition->of));
		return 0;
	}
	rc = ipk_sync_begin(&condition->mutex, member, IPK_MUTEX_SIZE);
	if (rc < 0)
		return rc;
	return ipk_sync_publish(&condition->mutex, member, IPK_SYNC_MUTEX, options, 0, IPK_MUTEX_SIZE);
}

int ipk_condition_of(const struct ipk_sync *view, uint64_t *id)
{
	const struct ipk_condition_shm *condition = condition_of(view);

	memcpy(id, condition->of, sizeof(condition->of));
	return id[0] || id[1];
}

/* Claim a slot, with the mutex. Returns it, or NOBODY. */
static uint32_t claim(struct ipk_sync *view, uint32_t id)
{
	struct ipk_condition_shm *condition = condition_of(view);
	uint32_t used = used_of(view);

	for (uint32_t i = 0; i < view->count; i++) {
		/* relaxed: change orders it */
		uint32_t word = atomic_load_explicit(&condition->slots[i].word, memory_order_relaxed);

		if (state_of(word) != FREE || !change(&condition->slots[i], &word, word_of(CLAIMED, id)))
			continue;
		if (i >= used)
			/* relaxed: the mutex orders it */
			atomic_store_explicit(&condition->used, i + 1, memory_order_relaxed);
		return i;
	}
	return NOBODY;
}

int ipk_condition_begin(struct ipk_sync *view, struct ipk_sync *mutex, struct ipk_condition_wait *wait)
{
	struct ipk_condition_shm *condition = condition_of(view);
	struct ipk_lock_shm *lock = lock_of(mutex);
	struct ipk_condition_slot *slot;
	int64_t id;
	uint32_t i;

	wait->phase = IPK_CONDITION_OUTSIDE;
	if (!ipk_mutex_mine(mutex))
		return -EPERM;
	id = ipk_member_id(view->member);
	if (id == 0)
		id = ipk_member_join(view->member);
	if (id < 0)
		return (int)id;
	i = claim(view, (uint32_t)id);
	if (i == NOBODY) {
		ipk_condition_sweep(view, true);
		i = claim(view, (uint32_t)id);
	}
	if (i == NOBODY)
		return -ENOSPC;
	IPK_KILLPOINT("condition.begin.claimed");
	slot = &condition->slots[i];
	ipk_member_record(view->member, (uint32_t)id, &slot->holder);
	/* relaxed, both: the mutex orders the one, the word the other */
	atomic_store_explicit(&slot->ticket, atomic_fetch_add_explicit(&condition->ticket, 1, memory_order_relaxed),
			      memory_order_relaxed);
	/* release: condition.waiting */
	atomic_store_explicit(&slot->word, word_of(AWAKE, (uint32_t)id), memory_order_release);
	IPK_KILLPOINT("condition.begin.waiting");
	wait->slot = i;
	wait->notified = 0;
	wait->moved = 0;
	/* relaxed, both: the owner's own */
	wait->depth = atomic_load_explicit(&lock->depth, memory_order_relaxed);
	atomic_store_explicit(&lock->depth, 1, memory_order_relaxed);
	wait->phase = IPK_CONDITION_WAITING;
	return ipk_mutex_release(mutex);
}

int64_t ipk_condition_notify(struct ipk_sync *view, struct ipk_sync *mutex, uint32_t n)
{
	struct ipk_condition_shm *condition = condition_of(view);
	uint32_t given = 0;

	if (!ipk_mutex_mine(mutex))
		return -EPERM;
	/* relaxed: a hint */
	atomic_store_explicit(&condition->cpu, ipk_spin_cpu() + 1, memory_order_relaxed);
	if (n >= view->count) {
		uint32_t used = used_of(view);

		for (uint32_t i = 0; i < used; i++)
			given += (uint32_t)ipk_condition_notify_slot(view, &condition->slots[i], mutex);
		return given;
	}
	for (uint32_t tries = 0; given < n && tries < view->count; tries++) {
		uint32_t i = ipk_condition_oldest(view);

		if (i == NOBODY)
			break;
		given += (uint32_t)ipk_condition_notify_slot(view, &condition->slots[i], mutex);
	}
	return given;
}

uint32_t ipk_condition_waiters(const struct ipk_sync *view)
{
	struct ipk_condition_slot *slots = condition_of(view)->slots;
	uint32_t used = used_of(view);
	uint32_t waiting = 0;

	for (uint32_t i = 0; i < used; i++) {
		/* relaxed: a number of some moment */
		uint32_t state = state_of(atomic_load_explicit(&slots[i].word, memory_order_relaxed));

		waiting += state == AWAKE || state == ASLEEP;
	}
	return waiting;
}

int ipk_condition_waiter(const struct ipk_sync *view, uint32_t slot, struct ipk_participant_info *who, int32_t *lives)
{
	const struct ipk_condition_slot *waiter;
	uint32_t word;

	if (slot >= used_of(view))
		return -ENOENT;
	waiter = &condition_of(view)->slots[slot];
	/* relaxed: a look */
	word = atomic_load_explicit(&waiter->word, memory_order_relaxed);
	if (state_of(word) == FREE || state_of(word) > MOVED)
		return 0;
	*lives = ipk_member_who(view->member, word & ID, &waiter->holder, who);
	return 1;
}
