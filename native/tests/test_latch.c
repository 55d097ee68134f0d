/* latch.h, once.h, atomic.h: counted, done, added; by processes of which some are killed. */
#include "ipckit/latch.h"

#include <errno.h>
#include <signal.h>

#include "ipckit/atomic.h"
#include "ipckit/once.h"
#include "sync_object.h"

#define CHILDREN 4
#define ROUNDS 50000

static struct ipk_sync *const own = &first.view;
static struct member_view mine; /* a child's */

static int latch_until(struct ipk_sync *view, int64_t deadline)
{
	int rc;

	do
		rc = ipk_latch_wait(view, deadline);
	while (rc == -EAGAIN);
	return rc;
}

static void count_and_wait(void *unused)
{
	(void)unused;
	attach_view(&mine);
	ipk_latch_count_down(&mine.view, 1);
	CHECK_EQ(latch_until(&mine.view, ipk_monotonic_ns() + LONG), 0);
}

static void latch_opens_when_all_have_counted(void)
{
	pid_t pids[CHILDREN];

	ipk_latch_format(make_object(IPK_SYNC_LATCH, 0, 0), CHILDREN + 1);
	CHECK_EQ(latch_until(own, 0), -ETIMEDOUT);
	CHECK_EQ(latch_until(own, after_ms(1)), -ETIMEDOUT);
	for (int i = 0; i < CHILDREN; i++)
		pids[i] = start(count_and_wait, NULL);
	for (int i = 0; i < CHILDREN; i++)
		wait_blocked(pids[i], SYS_futex, ANY_ADDRESS);
	kill_child(pids[0]);
	CHECK_EQ(ipk_latch_count(own), 1);
	CHECK_EQ(ipk_latch_count_down(own, 7), 0);
	for (int i = 1; i < CHILDREN; i++)
		CHECK_EQ(reap(pids[i]), 0);
	CHECK_EQ(latch_until(own, 0), 0);
	CHECK_EQ(ipk_latch_count_down(own, 1), 0);
	drop_view(&first);
}

static int once_until(struct ipk_sync *view, int64_t deadline)
{
	int rc;

	do
		rc = ipk_once_wait(view, deadline);
	while (rc == -EAGAIN);
	return rc;
}

static void begin_and_stay(void *unused)
{
	(void)unused;
	attach_view(&mine);
	CHECK_EQ(ipk_once_try(&mine.view), 0);
	stay();
}

static void find_it_done(void *unused)
{
	(void)unused;
	attach_view(&mine);
	CHECK_EQ(once_until(&mine.view, ipk_monotonic_ns() + LONG), -EALREADY);
}

static void once_is_done_once(void)
{
	pid_t pids[CHILDREN];
	pid_t runner;

	make_object(IPK_SYNC_ONCE, 0, 0);
	runner = start(begin_and_stay, NULL);
	wait_staying(runner);
	CHECK_EQ(ipk_once_try(own), -EAGAIN);
	CHECK_EQ(ipk_once_recover(own), -EAGAIN);
	CHECK_EQ(ipk_once_complete(own), -EPERM);
	CHECK_EQ(once_until(own, after_ms(1)), -ETIMEDOUT);
	kill_child(runner);
	CHECK_EQ(once_until(own, ipk_monotonic_ns() + LONG), 0);
	CHECK_EQ(ipk_once_try(own), -EDEADLK);
	CHECK_EQ(ipk_once_recover(own), -EDEADLK);
	CHECK_EQ(ipk_once_wait(own, 0), -EDEADLK);
	CHECK_EQ(ipk_once_abandon(own), 0);
	CHECK_EQ(ipk_once_try(own), 0);
	for (int i = 0; i < CHILDREN; i++)
		pids[i] = start(find_it_done, NULL);
	for (int i = 0; i < CHILDREN; i++)
		wait_blocked(pids[i], SYS_futex, ANY_ADDRESS);
	CHECK_EQ(ipk_once_done(own), 0);
	CHECK_EQ(ipk_once_complete(own), 0);
	for (int i = 0; i < CHILDREN; i++)
		CHECK_EQ(reap(pids[i]), 0);
	CHECK_EQ(ipk_once_done(own), 1);
	CHECK_EQ(ipk_once_try(own), -EALREADY);
	CHECK_EQ(ipk_once_recover(own), -EALREADY);
	CHECK_EQ(ipk_once_close(own), 0);
	drop_view(&first);
}

static void add(void *unused)
{
	(void)unused;
	attach_view(&mine);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t seen = ipk_atomic_fetch_add(&mine.view, 1);

		while (!ipk_atomic_compare_exchange(&mine.view, &seen, seen + 2))
			continue;
	}
}

static void atomic_sums_are_exact_and_wrap(void)
{
	pid_t pids[CHILDREN];
	uint64_t seen = 1;

	ipk_atomic_format(make_object(IPK_SYNC_ATOMIC_UINT64, 0, 0), UINT64_MAX);
	for (int i = 0; i < CHILDREN; i++)
		pids[i] = start(add, NULL);
	for (int i = 0; i < CHILDREN; i++)
		CHECK_EQ(reap(pids[i]), 0);
	CHECK_EQ(ipk_atomic_load(own), CHILDREN * ROUNDS * 3 - 1);
	CHECK_EQ(ipk_atomic_compare_exchange(own, &seen, 5), 0);
	CHECK_EQ(seen, CHILDREN * ROUNDS * 3 - 1);
	ipk_atomic_store(own, 4);
	CHECK_EQ(ipk_atomic_exchange(own, 6), 4);
	CHECK_EQ(ipk_atomic_load(own), 6);
	drop_view(&first);
}

int main(void)
{
	RUN(latch_opens_when_all_have_counted);
	RUN(once_is_done_once);
	RUN(atomic_sums_are_exact_and_wrap);
	return 0;
}
