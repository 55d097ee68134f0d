#include "mutex_pi_parts.h"

#include <string.h>

#include "identity.h"
#include "ipckit/thread.h"

int ipk_mutex_pi_format(void *place)
{
	struct ipk_participant_info self;
	_Atomic uint32_t word = 0;
	int rc = pi_futex(&word, FUTEX_TRYLOCK_PI, NULL);

	if (rc == 0)
		rc = pi_futex(&word, FUTEX_UNLOCK_PI, NULL);
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

int ipk_mutex_pi_give(struct ipk_sync *view, uint32_t self)
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
		rc = pi_futex(word, FUTEX_UNLOCK_PI, NULL);
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

int ipk_mutex_pi_recorded_dead(const struct ipk_sync *view, uint32_t thread)
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
	return ipk_mutex_pi_give(view, ipk_thread_id());
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
		return ipk_mutex_pi_give(view, held) == 0;
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
	int rc = ipk_mutex_pi_recorded_dead(view, word & TID);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	return (word & TID) != 0 && !(syscall(SYS_tkill, word & TID, 0) < 0 && errno == ESRCH);
}
