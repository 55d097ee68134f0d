#include "ipckit/mutex_pi.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "identity.h"
#include "ipckit/futex.h"
#include "ipckit/thread.h"

#define DIED IPK_MUTEX_PI_DIED
#define LOST IPK_MUTEX_PI_LOST
#define TID ((uint32_t)FUTEX_TID_MASK)
#define OWNER_DIED ((uint32_t)FUTEX_OWNER_DIED)
#define PAUSE_NS 1000000 /* until the kernel may have changed its mind */
#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif

static struct ipk_mutex_pi_shm *mutex_of(const struct ipk_sync *view)
{
	return (struct ipk_mutex_pi_shm *)(void *)view->object;
}

static uint32_t word_of(const struct ipk_sync *view)
{
	/* relaxed: who takes it does so by an exchange, or by the kernel */
	return atomic_load_explicit(&mutex_of(view)->word, memory_order_relaxed);
}

static uint32_t state_of(const struct ipk_sync *view)
{
	/* relaxed: the owner's own; to others a hint */
	return atomic_load_explicit(&mutex_of(view)->state, memory_order_relaxed);
}

/* --- what the kernel does ------------------------------------------------------------------------------------------ */

static int futex(_Atomic uint32_t *word, int operation, const struct timespec *until)
{
	return syscall(SYS_futex, word, operation, 0, until, NULL, 0) < 0 ? -errno : 0;
}

