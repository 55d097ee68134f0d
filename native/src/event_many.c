#include <errno.h>

#include "event_word.h"
#include "ipckit/futex.h"

struct choices {
	struct ipk_event_choice *at;
	uint32_t count;
	int all; /* or any */
};

static struct ipk_event_word_shm *state_of(const struct ipk_event_choice *choice)
{
	return &((struct ipk_event_shm *)(void *)choice->event->object)->state;
}

static struct ipk_event_look look_at(const struct ipk_event_choice *choice, uint32_t since)
{
	return (struct ipk_event_look){state_of(choice), ipk_event_auto_reset(choice->event), since};
}

/* All must be set at once: that one has been set, and is no longer, is of no use. */
static struct ipk_event_look look_now(const struct ipk_event_choice *choice)
{
	return look_at(choice, ipk_event_word_now(state_of(choice)));
}

static uint32_t load(const struct ipk_event_look *look)
{
	/* acquire: event.set */
	return atomic_load_explicit(&look->state->word, memory_order_acquire);
}

static int same(const struct ipk_sync *one, const struct ipk_sync *other)
{
	return one->object->id[0] == other->object->id[0] && one->object->id[1] == other->object->id[1];
}

int ipk_event_begin(struct ipk_event_choice *choices, uint32_t count, int distinct)
{
	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t k = 0; distinct && k < i; k++)
			if (same(choices[i].event, choices[k].event))
				return -EDEADLK;
		choices[i].since = ipk_event_word_now(state_of(&choices[i]));
		choices[i].taken = 0;
	}
	return 0;
}

static int take_any(struct ipk_event_choice *choices, uint32_t count, uint32_t keep)
{
	int taken = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct ipk_event_look look = look_at(&choices[i], choices[i].since);

		if (ipk_event_word_take(&look, keep) == 0) {
			choices[i].taken = 1;
			taken++;
		}
	}
	return taken ? taken : -EAGAIN;
}

static int all_are_set(const struct ipk_event_choice *choices, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct ipk_event_look look = look_now(&choices[i]);

		if (!choices[i].taken && !(load(&look) & IPK_EVENT_SET))
			return 0;
	}
	return 1;
}

static int consume_all(struct ipk_event_choice *choices, uint32_t count, uint32_t keep)
{
	for (uint32_t i = 0; i < count; i++) {
		struct ipk_event_look look = look_now(&choices[i]);

		if (!look.auto_reset)
			continue;
		if (ipk_event_word_take(&look, keep) < 0)
			return -EAGAIN;
		choices[i].taken = 1;
		IPK_KILLPOINT("event.take_all.part");
	}
	return all_are_set(choices, count) ? 0 : -EAGAIN; /* the manual-reset ones still, now that the rest is ours */
}

static int take_all(struct ipk_event_choice *choices, uint32_t count, uint32_t keep)
{
	if (!all_are_set(choices, count))
		return -EAGAIN;
	if (consume_all(choices, count, keep) < 0) {
		ipk_event_give_back(choices, count);
		return -EAGAIN;
	}
	return 0;
}

void ipk_event_give_back(struct ipk_event_choice *choices, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		int consumed = choices[i].taken && ipk_event_auto_reset(choices[i].event);

		choices[i].taken = 0;
		if (consumed)
			ipk_event_set(choices[i].event);
	}
}

int ipk_event_take_any(struct ipk_event_choice *choices, uint32_t count)
{
	return take_any(choices, count, 0);
}

int ipk_event_take_all(struct ipk_event_choice *choices, uint32_t count)
{
	return take_all(choices, count, 0);
}

static int take(const struct choices *of, uint32_t keep)
{
	return (of->all ? take_all : take_any)(of->at, of->count, keep);
}

