/* tracked_semaphore.h: permits that come back from the dead, and only from them. */
#include "ipckit/tracked_semaphore.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>

#include "sync_object.h"

#define HOLDERS 6
#define CHILDREN 3
#define PERMITS 2
#define KILLS 60

static struct ipk_sync *const own = &first.view;
static struct member_view mine; /* a child's */

static struct ipk_tracked_semaphore_shm *words(void)
{
	return (struct ipk_tracked_semaphore_shm *)(void *)own->object;
}

static void set_up(uint32_t limit)
{
	ipk_tracked_semaphore_format(make_object(IPK_SYNC_TRACKED_SEMAPHORE, 0, HOLDERS), limit);
}

static int take_until(struct ipk_sync *view, int64_t deadline)
{
	uint32_t taken = 0;
	int rc;

	do
		rc = ipk_tracked_semaphore_wait(view, deadline, &taken);
	while (rc == -EAGAIN || rc == -EINTR);
	CHECK_EQ(taken, rc == 0);
	return rc;
}

static void take_and_stay(void *permits)
{
	attach_view(&mine);
	for (uintptr_t i = 0; i < (uintptr_t)permits; i++)
		CHECK_EQ(take_until(&mine.view, ipk_monotonic_ns() + LONG), 0);
	stay();
}

static void take_once(void *unused)
{
	(void)unused;
	attach_view(&mine);
	ipk_sync_set_spin(&mine.view, 0);
	CHECK_EQ(take_until(&mine.view, ipk_monotonic_ns() + LONG), 0);
	CHECK_EQ(ipk_tracked_semaphore_release(&mine.view, 1), 0);
}

static pid_t staying(uintptr_t permits)
{
	pid_t pid = start(take_and_stay, (void *)permits);

	wait_staying(pid);
	return pid;
}

static pid_t blocked(void)
{
	pid_t pid = start(take_once, NULL);

	wait_blocked(pid, SYS_futex, ANY_ADDRESS);
	return pid;
}

static void counts_whose_they_are(void)
{
	struct ipk_holder_info who;
	struct member_view second;

	set_up(3);
	attach_view(&second);
	CHECK_EQ(ipk_tracked_semaphore_value(own), 3);
	CHECK_EQ(ipk_holders_get(own, 0, &who), -ENOENT);
	CHECK_EQ(ipk_tracked_semaphore_release(own, 1), -EPERM);
	CHECK_EQ(ipk_tracked_semaphore_try(own), 0);
	CHECK_EQ(ipk_tracked_semaphore_try(own), 0);
	CHECK_EQ(ipk_tracked_semaphore_release(&second.view, 1), -EPERM);
	CHECK_EQ(take_until(&second.view, 0), 0);
	CHECK_EQ(ipk_tracked_semaphore_try(&second.view), -EAGAIN);
	CHECK_EQ(take_until(&second.view, 0), -ETIMEDOUT);
	CHECK_EQ(take_until(&second.view, after_ms(60)), -ETIMEDOUT); /* more than a slice */
	CHECK_EQ(ipk_tracked_semaphore_value(own), 0);
	CHECK_EQ(ipk_holders_get(own, 0, &who), 1);
	CHECK_EQ(who.count, 2);
	CHECK_EQ(who.pid, getpid());
	CHECK_EQ(who.lives, 1);
	CHECK_EQ(ipk_holders_get(own, HOLDERS, &who), -ENOENT);
	CHECK_EQ(ipk_tracked_semaphore_release(own, 3), -EPERM);
	CHECK_EQ(ipk_tracked_semaphore_release(own, 2), 0);
	CHECK_EQ(ipk_holders_get(own, 0, &who), 0);
	CHECK_EQ(ipk_tracked_semaphore_abandon(&second.view), 1);
	CHECK_EQ(ipk_tracked_semaphore_abandon(&second.view), 0);
	CHECK_EQ(ipk_tracked_semaphore_release(&second.view, 1), -EPERM);
	CHECK_EQ(ipk_tracked_semaphore_value(own), 3);
	drop_view(&second);
	drop_view(&first);
}

static void the_dead_give_back_and_the_stopped_do_not(void)
{
	struct ipk_holder_info who;
	pid_t pid;

	set_up(2);
	pid = staying(2);
	kill(pid, SIGSTOP);
	wait_stopped(pid);
	CHECK_EQ(take_until(own, after_ms(110)), -ETIMEDOUT);
	kill_child(pid);
	CHECK_EQ(ipk_holders_get(own, 0, &who) + ipk_holders_get(own, 1, &who), 1);
	CHECK_EQ(who.lives, 0);
	CHECK_EQ(ipk_tracked_semaphore_try(own), -EAGAIN);
	CHECK_EQ(take_until(own, 0), 0); /* it needs not wait for that */
	CHECK_EQ(ipk_tracked_semaphore_value(own), 1);
	CHECK_EQ(take_until(own, 0), 0);
	CHECK_EQ(take_until(own, 0), -ETIMEDOUT);
	drop_view(&first);
}

static void sleepers_share_what_the_dead_had(void)
{
	pid_t pids[3], holder;

	set_up(3);
	holder = staying(3);
	for (int i = 0; i < 3; i++)
		pids[i] = blocked();
	kill_child(holder);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(reap(pids[i]), 0);
	CHECK_EQ(take_until(own, 0), 0);
	CHECK_EQ(ipk_tracked_semaphore_value(own), 2);
	drop_view(&first);
}

