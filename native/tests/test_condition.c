/* condition.h: whom a notification is for, and who gets it when somebody is killed. */
#include "ipckit/condition.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>

#include "ipckit/futex.h"
#include "sync_object.h"

#define WAITERS 4
#define CHILDREN 4
#define ROUNDS 3000
#define LATE (4 * IPK_SLICE_NS) /* one slice, and a generous time to be scheduled */

struct page {
	_Atomic uint32_t woken, value, done;
};

static struct page *page;
static struct member_view mine; /* a child's */
static struct ipk_sync *own;    /* this process's views */
static struct ipk_sync mutex;

static struct ipk_condition_shm *words(void)
{
	return (struct ipk_condition_shm *)(void *)own->object;
}

static void view_mutex(void)
{
	memset(&mutex, 0, sizeof(mutex));
	CHECK_EQ(ipk_sync_attach(&mutex, &words()->mutex, IPK_MUTEX_SIZE, own->member, IPK_SYNC_MUTEX), 0);
}

static void set_up(uint32_t slots, uint32_t options)
{
	void *place = make_object(IPK_SYNC_CONDITION, 0, slots);

	own = &first.view;
	CHECK_EQ(ipk_condition_format(place, own->member, NULL, options), 0);
	view_mutex();
	ipk_sync_set_spin(own, 0);
	memset(page, 0, sizeof(*page));
}

/* In a child. */
static void become_another(void)
{
	own = attach_view(&mine);
	view_mutex();
	ipk_sync_set_spin(own, 0);
}

/* Returns as the mutex; -EOWNERDEAD is put right. */
static int lock(void)
{
	int rc;

	do
		rc = ipk_mutex_wait(&mutex, IPK_NEVER);
	while (rc == -EAGAIN);
	CHECK(rc == 0 || rc == -EOWNERDEAD);
	if (rc == -EOWNERDEAD)
		CHECK_EQ(ipk_mutex_consistent(&mutex), 0);
	return rc;
}

static void unlock(void)
{
	CHECK_EQ(ipk_mutex_release(&mutex), 0);
}

/* With the mutex. Returns whether it was notified. */
static int wait_until(int64_t deadline_ns)
{
	struct ipk_condition_wait wait;
	int rc;

	CHECK_EQ(ipk_condition_begin(own, &mutex, &wait), 0);
	CHECK_EQ(wait.phase, IPK_CONDITION_WAITING);
	do
		rc = ipk_condition_wait(own, &mutex, &wait, deadline_ns);
	while (rc == -EAGAIN || rc == -EINTR);
	CHECK(rc == 0 || rc == -EOWNERDEAD);
	if (rc == -EOWNERDEAD)
		CHECK_EQ(ipk_mutex_consistent(&mutex), 0);
	CHECK_EQ(wait.phase, IPK_CONDITION_OUTSIDE);
	CHECK_EQ(ipk_mutex_mine(&mutex), 1);
	return (int)wait.notified;
}

static void wait_once(void *unused)
{
	(void)unused;
	become_another();
	lock();
	CHECK_EQ(wait_until(after_ms(20000)), 1);
	atomic_fetch_add(&page->woken, 1);
	unlock();
}

static pid_t waiting(void)
{
	pid_t pid = start(wait_once, NULL);

	wait_blocked(pid, SYS_futex, ANY_ADDRESS);
	return pid;
}

static int64_t notify(uint32_t n)
{
	int64_t given;

	lock();
	given = ipk_condition_notify(own, &mutex, n);
	unlock();
	return given;
}

static void wakes_the_oldest_and_nobody_else(void)
{
	pid_t pids[WAITERS];

	set_up(8, 0);
	for (int i = 0; i < WAITERS; i++)
		pids[i] = waiting();
	CHECK_EQ(ipk_condition_waiters(own), WAITERS);
	CHECK_EQ(notify(1), 1);
	CHECK_EQ(reap(pids[0]), 0);
	CHECK_EQ(atomic_load(&page->woken), 1);
	CHECK_EQ(notify(2), 2);
	CHECK_EQ(reap(pids[1]), 0);
	CHECK_EQ(reap(pids[2]), 0);
	CHECK_EQ(atomic_load(&page->woken), 3);
	CHECK_EQ(notify(UINT32_MAX), 1);
	CHECK_EQ(reap(pids[3]), 0);
	CHECK_EQ(notify(UINT32_MAX), 0);
	drop_view(&first);
}

