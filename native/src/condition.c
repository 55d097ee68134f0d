#include "ipckit/condition.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "ipckit/futex.h"

#define STATE_SHIFT IPK_MEMBER_ID_BITS
#define ID IPK_MEMBER_ID_MASK
#define LOOKS_PER_CLOCK 64 /* the clock costs as much as a few looks */
#define NOBODY UINT32_MAX  /* instead of a slot */

enum state { FREE, CLAIMED, AWAKE, ASLEEP, NOTIFIED, MOVED, PASSING };

static struct ipk_condition_shm *condition_of(const struct ipk_sync *view)
{
	return (struct ipk_condition_shm *)(void *)view->object;
}

static struct ipk_lock_shm *lock_of(const struct ipk_sync *mutex)
{
	return &((struct ipk_mutex_shm *)(void *)mutex->object)->lock;
}

static uint32_t state_of(uint32_t word)
{
	return word >> STATE_SHIFT;
}

static uint32_t word_of(enum state state, uint32_t id)
{
	return (uint32_t)state << STATE_SHIFT | (id & ID);
}

/* How many slots to look at. */
static uint32_t used_of(const struct ipk_sync *view)
{
	/* relaxed: whoever looks for a certain waiter has it from the mutex, or has a slot below it itself */
	uint32_t used = atomic_load_explicit(&condition_of(view)->used, memory_order_relaxed);

	return used < view->count ? used : view->count;
}

/* Change a slot's state, if its word still is *was. */
static bool change(struct ipk_condition_slot *slot, uint32_t *was, uint32_t next)
{
	/* acq_rel: condition.waiting, whichever end we are; relaxed: nothing is done with a failure but to look again */
	return atomic_compare_exchange_strong_explicit(&slot->word, was, next, memory_order_acq_rel, memory_order_relaxed);
}

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

/* Whether the member that a slot's word names is dead. A kernel that can't tell lets it live. */
static bool dead(const struct ipk_sync *view, const struct ipk_condition_slot *slot, uint32_t word)
{
	return ipk_member_alive(view->member, word & ID, &slot->holder) == 0;
}

/* The oldest of those who wait, or NOBODY. */
static uint32_t oldest(const struct ipk_sync *view)
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
	/* relaxed: the owner's release comes later, and sees it */
	atomic_fetch_or_explicit(&lock->word, IPK_LOCK_WAITERS, memory_order_relaxed);
	return ipk_futex_requeue((uint32_t *)&slot->word, word, 0, INT32_MAX, (uint32_t *)&lock->word) != 0;
}

/* Notify the waiter of a slot. lock: the mutex's, if it is ours. Returns 1; 0 if it waits no more, or is dead. */
static int notify_slot(struct ipk_sync *view, struct ipk_condition_slot *slot, struct ipk_lock_shm *lock)
{
	/* acquire: condition.waiting */
	uint32_t word = atomic_load_explicit(&slot->word, memory_order_acquire);
	uint32_t next;

	do {
		if (state_of(word) != AWAKE && state_of(word) != ASLEEP)
			return 0;
		next = word_of(lock && state_of(word) == ASLEEP ? MOVED : NOTIFIED, word);
	} while (!change(slot, &word, next));
	IPK_KILLPOINT("condition.notify.marked");
	if (state_of(word) == AWAKE)
		return 1;
	if (lock ? move(slot, next, lock) : ipk_futex_wake((uint32_t *)&slot->word, 1, IPK_FUTEX_ANY) != 0)
		return 1;
	/* it was on its way into or out of its sleep, or is dead; then whoever is first may have its notification */
	return !(dead(view, slot, next) && change(slot, &next, FREE));
}

/* Hand a notification on to the oldest waiter that lives, if there is any. */
static void hand_on(struct ipk_sync *view)
{
	for (uint32_t tries = 0; tries < view->count; tries++) {
		uint32_t i = oldest(view);

		if (i == NOBODY || notify_slot(view, &condition_of(view)->slots[i], NULL))
			return;
	}
}

