#include <errno.h>

#include "check.h"
#include "ipckit/latch.h"
#include "scenes.h"

#define SLEEPERS 2

static pid_t sleepers[SLEEPERS];

static int wait_after(void)
{
	int64_t deadline = promised();
	int rc;

	do
		rc = ipk_latch_wait(&object, deadline);
	while (rc == -EAGAIN);
	return rc;
}

static void close_for(uint32_t count)
{
	ipk_latch_format(object.object, count);
}

static void one_missing(void)
{
	close_for(1);
}

static void three_missing(void)
{
	close_for(3);
}

static int sleep_until_open(void)
{
	int rc;

	do
		rc = ipk_latch_wait(&object, IPK_NEVER);
	while (rc == -EAGAIN);
	return rc;
}

static void one_missing_others_wait(void)
{
	one_missing();
	for (int i = 0; i < SLEEPERS; i++)
		sleepers[i] = start_sleeper(sleep_until_open);
}

static void count_one(void)
{
	ipk_latch_count_down(&object, 1);
}

static void count_more_than_all(void)
{
	ipk_latch_count_down(&object, 5);
}

static void wait_until_open(void)
{
	sleep_until_open();
}

static void die_waiting(void)
{
	one_missing();
	die_asleep(wait_until_open);
}

static void count_last(void)
{
	if (ipk_latch_count(&object) > 0)
		CHECK_EQ(ipk_latch_count_down(&object, 1), 0);
}

/* It opens when the last one has counted, and not before; then it stays open. */
static void opens(void)
{
	while (ipk_latch_count(&object) > 0) {
		CHECK_EQ(ipk_latch_wait(&object, 0), -ETIMEDOUT);
		ipk_latch_count_down(&object, 1);
	}
	CHECK_EQ(wait_after(), 0);
	CHECK_EQ(ipk_latch_count_down(&object, 1), 0);
	CHECK_EQ(ipk_latch_wait(&object, 0), 0);
}

/* The victim has counted, or has not. */
static void after_one(int completed)
{
	CHECK_RANGE(ipk_latch_count(&object), 2, completed ? 2 : 3);
	opens();
}

static void after_all(int completed)
{
	uint32_t left = ipk_latch_count(&object);

	CHECK(left == 0 || (left == 3 && !completed));
	opens();
}

static void after_last(int completed)
{
	CHECK_RANGE(ipk_latch_count(&object), 0, completed ? 0 : 1);
	if (ipk_latch_count(&object) == 1) {
		for (int i = 0; i < SLEEPERS; i++)
			CHECK_EQ(still_sleeps(sleepers[i]), 1);
		count_last();
	}
	for (int i = 0; i < SLEEPERS; i++)
		CHECK_EQ(result_of(sleepers[i]), 0);
	opens();
}

static void after_wait(int completed)
{
	if (completed)
		CHECK_EQ(ipk_latch_count(&object), 0);
	opens();
}

#define SCENE(name, ...) {"latch: " name, IPK_SYNC_LATCH, 0, 0, __VA_ARGS__}

static const struct scene scenes[] = {
	SCENE("count down", three_missing, NULL, count_one, NULL, after_one),
	SCENE("count down by more than there is", three_missing, NULL, count_more_than_all, NULL, after_all),
	SCENE("count down to 0, others wait", one_missing_others_wait, NULL, count_one, NULL, after_last),
	SCENE("wait, open", NULL, NULL, wait_until_open, NULL, after_wait),
	SCENE("wait until it opens", one_missing, NULL, wait_until_open, count_last, after_wait),
	SCENE("wait where others do", one_missing_others_wait, NULL, wait_until_open, count_last, after_last),
	SCENE("wait where one died waiting", die_waiting, NULL, wait_until_open, count_last, after_wait),
};

const struct scene *const latch_scenes = scenes;
const size_t latch_scene_count = sizeof(scenes) / sizeof(scenes[0]);