static void needs_the_mutex_and_a_slot(void)
{
	struct ipk_condition_wait wait;
	pid_t pid;

	set_up(1, 0);
	CHECK_EQ(ipk_condition_begin(own, &mutex, &wait), -EPERM);
	CHECK_EQ(wait.phase, IPK_CONDITION_OUTSIDE);
	CHECK_EQ(ipk_condition_notify(own, &mutex, 1), -EPERM);
	CHECK_EQ(ipk_condition_wait(own, &mutex, &wait, 0), -EINVAL);
	pid = waiting();
	lock();
	CHECK_EQ(ipk_condition_begin(own, &mutex, &wait), -ENOSPC);
	CHECK_EQ(ipk_mutex_mine(&mutex), 1);
	unlock();
	kill_child(pid);
	lock();
	CHECK_EQ(wait_until(after_ms(1)), 0); /* the dead one's slot */
	unlock();
	CHECK_EQ(ipk_sync_size(IPK_SYNC_CONDITION, 0), 0);
	CHECK_EQ(ipk_sync_size(IPK_SYNC_CONDITION, IPK_CONDITION_MAX_WAITERS + 1), 0);
	drop_view(&first);
}

static void restores_the_depth(void)
{
	struct ipk_mutex_owner owner;

	set_up(1, IPK_MUTEX_RECURSIVE);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(ipk_mutex_try(&mutex), 0);
	CHECK_EQ(wait_until(after_ms(1)), 0);
	CHECK_EQ(ipk_mutex_owner(&mutex, &owner), 1);
	CHECK_EQ(owner.depth, 3);
	drop_view(&first);
}

static void leaving_hands_on_what_has_come(void)
{
	struct ipk_condition_wait wait;
	pid_t pid;

	set_up(4, 0);
	lock();
	CHECK_EQ(ipk_condition_begin(own, &mutex, &wait), 0);
	pid = waiting();
	CHECK_EQ(notify(1), 1);
	ipk_condition_leave(own, &wait); /* we were the oldest */
	CHECK_EQ(wait.phase, IPK_CONDITION_LEFT);
	CHECK_EQ(reap(pid), 0);
	CHECK_EQ(ipk_condition_wait(own, &mutex, &wait, 0), 0);
	CHECK_EQ(ipk_mutex_mine(&mutex), 1);
	unlock();
	lock();
	CHECK_EQ(ipk_condition_begin(own, &mutex, &wait), 0);
	ipk_condition_leave(own, &wait); /* nothing had come */
	CHECK_EQ(ipk_condition_waiters(own), 0);
	drop_view(&first);
}

static void dead_waiters_take_nothing(void)
{
	pid_t pids[WAITERS];

	set_up(8, 0);
	for (int i = 0; i < WAITERS; i++)
		pids[i] = waiting();
	for (int i = 0; i < WAITERS - 1; i++)
		kill_child(pids[i]);
	CHECK_EQ(notify(1), 1);
	CHECK_EQ(reap(pids[WAITERS - 1]), 0);
	CHECK_EQ(ipk_condition_waiters(own), 0);
	drop_view(&first);
}

static _Atomic uint32_t *mutex_word(void)
{
	return &words()->mutex.lock.word;
}

static void wait_and_look_for_the_flag(void *unused)
{
	(void)unused;
	become_another();
	lock();
	CHECK_EQ(wait_until(after_ms(20000)), 1);
	if (!(atomic_load(mutex_word()) & IPK_LOCK_WAITERS))
		atomic_fetch_add(&page->woken, 1);
	unlock();
}

/* Nor does its release make a system call. One whose slice ends at that moment may set the flag. */
static void the_only_one_sets_no_flag(void)
{
	pid_t pid;

	set_up(1, 0);
	for (int i = 0; i < 2 * WAITERS; i++) {
		pid = start(wait_and_look_for_the_flag, NULL);
		wait_blocked(pid, SYS_futex, ANY_ADDRESS);
		CHECK_EQ(notify(1), 1);
		CHECK_EQ(reap(pid), 0);
	}
	CHECK_RANGE(atomic_load(&page->woken), WAITERS, 2 * WAITERS);
	drop_view(&first);
}

static void lock_once(void *unused)
{
	(void)unused;
	become_another();
	lock();
	atomic_fetch_add(&page->done, 1);
	unlock();
}

/* The one who is woken does not know of the others: the flag must tell of them in the meantime. */
static void others_beside_the_only_one_keep_their_flag(void)
{
	pid_t waiter, other;

	set_up(1, 0);
	waiter = waiting();
	lock();
	CHECK_EQ(ipk_condition_notify(own, &mutex, 1), 1);
	CHECK_EQ(atomic_load(mutex_word()) & IPK_LOCK_WAITERS, 0);
	kill(waiter, SIGSTOP);
	wait_stopped(waiter);
	other = start(lock_once, NULL);
	wait_blocked(other, SYS_futex, ANY_ADDRESS);
	unlock();
	CHECK(atomic_load(mutex_word()) & IPK_LOCK_WAITERS || atomic_load(&page->done));
	kill(waiter, SIGCONT);
	CHECK_EQ(reap(waiter), 0);
	CHECK_EQ(reap(other), 0);
	drop_view(&first);
}

