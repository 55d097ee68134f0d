#include <errno.h>
#include <string.h>

#include "check.h"
#include "ipckit/barrier.h"
#include "scenes.h"
#include "support.h"

#define TWO 2
#define THREE 3
#define FOUR 4
#define SOON_NS 5000000
#define GENERATION UINT32_C(4) /* of the gate: barrier.h */
#define BROKEN_GATE UINT32_C(2)

enum state { FREE, ARRIVED, RELEASED, BROKEN, PAST, GONE };
enum ending { GOES_ON, ENDS_RELEASED, ENDS_BROKEN, ENDS_RESET };

static struct ipk_sync *second; /* another member of the survivor's process */
static struct ipk_barrier_wait of_victim, waits[4]; /* waits; of the survivor's process */
static pid_t sleeper;
static _Atomic uint32_t *passed; /* how often the sleeper has passed; shared with it */
static uint32_t begun;		 /* the gate when the victim began */
static int gave;		 /* the one for whom the victim waited has arrived */

static struct ipk_barrier_shm *words(void)
{
	return (struct ipk_barrier_shm *)(void *)object.object;
}

static enum state state_at_death(int party)
{
	const struct ipk_barrier_shm *barrier = at_death();

	return atomic_load(&barrier->table[party].word) >> IPK_MEMBER_ID_BITS;
}

/* How the generation in which the victim came, or would have come, had ended when it died; that it was reset says nobody. */
static enum ending ending_at_death(void)
{
	const struct ipk_barrier_shm *barrier = at_death();
	uint32_t gate = atomic_load(&barrier->gate);
	uint32_t ending = atomic_load(&barrier->ending);

	if (ending != GOES_ON || gate / GENERATION == begun / GENERATION)
		return ending;
	return gate & BROKEN_GATE ? ENDS_BROKEN : ENDS_RELEASED;
}

/* --- what anybody does --------------------------------------------------------------------------------------------- */

/* Returns 0: others are missing; 1: the last one; -ECANCELED. */
static int arrive(struct ipk_sync *view, struct ipk_barrier_wait *wait)
{
	int64_t deadline = promised();
	int rc = ipk_barrier_arrive(view, wait);

	while (rc == -EAGAIN && wait->phase == IPK_BARRIER_OUTSIDE) {
		CHECK_RANGE(ipk_monotonic_ns(), 0, deadline);
		rc = ipk_barrier_wait(view, wait, IPK_NEVER);
	}
	return rc == -EAGAIN ? 0 : rc;
}

/* Having arrived, wait until all have. Returns 0, -ECANCELED. */
static int finish(struct ipk_sync *view, struct ipk_barrier_wait *wait)
{
	int64_t deadline = promised();
	int rc;

	do {
		CHECK_RANGE(ipk_monotonic_ns(), 0, deadline);
		rc = ipk_barrier_wait(view, wait, IPK_NEVER);
	} while (rc == -EAGAIN);
	return rc;
}

static int pass(void)
{
	struct ipk_barrier_wait wait = {0};
	int rc = ipk_barrier_arrive(&object, &wait);

	while (rc == 0 || rc == -EAGAIN) {
		rc = ipk_barrier_wait(&object, &wait, IPK_NEVER);
		if (rc == 0)
			return 0;
	}
	return rc < 0 ? rc : 0;
}

#define BROKEN_LATER (-EPIPE) /* by pass_twice: the first time it passed */

static int pass_twice(void)
{
	int rc = pass();

	if (rc < 0)
		return rc;
	atomic_store(passed, 1);
	return pass() < 0 ? BROKEN_LATER : 0;
}

/* What pass_twice returned, in the sleeper. passes: whether it passes once. */
static int result_of_sleeper(int passes)
{
	promised();
	if (passes)
		await(passed, 1);
	return result_of(sleeper);
}

/* --- what victims do ----------------------------------------------------------------------------------------------- */

static void arrive_first(void)
{
	CHECK_EQ(ipk_barrier_arrive(&object, &of_victim), 0);
}

static void arrive_last(void)
{
	CHECK_EQ(ipk_barrier_arrive(&object, &of_victim), 1);
}

/* The guard is not to be had at once. */
static void arrive_by_waiting(void)
{
	while (ipk_barrier_wait(&object, &of_victim, IPK_NEVER) == -EAGAIN && of_victim.phase == IPK_BARRIER_OUTSIDE)
		continue;
}

static void find_no_room(void)
{
	CHECK_EQ(ipk_barrier_wait(&object, &of_victim, IPK_NEVER), -EAGAIN);
}

static void act_and_release(void)
{
	of_victim.acts = 1;
	CHECK_EQ(ipk_barrier_arrive(&object, &of_victim), 2);
	ipk_barrier_release(&object, &of_victim);
}