static void wakes_those_who_sleep(void)
{
	pid_t pids[3];

	set_up(3);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(ipk_tracked_semaphore_try(own), 0);
	for (int i = 0; i < 3; i++)
		pids[i] = blocked();
	CHECK_EQ(ipk_tracked_semaphore_release(own, 1), 0);
	CHECK_EQ(ipk_tracked_semaphore_release(own, 2), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(reap(pids[i]), 0);
	drop_view(&first);
}

static void enter_guard_and_stay(void *unused)
{
	struct ipk_sync *view = attach_view(&mine);

	(void)unused;
	CHECK_EQ(ipk_lock_try(&((struct ipk_tracked_semaphore_shm *)(void *)view->object)->guard, view->member), 0);
	stay();
}

static void a_death_inside_the_guard_costs_a_slice(void)
{
	pid_t pid;

	set_up(1);
	pid = start(enter_guard_and_stay, NULL);
	wait_staying(pid);
	CHECK_EQ(ipk_tracked_semaphore_try(own), -EAGAIN);
	CHECK_EQ(take_until(own, after_ms(1)), -ETIMEDOUT);
	kill_child(pid);
	CHECK_EQ(take_until(own, ipk_monotonic_ns() + LONG), 0);
	CHECK_EQ(atomic_load(&words()->guard.word) & (IPK_LOCK_DIED | IPK_LOCK_LOST | IPK_MEMBER_ID_MASK), 0);
	CHECK_EQ(ipk_tracked_semaphore_release(own, 1), 0);
	CHECK_EQ(ipk_tracked_semaphore_try(own), 0);
	drop_view(&first);
}

static void a_full_table_is_refused(void)
{
	struct member_view more[HOLDERS];

	set_up(HOLDERS + 1);
	for (int i = 0; i < HOLDERS; i++)
		CHECK_EQ(ipk_tracked_semaphore_try(attach_view(&more[i])), 0);
	CHECK_EQ(ipk_tracked_semaphore_try(own), -ENOSPC);
	CHECK_EQ(take_until(own, after_ms(1)), -ENOSPC);
	CHECK_EQ(ipk_tracked_semaphore_abandon(&more[0].view), 1);
	CHECK_EQ(ipk_tracked_semaphore_try(own), 0);
	for (int i = 0; i < HOLDERS; i++)
		drop_view(&more[i]);
	drop_view(&first);
}

static void garbage_ends_by_the_deadline(void)
{
	uint64_t seed = random_seed();

	for (int round = 0; round < 300; round++) {
		struct ipk_holder_info who;
		unsigned char *bytes;

		set_up(1);
		ipk_sync_set_spin(own, 0);
		CHECK_EQ(ipk_tracked_semaphore_try(own), 0);
		bytes = (unsigned char *)own->object;
		for (uint64_t at = sizeof(struct ipk_sync_shm); at < ipk_holders_size(HOLDERS); at++)
			if (round % 3 == 0 || random_below(&seed, 16) == 0)
				bytes[at] = (unsigned char)random_next(&seed);
		ipk_tracked_semaphore_try(own);
		take_until(own, after_ms(round % 2));
		ipk_tracked_semaphore_release(own, 1);
		for (uint32_t i = 0; ipk_holders_get(own, i, &who) != -ENOENT; i++)
			CHECK(i < HOLDERS);
		CHECK(ipk_tracked_semaphore_value(own) >= 0);
		ipk_tracked_semaphore_abandon(own);
		drop_view(&first);
	}
}

static _Atomic uint64_t *rounds;

static void hammer(void *seed_of)
{
	uint64_t seed = (uint64_t)(uintptr_t)seed_of + 1;
	struct ipk_sync *view = attach_view(&mine);

	for (;;) {
		CHECK_EQ(take_until(view, IPK_NEVER), 0);
		CHECK_RANGE(ipk_holders_sum(view), 1, PERMITS);
		if (random_below(&seed, 4) == 0)
			sched_yield();
		atomic_fetch_add(rounds, 1);
		CHECK_EQ(ipk_tracked_semaphore_release(view, 1), 0);
	}
}

static void kills_at_any_time_lose_and_double_no_permit(void)
{
	uint64_t seed = random_seed();
	pid_t pids[CHILDREN];

	set_up(PERMITS);
	for (uintptr_t i = 0; i < CHILDREN; i++)
		pids[i] = start(hammer, (void *)i);
	for (uintptr_t kill = 0; kill < KILLS; kill++) {
		uint64_t victim = random_below(&seed, CHILDREN);
		uint64_t before = atomic_load(rounds);

		while (atomic_load(rounds) < before + random_below(&seed, 50))
			sched_yield();
		kill_child(pids[victim]);
		pids[victim] = start(hammer, (void *)(kill + CHILDREN));
	}
	for (int i = 0; i < CHILDREN; i++)
		kill_child(pids[i]);
	for (int i = 0; i < PERMITS; i++)
		CHECK_EQ(take_until(own, ipk_monotonic_ns() + LONG), 0);
	CHECK_EQ(take_until(own, 0), -ETIMEDOUT);
	CHECK_EQ(ipk_tracked_semaphore_release(own, PERMITS), 0);
	CHECK_EQ(ipk_tracked_semaphore_value(own), PERMITS);
	drop_view(&first);
}

int main(void)
{
	watchdog(60, NULL);
	rounds = shared_memory(sizeof(*rounds));
	RUN(counts_whose_they_are);
	RUN(the_dead_give_back_and_the_stopped_do_not);
	RUN(sleepers_share_what_the_dead_had);
	RUN(wakes_those_who_sleep);
	RUN(a_death_inside_the_guard_costs_a_slice);
	RUN(a_full_table_is_refused);
	RUN(garbage_ends_by_the_deadline);
	RUN(kills_at_any_time_lose_and_double_no_permit);
	return 0;
}
