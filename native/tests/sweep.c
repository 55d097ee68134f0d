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
#define RUN_NS INT64_C(1000000000) /* an operation that runs and does not sleep takes a thousandth of it */
#define ALL UINT64_MAX

static uint64_t merged_in_all, stepped_in_all;

/* The way of a victim through its operation, which the next one takes as well. To bring that one to its kill it runs to
 * the last instruction before it that it comes to for the first time, and is stepped from there. */
static struct {
	uint64_t count;			 /* instructions that it does not sleep before */
	uint64_t address[MOST_STEPS];
	uint32_t last_new[MOST_STEPS];	 /* the last one up to this that the way has not come by before */
	uint32_t table[4 * MOST_STEPS]; /* of addresses, by hash: the number of the instruction, plus 1 */
} way;

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

static int is_new(uint64_t address)
{
	uint64_t at = address * UINT64_C(0x9E3779B97F4A7C15) >> 32;

	for (;; at++) {
		uint32_t *place = &way.table[at % (4 * MOST_STEPS)];

		if (*place == 0) {
			*place = (uint32_t)way.count + 1;
			return 1;
		}
		if (way.address[*place - 1] == address)
			return 0;
	}
}

static void remember(uint64_t address)
{
	way.address[way.count] = address;
	way.last_new[way.count] = is_new(address) ? (uint32_t)way.count : way.last_new[way.count - 1];
	way.count++;
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

/* Step on from that place until the kill-th one where it may be killed, or, ALL, to the end. Returns whether there is one;
 * *completed: the operation is over. */
static int step_to(const struct scene *scene, pid_t pid, struct ipk_step *step, uint64_t places, uint64_t kill_at, int every,
		   int *completed)
{
	static struct look last;
	uint64_t merged = 0;
	int rc = IPK_STEP_DONE, awake = 1;

	memset(&last, 0, sizeof(last));
	*completed = 0;
	for (uint64_t steps = 0; steps < MOST_STEPS; steps++) {
		*completed = rc == IPK_STEP_DONE && step->address == ipk_step_ends_at();
		awake &= rc == IPK_STEP_DONE;
		if (every && awake && kill_at == ALL)
			remember(step->address);
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

/* Bring a victim to the place that its way to the kill is stepped from. Returns which that is. */
static uint64_t bring_near(const struct scene *scene, uint64_t kill_at, pid_t *pid, struct ipk_step *step)
{
	uint64_t near = way.count == 0 ? 0 : way.last_new[kill_at < way.count ? kill_at : way.count - 1];

	make(scene);
	*pid = bring(scene, step);
	if (near == 0 || ipk_step_run_to(*pid, step, way.address[near], ipk_monotonic_ns() + RUN_NS) == IPK_STEP_DONE)
		return near;
	/* it went another way, or fell asleep */
	kill_child(*pid);
	clear_stage();
	stepped_in_all++;
	make(scene);
	*pid = bring(scene, step);
	return 0;
}

static int kill_once(const struct scene *scene, uint64_t kill_at, int every)
{
	struct ipk_step step;
	int completed, found;
	uint64_t from;
	pid_t pid;

	next_kill(scene, NULL, kill_at);
	from = bring_near(scene, kill_at, &pid, &step);
	found = step_to(scene, pid, &step, from, kill_at, every, &completed);
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
		/* the second one: in the first the survivor, of which all are forks, learns what it asks the system only once */
		for (int first = 0; every && first < 2; first++) {
			memset(&way, 0, sizeof(way));
			kill_once(&scenes[i], ALL, every);
		}
		while (kill_once(&scenes[i], kills, every))
			kills++;
		end_scene(kills);
	}
	summary();
	if (every)
		printf("  %" PRIu64 " times a victim went another way than the first, and was stepped all along\n", stepped_in_all);
	else
		printf("  %" PRIu64 " instructions after which nothing had changed were taken together with the one before\n",
		       merged_in_all);
}
