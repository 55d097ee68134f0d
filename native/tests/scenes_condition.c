#include <errno.h>

#include "check.h"
#include "ipckit/condition.h"
#include "scenes.h"
#include "support.h"

#define SLOTS 4
#define MOST_SLEEPERS 3
#define SOON_NS 5000000

enum state { FREE, CLAIMED, AWAKE, ASLEEP, NOTIFIED, MOVED, PASSING }; /* of a slot: condition.h */

/* A member's views, and how far its wait has come. */
struct waiter {
	struct ipk_sync *view;
	struct ipk_sync mutex;
	struct ipk_condition_wait wait;
};

static struct waiter self, older, younger; /* the victim or the survivor; and two more members of the survivor's process */
static pid_t sleepers[MOST_SLEEPERS];
static int started; /* sleepers */
static int gave;    /* the victim has been notified */

static const struct ipk_condition_slot *slots(const void *condition)
{
	return ((const struct ipk_condition_shm *)condition)->slots;
}

static enum state state_at_death(int slot)
{
	return atomic_load(&slots(at_death())[slot].word) >> IPK_MEMBER_ID_BITS;
}

/* Whether the slot's waiter had been notified when the victim died. It was there, so by now it has left, or has been told. */
static int notified_at_death(int slot)
{
	return state_at_death(slot) != AWAKE && state_at_death(slot) != ASLEEP;
}

/* --- what anybody does --------------------------------------------------------------------------------------------- */

static void be(struct waiter *waiter, struct ipk_sync *view)
{
	waiter->view = view;
	attach_beside(&waiter->mutex, view, IPK_CONDITION_MUTEX, IPK_SYNC_MUTEX);
}

/* Take the mutex, whatever others have left. */
static void lock(struct waiter *waiter, int64_t deadline_ns)
{
	int rc;

	do
		rc = ipk_mutex_wait(&waiter->mutex, deadline_ns);
	while (rc == -EAGAIN);
	CHECK(rc == 0 || rc == -EOWNERDEAD);
	if (rc == -EOWNERDEAD)
		CHECK_EQ(ipk_mutex_consistent(&waiter->mutex), 0);
}

static void unlock(struct waiter *waiter)
{
	CHECK_EQ(ipk_mutex_release(&waiter->mutex), 0);
}

static void begin(struct waiter *waiter)
{
	lock(waiter, IPK_NEVER);
	CHECK_EQ(ipk_condition_begin(waiter->view, &waiter->mutex, &waiter->wait), 0);
}

/* Wait, and give the mutex back. Returns whether it was notified. */
static int end(struct waiter *waiter, int64_t deadline_ns)
{
	int rc;

	do
		rc = ipk_condition_wait(waiter->view, &waiter->mutex, &waiter->wait, deadline_ns);
	while (rc == -EAGAIN);
	CHECK(rc == 0 || rc == -EOWNERDEAD);
	if (rc == -EOWNERDEAD)
		CHECK_EQ(ipk_mutex_consistent(&waiter->mutex), 0);
	unlock(waiter);
	return (int)waiter->wait.notified;
}

static int64_t notify(struct waiter *waiter, uint32_t n)
{
	int64_t given;

	lock(waiter, promised());
	given = ipk_condition_notify(waiter->view, &waiter->mutex, n);
	unlock(waiter);
	return given;
}

static int sleep_notified(void)
{
	be(&self, &object);
	begin(&self);
	return end(&self, IPK_NEVER) ? 0 : -ETIMEDOUT;
}

/* The next one in line. */
static void add_sleeper(void)
{
	CHECK(started < MOST_SLEEPERS);
	sleepers[started++] = start_sleeper(sleep_notified);
}

/* --- what victims do ----------------------------------------------------------------------------------------------- */

static void enter(void)
{
	be(&self, &object);
}

static void enter_locked(void)
{
	enter();
	lock(&self, IPK_NEVER);
}

static void enter_waiting(void)
{
	enter();
	begin(&self);
}

static void begin_to_wait(void)
{
	ipk_condition_begin(&object, &self.mutex, &self.wait);
}

static void wait_notified(void)
{
	while (ipk_condition_wait(&object, &self.mutex, &self.wait, IPK_NEVER) == -EAGAIN)
		continue;
}

static void wait_a_slice(void)
{
	ipk_condition_wait(&object, &self.mutex, &self.wait, IPK_NEVER);
}

static void wait_shortly(void)
{
	int64_t deadline = ipk_monotonic_ns() + SOON_NS;

	while (ipk_condition_wait(&object, &self.mutex, &self.wait, deadline) == -EAGAIN)
		continue;
}

static void leave(void)
{
	ipk_condition_leave(&object, &self.wait);
}

static void notify_one(void)
{
	ipk_condition_notify(&object, &self.mutex, 1);
}

