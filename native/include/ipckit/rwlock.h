/* Many readers or one writer, in turns, and no death of any of them keeps the others out.
 *
 *   0        64             128                                  192       256
 *   | header | writers' lock | gate, phase, asleep, changing, ... | readers: holders.h ...
 *
 * Readers: each handle has an entry in the table of readers, and counts its reads there. To begin, a reader counts
 * itself, and then looks at the gate. Open: it reads. Shut: it takes its count back, and sleeps on the gate.
 *
 * Writers: whoever has the lock (lock.h) puts its id into the gate, and then waits until nothing is counted any more.
 *
 *   gate  31      30    29     28  27       0
 *        | waiters | died | lost | 0 | writer |
 *
 *   waiters  readers may sleep on the gate; whoever opens it wakes them all
 *   died     a writer died amid a change, and no writer has put that right yet: readers are told
 *   lost     one that had been told released without saying that all is consistent: nobody gets in any more
 *   writer   who has shut it, 0: open. Always the lock's owner, or a dead one
 *
 * Turns. As long as the gate is shut no new reader gets in, so readers cannot keep a writer waiting longer than those
 * take that were in. Each time it opens, the phase counts one up; a writer that finds readers which began to wait in an
 * earlier phase leaves the gate open until they are in. So writers cannot keep readers out either: who waits while one
 * writes gets in before the next one writes. One that has not come in a slice after the opening is stopped, or in its
 * process's other affairs: it is passed over, once and for all (since = IPK_RWLOCK_PASSED), until it begins to wait anew.
 * Each slice is a wait of its own: one that is just between two of them at the opening counts as one that comes later.
 *
 * Death. A reader's count goes with it: the writer that waits for it asks the kernel after a slice, and at once where
 * it does not wait. A writer's lock is inherited (lock.h); a reader that waits for a dead writer opens its gate.
 * `changing` tells a writer that died with what it protects half-changed from one that died while it waited for
 * readers, or after it had finished: only of the first kind the others are told.
 *
 * Store-buffering, twice:
 *   reader: count++ (seq_cst), looks at the gate (seq_cst) | writer: shuts the gate (seq_cst), sums the counts (seq_cst)
 *   Whoever comes second in the one order of these four sees the other: no reader is in beside a writer.
 *   reader: count-- or waiting-- (seq_cst), looks at asleep (seq_cst) | writer: asleep = 1 (seq_cst), looks at both (seq_cst)
 *   In the same way: no writer sleeps while nobody is left to wake it.
 *
 * Sync points:
 *   rwlock.open   open exchanges gate (release), or a reader that opens it -> a look at the gate (seq_cst): what was written is read
 *   holders.count the reads are done -> the sum is 0: nobody reads what is written next
 *   lock.handover, lock.stolen: from one writer to the next
 */
#ifndef IPCKIT_RWLOCK_H
#define IPCKIT_RWLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "ipckit/holders.h"
#include "ipckit/lock.h"
#include "ipckit/mutex.h"
#include "ipckit/sync.h"

#define IPK_RWLOCK_PASSED UINT32_MAX /* no phase that a reader waits from, but for one in 2^32 */

struct ipk_rwlock_shm {
	struct ipk_sync_shm sync;
	struct ipk_lock_shm lock; /* depth: 1 while the owner writes, 0 while it waits for readers */
	_Atomic uint32_t gate;	  /* futex of readers */
	_Atomic uint32_t phase;	  /* how often the gate was opened */
	_Atomic uint32_t asleep;  /* futex of the lock's owner: 1 while it sleeps until readers have left, or are in */
	_Atomic uint32_t changing; /* 1 from when a writer is in until it says that all is well */
	_Atomic uint64_t opened;   /* when, CLOCK_MONOTONIC in ns */
	uint32_t reserved[10];
	struct ipk_holders_shm readers;
};
_Static_assert(offsetof(struct ipk_rwlock_shm, readers) == IPK_HOLDERS_OFFSET, "where holders.h looks for it");
_Static_assert(offsetof(struct ipk_rwlock_shm, lock) == offsetof(struct ipk_mutex_shm, lock),
	       "ipk_mutex_owner and ipk_mutex_lives tell who writes");

/* cffi: begin */

/* Read, if no writer is in the way. Does not block.
 *
 * Returns 0; -EOWNERDEAD: we read, and what we read may be half-changed; -EAGAIN if a writer is there; -EOVERFLOW;
 * -ENOTRECOVERABLE; -ENOSPC if the table of readers is full; -errno as ipk_member_join. */
int ipk_rwlock_read_try(struct ipk_sync *view);

/* Wait for it: spin, then sleep, for a slice or until the deadline; a deadline that has passed only has dead writers
 * looked for. *taken becomes 1 when we read. Blocks.
 *
 * Returns as ipk_rwlock_read_try, where -EAGAIN and -EINTR mean: look around and wait again; -EDEADLK if the calling thread
 * writes; -ETIMEDOUT. */
int ipk_rwlock_read_wait(struct ipk_sync *view, int64_t deadline_ns, uint32_t *taken);

/* Read no more. Does not block. Returns 0, -EPERM if nothing was read through this view. */
int ipk_rwlock_read_release(struct ipk_sync *view);

/* Write, if nobody is in the way. Does not block.
 *
 * Returns 0; -EOWNERDEAD: we write, and the last one died amid a change; -EAGAIN if somebody is there; -EDEADLK if the calling thread
 * writes, or waits for it; -ENOTRECOVERABLE; -errno as ipk_member_join. */
int ipk_rwlock_write_try(struct ipk_sync *view);

/* Wait for it, as ipk_rwlock_read_wait. After -EAGAIN or -EINTR the calling thread may keep readers out: it calls again, or
 * ipk_rwlock_write_undo. Blocks. */
int ipk_rwlock_write_wait(struct ipk_sync *view, int64_t deadline_ns);

/* Give up what ipk_rwlock_write_wait has achieved, whatever that is. Does not block. Returns 1 if there was something, else 0. */
int ipk_rwlock_write_undo(struct ipk_sync *view);

/* Write no more. With a death not marked as put right, the lock is lost. Does not block. Returns 0, -EPERM. */
int ipk_rwlock_write_release(struct ipk_sync *view);

/* Read instead of writing, with no writer between. With a death not marked as put right, others go on being told.
 * Does not block. Returns 0, -EPERM if the calling thread does not write, -ENOSPC and -EOVERFLOW: it still writes. */
int ipk_rwlock_downgrade(struct ipk_sync *view);

/* Say that what it protects is consistent again. Does not block. Returns 0, -EPERM if the calling thread does not write. */
int ipk_rwlock_consistent(struct ipk_sync *view);

/* Let go of all that was taken through this view, as if we had died. Returns 1 if it wrote, else 0. */
int ipk_rwlock_abandon(struct ipk_sync *view);

/* cffi: end */

#endif
