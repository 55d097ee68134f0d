/* What the processes of storm_sync do with the locks and the semaphores, and what must hold. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "check.h"
#include "ipckit/mutex.h"
#include "ipckit/once.h"
#include "ipckit/rwlock.h"
#include "ipckit/semaphore.h"
#include "ipckit/tracked_semaphore.h"
#include "storm_sync.h"

#define COPIES 4
#define SNAPSHOTS 20

uint32_t storm_ambiguous;

static int64_t patience(void)
{
	return storm_random(4) ? IPK_NEVER : storm_after((int64_t)storm_random(20));
}

/* --- what the processes hold ----------------------------------------------------------------------------------------- */

static struct possessions *mine(void)
{
	return &storm->of[storm_index()];
}

/* Say what we hold. */
static void hold(enum hold what, uint32_t n)
{
	atomic_fetch_add(&mine()->hold[what], CHANGE + n * HELD);
}

static void let_go(enum hold what, uint32_t n)
{
	atomic_fetch_add(&mine()->hold[what], CHANGE - n * HELD);
}

/* How much the living hold, at some moment, or -1 if they change it too fast to tell. */
static int held(enum hold what)
{
	for (int look = 0; look < SNAPSHOTS; look++) {
		uint64_t words[PROCESSES];
		int sum = 0, same = 1;

		for (int i = 0; i < PROCESSES; i++)
			words[i] = atomic_load(&storm->of[i].hold[what]);
		for (int i = 0; i < PROCESSES; i++) {
			same &= words[i] == atomic_load(&storm->of[i].hold[what]);
			if (!(words[i] & DYING))
				sum += (int)((words[i] & HELD_MASK) / HELD);
		}
		if (same)
			return sum; /* all at the moment between the two looks */
	}
	return -1;
}

/* --- what a lock protects -------------------------------------------------------------------------------------------- */

static int whole(const struct guarded *guarded)
{
	for (int i = 1; i < COPIES; i++)
		if (atomic_load(&guarded->copies[i]) != atomic_load(&guarded->copies[0]))
			return 0;
	return atomic_load(&guarded->owner) == 0;
}

/* Change it, alone. told: whether the lock said that an owner died. */
static void change(struct guarded *guarded, int told)
{
	uint32_t me = storm_me();
	uint32_t owner = atomic_load(&guarded->owner);
	uint64_t value = 0;

	MUST(told || whole(guarded));
	MUST(owner == 0 || storm_is_dead(owner)); /* nobody alive is robbed */
	atomic_store(&guarded->owner, me);
	for (int i = 0; i < COPIES; i++)
		if (value < atomic_load(&guarded->copies[i]))
			value = atomic_load(&guarded->copies[i]);
	for (int i = 0; i < COPIES; i++) {
		MUST(atomic_load(&guarded->owner) == me);
		atomic_store(&guarded->copies[i], value + 1);
		storm_dawdle();
	}
	atomic_fetch_add(&guarded->entered, 1);
	atomic_fetch_add(&guarded->told, (uint64_t)told);
	MUST(atomic_load(&guarded->owner) == me);
	atomic_store(&guarded->owner, 0);
}

/* --- mutexes --------------------------------------------------------------------------------------------------------- */

static int64_t acquire(struct ipk_sync *mutex, int64_t deadline)
{
	int64_t rc = INSIDE(ipk_mutex_try(mutex));

	while (rc == -EAGAIN)
		rc = INSIDE(ipk_mutex_wait(mutex, deadline));
	MUST(rc == 0 || rc == -EOWNERDEAD || (rc == -ETIMEDOUT && deadline != IPK_NEVER));
	return rc;
}

static void use_mutex(void)
{
	struct ipk_sync *mutex = &views[MUTEX];
	int64_t rc = acquire(mutex, patience());

	if (rc == -ETIMEDOUT)
		return;
	change(&storm->guarded[MUTEX], rc == -EOWNERDEAD);
	if (rc == -EOWNERDEAD)
		MUST(INSIDE(ipk_mutex_consistent(mutex)) == 0);
	MUST(INSIDE(ipk_mutex_release(mutex)) == 0);
}

static void use_recursive(void)
{
	struct ipk_sync *mutex = &views[RECURSIVE];
	int64_t rc = acquire(mutex, patience());
	struct ipk_mutex_owner owner;

	if (rc == -ETIMEDOUT)
		return;
	MUST(INSIDE(ipk_mutex_try(mutex)) == 0);
	change(&storm->guarded[RECURSIVE], rc == -EOWNERDEAD);
	MUST(INSIDE(ipk_mutex_owner(mutex, &owner)) == 1 && owner.depth == 2);
	if (rc == -EOWNERDEAD)
		MUST(INSIDE(ipk_mutex_consistent(mutex)) == 0);
	MUST(INSIDE(ipk_mutex_release(mutex)) == 0);
	MUST(INSIDE(ipk_mutex_mine(mutex)) == 1);
	MUST(INSIDE(ipk_mutex_release(mutex)) == 0);
}

