#include "ipckit/rwlock.h"

#include <errno.h>
#include <stdbool.h>

#include "ipckit/futex.h"
#include "ipckit/thread.h"
#include "rwlock_gate.h"

#define LOOKS_PER_CLOCK 64 /* the clock costs as much as a few looks */

/* Whether readers wait there since an earlier phase. */
static bool elder(const struct ipk_rwlock_shm *rw, const struct ipk_holder_entry_shm *entry)
{
	uint32_t since;

	/* seq_cst: after asleep; acquire, with it: `since` is of this wait, or of an earlier one */
	if (atomic_load_explicit(&entry->waiting, memory_order_seq_cst) == 0)
		return false;
	/* relaxed, all: see above, and the lock's owner reads its own phase. A buried entry has no word */
	since = atomic_load_explicit(&entry->since, memory_order_relaxed);
	return since != IPK_RWLOCK_PASSED && since != atomic_load_explicit(&rw->phase, memory_order_relaxed) &&
	       atomic_load_explicit(&entry->word, memory_order_relaxed) != 0;
}

/* Whether readers that wait since an earlier phase are still outside, though the gate is open, and are still to come. */
static bool elders_outside(const struct ipk_sync *view, const struct ipk_rwlock_shm *rw)
{
	uint32_t used = ipk_holders_used(view);
	uint64_t opened;

	for (uint32_t i = 0; i < used; i++) {
		struct ipk_holder_entry_shm *entry = ipk_holders_entry(view, i);

		if (!elder(rw, entry))
			continue;
		/* relaxed, both: as in ipk_rwlock_open; one that begins anew at this moment waits like one that has just come */
		opened = atomic_load_explicit(&rw->opened, memory_order_relaxed);
		if ((uint64_t)ipk_monotonic_ns() - opened < IPK_SLICE_NS)
			return true;
		atomic_store_explicit(&entry->since, IPK_RWLOCK_PASSED, memory_order_relaxed);
	}
	return false;
}

static void bury_elders(struct ipk_sync *view, const struct ipk_rwlock_shm *rw)
{
	uint32_t used = ipk_holders_used(view);

	for (uint32_t i = 0; i < used; i++)
		if (elder(rw, ipk_holders_entry(view, i)))
			ipk_holders_bury_one(view, ipk_holders_entry(view, i));
}

/* Whether somebody is in the way of the lock's owner, at either of its two stages. */
static bool hindered(const struct ipk_sync *view, const struct ipk_rwlock_shm *rw)
{
	return ipk_rwlock_gate(rw) & IPK_RWLOCK_WRITER ? ipk_holders_sum(view) != 0 : elders_outside(view, rw);
}

/* The lock has just become ours. */
static void begin(struct ipk_rwlock_shm *rw)
{
	IPK_KILLPOINT("rwlock.write.locked");
	/* relaxed, both: the owner's own; a dead one's, as the kernel orders it */
	atomic_store_explicit(&rw->lock.depth, 0, memory_order_relaxed);
	if (ipk_rwlock_died(rw) && !atomic_load_explicit(&rw->changing, memory_order_relaxed))
		ipk_lock_consistent(&rw->lock); /* it had changed nothing, or had finished */
}

static int grant(struct ipk_sync *view, struct ipk_rwlock_shm *rw)
{
	/* relaxed, all: the owner's own, or the view's, as Mutex has it */
	atomic_store_explicit(&rw->changing, 1, memory_order_relaxed);
	atomic_store_explicit(&rw->lock.depth, 1, memory_order_relaxed);
	atomic_store_explicit(&view->held, ipk_thread_id(), memory_order_relaxed);
	IPK_KILLPOINT("rwlock.write.granted");
	return ipk_rwlock_died(rw) ? -EOWNERDEAD : 0;
}

/* Open the gate, if it is shut, and give the lock back. We have disowned it. next: what others find. */
static int give_back(struct ipk_sync *view, struct ipk_rwlock_shm *rw, uint32_t next)
{
	if (ipk_rwlock_gate(rw) & IPK_RWLOCK_WRITER)
		ipk_rwlock_open(rw, next);
	return ipk_lock_give(&rw->lock, view->member, next);
}

/* The same for the thread that owns the lock. whole: nothing that the lock protects is half-changed. Returns 0; -EPERM, and
 * has touched nothing, if another thread has abandoned it: it may be the next owner's. */
