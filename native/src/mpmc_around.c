/* What a waiter looks for when nothing has happened for a slice. */
#include "mpmc_wait.h"

uint32_t ipk_mpmc_stalled_by(const struct ipk_mpmc *ring, const struct obstacle *before, const struct obstacle *now)
{
	int looked_before = before->word != 0; /* not if the first look came at the deadline: then what is in the way now is told */

	if (now->word == 0 || (looked_before && (before->word != now->word || before->place != now->place)))
		return 0;
	return ipk_roster_pid(&ring->roster, member_of(now->word));
}

uint32_t ipk_mpmc_owner_pid(const struct ipk_lock_shm *lock)
{
	/* relaxed, both: ordered by the id, or it is a number for people all the same */
	uint32_t owner = atomic_load_explicit(&lock->word, memory_order_relaxed) & IPK_MEMBER_ID_MASK;

	/* acquire: member.recorded */
	if (owner == 0 || atomic_load_explicit(&lock->holder.id, memory_order_acquire) != owner)
		return 0;
	return atomic_load_explicit(&lock->holder.pid, memory_order_relaxed);
}

int ipk_mpmc_no_lock(const struct ipk_lock_shm *lock, int rc, uint32_t *stalled)
{
	if (rc == -ETIMEDOUT)
		*stalled = ipk_mpmc_owner_pid(lock);
	return rc;
}

int ipk_mpmc_look_around(struct ipk_mpmc *ring, struct ipk_roster_entry_shm *entry, struct walk *walk, int64_t deadline_ns)
{
	struct ipk_lock_shm *lock = &ring->shm->receive.lock;
	uint64_t free;
	int64_t repaired;
	int ready = 0;
	int rc = ipk_mpmc_lock_wait(ring, lock, &ring->side[CONSUMER_SIDE].lock_spin, deadline_ns);

	if (rc < 0)
		return rc;
	repaired = ipk_mpmc_walk_begin(ring, walk);
	free = walk->free;
	if (repaired == 0)
		repaired = ipk_mpmc_repair(ring, walk, entry);
	if (repaired >= 0) {
		rc = ipk_mpmc_walk_on(ring, walk);
		ready = rc == 0;
		if (rc == -EBADMSG)
			repaired = rc;
		ipk_mpmc_walk_end(ring, walk);
	}
	unlock(ring, lock);
	if (repaired < 0)
		return (int)repaired;
	if (repaired > 0)
		ipk_mpmc_tell(ring, entry, 1);
	if (free != walk->free)
		ipk_mpmc_wake_room(ring, entry, walk->free, walk->tail);
	ipk_roster_bury(&ring->roster, IPK_ROSTER_ROLES);
	return ready;
}

int ipk_mpmc_still_ours(struct ipk_mpmc *ring)
{
	int rc = ipk_member_still_ours(&ring->member);

	if (rc == -ECHILD) { /* a signal handler forked inside this call */
		ipk_mpmc_forked(ring);
		return -EAGAIN;
	}
	return rc < 0 ? -EBADF : 0; /* nobody could tell us any more who lives */
}
