#include "ipckit/barrier.h"

#include <errno.h>
#include <stdbool.h>

#include "ipckit/futex.h"

#define STATE_SHIFT IPK_MEMBER_ID_BITS
#define ID IPK_MEMBER_ID_MASK
#define SLEEPERS UINT32_C(1)
#define BROKEN_GATE UINT32_C(2)
#define NEXT_GENERATION UINT32_C(4)
#define LOOKS_PER_CLOCK 64 /* the clock costs as much as a few looks */
#define PAUSE_NS 1000000   /* until those of the last generation have looked */
#define NOBODY UINT32_MAX  /* instead of an entry */
#define AT_ONCE INT64_MIN  /* instead of a deadline */

enum state { FREE, ARRIVED, RELEASED, BROKEN, PAST, GONE };
enum ending { GOES_ON, ENDS_RELEASED, ENDS_BROKEN, ENDS_RESET };

static struct ipk_barrier_shm *barrier_of(const struct ipk_sync *view)
{
	return (struct ipk_barrier_shm *)(void *)view->object;
}

static uint32_t entries_of(const struct ipk_sync *view)
{
	return 2 * view->count;
}

static uint32_t state_of(uint32_t word)
{
	return word >> STATE_SHIFT;
}

static uint32_t word_of(enum state state, uint32_t id)
{
	return (uint32_t)state << STATE_SHIFT | (id & ID);
}

static uint32_t load(const struct ipk_barrier_party *party)
{
	/* acquire: barrier.party */
	return atomic_load_explicit(&party->word, memory_order_acquire);
}

static bool change(struct ipk_barrier_party *party, uint32_t was, uint32_t next)
{
	/* acq_rel: barrier.party, whichever end we are; relaxed: nothing is done with a failure */
	return atomic_compare_exchange_strong_explicit(&party->word, &was, next, memory_order_acq_rel, memory_order_relaxed);
}

static bool dead(const struct ipk_sync *view, const struct ipk_barrier_party *party, uint32_t word)
{
	return (word & ID) != ipk_member_id(view->member) &&
	       ipk_member_alive(view->member, word & ID, &party->holder) == 0;
}

static uint32_t gate_of(const struct ipk_sync *view)
{
	/* acquire: barrier.gate */
	return atomic_load_explicit(&barrier_of(view)->gate, memory_order_acquire);
}

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