static int leave(struct ipk_sync *view, struct ipk_rwlock_shm *rw, bool whole, uint32_t next)
{
	int rc = ipk_lock_disown(&rw->lock, view->member, ipk_thread_id());

	if (rc < 0)
		return rc;
	/* relaxed, both: the view's, and the owner's own: an heir finds what the dead one stored */
	atomic_store_explicit(&view->held, 0, memory_order_relaxed);
	if (whole)
		atomic_store_explicit(&rw->changing, 0, memory_order_relaxed);
	IPK_KILLPOINT("rwlock.write.done");
	return give_back(view, rw, next);
}

/* Leave without having changed anything: whoever comes next is told what we were. */
static int leave_as_found(struct ipk_sync *view, struct ipk_rwlock_shm *rw)
{
	bool died = ipk_rwlock_died(rw);

	return leave(view, rw, !died, died ? IPK_LOCK_DIED : 0);
}

int ipk_rwlock_write_try(struct ipk_sync *view)
{
	struct ipk_rwlock_shm *rw = ipk_rwlock_of(view);
	int rc = ipk_lock_try(&rw->lock, view->member);

	if (rc == -EAGAIN && ipk_lock_mine(&rw->lock, view->member))
		return -EDEADLK;
	if (rc != 0 && rc != -EOWNERDEAD)
		return rc;
	begin(rw);
	if (!elders_outside(view, rw) && ipk_holders_sum(view) == 0) {
		ipk_rwlock_shut(rw, ipk_member_id(view->member));
		if (ipk_holders_sum(view) == 0)
			return grant(view, rw);
	}
	leave_as_found(view, rw);
	return -EAGAIN;
}

static bool spin_for_readers(struct ipk_sync *view, const struct ipk_rwlock_shm *rw, int64_t now, int64_t until)
{
	int64_t budget = ipk_spin_budget(&view->spin, ipk_spin_cpu(), IPK_CPU_UNKNOWN);
	int64_t end = budget < until - now ? now + budget : until;

	if (budget == 0)
		return false;
	do {
		for (int look = 0; look < LOOKS_PER_CLOCK; look++) {
			if (!hindered(view, rw)) {
				ipk_spin_hit(&view->spin);
				return true;
			}
			ipk_relax();
		}
	} while (ipk_monotonic_ns() < end);
	ipk_spin_missed(&view->spin);
	return false;
}

/* Sleep until a reader has left, or is in. Returns as ipk_futex_wait. */
static int sleep_for_readers(struct ipk_sync *view, struct ipk_rwlock_shm *rw, int64_t until)
{
	/* seq_cst: before the look at those for whom we sleep */
	atomic_store_explicit(&rw->asleep, 1, memory_order_seq_cst);
	IPK_KILLPOINT("rwlock.write.announced");
	if (!hindered(view, rw)) {
		/* relaxed: at worst it costs a needless wake-up */
		atomic_store_explicit(&rw->asleep, 0, memory_order_relaxed);
		return -EAGAIN;
	}
	return ipk_futex_wait((uint32_t *)&rw->asleep, 1, until, IPK_FUTEX_ANY);
}

/* The lock's owner: wait until nobody hinders it any more. Returns 0; -EAGAIN at `until`; -EINTR. */
static int wait_for_readers(struct ipk_sync *view, struct ipk_rwlock_shm *rw, int64_t until)
{
	int64_t now = ipk_monotonic_ns();

	if (!hindered(view, rw) || (now < until && spin_for_readers(view, rw, now, until)))
		return 0;
	while ((now = ipk_monotonic_ns()) < until) {
		int slept = sleep_for_readers(view, rw, until);

		if (!hindered(view, rw))
			return 0;
		if (slept == -EINTR)
			return -EINTR;
	}
	return -EAGAIN;
}

/* The lock's owner: get on. Returns as ipk_rwlock_write_wait, but -EAGAIN for -ETIMEDOUT. */
static int wait_to_write(struct ipk_sync *view, struct ipk_rwlock_shm *rw, int64_t until)
{
	uint32_t id = ipk_member_id(view->member);
	int rc;

	if ((ipk_rwlock_gate(rw) & IPK_RWLOCK_WRITER) == 0 && elders_outside(view, rw)) {
		bury_elders(view, rw);
		rc = wait_for_readers(view, rw, until);
		if (rc < 0)
			return rc;
	}
	if ((ipk_rwlock_gate(rw) & IPK_RWLOCK_WRITER) != id)
		ipk_rwlock_shut(rw, id);
	rc = wait_for_readers(view, rw, until);
	if (rc == -EAGAIN) {
		/* nothing happened for a slice: look around */
		rc = ipk_member_still_ours(view->member);
		if (rc < 0)
			return rc == -ECHILD ? -EAGAIN : rc;
		ipk_holders_bury(view);
		rc = ipk_holders_sum(view) == 0 ? 0 : -EAGAIN;
	}
	return rc == 0 ? grant(view, rw) : rc;
}

