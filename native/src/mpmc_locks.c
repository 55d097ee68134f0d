/* How one gets a lock of a ring, and tells others that something has changed. */
#include <sched.h>

#include "mpmc_view.h"

#ifdef IPK_GUARD_LOOKS
#define LOOKS IPK_GUARD_LOOKS
#else
#define LOOKS 50 /* with their pauses some 50 microseconds: an operation takes a tenth of one, if its process runs */
#endif
#define TURNS 3
#define PAUSES_PER_LOOK 40 /* whoever is inside does several in a row meanwhile, on lines that stay with it */

/* Whoever died in there has left nothing to repair: what the words before tail say is what has happened. */
static int taken_over(struct ipk_lock_shm *lock, int rc)
{
	if (rc == -EOWNERDEAD) {
		IPK_KILLPOINT("mpmc.lock.inherited");
		ipk_lock_consistent(lock);
		return 0;
	}
	return rc == -ENOTRECOVERABLE ? -EBADMSG : rc; /* nobody of us releases it in that state */
}

/* Whether the lock's owner was last seen on our CPU: then it does not run, and does not get on while we look. */
static int is_behind_us(const struct ipk_lock_shm *lock)
{
	/* relaxed: a hint */
	uint32_t cpu = atomic_load_explicit(&lock->cpu, memory_order_relaxed);

	return cpu != 0 && cpu == ipk_spin_cpu() + 1;
}

int ipk_mpmc_lock(struct ipk_mpmc *ring, struct ipk_lock_shm *lock)
{
	int rc = ipk_lock_try(lock, &ring->member);

	for (int turn = 0; rc == -EAGAIN && turn < TURNS && is_behind_us(lock); turn++) {
		sched_yield();
		rc = ipk_lock_try(lock, &ring->member);
	}
	for (int look = 0; rc == -EAGAIN && look < LOOKS; look++) {
		for (int pause = 0; pause < PAUSES_PER_LOOK; pause++)
			ipk_relax();
		/* relaxed: a look; ipk_lock_try orders it */
		if (!(atomic_load_explicit(&lock->word, memory_order_relaxed) & IPK_MEMBER_ID_MASK))
			rc = ipk_lock_try(lock, &ring->member);
	}
	if (rc == -EAGAIN) /* it takes that long if its owner does not run, or is dead */
		rc = ipk_lock_recover(lock, &ring->member);
	return rc == 0 ? 0 : taken_over(lock, rc);
}

int ipk_mpmc_lock_wait(struct ipk_mpmc *ring, struct ipk_lock_shm *lock, struct ipk_spin *spin, int64_t deadline_ns)
{
	int rc;

	if (ipk_lock_mine(lock, &ring->member))
		return -EDEADLK; /* a signal handler inside a call of its own thread */
	if (ipk_monotonic_ns() >= deadline_ns) {
		/* whoever does not wait is not to be told that others are inside, which they always are: but that one stays */
		rc = ipk_mpmc_lock(ring, lock);
		return rc == -EAGAIN ? -ETIMEDOUT : rc;
	}
	return taken_over(lock, ipk_lock_wait(lock, &ring->member, spin, deadline_ns));
}

void ipk_mpmc_wake_messages(struct ipk_mpmc *ring, struct ipk_roster_entry_shm *entry, int all)
{
	struct ipk_sleepers_shm *sleepers = &ring->shm->messages.sleepers;
	int calls = all ? ipk_sleepers_wake_all(sleepers) : ipk_sleepers_wake_one(sleepers);

	if (calls > 0)
		count(entry, IPK_ROSTER_WAKES, (uint64_t)calls);
}

void ipk_mpmc_tell(struct ipk_mpmc *ring, struct ipk_roster_entry_shm *entry, int all)
{
	/* seq_cst: mpmc.news */
	atomic_fetch_add_explicit(&ring->shm->tail.commits, 1, memory_order_seq_cst);
	IPK_KILLPOINT("mpmc.tell.counted");
	ipk_mpmc_wake_messages(ring, entry, all);
}

void ipk_mpmc_wake_room(struct ipk_mpmc *ring, struct ipk_roster_entry_shm *entry, uint64_t free, uint64_t tail)
{
	struct ipk_mpmc_wait_shm *room = &ring->shm->room;
	uint32_t limit = ring->chosen.max_messages;
	int calls;

	/* seq_cst: mpmc.news */
	if (!(atomic_load_explicit(&room->sleepers.word, memory_order_seq_cst) & IPK_SLEEPERS_ANY))
		return;
	/* relaxed, both: mpmc.want. The tail may be old: then there is less room than we think, and one wakes for nothing */
	if (units_between(free, tail) > 0 &&
	    (units_of_ring(ring) - units_between(free, tail) < atomic_load_explicit(&room->want, memory_order_relaxed) ||
	     (limit && limit - messages_between(free, tail) < atomic_load_explicit(&room->want_messages, memory_order_relaxed))))
		return;
	calls = ipk_sleepers_wake_one(&room->sleepers);
	if (calls > 0)
		count(entry, IPK_ROSTER_WAKES, (uint64_t)calls);
}
