/* The processes of a storm, the kills, and what is told of both (storm.h). */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "ipckit/base.h"
#include "storm_processes.h"
#include "support.h"

#define STOP_MS 120 /* more than two slices */
#define ROWS 256
#define DAWDLE_NS 600000
#define PAUSE_NS 4000000 /* between two kills, at most */

struct process *processes;
struct process *self;

static struct {
	pid_t pid; /* 0: there is none now */
	int64_t stopped_until; /* 0: it runs */
	int64_t down_until;
} children[PROCESSES];
static const char entered[] = "entered";
static uint64_t seed = 88172645463325252U;
static struct row {
	char what[64];
	uint32_t inside, outside;
} by_work[ROWS], by_place[ROWS];

uint64_t storm_kills;

/* --- in a process ---------------------------------------------------------------------------------------------------- */

static void at(const char *place)
{
	atomic_store_explicit(&self->place, (uintptr_t)place, memory_order_relaxed);
}

void ipk_killpoint(const char *name)
{
	if (self && atomic_load_explicit(&self->place, memory_order_relaxed))
		at(name);
}

void storm_enter(void)
{
	at(entered);
}

int64_t storm_left(int64_t rc)
{
	at(NULL);
	atomic_fetch_add_explicit(&self->calls, 1, memory_order_relaxed);
	return rc;
}

int storm_index(void)
{
	return (int)(self - processes);
}

uint32_t storm_me(void)
{
	return atomic_load(&self->generation) << 8 | (uint32_t)(storm_index() + 1);
}

int storm_is_dead(uint32_t who)
{
	const struct process *process = &processes[((who & 0xFF) - 1) % PROCESSES];

	/* in this order: it is reborn with a new generation before it is no longer dying */
	return atomic_load(&process->dying) || atomic_load(&process->generation) != who >> 8;
}

uint64_t storm_random(uint64_t limit)
{
	return random_below(&seed, limit);
}

void storm_dawdle(void)
{
	struct timespec pause = {0, (long)storm_random(DAWDLE_NS)};

	switch (storm_random(64)) {
	case 0:
		nanosleep(&pause, NULL);
		break;
	case 1:
	case 2:
		for (uint64_t i = storm_random(2000); i > 0; i--)
			ipk_relax();
		break;
	case 3:
	case 4:
	case 5:
		sched_yield();
		break;
	default:
		break;
	}
}

int64_t storm_after(int64_t ms)
{
	return ipk_monotonic_ns() + ms * MS;
}

static void work_without_end(void *argument)
{
	self = argument;
	seed += (uint64_t)getpid() * 2654435761U;
	seed |= 1;
	storm_attach();
	for (;;) {
		int64_t began = ipk_monotonic_ns();
		const struct work *work = storm_next_work(began);

		atomic_store(&self->work, (uintptr_t)work->name);
		atomic_store(&self->since, began);
		work->run();
		began = ipk_monotonic_ns() - began;
		if (began > atomic_load(&self->slowest))
			atomic_store(&self->slowest, began);
	}
}

/* --- what is told ---------------------------------------------------------------------------------------------------- */

static int in_futex(pid_t pid)
{
	return is_blocked(pid, SYS_futex, ANY_ADDRESS) || is_blocked(pid, 449, ANY_ADDRESS); /* futex_waitv */
}

void storm_show(void)
{
	int64_t now = ipk_monotonic_ns();

	if (!processes)
		return;
	for (int i = 0; i < PROCESSES; i++) {
		const struct process *process = &processes[i];
		const char *work = (const char *)atomic_load(&process->work);
		const char *place = (const char *)atomic_load(&process->place);

		fprintf(stderr,
			"process %d (%d): generation %u, %s for %.1f ms, %s%s%s, %" PRIu64 " calls%s\n",
			i, (int)children[i].pid, atomic_load(&process->generation), work ? work : "nothing",
			(double)(now - atomic_load(&process->since)) / 1e6, place ? place : "outside",
			children[i].pid > 0 && in_futex(children[i].pid) ? ", in futex(2)" : "",
			children[i].stopped_until ? ", stopped" : "", atomic_load(&process->calls),
			atomic_load(&process->dying) ? ", dying" : "");
	}
	storm_show_objects();
}

void storm_broken(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: broken in process %d (%s): %s\n", file, line, (int)getpid(),
		self ? (const char *)atomic_load(&self->work) : "the parent", what);
	storm_show();
	give_up(1);
}

static void count(struct row *rows, const char *what, int inside)
{
	while (rows->what[0] && strcmp(rows->what, what) != 0)
		rows++;
	snprintf(rows->what, sizeof(rows->what), "%s", what);
	rows->inside += inside != 0;
	rows->outside += inside == 0;
}

static void note(const struct process *process, pid_t pid)
{
	const char *work = (const char *)atomic_load(&process->work);
	const char *place = (const char *)atomic_load(&process->place);
	char text[64];

	count(by_work, work ? work : "starting", place != NULL);
	if (!place)
		return;
	snprintf(text, sizeof(text), "%s%s", place, in_futex(pid) ? ", asleep" : "");
	count(by_place, text, 1);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->what, ((const struct row *)b)->what);
}