/* End the generation. Under the guard. Returns the gate as it was. */
static uint32_t end(struct ipk_sync *view, enum ending ending)
{
	/* release: a successor that finds it, finds what came before as well */
	atomic_store_explicit(&barrier_of(view)->ending, ending, memory_order_release);
	IPK_KILLPOINT("barrier.end.begun");
	return finish(view, ending);
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

/* Enter the guard; wait for it, for a slice or until the deadline, unless that is AT_ONCE. Returns 0; -EAGAIN, also when the time is
 * up; -errno as ipk_member_join. */
static int enter(struct ipk_sync *view, int64_t deadline_ns)
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

/* Leave the guard; was: what the gate was before a generation ended in it, else 0. */
static void leave_guard(struct ipk_sync *view, uint32_t was)
{
	struct ipk_barrier_shm *barrier = barrier_of(view);

	ipk_lock_release(&barrier->guard, view->member);
	IPK_KILLPOINT("barrier.guard.left");
	if (was & SLEEPERS)
		ipk_futex_wake((uint32_t *)&barrier->gate, INT32_MAX, IPK_FUTEX_ANY);
}

/* Take an entry. Under the guard. Returns it, or NOBODY. */
static uint32_t claim(struct ipk_sync *view, uint32_t id)
{
	struct ipk_barrier_shm *barrier = barrier_of(view);
	uint32_t entries = entries_of(view);

	for (int pass = 0; pass < 3; pass++) {
		for (uint32_t i = 0; i < entries; i++) {
			struct ipk_barrier_party *party = &barrier->table[i];
			uint32_t word = load(party);
			bool ours = pass == 0   ? word == FREE
				    : pass == 1 ? state_of(word) == PAST
						: state_of(word) != ARRIVED && dead(view, party, word);

			if (!ours || !change(party, word, FREE))
				continue;
			ipk_member_record(view->member, id, &party->holder);
			IPK_KILLPOINT("barrier.arrive.claimed");
			/* release: barrier.party */
			atomic_store_explicit(&party->word, word_of(ARRIVED, id), memory_order_release);
			return i;
		}
	}
	return NOBODY;
}

/* Turn our entry into what is left of us, and tell how the wait ended: 0, -ECANCELED; -EAGAIN: it has not. */
static int outcome(struct ipk_sync *view, struct ipk_barrier_wait *wait)
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

/* Whether anybody has given up who could not say so otherwise. */
static bool anybody_gone(const struct ipk_sync *view)
{
	uint32_t entries = entries_of(view);

	for (uint32_t i = 0; i < entries; i++)
		if (state_of(load(&barrier_of(view)->table[i])) == GONE)
			return true;
	return false;
}

/* Under the guard. *was: for leave_guard. Returns as ipk_barrier_arrive. */
static int arrive(struct ipk_sync *view, struct ipk_barrier_wait *wait, uint32_t *was)
{
	struct ipk_barrier_shm *barrier = barrier_of(view);
	/* relaxed, all: under the guard */
	uint32_t gate = atomic_load_explicit(&barrier->gate, memory_order_relaxed);
	uint32_t arrived = atomic_load_explicit(&barrier->arrived, memory_order_relaxed);
	uint32_t party;

	if (gate & BROKEN_GATE)
		return -ECANCELED;
	wait->gate = gate & ~SLEEPERS;
	if (arrived >= view->count)
		return -EAGAIN; /* complete, and somebody acts */
	party = claim(view, ipk_member_id(view->member));
	if (party == NOBODY)
		return -EAGAIN; /* those of the last generation have not all looked */
	IPK_KILLPOINT("barrier.arrive.arrived");
	wait->party = party;
	wait->index = arrived;
	wait->phase = IPK_BARRIER_ARRIVED;
	atomic_store_explicit(&barrier->arrived, arrived + 1, memory_order_relaxed);
	if (arrived + 1 < view->count)
		return 0;
	atomic_store_explicit(&barrier->cpu, ipk_spin_cpu() + 1, memory_order_relaxed);
	if (wait->acts) {
		wait->phase = IPK_BARRIER_ACTING;
		return 2;
	}
	*was = end(view, anybody_gone(view) ? ENDS_BROKEN : ENDS_RELEASED);
	return outcome(view, wait) == 0 ? 1 : -ECANCELED;
}

static int arrive_guarded(struct ipk_sync *view, struct ipk_barrier_wait *wait, int64_t deadline_ns)
{
	uint32_t was = 0;
	int rc;

	/* relaxed: a look; to be told so at once */
	if (atomic_load_explicit(&barrier_of(view)->gate, memory_order_relaxed) & BROKEN_GATE)
		return -ECANCELED;
	rc = enter(view, deadline_ns);
	if (rc < 0)
		return rc;
	rc = arrive(view, wait, &was);
	leave_guard(view, was);
	return rc;
}

int ipk_barrier_arrive(struct ipk_sync *view, struct ipk_barrier_wait *wait)
{
	wait->phase = IPK_BARRIER_OUTSIDE;
	return arrive_guarded(view, wait, AT_ONCE);
}

static int release(struct ipk_sync *view, struct ipk_barrier_wait *wait, int64_t deadline_ns)
{
	uint32_t was = 0;
	int rc = enter(view, deadline_ns);

	if (rc < 0)
		return rc;
	rc = outcome(view, wait);
	if (rc == -EAGAIN) {
		was = end(view, anybody_gone(view) ? ENDS_BROKEN : ENDS_RELEASED);
		rc = outcome(view, wait);
	}
	leave_guard(view, was);
	return rc == 0 ? 1 : -ECANCELED;
}

int ipk_barrier_release(struct ipk_sync *view, struct ipk_barrier_wait *wait)
{
	if (wait->phase == IPK_BARRIER_ACTING)
		wait->phase = IPK_BARRIER_ACTED;
	return wait->phase == IPK_BARRIER_ACTED ? release(view, wait, AT_ONCE) : -ECANCELED;
}

/* We have given up, and somebody is in the guard who does not run: the others see for themselves that we are gone. */
static int go(struct ipk_sync *view, struct ipk_barrier_wait *wait)
{
	struct ipk_barrier_party *party = &barrier_of(view)->table[wait->party < entries_of(view) ? wait->party : 0];
	uint32_t id = ipk_member_id(view->member);

	if (wait->phase == IPK_BARRIER_OUTSIDE)
		return -ETIMEDOUT;
	if (!change(party, word_of(ARRIVED, id), word_of(GONE, id)))
		return outcome(view, wait);
	wait->phase = IPK_BARRIER_OUTSIDE;
	return -ETIMEDOUT;
}

/* Break the generation that we wait in, or for, unless it is over. Returns as outcome; -ETIMEDOUT: broken, and by us. */
static int break_off(struct ipk_sync *view, struct ipk_barrier_wait *wait, int64_t deadline_ns)
{
	uint32_t was = 0;
	int rc = enter(view, deadline_ns);

	if (rc < 0)
		return go(view, wait);
	if (wait->phase == IPK_BARRIER_OUTSIDE)
		rc = (gate_of(view) & ~SLEEPERS) == wait->gate ? -EAGAIN : -ECANCELED;
	else
		rc = outcome(view, wait);
	if (rc == -EAGAIN) {
		was = end(view, ENDS_BROKEN);
		if (wait->phase != IPK_BARRIER_OUTSIDE)
			outcome(view, wait);
		rc = -ETIMEDOUT;
	}
	leave_guard(view, was);
	return rc;
}

void ipk_barrier_leave(struct ipk_sync *view, struct ipk_barrier_wait *wait)
{
	if (wait->phase != IPK_BARRIER_OUTSIDE)
		break_off(view, wait, AT_ONCE);
}

int ipk_barrier_end(struct ipk_sync *view, int reset)
{
	struct ipk_barrier_shm *barrier = barrier_of(view);
	uint32_t entries = entries_of(view);
	uint32_t was = 0;
	int rc = enter(view, IPK_NEVER);

	if (rc < 0)
		return rc;
	/* relaxed, both: under the guard */
	if (reset || !(atomic_load_explicit(&barrier->gate, memory_order_relaxed) & BROKEN_GATE))
		was = end(view, reset ? ENDS_RESET : ENDS_BROKEN);
	for (uint32_t i = 0; reset && i < entries; i++) {
		uint32_t word = load(&barrier->table[i]);

		if (state_of(word) != FREE && dead(view, &barrier->table[i], word))
			change(&barrier->table[i], word, FREE);
	}
	leave_guard(view, was);
	return 0;
}

void ipk_barrier_forget(struct ipk_sync *view)
{
	uint32_t id = ipk_member_id(view->member);
	uint32_t entries = entries_of(view);

	for (uint32_t i = 0; id && i < entries; i++)
		change(&barrier_of(view)->table[i], word_of(PAST, id), FREE);
}

int ipk_barrier_broken(const struct ipk_sync *view)
{
	return (gate_of(view) & BROKEN_GATE) != 0;
}

uint32_t ipk_barrier_waiting(const struct ipk_sync *view)
{
	/* relaxed: a number of some moment */
	uint32_t arrived = atomic_load_explicit(&barrier_of(view)->arrived, memory_order_relaxed);

	return arrived < view->count ? arrived : view->count;
}

int ipk_barrier_party(const struct ipk_sync *view, uint32_t entry, struct ipk_participant_info *who, int32_t *lives)
{
	const struct ipk_barrier_party *party;
	uint32_t word;

	if (entry >= entries_of(view))
		return -ENOENT;
	party = &barrier_of(view)->table[entry];
	word = load(party);
	if (state_of(word) != ARRIVED)
		return 0;
	*lives = ipk_member_who(view->member, word & ID, &party->holder, who);
	return 1;
}

/* Spin until the gate is another one. */
static bool spin(struct ipk_sync *view, const struct ipk_barrier_wait *wait, int64_t now, int64_t until)
{
	/* relaxed: a hint */
	uint32_t peer = atomic_load_explicit(&barrier_of(view)->cpu, memory_order_relaxed) - 1;
	int64_t budget = ipk_spin_budget(&view->spin, ipk_spin_cpu(), peer);
	int64_t stop = budget < until - now ? now + budget : until;

	if (budget == 0)
		return false;
	do {
		for (int look = 0; look < LOOKS_PER_CLOCK; look++) {
			if ((gate_of(view) & ~SLEEPERS) != wait->gate) {
				ipk_spin_hit(&view->spin);
				return true;
			}
			ipk_relax();
		}
	} while (ipk_monotonic_ns() < stop);
	ipk_spin_missed(&view->spin);
	return false;
}

/* Sleep until the gate is another one. Returns as ipk_futex_wait. */
static int sleep_on(struct ipk_sync *view, const struct ipk_barrier_wait *wait, int64_t until)
{
	_Atomic uint32_t *gate = &barrier_of(view)->gate;
	/* relaxed, both: futex(2) compares the word again, and whoever comes back looks at it in order */
	uint32_t was = wait->gate;

	if (!atomic_compare_exchange_strong_explicit(gate, &was, was | SLEEPERS, memory_order_relaxed, memory_order_relaxed) &&
	    was != (wait->gate | SLEEPERS))
		return -EAGAIN;
	IPK_KILLPOINT("barrier.wait.announced");
	return ipk_futex_wait((uint32_t *)gate, wait->gate | SLEEPERS, until, IPK_FUTEX_ANY);
}

/* Whether one that we wait with, or may be waiting for, is dead or has given up. */
static bool anybody_missing(const struct ipk_sync *view)
{
	uint32_t entries = entries_of(view);

	for (uint32_t i = 0; i < entries; i++) {
		const struct ipk_barrier_party *party = &barrier_of(view)->table[i];
		uint32_t word = load(party);
		/* RELEASED: it was killed before it had seen that */
		bool missed = state_of(word) == ARRIVED || state_of(word) == PAST || state_of(word) == RELEASED;

		if (state_of(word) == GONE || (missed && dead(view, party, word)))
			return true;
	}
	return false;
}

/* Wait, for a slice, until the gate is another one than wait->gate. Returns 0, -EAGAIN. */
static int wait_gate(struct ipk_sync *view, const struct ipk_barrier_wait *wait, int64_t until)
{
	int64_t now = ipk_monotonic_ns();

	if (now < until && spin(view, wait, now, until))
		return 0;
	for (; now < until; now = ipk_monotonic_ns()) {
		int slept = sleep_on(view, wait, until);

		if ((gate_of(view) & ~SLEEPERS) != wait->gate)
			return 0;
		if (slept == -EINTR)
			return -EAGAIN;
	}
	return -EAGAIN;
}

int ipk_barrier_wait(struct ipk_sync *view, struct ipk_barrier_wait *wait, int64_t deadline_ns)
{
	int64_t now = ipk_monotonic_ns();
	int64_t until = deadline_ns - now < IPK_SLICE_NS ? deadline_ns : now + IPK_SLICE_NS;
	int rc;

	if (wait->phase == IPK_BARRIER_ACTED)
		return release(view, wait, IPK_NEVER);
	if (wait->phase == IPK_BARRIER_OUTSIDE) {
		uint32_t arrived;

		rc = arrive_guarded(view, wait, deadline_ns);
		if (rc != 0 && rc != -EAGAIN)
			return rc;
		if (rc == -EAGAIN) {
			/* relaxed: a hint of what is in the way: an action, or parties that have not yet looked */
			arrived = atomic_load_explicit(&barrier_of(view)->arrived, memory_order_relaxed);
			if (arrived < view->count && now + PAUSE_NS < until)
				until = now + PAUSE_NS;
			if (wait_gate(view, wait, until) == 0)
				return -EAGAIN;
		}
	}
	if (wait->phase == IPK_BARRIER_ARRIVED) {
		if (wait_gate(view, wait, until) == 0)
			return outcome(view, wait) == 0 ? 0 : -ECANCELED;
	}
	now = ipk_monotonic_ns();
	if (now < until)
		return -EAGAIN; /* a signal handler ran */
	rc = ipk_member_still_ours(view->member);
	if (rc < 0)
		return rc == -ECHILD ? -ECANCELED : rc; /* the child of a signal handler has not arrived anywhere */
	/* relaxed: a hint; the guard orders it */
	if (atomic_load_explicit(&barrier_of(view)->ending, memory_order_relaxed) != GOES_ON) {
		rc = enter(view, deadline_ns); /* and do what is left to do, if the one who ended it is dead */
		now = ipk_monotonic_ns();
		if (rc == 0)
			leave_guard(view, 0);
		else if (rc != -EAGAIN || now < deadline_ns)
			return rc;
	}
	if (wait->phase == IPK_BARRIER_ARRIVED) {
		rc = outcome(view, wait);
		if (rc != -EAGAIN)
			return rc;
	}
	if (now >= deadline_ns) {
		rc = break_off(view, wait, deadline_ns);
		return rc == 0 ? 0 : -ETIMEDOUT;
	}
	if (anybody_missing(view)) {
		IPK_KILLPOINT("barrier.wait.missing");
		return break_off(view, wait, deadline_ns) == 0 ? 0 : -ECANCELED;
	}
	return -EAGAIN;
}
