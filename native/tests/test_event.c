/* event.h, event_pair.h: one and many waiters, both kinds, with real processes, some of them killed. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "ipckit/event.h"
#include "ipckit/event_pair.h"
#include "ipckit/futex.h"
#include "support.h"

#define MS INT64_C(1000000)
#define WAITERS 4
#define MANY 200
#define TURNS 2000
#define LATE (4 * IPK_SLICE_NS) /* one slice, and a generous time to be scheduled */
#define TRIES 5			/* of which one must not be late: others may keep the CPU from us */
#define LONG (20000 * MS)	/* nothing waits that long unless it hangs */

struct page {
	struct ipk_event_shm event[MANY];
	struct ipk_event_pair_shm pair;
	_Atomic uint32_t released;
	_Atomic uint32_t stop;
	_Atomic uint64_t sum;
};

static struct page *page;
static struct ipk_sync views[MANY], pair;
static struct ipk_event_choice choices[MANY];

static void view_of(struct ipk_sync *view, void *object, uint32_t options)
{
	memset(view, 0, sizeof(*view));
	view->object = object;
	view->options = options;
	ipk_sync_set_spin(view, 0); /* tests wait until a child sleeps */
}

/* Events that are not set: the first `autos` of them auto-reset. */
static void prepare(uint32_t autos)
{
	memset(page, 0, sizeof(*page));
	view_of(&pair, &page->pair, 0);
	for (uint32_t i = 0; i < MANY; i++) {
		view_of(&views[i], &page->event[i], i < autos ? IPK_EVENT_AUTO_RESET : 0);
		page->event[i].sync.id[0] = i + 1;
		choices[i].event = &views[i];
	}
}

static int64_t in(int64_t ns)
{
	return ipk_monotonic_ns() + ns;
}

static uint32_t word_of(uint32_t which)
{
	return atomic_load(&page->event[which].state.word);
}

static int wait_until(struct ipk_sync *view, int64_t deadline_ns)
{
	uint32_t taken = 0;
	int64_t rc = 0;

	do
		rc = ipk_event_wait(view, rc, deadline_ns, &taken);
	while (rc > 0);
	CHECK_EQ(taken, rc == 0 && ipk_event_auto_reset(view));
	return (int)rc;
}

static void wait_for_first(void *unused)
{
	(void)unused;
	CHECK_EQ(wait_until(&views[0], IPK_NEVER), 0);
	atomic_fetch_add(&page->released, 1);
}

static void start_waiters(pid_t *pids, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		pids[i] = start(wait_for_first, NULL);
		wait_blocked(pids[i], SYS_futex, &page->event[0].state.word);
	}
}

static void set_and_clear(void)
{
	for (uint32_t autos = 0; autos < 2; autos++) {
		prepare(autos);
		CHECK_EQ(ipk_event_auto_reset(&views[0]), (int)autos);
		CHECK_EQ(ipk_event_take(&views[0]), -EAGAIN);
		CHECK_EQ(wait_until(&views[0], 0), -ETIMEDOUT);
		ipk_event_set(&views[0]);
		ipk_event_set(&views[0]);
		CHECK_EQ(ipk_event_is_set(&views[0]), 1);
		CHECK_EQ(ipk_event_take(&views[0]), 0);
		CHECK_EQ(ipk_event_is_set(&views[0]), !autos);
		CHECK_EQ(ipk_event_take(&views[0]), autos ? -EAGAIN : 0);
		ipk_event_clear(&views[0]);
		CHECK_EQ(wait_until(&views[0], in(MS)), -ETIMEDOUT);
		ipk_event_set(&views[0]);
		CHECK_EQ(wait_until(&views[0], 0), 0);
		ipk_event_clear(&views[0]);
		CHECK_EQ(ipk_event_is_set(&views[0]), 0);
	}
}

static void a_set_releases_all_though_a_clear_follows(void)
{
	pid_t pids[WAITERS];

	prepare(0);
	for (int turn = 0; turn < 3; turn++) {
		atomic_store(&page->released, 0);
		start_waiters(pids, WAITERS);
		ipk_event_set(&views[0]);
		ipk_event_clear(&views[0]);
		for (int i = 0; i < WAITERS; i++)
			CHECK_EQ(reap(pids[i]), 0);
		CHECK_EQ(atomic_load(&page->released), WAITERS);
		CHECK_EQ(wait_until(&views[0], 0), -ETIMEDOUT); /* for those who come later it was no set */
	}
}

