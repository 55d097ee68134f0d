#include "event_word.h"

#include <errno.h>

#include "ipckit/futex.h"

#define ONE_TIME UINT32_C(2)
#define LOOKS_PER_CLOCK 64 /* the clock costs as much as a few looks */

static uint32_t *futex_of(struct ipk_event_word_shm *state)
{
	return (uint32_t *)&state->word;
}

uint32_t ipk_event_word_now(struct ipk_event_word_shm *state)
{
	/* relaxed: a number to compare with */
	return atomic_load_explicit(&state->word, memory_order_relaxed);
}

static void set_one(struct ipk_event_word_shm *state)
{
	/* release: event.set; an exchange fetches the line once, where a load before it would fetch it twice */
	uint32_t before = atomic_exchange_explicit(&state->word, IPK_EVENT_SET, memory_order_release);

	IPK_KILLPOINT("event.set.stored");
	if (before & IPK_EVENT_WAITERS)
		ipk_futex_wake(futex_of(state), 1, IPK_FUTEX_ANY);
}

static void set_all(struct ipk_event_word_shm *state)
{
	/* relaxed, both: the exchange orders it, and nothing is done with a failure but to try again */
	uint32_t before = atomic_load_explicit(&state->word, memory_order_relaxed);
	uint32_t next;

	do {
		next = ((before & IPK_EVENT_SET ? before : before + ONE_TIME) & IPK_EVENT_TIMES) | IPK_EVENT_SET;
		/* release: event.set */
	} while (!atomic_compare_exchange_weak_explicit(&state->word, &before, next, memory_order_release,
							memory_order_relaxed));
	IPK_KILLPOINT("event.set.stored");
	if (before & IPK_EVENT_WAITERS)
		ipk_futex_wake(futex_of(state), UINT32_MAX, IPK_FUTEX_ANY);
}

void ipk_event_word_set(struct ipk_event_word_shm *state, int auto_reset)
{
	/* relaxed: a hint */
	atomic_store_explicit(&state->cpu, ipk_spin_cpu() + 1, memory_order_relaxed);
	if (auto_reset)
		set_one(state);
	else
		set_all(state);
}

void ipk_event_word_clear(struct ipk_event_word_shm *state)
{
	/* relaxed: it says nothing about anything else */
	atomic_fetch_and_explicit(&state->word, ~IPK_EVENT_SET, memory_order_relaxed);
}

static int is_there(const struct ipk_event_look *look, uint32_t word)
{
	return word & IPK_EVENT_SET || (!look->auto_reset && ((word ^ look->since) & IPK_EVENT_TIMES));
}

int ipk_event_word_take(const struct ipk_event_look *look, uint32_t keep)
{
	/* acquire: event.set */
	uint32_t word = atomic_load_explicit(&look->state->word, memory_order_acquire);

	if (!is_there(look, word))
		return -EAGAIN;
	if (!look->auto_reset)
		return 0;
	do
		if (!(word & IPK_EVENT_SET))
			return -EAGAIN;
	/* acquire: event.set; relaxed: nothing is done with a failure but to look again */
	while (!atomic_compare_exchange_weak_explicit(&look->state->word, &word, (word & IPK_EVENT_WAITERS) | keep,
						      memory_order_acquire, memory_order_relaxed));
	IPK_KILLPOINT("event.take.taken");
	return 0;
}

int ipk_event_word_announce(const struct ipk_event_look *look, uint32_t *word)
{
	/* relaxed, all: futex(2) compares the word again, and the take that follows orders what we do then */
	*word = atomic_load_explicit(&look->state->word, memory_order_relaxed);
	while (!(*word & IPK_EVENT_WAITERS)) {
		if (is_there(look, *word))
			return -EAGAIN;
		if (atomic_compare_exchange_weak_explicit(&look->state->word, word, *word | IPK_EVENT_WAITERS,
							  memory_order_relaxed, memory_order_relaxed))
			*word |= IPK_EVENT_WAITERS;
	}
	IPK_KILLPOINT("event.wait.announced");
	return is_there(look, *word) ? -EAGAIN : 0;
}

void ipk_event_word_leave(const struct ipk_event_look *look)
{
	/* relaxed, both: it says only that somebody may sleep */
	if (!look->auto_reset || atomic_load_explicit(&look->state->word, memory_order_relaxed) & IPK_EVENT_WAITERS)
		return;
	if (atomic_fetch_or_explicit(&look->state->word, IPK_EVENT_WAITERS, memory_order_relaxed) & IPK_EVENT_SET)
		ipk_futex_wake(futex_of(look->state), 1, IPK_FUTEX_ANY); /* set after our last look, by one who saw no
		flag */
}

static int64_t budget_of(const struct ipk_event_look *look, struct ipk_spin *spin)
{
	/* relaxed: a hint */
	uint32_t setter_cpu = atomic_load_explicit(&look->state->cpu, memory_order_relaxed) - 1;

	return ipk_spin_budget(spin, ipk_spin_cpu(), setter_cpu);
}

static int look_often(const struct ipk_event_look *look, int times)
{
	for (int i = 0; i < times; i++) {
		if (ipk_event_word_take(look, 0) == 0)
			return 0;
		ipk_relax();
	}
	return -EAGAIN;
}

int ipk_event_word_glance(const struct ipk_event_look *look, struct ipk_spin *spin, int times)
{
	int rc = ipk_event_word_take(look, 0);

	if (rc < 0 && budget_of(look, spin) > 0 && look_often(look, times) == 0) {
		ipk_spin_hit(spin);
		return 0;
	}
	return rc;
}

static int spin_for(const struct ipk_event_look *look, struct ipk_spin *spin, int64_t now, int64_t until)
{
	int64_t budget = budget_of(look, spin);
	int64_t end = budget < until - now ? now + budget : until;

	if (budget == 0)
		return -EAGAIN;
	do {
		if (look_often(look, LOOKS_PER_CLOCK) == 0) {
			ipk_spin_hit(spin);
			return 0;
		}
	} while (ipk_monotonic_ns() < end);
	ipk_spin_missed(spin);
	return -EAGAIN;
}

/* Sleep, and look, until there is something, a signal handler runs, or the time is over. Returns 0, -EAGAIN. */
static int sleep_for(const struct ipk_event_look *look, int64_t until)
{
	uint32_t word;
	int slept, rc;

	do {
		slept = ipk_event_word_announce(look, &word);
		if (slept == 0)
			slept = ipk_futex_wait(futex_of(look->state), word, until, IPK_FUTEX_ANY);
		rc = ipk_event_word_take(look, IPK_EVENT_WAITERS);
	} while (rc == -EAGAIN && slept != -EINTR && ipk_monotonic_ns() < until);
	if (rc == -EAGAIN)
		ipk_event_word_leave(look);
	return rc;
}

int ipk_event_word_wait(const struct ipk_event_look *look, struct ipk_spin *spin, int64_t deadline_ns, uint32_t *taken)
{
	int64_t now = ipk_monotonic_ns();
	int64_t until = deadline_ns - now < IPK_SLICE_NS ? deadline_ns : now + IPK_SLICE_NS;
	int rc = ipk_event_word_take(look, 0);

	if (rc == -EAGAIN && now < deadline_ns)
		rc = spin_for(look, spin, now, until);
	if (rc == -EAGAIN && now < deadline_ns)
		rc = sleep_for(look, until);
	if (rc == 0)
		*taken = (uint32_t)look->auto_reset;
	else if (ipk_monotonic_ns() >= deadline_ns)
		return -ETIMEDOUT;
	return rc;
}
