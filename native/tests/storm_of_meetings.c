/* What the processes of storm_sync do with the objects that they wait for one another at, and what must hold. */
#include <errno.h>
#include <string.h>

#include "check.h"
#include "ipckit/atomic.h"
#include "ipckit/barrier.h"
#include "ipckit/condition.h"
#include "ipckit/event.h"
#include "ipckit/event_pair.h"
#include "ipckit/futex.h"
#include "ipckit/latch.h"
#include "storm_sync.h"

#define CONDITION_MS 4000
#define OVERLOOKED (2000 * MS) /* a waiter that sleeps so long beside what it waits for was not woken */

/* --- a bounded buffer ------------------------------------------------------------------------------------------------ */

static uint64_t item(uint64_t number)
{
	return number * UINT64_C(0x9E3779B97F4A7C15);
}

static int is_full(void)
{
	return atomic_load(&storm->put) - atomic_load(&storm->got) == BUFFER;
}

static int is_empty(void)
{
	return atomic_load(&storm->put) == atomic_load(&storm->got);
}

/* An owner died: it may have changed the buffer, and notified nobody of it. */
static void repair_buffer(int64_t rc)
{
	if (rc != -EOWNERDEAD)
		return;
	atomic_fetch_add(&storm->waited[2], 1);
	MUST(atomic_load(&storm->put) - atomic_load(&storm->got) <= BUFFER);
	INSIDE(ipk_condition_notify(&views[NOT_EMPTY], &mutex_of_conditions, BUFFER));
	INSIDE(ipk_condition_notify(&views[NOT_FULL], &mutex_of_conditions, BUFFER));
	atomic_store(&storm->buffer_changed, ipk_monotonic_ns());
	MUST(INSIDE(ipk_mutex_consistent(&mutex_of_conditions)) == 0);
}

/* Wait on the condition, once. Returns whether to look again. */
static int wait_once(struct ipk_sync *condition, int (*hindered)(void), int64_t deadline)
{
	struct ipk_condition_wait wait;
	int64_t rc;

	memset(&wait, 0, sizeof(wait));
	MUST(INSIDE(ipk_condition_begin(condition, &mutex_of_conditions, &wait)) == 0);
	do
		rc = INSIDE(ipk_condition_wait(condition, &mutex_of_conditions, &wait, deadline));
	while (rc == -EAGAIN);
	MUST(rc == 0 || rc == -EOWNERDEAD);
	repair_buffer(rc);
	atomic_fetch_add(&storm->waited[!wait.notified], 1);
	if (wait.notified)
		return 1;
	MUST(ipk_monotonic_ns() >= deadline);
	/* nobody has told us, though there was something to tell for long */
	MUST(hindered() || ipk_monotonic_ns() - atomic_load(&storm->buffer_changed) < OVERLOOKED);
	return 0;
}

static void put_or_get(int puts)
{
	struct ipk_sync *mine = &views[puts ? NOT_FULL : NOT_EMPTY];
	struct ipk_sync *theirs = &views[puts ? NOT_EMPTY : NOT_FULL];
	int (*hindered)(void) = puts ? is_full : is_empty;
	int64_t deadline = storm_after(storm_random(8) ? CONDITION_MS : (int64_t)storm_random(20));
	int64_t rc = INSIDE(ipk_mutex_try(&mutex_of_conditions));
	uint64_t number;

	while (rc == -EAGAIN)
		rc = INSIDE(ipk_mutex_wait(&mutex_of_conditions, IPK_NEVER));
	MUST(rc == 0 || rc == -EOWNERDEAD);
	repair_buffer(rc);
	while (hindered())
		if (!wait_once(mine, hindered, deadline))
			break;
	if (!hindered()) {
		number = atomic_load(puts ? &storm->put : &storm->got);
		if (puts)
			atomic_store(&storm->items[number % BUFFER], item(number));
		else
			MUST(atomic_load(&storm->items[number % BUFFER]) == item(number)); /* each once, in order */
		MUST(INSIDE(ipk_mutex_mine(&mutex_of_conditions)) == 1);
		storm_dawdle();
		MUST(atomic_fetch_add(puts ? &storm->put : &storm->got, 1) == number);
		atomic_store(&storm->buffer_changed, ipk_monotonic_ns());
		MUST(INSIDE(ipk_condition_notify(theirs, &mutex_of_conditions, 1)) >= 0);
	}
	MUST(INSIDE(ipk_mutex_release(&mutex_of_conditions)) == 0);
}

/* Half of them put, and half of them get: so each side has the other to wait for. */
static void use_condition(void)
{
	put_or_get(storm_index() & 1);
}

/* --- the barrier ----------------------------------------------------------------------------------------------------- */

