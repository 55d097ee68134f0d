#include "ipckit/mutex.h"

#include <errno.h>
#include <string.h>

#include "ipckit/mutex_pi.h"
#include "ipckit/thread.h"

static struct ipk_lock_shm *lock_of(const struct ipk_sync *view)
{
	return &((struct ipk_mutex_shm *)(void *)view->object)->lock;
}

/* Whether it is of the other sort, which mutex_pi.c has. */
static int inherits(const struct ipk_sync *view)
{
	return (view->options & IPK_MUTEX_INHERITS) != 0;
}

/* Remember that the lock came through this view. */
static int taken(struct ipk_sync *view, int rc)
{
	if (rc == 0 || rc == -EOWNERDEAD)
		/* relaxed, both: our own word, which says our thread; read by whoever releases, who is ordered by the lock, or closes,
		 * who looks at the word too */
		atomic_store_explicit(&view->held,
				      (uint32_t)atomic_load_explicit(&lock_of(view)->thread, memory_order_relaxed),
				      memory_order_relaxed);
	return rc;
}

/* Whether the calling thread has it already, where that matters. */
static int ours(struct ipk_sync *view)
{
	return !(view->options & IPK_MUTEX_ANYONE) && ipk_mutex_mine(view);
}

/* The calling thread has it already. */
static int again(struct ipk_sync *view)
{
	struct ipk_lock_shm *lock = lock_of(view);
	/* relaxed, both: the owner's own */
	uint32_t depth = atomic_load_explicit(&lock->depth, memory_order_relaxed);

	if (!(view->options & IPK_MUTEX_RECURSIVE))
		return -EDEADLK;
	if (depth == UINT32_MAX)
		return -EOVERFLOW;
	atomic_store_explicit(&lock->depth, depth + 1, memory_order_relaxed);
	return 0;
}

int ipk_mutex_try(struct ipk_sync *view)
{
	int rc;

	if (inherits(view))
		return ipk_mutex_pi_try(view);
	rc = taken(view, ipk_lock_try(lock_of(view), view->member));
	return rc == -EAGAIN && ours(view) ? again(view) : rc;
}

int ipk_mutex_recover(struct ipk_sync *view)
{
	if (inherits(view))
		return ipk_mutex_pi_recover(view);
	if (ours(view))
		return again(view);
	return taken(view, ipk_lock_recover(lock_of(view), view->member));
}

int ipk_mutex_wait(struct ipk_sync *view, int64_t deadline_ns)
{
	if (inherits(view))
		return ipk_mutex_pi_wait(view, deadline_ns);
	if (ours(view))
		return again(view);
	return taken(view, ipk_lock_wait(lock_of(view), view->member, &view->spin, deadline_ns));
}

int ipk_mutex_wait_taking(struct ipk_sync *view, int64_t deadline_ns, uint32_t *taken)
{
	int rc = ipk_mutex_wait(view, deadline_ns);

	if (rc == 0 || rc == -EOWNERDEAD)
		*taken = 1;
	return rc;
}

/* What ipk_lock_give is to know of a waiter that ipk_mutex_alone was asked for. We have disowned the lock. */
static uint32_t moved(struct ipk_sync *view)
{
	/* relaxed, both: as `held` */
	if (!atomic_load_explicit(&view->moved, memory_order_relaxed))
		return 0;
	atomic_store_explicit(&view->moved, 0, memory_order_relaxed);
	return IPK_LOCK_WAITERS;
}

int ipk_mutex_release(struct ipk_sync *view)
{
	struct ipk_lock_shm *lock = lock_of(view);
	uint32_t depth, word;
	int rc;

	if (inherits(view))
		return ipk_mutex_pi_release(view);
	if (view->options & IPK_MUTEX_ANYONE) {
		/* relaxed: as in taken */
		atomic_store_explicit(&view->held, 0, memory_order_relaxed);
		return ipk_lock_release_any(lock, view->member);
	}
	/* relaxed, all: the owner's own */
	if (view->options & IPK_MUTEX_RECURSIVE) {
		if (!ipk_mutex_mine(view))
			return -EPERM;
		depth = atomic_load_explicit(&lock->depth, memory_order_relaxed);
		if (depth > 1) {
			atomic_store_explicit(&lock->depth, depth - 1, memory_order_relaxed);
			return 0;
		}
	}
	rc = ipk_lock_disown(lock, view->member, ipk_thread_id());
	if (rc < 0)
		return rc;
	/* before another thread may take it through this view */
	atomic_store_explicit(&view->held, 0, memory_order_relaxed);
	word = atomic_load_explicit(&lock->word, memory_order_relaxed);
	return ipk_lock_give(lock, view->member, (word & IPK_LOCK_DIED ? IPK_LOCK_LOST : 0) | moved(view));
}

