/* Events and event pairs between threads, for ThreadSanitizer: what they order is plain data, so that an order that is
 * missing is a race.
 */
#include <errno.h>
#include <stdlib.h>

#include "ipckit/event.h"
#include "ipckit/event_pair.h"
#include "party.h"

static const int64_t budgets[] = {0, IPK_SPIN_DEFAULT_NS}; /* asleep most of the time; awake most of the time */

static struct ipk_event_shm events[ROUNDS];
static struct ipk_event_pair_shm pair;
static struct ipk_sync views[ROUNDS], pair_view;
static uint64_t guarded[4];
static _Atomic uint32_t done;

static void view_of(struct ipk_sync *view, void *object, uint32_t options, int64_t spin_ns)
{
	memset(view, 0, sizeof(*view));
	view->object = object;
	view->options = options;
	ipk_sync_set_spin(view, spin_ns);
}

static void begin(uint32_t options, int64_t spin_ns)
{
	memset(events, 0, sizeof(events));
	memset(&pair, 0, sizeof(pair));
	memset(guarded, 0, sizeof(guarded));
	atomic_store(&done, 0);
	view_of(&pair_view, &pair, 0, spin_ns);
	for (size_t i = 0; i < ROUNDS; i++) {
		view_of(&views[i], &events[i], options, spin_ns);
		events[i].sync.id[0] = i + 1;
	}
}

static void change(void)
{
	for (int i = 0; i < 4; i++)
		guarded[i]++;
	CHECK_EQ(guarded[0], guarded[3]);
}

static void wait_until(struct ipk_sync *view)
{
	uint32_t taken;
	int64_t rc = 0;

	do
		rc = ipk_event_wait(view, rc, IPK_NEVER, &taken);
	while (rc > 0);
	CHECK_EQ(rc, 0);
}

/* --- an auto-reset event is a token --------------------------------------------------------------------------------- */

static void *change_with_the_token(void *unused)
{
	(void)unused;
	for (int i = 0; i < ROUNDS; i++) {
		if (i % 2 || ipk_event_take(&views[0]) < 0)
			wait_until(&views[0]);
		change();
		ipk_event_set(&views[0]);
	}
	return NULL;
}

static void *change_with_any_token(void *unused)
{
	struct ipk_event_choice choices[2] = {{&views[0], 0, 0}, {&views[1], 0, 0}};

	(void)unused;
	for (int i = 0; i < ROUNDS; i++) {
		int rc;

		CHECK_EQ(ipk_event_begin(choices, 2, 1), 0);
		do
			rc = ipk_event_wait_any(choices, 2, IPK_NEVER);
		while (rc == -EAGAIN);
		CHECK_EQ(rc, 1);
		change();
		ipk_event_set(choices[i % 2].event);
	}
	return NULL;
}

static void *change_with_all_tokens(void *unused)
{
	struct ipk_event_choice choices[2] = {{&views[0], 0, 0}, {&views[1], 0, 0}};

	(void)unused;
	for (int i = 0; i < ROUNDS; i++) {
		int rc;

		CHECK_EQ(ipk_event_begin(choices, 2, 1), 0);
		do
			rc = ipk_event_wait_all(choices, 2, IPK_NEVER);
		while (rc == -EAGAIN);
		CHECK_EQ(rc, 0);
		change();
		ipk_event_set(&views[0]);
		ipk_event_set(&views[1]);
	}
	return NULL;
}

static void a_token_orders_what_it_guards(void)
{
	static void *(*const ways[])(void *) = {change_with_the_token, change_with_any_token, change_with_all_tokens};

	for (size_t way = 0; way < 3; way++) {
		for (size_t i = 0; i < 2; i++) {
			begin(IPK_EVENT_AUTO_RESET, budgets[i]);
			ipk_event_set(&views[0]);
			if (way == 2)
				ipk_event_set(&views[1]);
			run_all(ways[way], NULL, 0, PARTIES);
			CHECK_EQ(guarded[0], (uint64_t)PARTIES * ROUNDS);
		}
	}
}

/* --- a manual-reset event tells that something is done -------------------------------------------------------------- */

static uint64_t told[ROUNDS];

static void *tell(void *unused)
{
	(void)unused;
	for (size_t i = 0; i < ROUNDS; i++) {
		told[i] = i + 1;
		ipk_event_set(&views[i]);
		if (i % 3 == 0) /* who waited is released, and still after what was done */
			ipk_event_clear(&views[i]), ipk_event_set(&views[i]);
	}
	return NULL;
}