#define PASSED_MASK UINT64_C(0xFF) /* a bit for the number of each party that has passed */
#define TURNED_AWAY UINT64_C(0x100)
#define GENERATION_SHIFT 16

/* A generation passes whole or not at all, and each party has a number of its own. */
static void note_barrier(const struct ipk_barrier_wait *wait, uint64_t what)
{
	uint64_t number = (uint64_t)wait->gate + 1;
	_Atomic uint64_t *entry = &storm->generation[(wait->gate >> 2) % GENERATIONS];
	uint64_t seen = atomic_load(entry), next;

	do {
		next = seen >> GENERATION_SHIFT == number ? seen : number << GENERATION_SHIFT;
		MUST(!(next & what & PASSED_MASK));
		next |= what;
		MUST(!(next & TURNED_AWAY && next & PASSED_MASK));
	} while (!atomic_compare_exchange_weak(entry, &seen, next));
}

static void use_barrier(void)
{
	struct ipk_sync *barrier = &views[BARRIER];
	struct ipk_barrier_wait wait;
	int64_t deadline = storm_after((int64_t)storm_random(25));
	int had_arrived;
	int64_t rc;

	memset(&wait, 0, sizeof(wait));
	wait.acts = (uint32_t)storm_random(2);
	rc = INSIDE(ipk_barrier_arrive(barrier, &wait));
	had_arrived = wait.phase != IPK_BARRIER_OUTSIDE || rc == 1;
	if (rc == 0)
		rc = -EAGAIN;
	while (rc == -EAGAIN || rc == 2) {
		if (rc == 2) {
			atomic_fetch_add(&storm->acted, 1);
			storm_dawdle();
			rc = INSIDE(ipk_barrier_release(barrier, &wait));
		} else {
			rc = INSIDE(ipk_barrier_wait(barrier, &wait, deadline));
		}
		had_arrived |= wait.phase != IPK_BARRIER_OUTSIDE;
	}
	if (rc == 0 || rc == 1) {
		MUST(wait.index < PARTIES);
		note_barrier(&wait, UINT64_C(1) << wait.index);
		atomic_fetch_add(&storm->waited[3], 1);
		return;
	}
	MUST(rc == -ECANCELED || rc == -ETIMEDOUT);
	if (had_arrived)
		note_barrier(&wait, TURNED_AWAY);
	atomic_fetch_add(&storm->broken, 1);
	if (storm_random(2)) {
		rc = INSIDE(ipk_barrier_end(barrier, 1));
		MUST(rc == 0 || rc == -EAGAIN);
	}
}

/* --- events ---------------------------------------------------------------------------------------------------------- */

/* Whoever takes comes after one who has set: counted before the set, and after the take. */
static void count_take(uint32_t which)
{
	uint64_t takes = atomic_fetch_add(&storm->takes[which], 1) + 1;

	MUST(takes <= atomic_load(&storm->sets[which]));
}

static void set_event(uint32_t which)
{
	atomic_fetch_add(&storm->sets[which], 1);
	MUST(INSIDE(ipk_event_set(&views[EVENT + which])) == 0);
}

static void wait_event(uint32_t which)
{
	int64_t deadline = storm_after((int64_t)storm_random(20));
	int64_t rc = INSIDE(ipk_event_take(&views[EVENT + which]));
	uint32_t taken = 0;

	if (rc < 0)
		do
			rc = INSIDE(ipk_event_wait(&views[EVENT + which], rc > 0 ? rc : 0, deadline, &taken));
		while (rc > 0);
	MUST(rc == 0 || rc == -ETIMEDOUT);
	if (rc == 0 && which > 0)
		count_take(which);
}

static void wait_several(int all)
{
	struct ipk_event_choice choices[EVENTS];
	int64_t deadline = storm_after((int64_t)storm_random(20));
	int64_t rc;

	memset(choices, 0, sizeof(choices));
	for (int i = 0; i < EVENTS; i++)
		choices[i].event = &views[EVENT + i];
	MUST(INSIDE(ipk_event_begin(choices, EVENTS, 1)) == 0);
	do
		rc = all ? INSIDE(ipk_event_wait_all(choices, EVENTS, deadline)) :
			   INSIDE(ipk_event_wait_any(choices, EVENTS, deadline));
	while (rc == -EAGAIN);
	MUST(rc >= 0 || rc == -ETIMEDOUT);
	for (uint32_t i = 1; rc >= 0 && i < EVENTS; i++)
		if (choices[i].taken)
			count_take(i);
}

static void use_event(void)
{
	uint32_t which = (uint32_t)storm_random(EVENTS);

	switch (storm_random(8)) {
	case 0:
		wait_several(0);
		break;
	case 1:
		wait_several(1);
		break;
	case 2:
		INSIDE(ipk_event_clear(&views[EVENT]));
		break;
	case 3:
	case 4:
		wait_event(which);
		break;
	default:
		set_event(which);
		break;
	}
}

