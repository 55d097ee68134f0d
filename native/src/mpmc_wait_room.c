/* Waiting for room: spin, then sleep. */
#include "mpmc_wait.h"

#define PAUSES_PER_LOOK 400 /* some 10 microseconds: to look at the consumers' line again and again would slow them */

/* What a producer waits for. */
struct waiting {
	struct ipk_roster_entry_shm *entry;
	uint32_t need; /* units */
};

static int roomy(const struct ipk_mpmc *ring, const struct waiting *w)
{
	/* seq_cst: mpmc.news. The tail is loaded first: if it is old, and free is not, there is more room than it seems */
	uint64_t tail = atomic_load_explicit(&ring->shm->tail.place, memory_order_seq_cst);
	uint64_t free = atomic_load_explicit(&ring->shm->free.place, memory_order_seq_cst);

	/* places that contradict each other: somebody writes garbage, or the tail was old; try_send tells */
	return units_between(free, tail) > units_of_ring(ring) || fits(ring, free, tail, w->need);
}

static int spin(struct ipk_mpmc *ring, const struct waiting *w, int64_t now, int64_t until)
{
	struct ipk_spin *side = &ring->side[PRODUCER_SIDE].spin;
	/* relaxed: a hint */
	uint32_t theirs = atomic_load_explicit(&ring->shm->receive.lock.cpu, memory_order_relaxed) - 1;
	int64_t budget = ipk_spin_budget(side, ipk_spin_cpu(), theirs);
	int64_t end = budget < until - now ? now + budget : until;

	if (budget == 0)
		return 0;
	do {
		if (roomy(ring, w)) {
			ipk_spin_hit(side);
			return 1;
		}
		pause_for(PAUSES_PER_LOOK);
	} while (ipk_monotonic_ns() < end);
	ipk_spin_missed(side);
	return 0;
}

/* Say how much room is worth a wake-up: one for each freed record would cost more than the records. */
static void ask_for(struct ipk_mpmc *ring, const struct waiting *w)
{
	struct ipk_mpmc_wait_shm *room = &ring->shm->room;
	uint32_t part = units_of_ring(ring) / 4;
	uint32_t limit = ring->chosen.max_messages;

	/* relaxed, both: mpmc.want; of several sleepers the last one has its say, the others look around in a slice */
	atomic_store_explicit(&room->want, w->need > part ? w->need : part, memory_order_relaxed);
	atomic_store_explicit(&room->want_messages, limit >= 64 ? limit / 4 : 1, memory_order_relaxed);
}

/* How the last consumer went, if there is none: -EPIPE, -EOWNERDEAD; 1 with IPK_MPMC_DROP; else 0. Does not ask the kernel. */
static int gone(const struct ipk_mpmc *ring)
{
	uint32_t end;

	if (ring->chosen.on_consumer_gone == IPK_MPMC_BLOCK)
		return 0;
	end = ipk_roster_end(&ring->roster, IPK_ROSTER_CONSUMER);
	if (end != IPK_ROSTER_CLOSED && end != IPK_ROSTER_DIED)
		return 0;
	if (ring->chosen.on_consumer_gone == IPK_MPMC_DROP)
		return 1;
	return end == IPK_ROSTER_CLOSED ? -EPIPE : -EOWNERDEAD;
}

/* Returns as ipk_futex_wait. */
static int sleep_on(struct ipk_mpmc *ring, const struct waiting *w, int64_t until)
{
	struct ipk_sleepers_shm *sleepers = &ring->shm->room.sleepers;
	uint32_t announced;

	ask_for(ring, w);
	announced = ipk_sleepers_announce(sleepers);
	IPK_KILLPOINT("mpmc.room.announced");
	/* seq_cst: mpmc.news, with close of our own view */
	if (roomy(ring, w) || gone(ring) != 0 || atomic_load_explicit(&ring->closed, memory_order_seq_cst))
		return 0;
	count(w->entry, IPK_ROSTER_FULL_WAITS, 1);
	return ipk_sleepers_sleep(sleepers, announced, until);
}

