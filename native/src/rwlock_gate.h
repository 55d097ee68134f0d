/* What readers and writers of an RWLock share: the gate. Private to src/. */
#ifndef IPCKIT_SRC_RWLOCK_GATE_H
#define IPCKIT_SRC_RWLOCK_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "ipckit/rwlock.h"

#define IPK_RWLOCK_WRITER IPK_MEMBER_ID_MASK

static inline struct ipk_rwlock_shm *ipk_rwlock_of(const struct ipk_sync *view)
{
	return (struct ipk_rwlock_shm *)(void *)view->object;
}

/* Whether the caller, who owns the lock, has inherited it from the dead, and not yet put right what those left. */
static inline bool ipk_rwlock_died(const struct ipk_rwlock_shm *rw)
{
	/* relaxed: the caller owns the lock, and whoever gave it to us set the flag before */
	return atomic_load_explicit(&rw->lock.word, memory_order_relaxed) & IPK_LOCK_DIED;
}

static inline uint32_t ipk_rwlock_gate(const struct ipk_rwlock_shm *rw)
{
	/* relaxed: a look; ipk_holders_add and enter order it */
	return atomic_load_explicit(&rw->gate, memory_order_relaxed);
}

/* The lock's owner: shut the gate. */
void ipk_rwlock_shut(struct ipk_rwlock_shm *rw, uint32_t id);

/* The lock's owner: open it, and wake who sleeps there. next: what readers find. */
void ipk_rwlock_open(struct ipk_rwlock_shm *rw, uint32_t next);

/* Open the gate that a dead writer has shut. Asks the kernel. Returns 1, 0 if it lives or there is none, -errno. */
int ipk_rwlock_open_for_dead(struct ipk_sync *view, struct ipk_rwlock_shm *rw);

/* A reader: a count, or a number of those who wait, has become 0: wake the writer, if it sleeps. */
void ipk_rwlock_wake_writer(struct ipk_rwlock_shm *rw);

#endif
