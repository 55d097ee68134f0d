#include <errno.h>

#include "check.h"
#include "ipckit/once.h"
#include "scenes.h"
#include "support.h"

#define SLEEPERS 2

static struct ipk_sync *runner; /* a member of the survivor's process */
static pid_t sleepers[SLEEPERS];
static _Atomic uint32_t *runs; /* how often it was done to the end; shared with sleepers */

static int try_after(struct ipk_sync *view)
{
	int64_t deadline = promised();
	int rc;

	do
		rc = ipk_once_wait(view, deadline);
	while (rc == -EAGAIN);
	return rc;
}

static void begin(void)
{
	if (!runs)
		runs = shared_memory(sizeof(*runs));
	atomic_store(runs, 0);
	runner = NULL;
}

static void become_runner(void)
{
	CHECK_EQ(ipk_once_try(&object), 0);
}

static void complete(void)
{
	ipk_once_complete(&object);
}

static void let_run(void)
{
	begin();
	runner = another_member();
	CHECK_EQ(ipk_once_try(runner), 0);
}

static void let_run_complete(void)
{
	if (ipk_once_mine(runner))
		CHECK_EQ(ipk_once_complete(runner), 0);
}

static void let_run_give_up(void)
{
	if (ipk_once_mine(runner))
		CHECK_EQ(ipk_once_abandon(runner), 0);
}

static void be_done(void)
{
	let_run();
	let_run_complete();
}

static void die_running(void)
{
	begin();
	die_after(become_runner);
}

/* One that waits, and does it if nobody else has. */
static int do_once(void)
{
	int rc;

	do
		rc = ipk_once_wait(&object, IPK_NEVER);
	while (rc == -EAGAIN);
	if (rc == -EALREADY)
		return 0;
	if (rc == 0) {
		atomic_fetch_add(runs, 1);
		rc = ipk_once_complete(&object);
	}
	return rc;
}

static void start_sleepers(void)
{
	for (int i = 0; i < SLEEPERS; i++)
		sleepers[i] = start_sleeper(do_once);
}

static void begin_with_sleepers(void)
{
	begin();
	when_entered(start_sleepers);
}

static void try_it(void)
{
	ipk_once_try(&object);
}

static void wait_for_it(void)
{
	while (ipk_once_wait(&object, IPK_NEVER) == -EAGAIN)
		continue;
}

static void give_up_running(void)
{
	ipk_once_abandon(&object);
}

static void close_it(void)
{
	ipk_once_close(&object);
}

/* It is done, for all and for ever. */
static void is_done(void)
{
	struct ipk_sync *second = another_member();

	CHECK_EQ(ipk_once_done(&object), 1);
	CHECK_EQ(try_after(&object), -EALREADY);
	CHECK_EQ(ipk_once_try(second), -EALREADY);
	CHECK_EQ(ipk_once_recover(second), -EALREADY);
	CHECK_EQ(ipk_once_complete(second), -EPERM);
}

/* It is not done, and one of those that are left does it, one after the other. */
static void is_done_again(void)
{
	struct ipk_sync *second = another_member();

	CHECK_EQ(ipk_once_done(&object), 0);
	CHECK_EQ(try_after(&object), 0);
	CHECK_EQ(ipk_once_try(second), -EAGAIN);
	CHECK_EQ(ipk_once_recover(second), -EAGAIN);
	CHECK_EQ(ipk_once_complete(second), -EPERM);
	CHECK_EQ(ipk_once_abandon(&object), 0);
	CHECK_EQ(ipk_once_try(second), 0);
	CHECK_EQ(ipk_once_complete(second), 0);
	is_done();
}

static void after_try(int completed)
{
	(void)completed; /* whether the victim ran or not: it has not done it */
	is_done_again();
}

static void after_wait(int completed)
{
	let_run_give_up();
	after_try(completed);
}

static void after_wait_until_done(int completed)
{
	(void)completed;
	let_run_complete();
	is_done();
}

static void after_complete(int completed)
{
	if (completed || ipk_once_done(&object))
		is_done();
	else
		is_done_again();
}

/* The same, with others asleep: none does it if it is done, else exactly one does. */
static void after_complete_for_others(int completed)
{
	const struct ipk_once_shm *dead = at_death();
	int done = (atomic_load(&dead->lock.word) & IPK_LOCK_LOST) != 0;

	if (completed)
		CHECK_EQ(done, 1);
	for (int i = 0; i < SLEEPERS; i++)
		CHECK_EQ(result_of(sleepers[i]), 0);
	CHECK_EQ(atomic_load(runs), !done);
	is_done();
}

static void after_giving_up_before_others(int completed)
{
	(void)completed;
	for (int i = 0; i < SLEEPERS; i++)
		CHECK_EQ(result_of(sleepers[i]), 0);
	CHECK_EQ(atomic_load(runs), 1);
	is_done();
}

static void after_done(int completed)
{
	(void)completed;
	is_done();
}

#define SCENE(name, ...) {"once: " name, IPK_SYNC_ONCE, 0, 0, __VA_ARGS__}

static const struct scene scenes[] = {
	SCENE("begin", begin, NULL, try_it, NULL, after_try),
	SCENE("begin by waiting", begin, NULL, wait_for_it, NULL, after_try),
	SCENE("begin, another one runs and gives up", let_run, NULL, wait_for_it, let_run_give_up, after_wait),
	SCENE("begin, the runner is dead", die_running, NULL, wait_for_it, let_time_pass, after_try),
	SCENE("begin, it is done", be_done, NULL, wait_for_it, NULL, after_done),
	SCENE("wait until it is done", let_run, NULL, wait_for_it, let_run_complete, after_wait_until_done),
	SCENE("complete", begin, become_runner, complete, NULL, after_complete),
	SCENE("complete, others wait", begin_with_sleepers, become_runner, complete, NULL, after_complete_for_others),
	SCENE("give up", begin, become_runner, give_up_running, NULL, after_try),
	SCENE("give up, others wait", begin_with_sleepers, become_runner, give_up_running, NULL, after_giving_up_before_others),
	SCENE("close while running", begin, become_runner, close_it, NULL, after_try),
};

const struct scene *const once_scenes = scenes;
const size_t once_scene_count = sizeof(scenes) / sizeof(scenes[0]);
