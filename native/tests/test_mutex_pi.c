/* The mutex whose owner runs with the priority of whoever waits for it: with real threads, processes, and priorities. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "ipckit/mutex_pi.h"
#include "sync_object.h"

#define OWNER_DIED ((uint32_t)FUTEX_OWNER_DIED)
#define LOW 5 /* of SCHED_FIFO */
#define HIGH 10

struct shared {
	_Atomic uint32_t stage, result, stop;
	uint64_t plain; /* what the mutex protects */
};

static struct shared *shared;
static struct ipk_mutex_pi_shm *mutex;

static void begin(uint32_t options)
{
	mutex = make_object(IPK_SYNC_MUTEX, IPK_MUTEX_INHERITS | options, 0);
	CHECK_EQ(ipk_mutex_pi_format(mutex), 0);
	CHECK_EQ(ipk_mutex_pi_check(&first.view), 0);
	memset(shared, 0, sizeof(*shared));
}

static void end(void)
{
	drop_view(&first);
}

/* Wait, for a minute at most. Returns as ipk_mutex_wait, but for -EAGAIN. */
static int lock(struct ipk_sync *view)
{
	int64_t deadline = after_ms(60000);
	int rc;

	do
		rc = ipk_mutex_wait(view, deadline);
	while (rc == -EAGAIN);
	return rc;
}

static void take_and_stay(void *unused)
{
	struct member_view mine;

	(void)unused;
	CHECK_EQ(lock(attach_view(&mine)), 0);
	stay();
}

static pid_t start_owner(void)
{
	pid_t owner = start(take_and_stay, NULL);

	wait_staying(owner);
	return owner;
}

static void take_and_tell(void *unused)
{
	struct member_view mine;
	struct ipk_sync *view = attach_view(&mine);
	int rc = lock(view);

	(void)unused;
	atomic_store(&shared->result, (uint32_t)-rc);
	if (rc == -EOWNERDEAD)
		CHECK_EQ(ipk_mutex_consistent(view), 0);
	if (rc == 0 || rc == -EOWNERDEAD)
		CHECK_EQ(ipk_mutex_release(view), 0);
	drop_view(&mine);
}

static pid_t start_waiter(void)
{
	pid_t waiter = start(take_and_tell, NULL);

	wait_blocked(waiter, SYS_futex, ANY_ADDRESS);
	return waiter;
}

static int result_of(pid_t waiter)
{
	CHECK_EQ(reap(waiter), 0);
	return -(int)atomic_load(&shared->result);
}

/* --- one thread ---------------------------------------------------------------------------------------------------- */

static void takes_and_gives_back(void)
{
	struct ipk_sync *view;
	struct ipk_mutex_owner owner;

	begin(0);
	view = &first.view;
	CHECK_EQ(ipk_mutex_release(view), -EPERM);
	CHECK_EQ(ipk_mutex_try(view), 0);
	CHECK_EQ(ipk_mutex_mine(view), 1);
	CHECK_EQ(ipk_mutex_try(view), -EDEADLK);
	CHECK_EQ(ipk_mutex_wait(view, IPK_NEVER), -EDEADLK);
	CHECK_EQ(ipk_mutex_owner(view, &owner), 1);
	CHECK_EQ(owner.pid, getpid());
	CHECK_EQ(owner.thread, gettid());
	CHECK_EQ(owner.depth, 1);
	CHECK_EQ(ipk_mutex_lives(view, owner.word), 1);
	CHECK_EQ(ipk_mutex_release(view), 0);
	CHECK_EQ(ipk_mutex_owner(view, &owner), 0);
	CHECK_EQ(atomic_load(&mutex->word), 0);
	end();
}

