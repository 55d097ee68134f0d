/* What people want to know of a ring. Loads are relaxed, but where it is said: a snapshot for people. */
#include <string.h>

#include "broadcast_side.h"

uint32_t ipk_broadcast_holder(const struct ipk_broadcast *ring)
{
	const struct ipk_lock_shm *lock;
	uint32_t owner;

	if (!ring->shm)
		return 0;
	lock = &ring->shm->lock;
	owner = atomic_load_explicit(&lock->word, memory_order_relaxed) & IPK_MEMBER_ID_MASK;
	/* acquire: member.recorded */
	if (owner == 0 || atomic_load_explicit(&lock->holder.id, memory_order_acquire) != owner)
		return 0;
	return atomic_load_explicit(&lock->holder.pid, memory_order_relaxed);
}

uint32_t ipk_broadcast_slowest(const struct ipk_broadcast *ring)
{
	uint32_t index = UINT32_MAX;
	struct ipk_roster_info info;

	if (!ring->shm)
		return 0;
	ipk_broadcast_last_cursor(ring, atomic_load_explicit(&ring->shm->tail.position, memory_order_relaxed), &index);
	return index != UINT32_MAX && ipk_roster_get(&ring->roster, index, &info) == 1 ? info.pid : 0;
}

int ipk_broadcast_bury(struct ipk_broadcast *ring)
{
	uint32_t buried;

	if (is_closed(ring))
		return -EBADF;
	buried = ipk_roster_bury(&ring->roster, IPK_ROSTER_ROLES);
	if (buried > 0) {
		ipk_broadcast_wake_readers(ring, NULL);
		ipk_broadcast_wake_writers(ring, NULL);
	}
	return (int)buried;
}

/* Readers; one that was passed on a ring that disconnects is none any more, though it has not looked yet. */
static uint32_t consumers(const struct ipk_broadcast *ring)
{
	uint32_t used = ipk_roster_used(&ring->roster);
	uint32_t number = 0;

	for (uint32_t i = 0; i < used; i++) {
		const struct ipk_roster_entry_shm *entry = ipk_roster_entry(&ring->roster, i);

		/* seq_cst: roster.word */
		if (!(atomic_load_explicit(&entry->word, memory_order_seq_cst) & IPK_ROSTER_CONSUMER))
			continue;
		number += ring->policy != IPK_BROADCAST_DISCONNECT ||
			  !passed(ring, atomic_load_explicit(&entry->cursor, memory_order_relaxed));
	}
	return number;
}

/* How many messages wait for us. */
static uint64_t depth(const struct ipk_broadcast *ring)
{
	const struct ipk_broadcast_reader *reader = &ring->reader;
	uint64_t at = atomic_load_explicit(&reader->position, memory_order_relaxed);
	uint64_t sent;

	if (atomic_load_explicit(&reader->state, memory_order_relaxed) != IPK_BROADCAST_SUBSCRIBED ||
	    !ipk_roster_own(&ring->roster, IPK_ROSTER_CONSUMER) ||
	    atomic_load_explicit(&ring->shm->tail.position, memory_order_acquire) == at) /* acquire: broadcast.tail */
		return 0;
	sent = atomic_load_explicit(&ring->shm->tail.messages, memory_order_relaxed);
	return sent - (lossy(ring) ? atomic_load_explicit(&reader->sequence, memory_order_relaxed)
				   : load_word(record_at(ring, at & ~UINT64_C(7)) + 8));
}

int ipk_broadcast_stat(const struct ipk_broadcast *ring, struct ipk_broadcast_stat *stat)
{
	const struct ipk_broadcast_shm *shm = ring->shm;
	const struct ipk_roster *roster = &ring->roster;

	memset(stat, 0, sizeof(*stat));
	if (!shm)
		return -EBADF;
	stat->capacity = ring->capacity;
	stat->used = atomic_load_explicit(&shm->tail.position, memory_order_relaxed) -
		     atomic_load_explicit(&shm->oldest.position, memory_order_relaxed);
	stat->sent = atomic_load_explicit(&shm->tail.messages, memory_order_relaxed);
	stat->received = ipk_roster_total(roster, IPK_ROSTER_RECEIVED);
	stat->bytes_sent = ipk_roster_total(roster, IPK_ROSTER_BYTES_SENT);
	stat->bytes_received = ipk_roster_total(roster, IPK_ROSTER_BYTES_RECEIVED);
	stat->full_waits = ipk_roster_total(roster, IPK_ROSTER_FULL_WAITS);
	stat->empty_waits = ipk_roster_total(roster, IPK_ROSTER_EMPTY_WAITS);
	stat->wakes = ipk_roster_total(roster, IPK_ROSTER_WAKES);
	stat->lost = ipk_roster_total(roster, IPK_ROSTER_LOST);
	stat->recoveries = ipk_roster_total(roster, IPK_ROSTER_RECOVERIES);
	stat->depth = depth(ring);
	stat->producers = ipk_roster_having(roster, IPK_ROSTER_PRODUCER);
	stat->consumers = consumers(ring);
	stat->policy = ring->policy;
	stat->oversize = ring->oversize;
	stat->participants = roster->count;
	return 0;
}