static void a_set_between_two_slices_counts(void)
{
	uint32_t taken = 0;
	int64_t since;

	prepare(0);
	since = ipk_event_wait(&views[0], 0, in(LONG), &taken); /* a whole slice */
	CHECK(since > 0);
	ipk_event_set(&views[0]);
	ipk_event_clear(&views[0]);
	CHECK_EQ(ipk_event_wait(&views[0], since, in(LONG), &taken), 0);
	CHECK_EQ(taken, 0);
}

static void each_set_releases_one(void)
{
	pid_t pids[WAITERS];

	prepare(1);
	start_waiters(pids, WAITERS);
	for (uint32_t i = 1; i <= WAITERS; i++) {
		ipk_event_set(&views[0]);
		while (atomic_load(&page->released) < i)
			sched_yield();
		CHECK_EQ(atomic_load(&page->released), i);
		CHECK_EQ(ipk_event_is_set(&views[0]), 0);
	}
	for (int i = 0; i < WAITERS; i++)
		CHECK_EQ(reap(pids[i]), 0);
	ipk_event_set(&views[0]);
	CHECK_EQ(word_of(0), 1); /* nobody sleeps, so the flag is gone */
}

/* What takes so long is not late at all of its tries. */
static void in_time(int64_t (*once)(void))
{
	int64_t took = INT64_MAX;

	for (int i = 0; i < TRIES && took > LATE; i++)
		took = once();
	CHECK_RANGE(took, 0, LATE);
}

/* Whether or not the one that dies was the one that the set woke: the other one gets it. */
static int64_t time_of_a_killed_waiters_event(void)
{
	pid_t pids[2];
	int64_t began, took;

	prepare(1);
	start_waiters(pids, 2);
	kill(pids[0], SIGSTOP);
	wait_stopped(pids[0]);
	kill(pids[1], SIGSTOP);
	wait_stopped(pids[1]);
	ipk_event_set(&views[0]);
	kill_child(pids[0]); /* perhaps the one that was woken */
	began = ipk_monotonic_ns();
	kill(pids[1], SIGCONT);
	CHECK_EQ(reap(pids[1]), 0);
	took = ipk_monotonic_ns() - began;
	CHECK_EQ(ipk_event_is_set(&views[0]), 0);
	return took;
}

static void a_killed_waiter_leaves_the_event_to_others(void)
{
	in_time(time_of_a_killed_waiters_event);
}

static int64_t time_of_a_set_without_its_wake_up(void)
{
	int64_t began;
	pid_t pid;

	prepare(1);
	start_waiters(&pid, 1);
	began = ipk_monotonic_ns();
	atomic_exchange(&page->event[0].state.word, 1); /* as a setter leaves it that is killed before its wake-up */
	CHECK_EQ(reap(pid), 0);
	return ipk_monotonic_ns() - began;
}

static void a_set_without_its_wake_up_is_found(void)
{
	in_time(time_of_a_set_without_its_wake_up);
}

static void consume(void *unused)
{
	(void)unused;
	while (wait_until(&views[0], IPK_NEVER) == 0) {
		if (atomic_load(&page->stop))
			break;
		atomic_fetch_add(&page->released, 1);
		ipk_event_set(&views[1]);
	}
	ipk_event_set(&views[0]); /* the next one is to stop, too */
}

/* Every set that was seen consumed has released one, among several consumers, of which some spin. */
static void no_set_is_lost_among_several_consumers(void)
{
	pid_t pids[WAITERS];

	prepare(2);
	for (uint32_t i = 0; i < WAITERS; i++) {
		ipk_sync_set_spin(&views[0], i % 2 ? IPK_SPIN_DEFAULT_NS : 0);
		pids[i] = start(consume, NULL);
	}
	for (uint32_t i = 1; i <= TURNS; i++) {
		ipk_event_set(&views[0]);
		CHECK_EQ(wait_until(&views[1], in(20000 * MS)), 0);
		CHECK_EQ(atomic_load(&page->released), i);
	}
	atomic_store(&page->stop, 1);
	ipk_event_set(&views[0]);
	for (uint32_t i = 0; i < WAITERS; i++)
		CHECK_EQ(reap(pids[i]), 0);
}

static void any_takes_what_is_set(void)
{
	prepare(2); /* 0 and 1 are auto-reset */
	CHECK_EQ(ipk_event_begin(choices, 4, 0), 0);
	CHECK_EQ(ipk_event_take_any(choices, 4), -EAGAIN);
	CHECK_EQ(ipk_event_wait_any(choices, 4, in(MS)), -ETIMEDOUT);
	ipk_event_set(&views[1]);
	ipk_event_set(&views[3]);
	CHECK_EQ(ipk_event_wait_any(choices, 4, IPK_NEVER), 2);
	CHECK_EQ(choices[0].taken | choices[2].taken, 0);
	CHECK_EQ(choices[1].taken & choices[3].taken, 1);
	CHECK_EQ(ipk_event_is_set(&views[1]), 0);
	CHECK_EQ(ipk_event_is_set(&views[3]), 1);
	ipk_event_give_back(choices, 4);
	CHECK_EQ(ipk_event_is_set(&views[1]), 1);
	CHECK_EQ(ipk_event_is_set(&views[0]), 0);
}

