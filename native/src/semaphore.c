#include "ipckit/semaphore.h"

#include <errno.h>

#include "ipckit/futex.h"

#define VALUE (IPK_SEMAPHORE_WAITERS - 1)
#define LOOKS_PER_CLOCK 64 /* the clock costs as much as a few looks */

static struct ipk_semaphore_shm *semaphore_of(const struct ipk_sync *view)
{
	return (struct ipk_semaphore_shm *)(void *)view->object;
}

void ipk_semaphore_format(void *place, uint32_t value, uint32_t limit)
{
	struct ipk_semaphore_shm *semaphore = place;

	semaphore->limit = limit;
	/* relaxed: ordered by sync.ready */
	atomic_store_explicit(&semaphore->word, value, memory_order_relaxed);
}

/* Take a permit. Returns the word as it was, whose value is 0 if there was none. */
static uint32_t take(struct ipk_semaphore_shm *semaphore)
{
	/* relaxed: the exchange compares it */
	uint32_t word = atomic_load_explicit(&semaphore->word, memory_order_relaxed);

	while (word & VALUE)
		/* acquire: semaphore.permit; relaxed: nothing is done with a failure but to look again */
		if (atomic_compare_exchange_weak_explicit(&semaphore->word, &word, word - 1, memory_order_acquire,
							  memory_order_relaxed))
			break;
	return word;
}

int ipk_semaphore_try(struct ipk_sync *view)
{
	return take(semaphore_of(view)) & VALUE ? 0 : -EAGAIN;
}

static int spin_for(struct ipk_sync *view, struct ipk_semaphore_shm *semaphore, int64_t now, int64_t until)
{
	int64_t budget = ipk_spin_budget(&view->spin, ipk_spin_cpu(), IPK_CPU_UNKNOWN);
	int64_t end = budget < until - now ? now + budget : until;

	if (budget == 0)
		return -EAGAIN;
	do {
		for (int look = 0; look < LOOKS_PER_CLOCK; look++) {
			if (take(semaphore) & VALUE) {
				ipk_spin_hit(&view->spin);
				return 0;
			}
			ipk_relax();
		}
	} while (ipk_monotonic_ns() < end);
	ipk_spin_missed(&view->spin);
	return -EAGAIN;
}

/* Say that somebody may sleep. Returns the word as it is then; one with a value, where there is something to take. */
static uint32_t announce(struct ipk_semaphore_shm *semaphore)
{
	/* relaxed, all: futex(2) compares the word again, and take orders what we do then */
	uint32_t word = atomic_load_explicit(&semaphore->word, memory_order_relaxed);

	while (word == 0)
		if (atomic_compare_exchange_weak_explicit(&semaphore->word, &word, IPK_SEMAPHORE_WAITERS,
							  memory_order_relaxed, memory_order_relaxed))
			word = IPK_SEMAPHORE_WAITERS;
	return word;
}

/* We were woken, and others may sleep where we did. */
static void pass_on(struct ipk_semaphore_shm *semaphore)
{
	/* relaxed, both: it is about the sleepers, whom futex(2) orders */
	uint32_t word = atomic_fetch_or_explicit(&semaphore->word, IPK_SEMAPHORE_WAITERS, memory_order_relaxed);

	IPK_KILLPOINT("semaphore.wait.passing");
	if (word & VALUE)
		ipk_futex_wake((uint32_t *)&semaphore->word, 1, IPK_FUTEX_ANY);
}

/* Sleep until somebody gives a permit, again and again. Returns 0; -EAGAIN at `until`; -EINTR. */
static int sleep_for(struct ipk_semaphore_shm *semaphore, int64_t until)
{
	int rc = -EAGAIN;
	int slept = 0;

	while (rc == -EAGAIN && slept != -EINTR && ipk_monotonic_ns() < until) {
		uint32_t word = announce(semaphore);

		IPK_KILLPOINT("semaphore.wait.announced");
		slept = word & VALUE ? -EAGAIN : ipk_futex_wait((uint32_t *)&semaphore->word, word, until, IPK_FUTEX_ANY);
		if (take(semaphore) & VALUE)
			rc = 0;
		IPK_KILLPOINT("semaphore.wait.woken");
	}
	pass_on(semaphore);
	return rc == 0 ? 0 : slept == -EINTR ? -EINTR : -EAGAIN;
}

int ipk_semaphore_wait(struct ipk_sync *view, int64_t deadline_ns, uint32_t *taken)
{
	struct ipk_semaphore_shm *semaphore = semaphore_of(view);
	int64_t now = ipk_monotonic_ns();
	int64_t until = deadline_ns - now < IPK_SLICE_NS ? deadline_ns : now + IPK_SLICE_NS;
	int rc = take(semaphore) & VALUE ? 0 : -EAGAIN;

	if (rc == -EAGAIN && now < deadline_ns)
		rc = spin_for(view, semaphore, now, until);
	if (rc == -EAGAIN && now < deadline_ns)
		rc = sleep_for(semaphore, until);
	*taken = rc == 0;
	return rc == -EAGAIN && ipk_monotonic_ns() >= deadline_ns ? -ETIMEDOUT : rc;
}

int ipk_semaphore_release(struct ipk_sync *view, uint32_t n)
{
	struct ipk_semaphore_shm *semaphore = semaphore_of(view);
	/* relaxed: the exchange compares it */
	uint32_t word = atomic_load_explicit(&semaphore->word, memory_order_relaxed);

	do {
		uint32_t value = word & VALUE;

		if (semaphore->limit > VALUE || value > semaphore->limit || n > semaphore->limit - value)
			return -EOVERFLOW;
		/* release: semaphore.permit; relaxed: nothing is done with a failure but to try again */
	} while (!atomic_compare_exchange_weak_explicit(&semaphore->word, &word, (word & VALUE) + n, memory_order_release,
							memory_order_relaxed));
	IPK_KILLPOINT("semaphore.release.given");
	if (word & IPK_SEMAPHORE_WAITERS)
		ipk_futex_wake((uint32_t *)&semaphore->word, n, IPK_FUTEX_ANY);
	return 0;
}

int64_t ipk_semaphore_value(const struct ipk_sync *view)
{
	/* relaxed: of some moment */
	return atomic_load_explicit(&semaphore_of(view)->word, memory_order_relaxed) & VALUE;
}

int ipk_semaphore_bounded(const struct ipk_sync *view)
{
	return (view->options & IPK_SEMAPHORE_BOUNDED) != 0;
}
