/* rwlock.h: readers and writers of several processes, their turns, and their deaths. */
#include "ipckit/rwlock.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>

#include "sync_object.h"

#define READERS 4
#define ROUNDS 3000

static struct ipk_sync *const own = &first.view;
static struct member_view second;

static struct ipk_rwlock_shm *words(void)
{
	return (struct ipk_rwlock_shm *)(void *)own->object;
}

static void set_up(void)
{
	make_object(IPK_SYNC_RWLOCK, 0, READERS);
	attach_view(&second);
}

static void tear_down(void)
{
	drop_view(&second);
	drop_view(&first);
}

static int read_until(struct ipk_sync *view, int64_t deadline)
{
	uint32_t taken = 0;
	int rc;

	do
		rc = ipk_rwlock_read_wait(view, deadline, &taken);
	while (rc == -EAGAIN || rc == -EINTR);
	CHECK_EQ(taken, rc == 0 || rc == -EOWNERDEAD);
	return rc;
}

static int write_until(struct ipk_sync *view, int64_t deadline)
{
	int rc;

	do
		rc = ipk_rwlock_write_wait(view, deadline);
	while (rc == -EAGAIN || rc == -EINTR);
	return rc;
}

/* --- what children do ---------------------------------------------------------------------------------------------- */

static struct member_view mine;

static void read_and_stay(void *unused)
{
	(void)unused;
	CHECK_EQ(read_until(attach_view(&mine), LONG + ipk_monotonic_ns()), 0);
	stay();
}

static void write_and_stay(void *unused)
{
	(void)unused;
	CHECK_EQ(write_until(attach_view(&mine), LONG + ipk_monotonic_ns()), 0);
	stay();
}

static void read_once(void *unused)
{
	(void)unused;
	CHECK_EQ(read_until(attach_view(&mine), LONG + ipk_monotonic_ns()), 0);
	CHECK_EQ(ipk_rwlock_read_release(&mine.view), 0);
}

static void write_once(void *unused)
{
	(void)unused;
	CHECK_EQ(write_until(attach_view(&mine), LONG + ipk_monotonic_ns()), 0);
	CHECK_EQ(ipk_rwlock_write_release(&mine.view), 0);
}

static pid_t staying(void (*function)(void *))
{
	pid_t pid = start(function, NULL);

	wait_staying(pid);
	return pid;
}

static pid_t blocked(void (*function)(void *))
{
	pid_t pid = start(function, NULL);

	wait_blocked(pid, SYS_futex, ANY_ADDRESS);
	return pid;
}

/* Wait until the child sleeps, and has said so by a bit of the word: its mapping is another one than ours. */
static void wait_asleep(pid_t pid, const _Atomic uint32_t *word, uint32_t bit)
{
	while (!(atomic_load(word) & bit))
		sched_yield();
	wait_blocked(pid, SYS_futex, ANY_ADDRESS);
}

/* --- tests --------------------------------------------------------------------------------------------------------- */

static void readers_share_and_writers_do_not(void)
{
	struct ipk_sync *other = &second.view;

	set_up();
	CHECK_EQ(ipk_rwlock_read_try(own), 0);
	CHECK_EQ(ipk_rwlock_read_try(own), 0);
	CHECK_EQ(ipk_rwlock_read_try(other), 0);
	CHECK_EQ(ipk_rwlock_write_try(other), -EAGAIN);
	CHECK_EQ(write_until(other, 0), -ETIMEDOUT);
	CHECK_EQ(write_until(other, after_ms(1)), -ETIMEDOUT);
	CHECK_EQ(ipk_rwlock_read_release(own), 0);
	CHECK_EQ(ipk_rwlock_read_release(own), 0);
	CHECK_EQ(ipk_rwlock_read_release(own), -EPERM);
	CHECK_EQ(ipk_rwlock_write_try(own), -EAGAIN);
	CHECK_EQ(ipk_rwlock_read_release(other), 0);

	CHECK_EQ(ipk_rwlock_write_try(own), 0);
	CHECK_EQ(ipk_rwlock_write_try(own), -EDEADLK);
	CHECK_EQ(write_until(own, after_ms(1)), -EDEADLK);
	CHECK_EQ(read_until(own, after_ms(1)), -EDEADLK);
	CHECK_EQ(ipk_rwlock_read_try(other), -EAGAIN);
	CHECK_EQ(ipk_rwlock_write_try(other), -EAGAIN);
	CHECK_EQ(read_until(other, 0), -ETIMEDOUT);
	CHECK_EQ(read_until(other, after_ms(60)), -ETIMEDOUT); /* more than a slice */
	CHECK_EQ(ipk_rwlock_write_release(other), -EPERM);
	CHECK_EQ(ipk_rwlock_downgrade(other), -EPERM);
	CHECK_EQ(ipk_rwlock_consistent(other), -EPERM);
	CHECK_EQ(ipk_rwlock_write_undo(other), 0);
	CHECK_EQ(ipk_rwlock_write_release(own), 0);
	CHECK_EQ(ipk_rwlock_write_release(own), -EPERM);
	CHECK_EQ(ipk_rwlock_read_try(other), 0);
	CHECK_EQ(ipk_rwlock_read_release(other), 0);
	CHECK_EQ(atomic_load(&words()->gate), 0);
	tear_down();
}

