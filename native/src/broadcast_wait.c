/* Waiting for the other side: spin, then sleep. */
#include "broadcast_side.h"

#define LOOKS_PER_CLOCK 64    /* the clock costs as much as a few looks */
#define PAUSES_WHEN_FULL 400  /* some 10 microseconds: to look at the readers' lines again and again would slow them */
#define TURN_PAUSE_NS 100000  /* the other thread copies a long message, or many */

static int64_t slice_end(int64_t now, int64_t deadline_ns)
{
	return deadline_ns - now < IPK_SLICE_NS ? deadline_ns : now + IPK_SLICE_NS;
}

/* After a slice in which nothing happened. Returns 0, -EAGAIN if a signal handler forked inside this call, -EBADF. */
static int look_around(struct ipk_broadcast *ring)
{
	int rc = ipk_member_still_ours(&ring->member);

	if (rc == -ECHILD) {
		ipk_broadcast_forked(ring);
		return -EAGAIN;
	}
	return rc < 0 ? rc : is_closed(ring) ? -EBADF : 0;
}

/* Take the writer lock, waiting for it. Returns as ipk_broadcast_wait_room. */
static int wait_for_lock(struct ipk_broadcast *ring, int64_t deadline_ns)
{
	int rc;

	if (ipk_lock_mine(&ring->shm->lock, &ring->member))
		return -EBUSY;
	rc = ipk_lock_wait(&ring->shm->lock, &ring->member, &ring->writer.spin, deadline_ns);
	if (rc == -ETIMEDOUT)
		return -ETIME;
	rc = ipk_broadcast_locked(ring, rc);
	return rc == -EAGAIN && is_closed(ring) ? -EBADF : rc;
}

/* Whether a reader has still to read something before target; bury: those that are dead are buried, and have not. */
static bool in_the_way(struct ipk_broadcast *ring, uint64_t target, bool bury)
{
	uint32_t used = ipk_roster_used(&ring->roster);
	bool found = false;

	for (uint32_t i = 0; i < used; i++) {
		struct ipk_roster_entry_shm *entry = ipk_roster_entry(&ring->roster, i);

		/* seq_cst, both: broadcast.sleep */
		if ((atomic_load_explicit(&entry->word, memory_order_seq_cst) & IPK_ROSTER_CONSUMER) &&
		    before(atomic_load_explicit(&entry->cursor, memory_order_seq_cst), target) &&
		    !(bury && ipk_roster_bury_one(&ring->roster, entry)))
			found = true;
	}
	return found;
}

static bool spin_for_room(struct ipk_broadcast *ring, uint64_t target, int64_t now, int64_t until)
{
	struct ipk_spin *spin = &ring->writer.spin;
	int64_t budget = ipk_spin_budget(spin, ipk_spin_cpu(), IPK_CPU_UNKNOWN);
	int64_t end = budget < until - now ? now + budget : until;

	if (budget == 0)
		return false;
	do {
		for (int pause = 0; pause < PAUSES_WHEN_FULL; pause++)
			ipk_relax();
		if (!in_the_way(ring, target, false)) {
			ipk_spin_hit(spin);
			return true;
		}
	} while (ipk_monotonic_ns() < end);
	ipk_spin_missed(spin);
	return false;
}

/* Say which cursor makes it worth while to wake us: a wake-up for each record would cost more than the records. Holder of the
 * lock. Returns the word to sleep on; *want: that cursor. */
static uint32_t announce_want(struct ipk_broadcast *ring, uint64_t target, struct ipk_roster_entry_shm *entry, uint64_t *want)
{
	struct ipk_broadcast_shm *shm = ring->shm;
	/* relaxed, all but the announcement: the lock orders them, and broadcast.want */
	uint64_t tail = atomic_load_explicit(&shm->tail.position, memory_order_relaxed);
	uint64_t other = atomic_load_explicit(&shm->oldest.want, memory_order_relaxed);

	*want = target + ring->capacity / 4;
	if (before(tail, *want))
		*want = tail;
	/* another writer that sleeps may want less; where every reader has passed that already, it is not to wait for us */
	if ((atomic_load_explicit(&shm->writers.sleepers.word, memory_order_relaxed) & IPK_SLEEPERS_ANY) && before(other, *want)) {
		if (in_the_way(ring, other, false))
			*want = other;
		else
			ipk_broadcast_wake_writers(ring, entry);
	}
	atomic_store_explicit(&shm->oldest.want, *want, memory_order_relaxed);
	return ipk_sleepers_announce(&shm->writers.sleepers);
}