int ipk_rwlock_write_wait(struct ipk_sync *view, int64_t deadline_ns)
{
	struct ipk_rwlock_shm *rw = ipk_rwlock_of(view);
	int64_t now = ipk_monotonic_ns();
	int64_t until = deadline_ns - now < IPK_SLICE_NS ? deadline_ns : now + IPK_SLICE_NS;
	int rc;

	if (!ipk_lock_mine(&rw->lock, view->member)) {
		rc = ipk_lock_wait(&rw->lock, view->member, &view->spin, deadline_ns);
		if (rc != 0 && rc != -EOWNERDEAD)
			return rc;
		begin(rw);
	} else if (atomic_load_explicit(&rw->lock.depth, memory_order_relaxed) != 0) { /* relaxed: the owner's own */
		return -EDEADLK;
	}
	rc = wait_to_write(view, rw, until);
	if (rc == 0 || rc == -EOWNERDEAD || rc == -EINTR || (rc == -EAGAIN && ipk_monotonic_ns() < deadline_ns))
		return rc;
	leave_as_found(view, rw);
	return rc == -EAGAIN ? -ETIMEDOUT : rc;
}

int ipk_rwlock_write_undo(struct ipk_sync *view)
{
	struct ipk_rwlock_shm *rw = ipk_rwlock_of(view);

	return ipk_lock_mine(&rw->lock, view->member) && leave_as_found(view, rw) == 0;
}

static bool writes(const struct ipk_sync *view, const struct ipk_rwlock_shm *rw)
{
	/* relaxed: the owner's own */
	return ipk_lock_mine(&rw->lock, view->member) && atomic_load_explicit(&rw->lock.depth, memory_order_relaxed) != 0;
}

int ipk_rwlock_write_release(struct ipk_sync *view)
{
	struct ipk_rwlock_shm *rw = ipk_rwlock_of(view);

	bool died;

	if (!writes(view, rw))
		return -EPERM;
	died = ipk_rwlock_died(rw);
	return leave(view, rw, !died, died ? IPK_LOCK_LOST : 0);
}

int ipk_rwlock_downgrade(struct ipk_sync *view)
{
	struct ipk_rwlock_shm *rw = ipk_rwlock_of(view);
	struct ipk_holder_entry_shm *entry;
	int rc;

	if (!writes(view, rw))
		return -EPERM;
	rc = ipk_holders_claim(view, &entry);
	if (rc == 0)
		rc = ipk_holders_add(view, entry);
	if (rc < 0)
		return rc;
	IPK_KILLPOINT("rwlock.downgrade.counted");
	rc = leave_as_found(view, rw);
	if (rc < 0 && ipk_holders_sub(view, entry, 1) == 0)
		ipk_rwlock_wake_writer(rw);
	return rc;
}

int ipk_rwlock_consistent(struct ipk_sync *view)
{
	struct ipk_rwlock_shm *rw = ipk_rwlock_of(view);

	if (!writes(view, rw))
		return -EPERM;
	ipk_lock_consistent(&rw->lock);
	/* relaxed: what it says is ordered by the opening that follows */
	atomic_fetch_and_explicit(&rw->gate, ~IPK_LOCK_DIED, memory_order_relaxed);
	return 0;
}

int ipk_rwlock_abandon(struct ipk_sync *view)
{
	struct ipk_rwlock_shm *rw = ipk_rwlock_of(view);
	/* relaxed: as in Mutex; one closer gets it */
	uint32_t held = atomic_exchange_explicit(&view->held, 0, memory_order_relaxed);
	int wrote = held && ipk_lock_disown(&rw->lock, view->member, held) == 0;

	if (wrote)
		give_back(view, rw, IPK_LOCK_DIED);
	if (ipk_holders_drop(view) != 0)
		ipk_rwlock_wake_writer(rw);
	return wrote;
}
