#include "ipckit/lock.h"

#include <errno.h>

#include "ipckit/futex.h"
#include "ipckit/thread.h"

#define OWNER IPK_MEMBER_ID_MASK
#define LOOKS_PER_CLOCK 64 /* the clock costs as much as a few looks */
#ifndef IPK_GUARD_LOOKS
#define IPK_GUARD_LOOKS 2000 /* some 50 microseconds: a critical section takes less than one, if its owner runs */
#endif

/* What `thread` says of an owner. */
static uint64_t thread_of(uint32_t id, uint32_t thread)
{
	return (uint64_t)id << 32 | thread;
}

static void own(struct ipk_lock_shm *lock, struct ipk_member *member, uint32_t id)
{
	IPK_KILLPOINT("lock.acquire.taken");
	ipk_member_record(member, id, &lock->holder);
	/* relaxed, all: the owner's own; others read them for a hint, or for people */
	atomic_store_explicit(&lock->depth, 1, memory_order_relaxed);
	atomic_store_explicit(&lock->cpu, ipk_spin_cpu() + 1, memory_order_relaxed);
	atomic_store_explicit(&lock->thread, thread_of(id, ipk_thread_id()), memory_order_relaxed);
}

/* Exchange word for our id, if it still is *word; else *word is what it is now. */
static int take(struct ipk_lock_shm *lock, struct ipk_member *member, uint32_t id, uint32_t *word, uint32_t flags)
{
	/* acquire: lock.handover; relaxed: nothing is done with a failure but to look again */
	if (!atomic_compare_exchange_strong_explicit(&lock->word, word, id | flags, memory_order_acquire, memory_order_relaxed))
		return -EAGAIN;
	own(lock, member, id);
	return flags & IPK_LOCK_DIED ? -EOWNERDEAD : 0;
}

/* Take the lock while it is free. keep: flags to set besides those that the word has. */
static int take_free(struct ipk_lock_shm *lock, struct ipk_member *member, uint32_t id, uint32_t keep)
{
	/* relaxed: take orders it */
	uint32_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);

	while (!(word & (OWNER | IPK_LOCK_LOST))) {
		int rc = take(lock, member, id, &word, (word & ~OWNER) | keep);

		if (rc != -EAGAIN)
			return rc;
	}
	return word & IPK_LOCK_LOST ? -ENOTRECOVERABLE : -EAGAIN;
}

static int64_t identify(struct ipk_member *member)
{
	uint32_t id = ipk_member_id(member);

	return id ? (int64_t)id : ipk_member_join(member);
}

int ipk_lock_try(struct ipk_lock_shm *lock, struct ipk_member *member)
{
	uint32_t word = 0;
	int64_t id = identify(member);
	int rc;

	if (id < 0)
		return (int)id;
	rc = take(lock, member, (uint32_t)id, &word, 0);
	return rc == -EAGAIN && !(word & OWNER) ? take_free(lock, member, (uint32_t)id, 0) : rc;
}

/* keep: as take_free. */
static int recover(struct ipk_lock_shm *lock, struct ipk_member *member, uint32_t id, uint32_t keep)
{
	/* relaxed: take orders it */
	uint32_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);
	uint32_t dead;
	int rc = take_free(lock, member, id, keep);

	if (rc != -EAGAIN || !(word & OWNER))
		return rc;
	rc = ipk_member_alive(member, word & OWNER, &lock->holder);
	if (rc != 0)
		return rc < 0 ? rc : -EAGAIN;
	IPK_KILLPOINT("lock.recover.dead");
	dead = word & OWNER;
	do /* lock.stolen; a waiter may still announce itself, but a dead owner stays until somebody takes its place */
		rc = take(lock, member, id, &word, (word & ~OWNER) | IPK_LOCK_DIED | keep);
	while (rc == -EAGAIN && (word & OWNER) == dead);
	return rc;
}

int ipk_lock_recover(struct ipk_lock_shm *lock, struct ipk_member *member)
{
	int64_t id = identify(member);

	return id < 0 ? (int)id : recover(lock, member, (uint32_t)id, 0);
}