static void wait_for_others(void)
{
	while (ipk_barrier_wait(&object, &of_victim, IPK_NEVER) == -EAGAIN)
		continue;
}

static void wait_shortly(void)
{
	int64_t deadline = ipk_monotonic_ns() + SOON_NS;

	while (ipk_barrier_wait(&object, &of_victim, deadline) == -EAGAIN)
		continue;
}

static void leave(void)
{
	ipk_barrier_leave(&object, &of_victim);
}

static void break_it(void)
{
	ipk_barrier_end(&object, 0);
}

static void reset(void)
{
	ipk_barrier_end(&object, 1);
}

static void forget(void)
{
	ipk_barrier_forget(&object);
}

/* --- what is there before ------------------------------------------------------------------------------------------ */

static void begin(void)
{
	second = another_member();
	memset(waits, 0, sizeof(waits));
	memset(&of_victim, 0, sizeof(of_victim));
	gave = 0;
	begun = 0;
	if (!passed)
		passed = shared_memory(sizeof(*passed));
	atomic_store(passed, 0);
}

static void start_party(void)
{
	sleeper = start_sleeper(pass_twice);
}

static void one_waits(void)
{
	begin();
	start_party();
}

static void one_will_wait(void)
{
	begin();
	when_entered(start_party);
}

static void second_arrived(void)
{
	begin();
	CHECK_EQ(arrive(second, &waits[0]), 0);
}

static void broken(void)
{
	begin();
	CHECK_EQ(ipk_barrier_end(&object, 0), 0);
}

static void begin_to_release(void)
{
	CHECK_EQ(ipk_lock_try(&words()->guard, object.member), 0);
	atomic_store(&words()->ending, ENDS_RELEASED);
}

static void died_releasing(void)
{
	begin();
	sleeper = start_sleeper(pass);
	die_after(begin_to_release);
}

static void one_died_waiting(void)
{
	begin();
	die_after(arrive_first);
	CHECK_EQ(arrive(second, &waits[0]), 0);
}

/* Three that were released have not looked, and have entries still; a fourth waits, and there is none left. */
static void table_full(void)
{
	begin();
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(arrive(second, &waits[i]), 0);
		CHECK_EQ(arrive(second, &waits[3]), 1);
	}
	CHECK_EQ(arrive(second, &waits[3]), 0);
	begun = atomic_load(&words()->gate);
}

/* --- what ends the victim's sleep ---------------------------------------------------------------------------------- */

static void arrive_once(void)
{
	if (!gave)
		CHECK_EQ(arrive(second, &waits[0]), 1);
	gave = 1;
}

/* --- what must be so afterwards ------------------------------------------------------------------------------------ */

/* All can pass, again and again, when it is reset. */
static void works(void)
{
	int rc;

	do
		rc = ipk_barrier_end(&object, 1);
	while (rc == -EAGAIN);
	CHECK_EQ(rc, 0);
	CHECK_EQ(ipk_barrier_broken(&object), 0);
	CHECK_EQ(ipk_barrier_waiting(&object), 0);
	for (int generation = 0; generation < 3; generation++) {
		for (uint32_t i = 1; i < object.count; i++)
			CHECK_EQ(arrive(second, &waits[i]), 0);
		CHECK_EQ(arrive(&object, &waits[0]), 1);
		for (uint32_t i = 1; i < object.count; i++)
			CHECK_EQ(finish(second, &waits[i]), 0);
	}
	CHECK_EQ(arrive(&object, &waits[0]), 0);
	CHECK_EQ(ipk_barrier_wait(&object, &waits[0], 0), -ETIMEDOUT);
	CHECK_EQ(ipk_barrier_broken(second), 1);
	CHECK_EQ(arrive(second, &waits[1]), -ECANCELED);
}

/* Whoever arrives after the victim passes, and then finds that it is dead. */
static void after_arriving_first(int completed)
{
	int arrived = state_at_death(0) == ARRIVED;

	if (completed)
		CHECK_EQ(arrived, 1);
	CHECK_EQ(arrive(&object, &waits[0]), arrived);
	if (arrived) {
		CHECK_EQ(arrive(&object, &waits[0]), 0);
		CHECK_EQ(finish(&object, &waits[0]), -ECANCELED);
	} else {
		CHECK_EQ(arrive(second, &waits[1]), 1);
		CHECK_EQ(finish(&object, &waits[0]), 0);
	}
	works();
}

/* One waits, in entry 0, and the victim comes last. */
static void after_arriving_last(int completed)
{
	enum ending ending = ending_at_death();

	if (completed)
		CHECK_EQ(ending, ENDS_RELEASED);
	if (ending == GOES_ON && state_at_death(1) == FREE) { /* the victim never came, and another one can take its place */
		for (int i = 0; i < 2; i++)
			if (arrive(&object, &waits[0]) == 0)
				CHECK_EQ(finish(&object, &waits[0]), 0);
		CHECK_EQ(result_of_sleeper(1), 0);
	} else {
		int passes = ending == ENDS_RELEASED;

		CHECK_EQ(result_of_sleeper(passes), passes ? BROKEN_LATER : -ECANCELED);
	}
	works();
}

