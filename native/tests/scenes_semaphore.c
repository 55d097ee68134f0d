#include <errno.h>

#include "check.h"
#include "ipckit/semaphore.h"
#include "ipckit/tracked_semaphore.h"
#include "scenes.h"

#define PERMITS 2
#define HOLDERS 5

static struct ipk_sync *holder; /* a member of the survivor's process */
static int given;

/* --- plain --------------------------------------------------------------------------------------------------------- */

static int take_after(struct ipk_sync *view)
{
	int64_t deadline = promised();
	uint32_t taken;
	int rc;

	do
		rc = ipk_semaphore_wait(view, deadline, &taken);
	while (rc == -EAGAIN);
	return rc;
}

/* There are so many permits, and they can be taken and given. */
static void has(int64_t least, int64_t most)
{
	int64_t value = ipk_semaphore_value(&object);

	CHECK_RANGE(value, least, most);
	for (int64_t i = 0; i < value; i++)
		CHECK_EQ(take_after(&object), 0);
	CHECK_EQ(ipk_semaphore_try(&object), -EAGAIN);
	CHECK_EQ(ipk_semaphore_release(&object, 1), 0);
	CHECK_EQ(take_after(another_member()), 0);
}

static void begin(void)
{
	ipk_semaphore_format(object.object, PERMITS, IPK_SEMAPHORE_VALUE_MAX);
}

static void begin_empty(void)
{
	ipk_semaphore_format(object.object, 0, IPK_SEMAPHORE_VALUE_MAX);
	given = 0;
}

static void begin_with_sleepers(void)
{
	ipk_semaphore_format(object.object, IPK_SEMAPHORE_WAITERS, IPK_SEMAPHORE_VALUE_MAX);
}

static void take(void)
{
	ipk_semaphore_try(&object);
}

static void take_by_waiting(void)
{
	uint32_t taken;

	while (ipk_semaphore_wait(&object, IPK_NEVER, &taken) == -EAGAIN)
		continue;
}

static void give(void)
{
	ipk_semaphore_release(&object, PERMITS);
}

static void give_once(void)
{
	if (!given)
		CHECK_EQ(ipk_semaphore_release(&object, PERMITS), 0);
	given = 1;
}

static void after_take(int completed)
{
	has(PERMITS - 1, completed ? PERMITS - 1 : PERMITS);
}

static void after_wait(int completed)
{
	give_once();
	after_take(completed);
}

static void after_give(int completed)
{
	has(completed ? PERMITS : 0, PERMITS);
}

/* --- tracked ------------------------------------------------------------------------------------------------------- */

static int tracked_take_after(struct ipk_sync *view)
{
	int64_t deadline = promised();
	uint32_t taken;
	int rc;

	do
		rc = ipk_tracked_semaphore_wait(view, deadline, &taken);
	while (rc == -EAGAIN);
	return rc;
}

/* The dead have nothing any more, nothing is lost, and nothing is there twice. */
static void tracked_works(int completed)
{
	struct ipk_sync *second = another_member();
	uint32_t taken;

	(void)completed;
	for (int i = 0; i < PERMITS; i++)
		CHECK_EQ(tracked_take_after(&object), 0);
	CHECK_EQ(ipk_holders_sum(&object), PERMITS);
	CHECK_EQ(ipk_tracked_semaphore_wait(second, 0, &taken), -ETIMEDOUT);
	CHECK_EQ(ipk_tracked_semaphore_release(second, 1), -EPERM);
	CHECK_EQ(ipk_tracked_semaphore_release(&object, PERMITS), 0);
	CHECK_EQ(tracked_take_after(second), 0);
	CHECK_EQ(ipk_tracked_semaphore_value(second), PERMITS - 1);
}

static void tracked_begin(void)
{
	ipk_tracked_semaphore_format(object.object, PERMITS);
}

static void tracked_take(void)
{
	ipk_tracked_semaphore_try(&object);
}

