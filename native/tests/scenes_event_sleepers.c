/* Events, with processes that really sleep: a signal is neither lost nor there twice, whoever is killed. */
#include <errno.h>
#include <sched.h>

#include "check.h"
#include "ipckit/event.h"
#include "ipckit/event_pair.h"
#include "scenes.h"
#include "support.h"

#define SLEEPERS 2
#define SET UINT32_C(1)

static pid_t sleepers[SLEEPERS];
static int started; /* sleepers */
static int gave;    /* how often the survivor has set it */
static struct ipk_event_shm *other; /* a second event, auto-reset, shared with victims */
static struct ipk_sync other_view;

static int wait_until(struct ipk_sync *view, int64_t deadline_ns)
{
	uint32_t taken;
	int64_t rc = 0;

	do
		rc = ipk_event_wait(view, rc, deadline_ns, &taken);
	while (rc > 0);
	return (int)rc;
}

static int set_at_death(void)
{
	return (atomic_load(&((const struct ipk_event_shm *)at_death())->state.word) & SET) != 0;
}

static int sleep_until_set(void)
{
	return wait_until(&object, IPK_NEVER);
}

static void begin(void)
{
	started = 0;
	gave = 0;
	if (!other)
		other = shared_memory(sizeof(*other));
	other_view = (struct ipk_sync){.object = &other->sync, .options = IPK_EVENT_AUTO_RESET};
	other->sync.id[0] = 1;
	ipk_event_clear(&other_view);
	also_watch(other, sizeof(*other));
}

static void start_sleepers(void)
{
	while (started < SLEEPERS)
		sleepers[started++] = start_sleeper(sleep_until_set);
}

static void others_sleep(void)
{
	begin();
	start_sleepers();
}

static void other_is_set(void)
{
	begin();
	ipk_event_set(&other_view);
}

/* The victim sleeps: let others queue up behind it, and set the event. */
static void set_for_victim(void)
{
	start_sleepers();
	if (ipk_event_is_set(&object))
		return; /* it is seen asleep once more before it takes what it was given */
	ipk_event_set(&object);
	gave++;
}

/* --- what victims do ----------------------------------------------------------------------------------------------- */

static void set(void)
{
	ipk_event_set(&object);
}

static void wait_for_it(void)
{
	wait_until(&object, IPK_NEVER);
}

static void choose(struct ipk_event_choice *choices)
{
	choices[0].event = &object;
	choices[1].event = &other_view;
	ipk_event_begin(choices, 2, 1);
}

static void wait_for_any(void)
{
	struct ipk_event_choice choices[2];

	choose(choices);
	while (ipk_event_wait_any(choices, 2, IPK_NEVER) == -EAGAIN)
		continue;
}

static void wait_for_all(void)
{
	struct ipk_event_choice choices[2];

	choose(choices);
	while (ipk_event_wait_all(choices, 2, IPK_NEVER) == -EAGAIN)
		continue;
}

static void take_and_give_back(void)
{
	struct ipk_event_choice choices[2];

	choose(choices);
	ipk_event_take_any(choices, 2);
	ipk_event_give_back(choices, 2);
}

/* --- what must be so afterwards ------------------------------------------------------------------------------------ */

/* How many sleepers have consumed the signals that there are. */
static int consumers(void)
{
	int64_t deadline = promised();

	while (ipk_event_is_set(&object) && count_ended(sleepers, started) < started) {
		CHECK_RANGE(ipk_monotonic_ns(), 0, deadline);
		sched_yield();
	}
	return count_ended(sleepers, started);
}

/* Each further signal ends the wait of one sleeper, until all have ended; then it stays set. */
static void feed(int ended)
{
	while (ended < started) {
		ipk_event_set(&object);
		CHECK_EQ(consumers(), ++ended);
		CHECK_EQ(ipk_event_is_set(&object), 0);
	}
	for (int i = 0; i < started; i++)
		CHECK_EQ(result_of(sleepers[i]), 0);
	ipk_event_clear(&object);
	ipk_event_set(&object);
	CHECK_EQ(wait_until(&object, promised()), 0);
	CHECK_EQ(wait_until(&object, 0), -ETIMEDOUT);
}

static void after_setting_all(int completed)
{
	if (completed)
		CHECK_EQ(set_at_death(), 1);
	if (!set_at_death()) {
		CHECK_EQ(count_ended(sleepers, started), 0);
		ipk_event_set(&object);
	}
	for (int i = 0; i < started; i++)
		CHECK_EQ(result_of(sleepers[i]), 0);
	CHECK_EQ(ipk_event_is_set(&object), 1);
}

static void after_setting_one(int completed)
{
	int ended = consumers();

	CHECK_RANGE(ended, completed || set_at_death(), 1);
	feed(ended);
}

/* Of the signals that were given the victim has consumed one at most, and none if it had not got so far. */
static int eaten(int completed)
{
	int ended = consumers();
	int missing = gave - ended - ipk_event_is_set(&object);

	CHECK_RANGE(missing, completed, completed || !set_at_death());
	feed(ended);
	return missing;
}

