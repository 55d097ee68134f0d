/* A barrier: so many parties wait until all of them have come, again and again; the death of one breaks it for all.
 *
 *   0        64      128      192
 *   | header | guard | line 0 | party 0 | party 1 | ... | party 2 * parties - 1
 *
 *   gate   31        2   1       0
 *         | generation | broken | sleepers |
 *
 *   sleepers  somebody may sleep on the word. Set before each sleep; whoever changes the generation with it set wakes all
 *   broken    nobody passes any more, until it is reset
 *
 * What is here changes under the guard (lock.h), but for the flag `sleepers` and a party that leaves. A party has an entry of the
 * table while it waits; which is told how the wait ended, whatever happens to the barrier before it has looked:
 *
 *   word  31  28  27       0
 *        | state | member id |
 *
 *   0 FREE      nobody's
 *   1 ARRIVED   waits
 *   2 RELEASED  all have come; it has not yet seen it
 *   3 BROKEN    the barrier was broken or reset; it has not yet seen it
 *   4 PAST      took part in the last generation, and has left
 *   5 GONE      has given up, and could not say so under the guard
 *
 * The table has twice as many entries as there are parties, so that those of a generation can arrive while those of the one before
 * have not yet looked. Where even that is not enough, they wait.
 *
 * A generation ends in one step for those who see it: `ending` says how, then every entry is told, then the gate changes. Who is
 * killed amid that has his successor in the guard do the rest. A sleeper whose slice is over asks the kernel whether those who have
 * ARRIVED live, and those of the generation before (PAST, or still RELEASED), without whom it might wait for ever; if not, it
 * breaks the barrier. Whoever closes the barrier is no longer PAST.
 *
 * Sync points:
 *   barrier.gate    end stores gate (release) -> wait loads it (acquire): the entries are told, and what the parties stored
 *                   before they arrived is seen, for the guard has passed through all their hands (lock.handover)
 *   barrier.party   arrive, end, leave store word (release) -> whoever looks loads it (acquire): the record is complete
 *
 * No store-buffering case: sleeper and releaser both use read-modify-writes of the gate, and futex(2) compares it.
 */
#ifndef IPCKIT_BARRIER_H
#define IPCKIT_BARRIER_H

#include <stdatomic.h>
#include <stdint.h>

#include "ipckit/lock.h"
#include "ipckit/sync.h"

/* cffi: types */
#define IPK_BARRIER_MAX_PARTIES 4096

/* How far one wait has come. The caller's, one for each wait. */
struct ipk_barrier_wait {
	uint32_t phase; /* IPK_BARRIER_... */
	uint32_t party; /* the entry */
	uint32_t index; /* how many had arrived before */
	uint32_t gate;  /* as it was then */
	uint32_t acts;  /* in: whether the last to arrive has something to do before all are released */
};

#define IPK_BARRIER_OUTSIDE 0
#define IPK_BARRIER_ARRIVED 1
#define IPK_BARRIER_ACTING 2 /* the last one, which has something to do first */
#define IPK_BARRIER_ACTED 3  /* has done it */
/* cffi: end */

struct ipk_barrier_party {
	_Atomic uint32_t word;
	uint32_t reserved;
	struct ipk_holder_shm holder;
};
_Static_assert(sizeof(struct ipk_barrier_party) == 32, "two of them to a line, and twice as many as parties");

struct ipk_barrier_shm {
	struct ipk_sync_shm sync;
	struct ipk_lock_shm guard;
	_Atomic uint32_t gate;    /* futex */
	_Atomic uint32_t arrived; /* under the guard */
	_Atomic uint32_t ending;  /* how the generation ends, while it does; 0: it does not; under the guard */
	_Atomic uint32_t cpu;     /* where the last one to arrive ran, plus 1; 0: none yet */
	uint32_t reserved[12];
	struct ipk_barrier_party table[];
};
_Static_assert(sizeof(struct ipk_barrier_shm) == 192, "the layout drawn above");

/* cffi: begin */

/* Arrive. Does not block.
 *
 * Returns 0: others are missing: ipk_barrier_wait; 1: the last one, and all are released; 2: the last one, and wait->acts: act,
 * then ipk_barrier_release; -EAGAIN: not now: ipk_barrier_wait does it; -ECANCELED: the barrier is broken; -errno as ipk_member_join. */
int ipk_barrier_arrive(struct ipk_sync *view, struct ipk_barrier_wait *wait);

/* Arrive, if that is still to do, or release, if that is; then wait for the others, for a slice or until the deadline. Blocks.
 *
 * Returns as ipk_barrier_arrive, where 0 means: all have come; -EAGAIN: the slice is over, or a signal handler ran: look around
 * and call again; -ECANCELED: the barrier was broken or reset; -ETIMEDOUT: the deadline has passed, and the barrier is
 * broken for it. */
int ipk_barrier_wait(struct ipk_sync *view, struct ipk_barrier_wait *wait, int64_t deadline_ns);

/* Release all, having acted. Does not block. Returns 1; -ECANCELED: it was broken meanwhile; -EAGAIN: ipk_barrier_wait does it. */
int ipk_barrier_release(struct ipk_sync *view, struct ipk_barrier_wait *wait);

/* Give up, and break the barrier for it, unless the wait is over. Does not block. */
void ipk_barrier_leave(struct ipk_sync *view, struct ipk_barrier_wait *wait);

/* End this generation: whoever waits is told that it is broken. reset: 1: all can arrive anew; 0: it stays broken.
 * Blocks for a slice at most. Returns 0; -EAGAIN: look around and call again; -errno as ipk_member_join. */
int ipk_barrier_end(struct ipk_sync *view, int reset);

/* We are no longer to be waited for. Does not block. */
void ipk_barrier_forget(struct ipk_sync *view);

/* Whether it is broken, and how many wait. Of some moment. Neither blocks. */
int ipk_barrier_broken(const struct ipk_sync *view);
uint32_t ipk_barrier_waiting(const struct ipk_sync *view);

/* cffi: end */

/* Who has arrived, and waits, by that entry of the table. Asks the kernel whether it lives. Does not block.
 * Returns 1 and *lives, 0 if nobody does, -ENOENT beyond the last entry. */
int ipk_barrier_party(const struct ipk_sync *view, uint32_t entry, struct ipk_participant_info *who, int32_t *lives);

#endif