static struct timespec timespec_of(int64_t ns)
{
	return (struct timespec){(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
}

/* FUTEX_LOCK_PI until a moment of CLOCK_MONOTONIC, also where that has to be turned into one of CLOCK_REALTIME: before Linux 5.14. */
static int lock_until(_Atomic uint32_t *word, int64_t until)
{
	struct timespec at = timespec_of(until);
	int rc = futex(word, FUTEX_LOCK_PI2, &at);
	struct timespec now;

	if (rc != -ENOSYS)
		return rc;
	clock_gettime(CLOCK_REALTIME, &now);
	at = timespec_of((int64_t)now.tv_sec * 1000000000 + now.tv_nsec + until - ipk_monotonic_ns());
	return futex(word, FUTEX_LOCK_PI, &at);
}

int ipk_mutex_pi_format(void *place)
{
	struct ipk_participant_info self;
	_Atomic uint32_t word = 0;
	int rc = futex(&word, FUTEX_TRYLOCK_PI, NULL);

	if (rc == 0)
		rc = futex(&word, FUTEX_UNLOCK_PI, NULL);
	if (rc == 0)
		rc = ipk_identity_self(&self);
	if (rc == 0)
		((struct ipk_mutex_pi_shm *)place)->pid_namespace = self.pid_namespace;
	return rc;
}

int ipk_mutex_pi_inherits(const struct ipk_sync *view)
{
	return (view->options & IPK_MUTEX_INHERITS) != 0;
}

int ipk_mutex_pi_check(const struct ipk_sync *view)
{
	struct ipk_mutex_pi_shm ours;
	int rc;

	if (!ipk_mutex_pi_inherits(view))
		return 0;
	rc = ipk_mutex_pi_format(&ours);
	return rc < 0 ? rc : ours.pid_namespace == mutex_of(view)->pid_namespace ? 0 : -EXDEV;
}

/* --- giving back --------------------------------------------------------------------------------------------------- */

static int give(struct ipk_sync *view, uint32_t self)
{
	_Atomic uint32_t *word = &mutex_of(view)->word;
	uint32_t was = self;
	int rc;

	IPK_KILLPOINT("mutex_pi.release.begun");
	/* release: pi.handover; relaxed: the kernel looks at the word again */
	if (atomic_compare_exchange_strong_explicit(word, &was, 0, memory_order_release, memory_order_relaxed))
		return 0;
	/* release: pi.handover, where the kernel stores the word */
	atomic_store_explicit(&mutex_of(view)->owner, 0, memory_order_release);
	do
		rc = futex(word, FUTEX_UNLOCK_PI, NULL);
	while (rc == -EAGAIN);
	if (rc == 0)
		return 0;
	/* who waits in the kernel waits for another one, whose id was here before ours: it will come back by itself */
	/* relaxed, both: the exchange compares it */
	was = atomic_load_explicit(word, memory_order_relaxed);
	do {
		if ((was & TID) != self)
			return -EPERM; /* another thread of ours has abandoned it */
		/* release: pi.handover */
	} while (!atomic_compare_exchange_weak_explicit(word, &was, 0, memory_order_release, memory_order_relaxed));
	return 0;
}

/* --- taking -------------------------------------------------------------------------------------------------------- */

/* It is ours: say so. Returns 0, -EOWNERDEAD, -ENOTRECOVERABLE. */
static int own(struct ipk_sync *view, uint32_t id, uint32_t self)
{
	struct ipk_mutex_pi_shm *mutex = mutex_of(view);
	/* acquire: pi.handover, where the kernel has stored the word */
	uint32_t owner = atomic_load_explicit(&mutex->owner, memory_order_acquire);
	/* acquire: pi.handover, where the last owner has stored it, and the kernel has taken it for us */
	uint32_t word = atomic_load_explicit(&mutex->word, memory_order_acquire);
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
		give(view, self); /* and so does the next one */
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
		/* acquire: pi.handover; relaxed: nothing is done with a failure but to look again */
		if (atomic_compare_exchange_strong_explicit(word, &was, self | was, memory_order_acquire, memory_order_relaxed))
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
		/* acquire: pi.handover, from whoever had it before the dead one, whose death the kernel orders */
	} while (!atomic_compare_exchange_weak_explicit(word, &was, self | OWNER_DIED, memory_order_acquire, memory_order_relaxed));
	return own(view, id, self);
}

/* Whether the record is that thread's, and says that it is dead. Returns 1, 0, -errno. */
static int recorded_dead(const struct ipk_sync *view, uint32_t thread)
{
	const struct ipk_mutex_pi_shm *mutex = mutex_of(view);
	uint32_t id;
	int rc;

	/* acquire: pi.recorded */
	if (thread == 0 || atomic_load_explicit(&mutex->owner, memory_order_acquire) != thread)
		return 0;
	/* relaxed, both: ordered by the owner */
	id = atomic_load_explicit(&mutex->holder.id, memory_order_relaxed);
	if (id == 0)
		return 0;
	rc = ipk_member_alive(view->member, id, &mutex->holder);
	if (rc <= 0)
		return rc < 0 ? rc : 1;
	return syscall(SYS_tgkill, atomic_load_explicit(&mutex->holder.pid, memory_order_relaxed), thread, 0) < 0 && errno == ESRCH;
}

/* What the kernel answered to a lock or a try; tried: the thread that the word had named. Returns as ipk_mutex_pi_wait. */
static int answered(struct ipk_sync *view, uint32_t id, uint32_t self, uint32_t tried, int answer)
{
	int rc = answer == -ESRCH && tried; /* there is no such thread */

	if (answer == 0)
		return own(view, id, self);
	if (answer == -EDEADLK && tried == self) /* ours, through another view; or the dead one's id is ours now */
		rc = recorded_dead(view, tried);
	if (rc != 0)
		return rc < 0 ? rc : take_over(view, id, self, tried);
	return answer == -EDEADLK || answer == -ENOSYS ? answer : -EAGAIN;
}

static int recover(struct ipk_sync *view, uint32_t id, uint32_t self)
{
	int rc = take_free(view, id, self);
	uint32_t tried = word_of(view) & TID;

	if (rc == -EAGAIN)
		rc = answered(view, id, self, tried, futex(&mutex_of(view)->word, FUTEX_TRYLOCK_PI, NULL));
	if (rc != -EAGAIN)
		return rc;
	rc = recorded_dead(view, tried); /* another thread may have its id */
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

/* --- the owner ----------------------------------------------------------------------------------------------------- */

int ipk_mutex_pi_release(struct ipk_sync *view)
{
	struct ipk_mutex_pi_shm *mutex = mutex_of(view);
	uint32_t depth;

	if (!ipk_mutex_pi_mine(view))
		return -EPERM;
	/* relaxed, all: the owner's own */
	depth = atomic_load_explicit(&mutex->depth, memory_order_relaxed);
	if (depth > 1) {
		atomic_store_explicit(&mutex->depth, depth - 1, memory_order_relaxed);
		return 0;
	}
	atomic_store_explicit(&view->held, 0, memory_order_relaxed);
	if (state_of(view) & DIED)
		atomic_store_explicit(&mutex->state, LOST, memory_order_relaxed);
	return give(view, ipk_thread_id());
}

int ipk_mutex_pi_undo(struct ipk_sync *view)
{
	/* relaxed: the owner's own */
	if (ipk_mutex_pi_mine(view) && atomic_load_explicit(&mutex_of(view)->depth, memory_order_relaxed) == 1 &&
	    state_of(view) & DIED)
		return ipk_mutex_pi_abandon(view) ? 0 : -EPERM;
	return ipk_mutex_pi_release(view);
}

int ipk_mutex_pi_consistent(struct ipk_sync *view)
{
	if (!ipk_mutex_pi_mine(view))
		return -EPERM;
	/* relaxed: the release that follows orders it */
	atomic_fetch_and_explicit(&mutex_of(view)->state, ~DIED, memory_order_relaxed);
	return 0;
}

int ipk_mutex_pi_abandon(struct ipk_sync *view)
{
	struct ipk_mutex_pi_shm *mutex = mutex_of(view);
	uint32_t id = ipk_member_id(view->member);
	/* relaxed: as in mutex.c; one closer gets it */
	uint32_t held = atomic_exchange_explicit(&view->held, 0, memory_order_relaxed);
	uint32_t was;

	/* relaxed, all: ours as long as record and word say so; in a forked child our id is another one, or none */
	if (!held || atomic_load_explicit(&mutex->owner, memory_order_relaxed) != held ||
	    atomic_load_explicit(&mutex->holder.id, memory_order_relaxed) != id)
		return 0;
	if (held == ipk_thread_id()) {
		if ((word_of(view) & TID) != held)
			return 0;
		atomic_fetch_or_explicit(&mutex->state, DIED, memory_order_relaxed);
		IPK_KILLPOINT("mutex_pi.abandon.told");
		return give(view, held) == 0;
	}
	/* the kernel lets nobody unlock for another thread: those who wait in it come back when their slice is over */
	was = atomic_load_explicit(&mutex->word, memory_order_relaxed);
	do {
		if ((was & TID) != held)
			return 0;
		/* release: pi.handover, of what is ours */
	} while (!atomic_compare_exchange_weak_explicit(&mutex->word, &was, OWNER_DIED, memory_order_release, memory_order_relaxed));
	return 1;
}

int ipk_mutex_pi_mine(const struct ipk_sync *view)
{
	const struct ipk_mutex_pi_shm *mutex = mutex_of(view);
	uint32_t self = ipk_thread_id();

	/* relaxed, all: what we wrote ourselves, or else it is not ours */
	return (atomic_load_explicit(&mutex->word, memory_order_relaxed) & TID) == self &&
	       atomic_load_explicit(&mutex->owner, memory_order_relaxed) == self &&
	       atomic_load_explicit(&mutex->holder.id, memory_order_relaxed) == ipk_member_id(view->member);
}

int ipk_mutex_pi_owner(const struct ipk_sync *view, struct ipk_mutex_owner *owner)
{
	const struct ipk_mutex_pi_shm *mutex = mutex_of(view);

	memset(owner, 0, sizeof(*owner));
	owner->word = word_of(view);
	owner->thread = owner->word & TID;
	/* acquire: pi.recorded */
	if (owner->thread == 0 || atomic_load_explicit(&mutex->owner, memory_order_acquire) != owner->thread)
		return owner->thread != 0;
	/* relaxed, all: a snapshot for people */
	owner->pid = atomic_load_explicit(&mutex->holder.pid, memory_order_relaxed);
	owner->start_time = atomic_load_explicit(&mutex->holder.start_time, memory_order_relaxed);
	owner->pid_namespace = atomic_load_explicit(&mutex->holder.pid_namespace, memory_order_relaxed);
	owner->depth = atomic_load_explicit(&mutex->depth, memory_order_relaxed);
	return 1;
}

int ipk_mutex_pi_lives(const struct ipk_sync *view, uint32_t word)
{
	int rc = recorded_dead(view, word & TID);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	return (word & TID) != 0 && !(syscall(SYS_tkill, word & TID, 0) < 0 && errno == ESRCH);
}