/* amid: the lock is ours, and stays so. */
static int sleep_for_room(struct ipk_broadcast *ring, uint64_t target, int64_t until, bool amid)
{
	struct ipk_roster_entry_shm *entry = ipk_roster_own(&ring->roster, IPK_ROSTER_PRODUCER);
	int rc = amid ? 0 : ipk_broadcast_lock(ring);
	uint64_t want;
	uint32_t word;

	if (rc < 0)
		return rc == -EAGAIN ? 0 : rc; /* another writer is inside: see what it has found */
	word = announce_want(ring, target, entry, &want);
	if (!amid)
		ipk_broadcast_unlock(ring);
	IPK_KILLPOINT("broadcast.wait.wanted");
	/* whoever is woken only by a reader that passes `want` needs one that has still to do so */
	if (!in_the_way(ring, before(want, target) ? want : target, false)) {
		ipk_broadcast_wake_writers(ring, entry); /* ours may stand where another writer's want was */
		return 0;
	}
	if (entry)
		ipk_roster_add(entry, IPK_ROSTER_FULL_WAITS, 1);
	return ipk_sleepers_sleep(&ring->shm->writers.sleepers, word, until);
}

/* Wait until all readers are at target. Returns as ipk_broadcast_wait_room. */
static int wait_for_readers(struct ipk_broadcast *ring, uint64_t target, int64_t deadline_ns, bool amid)
{
	int64_t now = ipk_monotonic_ns();
	int64_t until = slice_end(now, deadline_ns);
	int rc;

	if (deadline_ns <= now) /* who only ever polls learns of a death here */
		return in_the_way(ring, target, true) ? -ETIMEDOUT : 0;
	if (spin_for_room(ring, target, now, until))
		return 0;
	rc = sleep_for_room(ring, target, until, amid);
	if (rc == 0 || rc == -EINTR || !in_the_way(ring, target, false))
		return is_closed(ring) ? -EBADF : rc == -EINTR ? rc : 0;
	if (rc != -ETIMEDOUT && rc != -EAGAIN)
		return rc;
	rc = look_around(ring);
	if (rc < 0)
		return rc;
	if (!in_the_way(ring, target, true))
		return 0;
	return ipk_monotonic_ns() >= deadline_ns ? -ETIMEDOUT : -EAGAIN;
}

int ipk_broadcast_wait_room(struct ipk_broadcast *ring, uint64_t length, int64_t deadline_ns)
{
	struct ipk_broadcast_end end;
	uint64_t target = 0;
	bool amid = ipk_broadcast_amid(ring);
	int rc = ipk_broadcast_may_write(ring);

	if (rc == 0 && too_long(ring, length))
		rc = -EMSGSIZE;
	if (rc == 0 && !amid)
		rc = wait_for_lock(ring, deadline_ns);
	if (rc < 0)
		return rc;
	rc = ipk_broadcast_find_end(ring, &end);
	if (rc == 0) {
		rc = ipk_broadcast_make_room(ring, &end, end.tail, record_size(length), &target);
		if (rc == -EAGAIN && !lossy(ring)) {
			if (!amid)
				ipk_broadcast_unlock(ring);
			return wait_for_readers(ring, target, deadline_ns, amid);
		}
	}
	if (!amid)
		ipk_broadcast_unlock(ring);
	return rc == -EAGAIN ? -EBADMSG : rc;
}

/* Let another thread of ours finish its call. Returns 0, -EAGAIN, -EBUSY, -ETIMEDOUT, -EINTR. */
static int wait_for_turn(struct ipk_broadcast *ring, int64_t deadline_ns)
{
	/* relaxed: a look */
	uint32_t turn = atomic_load_explicit(&ring->reader.turn, memory_order_relaxed);
	int64_t now, until;
	int rc;

	if (turn == 0)
		return 0;
	if (turn == IPK_BROADCAST_ON_LOAN)
		return -EBUSY;
	now = ipk_monotonic_ns();
	if (deadline_ns <= now)
		return -ETIMEDOUT;
	until = now + TURN_PAUSE_NS;
	rc = ipk_futex_wait((uint32_t *)&ring->reader.turn, turn, deadline_ns < until ? deadline_ns : until, IPK_FUTEX_ANY);
	return rc == -EINTR ? rc : -EAGAIN;
}

int ipk_broadcast_wait_subscribe(struct ipk_broadcast *ring, int64_t deadline_ns)
{
	int rc;

	if (is_closed(ring))
		return -EBADF;
	rc = wait_for_turn(ring, deadline_ns);
	if (rc < 0)
		return rc;
	rc = wait_for_lock(ring, deadline_ns);
	if (rc == 0)
		ipk_broadcast_unlock(ring);
	return rc;
}