int ipk_mutex_alone(struct ipk_sync *view)
{
	/* relaxed, both: the owner's own; a waiter that sets the flag after this is told of by it */
	if (view->options & (IPK_MUTEX_ANYONE | IPK_MUTEX_INHERITS) ||
	    atomic_load_explicit(&view->held, memory_order_relaxed) != ipk_thread_id() ||
	    atomic_load_explicit(&lock_of(view)->word, memory_order_relaxed) & IPK_LOCK_WAITERS)
		return 0;
	/* relaxed: as `held` */
	return !atomic_exchange_explicit(&view->moved, 1, memory_order_relaxed);
}

int ipk_mutex_consistent(struct ipk_sync *view)
{
	if (inherits(view))
		return ipk_mutex_pi_consistent(view);
	if (!ipk_mutex_mine(view))
		return -EPERM;
	ipk_lock_consistent(lock_of(view));
	return 0;
}

int ipk_mutex_abandon(struct ipk_sync *view)
{
	/* relaxed: as in taken; one closer gets it */
	uint32_t held;

	if (inherits(view))
		return ipk_mutex_pi_abandon(view);
	held = atomic_exchange_explicit(&view->held, 0, memory_order_relaxed);
	/* in a forked child our id is another one, or none */
	return held && ipk_lock_disown(lock_of(view), view->member, held) == 0 &&
	       ipk_lock_give(lock_of(view), view->member, IPK_LOCK_DIED | moved(view)) == 0;
}

int ipk_mutex_undo(struct ipk_sync *view)
{
	const struct ipk_lock_shm *lock = lock_of(view);

	if (inherits(view))
		return ipk_mutex_pi_undo(view);
	if (!ipk_mutex_mine(view))
		return -EPERM; /* abandoned meanwhile: another one's by now, which a mutex for anyone would give back */
	/* relaxed, both: the owner's own */
	if (atomic_load_explicit(&lock->depth, memory_order_relaxed) == 1 &&
	    (atomic_load_explicit(&lock->word, memory_order_relaxed) & IPK_LOCK_DIED))
		return ipk_mutex_abandon(view) ? 0 : -EPERM;
	return ipk_mutex_release(view);
}

int ipk_mutex_mine(struct ipk_sync *view)
{
	if (inherits(view))
		return ipk_mutex_pi_mine(view);
	return ipk_lock_mine(lock_of(view), view->member);
}

int ipk_mutex_owner(const struct ipk_sync *view, struct ipk_mutex_owner *owner)
{
	const struct ipk_lock_shm *lock = lock_of(view);
	uint64_t thread;
	uint32_t id;

	if (inherits(view))
		return ipk_mutex_pi_owner(view, owner);
	memset(owner, 0, sizeof(*owner));
	/* relaxed, all but one: a snapshot for people */
	owner->word = atomic_load_explicit(&lock->word, memory_order_relaxed);
	id = owner->word & IPK_MEMBER_ID_MASK;
	/* acquire: member.recorded */
	if (id == 0 || atomic_load_explicit(&lock->holder.id, memory_order_acquire) != id)
		return id != 0;
	owner->pid = atomic_load_explicit(&lock->holder.pid, memory_order_relaxed);
	owner->start_time = atomic_load_explicit(&lock->holder.start_time, memory_order_relaxed);
	owner->pid_namespace = atomic_load_explicit(&lock->holder.pid_namespace, memory_order_relaxed);
	thread = atomic_load_explicit(&lock->thread, memory_order_relaxed);
	owner->thread = thread >> 32 == id ? (uint32_t)thread : 0;
	owner->depth = atomic_load_explicit(&lock->depth, memory_order_relaxed);
	return 1;
}

int ipk_mutex_lives(const struct ipk_sync *view, uint32_t word)
{
	if (inherits(view))
		return ipk_mutex_pi_lives(view, word);
	return ipk_member_alive(view->member, word & IPK_MEMBER_ID_MASK, &lock_of(view)->holder);
}
