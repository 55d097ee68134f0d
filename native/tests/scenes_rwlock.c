#include <errno.h>

#include "check.h"
#include "ipckit/rwlock.h"
#include "scenes.h"

#define READERS 5

static struct ipk_sync *holder; /* a member of the survivor's process, so that the survivor itself can be another one */

static struct ipk_rwlock_shm *words(void)
{
	return (struct ipk_rwlock_shm *)(void *)object.object;
}

static int write_after(struct ipk_sync *view)
{
	int64_t deadline = promised();
	int rc;

	do
		rc = ipk_rwlock_write_wait(view, deadline);
	while (rc == -EAGAIN);
	return rc;
}

static int read_after(struct ipk_sync *view)
{
	int64_t deadline = promised();
	uint32_t taken;
	int rc;

	do
		rc = ipk_rwlock_read_wait(view, deadline, &taken);
	while (rc == -EAGAIN);
	return rc;
}

/* The lock works for all that are left. inherited: whether the first to write must be told of a death, or -1: it may be. */
static void works(int inherited)
{
	struct ipk_sync *second = another_member();
	int rc = write_after(&object);

	CHECK(rc == 0 || rc == -EOWNERDEAD);
	if (inherited >= 0)
		CHECK_EQ(rc == -EOWNERDEAD, inherited);
	CHECK_EQ(ipk_rwlock_write_try(second), -EAGAIN);
	CHECK_EQ(ipk_rwlock_read_try(second), -EAGAIN);
	CHECK_EQ(ipk_holders_sum(&object), 0);
	if (rc == -EOWNERDEAD)
		CHECK_EQ(ipk_rwlock_consistent(&object), 0);
	CHECK_EQ(ipk_rwlock_write_release(&object), 0);
	CHECK_EQ(read_after(second), 0);
	CHECK_EQ(read_after(&object), 0);
	CHECK_EQ(ipk_rwlock_write_try(second), -EAGAIN);
	CHECK_EQ(ipk_rwlock_read_release(second), 0);
	CHECK_EQ(ipk_rwlock_read_release(&object), 0);
	CHECK_EQ(write_after(second), 0);
	CHECK_EQ(ipk_rwlock_write_release(second), 0);
	CHECK_EQ(atomic_load(&words()->gate), 0);
}

/* --- what victims do ----------------------------------------------------------------------------------------------- */

static void read_try(void)
{
	ipk_rwlock_read_try(&object);
}

static void read_wait(void)
{
	uint32_t taken;

	while (ipk_rwlock_read_wait(&object, IPK_NEVER, &taken) == -EAGAIN)
		continue;
}

static void read_release(void)
{
	ipk_rwlock_read_release(&object);
}

static void read_and_release(void)
{
	read_try();
	read_release();
}

static void write_try(void)
{
	ipk_rwlock_write_try(&object);
}

static void write_wait(void)
{
	while (ipk_rwlock_write_wait(&object, IPK_NEVER) == -EAGAIN)
		continue;
}

static void write_slice(void)
{
	CHECK_EQ(ipk_rwlock_write_wait(&object, IPK_NEVER), -EAGAIN);
}

static void write_undo(void)
{
	ipk_rwlock_write_undo(&object);
}

static void write_release(void)
{
	ipk_rwlock_write_release(&object);
}

static void write_with_sleepers(void)
{
	CHECK_EQ(ipk_rwlock_write_try(&object), 0);
	atomic_fetch_or(&words()->gate, IPK_LOCK_WAITERS);
}

static void write_inherited(void)
{
	CHECK_EQ(ipk_rwlock_write_try(&object), -EOWNERDEAD);
}

