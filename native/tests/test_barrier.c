/* barrier.h: rounds of processes, what breaks them, and who is missed. */
#include "ipckit/barrier.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "sync_object.h"

#define PARTIES 3
#define ROUNDS 3000
#define KILLS 40

struct page {
	_Atomic uint32_t round[PARTIES], passed, broken, stop;
};

static struct page *page;
static struct member_view mine; /* a child's */
static struct ipk_sync *own;    /* this process's view */

static void set_up(uint32_t parties)
{
	make_object(IPK_SYNC_BARRIER, 0, parties);
	own = &first.view;
	ipk_sync_set_spin(own, 0);
	memset(page, 0, sizeof(*page));
}

static void become_another(void)
{
	own = attach_view(&mine);
	ipk_sync_set_spin(own, 0);
}

static int wait_until(int64_t deadline_ns)
{
	struct ipk_barrier_wait wait = {.acts = 0};
	int rc = ipk_barrier_arrive(own, &wait);

	while (rc == -EAGAIN || rc == -EINTR || (rc == 0 && wait.phase == IPK_BARRIER_ARRIVED))
		rc = ipk_barrier_wait(own, &wait, deadline_ns);
	CHECK_EQ(wait.phase, IPK_BARRIER_OUTSIDE);
	return rc < 0 ? rc : (int)wait.index;
}

static void come_once(void *unused)
{
	int rc;

	(void)unused;
	become_another();
	rc = wait_until(after_ms(20000));
	CHECK(rc >= 0 || rc == -ECANCELED);
	atomic_fetch_add(rc < 0 ? &page->broken : &page->passed, 1);
}

static pid_t waiting(void)
{
	pid_t pid = start(come_once, NULL);

	wait_blocked(pid, SYS_futex, ANY_ADDRESS);
	return pid;
}

static void come_in_rounds(void *argument)
{
	uint32_t me = *(uint32_t *)argument;

	become_another();
	ipk_sync_set_spin(own, IPK_SPIN_DEFAULT_NS);
	for (uint32_t round = 1; round <= ROUNDS; round++) {
		atomic_store(&page->round[me], round);
		CHECK_RANGE(wait_until(after_ms(20000)), 0, PARTIES - 1);
		for (int i = 0; i < PARTIES; i++)
			CHECK_RANGE(atomic_load(&page->round[i]), round, round + 1);
	}
}

static void nobody_passes_before_all_have_come(void)
{
	pid_t pids[PARTIES];

	set_up(PARTIES);
	for (uint32_t i = 0; i < PARTIES; i++)
		pids[i] = start(come_in_rounds, &i);
	for (int i = 0; i < PARTIES; i++)
		CHECK_EQ(reap(pids[i]), 0);
	CHECK_EQ(ipk_barrier_broken(own), 0);
	CHECK_EQ(ipk_barrier_waiting(own), 0);
	drop_view(&first);
}

static void time_that_is_up_breaks_it_until_it_is_reset(void)
{
	pid_t pid;

	set_up(PARTIES);
	pid = waiting();
	CHECK_EQ(wait_until(after_ms(1)), -ETIMEDOUT);
	CHECK_EQ(reap(pid), 0);
	CHECK_EQ(atomic_load(&page->broken), 1);
	CHECK_EQ(wait_until(IPK_NEVER), -ECANCELED);
	CHECK_EQ(ipk_barrier_end(own, 1), 0);
	pid = waiting();
	CHECK_EQ(ipk_barrier_waiting(own), 1);
	CHECK_EQ(ipk_barrier_end(own, 1), 0);
	CHECK_EQ(reap(pid), 0);
	CHECK_EQ(ipk_barrier_broken(own), 0);
	pid = waiting();
	CHECK_EQ(ipk_barrier_end(own, 0), 0);
	CHECK_EQ(reap(pid), 0);
	CHECK_EQ(atomic_load(&page->broken), 3);
	CHECK_EQ(ipk_barrier_broken(own), 1);
	drop_view(&first);
}

static void the_last_one_acts_first(void)
{
	struct ipk_barrier_wait wait = {.acts = 1};
	pid_t pid;

	set_up(2);
	pid = waiting();
	CHECK_EQ(ipk_barrier_arrive(own, &wait), 2);
	CHECK_EQ(wait.index, 1);
	CHECK_EQ(ipk_barrier_waiting(own), 2);
	CHECK_EQ(atomic_load(&page->passed), 0);
	CHECK_EQ(ipk_barrier_release(own, &wait), 1);
	CHECK_EQ(reap(pid), 0);
	CHECK_EQ(atomic_load(&page->passed), 1);
	pid = waiting();
	CHECK_EQ(ipk_barrier_arrive(own, &wait), 2);
	ipk_barrier_leave(own, &wait);
	CHECK_EQ(reap(pid), 0);
	CHECK_EQ(atomic_load(&page->broken), 1);
	drop_view(&first);
}

