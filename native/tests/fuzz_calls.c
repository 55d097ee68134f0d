/* Every entry point of the kinds that somebody owns something of, and of those that are one word. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "fuzz.h"
#include "ipckit/atomic.h"
#include "ipckit/event.h"
#include "ipckit/event_pair.h"
#include "ipckit/futex.h"
#include "ipckit/latch.h"
#include "ipckit/mutex_pi.h"
#include "ipckit/once.h"
#include "ipckit/rwlock.h"
#include "ipckit/semaphore.h"
#include "ipckit/tracked_semaphore.h"

static uint32_t number_of(const struct fuzz_step *step)
{
	return step->argument & 0x40 ? step->argument * UINT32_C(0x01010101) : step->argument & 0x3FU;
}

static void ask_owner(const struct fuzz_views *v, const struct fuzz_step *step)
{
	struct ipk_mutex_owner owner;

	FUZZ_CALL(step, ipk_mutex_owner(v->view, &owner));
	FUZZ_CALL(step, ipk_mutex_lives(v->view, owner.word));
}

/* What an opener does before all else. */
static void check_mutex(const struct fuzz_views *v, const struct fuzz_step *step)
{
	fuzz_probes = 1;
	FUZZ_CALL(step, ipk_mutex_pi_check(v->view));
	fuzz_probes = 0;
	FUZZ_VOID_CALL(step, ipk_mutex_pi_inherits(v->view));
}

static void *abandon_mutex(void *view)
{
	return (void *)(intptr_t)ipk_mutex_abandon(view);
}

static void *abandon_rwlock(void *view)
{
	return (void *)(intptr_t)ipk_rwlock_abandon(view);
}

static void *abandon_once(void *view)
{
	return (void *)(intptr_t)ipk_once_abandon(view);
}

/* Of two closers, one is not the thread that has the object. Returns what the call does. */
static int64_t by_a_thread(const struct fuzz_step *step, void *(*call)(void *), struct ipk_sync *view)
{
	pthread_t thread;
	void *rc;

	if (!(step->argument & 0x20))
		return (intptr_t)call(view);
	if (pthread_create(&thread, NULL, call, view) != 0 || pthread_join(thread, &rc) != 0)
		fuzz_fails("thread");
	return (intptr_t)rc;
}

static void call_mutex(const struct fuzz_views *v, const struct fuzz_step *step)
{
	uint32_t taken;

	switch (step->call % 10) {
	case 0:
		FUZZ_CALL(step, ipk_mutex_try(v->view));
		break;
	case 1:
		FUZZ_CALL(step, ipk_mutex_recover(v->view));
		break;
	case 2:
		FUZZ_CALL(step, ipk_mutex_wait(v->view, deadline));
		break;
	case 3:
		FUZZ_CALL(step, ipk_mutex_wait_taking(v->view, deadline, &taken));
		break;
	case 4:
		FUZZ_CALL(step, ipk_mutex_release(v->view));
		break;
	case 5:
		FUZZ_CALL(step, ipk_mutex_consistent(v->view));
		break;
	case 6:
		FUZZ_CALL(step, by_a_thread(step, abandon_mutex, v->view));
		break;
	case 7:
		FUZZ_CALL(step, ipk_mutex_undo(v->view));
		break;
	case 8:
		check_mutex(v, step);
		break;
	default:
		FUZZ_CALL(step, ipk_mutex_mine(v->view));
		ask_owner(v, step);
		break;
	}
}

static void call_rwlock(const struct fuzz_views *v, const struct fuzz_step *step)
{
	struct ipk_holder_info info;
	uint32_t taken;

	switch (step->call % 12) {
	case 0:
		FUZZ_CALL(step, ipk_rwlock_read_try(v->view));
		break;
	case 1:
	case 2:
		FUZZ_CALL(step, ipk_rwlock_read_wait(v->view, deadline, &taken));
		break;
	case 3:
		FUZZ_CALL(step, ipk_rwlock_read_release(v->view));
		break;
	case 4:
		FUZZ_CALL(step, ipk_rwlock_write_try(v->view));
		break;
	case 5:
	case 6:
		FUZZ_SLOW_CALL(step, 1, ipk_rwlock_write_wait(v->view, deadline));
		break;
	case 7:
		FUZZ_CALL(step, ipk_rwlock_write_undo(v->view));
		break;
	case 8:
		FUZZ_CALL(step, ipk_rwlock_write_release(v->view));
		break;
	case 9:
		FUZZ_CALL(step, ipk_rwlock_downgrade(v->view));
		FUZZ_CALL(step, ipk_rwlock_consistent(v->view));
		break;
	case 10:
		FUZZ_CALL(step, by_a_thread(step, abandon_rwlock, v->view));
		break;
	default:
		FUZZ_CALL(step, ipk_holders_get(v->view, number_of(step), &info));
		ask_owner(v, step);
		break;
	}
}