/* Whether there is a message, or a gap to be told. seq_cst: after the announcement. */
static bool ready(const struct ipk_broadcast *ring, bool seq_cst)
{
	const _Atomic uint64_t *tail = &ring->shm->tail.position;

	/* seq_cst: broadcast.sleep; relaxed: receive loads it again; and our own, which another thread may move meanwhile */
	return (seq_cst ? atomic_load_explicit(tail, memory_order_seq_cst)
			: atomic_load_explicit(tail, memory_order_relaxed)) !=
	       atomic_load_explicit(&ring->reader.position, memory_order_relaxed);
}

static bool spin_for_message(struct ipk_broadcast *ring, int64_t now, int64_t until)
{
	struct ipk_spin *spin = &ring->reader.spin;
	/* relaxed: a hint */
	uint32_t cpu = atomic_load_explicit(&ring->shm->tail.cpu, memory_order_relaxed) - 1;
	int64_t budget = ipk_spin_budget(spin, ipk_spin_cpu(), cpu);
	int64_t end = budget < until - now ? now + budget : until;

	if (budget == 0)
		return false;
	do {
		for (int look = 0; look < LOOKS_PER_CLOCK; look++) {
			if (ready(ring, false)) {
				ipk_spin_hit(spin);
				return true;
			}
			ipk_relax();
		}
	} while (ipk_monotonic_ns() < end);
	ipk_spin_missed(spin);
	return false;
}

/* Whether no writer will ever end this wait: 0, -EPIPE, -EOWNERDEAD. */
static int writers_gone(struct ipk_broadcast *ring, bool ask_kernel)
{
	uint32_t end;

	if (ask_kernel)
		ipk_roster_bury(&ring->roster, IPK_ROSTER_PRODUCER);
	end = ipk_roster_end(&ring->roster, IPK_ROSTER_PRODUCER);
	if ((end != IPK_ROSTER_CLOSED && end != IPK_ROSTER_DIED) || ready(ring, true))
		return 0;
	return end == IPK_ROSTER_CLOSED ? -EPIPE : -EOWNERDEAD;
}

static int sleep_for_message(struct ipk_broadcast *ring, int64_t until)
{
	struct ipk_sleepers_shm *sleepers = &ring->shm->readers.sleepers;
	struct ipk_roster_entry_shm *entry = ipk_roster_own(&ring->roster, IPK_ROSTER_CONSUMER);
	uint32_t word = ipk_sleepers_announce(sleepers);

	IPK_KILLPOINT("broadcast.wait.announced");
	if (ready(ring, true) || writers_gone(ring, false) < 0)
		return 0;
	if (entry)
		ipk_roster_add(entry, IPK_ROSTER_EMPTY_WAITS, 1);
	return ipk_sleepers_sleep(sleepers, word, until);
}

int ipk_broadcast_wait_message(struct ipk_broadcast *ring, int64_t deadline_ns)
{
	int64_t now, until;
	int rc;

	if (is_closed(ring))
		return -EBADF;
	if (forked(ring))
		ipk_broadcast_forked(ring);
	rc = wait_for_turn(ring, deadline_ns);
	if (rc < 0)
		return rc;
	/* relaxed: where another thread changes it, the next receive tells */
	if (atomic_load_explicit(&ring->reader.state, memory_order_relaxed) != IPK_BROADCAST_SUBSCRIBED || ready(ring, false))
		return 0;
	rc = writers_gone(ring, false);
	if (rc < 0)
		return rc;
	now = ipk_monotonic_ns();
	if (deadline_ns <= now) {
		rc = writers_gone(ring, true); /* who only ever polls learns of a death here */
		return rc < 0 ? rc : ready(ring, false) ? 0 : -ETIMEDOUT;
	}
	until = slice_end(now, deadline_ns);
	if (spin_for_message(ring, now, until))
		return 0;
	rc = sleep_for_message(ring, until);
	IPK_KILLPOINT("broadcast.wait.awake");
	if (is_closed(ring))
		return -EBADF;
	if (ready(ring, false))
		return 0;
	if (rc == -EINTR)
		return rc;
	if (rc == -ETIMEDOUT) { /* nothing happened for a slice */
		rc = look_around(ring);
		if (rc < 0)
			return rc;
		rc = writers_gone(ring, true);
	} else {
		rc = writers_gone(ring, false);
	}
	if (rc < 0)
		return rc;
	return ipk_monotonic_ns() >= deadline_ns ? -ETIMEDOUT : -EAGAIN;
}
