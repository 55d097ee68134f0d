/* A condition variable on a mutex (mutex.h): wait until somebody says that what the mutex protects has changed.
 *
 *   0        64        192      256
 *   | header | a mutex | line 0 | slot 0 | slot 1 | ...
 *
 * The mutex is an object of its own, with a header. Where the condition was made for a mutex that exists already, those bytes are zero,
 * and line 0 has that mutex's id.
 *
 * A waiter has a slot while it waits, and sleeps on the slot's own word:
 *
 *   word  31  28  27       0
 *        | state | member id |
 *
 *   0 FREE      nobody's
 *   1 CLAIMED   a waiter prepares; it has the mutex
 *   2 AWAKE     it waits, and is not asleep: a notifier need not wake it
 *   3 ASLEEP    it waits, and may sleep
 *   4 NOTIFIED  it was notified, and has not seen it yet
 *   5 MOVED     the same, and others may sleep on the mutex's word beside it
 *   6 PASSING   its waiter died with a notification, or gave up when it had just come: the member whose id it has now is handing
 *               that on
 *
 * States change by compare-and-exchange of the whole word, so each is about one waiter, and says whose it is:
 *
 *   waiter    FREE -> CLAIMED -> AWAKE -> ASLEEP;  NOTIFIED, MOVED -> FREE;  AWAKE, ASLEEP -> FREE when its time is up, or it
 *             gives up;  NOTIFIED, MOVED -> PASSING when it gives up
 *   notifier  AWAKE -> NOTIFIED, ASLEEP -> NOTIFIED or MOVED, with the mutex, for the oldest waiters by their tickets
 *   anybody   CLAIMED, AWAKE, ASLEEP of a dead member -> FREE;  NOTIFIED, MOVED, PASSING of a dead one -> PASSING of ours, then
 *             another waiter's AWAKE, ASLEEP -> NOTIFIED, then PASSING -> FREE
 *
 * So a notification is for those who waited when it was given: a later waiter has another slot, and can't take it. It is not
 * lost with a waiter that is killed before it has left its slot: a waiter whose slice is over, or whose time is up, looks for
 * such a slot, and hands on what is in it. (Who is killed between the last two steps of that has it handed on twice:
 * a spurious wake-up.) A notifier that finds nobody asleep where somebody should be asks whether he lives, and takes
 * the next one if not. A notifier that is killed before it has woken whom it has notified costs that one a slice.
 *
 * Nobody is woken only to wait for the mutex: a sleeper is moved over to the mutex's word (FUTEX_CMP_REQUEUE), and each release wakes
 * one. A waiter that finds MOVED sets the mutex's flag for waiters when it has it, for others may have been moved with it. The
 * first one that an owner of the mutex moves, while nobody else sleeps there, is NOTIFIED instead: the owner's view of the mutex has it,
 * and no flag (ipk_mutex_alone). So the commonest case, one waiter, ends without a release that wakes nobody. Where the mutex is given
 * back through another view than the one that took it, that waiter wakes when its slice is over, as after a notifier's death.
 *
 * Sync points:
 *   condition.waiting  begin stores word (release) -> notify and whoever hands on load it (acquire): the ticket is complete
 *   the mutex's own order what it protects.
 *
 * No store-buffering case: waiter and notifier both use read-modify-writes of the one word, and futex(2) compares it.
 */
#ifndef IPCKIT_CONDITION_H
#define IPCKIT_CONDITION_H

#include <stdatomic.h>
#include <stdint.h>

#include "ipckit/mutex.h"
#include "ipckit/sync.h"

/* cffi: types */
#define IPK_CONDITION_MAX_WAITERS 4096
#define IPK_CONDITION_MUTEX 64 /* where in the object its own mutex is */

/* How far one wait has come. The caller's, one for each wait. */
struct ipk_condition_wait {
	uint32_t phase;    /* IPK_CONDITION_... */
	uint32_t slot;     /* while it waits */
	uint32_t depth;    /* of the mutex, to be restored */
	uint32_t notified; /* how it ended: 1 or 0 */
	uint32_t moved;    /* others may sleep on the mutex's word as we did */
};

