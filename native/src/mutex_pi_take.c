#include "mutex_pi_parts.h"

#include "ipckit/futex.h"
#include "ipckit/thread.h"

#define PAUSE_NS 1000000 /* until the kernel may have changed its mind */
#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif

static struct timespec timespec_of(int64_t ns)
{
	return (struct timespec){(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
}

/* FUTEX_LOCK_PI until a moment of CLOCK_MONOTONIC, also where that has to be turned into one of CLOCK_REALTIME: before Linux 5.14. */
static int lock_until(_Atomic uint32_t *word, int64_t until)
{
	struct timespec at = timespec_of(until);
	int rc = pi_futex(word, FUTEX_LOCK_PI2, &at);
	struct timespec now;

	if (rc != -ENOSYS)
		return rc;
	clock_gettime(CLOCK_REALTIME, &now);
	at = timespec_of((int64_t)now.tv_sec * 1000000000 + now.tv_nsec + until - ipk_monotonic_ns());
	return pi_futex(word, FUTEX_LOCK_PI, &at);
}

/* It is ours: say so. Returns 0, -EOWNERDEAD, -ENOTRECOVERABLE. */
static int own(struct ipk_sync *view, uint32_t id, uint32_t self)
{
	struct ipk_mutex_pi_shm *mutex = mutex_of(view);
	/* acquire: pi.handover, where the last owner has stored it, and we have taken it, or the kernel for us */
	uint32_t word = atomic_load_explicit(&mutex->word, memory_order_acquire);
	/* acquire: pi.handover, where the kernel has stored the word */
	uint32_t owner = atomic_load_explicit(&mutex->owner, memory_order_acquire);
	uint32_t state;

	IPK_KILLPOINT("mutex_pi.acquire.taken");
	/* relaxed, all but one: the owner's own, and the release of the word orders them */
	if (word & OWNER_DIED) {
		atomic_fetch_or_explicit(&mutex->state, DIED, memory_order_relaxed);
		IPK_KILLPOINT("mutex_pi.acquire.told");
		atomic_fetch_and_explicit(&mutex->word, ~OWNER_DIED, memory_order_relaxed);
	}
	if (owner != self || atomic_load_explicit(&mutex->holder.id, memory_order_relaxed) != id) {
		atomic_store_explicit(&mutex->owner, 0, memory_order_relaxed);
		ipk_member_record(view->member, id, &mutex->holder);
		/* release: pi.recorded */
		atomic_store_explicit(&mutex->owner, self, memory_order_release);
	}
	atomic_store_explicit(&mutex->depth, 1, memory_order_relaxed);
	state = state_of(view);
	if (state & LOST) {
		ipk_mutex_pi_give(view, self); /* and so does the next one */
		return -ENOTRECOVERABLE;
	}
	/* relaxed: as in mutex.c */
	atomic_store_explicit(&view->held, self, memory_order_relaxed);
	return state & DIED ? -EOWNERDEAD : 0;
}

/* Take it if it is nobody's. */
static int take_free(struct ipk_sync *view, uint32_t id, uint32_t self)
{
	_Atomic uint32_t *word = &mutex_of(view)->word;
	uint32_t was = 0;

	while (!(was & ~OWNER_DIED)) {
		/* relaxed, both: own loads it; nothing is done with a failure but to look again */
		if (atomic_compare_exchange_strong_explicit(word, &was, self | was, memory_order_relaxed, memory_order_relaxed))
			return own(view, id, self);
	}
	return state_of(view) & LOST ? -ENOTRECOVERABLE : -EAGAIN;
}

/* Take it from a thread that is dead, unless another one was faster. */
static int take_over(struct ipk_sync *view, uint32_t id, uint32_t self, uint32_t dead)
{
	_Atomic uint32_t *word = &mutex_of(view)->word;
	/* relaxed: the exchange compares it */
	uint32_t was = atomic_load_explicit(word, memory_order_relaxed);

	IPK_KILLPOINT("mutex_pi.recover.dead");
	do {
		if ((was & TID) != dead)
			return -EAGAIN;
		/* relaxed, both: own loads it, from whoever had it before the dead one, whose death the kernel orders */
	} while (!atomic_compare_exchange_weak_explicit(word, &was, self | OWNER_DIED, memory_order_relaxed, memory_order_relaxed));
	return own(view, id, self);
}

/* What the kernel answered to a lock or a try; tried: the thread that the word had named. Returns as ipk_mutex_pi_wait. */
static int answered(struct ipk_sync *view, uint32_t id, uint32_t self, uint32_t tried, int answer)
{
	int rc = answer == -ESRCH && tried; /* there is no such thread */

	if (answer == 0)
		return own(view, id, self);
	if (answer == -EDEADLK && tried == self) /* ours, through another view; or the dead one's id is ours now */
		rc = ipk_mutex_pi_recorded_dead(view, tried);
	if (rc != 0)
		return rc < 0 ? rc : take_over(view, id, self, tried);
	return answer == -EDEADLK || answer == -ENOSYS ? answer : -EAGAIN;
}

static int recover(struct ipk_sync *view, uint32_t id, uint32_t self)
{
	int rc = take_free(view, id, self);
	uint32_t tried = word_of(view) & TID;

	if (rc == -EAGAIN)
		rc = answered(view, id, self, tried, pi_futex(&mutex_of(view)->word, FUTEX_TRYLOCK_PI, NULL));
	if (rc != -EAGAIN)
		return rc;
	rc = ipk_mutex_pi_recorded_dead(view, tried); /* another thread may have its id */
	return rc < 0 ? rc : rc ? take_over(view, id, self, tried) : -EAGAIN;
}

static int64_t identify(const struct ipk_sync *view)
{
	uint32_t id = ipk_member_id(view->member);

	return id ? (int64_t)id : ipk_member_join(view->member);
}

/* The calling thread has it already. */
static int again(struct ipk_sync *view)
{
	struct ipk_mutex_pi_shm *mutex = mutex_of(view);
	/* relaxed, both: the owner's own */
	uint32_t depth = atomic_load_explicit(&mutex->depth, memory_order_relaxed);

	if (!(view->options & IPK_MUTEX_RECURSIVE))
		return -EDEADLK;
	if (depth == UINT32_MAX)
		return -EOVERFLOW;
	atomic_store_explicit(&mutex->depth, depth + 1, memory_order_relaxed);
	return 0;
}

int ipk_mutex_pi_try(struct ipk_sync *view)
{
	int64_t id = identify(view);
	int rc;

	if (id < 0)
		return (int)id;
	rc = take_free(view, (uint32_t)id, ipk_thread_id());
	return rc == -EAGAIN && ipk_mutex_pi_mine(view) ? again(view) : rc;
}

int ipk_mutex_pi_recover(struct ipk_sync *view)
{
	int64_t id = identify(view);

	if (id < 0)
		return (int)id;
	return ipk_mutex_pi_mine(view) ? again(view) : recover(view, (uint32_t)id, ipk_thread_id());
}

/* Wait in the kernel, again and again. Returns as ipk_mutex_pi_wait; -EAGAIN at `until`, or when a signal handler ran. */
static int wait_until(struct ipk_sync *view, uint32_t id, uint32_t self, int64_t until)
{
	_Atomic uint32_t *word = &mutex_of(view)->word;
	int64_t now = ipk_monotonic_ns();
	int rc = take_free(view, id, self);

	while (rc == -EAGAIN && now < until) {
		uint32_t was = word_of(view);
		int answer;

		IPK_KILLPOINT("mutex_pi.wait.begun");
		answer = lock_until(word, until);
		rc = answered(view, id, self, was & TID, answer);
		if (answer == -EINTR)
			return rc;
		now = ipk_monotonic_ns();
		if (rc == -EAGAIN && answer != -ESRCH && answer != -ETIMEDOUT && now < until)
			ipk_futex_wait((uint32_t *)word, was, now + PAUSE_NS < until ? now + PAUSE_NS : until, IPK_FUTEX_ANY);
	}
	return rc;
}

int ipk_mutex_pi_wait(struct ipk_sync *view, int64_t deadline_ns)
{
	int64_t id = identify(view);
	int64_t now = ipk_monotonic_ns();
	int64_t until = deadline_ns - now < IPK_SLICE_NS ? deadline_ns : now + IPK_SLICE_NS;
	int rc;

	if (id < 0)
		return (int)id;
	if (ipk_mutex_pi_mine(view))
		return again(view);
	rc = wait_until(view, (uint32_t)id, ipk_thread_id(), until);
	now = ipk_monotonic_ns();
	if (rc != -EAGAIN || now < until)
		return rc;
	rc = ipk_member_still_ours(view->member);
	if (rc < 0)
		return rc == -ECHILD ? -EAGAIN : rc;
	rc = recover(view, (uint32_t)id, ipk_thread_id());
	return rc == -EAGAIN && now >= deadline_ns ? -ETIMEDOUT : rc;
}
