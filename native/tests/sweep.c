#include "sweep.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "ipckit/stepping.h"
#include "stage.h"
#include "support.h"

#define MOST_STEPS 200000
#define LONG_NS INT64_C(10000000000)

static uint64_t merged_in_all;

/* What the object looks like; a kill between two looks that are the same is one kill. */
struct look {
	unsigned char bytes[MOST_BYTES], also[MOST_MORE];
	uint32_t calls;
	int blocked;
};

static int changed(struct look *last, const struct ipk_step *step, int blocked)
{
	const void *bytes = ipk_home_place(&home);
	size_t size = ipk_home_room(&home);

	if (memcmp(last->bytes, bytes, size) == 0 && last->calls == step->calls && last->blocked == blocked &&
	    (!also || memcmp(last->also, also, also_size) == 0))
		return 0;
	memcpy(last->bytes, bytes, size);
	if (also)
		memcpy(last->also, also, also_size);
	last->calls = step->calls;
	last->blocked = blocked;
	return 1;
}

static void operate(const struct scene *scene)
{
	ipk_step_begin();
	scene->operate();
	ipk_step_end();
}

/* Start a victim, and bring it to the beginning of its operation. */
static pid_t bring(const struct scene *scene, struct ipk_step *step)
{
	pid_t pid = start_victim(scene, operate);
	int rc = ipk_step_seize(pid, step);
	if (rc == -EPERM || rc == -EOPNOTSUPP)
		fprintf(stderr, "this machine forbids ptrace(2), or its instructions are unknown: use `points`\n");
	CHECK_EQ(rc, 0);
	let_go();
	CHECK_EQ(ipk_step_run_to(pid, step, ipk_step_begins_at(), ipk_monotonic_ns() + LONG_NS), IPK_STEP_DONE);
	return pid;
}

/* Step on until the kill-th place where it may be killed. Returns whether there is one; *completed: the operation is over. */
static int step_to(const struct scene *scene, pid_t pid, struct ipk_step *step, uint64_t kill_at, int every, int *completed)
{
	static struct look last;
	uint64_t places = 0, merged = 0;
	int rc = IPK_STEP_DONE;

	memset(&last, 0, sizeof(last));
	*completed = 0;
	for (uint64_t steps = 0; steps < MOST_STEPS; steps++) {
		*completed = rc == IPK_STEP_DONE && step->address == ipk_step_ends_at();
		if (changed(&last, step, rc == IPK_STEP_BLOCKED) || every || *completed) {
			if (places++ == kill_at)
				return 1;
		} else {
			merged++;
		}
		if (*completed) {
			merged_in_all += merged;
			return 0;
		}
		if (rc == IPK_STEP_BLOCKED) {
			/* also one that must not sleep may stand for a moment in a call that the kernel delays */
			int64_t patience = scene->unblock ? LONG_NS : IPK_SLICE_NS / 2;

			if (scene->unblock)
				scene->unblock();
			rc = ipk_step_wait(pid, step, ipk_monotonic_ns() + patience);
			CHECK_EQ(rc, IPK_STEP_DONE);
		} else {
			rc = ipk_step_once(pid, step);
		}
		CHECK(rc == IPK_STEP_DONE || rc == IPK_STEP_BLOCKED);
	}
	fprintf(stderr, "%s does not end in %d instructions\n", scene->name, MOST_STEPS);
	give_up(1);
}

static int kill_once(const struct scene *scene, uint64_t kill_at, int every)
{
	struct ipk_step step;
	int completed, found;
	pid_t pid;

	next_kill(scene, NULL, kill_at);
	make(scene);
	pid = bring(scene, &step);
	found = step_to(scene, pid, &step, kill_at, every, &completed);
	note_death((int64_t)(step.address - ipk_step_begins_at()));
	kill_child(pid);
	survive(scene, completed);
	return found;
}

void sweep(const struct scene *scenes, size_t count, int every)
{
	open_stage();
	for (size_t i = 0; i < count; i++) {
		uint64_t kills = 0;

		begin_scene(&scenes[i]);
		while (kill_once(&scenes[i], kills, every))
			kills++;
		end_scene(kills);
	}
	summary();
	printf("  %" PRIu64 " instructions after which nothing had changed were taken together with the one before\n", merged_in_all);
}
