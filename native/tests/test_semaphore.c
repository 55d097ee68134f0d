/* semaphore.h: permits between processes, and sleepers of whom none is forgotten. */
#include "ipckit/semaphore.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>

#include "sync_object.h"

#define CHILDREN 4
#define ROUNDS 5000
#define PERMITS 2

static struct ipk_sync *const own = &first.view;
static struct member_view mine; /* a child's */

static struct ipk_semaphore_shm *words(void)
{
	return (struct ipk_semaphore_shm *)(void *)own->object;
}

static void set_up(uint32_t value, uint32_t limit, uint32_t options)
{
	ipk_semaphore_format(make_object(IPK_SYNC_SEMAPHORE, options, 0), value, limit);
}

static int take_until(struct ipk_sync *view, int64_t deadline)
{
	uint32_t taken = 0;
	int rc;

	do
		rc = ipk_semaphore_wait(view, deadline, &taken);
	while (rc == -EAGAIN || rc == -EINTR);
	CHECK_EQ(taken, rc == 0);
	return rc;
}

static void take_once(void *unused)
{
	(void)unused;
	attach_view(&mine);
	ipk_sync_set_spin(&mine.view, 0);
	CHECK_EQ(take_until(&mine.view, ipk_monotonic_ns() + LONG), 0);
}

static pid_t blocked(void)
{
	pid_t pid = start(take_once, NULL);

	wait_blocked(pid, SYS_futex, ANY_ADDRESS);
	return pid;
}

static void counts_and_refuses(void)
{
	set_up(2, IPK_SEMAPHORE_VALUE_MAX, 0);
	CHECK_EQ(ipk_semaphore_bounded(own), 0);
	CHECK_EQ(ipk_semaphore_value(own), 2);
	CHECK_EQ(ipk_semaphore_try(own), 0);
	CHECK_EQ(take_until(own, 0), 0);
	CHECK_EQ(ipk_semaphore_try(own), -EAGAIN);
	CHECK_EQ(take_until(own, 0), -ETIMEDOUT);
	CHECK_EQ(take_until(own, after_ms(60)), -ETIMEDOUT); /* more than a slice */
	CHECK_EQ(ipk_semaphore_value(own), 0);
	CHECK_EQ(ipk_semaphore_release(own, 3), 0);
	CHECK_EQ(ipk_semaphore_value(own), 3);
	CHECK_EQ(ipk_semaphore_release(own, IPK_SEMAPHORE_VALUE_MAX - 2), -EOVERFLOW);
	CHECK_EQ(ipk_semaphore_release(own, IPK_SEMAPHORE_VALUE_MAX - 3), 0);
	CHECK_EQ(ipk_semaphore_release(own, 1), -EOVERFLOW);
	CHECK_EQ(ipk_semaphore_value(own), IPK_SEMAPHORE_VALUE_MAX);
	drop_view(&first);
	set_up(1, 1, IPK_SEMAPHORE_BOUNDED);
	CHECK_EQ(ipk_semaphore_bounded(own), 1);
	CHECK_EQ(ipk_semaphore_release(own, 1), -EOVERFLOW);
	CHECK_EQ(ipk_semaphore_try(own), 0);
	CHECK_EQ(ipk_semaphore_release(own, 2), -EOVERFLOW);
	CHECK_EQ(ipk_semaphore_release(own, 1), 0);
	drop_view(&first);
}

static void wakes_as_many_as_it_gives(void)
{
	pid_t pids[3];

	set_up(0, IPK_SEMAPHORE_VALUE_MAX, 0);
	for (int i = 0; i < 3; i++)
		pids[i] = blocked();
	CHECK_EQ(ipk_semaphore_release(own, 3), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(reap(pids[i]), 0);
	CHECK_EQ(ipk_semaphore_value(own), 0);
	for (int i = 0; i < 3; i++)
		pids[i] = blocked();
	for (int i = 0; i < 3; i++) /* the first clears the flag; whoever it wakes passes it on */
		CHECK_EQ(ipk_semaphore_release(own, 1), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(reap(pids[i]), 0);
	CHECK_EQ(ipk_semaphore_value(own), 0);
	drop_view(&first);
}

static void a_dead_waiter_takes_nothing(void)
{
	pid_t first_one, other;

	set_up(0, IPK_SEMAPHORE_VALUE_MAX, 0);
	kill_child(blocked());
	CHECK_EQ(ipk_semaphore_release(own, 1), 0);
	CHECK_EQ(ipk_semaphore_try(own), 0);

	/* one that dies after it was woken, before it has taken what it was woken for: the other looks again */
	first_one = blocked();
	kill(first_one, SIGSTOP);
	wait_stopped(first_one);
	other = blocked();
	CHECK_EQ(ipk_semaphore_release(own, 1), 0);
	kill_child(first_one);
	CHECK_EQ(reap(other), 0);
	CHECK_EQ(ipk_semaphore_value(own), 0);
	drop_view(&first);
}

static void garbage_ends_by_the_deadline(void)
{
	uint64_t seed = random_seed();

	for (int round = 0; round < 300; round++) {
		set_up(1, 1, 0);
		atomic_store(&words()->word, (uint32_t)random_next(&seed));
		words()->limit = (uint32_t)random_next(&seed);
		take_until(own, after_ms(round % 2));
		ipk_semaphore_release(own, 1 + (uint32_t)random_below(&seed, IPK_SEMAPHORE_VALUE_MAX));
		CHECK_RANGE(ipk_semaphore_value(own), 0, IPK_SEMAPHORE_VALUE_MAX);
		drop_view(&first);
	}
}

static _Atomic uint32_t *inside;

static void hammer(void *unused)
{
	struct ipk_sync *view = attach_view(&mine);

	(void)unused;
	for (int round = 0; round < ROUNDS; round++) {
		CHECK_EQ(take_until(view, IPK_NEVER), 0);
		CHECK_RANGE(atomic_fetch_add(inside, 1), 0, PERMITS - 1);
		if (round % 64 == 0)
			sched_yield();
		atomic_fetch_sub(inside, 1);
		CHECK_EQ(ipk_semaphore_release(view, 1), 0);
	}
}

static void never_more_inside_than_permits(void)
{
	pid_t pids[CHILDREN];

	set_up(PERMITS, PERMITS, IPK_SEMAPHORE_BOUNDED);
	for (int i = 0; i < CHILDREN; i++)
		pids[i] = start(hammer, NULL);
	for (int i = 0; i < CHILDREN; i++)
		CHECK_EQ(reap(pids[i]), 0);
	CHECK_EQ(ipk_semaphore_value(own), PERMITS);
	drop_view(&first);
}

int main(void)
{
	watchdog(60, NULL);
	inside = shared_memory(sizeof(*inside));
	RUN(counts_and_refuses);
	RUN(wakes_as_many_as_it_gives);
	RUN(a_dead_waiter_takes_nothing);
	RUN(garbage_ends_by_the_deadline);
	RUN(never_more_inside_than_permits);
	return 0;
}