static void downgrade_lets_no_writer_between(void)
{
	pid_t pid;

	set_up();
	CHECK_EQ(ipk_rwlock_write_try(own), 0);
	pid = blocked(write_once);
	CHECK_EQ(ipk_rwlock_downgrade(own), 0);
	CHECK_EQ(ipk_holders_sum(own), 1);
	CHECK_EQ(ipk_rwlock_write_release(own), -EPERM);
	wait_asleep(pid, &words()->asleep, 1);
	CHECK_EQ(ipk_rwlock_read_release(own), 0);
	CHECK_EQ(reap(pid), 0);
	tear_down();
}

static void a_waiting_writer_keeps_new_readers_out(void)
{
	pid_t pid;

	set_up();
	CHECK_EQ(ipk_rwlock_read_try(own), 0);
	pid = start(write_once, NULL);
	wait_asleep(pid, &words()->asleep, 1);
	CHECK_EQ(ipk_rwlock_read_try(&second.view), -EAGAIN);
	CHECK_EQ(ipk_rwlock_write_try(&second.view), -EAGAIN);
	CHECK_EQ(ipk_rwlock_read_release(own), 0);
	CHECK_EQ(reap(pid), 0);
	CHECK_EQ(ipk_rwlock_read_try(&second.view), 0);
	tear_down();
}

static void a_waiting_reader_goes_before_the_next_writer(void)
{
	pid_t pid;
	int64_t opened;
	int rc;

	set_up();
	CHECK_EQ(ipk_rwlock_write_try(own), 0);
	pid = start(read_and_stay, NULL);
	wait_asleep(pid, &words()->gate, IPK_LOCK_WAITERS);
	kill(pid, SIGSTOP);
	wait_stopped(pid);
	CHECK_EQ(ipk_rwlock_write_release(own), 0);
	opened = (int64_t)atomic_load(&words()->opened);
	rc = ipk_rwlock_write_try(&second.view);
	if (ipk_monotonic_ns() - opened < IPK_SLICE_NS)
		CHECK_EQ(rc, -EAGAIN);
	/* one that is stopped is passed over, but not at once, and then again at once */
	if (rc != 0)
		CHECK_EQ(write_until(&second.view, LONG + ipk_monotonic_ns()), 0);
	CHECK(ipk_monotonic_ns() - opened >= IPK_SLICE_NS);
	CHECK_EQ(ipk_rwlock_write_release(&second.view), 0);
	CHECK_EQ(ipk_rwlock_write_try(&second.view), 0);
	CHECK_EQ(ipk_rwlock_write_release(&second.view), 0);
	kill(pid, SIGCONT);
	wait_staying(pid);
	CHECK_EQ(ipk_rwlock_write_try(&second.view), -EAGAIN);
	kill_child(pid);
	tear_down();
}

static void a_dead_reader_is_taken_off(void)
{
	set_up();
	kill_child(staying(read_and_stay));
	CHECK_EQ(ipk_rwlock_write_try(own), -EAGAIN);
	CHECK_EQ(write_until(own, 0), 0); /* it needs not wait for that */
	CHECK_EQ(ipk_rwlock_write_release(own), 0);
	kill_child(staying(read_and_stay));
	CHECK_EQ(write_until(own, ipk_monotonic_ns() + LONG), 0);
	CHECK_EQ(ipk_rwlock_write_release(own), 0);
	tear_down();
}