static void all_are_taken_or_none(void)
{
	prepare(2);
	CHECK_EQ(ipk_event_begin(choices, 3, 1), 0);
	choices[2].event = &views[0];
	CHECK_EQ(ipk_event_begin(choices, 3, 1), -EDEADLK);
	CHECK_EQ(ipk_event_begin(choices, 3, 0), 0);
	choices[2].event = &views[2];
	ipk_event_set(&views[0]);
	ipk_event_set(&views[2]);
	CHECK_EQ(ipk_event_take_all(choices, 3), -EAGAIN);
	CHECK_EQ(ipk_event_wait_all(choices, 3, in(MS)), -ETIMEDOUT);
	CHECK_EQ(ipk_event_is_set(&views[0]), 1);
	ipk_event_set(&views[1]);
	CHECK_EQ(ipk_event_wait_all(choices, 3, IPK_NEVER), 0);
	CHECK_EQ(ipk_event_is_set(&views[0]) | ipk_event_is_set(&views[1]), 0);
	CHECK_EQ(ipk_event_is_set(&views[2]), 1);
}

static uint32_t how_many;

static void wait_for_any(void *unused)
{
	int rc;

	(void)unused;
	CHECK_EQ(ipk_event_begin(choices, how_many, 0), 0);
	do
		rc = ipk_event_wait_any(choices, how_many, IPK_NEVER);
	while (rc == -EAGAIN);
	CHECK_EQ(rc, 1);
	CHECK_EQ(choices[how_many - 1].taken, 1);
}

static void wait_for_all(void *unused)
{
	int rc;

	(void)unused;
	CHECK_EQ(ipk_event_begin(choices, how_many, 1), 0);
	do
		rc = ipk_event_wait_all(choices, how_many, IPK_NEVER);
	while (rc == -EAGAIN);
	CHECK_EQ(rc, 0);
}

/* What a wait for any sleeps in; a wait for all sleeps on one at a time. */
static long call_for(uint32_t count)
{
	return count > 1 && count <= IPK_FUTEX_WAITV_MAX && ipk_futex_has_waitv() ? SYS_futex_waitv : SYS_futex;
}

static void any_of_few_and_of_many(void)
{
	const uint32_t counts[] = {1, 2, IPK_FUTEX_WAITV_MAX, MANY};

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		pid_t pid;

		prepare(MANY / 2);
		how_many = counts[i];
		pid = start(wait_for_any, NULL);
		wait_blocked(pid, call_for(how_many), ANY_ADDRESS);
		ipk_event_set(&views[how_many - 1]);
		CHECK_EQ(reap(pid), 0);
	}
}

static void all_of_few_and_of_many(void)
{
	const uint32_t counts[] = {1, 2, IPK_FUTEX_WAITV_MAX, MANY};

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		pid_t pid;

		prepare(MANY / 2);
		how_many = counts[i];
		pid = start(wait_for_all, NULL);
		for (uint32_t k = how_many; k-- > 0;) {
			if (k == 0)
				wait_blocked(pid, SYS_futex, ANY_ADDRESS);
			ipk_event_set(&views[k]);
		}
		CHECK_EQ(reap(pid), 0);
		for (uint32_t k = 0; k < how_many; k++)
			CHECK_EQ(ipk_event_is_set(&views[k]), k >= MANY / 2);
	}
}

/* A waiter for all that was woken, but not for all, lets another one have it, at once. */
static int64_t time_of_a_wake_up_that_is_not_enough(void)
{
	pid_t all[2], one;
	int64_t began, took;

	prepare(2);
	how_many = 2;
	all[0] = start(wait_for_all, NULL);
	all[1] = start(wait_for_all, NULL);
	wait_blocked(all[0], SYS_futex, ANY_ADDRESS);
	wait_blocked(all[1], SYS_futex, ANY_ADDRESS);
	start_waiters(&one, 1);
	began = ipk_monotonic_ns();
	ipk_event_set(&views[0]);
	CHECK_EQ(reap(one), 0);
	took = ipk_monotonic_ns() - began;
	for (int i = 0; i < 2; i++) {
		ipk_event_set(&views[1]);
		ipk_event_set(&views[0]);
		while (ipk_event_is_set(&views[0]))
			sched_yield();
	}
	CHECK_EQ(reap(all[0]), 0);
	CHECK_EQ(reap(all[1]), 0);
	return took;
}

