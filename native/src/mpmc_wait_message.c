/* Waiting for a message: spin, then sleep. */
#include "mpmc_wait.h"

#define LOOKS_PER_CLOCK 64 /* the clock costs as much as a few looks */

/* What tells that there may be a message now: as it was before we looked in vain. */
struct news {
	uint64_t tail;
	uint32_t commits;
};

/* Look for a message under the lock. Returns 1, 0, or -errno as ipk_mpmc_lock_wait. */
static int look(struct ipk_mpmc *ring, int64_t deadline_ns, struct news *seen, struct obstacle *obstacle)
{
	struct ipk_lock_shm *lock = &ring->shm->receive.lock;
	struct walk walk;
	int rc = ipk_mpmc_lock_wait(ring, lock, &ring->side[CONSUMER_SIDE].lock_spin, deadline_ns);

	if (rc < 0)
		return rc;
	/* acquire, both: what was committed before these is to be seen in the walk, which may know of an older tail only, and need no other */
	seen->commits = atomic_load_explicit(&ring->shm->tail.commits, memory_order_acquire);
	seen->tail = atomic_load_explicit(&ring->shm->tail.place, memory_order_acquire);
	rc = ipk_mpmc_walk_begin(ring, &walk);
	if (rc == 0) {
		rc = ipk_mpmc_walk_on(ring, &walk);
		ipk_mpmc_walk_end(ring, &walk);
	}
	unlock(ring, lock);
	*obstacle = (struct obstacle){walk.at, walk.word};
	return rc == 0 ? 1 : rc == -EAGAIN ? 0 : rc;
}

/* Has anything happened since? */
static int happened(const struct ipk_mpmc *ring, const struct news *seen)
{
	const struct ipk_mpmc_tail_shm *tail = &ring->shm->tail;

	/* seq_cst, both: mpmc.news */
	return atomic_load_explicit(&tail->place, memory_order_seq_cst) != seen->tail ||
	       atomic_load_explicit(&tail->commits, memory_order_seq_cst) != seen->commits;
}

static int spin(struct ipk_mpmc *ring, const struct news *seen, int64_t now, int64_t until)
{
	struct ipk_spin *side = &ring->side[CONSUMER_SIDE].spin;
	/* relaxed: a hint */
	uint32_t theirs = atomic_load_explicit(&ring->shm->send.lock.cpu, memory_order_relaxed) - 1;
	int64_t budget = ipk_spin_budget(side, ipk_spin_cpu(), theirs);
	int64_t end = budget < until - now ? now + budget : until;

	if (budget == 0)
		return 0;
	do {
		for (int looks = 0; looks < LOOKS_PER_CLOCK; looks++) {
			if (happened(ring, seen)) {
				ipk_spin_hit(side);
				return 1;
			}
			ipk_relax();
		}
	} while (ipk_monotonic_ns() < end);
	ipk_spin_missed(side);
	return 0;
}

/* How the last producer went, if there is none: -EPIPE, -EOWNERDEAD; else 0. Does not ask the kernel. */
static int gone(const struct ipk_mpmc *ring)
{
	uint32_t end = ipk_roster_end(&ring->roster, IPK_ROSTER_PRODUCER);

	return end == IPK_ROSTER_CLOSED ? -EPIPE : end == IPK_ROSTER_DIED ? -EOWNERDEAD : 0;
}

/* Repair, and find out whether anything will ever come. Returns 1 if there is a message; 0; -EPIPE, -EOWNERDEAD; -errno. */
static int ask(struct ipk_mpmc *ring, struct ipk_roster_entry_shm *entry, int64_t deadline_ns, struct obstacle *obstacle)
{
	struct walk walk;
	int before = gone(ring);
	int rc = ipk_mpmc_look_around(ring, entry, &walk, deadline_ns);

	if (rc != 0)
		return rc;
	*obstacle = (struct obstacle){walk.at, walk.word};
	/* what the last one had committed when it went, the walk would have found; a burial of this moment is followed by another walk */
	return walk.word == 0 ? before : 0;
}

/* Returns as ipk_futex_wait. */
static int sleep_on(struct ipk_mpmc *ring, struct ipk_roster_entry_shm *entry, const struct news *seen, int64_t until)
{
	struct ipk_sleepers_shm *sleepers = &ring->shm->messages.sleepers;
	uint32_t announced = ipk_sleepers_announce(sleepers);

	IPK_KILLPOINT("mpmc.wait.announced");
	/* seq_cst: mpmc.news, with close of our own view */
	if (happened(ring, seen) || gone(ring) < 0 || atomic_load_explicit(&ring->closed, memory_order_seq_cst))
		return 0;
	count(entry, IPK_ROSTER_EMPTY_WAITS, 1);
	return ipk_sleepers_sleep(sleepers, announced, until);
}

/* Nothing has come for a slice, or nobody is there to send anything. Returns as ipk_mpmc_wait_message. */
static int decide(struct ipk_mpmc *ring, struct ipk_roster_entry_shm *entry, const struct obstacle *before, int64_t deadline_ns,
		  uint32_t *stalled)
{
	struct obstacle obstacle = {0, 0};
	int rc = ipk_mpmc_still_ours(ring);

	if (rc < 0)
		return rc;
	for (int looks = 0; looks < 2; looks++) {
		rc = ask(ring, entry, deadline_ns, &obstacle);
		if (rc > 0)
			return 0;
		if (rc < 0)
			return ipk_mpmc_no_lock(&ring->shm->receive.lock, rc, stalled);
		if (gone(ring) == 0 || obstacle.word != 0)
			break; /* else the last one has gone in between: look once more */
	}
	if (ipk_monotonic_ns() < deadline_ns)
		return -EAGAIN;
	*stalled = ipk_mpmc_stalled_by(ring, before, &obstacle);
	return -ETIMEDOUT;
}

int ipk_mpmc_wait_message(struct ipk_mpmc *ring, int64_t deadline_ns, uint32_t *stalled)
{
	struct ipk_roster_entry_shm *entry;
	struct obstacle obstacle = {0, 0};
	struct news seen = {0, 0};
	int64_t now, until;
	int rc;

	*stalled = 0;
	rc = enter(ring, IPK_ROSTER_CONSUMER, &entry);
	if (rc < 0)
		return rc;
	rc = look(ring, deadline_ns, &seen, &obstacle);
	if (rc > 0)
		return 0;
	if (rc < 0)
		return ipk_mpmc_no_lock(&ring->shm->receive.lock, rc, stalled);
	now = ipk_monotonic_ns();
	if (now >= deadline_ns || gone(ring) < 0)
		return decide(ring, entry, &obstacle, deadline_ns, stalled); /* who only ever polls learns of a death here */
	until = deadline_ns - now < IPK_SLICE_NS ? deadline_ns : now + IPK_SLICE_NS;
	if (spin(ring, &seen, now, until))
		return 0;
	rc = sleep_on(ring, entry, &seen, until);
	IPK_KILLPOINT("mpmc.wait.awake");
	if (is_closed(ring))
		return -EBADF;
	if (rc == -EINTR) {
		if (happened(ring, &seen)) /* it may have been our wake-up: let somebody else have it */
			ipk_mpmc_wake_messages(ring, entry, 0);
		return rc;
	}
	if (rc == 0 || rc == -EAGAIN || happened(ring, &seen))
		return 0;
	return decide(ring, entry, &obstacle, deadline_ns, stalled);
}
