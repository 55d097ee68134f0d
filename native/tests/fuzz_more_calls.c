/* Every entry point of the kinds that have a table of those who wait, and those that any bytes are given to. */
#include <string.h>

#include "fuzz.h"
#include "ipckit/barrier.h"
#include "ipckit/condition.h"

static struct ipk_condition_wait condition_waits[2]; /* one for each view */
static struct ipk_barrier_wait barrier_waits[2];

void fuzz_forget_waits(void)
{
	memset(condition_waits, 0, sizeof(condition_waits));
	memset(barrier_waits, 0, sizeof(barrier_waits));
}

static void call_condition(const struct fuzz_views *v, const struct fuzz_step *step)
{
	struct ipk_condition_wait *wait = &condition_waits[step->argument >> 7];
	struct ipk_sync *mutex = v->mutex;
	struct ipk_participant_info who;
	int32_t lives;
	uint64_t of[2];

	switch (step->call % 10) {
	case 0:
		FUZZ_CALL(step, ipk_mutex_try(mutex));
		break;
	case 1:
		FUZZ_CALL(step, ipk_mutex_release(mutex));
		break;
	case 2:
	case 3:
		if (wait->phase == IPK_CONDITION_OUTSIDE)
			FUZZ_CALL(step, ipk_condition_begin(v->view, mutex, wait));
		break;
	case 4:
	case 5:
		if (wait->phase != IPK_CONDITION_OUTSIDE) /* first for the notification, then for the mutex */
			FUZZ_SLOW_CALL(step, 2, ipk_condition_wait(v->view, mutex, wait, deadline));
		break;
	case 6:
		FUZZ_VOID_CALL(step, ipk_condition_leave(v->view, wait));
		break;
	case 7:
		FUZZ_CALL(step, ipk_condition_notify(v->view, mutex, 1 + (step->argument & 7U)));
		break;
	case 8:
		FUZZ_CALL(step, ipk_condition_notify(v->view, mutex, UINT32_MAX));
		break;
	default:
		FUZZ_CALL(step, ipk_condition_waiters(v->view));
		FUZZ_CALL(step, ipk_condition_of(v->view, of));
		FUZZ_CALL(step, ipk_condition_waiter(v->view, step->argument & 0x7FU, &who, &lives));
		break;
	}
}

static void call_barrier(const struct fuzz_views *v, const struct fuzz_step *step)
{
	struct ipk_barrier_wait *wait = &barrier_waits[step->argument >> 7];
	struct ipk_participant_info who;
	int32_t lives;

	switch (step->call % 9) {
	case 0:
		if (wait->phase == IPK_BARRIER_OUTSIDE) {
			wait->acts = step->argument & 1;
			FUZZ_CALL(step, ipk_barrier_arrive(v->view, wait));
		}
		break;
	case 1:
	case 2:
	case 3: /* waits for the guard, for the others, and for the guard again */
		if (wait->phase != IPK_BARRIER_ACTING)
			FUZZ_SLOW_CALL(step, 3, ipk_barrier_wait(v->view, wait, deadline));
		break;
	case 4:
		if (wait->phase == IPK_BARRIER_ACTING)
			FUZZ_CALL(step, ipk_barrier_release(v->view, wait));
		break;
	case 5:
		FUZZ_VOID_CALL(step, ipk_barrier_leave(v->view, wait));
		break;
	case 6:
		FUZZ_CALL(step, ipk_barrier_end(v->view, step->argument & 1));
		break;
	case 7:
		FUZZ_VOID_CALL(step, ipk_barrier_forget(v->view));
		break;
	default:
		FUZZ_CALL(step, ipk_barrier_broken(v->view));
		FUZZ_CALL(step, ipk_barrier_waiting(v->view));
		FUZZ_CALL(step, ipk_barrier_party(v->view, step->argument & 0x7FU, &who, &lives));
		break;
	}
}

void fuzz_call_waiting_room(uint32_t kind, const struct fuzz_views *views, const struct fuzz_step *step)
{
	if (kind == IPK_SYNC_CONDITION)
		call_condition(views, step);
	else if (kind == IPK_SYNC_BARRIER)
		call_barrier(views, step);
}