static void mark_and_release(void)
{
	ipk_rwlock_consistent(&object);
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

/* --- what is there before ------------------------------------------------------------------------------------------ */

static void hold_write(void)
{
	holder = another_member();
	CHECK_EQ(ipk_rwlock_write_try(holder), 0);
}

static void hold_read(void)
{
	holder = another_member();
	CHECK_EQ(ipk_rwlock_read_try(holder), 0);
}

static void let_go(void)
{
	ipk_rwlock_write_release(holder);
	ipk_rwlock_read_release(holder);
}

static void die_writing(void)
{
	die_after(write_try);
}

static void die_reading(void)
{
	die_after(read_try);
}

static void die_waiting_to_write(void)
{
	hold_read();
	die_after(write_slice);
	let_go();
}

static void leave_inconsistent(void)
{
	hold_write();
	CHECK_EQ(ipk_rwlock_abandon(holder), 1);
}

static void pretend_sleeping_writer(void)
{
	atomic_store(&words()->asleep, 1);
}

/* A reader that waits since an earlier phase, and does not come. */
static void pretend_elder(void)
{
	struct ipk_holder_entry_shm *entry;

	holder = another_member();
	CHECK_EQ(ipk_holders_claim(holder, &entry), 0);
	atomic_store(&entry->waiting, 1);
	atomic_store(&entry->since, atomic_load(&words()->phase) - 1);
	atomic_store(&words()->opened, (uint64_t)ipk_monotonic_ns());
}

/* --- what must be so afterwards ------------------------------------------------------------------------------------ */

static void after_reading(int completed)
{
	(void)completed;
	works(0);
}

static void after_waiting_to_read(int completed)
{
	(void)completed;
	let_go();
	works(0);
}

static void after_writing(int completed)
{
	works(completed ? 1 : -1);
}

static void after_waiting_to_write(int completed)
{
	let_go();
	works(completed ? 1 : -1);
}

static void after_inheritance(int completed)
{
	uint32_t taken;

	(void)completed;
	CHECK_EQ(ipk_rwlock_read_wait(&object, 0, &taken), -EOWNERDEAD); /* it needs not wait to see that a writer is dead */
	CHECK_EQ(ipk_rwlock_read_release(&object), 0);
	works(1);
}

static void after_release(int completed)
{
	works(completed ? 0 : -1);
}

static void after_loss(int completed)
{
	if (!completed && !(atomic_load(&words()->lock.word) & IPK_LOCK_LOST)) {
		works(1);
		return;
	}
	CHECK_EQ(ipk_rwlock_write_try(&object), -ENOTRECOVERABLE);
	CHECK_EQ(ipk_rwlock_read_try(&object), -ENOTRECOVERABLE);
	CHECK_EQ(read_after(&object), -ENOTRECOVERABLE);
}

#define SCENE(title, before, inside, operation, wake, after)				\
	{										\
		.name = "rwlock: " title, .kind = IPK_SYNC_RWLOCK, .count = READERS, .prepare = before, \
		.enter = inside, .operate = operation, .unblock = wake, .outlive = after	\
	}

static const struct scene scenes[] = {
	SCENE("read for the first time", NULL, NULL, read_try, NULL, after_reading),
	SCENE("read, free", NULL, read_and_release, read_try, NULL, after_reading),
	SCENE("read by waiting, free", NULL, NULL, read_wait, NULL, after_reading),
	SCENE("read, a writer leaves", hold_write, NULL, read_wait, let_go, after_waiting_to_read),
	SCENE("read, the writer is dead", die_writing, NULL, read_wait, let_time_pass, after_inheritance),
	SCENE("read, the writer died while it waited", die_waiting_to_write, NULL, read_wait, let_time_pass, after_reading),
	SCENE("give a read back", NULL, read_try, read_release, NULL, after_reading),
	SCENE("give a read back, a writer sleeps", pretend_sleeping_writer, read_try, read_release, NULL, after_reading),
	SCENE("close while reading", NULL, read_try, abandon, NULL, after_reading),
	SCENE("write, free", NULL, NULL, write_try, NULL, after_writing),
	SCENE("write, others read", hold_read, NULL, write_try, NULL, after_waiting_to_read),
	SCENE("write by waiting, free", NULL, NULL, write_wait, NULL, after_writing),
	SCENE("write, a writer leaves", hold_write, NULL, write_wait, let_go, after_waiting_to_write),
	SCENE("write, a reader leaves", hold_read, NULL, write_wait, let_go, after_waiting_to_write),
	SCENE("write, a reader is dead", die_reading, NULL, write_wait, let_time_pass, after_writing),
	SCENE("write, the writer is dead", die_writing, NULL, write_wait, let_time_pass, after_inheritance),
	SCENE("write, the writer died while it waited", die_waiting_to_write, NULL, write_wait, let_time_pass, after_writing),
	SCENE("write, a reader waits longer", pretend_elder, NULL, write_wait, let_time_pass, after_waiting_to_write),
	SCENE("write, left inconsistent", leave_inconsistent, NULL, write_try, NULL, after_inheritance),
	SCENE("give up a wait to write", hold_read, write_slice, write_undo, NULL, after_waiting_to_read),
	SCENE("give a write back", NULL, write_try, write_release, NULL, after_release),
	SCENE("give a write back, readers sleep", NULL, write_with_sleepers, write_release, NULL, after_release),
	SCENE("give a write back without putting right", leave_inconsistent, write_inherited, write_release, NULL, after_loss),
	SCENE("put right and give back", leave_inconsistent, write_inherited, mark_and_release, NULL, after_release),
	SCENE("downgrade", NULL, write_try, downgrade, NULL, after_release),
	SCENE("downgrade without putting right", leave_inconsistent, write_inherited, downgrade, NULL, after_inheritance),
	SCENE("close while writing", NULL, write_try, abandon, NULL, after_inheritance),
};

const struct scene *const rwlock_scenes = scenes;
const size_t rwlock_scene_count = sizeof(scenes) / sizeof(scenes[0]);
