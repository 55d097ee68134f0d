/* Semaphores, with processes that really sleep: nobody sleeps on beside a permit, and none is lost or there twice. */
#include <errno.h>
#include <sched.h>

#include "check.h"
#include "ipckit/semaphore.h"
#include "ipckit/tracked_semaphore.h"
#include "scenes.h"

#define PERMITS 2
#define HOLDERS 8

static struct ipk_sync *holder; /* a member of the survivor's process */
static pid_t sleepers[PERMITS];
static int started; /* sleepers */
static int gave;    /* permits, by the survivor */

static void begin(void)
{
	started = 0;
	gave = 0;
	holder = another_member();
}

/* --- semaphores ---------------------------------------------------------------------------------------------------- */

static int take_one(void)
{
	uint32_t taken;
	int rc;

	do
		rc = ipk_semaphore_wait(&object, IPK_NEVER, &taken);
	while (rc == -EAGAIN);
	return rc;
}

static void take(void)
{
	take_one();
}

static void give_one(void)
{
	ipk_semaphore_release(&object, 1);
}

static void give_all(void)
{
	ipk_semaphore_release(&object, PERMITS);
}

static void none_there(void)
{
	begin();
	ipk_semaphore_format(object.object, 0, IPK_SEMAPHORE_VALUE_MAX);
}

static void start_takers(void)
{
	while (started < PERMITS)
		sleepers[started++] = start_sleeper(take_one);
}

static void others_wait(void)
{
	none_there();
	start_takers();
}

/* The victim sleeps: let others queue up behind it, and give one. */
static void give_to_victim(void)
{
	start_takers();
	give_one();
	gave++;
}

/* How many sleepers have what there was. */
static int takers(void)
{
	int64_t deadline = promised();

	while (ipk_semaphore_value(&object) > 0 && count_ended(sleepers, started) < started) {
		CHECK_RANGE(ipk_monotonic_ns(), 0, deadline);
		sched_yield();
	}
	return count_ended(sleepers, started);
}

/* Each further permit is one sleeper's, until all have one; then it is there. */
static void feed(int ended)
{
	while (ended < started) {
		give_one();
		CHECK_EQ(takers(), ++ended);
		CHECK_EQ(ipk_semaphore_value(&object), 0);
	}
	for (int i = 0; i < started; i++)
		CHECK_EQ(result_of(sleepers[i]), 0);
	give_one();
	CHECK_EQ(take_one(), 0);
	CHECK_EQ(ipk_semaphore_try(&object), -EAGAIN);
}

static void after_giving_one(int completed)
{
	int ended = takers();

	CHECK_RANGE(ended, completed, 1);
	feed(ended);
}

static void after_giving_all(int completed)
{
	int ended = takers();

	CHECK(ended == PERMITS || (ended == 0 && !completed));
	feed(ended);
}

/* Sleepers that were faster than the victim may have been given one each, and the victim one more. */
static void after_taking(int completed)
{
	int ended = takers();
	int left = (int)ipk_semaphore_value(&object);

	CHECK_RANGE(gave - ended - left, completed, 1);
	for (int i = 0; i < left; i++)
		CHECK_EQ(ipk_semaphore_try(&object), 0);
	feed(ended);
}

/* --- those that know who has their permits -------------------------------------------------------------------------- */

static int tracked_take_one(void)
{
	uint32_t taken;
	int rc;

	do
		rc = ipk_tracked_semaphore_wait(&object, IPK_NEVER, &taken);
	while (rc == -EAGAIN);
	return rc;
}

static void tracked_take(void)
{
	tracked_take_one();
}

static void tracked_take_all(void)
{
	for (int i = 0; i < PERMITS; i++)
		CHECK_EQ(ipk_tracked_semaphore_try(&object), 0);
}

static void tracked_give(void)
{
	ipk_tracked_semaphore_release(&object, 1);
}

static void tracked_close(void)
{
	ipk_tracked_semaphore_abandon(&object);
}

static void start_tracked_takers(void)
{
	while (started < PERMITS)
		sleepers[started++] = start_sleeper(tracked_take_one);
}

static void others_will_wait(void)
{
	begin();
	ipk_tracked_semaphore_format(object.object, PERMITS);
	when_entered(start_tracked_takers);
}

static void held(void)
{
	begin();
	ipk_tracked_semaphore_format(object.object, PERMITS);
	for (int i = 0; i < PERMITS; i++)
		CHECK_EQ(ipk_tracked_semaphore_try(holder), 0);
}

static void tracked_give_back(void)
{
	start_tracked_takers();
	ipk_tracked_semaphore_release(holder, PERMITS);
}

/* All that the dead had is there for all, and no more. */
static void after_tracked(int completed)
{
	(void)completed;
	for (int i = 0; i < started; i++)
		CHECK_EQ(result_of(sleepers[i]), 0);
	ipk_tracked_semaphore_release(holder, PERMITS);
	for (int i = 0; i < PERMITS; i++) {
		promised();
		CHECK_EQ(tracked_take_one(), 0);
	}
	CHECK_EQ(ipk_tracked_semaphore_try(&object), -EAGAIN);
	CHECK_EQ(ipk_holders_sum(&object), PERMITS);
}

#define PLAIN(name, ...) {"semaphore, others sleep: " name, IPK_SYNC_SEMAPHORE, 0, 0, __VA_ARGS__}
#define TRACKED(name, ...) {"tracked semaphore, others sleep: " name, IPK_SYNC_TRACKED_SEMAPHORE, 0, HOLDERS, __VA_ARGS__}

static const struct scene scenes[] = {
	PLAIN("give one", others_wait, NULL, give_one, NULL, after_giving_one),
	PLAIN("give two", others_wait, NULL, give_all, NULL, after_giving_all),
	PLAIN("take what is given", none_there, NULL, take, give_to_victim, after_taking),
	TRACKED("give", others_will_wait, tracked_take_all, tracked_give, NULL, after_tracked),
	TRACKED("close", others_will_wait, tracked_take_all, tracked_close, NULL, after_tracked),
	TRACKED("take what is given", held, NULL, tracked_take, tracked_give_back, after_tracked),
};

const struct scene *const semaphore_sleepers_scenes = scenes;
const size_t semaphore_sleepers_scene_count = sizeof(scenes) / sizeof(scenes[0]);
