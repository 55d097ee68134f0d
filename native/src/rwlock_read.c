#include "ipckit/rwlock.h"

#include <errno.h>
#include <stdbool.h>

#include "ipckit/futex.h"
#include "rwlock_gate.h"

#define LOOKS_PER_CLOCK 64 /* the clock costs as much as a few looks */

static int count_less(struct ipk_sync *view, struct ipk_rwlock_shm *rw, struct ipk_holder_entry_shm *entry)
{
	int64_t left = ipk_holders_sub(view, entry, 1);

	IPK_KILLPOINT("rwlock.read.less");
	if (left == 0)
		ipk_rwlock_wake_writer(rw);
	return left < 0 ? (int)left : 0;
}

/* Returns as ipk_rwlock_read_try. */
static int enter(struct ipk_sync *view, struct ipk_rwlock_shm *rw, struct ipk_holder_entry_shm *entry)
{
	int rc = ipk_holders_add(view, entry);
	uint32_t gate;

	if (rc < 0)
		return rc;
	IPK_KILLPOINT("rwlock.read.counted");
	/* seq_cst: after the count; rwlock.open */
	gate = atomic_load_explicit(&rw->gate, memory_order_seq_cst);
	if (!(gate & (IPK_RWLOCK_WRITER | IPK_LOCK_LOST)))
		return gate & IPK_LOCK_DIED ? -EOWNERDEAD : 0;
	count_less(view, rw, entry);
	return gate & IPK_LOCK_LOST ? -ENOTRECOVERABLE : -EAGAIN;
}

/* The same, without a count that would wake the writer for nothing. */
static int enter_if_open(struct ipk_sync *view, struct ipk_rwlock_shm *rw, struct ipk_holder_entry_shm *entry)
{
	return ipk_rwlock_gate(rw) & IPK_RWLOCK_WRITER ? -EAGAIN : enter(view, rw, entry);
}

int ipk_rwlock_read_try(struct ipk_sync *view)
{
	struct ipk_holder_entry_shm *entry = ipk_holders_own(view);
	int rc = entry ? 0 : ipk_holders_claim(view, &entry);

	return rc < 0 ? rc : enter(view, ipk_rwlock_of(view), entry);
}

static bool spin_for_gate(struct ipk_sync *view, struct ipk_rwlock_shm *rw, int64_t now, int64_t until)
{
	/* relaxed: a hint */
	uint32_t writer_cpu = atomic_load_explicit(&rw->lock.cpu, memory_order_relaxed) - 1;
	int64_t budget = ipk_spin_budget(&view->spin, ipk_spin_cpu(), writer_cpu);
	int64_t end = budget < until - now ? now + budget : until;

	if (budget == 0)
		return false;
	do {
		for (int look = 0; look < LOOKS_PER_CLOCK; look++) {
			if (!(ipk_rwlock_gate(rw) & IPK_RWLOCK_WRITER)) {
				ipk_spin_hit(&view->spin);
				return true;
			}
			ipk_relax();
		}
	} while (ipk_monotonic_ns() < end);
	ipk_spin_missed(&view->spin);
	return false;
}

/* Sleep until somebody opens the gate. Returns as ipk_futex_wait. */
static int sleep_at_gate(struct ipk_rwlock_shm *rw, int64_t until)
{
	uint32_t gate = ipk_rwlock_gate(rw);

	while (!(gate & IPK_LOCK_WAITERS)) {
		if (!(gate & IPK_RWLOCK_WRITER))
			return -EAGAIN;
		/* relaxed, both: futex(2) compares the gate again, and enter orders what we do then */
		if (atomic_compare_exchange_strong_explicit(&rw->gate, &gate, gate | IPK_LOCK_WAITERS, memory_order_relaxed,
							    memory_order_relaxed))
			gate |= IPK_LOCK_WAITERS;
	}
	IPK_KILLPOINT("rwlock.read.announced");
	return gate & IPK_RWLOCK_WRITER ? ipk_futex_wait((uint32_t *)&rw->gate, gate, until, IPK_FUTEX_ANY) : -EAGAIN;
}

/* While we are known to wait. Returns as ipk_rwlock_read_wait, but -EAGAIN for -ETIMEDOUT. */
static int wait_to_read(struct ipk_sync *view, struct ipk_rwlock_shm *rw, struct ipk_holder_entry_shm *entry, int64_t now,
			int64_t until)
{
	int rc = enter_if_open(view, rw, entry);

	if (rc == -EAGAIN && now < until && spin_for_gate(view, rw, now, until))
		rc = enter(view, rw, entry);
	while (rc == -EAGAIN && now < until) {
		int slept = sleep_at_gate(rw, until);

		rc = enter_if_open(view, rw, entry);
		if (slept == -EINTR)
			return rc == -EAGAIN ? -EINTR : rc;
		now = ipk_monotonic_ns();
	}
	if (rc != -EAGAIN)
		return rc;
	/* nothing happened for a slice: look around */
	rc = ipk_member_still_ours(view->member);
	if (rc < 0)
		return rc == -ECHILD ? -EAGAIN : rc; /* a signal handler forked inside this call */
	rc = ipk_rwlock_open_for_dead(view, rw);
	return rc < 0 ? rc : enter_if_open(view, rw, entry);
}

int ipk_rwlock_read_wait(struct ipk_sync *view, int64_t deadline_ns, uint32_t *taken)
{
	struct ipk_rwlock_shm *rw = ipk_rwlock_of(view);
	struct ipk_holder_entry_shm *entry;
	int64_t now = ipk_monotonic_ns();
	int64_t until = deadline_ns - now < IPK_SLICE_NS ? deadline_ns : now + IPK_SLICE_NS;
	int rc = ipk_holders_claim(view, &entry);

	if (rc < 0)
		return rc;
	if (ipk_lock_mine(&rw->lock, view->member))
		return -EDEADLK;
	/* relaxed, all: a writer looks at it after it has seen `waiting`. Two threads that begin at once may both store it */
	if (atomic_load_explicit(&entry->waiting, memory_order_relaxed) == 0)
		atomic_store_explicit(&entry->since, atomic_load_explicit(&rw->phase, memory_order_relaxed),
				      memory_order_relaxed);
	/* release: pairs with `elder` */
	atomic_fetch_add_explicit(&entry->waiting, 1, memory_order_release);
	rc = wait_to_read(view, rw, entry, now, until);
	*taken = rc == 0 || rc == -EOWNERDEAD;
	/* seq_cst: before the look at asleep */
	if (atomic_fetch_sub_explicit(&entry->waiting, 1, memory_order_seq_cst) == 1)
		ipk_rwlock_wake_writer(rw);
	return rc == -EAGAIN && ipk_monotonic_ns() >= deadline_ns ? -ETIMEDOUT : rc;
}

int ipk_rwlock_read_release(struct ipk_sync *view)
{
	struct ipk_holder_entry_shm *entry = ipk_holders_own(view);

	return entry ? count_less(view, ipk_rwlock_of(view), entry) : -EPERM;
}
