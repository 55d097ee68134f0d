#include <errno.h>
#include <sched.h>

#include "check.h"
#include "ipckit/mutex_pi.h"
#include "scenes.h"

#define SLEEPERS 2
#define INHERITS IPK_MUTEX_INHERITS

static struct ipk_sync *holder; /* a member of the survivor's process, so that the survivor itself can be another one */

static uint32_t word(void)
{
	return atomic_load(&((struct ipk_mutex_shm *)(void *)object.object)->lock.word);
}

static int is_lost(void)
{
	if (ipk_mutex_pi_inherits(&object))
		return ipk_mutex_try(&object) == -ENOTRECOVERABLE;
	return (word() & IPK_LOCK_LOST) != 0;
}

/* Acquire, whatever the victim left. Returns 0 or -EOWNERDEAD. */
static int acquire_after(struct ipk_sync *view)
{
	int64_t deadline = promised();
	int rc;

	do
		rc = ipk_mutex_wait(view, deadline);
	while (rc == -EAGAIN);
	return rc;
}

/* The lock works for all that are left. inherited: whether the first one to acquire must be told of a death, or -1: it may be. */
static void works(int inherited)
{
	struct ipk_sync *second = another_member();
	int rc = acquire_after(&object);

	CHECK(rc == 0 || rc == -EOWNERDEAD);
	if (inherited >= 0)
		CHECK_EQ(rc == -EOWNERDEAD, inherited);
	CHECK_EQ(ipk_mutex_mine(&object), 1);
	CHECK_EQ(ipk_mutex_try(second), -EAGAIN);
	/* where the owner is a thread, it is this one */
	CHECK_EQ(ipk_mutex_recover(second), ipk_mutex_pi_inherits(second) ? -EDEADLK : -EAGAIN);
	if (rc == -EOWNERDEAD)
		CHECK_EQ(ipk_mutex_consistent(&object), 0);
	CHECK_EQ(ipk_mutex_release(&object), 0);
	CHECK_EQ(acquire_after(second), 0);
	CHECK_EQ(ipk_mutex_release(second), 0);
	CHECK_EQ(word() & IPK_MEMBER_ID_MASK, 0);
}

static void acquire(void)
{
	while (ipk_mutex_wait(&object, IPK_NEVER) == -EAGAIN)
		continue;
}

static void try_acquire(void)
{
	ipk_mutex_try(&object);
}

static void release(void)
{
	ipk_mutex_release(&object);
}

static void abandon(void)
{
	ipk_mutex_abandon(&object);
}

static void mark_and_release(void)
{
	ipk_mutex_consistent(&object);
	ipk_mutex_release(&object);
}

static void hold(void)
{
	holder = another_member();
	CHECK_EQ(ipk_mutex_try(holder), 0);
}

static void let_go(void)
{
	if (ipk_mutex_mine(holder))
		CHECK_EQ(ipk_mutex_release(holder), 0);
}

/* Somebody died with it, and nobody has noticed yet. */
static void die_holding(void)
{
	die_after(try_acquire);
}

/* Somebody left it inconsistent, and it is free. */
static void leave_inconsistent(void)
{
	hold();
	CHECK_EQ(ipk_mutex_abandon(holder), 1);
}

static void enter_inherited(void)
{
	CHECK_EQ(ipk_mutex_recover(&object), -EOWNERDEAD);
}

static void pretend_waiter(void)
{
	atomic_fetch_or(&((struct ipk_mutex_shm *)(void *)object.object)->lock.word, IPK_LOCK_WAITERS);
}

static void after_acquire(int completed)
{
	works(completed ? 1 : -1);
}

static void after_release(int completed)
{
	works(completed ? 0 : -1);
}

static void after_wait(int completed)
{
	let_go();
	works(completed ? 1 : -1);
}

static void after_any_release(int completed)
{
	let_go();
	works(completed ? 0 : -1);
}