static void tracked_take_by_waiting(void)
{
	uint32_t taken;

	while (ipk_tracked_semaphore_wait(&object, IPK_NEVER, &taken) == -EAGAIN)
		continue;
}

static void tracked_give(void)
{
	ipk_tracked_semaphore_release(&object, 1);
}

static void tracked_take_and_give(void)
{
	tracked_take();
	tracked_give();
}

static void tracked_close(void)
{
	ipk_tracked_semaphore_abandon(&object);
}

static void tracked_hold_all(void)
{
	tracked_begin();
	holder = another_member();
	for (int i = 0; i < PERMITS; i++)
		CHECK_EQ(ipk_tracked_semaphore_try(holder), 0);
}

static void tracked_let_go(void)
{
	ipk_tracked_semaphore_release(holder, PERMITS);
}

static void tracked_die_holding(void)
{
	tracked_begin();
	for (int i = 0; i < PERMITS; i++)
		die_after(tracked_take);
}

static void enter_guard(void)
{
	CHECK_EQ(ipk_lock_try(&((struct ipk_tracked_semaphore_shm *)(void *)object.object)->guard, object.member), 0);
}

static void tracked_die_inside(void)
{
	tracked_begin();
	die_after(enter_guard);
}

static void tracked_pretend_sleeper(void)
{
	tracked_begin();
	atomic_store(&((struct ipk_tracked_semaphore_shm *)(void *)object.object)->word, 0x80000000U);
}

static void tracked_after_wait(int completed)
{
	tracked_let_go();
	tracked_works(completed);
}

#define PLAIN(title, before, inside, operation, wake, after)				\
	{										\
		.name = "semaphore: " title, .kind = IPK_SYNC_SEMAPHORE, .count = 0, .prepare = before, \
		.enter = inside, .operate = operation, .unblock = wake, .outlive = after	\
	}
#define TRACKED(title, before, inside, operation, wake, after)				\
	{										\
		.name = "tracked semaphore: " title, .kind = IPK_SYNC_TRACKED_SEMAPHORE, .count = HOLDERS, .prepare = before, \
		.enter = inside, .operate = operation, .unblock = wake, .outlive = after	\
	}

static const struct scene scenes[] = {
	PLAIN("take", begin, NULL, take, NULL, after_take),
	PLAIN("take by waiting", begin, NULL, take_by_waiting, NULL, after_take),
	PLAIN("take what is given", begin_empty, NULL, take_by_waiting, give_once, after_wait),
	PLAIN("give", begin_empty, NULL, give, NULL, after_give),
	PLAIN("give, somebody sleeps", begin_with_sleepers, NULL, give, NULL, after_give),
	TRACKED("take for the first time", tracked_begin, NULL, tracked_take, NULL, tracked_works),
	TRACKED("take", tracked_begin, tracked_take_and_give, tracked_take, NULL, tracked_works),
	TRACKED("take by waiting", tracked_begin, NULL, tracked_take_by_waiting, NULL, tracked_works),
	TRACKED("take what is given", tracked_hold_all, NULL, tracked_take_by_waiting, tracked_let_go, tracked_after_wait),
	TRACKED("take from the dead", tracked_die_holding, NULL, tracked_take_by_waiting, let_time_pass, tracked_works),
	TRACKED("take, one died inside", tracked_die_inside, NULL, tracked_take_by_waiting, let_time_pass, tracked_works),
	TRACKED("give", tracked_begin, tracked_take, tracked_give, NULL, tracked_works),
	TRACKED("give, somebody sleeps", tracked_pretend_sleeper, tracked_take, tracked_give, NULL, tracked_works),
	TRACKED("close", tracked_begin, tracked_take, tracked_close, NULL, tracked_works),
};

const struct scene *const semaphore_scenes = scenes;
const size_t semaphore_scene_count = sizeof(scenes) / sizeof(scenes[0]);