static int spin_for(struct ipk_lock_shm *lock, struct ipk_member *member, uint32_t id, struct ipk_spin *spin, int64_t now,
		    int64_t until)
{
	/* relaxed: a hint */
	uint32_t owner_cpu = atomic_load_explicit(&lock->cpu, memory_order_relaxed) - 1;
	int64_t budget = ipk_spin_budget(spin, ipk_spin_cpu(), owner_cpu);
	int64_t end = budget < until - now ? now + budget : until;

	if (budget == 0)
		return -EAGAIN;
	do {
		for (int look = 0; look < LOOKS_PER_CLOCK; look++) {
			/* relaxed: a look; take_free orders it */
			if (!(atomic_load_explicit(&lock->word, memory_order_relaxed) & OWNER)) {
				int rc = take_free(lock, member, id, 0);

				if (rc != -EAGAIN) {
					ipk_spin_hit(spin);
					return rc;
				}
			}
			ipk_relax();
		}
	} while (ipk_monotonic_ns() < end);
	ipk_spin_missed(spin);
	return -EAGAIN;
}

/* Say that somebody may sleep, while the lock is owned. Returns the word as it then is. */
static uint32_t announce(struct ipk_lock_shm *lock)
{
	/* relaxed, both: futex(2) compares the word again, and take orders what we do then */
	uint32_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);

	while (word & OWNER && !(word & IPK_LOCK_WAITERS))
		if (atomic_compare_exchange_strong_explicit(&lock->word, &word, word | IPK_LOCK_WAITERS, memory_order_relaxed,
							    memory_order_relaxed))
			word |= IPK_LOCK_WAITERS;
	return word;
}

/* Sleep until somebody gives the lock back. Returns as ipk_futex_wait. */
static int sleep_on(struct ipk_lock_shm *lock, int64_t until)
{
	uint32_t word = announce(lock);

	IPK_KILLPOINT("lock.wait.announced");
	return word & OWNER ? ipk_futex_wait((uint32_t *)&lock->word, word, until, IPK_FUTEX_ANY) : -EAGAIN;
}

int ipk_lock_wait(struct ipk_lock_shm *lock, struct ipk_member *member, struct ipk_spin *spin, int64_t deadline_ns)
{
	int64_t id = identify(member);
	int64_t now = ipk_monotonic_ns();
	int64_t until = deadline_ns - now < IPK_SLICE_NS ? deadline_ns : now + IPK_SLICE_NS;
	int woken = 0;
	int rc;

	if (id < 0)
		return (int)id;
	rc = take_free(lock, member, (uint32_t)id, 0);
	if (rc == -EAGAIN && now < deadline_ns)
		rc = spin_for(lock, member, (uint32_t)id, spin, now, until);
	while (rc == -EAGAIN && now < until) {
		int slept = sleep_on(lock, until);

		/* others may sleep where we did: whoever was woken keeps the flag, so that its release wakes the next */
		rc = take_free(lock, member, (uint32_t)id, IPK_LOCK_WAITERS);
		if (rc != -EAGAIN || slept == -EINTR)
			return rc;
		woken |= slept == 0;
		now = ipk_monotonic_ns();
	}
	/* whoever was woken, and has to leave without the lock, keeps the flag too */
	while (rc == -EAGAIN && woken && !(announce(lock) & OWNER))
		rc = take_free(lock, member, (uint32_t)id, IPK_LOCK_WAITERS);
	if (rc != -EAGAIN)
		return rc;
	/* nothing happened for a slice: look around */
	rc = ipk_member_still_ours(member);
	if (rc == -ECHILD)
		return -EAGAIN; /* a signal handler forked inside this call */
	if (rc < 0)
		return rc;
	rc = recover(lock, member, (uint32_t)id, IPK_LOCK_WAITERS);
	return rc == -EAGAIN && now >= deadline_ns ? -ETIMEDOUT : rc;
}

/* Put `next`, as ipk_lock_give has it, in the place of the owner's id, and wake one of those who sleep. Returns 0, -EPERM if the word no
 * longer has that id. */
static int leave(struct ipk_lock_shm *lock, uint32_t id, uint32_t next)
{
	/* relaxed: the exchange compares it */
	uint32_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);

	IPK_KILLPOINT("lock.release.begun");
	do {
		if ((word & OWNER) != id)
			return -EPERM; /* others took us for dead: our descriptors and /proc were gone */
		/* the one whom the flag does not tell of may be woken, and will not set it for the others.
		 * release: lock.handover; relaxed: nothing is done with a failure but to try again */
	} while (!atomic_compare_exchange_weak_explicit(&lock->word, &word, next & (word | ~IPK_LOCK_WAITERS), memory_order_release,
							memory_order_relaxed));
	IPK_KILLPOINT("lock.release.stored");
	if ((word | next) & IPK_LOCK_WAITERS)
		/* a lock that is lost is so for all; else one will do, and it wakes the next */
		ipk_futex_wake((uint32_t *)&lock->word, next & IPK_LOCK_LOST ? INT32_MAX : 1, IPK_FUTEX_ANY);
	IPK_KILLPOINT("lock.release.woken");
	return 0;
}