static void notify_all(void)
{
	ipk_condition_notify(&object, &self.mutex, SLOTS);
}

static void notify_one_and_release(void)
{
	notify_one();
	ipk_mutex_release(&self.mutex);
}

/* --- what is there before ------------------------------------------------------------------------------------------ */

static void make(void)
{
	CHECK_EQ(ipk_condition_format(object.object, object.member, NULL, 0), 0);
	be(&self, &object);
	be(&older, another_member());
	be(&younger, another_member());
	started = 0;
	gave = 0;
}

static void one_sleeps(void)
{
	make();
	add_sleeper();
}

static void two_sleep(void)
{
	one_sleeps();
	add_sleeper();
}

static void three_sleep(void)
{
	two_sleep();
	add_sleeper();
}

static void add_two_sleepers(void)
{
	add_sleeper();
	add_sleeper();
}

/* The victim is to be the first in line. */
static void two_will_sleep(void)
{
	make();
	when_entered(add_two_sleepers);
}

static void notify_the_victim(void)
{
	add_two_sleepers();
	CHECK_EQ(notify(&younger, 1), 1);
	gave = 1;
}

static void two_will_sleep_and_victim_is_notified(void)
{
	make();
	when_entered(notify_the_victim);
}

static void one_awake(void)
{
	make();
	begin(&older);
}

static void sleep_and_die(void)
{
	sleep_notified();
}

/* The first in line died asleep, and the next one sleeps. */
static void dead_then_sleeper(void)
{
	make();
	die_asleep(sleep_and_die);
	add_sleeper();
}

static void all_slots_dead(void)
{
	make();
	for (int i = 0; i < SLOTS; i++)
		die_after(enter_waiting);
}

static void add_younger(void)
{
	begin(&younger);
}

/* One died notified, in slot 0. Then there are: an older waiter, the victim, and a younger one; they have not looked yet. */
static void dead_notified(void)
{
	make();
	die_after(enter_waiting);
	CHECK_EQ(notify(&self, 1), 1);
	begin(&older);
	when_entered(add_younger);
}

/* --- what ends the victim's sleep ---------------------------------------------------------------------------------- */

static void notify_victim_once(void)
{
	if (!gave)
		CHECK_EQ(notify(&younger, 1), 1);
	gave = 1;
}

/* First only notify, with the mutex kept, then give that back. */
static void notify_then_release(void)
{
	if (!gave) {
		lock(&younger, IPK_NEVER);
		CHECK_EQ(ipk_condition_notify(younger.view, &younger.mutex, 1), 1);
		gave = 1;
	} else if (ipk_mutex_mine(&younger.mutex)) {
		unlock(&younger);
	}
}

static void notify_with_lock(void)
{
	enter_locked();
	CHECK_EQ(ipk_condition_notify(&object, &self.mutex, 1), 1);
}

static void notify_and_die(void)
{
	if (!gave)
		die_after(notify_with_lock);
	gave = 1;
}

/* --- what must be so afterwards ------------------------------------------------------------------------------------ */

static void release_kept(void)
{
	if (ipk_mutex_mine(&younger.mutex))
		unlock(&younger);
}

/* Nobody waits any more, and it works for all that are left: whoever comes is notified, one at a time. */
static void works(void)
{
	release_kept();
	begin(&older);
	begin(&younger);
	CHECK_EQ(notify(&self, 1), 1); /* perhaps of a dead one; then it is handed on */
	CHECK_EQ(end(&older, promised()), 1);
	CHECK_EQ(end(&younger, 0), 0);
	CHECK_EQ(notify(&self, SLOTS), 0);
	CHECK_EQ(ipk_condition_waiters(&object), 0);
}

/* Notify those who sleep one by one, from the first on: nobody but who is told wakes. */
static void notify_one_by_one(int first)
{
	for (int i = first; i < started; i++)
		CHECK_EQ(still_sleeps(sleepers[i]), 1);
	for (int i = first; i < started; i++) {
		CHECK_EQ(notify(&self, 1), 1);
		CHECK_EQ(result_of(sleepers[i]), 0);
		for (int k = i + 1; k < started; k++)
			CHECK_EQ(still_sleeps(sleepers[k]), 1);
	}
}

static void after_begin(int completed)
{
	if (completed)
		CHECK_EQ(state_at_death(0), AWAKE);
	works();
}

/* The victim, in slot 0, was notified or not, and two others sleep. */
static void after_wait(int completed)
{
	int left = notified_at_death(0) && state_at_death(0) == FREE; /* and with the notification */
	int passed = 0;

	release_kept();
	if (completed)
		CHECK_EQ(left, gave);
	if (gave && !left) { /* nobody can have it but the next one */
		CHECK_EQ(result_of(sleepers[0]), 0);
		passed = 1;
	}
	notify_one_by_one(passed);
	works();
}

