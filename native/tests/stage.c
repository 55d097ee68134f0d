#include "stage.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "support.h"

#define MOST_MEMBERS 4
#define SECONDS_PER_KILL 60

struct ipk_sync object;
struct ipk_home home;
const void *also;
size_t also_size;

static struct ipk_home others[MOST_MEMBERS];
static struct ipk_sync views[MOST_MEMBERS];
static int members;
static unsigned char *death; /* the object when the victim was killed; shared with victims */
static int surviving;	     /* the victim is dead, and the others go on */
static int64_t slowest_ns, waits_since; /* the slowest wait of survivors, and when the last one began; 0: none has */
static _Atomic uint32_t *stage; /* of the victim, shared with it */
enum { ENTERED = 1, LET_GO };
static void (*attend)(void); /* when it has entered; NULL: nothing */

static struct {
	uint64_t kills, late;
	int64_t slowest_ns;
} total;

static struct {
	const char *scene;
	const char *point; /* marked, or NULL */
	uint64_t kill;	   /* how many came before it */
	int64_t address;   /* from ipk_step_begin */
} now;

static void print_now(void)
{
	fprintf(stderr, "%s, kill %" PRIu64 " at %s%+" PRId64 "\n", now.scene, now.kill, now.point ? now.point : "ipk_step_begin",
		now.address);
}

void next_kill(const struct scene *scene, const char *point, uint64_t kill_at)
{
	now.scene = scene->name;
	now.point = point;
	now.kill = kill_at;
	now.address = 0;
	watchdog(SECONDS_PER_KILL, print_now);
}

void open_stage(void)
{
	stage = shared_memory(sizeof(*stage));
	death = shared_memory(MOST_BYTES);
}

static void attach(struct ipk_home *to, struct ipk_sync *view, uint32_t kind)
{
	int rc;

	memset(to, 0, sizeof(*to));
	memset(view, 0, sizeof(*view));
	CHECK_EQ(ipk_home_attach(to, dup(ipk_home_fd(&home))), 0);
	rc = ipk_sync_attach(view, ipk_home_place(to), ipk_home_room(to), ipk_home_member(to), kind);
	CHECK(rc == 0 || rc == -ENOENT); /* the scene is about how it is made */
	view->object = ipk_home_place(to);
	view->member = ipk_home_member(to);
	ipk_sync_set_spin(view, 0); /* a spin is the same instructions again and again */
}

void attach_beside(struct ipk_sync *view, const struct ipk_sync *beside, uint64_t offset, uint32_t kind)
{
	memset(view, 0, sizeof(*view));
	CHECK_RANGE(offset, 0, ipk_home_room(&home) - 1);
	CHECK_EQ(ipk_sync_attach(view, (unsigned char *)beside->object + offset, ipk_home_room(&home) - offset, beside->member,
				 kind),
		 0);
	ipk_sync_set_spin(view, 0);
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

void also_watch(const void *bytes, size_t size)
{
	CHECK_RANGE(size, 1, MOST_MORE);
	also = bytes;
	also_size = size;
}

void when_entered(void (*function)(void))
{
	attend = function;
}

static void end_wait(int64_t until)
{
	int64_t took = surviving && waits_since ? until - waits_since : 0;

	if (took > slowest_ns)
		slowest_ns = took;
	total.late += took > DETECTION_NS;
	waits_since = 0;
}

int64_t promised(void)
{
	int64_t before = ipk_monotonic_ns();

	end_wait(before);
	waits_since = before;
	/* a shared machine may take its time to schedule us: what counts is printed, and a hang is 100 times that */
	return before + 100 * (int64_t)DETECTION_NS;
}

void note_death(int64_t address)
{
	now.address = address;
	memcpy(death, ipk_home_place(&home), ipk_home_room(&home));
}

const void *at_death(void)
{
	return death;
}

void make(const struct scene *scene)
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
	attend = NULL;
	also = NULL;
	also_size = 0;
	if (scene->prepare)
		scene->prepare();
}

void clear_stage(void)
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

void die_asleep(void (*function)(void))
{
	pid_t pid = start(live_and_stay, &function);

	wait_blocked(pid, SYS_futex, ANY_ADDRESS);
	kill_child(pid);
}

static void live_and_end(void *argument)
{
	int (*const *function)(void) = argument;

	become_another((uint32_t)(object.object->magic >> 16) & 0xFFFF);
	_exit(-(*function)());
}

pid_t start_sleeper(int (*function)(void))
{
	pid_t pid = start(live_and_end, &function);

	still_sleeps(pid);
	return pid;
}

int still_sleeps(pid_t sleeper)
{
	return settle(sleeper, SYS_futex, ANY_ADDRESS);
}

int count_ended(const pid_t *sleepers, int count)
{
	int ended = 0;

	for (int i = 0; i < count; i++)
		ended += !still_sleeps(sleepers[i]);
	return ended;
}

int result_of(pid_t sleeper)
{
	int64_t deadline = promised();
	int result = -reap(sleeper);

	CHECK_RANGE(ipk_monotonic_ns(), 0, deadline);
	end_wait(ipk_monotonic_ns());
	return result;
}

static void (*operation)(const struct scene *scene); /* of the next victim */

static void be_victim(void *argument)
{
	const struct scene *scene = argument;

	become_another(scene->kind);
	if (scene->enter)
		scene->enter();
	atomic_store(stage, ENTERED);
	await(stage, LET_GO);
	operation(scene);
	stay();
}

pid_t start_victim(const struct scene *scene, void (*operate)(const struct scene *scene))
{
	pid_t pid;

	atomic_store(stage, 0);
	operation = operate;
	pid = start(be_victim, (void *)(uintptr_t)scene);
	while (atomic_load(stage) != ENTERED) {
		CHECK(!has_ended(pid));
		sched_yield();
	}
	if (attend)
		attend();
	return pid;
}

void let_go(void)
{
	atomic_store(stage, LET_GO);
}

void survive(const struct scene *scene, int completed)
{
	surviving = 1;
	waits_since = ipk_monotonic_ns();
	scene->outlive(completed);
	end_wait(ipk_monotonic_ns());
	surviving = 0;
	clear_stage();
}

void begin_scene(const struct scene *scene)
{
	beginning(scene->name);
	slowest_ns = 0;
}

void end_scene(uint64_t kills)
{
	total.kills += kills;
	if (slowest_ns > total.slowest_ns)
		total.slowest_ns = slowest_ns;
	printf("    %" PRIu64 " kills, the survivors went on within %.1f ms\n", kills, (double)slowest_ns / 1e6);
}

void summary(void)
{
	printf("  %" PRIu64 " kills; the slowest survivor went on within %.1f ms; %" PRIu64 " times one took longer than %d ms\n",
	       total.kills, (double)total.slowest_ns / 1e6, total.late, DETECTION_NS / 1000000);
}