static void a_stopped_reader_is_not(void)
{
	pid_t pid;

	set_up();
	pid = staying(read_and_stay);
	kill(pid, SIGSTOP);
	wait_stopped(pid);
	CHECK_EQ(write_until(own, after_ms(110)), -ETIMEDOUT);
	kill_child(pid);
	CHECK_EQ(write_until(own, 0), 0);
	tear_down();
}

static void a_dead_waiter_is_in_nobodys_way(void)
{
	pid_t pid;

	set_up();
	CHECK_EQ(ipk_rwlock_write_try(own), 0);
	pid = start(read_and_stay, NULL);
	wait_asleep(pid, &words()->gate, IPK_LOCK_WAITERS);
	kill_child(pid);
	CHECK_EQ(ipk_rwlock_write_release(own), 0);
	CHECK_EQ(write_until(own, ipk_monotonic_ns() + LONG), 0);
	CHECK_EQ(ipk_rwlock_write_release(own), 0);

	/* a writer that waits for readers, with the gate shut */
	CHECK_EQ(ipk_rwlock_read_try(own), 0);
	pid = start(write_and_stay, NULL);
	wait_asleep(pid, &words()->asleep, 1);
	kill_child(pid);
	CHECK_EQ(ipk_rwlock_read_try(&second.view), -EAGAIN);
	CHECK_EQ(read_until(&second.view, 0), 0); /* it had not changed anything, and so nobody is told */
	CHECK_EQ(ipk_rwlock_read_release(&second.view), 0);
	CHECK_EQ(ipk_rwlock_read_release(own), 0);
	CHECK_EQ(write_until(own, 0), 0);
	tear_down();
}

static void the_death_of_a_writer_is_told(void)
{
	set_up();
	kill_child(staying(write_and_stay));
	CHECK_EQ(ipk_rwlock_read_try(own), -EAGAIN);
	CHECK_EQ(read_until(own, ipk_monotonic_ns() + LONG), -EOWNERDEAD);
	CHECK_EQ(ipk_rwlock_read_try(own), -EOWNERDEAD);
	CHECK_EQ(ipk_rwlock_read_release(own), 0);
	CHECK_EQ(ipk_rwlock_read_release(own), 0);
	CHECK_EQ(write_until(own, ipk_monotonic_ns() + LONG), -EOWNERDEAD);
	CHECK_EQ(ipk_rwlock_downgrade(own), 0); /* not put right: all go on being told */
	CHECK_EQ(ipk_rwlock_read_try(&second.view), -EOWNERDEAD);
	CHECK_EQ(ipk_rwlock_read_release(&second.view), 0);
	CHECK_EQ(write_until(&second.view, after_ms(1)), -ETIMEDOUT);
	CHECK_EQ(ipk_rwlock_read_release(own), 0);
	CHECK_EQ(ipk_rwlock_write_try(&second.view), -EOWNERDEAD);
	CHECK_EQ(ipk_rwlock_write_undo(&second.view), 1);
	CHECK_EQ(ipk_rwlock_write_try(own), -EOWNERDEAD);
	CHECK_EQ(ipk_rwlock_consistent(own), 0);
	CHECK_EQ(ipk_rwlock_write_release(own), 0);
	CHECK_EQ(ipk_rwlock_read_try(own), 0);
	CHECK_EQ(ipk_rwlock_read_release(own), 0);
	CHECK_EQ(ipk_rwlock_write_try(own), 0);
	CHECK_EQ(ipk_rwlock_abandon(own), 1); /* as a death */
	CHECK_EQ(ipk_rwlock_read_try(&second.view), -EOWNERDEAD);
	CHECK_EQ(ipk_rwlock_read_release(&second.view), 0);
	CHECK_EQ(ipk_rwlock_write_try(&second.view), -EOWNERDEAD);
	CHECK_EQ(ipk_rwlock_write_release(&second.view), 0); /* not put right: lost */
	CHECK_EQ(ipk_rwlock_read_try(own), -ENOTRECOVERABLE);
	CHECK_EQ(read_until(own, after_ms(1)), -ENOTRECOVERABLE);
	CHECK_EQ(ipk_rwlock_write_try(own), -ENOTRECOVERABLE);
	CHECK_EQ(write_until(own, after_ms(1)), -ENOTRECOVERABLE);
	tear_down();
}

