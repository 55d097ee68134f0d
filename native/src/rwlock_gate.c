#include "rwlock_gate.h"

#include "ipckit/futex.h"

void ipk_rwlock_shut(struct ipk_rwlock_shm *rw, uint32_t id)
{
	uint32_t gate = ipk_rwlock_gate(rw);
	uint32_t flags = id | (ipk_rwlock_died(rw) ? IPK_LOCK_DIED : 0);

	/* seq_cst: before the sum of the counts; relaxed: nothing is done with a failure but to try again */
	while (!atomic_compare_exchange_weak_explicit(&rw->gate, &gate, (gate & IPK_LOCK_WAITERS) | flags,
						      memory_order_seq_cst, memory_order_relaxed))
		continue;
	IPK_KILLPOINT("rwlock.write.shut");
}

static void wake_readers(struct ipk_rwlock_shm *rw, uint32_t gate)
{
	IPK_KILLPOINT("rwlock.open.opened");
	if (gate & IPK_LOCK_WAITERS)
		ipk_futex_wake((uint32_t *)&rw->gate, INT32_MAX, IPK_FUTEX_ANY);
}

void ipk_rwlock_open(struct ipk_rwlock_shm *rw, uint32_t next)
{
	/* relaxed, both: ordered by the lock, whose next owner reads them */
	atomic_fetch_add_explicit(&rw->phase, 1, memory_order_relaxed);
	atomic_store_explicit(&rw->opened, (uint64_t)ipk_monotonic_ns(), memory_order_relaxed);
	/* release: rwlock.open */
	wake_readers(rw, atomic_exchange_explicit(&rw->gate, next, memory_order_release));
}

int ipk_rwlock_open_for_dead(struct ipk_sync *view, struct ipk_rwlock_shm *rw)
{
	uint32_t gate = ipk_rwlock_gate(rw);
	uint32_t writer = gate & IPK_RWLOCK_WRITER;
	uint32_t next;
	int rc;

	if (!writer)
		return 0;
	rc = ipk_member_alive(view->member, writer, &rw->lock.holder);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	IPK_KILLPOINT("rwlock.read.dead");
	/* relaxed: the dead one's, as the kernel orders it; an heir writes it only after it has put its id into the gate */
	next = atomic_load_explicit(&rw->changing, memory_order_relaxed) ? IPK_LOCK_DIED : 0;
	/* relaxed, both: an heir that reads old values waits a little less for us */
	atomic_fetch_add_explicit(&rw->phase, 1, memory_order_relaxed);
	atomic_store_explicit(&rw->opened, (uint64_t)ipk_monotonic_ns(), memory_order_relaxed);
	do {
		if ((gate & IPK_RWLOCK_WRITER) != writer)
			return 0; /* another reader opened it, or an heir has it now */
		/* release: rwlock.open; relaxed: nothing is done with a failure but to try again */
	} while (!atomic_compare_exchange_weak_explicit(&rw->gate, &gate, next, memory_order_release, memory_order_relaxed));
	wake_readers(rw, gate);
	return 1;
}

void ipk_rwlock_wake_writer(struct ipk_rwlock_shm *rw)
{
	/* seq_cst: after what became 0; relaxed: whoever finds 1 wakes */
	if (atomic_load_explicit(&rw->asleep, memory_order_seq_cst) &&
	    atomic_exchange_explicit(&rw->asleep, 0, memory_order_relaxed))
		ipk_futex_wake((uint32_t *)&rw->asleep, 1, IPK_FUTEX_ANY);
}
