#include <errno.h>

#include "check.h"
#include "ipckit/event.h"
#include "ipckit/event_pair.h"
#include "scenes.h"
#include "support.h"

#define SET UINT32_C(1)
#define WAITERS UINT32_C(0x80000000)
#define SIBLINGS 2

static struct ipk_event_shm *siblings; /* further events, shared with the victim */
static struct ipk_sync views[SIBLINGS];
static int gave; /* the survivor has ended the victim's sleep */

static struct ipk_event_word_shm *state(void)
{
	return &((struct ipk_event_shm *)(void *)object.object)->state;
}

static int wait_until(struct ipk_sync *view, int64_t deadline_ns)
{
	uint32_t taken;
	int64_t rc = 0;

	do
		rc = ipk_event_wait(view, rc, deadline_ns, &taken);
	while (rc > 0);
	return (int)rc;
}

/* The event works for all that are left. */
static void works(struct ipk_sync *view)
{
	ipk_event_clear(view);
	CHECK_EQ(wait_until(view, 0), -ETIMEDOUT);
	ipk_event_set(view);
	CHECK_EQ(wait_until(view, promised()), 0);
	CHECK_EQ(ipk_event_is_set(view), !ipk_event_auto_reset(view));
}

/* --- one ----------------------------------------------------------------------------------------------------------- */

static void set(void)
{
	ipk_event_set(&object);
}

static void clear(void)
{
	ipk_event_clear(&object);
}

static void take(void)
{
	ipk_event_take(&object);
}

static void wait_for_it(void)
{
	wait_until(&object, IPK_NEVER);
}

static void begin_waiting(void)
{
	gave = 0;
}

static void pretend_waiter(void)
{
	atomic_fetch_or(&state()->word, WAITERS);
}

static void give_once(void)
{
	if (!gave)
		ipk_event_set(&object);
	gave = 1;
}

static void after_set(int completed)
{
	if (completed)
		CHECK_EQ(wait_until(&object, promised()), 0);
	works(&object);
}

static void after_clear(int completed)
{
	if (completed)
		CHECK_EQ(ipk_event_is_set(&object), 0);
	works(&object);
}

static void after_take(int completed)
{
	if (completed)
		CHECK_EQ(ipk_event_is_set(&object), !ipk_event_auto_reset(&object));
	works(&object);
}

/* What the dead one had not consumed is there for others. */
static void after_wait(int completed)
{
	give_once();
	if (!completed && ipk_event_is_set(&object))
		CHECK_EQ(wait_until(&object, promised()), 0);
	works(&object);
}

/* --- several --------------------------------------------------------------------------------------------------------- */

static struct ipk_event_choice choices[1 + SIBLINGS];

static void begin_several(void)
{
	gave = 0;
	if (!siblings)
		siblings = shared_memory(SIBLINGS * sizeof(*siblings));
	for (uint32_t i = 0; i < SIBLINGS; i++) {
		views[i].object = &siblings[i].sync;
		views[i].options = i ? 0 : IPK_EVENT_AUTO_RESET;
		siblings[i].sync.id[0] = i + 1;
		ipk_sync_set_spin(&views[i], 0);
		ipk_event_clear(&views[i]);
		choices[1 + i].event = &views[i];
	}
	choices[0].event = &object;
	also_watch(siblings, SIBLINGS * sizeof(*siblings));
}

static void begin_with_siblings_set(void)
{
	begin_several();
	ipk_event_set(&views[0]);
	ipk_event_set(&views[1]);
}

static void begin_with_all_set(void)
{
	begin_with_siblings_set();
	ipk_event_set(&object);
}

static void choose(int distinct)
{
	choices[0].event = &object;
	ipk_event_begin(choices, 1 + SIBLINGS, distinct);
}

static void wait_for_any(void)
{
	choose(0);
	while (ipk_event_wait_any(choices, 1 + SIBLINGS, IPK_NEVER) == -EAGAIN)
		continue;
}

static void wait_for_all(void)
{
	choose(1);
	while (ipk_event_wait_all(choices, 1 + SIBLINGS, IPK_NEVER) == -EAGAIN)
		continue;
}