/* The loan at `free` that is in the way, if there is one. */
static void look_at_first(struct ipk_mpmc *ring, struct obstacle *obstacle)
{
	struct walk walk;
	uint64_t word = 0;

	*obstacle = (struct obstacle){0, 0};
	if (ipk_mpmc_lock(ring, &ring->shm->receive.lock) < 0)
		return;
	if (ipk_mpmc_walk_begin(ring, &walk) == 0 && (uint32_t)walk.free != (uint32_t)walk.at &&
	    ipk_mpmc_look(ring, walk.free, units_between(walk.free, walk.at), &word) > 0 && state_of(word) == TAKEN)
		*obstacle = (struct obstacle){walk.free, word};
	unlock(ring, &ring->shm->receive.lock);
}

/* There is room: but is there a way in? Returns as ipk_mpmc_wait_room. */
static int way_in(struct ipk_mpmc *ring, int64_t deadline_ns, uint32_t *stalled)
{
	struct ipk_lock_shm *lock = &ring->shm->send.lock;
	int rc;

	/* relaxed: a look */
	if (!(atomic_load_explicit(&lock->word, memory_order_relaxed) & IPK_MEMBER_ID_MASK))
		return 0;
	rc = ipk_mpmc_lock_wait(ring, lock, &ring->side[PRODUCER_SIDE].lock_spin, deadline_ns);
	if (rc == 0)
		unlock(ring, lock);
	return ipk_mpmc_no_lock(lock, rc, stalled);
}

/* There has been no room for a slice, or nobody is there to make any. Returns as ipk_mpmc_wait_room. */
static int decide(struct ipk_mpmc *ring, const struct waiting *w, const struct obstacle *before, int64_t deadline_ns,
		  uint32_t *stalled)
{
	struct obstacle obstacle;
	struct walk walk;
	int rc = ipk_mpmc_still_ours(ring);

	if (rc < 0)
		return rc;
	rc = ipk_mpmc_look_around(ring, w->entry, &walk, deadline_ns);
	if (rc < 0)
		return ipk_mpmc_no_lock(&ring->shm->receive.lock, rc, stalled);
	if (roomy(ring, w))
		return 0;
	rc = gone(ring);
	if (rc > 0)
		count(w->entry, IPK_ROSTER_LOST, 1);
	if (rc != 0)
		return rc;
	if (ipk_monotonic_ns() < deadline_ns)
		return -EAGAIN;
	look_at_first(ring, &obstacle);
	*stalled = ipk_mpmc_stalled_by(ring, before, &obstacle);
	return -ETIMEDOUT;
}

int ipk_mpmc_wait_room(struct ipk_mpmc *ring, uint64_t length, int64_t deadline_ns, uint32_t *stalled)
{
	struct waiting w = {NULL, 0};
	struct obstacle obstacle = {0, 0};
	int64_t now, until;
	int rc;

	*stalled = 0;
	rc = enter(ring, IPK_ROSTER_PRODUCER, &w.entry);
	if (rc < 0)
		return rc;
	if (length > ring->chosen.capacity - IPK_MPMC_RECORD_HEADER)
		return -EMSGSIZE;
	w.need = units_for(length);
	if (roomy(ring, &w))
		return way_in(ring, deadline_ns, stalled);
	now = ipk_monotonic_ns();
	if (now >= deadline_ns || gone(ring) != 0)
		return decide(ring, &w, &obstacle, deadline_ns, stalled);
	until = deadline_ns - now < IPK_SLICE_NS ? deadline_ns : now + IPK_SLICE_NS;
	if (spin(ring, &w, now, until))
		return 0;
	if (until == deadline_ns)
		look_at_first(ring, &obstacle);
	rc = sleep_on(ring, &w, until);
	IPK_KILLPOINT("mpmc.room.awake");
	if (is_closed(ring))
		return -EBADF;
	if (rc == -EINTR) {
		if (roomy(ring, &w)) /* it may have been our wake-up: let somebody else have it */
			ipk_sleepers_wake_one(&ring->shm->room.sleepers);
		return rc;
	}
	if (rc == 0 || rc == -EAGAIN || roomy(ring, &w))
		return 0;
	return decide(ring, &w, &obstacle, deadline_ns, stalled);
}
