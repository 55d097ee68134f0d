#include "condition_slots.h"

#include <errno.h>

#include "ipckit/futex.h"

#define LOOKS_PER_CLOCK 64 /* the clock costs as much as a few looks */

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
	ipk_condition_sweep(view, false);
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
		ipk_condition_hand_on(view);
		change(slot, &passing, FREE);
	}
}