static void after_inheritance(int completed)
{
	(void)completed;
	works(1); /* whether it had inherited or not: the state is not yet put right */
}

static void after_repair(int completed)
{
	works(completed ? 0 : -1);
}

static void after_abandon(int completed)
{
	(void)completed;
	works(1);
}

static void after_loss(int completed)
{
	if (!completed && !is_lost()) {
		works(1);
		return;
	}
	CHECK_EQ(ipk_mutex_try(&object), -ENOTRECOVERABLE);
	CHECK_EQ(acquire_after(&object), -ENOTRECOVERABLE);
}

/* --- with processes that really sleep ------------------------------------------------------------------------------- */

static pid_t sleepers[SLEEPERS];
static int started;

static int lock_once(void)
{
	int rc;

	do
		rc = ipk_mutex_wait(&object, IPK_NEVER);
	while (rc == -EAGAIN);
	if (rc == -EOWNERDEAD)
		CHECK_EQ(ipk_mutex_consistent(&object), 0);
	if (rc == 0 || rc == -EOWNERDEAD)
		CHECK_EQ(ipk_mutex_release(&object), 0);
	return rc;
}

static void start_sleepers(void)
{
	while (started < SLEEPERS)
		sleepers[started++] = start_sleeper(lock_once);
}

static void others_will_wait(void)
{
	started = 0;
	when_entered(start_sleepers);
}

static void inconsistent_and_others_will_wait(void)
{
	leave_inconsistent();
	others_will_wait();
}

static void hold_for_all(void)
{
	hold();
	started = 0;
}

/* The victim sleeps: let others queue up behind it, and make way. */
static void make_way(void)
{
	start_sleepers();
	let_go();
}

/* All get it. Returns how many of them are told of a death. */
static int told_of_all(void)
{
	int told = 0;

	for (int i = 0; i < started; i++) {
		int rc = result_of(sleepers[i]);

		CHECK(rc == 0 || rc == -EOWNERDEAD);
		told += rc == -EOWNERDEAD;
	}
	return told;
}

/* All get it; least to most of them are told of a death: one at most, for it puts that right. */
static void all_get_it(int least, int most)
{
	CHECK_RANGE(told_of_all(), least, most);
	works(started ? 0 : -1);
}

static void after_release_to_all(int completed)
{
	all_get_it(0, !completed);
}

/* It may have waited again, after a stop, and so behind all others. */
static void after_wait_among_all(int completed)
{
	int told;

	let_go();
	told = told_of_all();
	CHECK_RANGE(told, 0, 1);
	works(told ? 0 : completed ? 1 : -1);
}

static void after_death_before_all(int completed)
{
	(void)completed;
	all_get_it(1, 1);
}

static void after_loss_for_all(int completed)
{
	if (!completed && !is_lost()) {
		all_get_it(1, 1);
		return;
	}
	for (int i = 0; i < started; i++)
		CHECK_EQ(result_of(sleepers[i]), -ENOTRECOVERABLE);
}