static void call_semaphore(const struct fuzz_views *v, const struct fuzz_step *step)
{
	uint32_t taken;

	switch (step->call % 4) {
	case 0:
		FUZZ_CALL(step, ipk_semaphore_try(v->view));
		break;
	case 1:
		FUZZ_CALL(step, ipk_semaphore_wait(v->view, deadline, &taken));
		break;
	case 2:
		FUZZ_CALL(step, ipk_semaphore_release(v->view, 1 + number_of(step) % IPK_SEMAPHORE_VALUE_MAX));
		break;
	default:
		FUZZ_CALL(step, ipk_semaphore_value(v->view));
		FUZZ_CALL(step, ipk_semaphore_bounded(v->view));
		break;
	}
}

static void call_tracked(const struct fuzz_views *v, const struct fuzz_step *step)
{
	struct ipk_holder_info info;
	uint32_t taken;

	switch (step->call % 6) {
	case 0:
		FUZZ_CALL(step, ipk_tracked_semaphore_try(v->view));
		break;
	case 1:
	case 2:
		FUZZ_CALL(step, ipk_tracked_semaphore_wait(v->view, deadline, &taken));
		break;
	case 3:
		FUZZ_CALL(step, ipk_tracked_semaphore_release(v->view, 1 + number_of(step) / 2));
		break;
	case 4:
		FUZZ_CALL(step, ipk_tracked_semaphore_abandon(v->view));
		break;
	default:
		FUZZ_CALL(step, ipk_tracked_semaphore_value(v->view));
		FUZZ_CALL(step, ipk_holders_get(v->view, number_of(step), &info));
		break;
	}
}

#define CHOICES 150 /* more than one call of futex_waitv(2) takes */

static struct ipk_event_choice choices[CHOICES];
static uint32_t chosen;
static int64_t since;

static void choose(const struct fuzz_views *v, const struct fuzz_step *step)
{
	chosen = step->argument & 0x40 ? CHOICES : 1 + (step->argument & 7U);
	memset(choices, 0, sizeof(choices));
	for (uint32_t i = 0; i < chosen; i++)
		choices[i].event = i % 2 ? v->other : v->view;
}

static void call_event(const struct fuzz_views *v, const struct fuzz_step *step)
{
	uint32_t taken;

	switch (step->call % 10) {
	case 0:
		FUZZ_CALL(step, ipk_event_set(v->view));
		break;
	case 1:
		FUZZ_CALL(step, ipk_event_clear(v->view));
		break;
	case 2:
		FUZZ_CALL(step, ipk_event_is_set(v->view));
		FUZZ_CALL(step, ipk_event_take(v->view));
		break;
	case 3:
	case 4: {
		int64_t deadline = fuzz_enter(step);

		since = fuzz_left("ipk_event_wait", ipk_event_wait(v->view, since > 0 ? since : 0, deadline, &taken), 1);
		break;
	}
	case 5:
		choose(v, step);
		FUZZ_CALL(step, ipk_event_begin(choices, chosen, step->argument & 0x20));
		break;
	case 6:
		FUZZ_CALL(step, ipk_event_take_any(choices, chosen));
		FUZZ_CALL(step, ipk_event_take_all(choices, chosen));
		break;
	case 7:
		if (chosen > 0)
			FUZZ_CALL(step, ipk_event_wait_any(choices, chosen, deadline));
		break;
	case 8:
		if (chosen > 0)
			FUZZ_CALL(step, ipk_event_wait_all(choices, chosen, deadline));
		break;
	default:
		FUZZ_VOID_CALL(step, ipk_event_give_back(choices, chosen));
		break;
	}
}

static void call_event_pair(const struct fuzz_views *v, const struct fuzz_step *step)
{
	uint32_t side = number_of(step);
	uint32_t taken;

	switch (step->call % 5) {
	case 0:
		FUZZ_CALL(step, ipk_event_pair_set(v->view, side));
		break;
	case 1:
		FUZZ_CALL(step, ipk_event_pair_take(v->view, side));
		break;
	case 2:
		FUZZ_CALL(step, ipk_event_pair_glance(v->view, side));
		break;
	case 3:
		FUZZ_CALL(step, ipk_event_pair_wait(v->view, side, deadline, &taken));
		break;
	default:
		FUZZ_CALL(step, ipk_event_pair_clear(v->view));
		break;
	}
}