/* Two sweepers find the same dead one's notification, and a third waiter must not get a second one from it. */
static void what_a_dead_one_had_is_handed_on_once(void)
{
	pid_t victim, pids[WAITERS];
	int64_t before, fastest = INT64_MAX;

	for (int round = 0; round < 5; round++) {
		set_up(8, 0);
		victim = waiting();
		for (int i = 0; i < WAITERS; i++)
			pids[i] = waiting();
		kill(victim, SIGSTOP);
		wait_stopped(victim);
		CHECK_EQ(notify(1), 1);
		CHECK_EQ(ipk_condition_waiters(own), WAITERS);
		kill_child(victim);
		before = ipk_monotonic_ns();
		while (atomic_load(&page->woken) == 0)
			sched_yield();
		before = ipk_monotonic_ns() - before;
		fastest = before < fastest ? before : fastest; /* others may keep the CPU from us */
		CHECK_EQ(reap(pids[0]), 0);
		before = ipk_monotonic_ns();
		while (ipk_monotonic_ns() - before < 2 * IPK_SLICE_NS) /* time for the others to sweep */
			sched_yield();
		CHECK_EQ(atomic_load(&page->woken), 1);
		CHECK_EQ(ipk_condition_waiters(own), WAITERS - 1);
		CHECK_EQ(notify(UINT32_MAX), WAITERS - 1);
		for (int i = 1; i < WAITERS; i++)
			CHECK_EQ(reap(pids[i]), 0);
		drop_view(&first);
	}
	CHECK_RANGE(fastest, 0, LATE);
}

static void notify_all_and_stay(void *unused)
{
	(void)unused;
	become_another();
	lock();
	CHECK_EQ(ipk_condition_notify(own, &mutex, UINT32_MAX), WAITERS);
	stay();
}

static void a_dead_notifier_keeps_nobody(void)
{
	pid_t notifier, pids[WAITERS];

	set_up(8, 0);
	for (int i = 0; i < WAITERS; i++)
		pids[i] = waiting();
	notifier = start(notify_all_and_stay, NULL);
	wait_staying(notifier);
	CHECK_EQ(atomic_load(&page->woken), 0);
	kill_child(notifier);
	for (int i = 0; i < WAITERS; i++)
		CHECK_EQ(reap(pids[i]), 0);
	CHECK_EQ(atomic_load(&page->woken), WAITERS);
	drop_view(&first);
}

/* Producers and consumers of one place, all at one condition: a lost wake-up is a slice at best, a hang at worst. */
static void exchange(void *argument)
{
	uint32_t wanted = argument != NULL;

	become_another();
	ipk_sync_set_spin(own, IPK_SPIN_DEFAULT_NS);
	for (int i = 0; i < ROUNDS; i++) {
		lock();
		while (atomic_load(&page->value) != wanted)
			CHECK_EQ(wait_until(IPK_NEVER), 1);
		atomic_store(&page->value, !wanted);
		CHECK(ipk_condition_notify(own, &mutex, UINT32_MAX) >= 0);
		unlock();
	}
}

static void loses_no_notification(void)
{
	pid_t pids[CHILDREN];

	set_up(8, 0);
	for (int i = 0; i < CHILDREN; i++)
		pids[i] = start(exchange, i % 2 ? page : NULL);
	for (int i = 0; i < CHILDREN; i++)
		CHECK_EQ(reap(pids[i]), 0);
	CHECK_EQ(atomic_load(&page->value), 0);
	CHECK_EQ(ipk_condition_waiters(own), 0);
	drop_view(&first);
}

int main(void)
{
	page = shared_memory(sizeof(*page));
	RUN(wakes_the_oldest_and_nobody_else);
	RUN(needs_the_mutex_and_a_slot);
	RUN(restores_the_depth);
	RUN(leaving_hands_on_what_has_come);
	RUN(dead_waiters_take_nothing);
	RUN(the_only_one_sets_no_flag);
	RUN(others_beside_the_only_one_keep_their_flag);
	RUN(what_a_dead_one_had_is_handed_on_once);
	RUN(a_dead_notifier_keeps_nobody);
	RUN(loses_no_notification);
	return 0;
}