/* --- readers and writers --------------------------------------------------------------------------------------------- */

static void no_reader_is_in(void)
{
	for (int i = 0; i < PROCESSES; i++) {
		uint64_t word = atomic_load(&storm->of[i].hold[READS]);

		MUST(!(word & HELD_MASK) || word & DYING);
	}
}

static void read_it(int whole_for_sure)
{
	struct guarded *guarded = &storm->guarded[RWLOCK];
	uint64_t before = atomic_load(&guarded->copies[0]);

	hold(READS, 1);
	for (int i = 0; i < 3; i++) {
		uint32_t owner = atomic_load(&guarded->owner);

		MUST(owner == 0 || storm_is_dead(owner));
		MUST(!whole_for_sure || (whole(guarded) && atomic_load(&guarded->copies[0]) == before));
		storm_dawdle();
	}
	let_go(READS, 1);
}

static void use_reader(void)
{
	struct ipk_sync *rwlock = &views[RWLOCK];
	int64_t deadline = patience();
	int64_t rc = INSIDE(ipk_rwlock_read_try(rwlock));
	uint32_t taken;

	while (rc == -EAGAIN || rc == -EINTR)
		rc = INSIDE(ipk_rwlock_read_wait(rwlock, deadline, &taken));
	if (rc == -ETIMEDOUT && deadline != IPK_NEVER)
		return;
	MUST(rc == 0 || rc == -EOWNERDEAD);
	read_it(rc == 0);
	MUST(INSIDE(ipk_rwlock_read_release(rwlock)) == 0);
}

static void use_writer(void)
{
	struct ipk_sync *rwlock = &views[RWLOCK];
	int64_t deadline = patience();
	int64_t rc = INSIDE(ipk_rwlock_write_try(rwlock));

	while (rc == -EAGAIN || rc == -EINTR)
		rc = INSIDE(ipk_rwlock_write_wait(rwlock, deadline));
	if (rc == -ETIMEDOUT && deadline != IPK_NEVER)
		return;
	MUST(rc == 0 || rc == -EOWNERDEAD);
	no_reader_is_in();
	change(&storm->guarded[RWLOCK], rc == -EOWNERDEAD);
	no_reader_is_in();
	if (rc == -EOWNERDEAD)
		MUST(INSIDE(ipk_rwlock_consistent(rwlock)) == 0);
	if (storm_random(4)) {
		MUST(INSIDE(ipk_rwlock_write_release(rwlock)) == 0);
	} else {
		MUST(INSIDE(ipk_rwlock_downgrade(rwlock)) == 0);
		read_it(1);
		MUST(INSIDE(ipk_rwlock_read_release(rwlock)) == 0);
	}
}

/* --- semaphores ------------------------------------------------------------------------------------------------------ */

/* What a dead process had of the plain semaphore is lost; the parent gives back what was noted. */
static void use_semaphore(void)
{
	struct ipk_sync *semaphore = &views[SEMAPHORE];
	int64_t deadline = storm_after((int64_t)storm_random(60));
	uint32_t taken;
	int64_t rc;

	atomic_store(&mine()->permit, TAKING);
	rc = INSIDE(ipk_semaphore_try(semaphore));
	while (rc == -EAGAIN || rc == -EINTR)
		rc = INSIDE(ipk_semaphore_wait(semaphore, deadline, &taken));
	if (rc == -ETIMEDOUT) {
		atomic_store(&mine()->permit, NO_PERMIT);
		return;
	}
	MUST(rc == 0);
	atomic_store(&mine()->permit, HAS_PERMIT);
	hold(HOLDS_PERMIT, 1);
	MUST(held(HOLDS_PERMIT) <= PERMITS);
	storm_dawdle();
	let_go(HOLDS_PERMIT, 1);
	atomic_store(&mine()->permit, GIVING);
	MUST(INSIDE(ipk_semaphore_release(semaphore, 1)) == 0);
	atomic_store(&mine()->permit, NO_PERMIT);
}

/* What a dead process had of the tracked one comes back: so nobody waits for long. */
static void use_tracked(void)
{
	struct ipk_sync *semaphore = &views[TRACKED];
	uint32_t n = 1 + (uint32_t)storm_random(2);
	uint32_t got = 0;
	uint32_t taken;

	while (got < n) {
		/* a second one only if it is there: two that wait for each other's would wait for ever */
		int64_t deadline = got ? 0 : IPK_NEVER;
		int64_t rc = INSIDE(ipk_tracked_semaphore_try(semaphore));

		while ((rc == -EAGAIN || rc == -EINTR))
			rc = INSIDE(ipk_tracked_semaphore_wait(semaphore, deadline, &taken));
		if (rc == -ETIMEDOUT && got)
			break;
		MUST(rc == 0);
		hold(HOLDS_TRACKED, 1);
		got++;
	}
	MUST(held(HOLDS_TRACKED) <= TRACKED_PERMITS);
	storm_dawdle();
	let_go(HOLDS_TRACKED, got);
	MUST(INSIDE(ipk_tracked_semaphore_release(semaphore, got)) == 0);
}