static void counts_depth(void)
{
	struct ipk_sync *view;

	begin(IPK_MUTEX_RECURSIVE);
	view = &first.view;
	for (int i = 0; i < 3; i++)
		CHECK_EQ(ipk_mutex_wait(view, IPK_NEVER), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(ipk_mutex_release(view), 0);
	CHECK_EQ(ipk_mutex_release(view), -EPERM);
	atomic_store(&mutex->depth, 0);
	CHECK_EQ(ipk_mutex_try(view), 0);
	atomic_store(&mutex->depth, UINT32_MAX);
	CHECK_EQ(ipk_mutex_try(view), -EOVERFLOW);
	end();
}

/* The same thread as another member: the kernel says so. */
static void a_thread_cannot_wait_for_itself(void)
{
	struct member_view other;

	begin(0);
	attach_view(&other);
	CHECK_EQ(ipk_mutex_try(&first.view), 0);
	CHECK_EQ(ipk_mutex_try(&other.view), -EAGAIN);
	CHECK_EQ(ipk_mutex_wait(&other.view, IPK_NEVER), -EDEADLK);
	CHECK_EQ(ipk_mutex_recover(&other.view), -EDEADLK);
	CHECK_EQ(ipk_mutex_release(&other.view), -EPERM);
	CHECK_EQ(ipk_mutex_release(&first.view), 0);
	CHECK_EQ(ipk_mutex_try(&other.view), 0);
	CHECK_EQ(ipk_mutex_release(&other.view), 0);
	drop_view(&other);
	end();
}

static void is_for_one_pid_namespace(void)
{
	begin(0);
	mutex->pid_namespace++;
	CHECK_EQ(ipk_mutex_pi_check(&first.view), -EXDEV);
	end();
}

/* --- waiting ------------------------------------------------------------------------------------------------------- */

static void waits_for_its_time(void)
{
	pid_t owner;
	int64_t began;

	begin(0);
	owner = start_owner();
	began = ipk_monotonic_ns();
	CHECK_EQ(ipk_mutex_wait(&first.view, began + 20 * MILLISECONDS), -ETIMEDOUT);
	CHECK_RANGE(ipk_monotonic_ns() - began, 20 * MILLISECONDS, LONG);
	CHECK_EQ(ipk_mutex_wait(&first.view, 0), -ETIMEDOUT);
	CHECK_EQ(ipk_mutex_recover(&first.view), -EAGAIN);
	CHECK_EQ(ipk_mutex_try(&first.view), -EAGAIN);
	kill_child(owner);
	end();
}

static void a_release_wakes(void)
{
	pid_t waiter;

	begin(0);
	CHECK_EQ(ipk_mutex_try(&first.view), 0);
	waiter = start_waiter();
	CHECK_EQ(ipk_mutex_release(&first.view), 0);
	CHECK_EQ(result_of(waiter), 0);
	CHECK_EQ(lock(&first.view), 0);
	CHECK_EQ(ipk_mutex_release(&first.view), 0);
	end();
}

static struct ipk_sync *beside; /* another mutex */

static void take_the_other_way_round(void *unused)
{
	struct member_view mine;
	struct ipk_sync *view = attach_view(&mine);
	struct ipk_sync other = *beside;

	(void)unused;
	other.member = view->member;
	CHECK_EQ(ipk_mutex_try(&other), 0);
	atomic_store(&shared->stage, 1);
	CHECK_EQ(lock(view), 0); /* when the parent has given up */
	CHECK_EQ(ipk_mutex_release(view), 0);
	CHECK_EQ(ipk_mutex_release(&other), 0);
	drop_view(&mine);
}

static void owners_that_wait_for_each_other_are_told(void)
{
	struct member_view second;
	pid_t child;

	begin(0);
	second = first;
	begin(0);
	second.view.member = first.view.member; /* the first mutex in a child's hands is its second one's member's */
	beside = &second.view;
	CHECK_EQ(ipk_mutex_try(&first.view), 0);
	child = start(take_the_other_way_round, NULL);
	await(&shared->stage, 1);
	wait_blocked(child, SYS_futex, ANY_ADDRESS);
	CHECK_EQ(lock(beside), -EDEADLK);
	CHECK_EQ(ipk_mutex_release(&first.view), 0);
	CHECK_EQ(reap(child), 0);
	drop_view(&second);
	end();
}

/* --- death --------------------------------------------------------------------------------------------------------- */

static void inherit_and_put_right(int rc)
{
	CHECK_EQ(rc, -EOWNERDEAD);
	CHECK_EQ(atomic_load(&mutex->word) & OWNER_DIED, 0);
	CHECK_EQ(ipk_mutex_consistent(&first.view), 0);
	CHECK_EQ(ipk_mutex_release(&first.view), 0);
	CHECK_EQ(lock(&first.view), 0);
	CHECK_EQ(ipk_mutex_release(&first.view), 0);
}

static void a_dead_owner_is_found(void)
{
	struct ipk_mutex_owner owner;

	begin(0);
	kill_child(start_owner());
	CHECK_EQ(ipk_mutex_owner(&first.view, &owner), 1);
	CHECK_EQ(ipk_mutex_lives(&first.view, owner.word), 0);
	CHECK_EQ(ipk_mutex_try(&first.view), -EAGAIN);
	inherit_and_put_right(lock(&first.view));
	kill_child(start_owner());
	inherit_and_put_right(ipk_mutex_recover(&first.view));
	end();
}

static void who_waits_inherits(void)
{
	pid_t owner, waiter;

	begin(0);
	owner = start_owner();
	waiter = start_waiter();
	kill_child(owner);
	CHECK_EQ(result_of(waiter), -EOWNERDEAD);
	CHECK_EQ(lock(&first.view), 0);
	CHECK_EQ(ipk_mutex_release(&first.view), 0);
	end();
}

static void a_killed_waiter_leaves_nothing(void)
{
	begin(0);
	CHECK_EQ(ipk_mutex_try(&first.view), 0);
	kill_child(start_waiter());
	CHECK_EQ(ipk_mutex_release(&first.view), 0);
	CHECK_EQ(ipk_mutex_try(&first.view), 0);
	CHECK_EQ(ipk_mutex_release(&first.view), 0);
	end();
}

static void not_put_right_it_is_lost(void)
{
	pid_t waiter;

	begin(0);
	kill_child(start_owner());
	CHECK_EQ(lock(&first.view), -EOWNERDEAD);
	waiter = start_waiter();
	CHECK_EQ(ipk_mutex_release(&first.view), 0);
	CHECK_EQ(result_of(waiter), -ENOTRECOVERABLE);
	CHECK_EQ(ipk_mutex_try(&first.view), -ENOTRECOVERABLE);
	CHECK_EQ(lock(&first.view), -ENOTRECOVERABLE);
	end();
}

static void *take_in_a_thread(void *view)
{
	CHECK_EQ(lock(view), 0);
	return NULL;
}

static void a_thread_that_ends_has_died(void)
{
	pthread_t thread;

	begin(0);
	CHECK_EQ(pthread_create(&thread, NULL, take_in_a_thread, &first.view), 0);
	pthread_join(thread, NULL);
	inherit_and_put_right(lock(&first.view));
	end();
}

static void only_stay(void *unused)
{
	(void)unused;
	stay();
}

/* As if a thread of another process had got the dead owner's id. Others may wait for it already. */
static void a_stranger_with_the_same_id_is_not_the_owner(void)
{
	pid_t stranger, waiter;
	int rc, told;

	begin(0);
	kill_child(start_owner());
	stranger = start(only_stay, NULL);
	wait_staying(stranger);
	atomic_store(&mutex->word, (uint32_t)stranger);
	atomic_store(&mutex->owner, (uint32_t)stranger);
	waiter = start_waiter();
	rc = lock(&first.view);
	told = rc == -EOWNERDEAD;
	CHECK(rc == 0 || told);
	if (told)
		CHECK_EQ(ipk_mutex_consistent(&first.view), 0);
	CHECK_EQ(ipk_mutex_release(&first.view), 0);
	CHECK_EQ(result_of(waiter), told ? 0 : -EOWNERDEAD);
	CHECK_EQ(has_ended(stranger), 0);
	kill_child(stranger);
	end();
}

struct closing {
	_Atomic uint32_t stage;
};

static void *hold_until_told(void *argument)
{
	struct closing *closing = argument;

	CHECK_EQ(lock(&first.view), 0);
	atomic_store(&closing->stage, 1);
	await(&closing->stage, 2);
	CHECK_EQ(ipk_mutex_release(&first.view), -EPERM);
	return NULL;
}

static void another_thread_abandons(void)
{
	struct closing closing = {0};
	pthread_t thread;
	pid_t waiter;

	begin(0);
	CHECK_EQ(pthread_create(&thread, NULL, hold_until_told, &closing), 0);
	await(&closing.stage, 1);
	waiter = start_waiter();
	CHECK_EQ(ipk_mutex_abandon(&first.view), 1);
	CHECK_EQ(ipk_mutex_abandon(&first.view), 0);
	CHECK_EQ(result_of(waiter), -EOWNERDEAD);
	atomic_store(&closing.stage, 2);
	pthread_join(thread, NULL);
	CHECK_EQ(lock(&first.view), 0);
	CHECK_EQ(ipk_mutex_abandon(&first.view), 1);
	inherit_and_put_right(lock(&first.view));
	end();
}

/* --- priority ------------------------------------------------------------------------------------------------------ */

/* Field 18 of /proc/PID/stat: 20 for nice 0; -1 - N for SCHED_FIFO of priority N, by right or lent. */
static long priority_of(pid_t pid)
{
	char path[64], text[1024];
	const char *at;
	size_t length;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	CHECK(file != NULL);
	length = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[length] = '\0';
	at = strrchr(text, ')');
	for (int field = 2; field < 18; field++)
		at = strchr(at + 1, ' ');
	return strtol(at, NULL, 10);
}

static int become_real_time(int priority)
{
	const struct sched_param parameters = {.sched_priority = priority};

	return sched_setscheduler(0, SCHED_FIFO, &parameters);
}

static void wait_with_high_priority(void *unused)
{
	CHECK_EQ(become_real_time(HIGH), 0);
	take_and_tell(unused);
	atomic_store(&shared->stop, 1);
}

/* The one in the middle: while it spins, nobody of less priority runs on its CPU. */
static void spin_with_low_priority(void *unused)
{
	(void)unused;
	CHECK_EQ(become_real_time(LOW), 0);
	atomic_store(&shared->stage, 2);
	while (!atomic_load(&shared->stop))
		ipk_relax();
}

static void own_with_no_priority(void *unused)
{
	struct member_view mine;
	struct ipk_sync *view = attach_view(&mine);
	long own = priority_of(getpid());

	(void)unused;
	CHECK_EQ(lock(view), 0);
	atomic_store(&shared->stage, 1);
	while (priority_of(getpid()) > -1 - LOW)
		sched_yield();
	atomic_store(&shared->stage, 3);
	await(&shared->stage, 4);
	CHECK_EQ(ipk_mutex_release(view), 0);
	CHECK_EQ(priority_of(getpid()), own);
	drop_view(&mine);
}

/* Returns whether we may. */
static int may_be_real_time(void)
{
	const struct sched_param none = {0};

	return become_real_time(LOW) == 0 && sched_setscheduler(0, SCHED_OTHER, &none) == 0;
}

static void the_owner_inherits(void)
{
	pid_t owner, waiter;

	begin(0);
	owner = start(own_with_no_priority, NULL);
	await(&shared->stage, 1);
	CHECK_EQ(priority_of(owner), priority_of(getpid()));
	waiter = start(wait_with_high_priority, NULL);
	await(&shared->stage, 3);
	CHECK_EQ(priority_of(owner), -1 - HIGH);
	CHECK_EQ(sched_getscheduler(owner), SCHED_OTHER); /* lent, not given */
	atomic_store(&shared->stage, 4);
	CHECK_EQ(result_of(waiter), 0);
	CHECK_EQ(reap(owner), 0);
	end();
}

static void own_until_lent(void *unused)
{
	struct member_view mine;
	struct ipk_sync *view = attach_view(&mine);

	(void)unused;
	CHECK_EQ(lock(view), 0);
	atomic_store(&shared->stage, 1);
	while (priority_of(getpid()) != -1 - HIGH)
		sched_yield();
	shared->plain = atomic_load(&shared->stop); /* the one in the middle still spins */
	CHECK_EQ(ipk_mutex_release(view), 0);
	drop_view(&mine);
}

/* All on one CPU: the owner cannot run for the one in the middle, but with the priority of the one that waits. */
static void nobody_in_the_middle_holds_it_up(void)
{
	pid_t owner, middle, waiter;
	cpu_set_t before, one;

	begin(0);
	CHECK_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
	CPU_ZERO(&one);
	for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
		if (CPU_ISSET(cpu, &before))
			CPU_SET(cpu, &one);
	CHECK_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
	owner = start(own_until_lent, NULL);
	await(&shared->stage, 1);
	waiter = start(wait_with_high_priority, NULL);
	middle = start(spin_with_low_priority, NULL);
	CHECK_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
	CHECK_EQ(result_of(waiter), 0);
	CHECK_EQ(shared->plain, 0);
	CHECK_EQ(reap(owner), 0);
	CHECK_EQ(reap(middle), 0);
	end();
}

/* --- many ---------------------------------------------------------------------------------------------------------- */

#define THREADS 4U
#define ROUNDS 3000U

static void *count(void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < ROUNDS; i++) {
		CHECK_EQ(lock(&first.view), 0);
		shared->plain++;
		CHECK_EQ(ipk_mutex_release(&first.view), 0);
	}
	return NULL;
}

