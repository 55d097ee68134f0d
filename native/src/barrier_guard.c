/* The guard of a barrier, and how a generation ends under it. */
#include <errno.h>

#include "barrier_parts.h"
#include "ipckit/futex.h"

/* Do all that `ending` asks for; harmless when repeated. Under the guard. Returns the gate as it was. */
static uint32_t finish(struct ipk_sync *view, enum ending ending)
{
	struct ipk_barrier_shm *barrier = barrier_of(view);
	enum state told = ending == ENDS_RELEASED ? RELEASED : BROKEN;
	uint32_t entries = entries_of(view);
	uint32_t was, next;

	for (uint32_t i = 0; i < entries; i++) {
		struct ipk_barrier_party *party = &barrier->table[i];
		uint32_t word = load(party);

		if (state_of(word) == ARRIVED && change(party, word, word_of(told, word)))
			continue;
		word = load(party);
		if (state_of(word) == PAST || state_of(word) >= GONE)
			change(party, word, FREE);
	}
	IPK_KILLPOINT("barrier.end.told");
	/* relaxed, all: under the guard */
	atomic_store_explicit(&barrier->arrived, 0, memory_order_relaxed);
	was = atomic_load_explicit(&barrier->gate, memory_order_relaxed);
	do {
		next = (was & ~(SLEEPERS | BROKEN_GATE)) + NEXT_GENERATION;
		if (ending == ENDS_BROKEN)
			next |= BROKEN_GATE;
		/* release: barrier.gate */
	} while (!atomic_compare_exchange_weak_explicit(&barrier->gate, &was, next, memory_order_release, memory_order_relaxed));
	IPK_KILLPOINT("barrier.end.opened");
	atomic_store_explicit(&barrier->ending, GOES_ON, memory_order_relaxed);
	return was;
}

uint32_t ipk_barrier_over(struct ipk_sync *view, enum ending ending)
{
	/* release: a successor that finds it, finds what came before as well */
	atomic_store_explicit(&barrier_of(view)->ending, ending, memory_order_release);
	IPK_KILLPOINT("barrier.end.begun");
	return finish(view, ending);
}

/* Whether anybody has given up who could not say so otherwise. */
static bool anybody_gone(const struct ipk_sync *view)
{
	uint32_t entries = entries_of(view);

	for (uint32_t i = 0; i < entries; i++)
		if (state_of(load(&barrier_of(view)->table[i])) == GONE)
			return true;
	return false;
}

uint32_t ipk_barrier_complete(struct ipk_sync *view)
{
	return ipk_barrier_over(view, anybody_gone(view) ? ENDS_BROKEN : ENDS_RELEASED);
}

/* A predecessor was killed in the guard, which is ours now. */
static void repair(struct ipk_sync *view)
{
	struct ipk_barrier_shm *barrier = barrier_of(view);
	/* relaxed, all: lock.stolen orders them */
	uint32_t ending = atomic_load_explicit(&barrier->ending, memory_order_relaxed);
	uint32_t entries = entries_of(view);
	uint32_t arrived = 0;

	if (ending != GOES_ON) {
		uint32_t was = finish(view, ending > ENDS_RESET ? ENDS_BROKEN : (enum ending)ending);

		if (was & SLEEPERS)
			ipk_futex_wake((uint32_t *)&barrier->gate, INT32_MAX, IPK_FUTEX_ANY);
	}
	for (uint32_t i = 0; i < entries; i++)
		arrived += state_of(load(&barrier->table[i])) == ARRIVED;
	atomic_store_explicit(&barrier->arrived, arrived, memory_order_relaxed);
	ipk_lock_consistent(&barrier->guard);
}

int ipk_barrier_enter(struct ipk_sync *view, int64_t deadline_ns)
{
	struct ipk_lock_shm *guard = &barrier_of(view)->guard;
	int rc = ipk_lock_guard(guard, view->member);

	if (rc == -EAGAIN && deadline_ns != AT_ONCE)
		rc = ipk_lock_recover(guard, view->member); /* whoever takes so long is dead, or does not run */
	if (rc == -EAGAIN && deadline_ns != AT_ONCE)
		rc = ipk_lock_wait(guard, view->member, &view->spin, deadline_ns);
	if (rc == -ETIMEDOUT)
		return -EAGAIN;
	if (rc != -EOWNERDEAD)
		return rc;
	repair(view);
	return 0;
}

void ipk_barrier_leave_guard(struct ipk_sync *view, uint32_t was)
{
	struct ipk_barrier_shm *barrier = barrier_of(view);

	ipk_lock_release(&barrier->guard, view->member);
	IPK_KILLPOINT("barrier.guard.left");
	if (was & SLEEPERS)
		ipk_futex_wake((uint32_t *)&barrier->gate, INT32_MAX, IPK_FUTEX_ANY);
}

int ipk_barrier_outcome(struct ipk_sync *view, struct ipk_barrier_wait *wait)
{
	struct ipk_barrier_party *party = &barrier_of(view)->table[wait->party < entries_of(view) ? wait->party : 0];
	uint32_t id = ipk_member_id(view->member);
	uint32_t word = load(party);
	uint32_t passed = (gate_of(view) - wait->gate) / NEXT_GENERATION;

	if (word == word_of(ARRIVED, id))
		return -EAGAIN;
	wait->phase = IPK_BARRIER_OUTSIDE;
	IPK_KILLPOINT("barrier.leave.seen");
	if (word == word_of(RELEASED, id)) {
		change(party, word, passed == 1 ? word_of(PAST, id) : FREE);
		return 0;
	}
	if (word == word_of(BROKEN, id))
		change(party, word, FREE);
	return -ECANCELED; /* also if others have written over it */
}
