/* Kill at the marked points of the sources. */
#include "sweep.h"

#ifdef IPK_FAULTS

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "stage.h"
#include "support.h"

#define FUTEX_WAITV 449 /* the same on every architecture */

static const char *const points[] = {
#define KILLPOINT(name) name,
#include "syncpoints.h"
#undef KILLPOINT
};
#define POINTS (sizeof(points) / sizeof(points[0]))

static int watched;	   /* we are a victim in its operation */
static const char *target; /* where it dies; NULL: it says only where it comes by */
static _Atomic uint32_t *passed; /* shared with victims */

void ipk_killpoint(const char *at)
{
	for (size_t point = 0; watched && point < POINTS; point++)
		if (strcmp(at, points[point]) == 0)
			atomic_store(&passed[point], 1);
	if (watched && target && strcmp(at, target) == 0) {
		note_death(0);
		kill(getpid(), SIGKILL);
	}
}

static void operate(const struct scene *scene)
{
	watched = 1;
	scene->operate();
	watched = 0;
}

/* point: NULL: kill it when it has completed. Returns whether the victim died at the point. */
static int kill_at_point(const struct scene *scene, const char *point, uint64_t kills)
{
	int64_t again = 0; /* not before, for a victim is still seen asleep until it runs */
	int completed;
	pid_t pid;

	next_kill(scene, point, kills);
	make(scene);
	target = point;
	pid = start_victim(scene, operate);
	let_go();
	while (!(completed = is_blocked(pid, SYS_ppoll, ANY_ADDRESS)) && !has_ended(pid)) {
		if (scene->unblock && ipk_monotonic_ns() >= again &&
		    (is_blocked(pid, SYS_futex, ANY_ADDRESS) || is_blocked(pid, FUTEX_WAITV, ANY_ADDRESS))) {
			scene->unblock();
			again = ipk_monotonic_ns() + 4 * IPK_SLICE_NS;
		}
		sched_yield();
	}
	if (completed) {
		note_death(0);
		kill_child(pid);
	} else {
		CHECK_EQ(reap(pid), -SIGKILL);
	}
	survive(scene, completed);
	return !completed;
}

/* Kill at all points that the scene comes by. Returns how many times. */
static uint64_t kill_at_points(const struct scene *scene, int *tried)
{
	int comes_by[POINTS];
	uint64_t kills = 0;

	memset((void *)passed, 0, POINTS * sizeof(*passed));
	kill_at_point(scene, NULL, 0);
	for (size_t point = 0; point < POINTS; point++)
		comes_by[point] = (int)passed[point];
	for (size_t point = 0; point < POINTS; point++) {
		if (comes_by[point] && kill_at_point(scene, points[point], kills)) {
			tried[point] = 1;
			kills++;
		}
	}
	return kills;
}

void sweep_points(const struct scene *scenes, size_t count)
{
	static int tried[POINTS];

	open_stage();
	passed = shared_memory(POINTS * sizeof(*passed));
	for (size_t i = 0; i < count; i++) {
		begin_scene(&scenes[i]);
		end_scene(kill_at_points(&scenes[i], tried));
	}
	summary();
	for (size_t point = 0; point < POINTS; point++) {
		if (!tried[point]) {
			fprintf(stderr, "no scene comes by at %s\n", points[point]);
			give_up(1);
		}
	}
}

#endif
