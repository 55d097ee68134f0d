#include "sweep.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "ipckit/stepping.h"
#include "support.h"

#define MOST_STEPS 200000
#define MOST_BYTES 65536
#define MOST_MEMBERS 4
#define SECONDS_PER_SCENE 600

struct ipk_sync object;

static struct ipk_home home;
static struct ipk_home others[MOST_MEMBERS];
static struct ipk_sync views[MOST_MEMBERS];
static int members;
static int64_t slowest_ns;
static _Atomic uint32_t *stage; /* of the victim, shared with it */
enum { ENTERED = 1, TRACED };

static struct {
	uint64_t kills, merged, blocked, late;
} total;

static void attach(struct ipk_home *to, struct ipk_sync *view, uint32_t kind)
{
	memset(to, 0, sizeof(*to));
	memset(view, 0, sizeof(*view));
	CHECK_EQ(ipk_home_attach(to, dup(ipk_home_fd(&home))), 0);
	CHECK_EQ(ipk_sync_attach(view, ipk_home_place(to), ipk_home_room(to), ipk_home_member(to), kind), 0);
	ipk_sync_set_spin(view, 0); /* a spin is the same instructions again and again */
}

struct ipk_sync *another_member(void)
{
	int i = members++;

	CHECK(i < MOST_MEMBERS);
	attach(&others[i], &views[i], (uint32_t)(object.object->magic >> 16) & 0xFFFF);
	return &views[i];
}

void let_time_pass(void)
{
}

int64_t promised(void)
{
	/* a shared machine may take its time to schedule us: what counts is printed, and a hang is 20 times that */
	return ipk_monotonic_ns() + 20 * (int64_t)DETECTION_NS;
}

static void make(const struct scene *scene)
{
	uint64_t size = ipk_sync_size(scene->kind, scene->count);
	void *place;

	CHECK_RANGE(size, 1, MOST_BYTES);
	memset(&home, 0, sizeof(home));
	memset(&object, 0, sizeof(object));
	CHECK_EQ(ipk_home_create(&home, NULL, size, 0600), 0);
	place = ipk_home_place(&home);
	CHECK_EQ(ipk_sync_begin(place, ipk_home_member(&home), size), 0);
	CHECK_EQ(ipk_sync_publish(place, ipk_home_member(&home), scene->kind, scene->options, scene->count, (uint32_t)size), 0);
	CHECK_EQ(ipk_home_publish(&home, NULL), 0);
	CHECK_EQ(ipk_sync_attach(&object, place, size, ipk_home_member(&home), scene->kind), 0);
	ipk_sync_set_spin(&object, 0);
	members = 0;
	if (scene->prepare)
		scene->prepare();
}

static void drop(void)
{
	while (members > 0)
		ipk_home_close(&others[--members]);
	ipk_home_close(&home);
}

/* A view of the object, and a membership, of this child process. */
static void become_another(uint32_t kind)
{
	static struct ipk_home own;
	struct ipk_sync view;

	attach(&own, &view, kind);
	object = view;
	CHECK(ipk_member_join(object.member) > 0);
}

static void live_and_stay(void *argument)
{
	void (*const *function)(void) = argument;

	become_another((uint32_t)(object.object->magic >> 16) & 0xFFFF);
	(*function)();
	stay();
}

void die_after(void (*function)(void))
{
	pid_t pid = start(live_and_stay, &function);

	wait_staying(pid);
	kill_child(pid);
}

static void be_victim(void *argument)
{
	const struct scene *scene = argument;

	become_another(scene->kind);
	if (scene->enter)
		scene->enter();
	atomic_store(stage, ENTERED);
	await(stage, TRACED);
	ipk_step_begin();
	scene->operate();
	ipk_step_end();
	stay();
}

/* What the object looks like; a kill between two looks that are the same is one kill. */
struct look {
	unsigned char bytes[MOST_BYTES];
	uint32_t calls;
	int blocked;
};

static int changed(struct look *last, const struct ipk_step *step, int blocked)
{
	const void *bytes = ipk_home_place(&home);
	size_t size = ipk_home_room(&home);

	if (memcmp(last->bytes, bytes, size) == 0 && last->calls == step->calls && last->blocked == blocked)
		return 0;
	memcpy(last->bytes, bytes, size);
	last->calls = step->calls;
	last->blocked = blocked;
	return 1;
}

