/* What people ask a ring. */
#include <string.h>

#include "mpmc_view.h"

int ipk_mpmc_stat(const struct ipk_mpmc *ring, struct ipk_mpmc_stat *stat)
{
	const struct ipk_mpmc_shm *shm = ring->shm;
	const struct ipk_roster *roster = &ring->roster;
	uint64_t free, taken, tail;

	memset(stat, 0, sizeof(*stat));
	if (!shm || is_closed(ring))
		return -EBADF;
	/* relaxed, all: a snapshot for people. The last one is loaded first: then the differences are not below zero */
	free = atomic_load_explicit(&shm->free.place, memory_order_relaxed);
	taken = atomic_load_explicit(&shm->receive.taken, memory_order_relaxed);
	tail = atomic_load_explicit(&shm->tail.place, memory_order_relaxed);
	if (units_between(free, taken) > units_of_ring(ring))
		taken = free; /* somebody has died, or is, between the stores of the two */
	stat->capacity = ring->chosen.capacity;
	stat->used = (uint64_t)units_between(free, tail) * UNIT;
	stat->depth = messages_between(taken, tail);
	stat->sent = ipk_roster_total(roster, IPK_ROSTER_SENT);
	stat->received = ipk_roster_total(roster, IPK_ROSTER_RECEIVED);
	stat->bytes_sent = ipk_roster_total(roster, IPK_ROSTER_BYTES_SENT);
	stat->bytes_received = ipk_roster_total(roster, IPK_ROSTER_BYTES_RECEIVED);
	stat->full_waits = ipk_roster_total(roster, IPK_ROSTER_FULL_WAITS);
	stat->empty_waits = ipk_roster_total(roster, IPK_ROSTER_EMPTY_WAITS);
	stat->wakes = ipk_roster_total(roster, IPK_ROSTER_WAKES);
	stat->lost = ipk_roster_total(roster, IPK_ROSTER_LOST);
	stat->recoveries = ipk_roster_total(roster, IPK_ROSTER_RECOVERIES);
	stat->producers = ipk_roster_having(roster, IPK_ROSTER_PRODUCER);
	stat->consumers = ipk_roster_having(roster, IPK_ROSTER_CONSUMER);
	return 0;
}

int ipk_mpmc_passed(const struct ipk_mpmc *ring, uint64_t place)
{
	if (!ring->shm)
		return -EBADF;
	/* relaxed: nothing of the ring is read by it */
	return (int32_t)((uint32_t)atomic_load_explicit(&ring->shm->free.place, memory_order_relaxed) - (uint32_t)place) > 0;
}

int64_t ipk_mpmc_living(struct ipk_mpmc *ring, uint32_t role)
{
	if (!ring->shm)
		return -EBADF;
	ipk_roster_bury(&ring->roster, role);
	return ipk_roster_having(&ring->roster, role);
}