static void many_exclude_each_other(void)
{
	pthread_t threads[THREADS];

	begin(0);
	for (unsigned i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, count, NULL), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(shared->plain, THREADS * ROUNDS);
	CHECK_EQ(ipk_mutex_try(&first.view), 0);
	end();
}

int main(void)
{
	static struct ipk_mutex_pi_shm probe;

	shared = shared_memory(sizeof(*shared));
	if (ipk_mutex_pi_format(&probe) == -ENOSYS) {
		printf("  skipped: this kernel has no priority inheritance\n");
		return 0;
	}
	RUN(takes_and_gives_back);
	RUN(counts_depth);
	RUN(a_thread_cannot_wait_for_itself);
	RUN(is_for_one_pid_namespace);
	RUN(waits_for_its_time);
	RUN(a_release_wakes);
	RUN(owners_that_wait_for_each_other_are_told);
	RUN(a_dead_owner_is_found);
	RUN(who_waits_inherits);
	RUN(a_killed_waiter_leaves_nothing);
	RUN(not_put_right_it_is_lost);
	RUN(a_thread_that_ends_has_died);
	RUN(a_stranger_with_the_same_id_is_not_the_owner);
	RUN(another_thread_abandons);
	RUN(many_exclude_each_other);
	if (may_be_real_time()) {
		RUN(the_owner_inherits);
		RUN(nobody_in_the_middle_holds_it_up);
	} else {
		printf("  priorities: skipped: SCHED_FIFO takes CAP_SYS_NICE, or RLIMIT_RTPRIO\n");
	}
	return 0;
}
