#include "ipckit/tracked_semaphore.h"

#include <errno.h>
#include <stdbool.h>

#include "ipckit/futex.h"

#define WAITERS 0x80000000U
#define LOOKS_PER_CLOCK 64 /* the clock costs as much as a few looks */

static struct ipk_tracked_semaphore_shm *semaphore_of(const struct ipk_sync *view)
{
	return (struct ipk_tracked_semaphore_shm *)(void *)view->object;
}

void ipk_tracked_semaphore_format(void *place, uint32_t limit)
{
	((struct ipk_tracked_semaphore_shm *)place)->limit = limit;
}

static bool is_free(const struct ipk_sync *view)
{
	return ipk_holders_sum(view) < semaphore_of(view)->limit;
}

/* Take a permit under the guard, which we got with rc. Returns as ipk_tracked_semaphore_try. */
static int take_guarded(struct ipk_sync *view, struct ipk_holder_entry_shm *entry, int rc)
{
	struct ipk_tracked_semaphore_shm *semaphore = semaphore_of(view);

	if (rc == -EOWNERDEAD) {
		ipk_holders_bury(view); /* it had counted its permit, or not */
		ipk_lock_consistent(&semaphore->guard);
	} else if (rc != 0) {
		return rc;
	}
	rc = is_free(view) ? ipk_holders_add(view, entry) : -EAGAIN;
	IPK_KILLPOINT("tracked_semaphore.take.counted");
	ipk_lock_release(&semaphore->guard, view->member);
	return rc;
}

int ipk_tracked_semaphore_try(struct ipk_sync *view)
{
	struct ipk_holder_entry_shm *entry = ipk_holders_own(view);
	int rc = entry ? 0 : ipk_holders_claim(view, &entry);

	return rc < 0 ? rc : take_guarded(view, entry, ipk_lock_guard(&semaphore_of(view)->guard, view->member));
}

/* The same, but wait for the guard until `until`. */
static int take(struct ipk_sync *view, struct ipk_holder_entry_shm *entry, int64_t until)
{
	struct ipk_lock_shm *guard = &semaphore_of(view)->guard;
	int rc;

	if (!is_free(view))
		return -EAGAIN;
	rc = ipk_lock_guard(guard, view->member);
	if (rc == -EAGAIN)
		rc = ipk_lock_wait(guard, view->member, &view->spin, until);
	return rc == -ETIMEDOUT ? -EAGAIN : take_guarded(view, entry, rc);
}

/* There are n permits more. */
static void wake(struct ipk_tracked_semaphore_shm *semaphore, uint32_t n)
{
	/* seq_cst: after the count; relaxed below: whoever clears the flag wakes, and futex(2) compares the word */
	uint32_t word = atomic_load_explicit(&semaphore->word, memory_order_seq_cst);

	do {
		if (!(word & WAITERS))
			return;
	} while (!atomic_compare_exchange_weak_explicit(&semaphore->word, &word, (word + 1) & ~WAITERS, memory_order_relaxed,
							memory_order_relaxed));
	IPK_KILLPOINT("tracked_semaphore.wake.cleared");
	ipk_futex_wake((uint32_t *)&semaphore->word, n, IPK_FUTEX_ANY);
}

static bool spin_for(struct ipk_sync *view, int64_t now, int64_t until)
{
	int64_t budget = ipk_spin_budget(&view->spin, ipk_spin_cpu(), IPK_CPU_UNKNOWN);
	int64_t end = budget < until - now ? now + budget : until;

	if (budget == 0)
		return false;
	do {
		for (int look = 0; look < LOOKS_PER_CLOCK; look++) {
			if (is_free(view)) {
				ipk_spin_hit(&view->spin);
				return true;
			}
			ipk_relax();
		}
	} while (ipk_monotonic_ns() < end);
	ipk_spin_missed(&view->spin);
	return false;
}

