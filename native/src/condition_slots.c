#include "condition_slots.h"

#include "ipckit/futex.h"

/* Whether the member that a slot's word names is dead. A kernel that can't tell lets it live. */
static bool dead(const struct ipk_sync *view, const struct ipk_condition_slot *slot, uint32_t word)
{
	return ipk_member_alive(view->member, word & ID, &slot->holder) == 0;
}

uint32_t ipk_condition_oldest(const struct ipk_sync *view)
{
	struct ipk_condition_slot *slots = condition_of(view)->slots;
	uint32_t used = used_of(view);
	uint32_t found = NOBODY;
	uint64_t first = 0;

	for (uint32_t i = 0; i < used; i++) {
		/* acquire: condition.waiting */
		uint32_t state = state_of(atomic_load_explicit(&slots[i].word, memory_order_acquire));
		uint64_t ticket;

		if (state != AWAKE && state != ASLEEP)
			continue;
		/* relaxed: ordered by the word; of a slot that changes hands meanwhile, the word will differ */
		ticket = atomic_load_explicit(&slots[i].ticket, memory_order_relaxed);
		if (found == NOBODY || ticket < first) {
			found = i;
			first = ticket;
		}
	}
	return found;
}

/* Move whoever sleeps on a slot over to the mutex, which the caller owns. Returns whether anybody does. */
static bool move(struct ipk_condition_slot *slot, uint32_t word, struct ipk_lock_shm *lock)
{
	if (state_of(word) == MOVED)
		/* relaxed: the owner's release comes later, and sees it */
		atomic_fetch_or_explicit(&lock->word, IPK_LOCK_WAITERS, memory_order_relaxed);
	return ipk_futex_requeue((uint32_t *)&slot->word, word, 0, INT32_MAX, (uint32_t *)&lock->word) != 0;
}

int ipk_condition_notify_slot(struct ipk_sync *view, struct ipk_condition_slot *slot, struct ipk_sync *mutex)
{
	/* acquire: condition.waiting */
	uint32_t word = atomic_load_explicit(&slot->word, memory_order_acquire);
	bool alone = false;
	uint32_t next;

	do {
		if (state_of(word) != AWAKE && state_of(word) != ASLEEP)
			return 0;
		if (mutex && state_of(word) == ASLEEP && !alone)
			alone = ipk_mutex_alone(mutex);
		next = word_of(mutex && state_of(word) == ASLEEP && !alone ? MOVED : NOTIFIED, word);
	} while (!change(slot, &word, next));
	IPK_KILLPOINT("condition.notify.marked");
	if (state_of(word) == AWAKE)
		return 1;
	if (mutex ? move(slot, next, lock_of(mutex)) : ipk_futex_wake((uint32_t *)&slot->word, 1, IPK_FUTEX_ANY) != 0)
		return 1;
	/* it was on its way into or out of its sleep, or is dead; then whoever is first may have its notification */
	return !(dead(view, slot, next) && change(slot, &next, FREE));
}

void ipk_condition_hand_on(struct ipk_sync *view)
{
	for (uint32_t tries = 0; tries < view->count; tries++) {
		uint32_t i = ipk_condition_oldest(view);

		if (i == NOBODY || ipk_condition_notify_slot(view, &condition_of(view)->slots[i], NULL))
			return;
	}
}

void ipk_condition_sweep(struct ipk_sync *view, bool all)
{
	struct ipk_condition_slot *slots = condition_of(view)->slots;
	uint32_t used = used_of(view);
	uint32_t id = ipk_member_id(view->member);

	for (uint32_t i = 0; i < used; i++) {
		/* acquire: condition.waiting */
		uint32_t word = atomic_load_explicit(&slots[i].word, memory_order_acquire);
		bool waited = state_of(word) <= ASLEEP;

		if (word == FREE || (waited && !all) || (word & ID) == id || !dead(view, &slots[i], word))
			continue;
		if (waited) {
			change(&slots[i], &word, FREE);
		} else if (change(&slots[i], &word, word_of(PASSING, id))) {
			IPK_KILLPOINT("condition.pass.taken");
			ipk_condition_hand_on(view);
			IPK_KILLPOINT("condition.pass.given");
			word = word_of(PASSING, id);
			change(&slots[i], &word, FREE);
		}
	}
}
