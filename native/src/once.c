#include "ipckit/once.h"

#include <errno.h>

#include "ipckit/thread.h"

static struct ipk_lock_shm *lock_of(const struct ipk_sync *view)
{
	return &((struct ipk_once_shm *)(void *)view->object)->lock;
}

int ipk_once_done(const struct ipk_sync *view)
{
	/* acquire: once.done */
	return (atomic_load_explicit(&lock_of(view)->word, memory_order_acquire) & IPK_LOCK_LOST) != 0;
}

/* What the outcome of taking the lock means. */
static int begun(struct ipk_sync *view, int rc)
{
	if (rc == -ENOTRECOVERABLE)
		return ipk_once_done(view) ? -EALREADY : -EAGAIN; /* always so: the load is for its order */
	if (rc == -EOWNERDEAD) {
		ipk_lock_consistent(lock_of(view)); /* it was not done, which is all there is to know */
		rc = 0;
	}
	if (rc == 0)
		/* relaxed: read by the runner, or by whoever closes, who looks at the word too */
		atomic_store_explicit(&view->held, ipk_thread_id(), memory_order_relaxed);
	return rc;
}

int ipk_once_mine(struct ipk_sync *view)
{
	return !ipk_once_done(view) && ipk_lock_mine(lock_of(view), view->member);
}

int ipk_once_try(struct ipk_sync *view)
{
	int rc = begun(view, ipk_lock_try(lock_of(view), view->member));

	return rc == -EAGAIN && ipk_once_mine(view) ? -EDEADLK : rc;
}

int ipk_once_recover(struct ipk_sync *view)
{
	return ipk_once_mine(view) ? -EDEADLK : begun(view, ipk_lock_recover(lock_of(view), view->member));
}

int ipk_once_wait(struct ipk_sync *view, int64_t deadline_ns)
{
	if (ipk_once_mine(view))
		return -EDEADLK;
	return begun(view, ipk_lock_wait(lock_of(view), view->member, &view->spin, deadline_ns));
}

int ipk_once_complete(struct ipk_sync *view)
{
	struct ipk_lock_shm *lock = lock_of(view);

	if (!ipk_once_mine(view))
		return -EPERM;
	IPK_KILLPOINT("once.complete.begun");
	/* relaxed: the release that follows orders it; with this flag it leaves the lock lost, and wakes all */
	atomic_fetch_or_explicit(&lock->word, IPK_LOCK_DIED, memory_order_relaxed);
	IPK_KILLPOINT("once.complete.marked");
	/* relaxed: as in begun */
	atomic_store_explicit(&view->held, 0, memory_order_relaxed);
	return ipk_lock_release(lock, view->member);
}

int ipk_once_abandon(struct ipk_sync *view)
{
	if (!ipk_once_mine(view))
		return -EPERM;
	/* relaxed: as in begun */
	atomic_store_explicit(&view->held, 0, memory_order_relaxed);
	return ipk_lock_release(lock_of(view), view->member);
}

int ipk_once_close(struct ipk_sync *view)
{
	/* relaxed: as in begun; one closer gets it */
	uint32_t held = atomic_exchange_explicit(&view->held, 0, memory_order_relaxed);

	/* in a forked child our id is another one, or none */
	return held && ipk_lock_abandon_of(lock_of(view), view->member, held) == 0;
}