/* Hand on what the dead were notified of. all: also free the slots of those who just waited, which hurt nobody until all
 * are taken, or one of them is the oldest. */
static void sweep(struct ipk_sync *view, bool all)
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
			hand_on(view);
			IPK_KILLPOINT("condition.pass.given");
			word = word_of(PASSING, id);
			change(&slots[i], &word, FREE);
		}
	}
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
		sweep(view, true);
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

static struct ipk_condition_slot *slot_of(struct ipk_sync *view, const struct ipk_condition_wait *wait)
{
	return &condition_of(view)->slots[wait->slot < view->count ? wait->slot : 0];
}

/* Whether we have been notified; then the slot is no longer ours. Also if others have written over it. */
static bool notified(struct ipk_sync *view, struct ipk_condition_wait *wait)
{
	struct ipk_condition_slot *slot = slot_of(view, wait);
	uint32_t id = ipk_member_id(view->member);
	/* relaxed: change orders it */
	uint32_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);

	if (word == word_of(AWAKE, id) || word == word_of(ASLEEP, id))
		return false;
	IPK_KILLPOINT("condition.wait.notified");
	wait->moved = word == word_of(MOVED, id);
	if (wait->moved || word == word_of(NOTIFIED, id))
		change(slot, &word, FREE);
	IPK_KILLPOINT("condition.wait.freed");
	wait->notified = 1;
	wait->phase = IPK_CONDITION_LEFT;
	return true;
}

static bool spin(struct ipk_sync *view, struct ipk_condition_wait *wait, int64_t now, int64_t until)
{
	/* relaxed: a hint */
	uint32_t peer = atomic_load_explicit(&condition_of(view)->cpu, memory_order_relaxed) - 1;
	int64_t budget = ipk_spin_budget(&view->spin, ipk_spin_cpu(), peer);
	int64_t end = budget < until - now ? now + budget : until;

	if (budget == 0)
		return false;
	do {
		for (int look = 0; look < LOOKS_PER_CLOCK; look++) {
			if (notified(view, wait)) {
				ipk_spin_hit(&view->spin);
				return true;
			}
			ipk_relax();
		}
	} while (ipk_monotonic_ns() < end);
	ipk_spin_missed(&view->spin);
	return false;
}

/* Stop waiting, unless we have been notified. Returns whether we had waited in vain. */
static bool give_up(struct ipk_sync *view, struct ipk_condition_wait *wait)
{
	uint32_t id = ipk_member_id(view->member);
	uint32_t asleep = word_of(ASLEEP, id);
	uint32_t awake = word_of(AWAKE, id);

	if (!change(slot_of(view, wait), &asleep, FREE) && !change(slot_of(view, wait), &awake, FREE) && notified(view, wait))
		return false;
	wait->phase = IPK_CONDITION_LEFT;
	return true;
}

/* Wait to be notified. Returns 0: we have left the slot; -EAGAIN: not yet. *late: we come from a sleep that lasted the whole slice. */
static int sleep_notified(struct ipk_sync *view, const struct ipk_lock_shm *lock, struct ipk_condition_wait *wait,
			  int64_t deadline_ns, bool *late)
{
	struct ipk_condition_slot *slot = slot_of(view, wait);
	uint32_t id = ipk_member_id(view->member);
	uint32_t asleep = word_of(ASLEEP, id);
	uint32_t awake = word_of(AWAKE, id);
	int64_t now = ipk_monotonic_ns();
	int64_t until = deadline_ns - now < IPK_SLICE_NS ? deadline_ns : now + IPK_SLICE_NS;

	if (notified(view, wait))
		return 0;
	/* relaxed: a look; only the first slice begins awake */
	if (now < deadline_ns && atomic_load_explicit(&slot->word, memory_order_relaxed) == awake) {
		if (spin(view, wait, now, until))
			return 0;
		change(slot, &awake, asleep);
		IPK_KILLPOINT("condition.wait.announced");
	}
	while (now < until) {
		int slept = ipk_futex_wait((uint32_t *)&slot->word, asleep, until, IPK_FUTEX_ANY);

		*late = slept == -ETIMEDOUT;
		if (notified(view, wait))
			return 0;
		if (slept == -EINTR)
			return -EAGAIN;
		now = ipk_monotonic_ns();
	}
	/* nothing happened for a slice: look around. The membership first: another's id in the slot is what sweep frees */
	if (ipk_member_still_ours(view->member) < 0)
		return -EAGAIN;
	sweep(view, false);
	/* relaxed: a look; nobody can notify whoever waits for what a lost mutex protects */
	if (now < deadline_ns && !(atomic_load_explicit(&lock->word, memory_order_relaxed) & IPK_LOCK_LOST))
		return notified(view, wait) ? 0 : -EAGAIN;
	give_up(view, wait);
	return 0;
}

