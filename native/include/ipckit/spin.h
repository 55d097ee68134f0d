/* How long to spin before sleeping.
 *
 * To be woken from sleep costs some 25 to 30 us (the scheduler's price), so a wait that is about to end is worth
 * that much spinning; on one CPU, or where the peer needs ours, every spin is a loss. Hence: no spin if the peer
 * was last seen on the CPU that we run on, or if our affinity mask leaves one CPU and nobody knows yet where the peer
 * runs; else a budget of about one wake-up, cut to an eighth after a row of misses. Every sixteenth wait then tries the whole budget again: two peers that both sleep
 * meet within one wake-up of each other, and would never find back to spinning otherwise.
 */
#ifndef IPCKIT_SPIN_H
#define IPCKIT_SPIN_H

#include <stdatomic.h>
#include <stdint.h>

#define IPK_SPIN_DEFAULT_NS 40000
#define IPK_CPU_UNKNOWN 0xFFFFFFFFU

/* One per waiting side, in its view. Threads may share it: then it is about all of them. */
struct ipk_spin {
	_Atomic int64_t full_ns; /* the budget while spinning pays; 0: never spin */
	_Atomic uint32_t misses; /* waits in a row that spinning did not end */
	_Atomic uint32_t cpus;   /* CPUs that our affinity mask allows; 0: not asked yet */
};

/* The CPU that the caller runs on, or IPK_CPU_UNKNOWN. Does not block. */
uint32_t ipk_spin_cpu(void);

/* How long to spin now, in ns. own_cpu, peer_cpu: as last seen, IPK_CPU_UNKNOWN where nobody said. Does not block. */
int64_t ipk_spin_budget(struct ipk_spin *spin, uint32_t own_cpu, uint32_t peer_cpu);

/* The spin ended the wait. */
void ipk_spin_hit(struct ipk_spin *spin);

/* The budget is used up; the affinity mask is read again at the next wait, for it may be why. */
void ipk_spin_missed(struct ipk_spin *spin);

#endif