static const struct scene scenes[] = {
	{"mutex: acquire, free", IPK_SYNC_MUTEX, 0, 0, NULL, NULL, try_acquire, NULL, after_acquire},
	{"mutex: acquire by waiting, free", IPK_SYNC_MUTEX, 0, 0, NULL, NULL, acquire, NULL, after_acquire},
	{"mutex: acquire, held and given back", IPK_SYNC_MUTEX, 0, 0, hold, NULL, acquire, let_go, after_wait},
	{"mutex: acquire, the owner is dead", IPK_SYNC_MUTEX, 0, 0, die_holding, NULL, acquire, let_time_pass,
	 after_inheritance},
	{"mutex: acquire, left inconsistent", IPK_SYNC_MUTEX, 0, 0, leave_inconsistent, NULL, try_acquire, NULL,
	 after_inheritance},
	{"mutex: acquire again", IPK_SYNC_MUTEX, IPK_MUTEX_RECURSIVE, 0, NULL, try_acquire, try_acquire, NULL, after_abandon},
	{"mutex: release", IPK_SYNC_MUTEX, 0, 0, NULL, try_acquire, release, NULL, after_release},
	{"mutex: release, somebody waits", IPK_SYNC_MUTEX, 0, 0, pretend_waiter, acquire, release, NULL, after_release},
	{"mutex: release without putting right", IPK_SYNC_MUTEX, 0, 0, leave_inconsistent, enter_inherited, release, NULL,
	 after_loss},
	{"mutex: put right and release", IPK_SYNC_MUTEX, 0, 0, leave_inconsistent, enter_inherited, mark_and_release, NULL,
	 after_repair},
	{"mutex: release for another", IPK_SYNC_MUTEX, IPK_MUTEX_ANYONE, 0, hold, NULL, release, NULL, after_any_release},
	{"mutex: close while holding", IPK_SYNC_MUTEX, 0, 0, NULL, try_acquire, abandon, NULL, after_abandon},
	{"mutex, others sleep: release", IPK_SYNC_MUTEX, 0, 0, others_will_wait, try_acquire, release, NULL,
	 after_release_to_all},
	{"mutex, others sleep: release without putting right", IPK_SYNC_MUTEX, 0, 0, inconsistent_and_others_will_wait,
	 enter_inherited, release, NULL, after_loss_for_all},
	{"mutex, others sleep: close while holding", IPK_SYNC_MUTEX, 0, 0, others_will_wait, try_acquire, abandon, NULL,
	 after_death_before_all},
	{"mutex, others sleep: acquire", IPK_SYNC_MUTEX, 0, 0, hold_for_all, NULL, acquire, make_way, after_wait_among_all},
	{"mutex that inherits: acquire, free", IPK_SYNC_MUTEX, INHERITS, 0, NULL, NULL, try_acquire, NULL, after_acquire},
	{"mutex that inherits: acquire by waiting, free", IPK_SYNC_MUTEX, INHERITS, 0, NULL, NULL, acquire, NULL, after_acquire},
	{"mutex that inherits: acquire, held and given back", IPK_SYNC_MUTEX, INHERITS, 0, hold, NULL, acquire, let_go, after_wait},
	{"mutex that inherits: acquire, the owner is dead", IPK_SYNC_MUTEX, INHERITS, 0, die_holding, NULL, acquire, NULL,
	 after_inheritance},
	{"mutex that inherits: acquire, left inconsistent", IPK_SYNC_MUTEX, INHERITS, 0, leave_inconsistent, NULL, try_acquire, NULL,
	 after_inheritance},
	{"mutex that inherits: release", IPK_SYNC_MUTEX, INHERITS, 0, NULL, try_acquire, release, NULL, after_release},
	{"mutex that inherits: put right and release", IPK_SYNC_MUTEX, INHERITS, 0, leave_inconsistent, enter_inherited,
	 mark_and_release, NULL, after_repair},
	{"mutex that inherits: close while holding", IPK_SYNC_MUTEX, INHERITS, 0, NULL, try_acquire, abandon, NULL, after_abandon},
	{"mutex that inherits, others sleep: release", IPK_SYNC_MUTEX, INHERITS, 0, others_will_wait, try_acquire, release, NULL,
	 after_release_to_all},
	{"mutex that inherits, others sleep: close while holding", IPK_SYNC_MUTEX, INHERITS, 0, others_will_wait, try_acquire,
	 abandon, NULL, after_death_before_all},
	{"mutex that inherits, others sleep: acquire", IPK_SYNC_MUTEX, INHERITS, 0, hold_for_all, NULL, acquire, make_way,
	 after_wait_among_all},
};

const struct scene *const mutex_scenes = scenes;
const size_t mutex_scene_count = sizeof(scenes) / sizeof(scenes[0]);