int ipk_condition_wait(struct ipk_sync *view, struct ipk_sync *mutex, struct ipk_condition_wait *wait, int64_t deadline_ns)
{
	struct ipk_lock_shm *lock = lock_of(mutex);
	bool late = false;
	int rc;

	if (wait->phase == IPK_CONDITION_WAITING) {
		rc = sleep_notified(view, lock, wait, deadline_ns, &late);
		if (rc < 0)
			return rc;
	}
	if (wait->phase != IPK_CONDITION_LEFT)
		return -EINVAL;
	/* who slept out its slice beside the mutex would have been woken by its owner, if that had given it back */
	rc = late ? ipk_mutex_recover(mutex) : ipk_mutex_try(mutex);
	if (rc == -EAGAIN)
		rc = ipk_mutex_wait(mutex, IPK_NEVER);
	if (rc < 0 && rc != -EOWNERDEAD)
		return rc;
	/* relaxed, both: the owner's own, until it releases */
	if (wait->moved)
		atomic_fetch_or_explicit(&lock->word, IPK_LOCK_WAITERS, memory_order_relaxed);
	atomic_store_explicit(&lock->depth, wait->depth, memory_order_relaxed);
	wait->phase = IPK_CONDITION_OUTSIDE;
	return rc;
}

void ipk_condition_leave(struct ipk_sync *view, struct ipk_condition_wait *wait)
{
	struct ipk_condition_slot *slot = slot_of(view, wait);
	uint32_t id = ipk_member_id(view->member);
	uint32_t waiting[] = {word_of(ASLEEP, id), word_of(AWAKE, id)};
	uint32_t given[] = {word_of(NOTIFIED, id), word_of(MOVED, id)};
	uint32_t passing = word_of(PASSING, id);

	if (wait->phase != IPK_CONDITION_WAITING)
		return;
	wait->phase = IPK_CONDITION_LEFT;
	wait->moved = 1; /* perhaps */
	if (change(slot, &waiting[0], FREE) || change(slot, &waiting[1], FREE))
		return;
	/* the slot is ours until the notification is another's: if we die before, it is found in it */
	if (change(slot, &given[0], passing) || change(slot, &given[1], passing)) {
		IPK_KILLPOINT("condition.leave.passing");
		hand_on(view);
		change(slot, &passing, FREE);
	}
}

int64_t ipk_condition_notify(struct ipk_sync *view, struct ipk_sync *mutex, uint32_t n)
{
	struct ipk_condition_shm *condition = condition_of(view);
	struct ipk_lock_shm *lock = lock_of(mutex);
	uint32_t given = 0;

	if (!ipk_mutex_mine(mutex))
		return -EPERM;
	/* relaxed: a hint */
	atomic_store_explicit(&condition->cpu, ipk_spin_cpu() + 1, memory_order_relaxed);
	if (n >= view->count) {
		uint32_t used = used_of(view);

		for (uint32_t i = 0; i < used; i++)
			given += (uint32_t)notify_slot(view, &condition->slots[i], lock);
		return given;
	}
	for (uint32_t tries = 0; given < n && tries < view->count; tries++) {
		uint32_t i = oldest(view);

		if (i == NOBODY)
			break;
		given += (uint32_t)notify_slot(view, &condition->slots[i], lock);
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