#define IPK_CONDITION_OUTSIDE 0 /* the mutex is as it was */
#define IPK_CONDITION_WAITING 1 /* the mutex is not ours, the slot is */
#define IPK_CONDITION_LEFT 2    /* neither is */
/* cffi: end */

struct ipk_condition_slot {
	_Atomic uint32_t word;        /* futex */
	uint32_t reserved[3];
	_Atomic uint64_t ticket;      /* the waiter's, before it waits: the lower, the older */
	struct ipk_holder_shm holder; /* the waiter's, likewise */
	uint64_t reserved2[2];
};
_Static_assert(sizeof(struct ipk_condition_slot) == 64, "one line");

struct ipk_condition_shm {
	struct ipk_sync_shm sync;
	struct ipk_mutex_shm mutex;
	uint64_t of[2];          /* id of the mutex that it was made for; r/o after publish */
	_Atomic uint64_t ticket; /* the last one given; who has the mutex */
	_Atomic uint32_t used;   /* slots from this one on were never claimed; who has the mutex */
	_Atomic uint32_t cpu;    /* where the last notifier ran, plus 1; 0: none yet */
	uint64_t reserved[4];
	struct ipk_condition_slot slots[];
};
_Static_assert(sizeof(struct ipk_condition_shm) == 256, "the layout drawn above");

/* cffi: begin */

/* Before the object is published: make its own mutex in it, or, if mutex is not NULL, say that it is for that one.
 * Maker. options: of its own mutex. Returns 0, -errno as ipk_sync_begin. */
int ipk_condition_format(void *place, struct ipk_member *member, const struct ipk_sync *mutex, uint32_t options);

/* Which mutex it was made for: 0: its own; 1: the one with this id. */
int ipk_condition_of(const struct ipk_sync *view, uint64_t *id);

/* In all that follows, `mutex` is a view of the condition's mutex. */

/* Begin to wait: take a slot, and give the mutex back, however deep it is held. Owner of the mutex. Does not block, but for
 * asking the kernel who of the waiters lives where all slots are taken.
 *
 * Returns 0; -EPERM if the calling thread does not own the mutex; -ENOSPC if there are as many waiters as slots; -errno as
 * ipk_member_join. */
int ipk_condition_begin(struct ipk_sync *view, struct ipk_sync *mutex, struct ipk_condition_wait *wait);

/* Wait, for a slice or until the deadline, to be notified; leave the slot; then wait for the mutex, for a slice, and
 * restore its depth. Blocks. To be called until it has the mutex. wait: as ipk_condition_begin left it.
 *
 * Returns 0: with the mutex; -EOWNERDEAD: likewise, and its last owner died; -EAGAIN: the slice is over, or a signal handler ran:
 * look around and call again; -ENOTRECOVERABLE, -errno: of the mutex, which is not ours. */
int ipk_condition_wait(struct ipk_sync *view, struct ipk_sync *mutex, struct ipk_condition_wait *wait, int64_t deadline_ns);

/* Give up: leave the slot, if the wait has one, and hand a notification on that has just come. What is left is to take the
 * mutex: ipk_condition_wait does. Does not block, but asks the kernel. */
void ipk_condition_leave(struct ipk_sync *view, struct ipk_condition_wait *wait);

/* Notify the n oldest waiters that live; fewer if there are fewer. Owner of the mutex. Does not block.
 *
 * Returns how many were notified; -EPERM. */
int64_t ipk_condition_notify(struct ipk_sync *view, struct ipk_sync *mutex, uint32_t n);

/* How many wait now, and have not been notified. Of some moment. */
uint32_t ipk_condition_waiters(const struct ipk_sync *view);

/* cffi: end */

/* Who waits in that slot, notified or not. Asks the kernel whether it lives. Does not block.
 * Returns 1 and *lives, 0 if nobody does, -ENOENT beyond the last slot that was ever used. */
int ipk_condition_waiter(const struct ipk_sync *view, uint32_t slot, struct ipk_participant_info *who, int32_t *lives);

#endif