int ipk_lock_disown(struct ipk_lock_shm *lock, const struct ipk_member *member, uint32_t thread)
{
	uint32_t id = ipk_member_id(member);
	uint64_t owner = thread_of(id, thread);

	/* relaxed, all: ours as long as the word has our id; whoever clears `thread` is the one who stores the word */
	if (id == 0 || (atomic_load_explicit(&lock->word, memory_order_relaxed) & OWNER) != id)
		return -EPERM; /* others took us for dead; and what `thread` says is another owner's */
	if (!atomic_compare_exchange_strong_explicit(&lock->thread, &owner, 0, memory_order_relaxed, memory_order_relaxed))
		return -EPERM;
	IPK_KILLPOINT("lock.release.disowned");
	return 0;
}

int ipk_lock_give(struct ipk_lock_shm *lock, const struct ipk_member *member, uint32_t next)
{
	return leave(lock, ipk_member_id(member), next);
}

/* Both steps. */
static int leave_ours(struct ipk_lock_shm *lock, const struct ipk_member *member, uint32_t thread, uint32_t next)
{
	int rc = ipk_lock_disown(lock, member, thread);

	return rc < 0 ? rc : ipk_lock_give(lock, member, next);
}

int ipk_lock_release(struct ipk_lock_shm *lock, const struct ipk_member *member)
{
	/* relaxed: only we, the owner, change this flag */
	uint32_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);

	return leave_ours(lock, member, ipk_thread_id(), word & IPK_LOCK_DIED ? IPK_LOCK_LOST : 0);
}

int ipk_lock_release_any(struct ipk_lock_shm *lock, struct ipk_member *member)
{
	/* relaxed: leave compares it */
	uint32_t owner = atomic_load_explicit(&lock->word, memory_order_relaxed) & OWNER;

	if (owner == 0)
		return -EPERM;
	if (ipk_lock_mine(lock, member))
		return leave_ours(lock, member, ipk_thread_id(), 0);
	return leave(lock, owner, 0); /* `thread` stays as it is: if we are killed first, the owner still has the lock */
}

int ipk_lock_abandon(struct ipk_lock_shm *lock, const struct ipk_member *member)
{
	/* relaxed: leave_ours compares it */
	uint64_t owner = atomic_load_explicit(&lock->thread, memory_order_relaxed);

	return owner >> 32 == ipk_member_id(member) ? leave_ours(lock, member, (uint32_t)owner, IPK_LOCK_DIED) : -EPERM;
}

int ipk_lock_abandon_of(struct ipk_lock_shm *lock, const struct ipk_member *member, uint32_t thread)
{
	return leave_ours(lock, member, thread, IPK_LOCK_DIED);
}

void ipk_lock_consistent(struct ipk_lock_shm *lock)
{
	/* relaxed: what it says is ordered by the release that follows */
	atomic_fetch_and_explicit(&lock->word, ~IPK_LOCK_DIED, memory_order_relaxed);
}

int ipk_lock_guard(struct ipk_lock_shm *lock, struct ipk_member *member)
{
	int rc = ipk_lock_try(lock, member);

	for (int look = 0; rc == -EAGAIN && look < IPK_GUARD_LOOKS; look++) {
		ipk_relax();
		/* relaxed: a look; ipk_lock_try orders it */
		if (!(atomic_load_explicit(&lock->word, memory_order_relaxed) & OWNER))
			rc = ipk_lock_try(lock, member);
	}
	return rc;
}

int ipk_lock_mine(const struct ipk_lock_shm *lock, struct ipk_member *member)
{
	uint32_t id = ipk_member_id(member);

	/* relaxed, both: what we wrote ourselves, or else it is not ours */
	return id && (atomic_load_explicit(&lock->word, memory_order_relaxed) & OWNER) == id &&
	       atomic_load_explicit(&lock->thread, memory_order_relaxed) == thread_of(id, ipk_thread_id());
}
