#include "ipckit/barrier.h"

#include <errno.h>

#include "barrier_parts.h"

#define NOBODY UINT32_MAX /* instead of an entry */

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

/* Under the guard. *was: for ipk_barrier_leave_guard. Returns as ipk_barrier_arrive. */
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
	*was = ipk_barrier_complete(view);
	return ipk_barrier_outcome(view, wait) == 0 ? 1 : -ECANCELED;
}

int ipk_barrier_arrive_until(struct ipk_sync *view, struct ipk_barrier_wait *wait, int64_t deadline_ns)
{
	uint32_t was = 0;
	int rc;

	/* relaxed: a look; to be told so at once */
	if (atomic_load_explicit(&barrier_of(view)->gate, memory_order_relaxed) & BROKEN_GATE)
		return -ECANCELED;
	rc = ipk_barrier_enter(view, deadline_ns);
	if (rc < 0)
		return rc;
	rc = arrive(view, wait, &was);
	ipk_barrier_leave_guard(view, was);
	return rc;
}

int ipk_barrier_arrive(struct ipk_sync *view, struct ipk_barrier_wait *wait)
{
	wait->phase = IPK_BARRIER_OUTSIDE;
	return ipk_barrier_arrive_until(view, wait, AT_ONCE);
}

int ipk_barrier_release_until(struct ipk_sync *view, struct ipk_barrier_wait *wait, int64_t deadline_ns)
{
	uint32_t was = 0;
	int rc = ipk_barrier_enter(view, deadline_ns);

	if (rc < 0)
		return rc;
	rc = ipk_barrier_outcome(view, wait);
	if (rc == -EAGAIN) {
		was = ipk_barrier_complete(view);
		rc = ipk_barrier_outcome(view, wait);
	}
	ipk_barrier_leave_guard(view, was);
	return rc == 0 ? 1 : -ECANCELED;
}

int ipk_barrier_release(struct ipk_sync *view, struct ipk_barrier_wait *wait)
{
	if (wait->phase == IPK_BARRIER_ACTING)
		wait->phase = IPK_BARRIER_ACTED;
	return wait->phase == IPK_BARRIER_ACTED ? ipk_barrier_release_until(view, wait, AT_ONCE) : -ECANCELED;
}

/* We have given up, and somebody is in the guard who does not run: the others see for themselves that we are gone. */
static int go(struct ipk_sync *view, struct ipk_barrier_wait *wait)
{
	struct ipk_barrier_party *party = &barrier_of(view)->table[wait->party < entries_of(view) ? wait->party : 0];
	uint32_t id = ipk_member_id(view->member);

	if (wait->phase == IPK_BARRIER_OUTSIDE)
		return -ETIMEDOUT;
	if (!change(party, word_of(ARRIVED, id), word_of(GONE, id)))
		return ipk_barrier_outcome(view, wait);
	wait->phase = IPK_BARRIER_OUTSIDE;
	return -ETIMEDOUT;
}

int ipk_barrier_break_off(struct ipk_sync *view, struct ipk_barrier_wait *wait, int64_t deadline_ns)
{
	uint32_t was = 0;
	int rc = ipk_barrier_enter(view, deadline_ns);

	if (rc < 0)
		return go(view, wait);
	if (wait->phase == IPK_BARRIER_OUTSIDE)
		rc = (gate_of(view) & ~SLEEPERS) == wait->gate ? -EAGAIN : -ECANCELED;
	else
		rc = ipk_barrier_outcome(view, wait);
	if (rc == -EAGAIN) {
		was = ipk_barrier_over(view, ENDS_BROKEN);
		if (wait->phase != IPK_BARRIER_OUTSIDE)
			ipk_barrier_outcome(view, wait);
		rc = -ETIMEDOUT;
	}
	ipk_barrier_leave_guard(view, was);
	return rc;
}

void ipk_barrier_leave(struct ipk_sync *view, struct ipk_barrier_wait *wait)
{
	if (wait->phase != IPK_BARRIER_OUTSIDE)
		ipk_barrier_break_off(view, wait, AT_ONCE);
}

int ipk_barrier_end(struct ipk_sync *view, int reset)
{
	struct ipk_barrier_shm *barrier = barrier_of(view);
	uint32_t entries = entries_of(view);
	uint32_t was = 0;
	int rc = ipk_barrier_enter(view, IPK_NEVER);

	if (rc < 0)
		return rc;
	/* relaxed, both: under the guard */
	if (reset || !(atomic_load_explicit(&barrier->gate, memory_order_relaxed) & BROKEN_GATE))
		was = ipk_barrier_over(view, reset ? ENDS_RESET : ENDS_BROKEN);
	for (uint32_t i = 0; reset && i < entries; i++) {
		uint32_t word = load(&barrier->table[i]);

		if (state_of(word) != FREE && dead(view, &barrier->table[i], word))
			change(&barrier->table[i], word, FREE);
	}
	ipk_barrier_leave_guard(view, was);
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