static uint32_t print(const char *title, struct row *rows, uint32_t *outside)
{
	uint32_t inside = 0;
	size_t n = 0;

	while (rows[n].what[0])
		n++;
	qsort(rows, n, sizeof(rows[0]), by_name);
	printf("\n%-50s %8s %8s\n", title, "inside", "outside");
	for (size_t i = 0; i < n; i++) {
		printf("%-50s %8u %8u\n", rows[i].what, rows[i].inside, rows[i].outside);
		inside += rows[i].inside;
		*outside += rows[i].outside;
	}
	return inside;
}

void storm_report(void)
{
	uint32_t outside = 0, none = 0;
	uint32_t inside = print("what the victims did", by_work, &outside);
	uint64_t calls = 0;
	int64_t slowest = 0;

	print("the last kill point that they passed", by_place, &none);
	for (int i = 0; i < PROCESSES; i++) {
		calls += atomic_load(&processes[i].calls);
		if (slowest < atomic_load(&processes[i].slowest))
			slowest = atomic_load(&processes[i].slowest);
	}
	printf("\n%" PRIu64 " killed, %.1f %% of them inside ipk_*; %" PRIu64 " calls; nobody took longer than %.2f s\n", storm_kills,
	       100.0 * inside / (inside + outside), calls, (double)slowest / 1e9);
	CHECK(2 * inside >= inside + outside);
}

/* --- in the parent --------------------------------------------------------------------------------------------------- */

void storm_open(void)
{
	uint64_t skip = random_seed() % 1000003;

	while (skip-- > 0)
		storm_random(2);
	processes = shared_memory(PROCESSES * sizeof(*processes));
}

void storm_birth(int i)
{
	random_next(&seed);
	children[i].stopped_until = children[i].down_until = 0;
	atomic_store(&processes[i].work, 0);
	atomic_store(&processes[i].since, ipk_monotonic_ns());
	children[i].pid = start(work_without_end, &processes[i]);
}

void storm_death(int i)
{
	struct process *process = &processes[i];
	pid_t pid = children[i].pid;
	int status;

	if (pid == 0)
		return;
	storm_kills++; /* before anybody can be told of it */
	atomic_store(&process->dying, 1);
	storm_before_death(i);
	if (storm_random(2) && !children[i].stopped_until) { /* what is noted is where it dies; or where it was, a moment before */
		CHECK_EQ(kill(pid, SIGSTOP), 0);
		wait_stopped(pid);
	}
	note(process, pid);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	status = reap(pid);
	if (status != -SIGKILL)
		fprintf(stderr, "process %d ended by itself, with status %d\n", i, status);
	CHECK_EQ(status, -SIGKILL);
	children[i].pid = 0;
	storm_after_death(i);
	atomic_store(&process->place, 0);
	atomic_fetch_add(&process->generation, 1);
	atomic_store(&process->dying, 0);
	if (storm_random(4) == 0) /* the others see it die, and nobody comes in its place */
		children[i].down_until = storm_after((int64_t)storm_random(150));
}

/* Those whose time has come go on, or are born again; whoever takes too long hangs, and whoever has ended, failed. */
void storm_look(void)
{
	int64_t now = ipk_monotonic_ns();

	for (int i = 0; i < PROCESSES; i++) {
		pid_t pid = children[i].pid;

		if (pid == 0) {
			if (now >= children[i].down_until)
				storm_birth(i);
			continue;
		}
		if (has_ended(pid)) {
			fprintf(stderr, "process %d ended by itself, with status %d\n", i, reap(pid));
			children[i].pid = 0;
			storm_broken(__FILE__, __LINE__, "all go on until they are killed");
		}
		if (children[i].stopped_until && now >= children[i].stopped_until) {
			CHECK_EQ(kill(pid, SIGCONT), 0);
			children[i].stopped_until = 0;
		}
		MUST(now - atomic_load(&processes[i].since) < PATIENCE);
	}
}

/* One at random; or an owner of something; or one that runs inside the core: of those that sleep there are enough. */
int storm_victim(void)
{
	int any = (int)storm_random(PROCESSES);
	uint64_t taste = storm_random(4);
	int owner = taste == 0 ? storm_owner() : -1;

	if (owner >= 0)
		return owner;
	for (int i = 0; taste > 1 && i < PROCESSES; i++, any = (any + 1) % PROCESSES)
		if (children[any].pid != 0 && atomic_load(&processes[any].place) && !in_futex(children[any].pid))
			break;
	return any;
}

void storm_stop(int i)
{
	if (children[i].pid == 0 || children[i].stopped_until)
		return;
	CHECK_EQ(kill(children[i].pid, SIGSTOP), 0);
	wait_stopped(children[i].pid);
	children[i].stopped_until = storm_after((int64_t)storm_random(STOP_MS));
}

/* The random moment. Not to synchronise with anybody: any length is right. */
static void linger(void)
{
	struct timespec pause = {0, (long)storm_random(PAUSE_NS)};

	nanosleep(&pause, NULL);
}

void storm_rage(int64_t until)
{
	while (ipk_monotonic_ns() < until) {
		linger();
		storm_look();
		if (storm_random(8) == 0)
			storm_stop(storm_victim());
		else
			storm_death(storm_victim());
	}
}