static void a_wake_up_that_is_not_enough_is_passed_on(void)
{
	in_time(time_of_a_wake_up_that_is_not_enough);
}

static void answer(void *unused)
{
	uint32_t taken;
	int rc;

	(void)unused;
	for (int i = 0; i < TURNS; i++) {
		do
			rc = ipk_event_pair_wait(&pair, IPK_EVENT_PAIR_LOW, IPK_NEVER, &taken);
		while (rc == -EAGAIN);
		CHECK_EQ(rc, 0);
		atomic_store_explicit(&page->sum, atomic_load_explicit(&page->sum, memory_order_relaxed) + 1,
				      memory_order_relaxed);
		ipk_event_pair_set(&pair, IPK_EVENT_PAIR_HIGH);
	}
}

static void a_pair_takes_turns(void)
{
	for (int spinning = 0; spinning < 2; spinning++) {
		uint32_t taken = 0;
		pid_t pid;

		prepare(0);
		ipk_sync_set_spin(&pair, spinning ? IPK_SPIN_DEFAULT_NS : 0);
		CHECK_EQ(ipk_event_pair_take(&pair, IPK_EVENT_PAIR_HIGH), -EAGAIN);
		CHECK_EQ(ipk_event_pair_wait(&pair, IPK_EVENT_PAIR_HIGH, in(MS), &taken), -ETIMEDOUT);
		CHECK_EQ(taken, 0);
		pid = start(answer, NULL);
		for (uint64_t i = 1; i <= TURNS; i++) {
			int rc;

			ipk_event_pair_set(&pair, IPK_EVENT_PAIR_LOW);
			do
				rc = ipk_event_pair_wait(&pair, IPK_EVENT_PAIR_HIGH, in(20000 * MS), &taken);
			while (rc == -EAGAIN);
			CHECK_EQ(rc, 0);
			CHECK_EQ(atomic_load_explicit(&page->sum, memory_order_relaxed), i);
		}
		CHECK_EQ(taken, 1);
		CHECK_EQ(reap(pid), 0);
		ipk_event_pair_set(&pair, IPK_EVENT_PAIR_LOW);
		ipk_event_pair_set(&pair, IPK_EVENT_PAIR_HIGH);
		ipk_event_pair_clear(&pair);
		CHECK_EQ(ipk_event_pair_take(&pair, IPK_EVENT_PAIR_LOW), -EAGAIN);
		CHECK_EQ(ipk_event_pair_take(&pair, IPK_EVENT_PAIR_HIGH), -EAGAIN);
	}
}

/* Whatever a hostile peer writes, calls end, and the object works again after the next set. */
static void any_bytes_are_survived(void)
{
	uint64_t random = random_seed();

	for (int i = 0; i < 200; i++) {
		uint32_t autos = (uint32_t)random_below(&random, 2);

		prepare(autos);
		atomic_store(&page->event[0].state.word, (uint32_t)random_next(&random));
		atomic_store(&page->event[0].state.cpu, (uint32_t)random_next(&random));
		(void)wait_until(&views[0], in(MS / 10));
		CHECK_EQ(ipk_event_begin(choices, 2, 1), 0);
		(void)ipk_event_wait_any(choices, 2, in(MS / 10));
		(void)ipk_event_wait_all(choices, 2, in(MS / 10));
		ipk_event_set(&views[0]);
		CHECK_EQ(wait_until(&views[0], 0), 0);
		ipk_event_clear(&views[0]);
		CHECK_EQ(wait_until(&views[0], 0), -ETIMEDOUT);
	}
}

int main(void)
{
	page = shared_memory(sizeof(*page));
	RUN(set_and_clear);
	RUN(a_set_releases_all_though_a_clear_follows);
	RUN(a_set_between_two_slices_counts);
	RUN(each_set_releases_one);
	RUN(a_killed_waiter_leaves_the_event_to_others);
	RUN(a_set_without_its_wake_up_is_found);
	RUN(no_set_is_lost_among_several_consumers);
	RUN(any_takes_what_is_set);
	RUN(all_are_taken_or_none);
	RUN(any_of_few_and_of_many);
	RUN(all_of_few_and_of_many);
	RUN(a_wake_up_that_is_not_enough_is_passed_on);
	RUN(a_pair_takes_turns);
	RUN(any_bytes_are_survived);
	return 0;
}
