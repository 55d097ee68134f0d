/* The records that are retained: where they end, and how the oldest make room. */
#include "broadcast_side.h"

#define END_TRIES 100 /* to fail once a writer must fill the whole ring in the meantime */
#define AT_MOST_MORE(capacity) ((capacity) / 16) /* dropped beyond what is needed: `oldest` moves seldom, for readers look at it */

/* Follow the records from end->last to end->tail. Returns 0, -EAGAIN if they were overwritten meanwhile, -EBADMSG. */
static int follow(const struct ipk_broadcast *ring, struct ipk_broadcast_end *end)
{
	uint64_t at = end->last;

	if (end->tail - at > ring->capacity || (end->tail | at) % 8)
		return passed(ring, at) ? -EAGAIN : -EBADMSG;
	end->sequence = 0;
	while (at != end->tail) {
		uint64_t word = load_word(record_at(ring, at));
		uint64_t sequence = load_word(record_at(ring, at) + 8);
		uint64_t length = length_in(word);

		if (passed(ring, at))
			return -EAGAIN;
		if (record_size(length) > end->tail - at)
			return -EBADMSG;
		end->last = at;
		end->sequence = sequence + completed_by(flags_in(word));
		at += record_size(length);
	}
	return 0;
}

int ipk_broadcast_find_end(const struct ipk_broadcast *ring, struct ipk_broadcast_end *end)
{
	int rc = -EAGAIN;

	for (int i = 0; i < END_TRIES && rc == -EAGAIN; i++) {
		/* acquire: broadcast.last */
		end->last = atomic_load_explicit(&ring->shm->tail.last, memory_order_acquire);
		/* acquire: broadcast.tail; after last, so that it is not before it */
		end->tail = atomic_load_explicit(&ring->shm->tail.position, memory_order_acquire);
		rc = follow(ring, end);
	}
	return rc;
}

uint64_t ipk_broadcast_last_cursor(const struct ipk_broadcast *ring, uint64_t tail, uint32_t *at)
{
	uint32_t used = ipk_roster_used(&ring->roster);
	int64_t furthest = 0;

	for (uint32_t i = 0; i < used; i++) {
		const struct ipk_roster_entry_shm *entry = ipk_roster_entry(&ring->roster, i);
		int64_t behind;

		/* seq_cst: broadcast.join */
		if (!(atomic_load_explicit(&entry->word, memory_order_seq_cst) & IPK_ROSTER_CONSUMER))
			continue;
		/* acquire: broadcast.cursor */
		behind = (int64_t)(tail - atomic_load_explicit(&entry->cursor, memory_order_acquire));
		if (behind <= furthest)
			continue;
		furthest = behind;
		if (at)
			*at = i;
	}
	return tail - (uint64_t)furthest;
}

/* How far the oldest record may move: to the newest one, and where readers can block, to none that one has still to read. */
static uint64_t limit_of(struct ipk_broadcast *ring, const struct ipk_broadcast_end *end, uint64_t target)
{
	uint64_t bound, cursor;

	if (lossy(ring))
		return end->last;
	/* relaxed, both: the lock orders them */
	bound = atomic_load_explicit(&ring->shm->oldest.bound, memory_order_relaxed);
	if (before(bound, target)) {
		cursor = ipk_broadcast_last_cursor(ring, end->tail, NULL);
		/* who subscribes at this moment may still show an earlier cursor, out of the ring: it will begin after the bound */
		if (end->tail - cursor <= ring->capacity && before(bound, cursor)) {
			bound = cursor;
			atomic_store_explicit(&ring->shm->oldest.bound, bound, memory_order_relaxed);
		}
	}
	return before(bound, end->last) ? bound : end->last;
}

/* Drop records until the oldest is at `target`, and then on as far as `goal`, if none reaches beyond `limit`. Returns 0, -EAGAIN, -EBADMSG. */
static int drop(struct ipk_broadcast *ring, uint64_t oldest, uint64_t target, uint64_t goal, uint64_t limit)
{
	while (before(oldest, goal)) {
		uint64_t next = oldest + record_size(length_in(load_word(record_at(ring, oldest))));

		if (next - oldest > ring->capacity / 2)
			return -EBADMSG;
		if (before(limit, next))
			break;
		oldest = next;
	}
	if (before(oldest, target))
		return -EAGAIN;
	/* seq_cst: broadcast.oldest; stronger than needed but for reservations, which are written by plain stores */
	atomic_store_explicit(&ring->shm->oldest.position, oldest, memory_order_seq_cst);
	IPK_KILLPOINT("broadcast.room.dropped");
	return 0;
}

int ipk_broadcast_make_room(struct ipk_broadcast *ring, const struct ipk_broadcast_end *end, uint64_t at, uint64_t need,
			    uint64_t *target)
{
	/* relaxed: the lock orders it */
	uint64_t oldest = atomic_load_explicit(&ring->shm->oldest.position, memory_order_relaxed);
	uint64_t limit;

	*target = at + need - ring->capacity;
	if (at - oldest > ring->capacity || oldest % 8)
		return -EBADMSG;
	if (!before(oldest, *target))
		return 0;
	limit = limit_of(ring, end, *target);
	return drop(ring, oldest, *target, *target + AT_MOST_MORE(ring->capacity), limit);
}