static void a_wait_that_is_undone_leaves_nothing(void)
{
	pid_t pid;

	set_up();
	CHECK_EQ(ipk_rwlock_read_try(&second.view), 0);
	CHECK_EQ(ipk_rwlock_write_wait(own, IPK_NEVER), -EAGAIN); /* a slice; the gate is shut */
	CHECK_EQ(ipk_rwlock_write_try(own), -EDEADLK);
	CHECK_EQ(ipk_rwlock_write_release(own), -EPERM);
	pid = blocked(read_once);
	CHECK_EQ(ipk_rwlock_write_undo(own), 1);
	CHECK_EQ(ipk_rwlock_write_undo(own), 0);
	CHECK_EQ(reap(pid), 0);
	CHECK_EQ(ipk_rwlock_read_release(&second.view), 0);
	CHECK_EQ(ipk_rwlock_write_try(own), 0);
	CHECK_EQ(ipk_rwlock_write_undo(own), 1); /* as if it had never come */
	CHECK_EQ(ipk_rwlock_read_try(own), 0);
	tear_down();
}

static void a_full_table_is_refused_until_somebody_dies(void)
{
	struct member_view more[READERS - 1];
	pid_t pid;

	set_up();
	pid = staying(read_and_stay);
	for (int i = 0; i < READERS - 1; i++)
		CHECK_EQ(ipk_rwlock_read_try(attach_view(&more[i])), 0);
	CHECK_EQ(ipk_rwlock_read_try(own), -ENOSPC);
	CHECK_EQ(read_until(own, after_ms(1)), -ENOSPC);
	CHECK_EQ(ipk_rwlock_write_try(own), -EAGAIN);
	kill_child(pid);
	CHECK_EQ(ipk_rwlock_read_try(own), 0);
	CHECK_EQ(ipk_rwlock_read_try(&second.view), -ENOSPC);
	CHECK_EQ(ipk_rwlock_abandon(&more[0].view), 0);
	CHECK_EQ(ipk_rwlock_read_try(&second.view), 0);
	CHECK_EQ(ipk_rwlock_abandon(own), 0);
	for (int i = 0; i < READERS - 1; i++)
		drop_view(&more[i]);
	tear_down();
}

static void hold_nothing(void *unused)
{
	(void)unused;
	ipk_member_forked(own->member);
	CHECK_EQ(ipk_rwlock_read_release(own), -EPERM);
	CHECK_EQ(ipk_rwlock_read_try(own), 0); /* an entry of its own */
	CHECK_EQ(ipk_holders_sum(own), 2);
	CHECK_EQ(ipk_rwlock_read_release(own), 0);
	CHECK_EQ(ipk_rwlock_abandon(own), 0);
}

static void a_forked_child_holds_nothing(void)
{
	set_up();
	CHECK_EQ(ipk_rwlock_read_try(own), 0);
	CHECK_EQ(reap(start(hold_nothing, NULL)), 0);
	CHECK_EQ(ipk_holders_sum(own), 1);
	CHECK_EQ(ipk_rwlock_read_release(own), 0);
	tear_down();
}

static void garbage_ends_by_the_deadline(void)
{
	uint64_t seed = random_seed();

	for (int round = 0; round < 300; round++) {
		unsigned char *bytes;
		uint64_t size = ipk_holders_size(READERS);

		set_up();
		ipk_sync_set_spin(own, 0);
		CHECK_EQ(ipk_rwlock_read_try(own), 0);
		bytes = (unsigned char *)own->object;
		for (uint64_t at = sizeof(struct ipk_sync_shm); at < size; at++)
			if (round % 3 == 0 || random_below(&seed, 16) == 0)
				bytes[at] = (unsigned char)random_next(&seed);
		for (int i = 0; i < 4; i++) {
			struct ipk_sync *view = i % 2 ? own : &second.view;

			ipk_rwlock_read_try(view);
			read_until(view, after_ms(round % 2));
			ipk_rwlock_read_release(view);
			ipk_rwlock_write_try(view);
			write_until(view, after_ms(round % 2));
			ipk_rwlock_consistent(view);
			ipk_rwlock_downgrade(view);
			ipk_rwlock_write_release(view);
			ipk_rwlock_abandon(view);
		}
		tear_down();
	}
}

static struct {
	_Atomic uint64_t rounds, told;
	uint64_t left, right; /* changed by writers only, one after the other */
} *shared;