static void the_dead_are_missed(void)
{
	pid_t victim, pid;

	set_up(PARTIES);
	victim = waiting();
	pid = waiting();
	kill_child(victim);
	CHECK_EQ(reap(pid), 0);
	CHECK_EQ(atomic_load(&page->broken), 1);
	CHECK_EQ(ipk_barrier_end(own, 1), 0);
	victim = waiting();
	pid = waiting();
	CHECK_EQ(wait_until(after_ms(20000)), 2);
	CHECK_EQ(reap(victim), 0); /* it ends without having closed its handle */
	CHECK_EQ(reap(pid), 0);
	CHECK_EQ(wait_until(after_ms(20000)), -ECANCELED);
	drop_view(&first);
}

static void come_and_forget(void *unused)
{
	come_once(unused);
	ipk_barrier_forget(own);
}

static void who_says_goodbye_is_not_missed(void)
{
	pid_t pid;

	set_up(2);
	pid = start(come_and_forget, NULL);
	CHECK_RANGE(wait_until(after_ms(20000)), 0, 1);
	CHECK_EQ(reap(pid), 0);
	CHECK_EQ(wait_until(after_ms(3 * IPK_SLICE_NS / MILLISECONDS)), -ETIMEDOUT);
	drop_view(&first);
}

static void come_for_ever(void *unused)
{
	(void)unused;
	become_another();
	while (wait_until(IPK_NEVER) >= 0)
		continue;
}

/* Whoever is killed, wherever: the others pass, or learn it. */
static void killed_at_random(void)
{
	uint64_t seed = random_seed();
	int missed = 0;

	for (int i = 0; i < KILLS; i++) {
		uint64_t rounds = random_below(&seed, 200);
		pid_t pid;
		int rc;

		set_up(2);
		pid = start(come_for_ever, NULL);
		while (rounds-- > 0)
			CHECK_RANGE(wait_until(after_ms(20000)), 0, 1);
		kill(pid, SIGKILL);
		do
			rc = wait_until(after_ms(500)); /* before it has ever come, nobody knows of it */
		while (rc >= 0);
		CHECK(rc == -ECANCELED || rc == -ETIMEDOUT);
		missed += rc == -ECANCELED;
		CHECK_EQ(reap(pid), -SIGKILL);
		drop_view(&first);
	}
	CHECK(missed >= KILLS / 2);
}

/* In the guard, and not running. */
static void stop_in_guard(void *unused)
{
	struct ipk_barrier_shm *barrier;

	(void)unused;
	become_another();
	barrier = ipk_sync_place(own);
	CHECK_EQ(ipk_lock_try(&barrier->guard, own->member), 0);
	raise(SIGSTOP);
	ipk_lock_release(&barrier->guard, own->member);
}

/* Whoever is stopped in the guard costs nobody more than the time that he has given. */
static void time_is_up_beside_one_who_is_stopped_in_the_guard(void)
{
	const int64_t given[] = {0, 5 * MILLISECONDS};

	for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
		int64_t began, fastest = INT64_MAX;
		int status;
		pid_t pid;

		set_up(2);
		pid = start(stop_in_guard, NULL);
		CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
		CHECK(WIFSTOPPED(status));
		for (int k = 0; k < 5; k++) {
			int64_t took;

			began = ipk_monotonic_ns();
			CHECK_EQ(wait_until(began + given[i]), -ETIMEDOUT);
			took = ipk_monotonic_ns() - began;
			fastest = took < fastest ? took : fastest; /* others may keep the CPU from us */
		}
		CHECK(fastest < given[i] + IPK_SLICE_NS / 2);
		kill(pid, SIGCONT);
		CHECK_EQ(reap(pid), 0);
		drop_view(&first);
	}
}

int main(void)
{
	page = shared_memory(sizeof(*page));
	RUN(nobody_passes_before_all_have_come);
	RUN(time_that_is_up_breaks_it_until_it_is_reset);
	RUN(the_last_one_acts_first);
	RUN(the_dead_are_missed);
	RUN(who_says_goodbye_is_not_missed);
	RUN(time_is_up_beside_one_who_is_stopped_in_the_guard);
	RUN(killed_at_random);
	return 0;
}
