/* What waiting for messages and waiting for room have in common. Private to src/. */
#ifndef IPCKIT_SRC_MPMC_WAIT_H
#define IPCKIT_SRC_MPMC_WAIT_H

#include "mpmc_view.h"

#define PRODUCER_SIDE 0
#define CONSUMER_SIDE 1

/* A record of somebody else's that one waits for. */
struct obstacle {
	uint64_t place;
	uint64_t word; /* 0: there is none */
};

/* Between two looks of a spin: the others' lines are theirs to write. */
static inline void pause_for(int times)
{
	for (int i = 0; i < times; i++)
		ipk_relax();
}

/* The process that an obstacle is of, if it was there at the look before as well, where there was one. */
uint32_t ipk_mpmc_stalled_by(const struct ipk_mpmc *ring, const struct obstacle *before, const struct obstacle *now);

/* The process that has the lock; 0: nobody. */
uint32_t ipk_mpmc_owner_pid(const struct ipk_lock_shm *lock);

/* A wait for a lock has failed: what the caller of the wait gets. */
int ipk_mpmc_no_lock(const struct ipk_lock_shm *lock, int rc, uint32_t *stalled);

/* Repair under the receive lock, wake those whom it helps, and bury the dead of the roster. before: the state of the walk after it, may
 * be NULL. Returns 1 if there is a message now, 0 if not; -EAGAIN, -ETIMEDOUT, -EBADMSG, -errno as ipk_mpmc_lock_wait. */
int ipk_mpmc_look_around(struct ipk_mpmc *ring, struct ipk_roster_entry_shm *entry, struct walk *walk, int64_t deadline_ns);

/* Whether this view may go on: nobody forked it or closed its descriptors. Returns 0, -EAGAIN, -EBADF. */
int ipk_mpmc_still_ours(struct ipk_mpmc *ring);

#endif