static void hammer(void *argument)
{
	uint64_t seed = (uint64_t)(uintptr_t)argument + 1;
	struct ipk_sync *view = attach_view(&mine);

	for (int round = 0; round < ROUNDS; round++) {
		if (random_below(&seed, 4)) {
			CHECK_EQ(read_until(view, IPK_NEVER), 0);
			CHECK_EQ(shared->left, shared->right);
		} else {
			CHECK_EQ(write_until(view, IPK_NEVER), 0);
			shared->left++;
			CHECK_EQ(shared->left, shared->right + 1);
			shared->right++;
			atomic_fetch_add(&shared->rounds, 1);
			if (random_below(&seed, 2)) {
				CHECK_EQ(ipk_rwlock_write_release(view), 0);
				continue;
			}
			CHECK_EQ(ipk_rwlock_downgrade(view), 0);
			CHECK_EQ(shared->left, shared->right);
		}
		CHECK_EQ(ipk_rwlock_read_release(view), 0);
	}
}

static void nobody_sees_what_is_half_written(void)
{
	pid_t pids[READERS];

	set_up();
	memset(shared, 0, sizeof(*shared));
	for (uintptr_t i = 0; i < READERS; i++)
		pids[i] = start(hammer, (void *)i);
	for (int i = 0; i < READERS; i++)
		CHECK_EQ(reap(pids[i]), 0);
	CHECK_EQ(shared->left, atomic_load(&shared->rounds));
	CHECK_EQ(ipk_holders_sum(own), 0);
	tear_down();
}

/* As hammer, for ever, and putting right what a dead writer left. */
static void hammer_until_killed(void *argument)
{
	uint64_t seed = (uint64_t)(uintptr_t)argument + 100;
	struct ipk_sync *view = attach_view(&mine);

	for (;;) {
		int rc;

		if (random_below(&seed, 2)) {
			rc = read_until(view, IPK_NEVER);
			CHECK(rc == -EOWNERDEAD || (rc == 0 && shared->left == shared->right));
			CHECK_EQ(ipk_rwlock_read_release(view), 0);
			continue;
		}
		rc = write_until(view, IPK_NEVER);
		CHECK(rc == -EOWNERDEAD || (rc == 0 && shared->left == shared->right));
		if (rc == -EOWNERDEAD) {
			atomic_fetch_add(&shared->told, 1);
			shared->left = shared->right;
			CHECK_EQ(ipk_rwlock_consistent(view), 0);
		}
		shared->left++;
		atomic_fetch_add(&shared->rounds, 1);
		shared->right++;
		CHECK_EQ(ipk_rwlock_write_release(view), 0);
	}
}

static void kills_at_any_time_leave_it_usable(void)
{
	uint64_t seed = random_seed();
	pid_t pids[READERS - 1];

	set_up();
	memset(shared, 0, sizeof(*shared));
	for (uintptr_t i = 0; i < READERS - 1; i++)
		pids[i] = start(hammer_until_killed, (void *)i);
	for (uintptr_t kills = 0; kills < 60; kills++) {
		uint64_t victim = random_below(&seed, READERS - 1);
		uint64_t before = atomic_load(&shared->rounds);

		while (atomic_load(&shared->rounds) < before + random_below(&seed, 50))
			sched_yield();
		kill_child(pids[victim]);
		pids[victim] = start(hammer_until_killed, (void *)(kills + READERS));
	}
	for (int i = 0; i < READERS - 1; i++)
		kill_child(pids[i]);
	CHECK(write_until(own, ipk_monotonic_ns() + LONG) != -ETIMEDOUT);
	tear_down();
}

int main(void)
{
	watchdog(60, NULL);
	shared = shared_memory(sizeof(*shared));
	RUN(readers_share_and_writers_do_not);
	RUN(downgrade_lets_no_writer_between);
	RUN(a_waiting_writer_keeps_new_readers_out);
	RUN(a_waiting_reader_goes_before_the_next_writer);
	RUN(a_dead_reader_is_taken_off);
	RUN(a_stopped_reader_is_not);
	RUN(a_dead_waiter_is_in_nobodys_way);
	RUN(the_death_of_a_writer_is_told);
	RUN(a_wait_that_is_undone_leaves_nothing);
	RUN(a_full_table_is_refused_until_somebody_dies);
	RUN(a_forked_child_holds_nothing);
	RUN(garbage_ends_by_the_deadline);
	RUN(nobody_sees_what_is_half_written);
	RUN(kills_at_any_time_leave_it_usable);
	return 0;
}