/* --- once ------------------------------------------------------------------------------------------------------------ */

static void run_once(struct ipk_sync *once, uint32_t i)
{
	uint32_t before = atomic_exchange(&storm->runner[i], storm_me());

	MUST(before == 0 || storm_is_dead(before));
	atomic_store(&storm->done[i][0], storm_me());
	storm_dawdle();
	if (storm_random(8) == 0) {
		atomic_store(&storm->runner[i], 0);
		MUST(INSIDE(ipk_once_abandon(once)) == 0);
		return;
	}
	atomic_store(&storm->done[i][1], storm_me());
	MUST(atomic_exchange(&storm->runner[i], 0) == storm_me());
	MUST(INSIDE(ipk_once_complete(once)) == 0);
	atomic_fetch_add(&storm->completed, 1);
}

static void use_once(void)
{
	uint32_t i = atomic_load(&storm->once);
	struct ipk_sync *once = &views[ONCE + i];
	int64_t rc;

	if (i == ONCES)
		return;
	rc = INSIDE(ipk_once_try(once));
	while (rc == -EAGAIN)
		rc = INSIDE(ipk_once_wait(once, IPK_NEVER));
	MUST(rc == 0 || rc == -EALREADY);
	if (rc == 0) {
		run_once(once, i);
		return;
	}
	MUST(INSIDE(ipk_once_done(once)) == 1);
	MUST(atomic_load(&storm->done[i][0]) == atomic_load(&storm->done[i][1]) && atomic_load(&storm->done[i][0]) != 0);
	atomic_compare_exchange_strong(&storm->once, &i, i + 1);
}

const struct work lock_works[] = {
	{"mutex", use_mutex},	      {"recursive mutex", use_recursive}, {"rwlock: read", use_reader}, {"rwlock: read", use_reader},
	{"rwlock: write", use_writer}, {"semaphore", use_semaphore},	   {"tracked semaphore", use_tracked}, {"once", use_once},
};
const size_t lock_work_count = sizeof(lock_works) / sizeof(lock_works[0]);

/* --- deaths ----------------------------------------------------------------------------------------------------------- */

void locks_before_death(int i)
{
	for (int what = 0; what < HOLDS; what++)
		atomic_fetch_or(&storm->of[i].hold[what], DYING);
}

/* A permit of the plain semaphore dies with whoever has it: if he surely had it, it is given back for him. */
static void inherit_permit(struct possessions *of)
{
	switch (atomic_load(&of->permit)) {
	case HAS_PERMIT:
		MUST(ipk_semaphore_release(&views[SEMAPHORE], 1) == 0);
		break;
	case TAKING:
	case GIVING:
		storm_ambiguous++;
		break;
	default:
		break;
	}
	atomic_store(&of->permit, NO_PERMIT);
}

void locks_after_death(int i)
{
	struct possessions *of = &storm->of[i];

	inherit_permit(of);
	for (int what = 0; what < HOLDS; what++)
		atomic_store(&of->hold[what], (atomic_load(&of->hold[what]) & ~(CHANGE - 1)) + CHANGE);
}

/* --- at rest --------------------------------------------------------------------------------------------------------- */

static void all_tracked_permits_are_back(void)
{
	struct ipk_sync *semaphore = &views[TRACKED];
	uint32_t taken;

	for (int i = 0; i < TRACKED_PERMITS; i++) {
		int64_t deadline = storm_after(10000);
		int rc;

		do
			rc = ipk_tracked_semaphore_wait(semaphore, deadline, &taken);
		while (rc == -EAGAIN || rc == -EINTR);
		MUST(rc == 0);
	}
	MUST(ipk_tracked_semaphore_try(semaphore) == -EAGAIN);
	MUST(ipk_tracked_semaphore_release(semaphore, TRACKED_PERMITS) == 0);
	MUST(ipk_tracked_semaphore_value(semaphore) == TRACKED_PERMITS);
}

void locks_at_rest(uint64_t kills)
{
	int64_t lost = PERMITS - ipk_semaphore_value(&views[SEMAPHORE]);

	MUST(lost >= 0 && lost <= (int64_t)storm_ambiguous);
	if (lost > 0)
		MUST(ipk_semaphore_release(&views[SEMAPHORE], (uint32_t)lost) == 0);
	MUST(ipk_semaphore_release(&views[SEMAPHORE], 1) == -EOVERFLOW);
	all_tracked_permits_are_back();
	for (int i = 0; i < 3; i++)
		MUST(atomic_load(&storm->guarded[i].told) <= kills);
	storm_ambiguous = 0;
}
