/* Read-write locks, with processes that really sleep: all get in, whoever is killed in their way. */
#include <errno.h>

#include "check.h"
#include "ipckit/rwlock.h"
#include "scenes.h"

#define MOST_SLEEPERS 3
#define READERS 8

static struct ipk_sync *holder; /* a member of the survivor's process */
static pid_t sleepers[MOST_SLEEPERS];
static int started; /* sleepers */

static void begin(void)
{
	started = 0;
	holder = another_member();
}

static void add_sleeper(int (*function)(void))
{
	CHECK(started < MOST_SLEEPERS);
	sleepers[started++] = start_sleeper(function);
}

static int read_once(void)
{
	uint32_t taken;
	int rc;

	do
		rc = ipk_rwlock_read_wait(&object, IPK_NEVER, &taken);
	while (rc == -EAGAIN);
	if (rc == 0 || rc == -EOWNERDEAD)
		CHECK_EQ(ipk_rwlock_read_release(&object), 0);
	return rc;
}

static int write_once(void)
{
	int rc;

	do
		rc = ipk_rwlock_write_wait(&object, IPK_NEVER);
	while (rc == -EAGAIN);
	if (rc == -EOWNERDEAD)
		CHECK_EQ(ipk_rwlock_consistent(&object), 0);
	if (rc == 0 || rc == -EOWNERDEAD)
		CHECK_EQ(ipk_rwlock_write_release(&object), 0);
	return rc;
}

static void read_try(void)
{
	CHECK_EQ(ipk_rwlock_read_try(&object), 0);
}

static void read_release(void)
{
	ipk_rwlock_read_release(&object);
}

static void write_try(void)
{
	CHECK_EQ(ipk_rwlock_write_try(&object), 0);
}

static void write_wait(void)
{
	while (ipk_rwlock_write_wait(&object, IPK_NEVER) == -EAGAIN)
		continue;
}

static void write_release(void)
{
	ipk_rwlock_write_release(&object);
}

static void downgrade(void)
{
	ipk_rwlock_downgrade(&object);
}

static void abandon(void)
{
	ipk_rwlock_abandon(&object);
}

static void start_readers(void)
{
	while (started < 2)
		add_sleeper(read_once);
}

static void start_writer(void)
{
	add_sleeper(write_once);
}

static void start_all(void)
{
	start_readers();
	start_writer();
}

static void all_will_wait(void)
{
	begin();
	when_entered(start_all);
}

static void writer_will_wait(void)
{
	begin();
	when_entered(start_writer);
}

static void somebody_reads(void)
{
	begin();
	CHECK_EQ(ipk_rwlock_read_try(holder), 0);
}

static void somebody_writes(void)
{
	begin();
	CHECK_EQ(ipk_rwlock_write_try(holder), 0);
}

static void let_go(void)
{
	ipk_rwlock_write_release(holder);
	ipk_rwlock_read_release(holder);
}

/* The victim sleeps, and shuts the gate: let others queue up behind it, and make way. */
static void make_way(void)
{
	start_readers();
	let_go();
}

/* All get in, one after the other or together. told: whether they may be told of a death. */
static void all_get_in(int told)
{
	let_go();
	for (int i = 0; i < started; i++) {
		int rc = result_of(sleepers[i]);

		CHECK(rc == 0 || (rc == -EOWNERDEAD && told));
	}
	promised();
	write_once();
	promised();
	CHECK_EQ(write_once(), 0);
	CHECK_EQ(read_once(), 0);
	CHECK_EQ(ipk_holders_sum(&object), 0);
}

static void after_reading(int completed)
{
	(void)completed;
	all_get_in(0);
}

static void after_writing(int completed)
{
	(void)completed;
	all_get_in(1);
}

static void after_write_release(int completed)
{
	all_get_in(!completed);
}

#define SCENE(name, ...) {"rwlock, others sleep: " name, IPK_SYNC_RWLOCK, 0, READERS, __VA_ARGS__}

static const struct scene scenes[] = {
	SCENE("give a read back", writer_will_wait, read_try, read_release, NULL, after_reading),
	SCENE("give a write back", all_will_wait, write_try, write_release, NULL, after_write_release),
	SCENE("downgrade", all_will_wait, write_try, downgrade, NULL, after_write_release),
	SCENE("close while writing", all_will_wait, write_try, abandon, NULL, after_writing),
	SCENE("write, a reader leaves", somebody_reads, NULL, write_wait, make_way, after_writing),
	SCENE("write, a writer leaves", somebody_writes, NULL, write_wait, make_way, after_writing),
};

const struct scene *const rwlock_sleepers_scenes = scenes;
const size_t rwlock_sleepers_scene_count = sizeof(scenes) / sizeof(scenes[0]);