/* Nobody notified anybody, but who is left. */
static void after_giving_up(int completed)
{
	if (completed)
		CHECK_EQ(state_at_death(0), FREE);
	notify_one_by_one(0);
	works();
}

/* What the victim was notified of is the next one's; and once more another one's, if it died before it could say that it
 * had handed it on. */
static void after_giving_up_notified(int completed)
{
	int twice = state_at_death(0) == PASSING && notified_at_death(1);

	if (completed)
		CHECK_EQ(state_at_death(0), FREE);
	for (int i = 0; i <= twice; i++)
		CHECK_EQ(result_of(sleepers[i]), 0);
	notify_one_by_one(1 + twice);
	works();
}

/* The first `told` of the sleepers were notified when the notifier died: they wake, and nobody else. */
static void the_told_wake(int told)
{
	for (int i = 0; i < started; i++)
		CHECK_EQ(notified_at_death(i), i < told);
	for (int i = 0; i < told; i++)
		CHECK_EQ(result_of(sleepers[i]), 0);
	notify_one_by_one(told);
	works();
}

static void after_notify_one(int completed)
{
	int told = notified_at_death(0);

	if (completed)
		CHECK_EQ(told, 1);
	the_told_wake(told);
}

static void after_notify_all(int completed)
{
	int told = 0;

	while (told < started && notified_at_death(told))
		told++;
	if (completed)
		CHECK_EQ(told, started);
	the_told_wake(told);
}

static void after_notify_awake(int completed)
{
	int told = notified_at_death(0);

	if (completed)
		CHECK_EQ(told, 1);
	CHECK_EQ(end(&older, told ? promised() : 0), told);
	works();
}

/* The first in line is dead, and whoever notifies one may find that out or not: the next one gets it. */
static void after_notify_past_dead(int completed)
{
	int told = state_at_death(0) != ASLEEP || notified_at_death(1);

	if (completed)
		CHECK_EQ(told, 1);
	if (!told || (state_at_death(0) == FREE && !notified_at_death(1)))
		CHECK_EQ(notify(&self, 1), 1); /* it had only been found that the first one is dead */
	CHECK_EQ(result_of(sleepers[0]), 0);
	works();
}

/* The dead one's notification is the older waiter's; the younger one has none, unless who handed on died before it could
 * say that it had. */
static void after_handing_on(int completed)
{
	(void)completed;
	CHECK_EQ(end(&older, promised()), 1);
	if (end(&younger, 0))
		CHECK_EQ(state_at_death(0), PASSING);
	works();
}

#define SCENE(name, ...) {"condition: " name, IPK_SYNC_CONDITION, 0, SLOTS, __VA_ARGS__}

static const struct scene scenes[] = {
	SCENE("begin to wait", make, enter_locked, begin_to_wait, NULL, after_begin),
	SCENE("begin to wait, all slots are of the dead", all_slots_dead, enter_locked, begin_to_wait, NULL, after_begin),
	SCENE("wait until notified", two_will_sleep, enter_waiting, wait_notified, notify_victim_once, after_wait),
	SCENE("wait until notified, the mutex is kept", two_will_sleep, enter_waiting, wait_notified, notify_then_release,
	      after_wait),
	SCENE("wait until notified, the notifier dies", two_will_sleep, enter_waiting, wait_notified, notify_and_die, after_wait),
	SCENE("wait, notified before", two_will_sleep_and_victim_is_notified, enter_waiting, wait_notified, NULL, after_wait),
	SCENE("wait until the time is up", two_will_sleep, enter_waiting, wait_shortly, let_time_pass, after_giving_up),
	SCENE("give up", two_will_sleep, enter_waiting, leave, NULL, after_giving_up),
	SCENE("give up, notified before", two_will_sleep_and_victim_is_notified, enter_waiting, leave, NULL,
	      after_giving_up_notified),
	SCENE("notify one of two", two_sleep, enter_locked, notify_one, NULL, after_notify_one),
	SCENE("notify one of two and release", two_sleep, enter_locked, notify_one_and_release, NULL, after_notify_one),
	SCENE("notify one, who does not sleep", one_awake, enter_locked, notify_one, NULL, after_notify_awake),
	SCENE("notify one, the first is dead", dead_then_sleeper, enter_locked, notify_one, NULL, after_notify_past_dead),
	SCENE("notify all", three_sleep, enter_locked, notify_all, NULL, after_notify_all),
	SCENE("hand on what a dead one was notified of", dead_notified, enter_waiting, wait_a_slice, let_time_pass,
	      after_handing_on),
};

const struct scene *const condition_scenes = scenes;
const size_t condition_scene_count = sizeof(scenes) / sizeof(scenes[0]);