static void use_pair(void)
{
	uint32_t side = (uint32_t)storm_random(2);
	int64_t deadline = storm_after((int64_t)storm_random(10));
	uint32_t taken;
	int64_t rc;

	atomic_fetch_add(&storm->sets[EVENTS + side], 1);
	MUST(INSIDE(ipk_event_pair_set(&views[PAIR], side)) == 0);
	rc = INSIDE(ipk_event_pair_glance(&views[PAIR], !side));
	while (rc == -EAGAIN)
		rc = INSIDE(ipk_event_pair_wait(&views[PAIR], !side, deadline, &taken));
	MUST(rc == 0 || rc == -ETIMEDOUT);
	if (rc == 0)
		count_take(EVENTS + !side);
}

/* --- latches --------------------------------------------------------------------------------------------------------- */

static void use_latch(void)
{
	uint32_t i = atomic_load(&storm->latch);
	int64_t deadline = storm_after((int64_t)storm_random(12));
	int64_t rc;

	if (i == LATCHES)
		return;
	atomic_fetch_add(&storm->counted[i], 1);
	INSIDE(ipk_latch_count_down(&views[LATCH + i], 1));
	do
		rc = INSIDE(ipk_latch_wait(&views[LATCH + i], deadline));
	while (rc == -EAGAIN);
	MUST(rc == 0 || rc == -ETIMEDOUT);
	MUST((rc == 0) <= (ipk_latch_count(&views[LATCH + i]) == 0)); /* open for good */
	if (rc == 0) {
		MUST(atomic_load(&storm->counted[i]) >= LATCH_COUNT);
		if (atomic_compare_exchange_strong(&storm->latch, &i, i + 1))
			atomic_fetch_add(&storm->opened, 1);
	}
}

/* --- words ----------------------------------------------------------------------------------------------------------- */

static void use_atomics(void)
{
	uint64_t seen;

	for (int i = 0; i < 20; i++) {
		INSIDE(ipk_atomic_fetch_add(&views[SIGNED], 1));
		atomic_fetch_add(&storm->of[storm_index()].added[0], 1);
		seen = ipk_atomic_load(&views[UNSIGNED]);
		while (!INSIDE(ipk_atomic_compare_exchange(&views[UNSIGNED], &seen, seen + 1)))
			continue;
		atomic_fetch_add(&storm->of[storm_index()].added[1], 1);
	}
}

static void use_futex(void)
{
	uint32_t *word = ipk_futex_word(&views[FUTEX]);
	uint32_t seen = ipk_futex_load(word);
	int64_t deadline = storm_after((int64_t)storm_random(5));
	struct ipk_futex_wait_entry entry = {seen, (uintptr_t)word, 0, 0};
	int64_t rc;

	switch (storm_random(4)) {
	case 0:
		rc = INSIDE(ipk_futex_wait(word, seen, deadline, IPK_FUTEX_ANY));
		break;
	case 1:
		rc = INSIDE(ipk_futex_wait_any(&entry, 1, deadline));
		break;
	case 2:
		rc = INSIDE(ipk_futex_requeue(word, seen, 1, 1, word + 1));
		break;
	default:
		ipk_futex_add(word, 1);
		rc = INSIDE(ipk_futex_wake(word, 1, IPK_FUTEX_ANY));
		INSIDE(ipk_futex_wake(word + 1, UINT32_MAX, IPK_FUTEX_ANY));
		break;
	}
	MUST(rc >= 0 || rc == -EAGAIN || rc == -ETIMEDOUT);
}

const struct work meeting_works[] = {
	{"condition", use_condition}, {"condition", use_condition}, {"condition", use_condition}, {"barrier", use_barrier},
	{"events", use_event},	      {"event pair", use_pair},	    {"latch", use_latch},	  {"atomics", use_atomics},
	{"futex", use_futex},
};
const size_t meeting_work_count = sizeof(meeting_works) / sizeof(meeting_works[0]);

/* --- at rest --------------------------------------------------------------------------------------------------------- */

void meetings_at_rest(uint64_t kills)
{
	static const enum object words[2] = {SIGNED, UNSIGNED};

	for (int k = 0; k < 2; k++) {
		uint64_t noted = 0, counted = ipk_atomic_load(&views[words[k]]);

		for (int i = 0; i < PROCESSES; i++)
			noted += atomic_load(&storm->of[i].added[k]);
		MUST(noted <= counted && counted - noted <= kills); /* each who was killed between the two */
	}
	for (int i = 0; i < EVENTS + 2; i++)
		MUST(i == 0 || atomic_load(&storm->takes[i]) <= atomic_load(&storm->sets[i]));
}