static void call_latch(const struct fuzz_views *v, const struct fuzz_step *step)
{
	switch (step->call % 3) {
	case 0:
		FUZZ_CALL(step, ipk_latch_count_down(v->view, number_of(step)));
		break;
	case 1:
		FUZZ_CALL(step, ipk_latch_wait(v->view, deadline));
		break;
	default:
		FUZZ_CALL(step, ipk_latch_count(v->view));
		break;
	}
}

static void call_once(const struct fuzz_views *v, const struct fuzz_step *step)
{
	switch (step->call % 7) {
	case 0:
		FUZZ_CALL(step, ipk_once_try(v->view));
		break;
	case 1:
		FUZZ_CALL(step, ipk_once_recover(v->view));
		break;
	case 2:
		FUZZ_CALL(step, ipk_once_wait(v->view, deadline));
		break;
	case 3:
		FUZZ_CALL(step, ipk_once_complete(v->view));
		break;
	case 4:
		FUZZ_CALL(step, by_a_thread(step, abandon_once, v->view));
		break;
	case 5:
		FUZZ_CALL(step, ipk_once_close(v->view));
		break;
	default:
		FUZZ_CALL(step, ipk_once_done(v->view));
		FUZZ_CALL(step, ipk_once_mine(v->view));
		ask_owner(v, step);
		break;
	}
}

static void call_atomic(const struct fuzz_views *v, const struct fuzz_step *step)
{
	uint64_t expected = number_of(step);

	FUZZ_VOID_CALL(step, ipk_atomic_load(v->view));
	FUZZ_VOID_CALL(step, ipk_atomic_fetch_add(v->view, expected));
	FUZZ_VOID_CALL(step, ipk_atomic_exchange(v->view, expected));
	FUZZ_CALL(step, ipk_atomic_compare_exchange(v->view, &expected, step->value));
	FUZZ_VOID_CALL(step, ipk_atomic_store(v->view, step->value));
}

static void call_futex(const struct fuzz_views *v, const struct fuzz_step *step)
{
	uint32_t *word = ipk_futex_word(v->view);
	struct ipk_futex_wait_entry entries[2] = {{ipk_futex_load(word), (uintptr_t)word, 0, 0},
						  {number_of(step), (uintptr_t)word, 0, 0}};

	switch (step->call % 5) {
	case 0:
		FUZZ_SLOW_CALL(step, 0, deadline == IPK_NEVER ? 0 : ipk_futex_wait(word, number_of(step), deadline, IPK_FUTEX_ANY));
		break;
	case 1:
		FUZZ_CALL(step, ipk_futex_wake(word, number_of(step), IPK_FUTEX_ANY));
		break;
	case 2:
		FUZZ_CALL(step, ipk_futex_requeue(word, number_of(step), 1, number_of(step), word));
		break;
	case 3:
		FUZZ_CALL(step, ipk_futex_wait_any(entries, 1 + (step->argument & 1U), deadline));
		break;
	default:
		FUZZ_VOID_CALL(step, ipk_futex_store(word, number_of(step)));
		FUZZ_VOID_CALL(step, ipk_futex_compare_exchange(word, ipk_futex_add(word, 1), ipk_futex_exchange(word, 3)));
		break;
	}
}

void fuzz_call(uint32_t kind, const struct fuzz_views *views, const struct fuzz_step *step)
{
	static void (*const calls[])(const struct fuzz_views *, const struct fuzz_step *) = {
		[IPK_SYNC_MUTEX] = call_mutex,
		[IPK_SYNC_RWLOCK] = call_rwlock,
		[IPK_SYNC_SEMAPHORE] = call_semaphore,
		[IPK_SYNC_TRACKED_SEMAPHORE] = call_tracked,
		[IPK_SYNC_EVENT] = call_event,
		[IPK_SYNC_EVENT_PAIR] = call_event_pair,
		[IPK_SYNC_LATCH] = call_latch,
		[IPK_SYNC_ONCE] = call_once,
		[IPK_SYNC_ATOMIC_INT64] = call_atomic,
		[IPK_SYNC_ATOMIC_UINT64] = call_atomic,
		[IPK_SYNC_FUTEX] = call_futex,
	};

	if (kind < sizeof(calls) / sizeof(calls[0]) && calls[kind])
		calls[kind](views, step);
	else
		fuzz_call_waiting_room(kind, views, step);
}

void fuzz_forget(void)
{
	chosen = 0;
	since = 0;
	fuzz_forget_waits();
}
