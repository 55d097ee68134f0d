#include "ipckit/latch.h"

#include <errno.h>

#include "ipckit/futex.h"

#define WAITERS UINT32_C(0x80000000)
#define COUNT (WAITERS - 1)
#define LOOKS_PER_CLOCK 64 /* the clock costs as much as a few looks */

static _Atomic uint32_t *word_of(const struct ipk_sync *view)
{
	return &((struct ipk_latch_shm *)(void *)view->object)->word;
}

void ipk_latch_format(void *place, uint32_t count)
{
	/* relaxed: ordered by sync.ready */
	atomic_store_explicit(&((struct ipk_latch_shm *)place)->word, count & COUNT, memory_order_relaxed);
}

uint32_t ipk_latch_count(const struct ipk_sync *view)
{
	/* acquire: latch.open */
	return atomic_load_explicit(word_of(view), memory_order_acquire) & COUNT;
}

uint32_t ipk_latch_count_down(struct ipk_sync *view, uint32_t n)
{
	_Atomic uint32_t *word = word_of(view);
	/* relaxed, and below: the exchange orders it */
	uint32_t was = atomic_load_explicit(word, memory_order_relaxed);
	uint32_t left;

	do {
		left = (was & COUNT) > n ? (was & COUNT) - n : 0;
		/* release: latch.open, of each who counts; acquire: the last one's waiters see what the others did as well */
	} while (!atomic_compare_exchange_weak_explicit(word, &was, left ? (was & WAITERS) | left : 0,
							memory_order_acq_rel, memory_order_relaxed));
	IPK_KILLPOINT("latch.count_down.stored");
	if (left == 0 && was & WAITERS)
		ipk_futex_wake((uint32_t *)word, INT32_MAX, IPK_FUTEX_ANY);
	return left;
}

static int spin(struct ipk_sync *view, int64_t now, int64_t until)
{
	int64_t budget = ipk_spin_budget(&view->spin, ipk_spin_cpu(), IPK_CPU_UNKNOWN);
	int64_t end = budget < until - now ? now + budget : until;

	if (budget == 0)
		return 0;
	do {
		for (int look = 0; look < LOOKS_PER_CLOCK; look++) {
			if (ipk_latch_count(view) == 0) {
				ipk_spin_hit(&view->spin);
				return 1;
			}
			ipk_relax();
		}
	} while (ipk_monotonic_ns() < end);
	ipk_spin_missed(&view->spin);
	return 0;
}

/* Sleep until the word changes. Returns as ipk_futex_wait. */
static int sleep_on(_Atomic uint32_t *word, int64_t until)
{
	/* relaxed, both: futex(2) compares the word again, and whoever comes back looks at it in order */
	uint32_t was = atomic_load_explicit(word, memory_order_relaxed);

	while (was & COUNT && !(was & WAITERS))
		if (atomic_compare_exchange_weak_explicit(word, &was, was | WAITERS, memory_order_relaxed,
							  memory_order_relaxed))
			was |= WAITERS;
	IPK_KILLPOINT("latch.wait.announced");
	return was & COUNT ? ipk_futex_wait((uint32_t *)word, was, until, IPK_FUTEX_ANY) : -EAGAIN;
}

int ipk_latch_wait(struct ipk_sync *view, int64_t deadline_ns)
{
	int64_t now = ipk_monotonic_ns();
	int64_t until = deadline_ns - now < IPK_SLICE_NS ? deadline_ns : now + IPK_SLICE_NS;

	if (ipk_latch_count(view) == 0 || (now < deadline_ns && spin(view, now, until)))
		return 0;
	while (now < until) {
		int slept = sleep_on(word_of(view), until);

		if (ipk_latch_count(view) == 0)
			return 0;
		if (slept == -EINTR)
			return -EAGAIN;
		now = ipk_monotonic_ns();
	}
	return now >= deadline_ns ? -ETIMEDOUT : -EAGAIN;
}