static void after_wait(int completed)
{
	eaten(completed);
}

/* It takes the first one first, and so has not taken the second one if it has not taken the first one. */
static void after_wait_for_all(int completed)
{
	int is_set = ipk_event_is_set(&other_view);

	if (!eaten(completed))
		CHECK_EQ(is_set, 1);
	if (completed)
		CHECK_EQ(is_set, 0);
}

static void after_giving_back(int completed)
{
	int is_set = ipk_event_is_set(&other_view);

	if (completed)
		CHECK_EQ(is_set, 1);
	CHECK_EQ(ipk_event_is_set(&object), 0);
	CHECK_EQ(wait_until(&other_view, 0), is_set ? 0 : -ETIMEDOUT);
}

/* --- pairs --------------------------------------------------------------------------------------------------------- */

static int pair_wait(uint32_t side, int64_t deadline_ns)
{
	uint32_t taken;
	int rc;

	do
		rc = ipk_event_pair_wait(&object, side, deadline_ns, &taken);
	while (rc == -EAGAIN);
	return rc;
}

/* A server: wait for low, answer with high. */
static int serve_once(void)
{
	int rc = pair_wait(IPK_EVENT_PAIR_LOW, IPK_NEVER);

	ipk_event_pair_set(&object, IPK_EVENT_PAIR_HIGH);
	return rc;
}

static void server_sleeps(void)
{
	begin();
	sleepers[started++] = start_sleeper(serve_once);
}

static void ask(void)
{
	ipk_event_pair_set(&object, IPK_EVENT_PAIR_LOW);
}

static void ask_and_wait(void)
{
	ask();
	pair_wait(IPK_EVENT_PAIR_HIGH, IPK_NEVER);
}

static int asked_at_death(void)
{
	return (atomic_load(&((const struct ipk_event_pair_shm *)at_death())->side[IPK_EVENT_PAIR_LOW].word) & SET) != 0;
}

static int is_low_set(void)
{
	return (atomic_load(&((struct ipk_event_pair_shm *)(void *)object.object)->side[IPK_EVENT_PAIR_LOW].word) & SET) != 0;
}

/* The server has answered if it was asked, and has not if it was not. Returns whether it was. */
static int answered(int completed)
{
	int64_t deadline = promised();
	int ended;

	while (is_low_set())
		CHECK_RANGE(ipk_monotonic_ns(), 0, deadline);
	ended = count_ended(sleepers, started);
	CHECK_RANGE(ended, completed || asked_at_death(), 1);
	if (!ended)
		ask();
	CHECK_EQ(result_of(sleepers[0]), 0);
	return ended;
}

static void after_asking(int completed)
{
	answered(completed);
	CHECK_EQ(pair_wait(IPK_EVENT_PAIR_HIGH, promised()), 0);
	CHECK_EQ(pair_wait(IPK_EVENT_PAIR_LOW, 0), -ETIMEDOUT);
	CHECK_EQ(pair_wait(IPK_EVENT_PAIR_HIGH, 0), -ETIMEDOUT);
}

/* The answer is the victim's, or is still there. */
static void after_turn(int completed)
{
	int had_asked = answered(completed);
	int rc = pair_wait(IPK_EVENT_PAIR_HIGH, 0);

	CHECK(rc == 0 || (rc == -ETIMEDOUT && had_asked));
	if (completed)
		CHECK_EQ(rc, -ETIMEDOUT);
	CHECK_EQ(pair_wait(IPK_EVENT_PAIR_LOW, 0), -ETIMEDOUT);
}

#define MANUAL(name, ...) {"event, others sleep: " name, IPK_SYNC_EVENT, 0, 0, __VA_ARGS__}
#define AUTO(name, ...) {"event, others sleep: " name, IPK_SYNC_EVENT, IPK_EVENT_AUTO_RESET, 0, __VA_ARGS__}
#define PAIR(name, ...) {"event pair, the other sleeps: " name, IPK_SYNC_EVENT_PAIR, 0, 0, __VA_ARGS__}

static const struct scene scenes[] = {
	MANUAL("set, manual-reset", others_sleep, NULL, set, NULL, after_setting_all),
	AUTO("set, auto-reset", others_sleep, NULL, set, NULL, after_setting_one),
	AUTO("wait", begin, NULL, wait_for_it, set_for_victim, after_wait),
	AUTO("wait for any", begin, NULL, wait_for_any, set_for_victim, after_wait),
	AUTO("wait for all", other_is_set, NULL, wait_for_all, set_for_victim, after_wait_for_all),
	AUTO("give back", other_is_set, NULL, take_and_give_back, NULL, after_giving_back),
	PAIR("set low", server_sleeps, NULL, ask, NULL, after_asking),
	PAIR("set low, wait for high", server_sleeps, NULL, ask_and_wait, let_time_pass, after_turn),
};

const struct scene *const event_sleepers_scenes = scenes;
const size_t event_sleepers_scene_count = sizeof(scenes) / sizeof(scenes[0]);