/* Say that somebody sleeps. Returns the word as it is then. */
static uint32_t announce(struct ipk_tracked_semaphore_shm *semaphore)
{
	/* seq_cst: before the sum */
	return atomic_fetch_or_explicit(&semaphore->word, WAITERS, memory_order_seq_cst) | WAITERS;
}

/* Sleep until there is a permit for us, again and again. Returns as take; -EINTR. */
static int sleep_for(struct ipk_sync *view, struct ipk_holder_entry_shm *entry, int64_t until)
{
	struct ipk_tracked_semaphore_shm *semaphore = semaphore_of(view);
	int rc = -EAGAIN;
	int slept = 0;

	while (rc == -EAGAIN && slept != -EINTR && ipk_monotonic_ns() < until) {
		uint32_t word = announce(semaphore);

		IPK_KILLPOINT("tracked_semaphore.wait.announced");
		slept = is_free(view) ? -EAGAIN : ipk_futex_wait((uint32_t *)&semaphore->word, word, until, IPK_FUTEX_ANY);
		rc = take(view, entry, until);
	}
	/* others may sleep where we did, and there may be something for them too */
	announce(semaphore);
	IPK_KILLPOINT("tracked_semaphore.wait.passing");
	if (is_free(view))
		wake(semaphore, 1);
	return rc == -EAGAIN && slept == -EINTR ? -EINTR : rc;
}

/* Nothing happened for a slice: look around. Returns as take. */
static int take_from_the_dead(struct ipk_sync *view, struct ipk_holder_entry_shm *entry, int64_t until)
{
	uint64_t buried;
	int rc = ipk_member_still_ours(view->member);

	if (rc < 0)
		return rc == -ECHILD ? -EAGAIN : rc; /* a signal handler forked inside this call */
	buried = ipk_holders_bury(view);
	rc = take(view, entry, until);
	if (buried > 1)
		wake(semaphore_of(view), buried < INT32_MAX ? (uint32_t)buried - 1 : INT32_MAX);
	return rc;
}

int ipk_tracked_semaphore_wait(struct ipk_sync *view, int64_t deadline_ns, uint32_t *taken)
{
	struct ipk_holder_entry_shm *entry;
	int64_t now = ipk_monotonic_ns();
	int64_t until = deadline_ns - now < IPK_SLICE_NS ? deadline_ns : now + IPK_SLICE_NS;
	int rc = ipk_holders_claim(view, &entry);

	if (rc < 0)
		return rc;
	rc = take(view, entry, until);
	if (rc == -EAGAIN && now < until && spin_for(view, now, until))
		rc = take(view, entry, until);
	if (rc == -EAGAIN && now < until)
		rc = sleep_for(view, entry, until);
	if (rc == -EAGAIN)
		rc = take_from_the_dead(view, entry, until);
	*taken = rc == 0;
	return rc == -EAGAIN && ipk_monotonic_ns() >= deadline_ns ? -ETIMEDOUT : rc;
}

int ipk_tracked_semaphore_release(struct ipk_sync *view, uint32_t n)
{
	struct ipk_holder_entry_shm *entry = ipk_holders_own(view);

	if (!entry || ipk_holders_sub(view, entry, n) < 0)
		return -EPERM;
	IPK_KILLPOINT("tracked_semaphore.release.counted");
	wake(semaphore_of(view), n);
	return 0;
}

int64_t ipk_tracked_semaphore_value(const struct ipk_sync *view)
{
	uint32_t limit = semaphore_of(view)->limit;
	uint64_t sum = ipk_holders_sum(view);

	return sum < limit ? (int64_t)(limit - sum) : 0;
}

uint32_t ipk_tracked_semaphore_abandon(struct ipk_sync *view)
{
	uint32_t held = ipk_holders_drop(view);

	if (held != 0)
		wake(semaphore_of(view), held < INT32_MAX ? held : INT32_MAX);
	return held;
}