/* Start a victim, and bring it to the beginning of its operation. */
static pid_t bring(const struct scene *scene, struct ipk_step *step)
{
	pid_t pid;

	atomic_store(stage, 0);
	pid = start(be_victim, (void *)(uintptr_t)scene);
	await(stage, ENTERED);
	CHECK_EQ(ipk_step_seize(pid, step), 0);
	atomic_store(stage, TRACED);
	CHECK_EQ(ipk_step_run_to(pid, step, ipk_step_begins_at(), ipk_monotonic_ns() + 10 * INT64_C(1000000000)),
		 IPK_STEP_DONE);
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
			total.merged += merged;
			return 0;
		}
		if (rc == IPK_STEP_BLOCKED) {
			CHECK(scene->unblock != NULL);
			scene->unblock();
			rc = ipk_step_wait(pid, step, ipk_monotonic_ns() + 10 * INT64_C(1000000000));
			CHECK_EQ(rc, IPK_STEP_DONE);
		} else {
			rc = ipk_step_once(pid, step);
		}
		CHECK(rc == IPK_STEP_DONE || rc == IPK_STEP_BLOCKED);
	}
	fprintf(stderr, "%s does not end in %d instructions\n", scene->name, MOST_STEPS);
	give_up(1);
}

/* The victim is dead. */
static void survive(const struct scene *scene, int completed)
{
	int64_t before = ipk_monotonic_ns();
	int64_t took;

	scene->outlive(completed);
	took = ipk_monotonic_ns() - before;
	if (took > slowest_ns)
		slowest_ns = took;
	total.late += took > DETECTION_NS;
	drop();
}

static int kill_once(const struct scene *scene, uint64_t kill_at, int every)
{
	struct ipk_step step;
	int completed, found;
	pid_t pid;

	make(scene);
	pid = bring(scene, &step);
	found = step_to(scene, pid, &step, kill_at, every, &completed);
	kill_child(pid);
	survive(scene, completed);
	return found;
}

static void report(uint64_t kills)
{
	total.kills += kills;
	printf("    %" PRIu64 " kills, the survivors went on within %.1f ms\n", kills, (double)slowest_ns / 1e6);
}

static void summary(void)
{
	printf("  %" PRIu64 " kills; %" PRIu64 " times the survivors took longer than %d ms\n", total.kills, total.late,
	       DETECTION_NS / 1000000);
}

void sweep(const struct scene *scenes, size_t count, int every)
{
	stage = shared_memory(sizeof(*stage));
	for (size_t i = 0; i < count; i++) {
		uint64_t kills = 0;

		beginning(scenes[i].name);
		slowest_ns = 0;
		while (kill_once(&scenes[i], kills, every)) {
			watchdog(SECONDS_PER_SCENE, NULL);
			kills++;
		}
		report(kills);
	}
	summary();
	printf("  %" PRIu64 " instructions after which nothing had changed were taken together with the one before\n", total.merged);
}

#ifdef IPK_FAULTS

static const char *target; /* in the victim: where it dies */

void ipk_killpoint(const char *at)
{
	if (target && strcmp(at, target) == 0)
		kill(getpid(), SIGKILL);
}

static void run_into(void *argument)
{
	const struct scene *scene = argument;
	const char *point = target;

	target = NULL;
	become_another(scene->kind);
	if (scene->enter)
		scene->enter();
	target = point;
	scene->operate();
	target = NULL;
	stay();
}

/* Returns whether the victim died at the point. */
static int kill_at_point(const struct scene *scene, const char *point)
{
	int completed;
	pid_t pid;

	make(scene);
	target = point;
	pid = start(run_into, (void *)(uintptr_t)scene);
	target = NULL;
	while (!(completed = is_blocked(pid, SYS_ppoll, ANY_ADDRESS)) && !has_ended(pid)) {
		if (scene->unblock && is_blocked(pid, SYS_futex, ANY_ADDRESS))
			scene->unblock();
		sched_yield();
	}
	if (completed)
		kill_child(pid);
	else
		CHECK_EQ(reap(pid), -SIGKILL);
	survive(scene, completed);
	return !completed;
}

void sweep_points(const struct scene *scenes, size_t count)
{
	static const char *const points[] = {
#define KILLPOINT(name) name,
#include "syncpoints.h"
#undef KILLPOINT
	};
	static int passed[sizeof(points) / sizeof(points[0])];

	for (size_t i = 0; i < count; i++) {
		uint64_t kills = 0;

		beginning(scenes[i].name);
		slowest_ns = 0;
		for (size_t point = 0; point < sizeof(points) / sizeof(points[0]); point++) {
			if (kill_at_point(&scenes[i], points[point])) {
				passed[point] = 1;
				kills++;
			}
		}
		report(kills);
	}
	for (size_t point = 0; point < sizeof(points) / sizeof(points[0]); point++) {
		if (!passed[point]) {
			fprintf(stderr, "no scene comes by at %s\n", points[point]);
			give_up(1);
		}
	}
	summary();
}

#endif