static void after_several(int completed)
{
	(void)completed; /* of what it had consumed nobody knows; the rest is there */
	give_once();
	choose(1);
	for (uint32_t i = 0; i < 1 + SIBLINGS; i++)
		if (ipk_event_is_set(choices[i].event))
			CHECK_EQ(wait_until(choices[i].event, promised()), 0);
	works(&object);
	works(&views[0]);
	works(&views[1]);
}

static void after_all(int completed)
{
	if (completed) {
		CHECK_EQ(ipk_event_is_set(&object), 0);
		CHECK_EQ(ipk_event_is_set(&views[0]), 0);
		CHECK_EQ(ipk_event_is_set(&views[1]), 1);
	}
	after_several(completed);
}

/* --- pairs ----------------------------------------------------------------------------------------------------------- */

static int pair_wait(uint32_t side, int64_t deadline_ns)
{
	uint32_t taken;
	int rc;

	do
		rc = ipk_event_pair_wait(&object, side, deadline_ns, &taken);
	while (rc == -EAGAIN);
	return rc;
}

static void set_low_wait_high(void)
{
	ipk_event_pair_set(&object, IPK_EVENT_PAIR_LOW);
	if (ipk_event_pair_glance(&object, IPK_EVENT_PAIR_HIGH) < 0)
		pair_wait(IPK_EVENT_PAIR_HIGH, IPK_NEVER);
}

static void set_high(void)
{
	ipk_event_pair_set(&object, IPK_EVENT_PAIR_HIGH);
}

static void set_high_once(void)
{
	if (!gave)
		set_high();
	gave = 1;
}

static void after_turn(int completed)
{
	if (completed)
		CHECK_EQ(pair_wait(IPK_EVENT_PAIR_LOW, promised()), 0);
	ipk_event_pair_clear(&object);
	set_high();
	CHECK_EQ(pair_wait(IPK_EVENT_PAIR_HIGH, promised()), 0);
	CHECK_EQ(pair_wait(IPK_EVENT_PAIR_LOW, 0), -ETIMEDOUT);
}

static void after_answer(int completed)
{
	if (completed)
		CHECK_EQ(pair_wait(IPK_EVENT_PAIR_HIGH, promised()), 0);
	after_turn(0);
}

#define EVENT IPK_SYNC_EVENT
#define AUTO IPK_EVENT_AUTO_RESET
#define PAIR IPK_SYNC_EVENT_PAIR

static const struct scene scenes[] = {
	{"event: set, manual-reset", EVENT, 0, 0, NULL, NULL, set, NULL, after_set},
	{"event: set, auto-reset", EVENT, AUTO, 0, NULL, NULL, set, NULL, after_set},
	{"event: set, somebody waits, manual-reset", EVENT, 0, 0, pretend_waiter, NULL, set, NULL, after_set},
	{"event: set, somebody waits, auto-reset", EVENT, AUTO, 0, pretend_waiter, NULL, set, NULL, after_set},
	{"event: clear", EVENT, 0, 0, set, NULL, clear, NULL, after_clear},
	{"event: take, manual-reset", EVENT, 0, 0, set, NULL, take, NULL, after_take},
	{"event: take, auto-reset", EVENT, AUTO, 0, set, NULL, take, NULL, after_take},
	{"event: wait, manual-reset", EVENT, 0, 0, begin_waiting, NULL, wait_for_it, give_once, after_wait},
	{"event: wait, auto-reset", EVENT, AUTO, 0, begin_waiting, NULL, wait_for_it, give_once, after_wait},
	{"event: wait for any, asleep", EVENT, AUTO, 0, begin_several, NULL, wait_for_any, give_once, after_several},
	{"event: wait for any, all set", EVENT, AUTO, 0, begin_with_all_set, NULL, wait_for_any, NULL, after_all},
	{"event: wait for all, asleep", EVENT, AUTO, 0, begin_with_siblings_set, NULL, wait_for_all, give_once, after_all},
	{"event: wait for all, all set", EVENT, AUTO, 0, begin_with_all_set, NULL, wait_for_all, NULL, after_all},
	{"event pair: set", PAIR, 0, 0, NULL, NULL, set_high, NULL, after_answer},
	{"event pair: set low, wait for high", PAIR, 0, 0, begin_waiting, NULL, set_low_wait_high, set_high_once, after_turn},
};

const struct scene *const event_scenes = scenes;
const size_t event_scene_count = sizeof(scenes) / sizeof(scenes[0]);
