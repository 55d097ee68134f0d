/* The wait of a barrier: for the others, for the guard, and for the dead. */
#include <errno.h>

#include "barrier_parts.h"
#include "ipckit/futex.h"

#define LOOKS_PER_CLOCK 64 /* the clock costs as much as a few looks */
#define PAUSE_NS 1000000   /* until those of the last generation have looked */

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
		return ipk_barrier_release_until(view, wait, IPK_NEVER);
	if (wait->phase == IPK_BARRIER_OUTSIDE) {
		uint32_t arrived;

		rc = ipk_barrier_arrive_until(view, wait, deadline_ns);
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
			return ipk_barrier_outcome(view, wait) == 0 ? 0 : -ECANCELED;
	}
	now = ipk_monotonic_ns();
	if (now < until)
		return -EAGAIN; /* a signal handler ran */
	rc = ipk_member_still_ours(view->member);
	if (rc < 0)
		return rc == -ECHILD ? -ECANCELED : rc; /* the child of a signal handler has not arrived anywhere */
	/* relaxed: a hint; the guard orders it */
	if (atomic_load_explicit(&barrier_of(view)->ending, memory_order_relaxed) != GOES_ON) {
		rc = ipk_barrier_enter(view, deadline_ns); /* and do what is left to do, if the one who ended it is dead */
		now = ipk_monotonic_ns();
		if (rc == 0)
			ipk_barrier_leave_guard(view, 0);
		else if (rc != -EAGAIN || now < deadline_ns)
			return rc;
	}
	if (wait->phase == IPK_BARRIER_ARRIVED) {
		rc = ipk_barrier_outcome(view, wait);
		if (rc != -EAGAIN)
			return rc;
	}
	if (now >= deadline_ns) {
		rc = ipk_barrier_break_off(view, wait, deadline_ns);
		return rc == 0 ? 0 : -ETIMEDOUT;
	}
	if (anybody_missing(view)) {
		IPK_KILLPOINT("barrier.wait.missing");
		return ipk_barrier_break_off(view, wait, deadline_ns) == 0 ? 0 : -ECANCELED;
	}
	return -EAGAIN;
}