static void *listen(void *how)
{
	for (size_t i = 0; i < ROUNDS; i++) {
		switch ((uintptr_t)how) {
		case 0:
			wait_until(&views[i]);
			break;
		case 1:
			while (!ipk_event_is_set(&views[i]))
				sched_yield();
			break;
		default:
			while (ipk_event_take(&views[i]) < 0)
				sched_yield();
		}
		CHECK_EQ(told[i], i + 1);
	}
	return NULL;
}

static void *listen_to_all_at_once(void *unused)
{
	struct ipk_event_choice *choices = calloc(ROUNDS, sizeof(*choices));
	int rc;

	(void)unused;
	for (size_t i = 0; i < ROUNDS; i++)
		choices[i].event = &views[i];
	CHECK_EQ(ipk_event_begin(choices, ROUNDS, 0), 0);
	do
		rc = ipk_event_wait_all(choices, ROUNDS, IPK_NEVER);
	while (rc == -EAGAIN);
	CHECK_EQ(rc, 0);
	for (size_t i = 0; i < ROUNDS; i++)
		CHECK_EQ(told[i], i + 1);
	free(choices);
	return NULL;
}

static void an_event_orders_what_was_done_before(void)
{
	for (size_t i = 0; i < 2; i++) {
		pthread_t threads[5];

		begin(0, budgets[i]);
		memset(told, 0, sizeof(told));
		for (uintptr_t how = 0; how < 3; how++)
			threads[how] = run(listen, (void *)how);
		threads[3] = run(listen_to_all_at_once, NULL);
		threads[4] = run(tell, NULL);
		for (int k = 0; k < 5; k++)
			CHECK_EQ(pthread_join(threads[k], NULL), 0);
	}
}

/* --- two sets that count as one ------------------------------------------------------------------------------------- */

static void *write_and_set(void *which)
{
	guarded[(uintptr_t)which] = 7;
	ipk_event_set(&views[0]);
	atomic_fetch_add_explicit(&done, 1, memory_order_relaxed);
	return NULL;
}

static void whoever_consumes_is_after_both_sets(void)
{
	for (uint32_t i = 0; i < 200; i++) {
		pthread_t threads[2];

		begin(i % 2 ? IPK_EVENT_AUTO_RESET : 0, 0);
		for (uintptr_t which = 0; which < 2; which++)
			threads[which] = run(write_and_set, (void *)which);
		while (atomic_load_explicit(&done, memory_order_relaxed) < 2)
			sched_yield();
		CHECK_EQ(ipk_event_take(&views[0]), 0);
		CHECK_EQ(guarded[0] + guarded[1], 14);
		for (int which = 0; which < 2; which++)
			CHECK_EQ(pthread_join(threads[which], NULL), 0);
	}
}

/* --- pairs ------------------------------------------------------------------------------------------------------------ */

static void pair_wait(uint32_t side, int glance)
{
	uint32_t taken;
	int rc = glance ? ipk_event_pair_glance(&pair_view, side) : ipk_event_pair_take(&pair_view, side);

	while (rc == -EAGAIN)
		rc = ipk_event_pair_wait(&pair_view, side, IPK_NEVER, &taken);
	CHECK_EQ(rc, 0);
}

static void *take_turns(void *side)
{
	uint32_t mine = (uint32_t)(uintptr_t)side;

	for (int i = 0; i < ROUNDS; i++) {
		pair_wait(mine, i % 2);
		change();
		ipk_event_pair_set(&pair_view, mine ^ 1);
	}
	return NULL;
}

static void a_pair_orders_the_turns(void)
{
	for (size_t i = 0; i < 2; i++) {
		pthread_t threads[2];

		begin(0, budgets[i]);
		for (uintptr_t side = 0; side < 2; side++)
			threads[side] = run(take_turns, (void *)side);
		ipk_event_pair_set(&pair_view, IPK_EVENT_PAIR_LOW);
		for (int side = 0; side < 2; side++)
			CHECK_EQ(pthread_join(threads[side], NULL), 0);
		CHECK_EQ(guarded[0], 2 * (uint64_t)ROUNDS);
	}
}

int main(void)
{
	RUN(a_token_orders_what_it_guards);
	RUN(an_event_orders_what_was_done_before);
	RUN(whoever_consumes_is_after_both_sets);
	RUN(a_pair_orders_the_turns);
	return 0;
}