static int spin_for(const struct choices *of, int64_t now, int64_t until)
{
	struct ipk_spin *spin = &of->at[0].event->spin;
	int64_t budget = ipk_spin_budget(spin, ipk_spin_cpu(), IPK_CPU_UNKNOWN);
	int64_t end = budget < until - now ? now + budget : until;

	if (budget == 0)
		return -EAGAIN;
	do {
		int rc = take(of, 0);

		if (rc != -EAGAIN) {
			ipk_spin_hit(spin);
			return rc;
		}
		ipk_relax();
	} while (ipk_monotonic_ns() < end);
	ipk_spin_missed(spin);
	return -EAGAIN;
}

/* Fill in what to sleep on: clear events, at most `limit`, from `first` on. Who waits for any does not sleep if one is set.
 * Returns how many. */
static uint32_t announce(const struct choices *of, struct ipk_futex_wait_entry *entries, uint32_t limit, uint32_t first)
{
	uint32_t some = 0;

	for (uint32_t k = 0; k < of->count && some < limit; k++) {
		const struct ipk_event_choice *choice = &of->at[(first + k) % of->count];
		struct ipk_event_look look = of->all ? look_now(choice) : look_at(choice, choice->since);
		uint32_t word;

		if (ipk_event_word_announce(&look, &word) == 0) {
			entries[some].expected = word;
			entries[some].address = (uintptr_t)&look.state->word;
			some++;
		} else if (!of->all) {
			return 0;
		}
	}
	return some;
}

/* We may have been woken for what we have not taken: another one may want it. Who waits for all does not sleep on what
is
 * set, so that two of them do not go on waking each other. */
static void pass_on(const struct choices *of)
{
	for (uint32_t i = 0; i < of->count; i++) {
		struct ipk_event_look look = look_now(&of->at[i]);

		if (!look.auto_reset || of->at[i].taken)
			continue;
		if (of->all && load(&look) == (IPK_EVENT_SET | IPK_EVENT_WAITERS))
			ipk_futex_wake((uint32_t *)&look.state->word, 1, IPK_FUTEX_ANY);
		else
			ipk_event_word_leave(&look);
	}
}

/* Who waits for all sleeps on one that is clear, and then on the next. Who waits for any of too many sleeps on one of them,
 * each in turn, and looks at all meanwhile. */
static int sleep_for(const struct choices *of, int64_t until)
{
	struct ipk_futex_wait_entry entries[IPK_FUTEX_WAITV_MAX];
	int too_many = !of->all && of->count > IPK_FUTEX_WAITV_MAX;
	uint32_t limit = of->all || too_many ? 1 : IPK_FUTEX_WAITV_MAX;
	uint32_t turn = 0;
	int slept, rc;

	do {
		uint32_t some = announce(of, entries, limit, too_many ? turn : 0);
		int64_t look = ipk_monotonic_ns() + ipk_futex_patience(turn++);

		slept = some == 0 ? -EAGAIN : ipk_futex_wait_any(entries, some, too_many && look < until ? look : until);
		rc = take(of, IPK_EVENT_WAITERS);
		pass_on(of);
	} while (rc == -EAGAIN && slept != -EINTR && ipk_monotonic_ns() < until);
	return rc;
}

static int wait_for(const struct choices *of, int64_t deadline_ns)
{
	int64_t now = ipk_monotonic_ns();
	int64_t until = deadline_ns - now < IPK_SLICE_NS ? deadline_ns : now + IPK_SLICE_NS;
	int rc = take(of, 0);

	if (rc == -EAGAIN && now < deadline_ns)
		rc = spin_for(of, now, until);
	if (rc == -EAGAIN && now < deadline_ns)
		rc = sleep_for(of, until);
	return rc == -EAGAIN && ipk_monotonic_ns() >= deadline_ns ? -ETIMEDOUT : rc;
}

int ipk_event_wait_any(struct ipk_event_choice *choices, uint32_t count, int64_t deadline_ns)
{
	return wait_for(&(struct choices){choices, count, 0}, deadline_ns);
}

int ipk_event_wait_all(struct ipk_event_choice *choices, uint32_t count, int64_t deadline_ns)
{
	return wait_for(&(struct choices){choices, count, 1}, deadline_ns);
}