/* A release that was begun is a release, whoever ends it. */
static void after_successor(int completed)
{
	(void)completed;
	if (ending_at_death() == ENDS_RELEASED && still_sleeps(sleeper))
		arrive(&object, &waits[0]); /* nobody sees it who does not come to the guard */
	CHECK_EQ(result_of(sleeper), 0);
	works();
}

/* The victim had arrived, in entry 0, and two others pass with it, or are told that it is dead. */
static void after_wait(int completed)
{
	if (completed)
		CHECK_EQ(gave, 1);
	CHECK_EQ(result_of_sleeper(gave), gave ? BROKEN_LATER : -ECANCELED);
	works();
}

static void after_leaving(int completed)
{
	(void)completed;
	CHECK_EQ(result_of(sleeper), -ECANCELED);
	works();
}

/* Nobody looked but the victim, and so whoever looks later finds the same. */
static void after_finding_one_dead(int completed)
{
	if (completed)
		CHECK_EQ(ipk_barrier_broken(&object), 1);
	CHECK_EQ(finish(second, &waits[0]), -ECANCELED);
	works();
}

static void after_end(int is_broken)
{
	int rc;

	if (is_broken >= 0)
		CHECK_EQ(ipk_barrier_broken(&object), is_broken);
	if (ending_at_death() == GOES_ON) {
		do
			rc = ipk_barrier_end(&object, 0);
		while (rc == -EAGAIN);
		CHECK_EQ(rc, 0);
	}
	CHECK_EQ(result_of(sleeper), -ECANCELED);
	works();
}

static void after_break(int completed)
{
	after_end(completed ? 1 : -1);
}

static void after_reset(int completed)
{
	after_end(completed ? 0 : -1);
}

static void after_mending(int completed)
{
	if (completed)
		CHECK_EQ(ipk_barrier_broken(&object), 0);
	works();
}

/* One that left for good is waited for by nobody, one that died is. */
static void after_forgetting(int completed)
{
	int known = state_at_death(1) == PAST;

	if (completed)
		CHECK_EQ(known, 0);
	CHECK_EQ(finish(second, &waits[0]), 0);
	CHECK_EQ(arrive(second, &waits[0]), 0);
	if (!known)
		CHECK_EQ(arrive(&object, &waits[1]), 1);
	CHECK_EQ(finish(second, &waits[0]), known ? -ECANCELED : 0);
	works();
}

/* It had no room, and nothing has changed for it. */
static void after_full_table(int completed)
{
	(void)completed;
	CHECK_EQ(ending_at_death(), GOES_ON);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(finish(second, &waits[i]), 0);
	CHECK_EQ(arrive(&object, &of_victim), 1);
	CHECK_EQ(finish(second, &waits[3]), 0);
	works();
}

#define SCENE(name, parties, ...) {"barrier: " name, IPK_SYNC_BARRIER, 0, parties, __VA_ARGS__}

static const struct scene scenes[] = {
	SCENE("arrive first", TWO, begin, NULL, arrive_first, NULL, after_arriving_first),
	SCENE("arrive last, another one waits", TWO, one_waits, NULL, arrive_last, NULL, after_arriving_last),
	SCENE("arrive last, and act", TWO, one_waits, NULL, act_and_release, NULL, after_arriving_last),
	SCENE("arrive, one died when it released all", TWO, died_releasing, NULL, arrive_by_waiting, let_time_pass, after_successor),
	SCENE("arrive, the table is full", TWO, table_full, NULL, find_no_room, let_time_pass, after_full_table),
	SCENE("wait until all have come", THREE, one_will_wait, arrive_first, wait_for_others, arrive_once, after_wait),
	SCENE("wait until the time is up", THREE, one_will_wait, arrive_first, wait_shortly, let_time_pass, after_leaving),
	SCENE("wait, one is dead", FOUR, one_died_waiting, arrive_first, wait_for_others, let_time_pass,
	      after_finding_one_dead),
	SCENE("leave", THREE, one_will_wait, arrive_first, leave, NULL, after_leaving),
	SCENE("break it", TWO, one_waits, NULL, break_it, NULL, after_break),
	SCENE("reset it", TWO, one_waits, NULL, reset, NULL, after_reset),
	SCENE("reset it when it is broken", TWO, broken, NULL, reset, NULL, after_mending),
	SCENE("close after a pass", TWO, second_arrived, arrive_last, forget, NULL, after_forgetting),
};

const struct scene *const barrier_scenes = scenes;
const size_t barrier_scene_count = sizeof(scenes) / sizeof(scenes[0]);
