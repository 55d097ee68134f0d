/* Readers come and go. */
#include "broadcast_side.h"

/* Take the role, with a cursor that is in the ring. Returns 0, -errno. */
static int claim(struct ipk_broadcast *ring, uint64_t cursor, struct ipk_roster_entry_shm **entry)
{
	int rc = ipk_roster_claim(&ring->roster, IPK_ROSTER_CONSUMER, cursor, entry);

	return rc == -EAGAIN ? -EALREADY : rc; /* another thread has given up the entry, as a writer's */
}

static void begin_at(struct ipk_broadcast *ring, struct ipk_roster_entry_shm *entry, uint64_t position, uint64_t sequence)
{
	struct ipk_broadcast_reader *reader = &ring->reader;

	/* relaxed, all but one: whoever's turn it is; others look at them for people, or to see whether something is new */
	atomic_store_explicit(&reader->position, position, memory_order_relaxed);
	atomic_store_explicit(&reader->sequence, sequence, memory_order_relaxed);
	reader->tail_seen = position;
	/* seq_cst: broadcast.sleep */
	atomic_store_explicit(&entry->cursor, position, memory_order_seq_cst);
	atomic_store_explicit(&reader->state, IPK_BROADCAST_SUBSCRIBED, memory_order_relaxed);
	IPK_KILLPOINT("broadcast.join.begun");
}

int ipk_broadcast_join(struct ipk_broadcast *ring)
{
	struct ipk_roster_entry_shm *entry;
	struct ipk_broadcast_end end = {0};
	/* relaxed: no record is read by it, and where we begin is not before it */
	uint64_t tail = atomic_load_explicit(&ring->shm->tail.position, memory_order_relaxed);
	int rc = claim(ring, tail, &entry);

	if (rc < 0)
		return rc;
	IPK_KILLPOINT("broadcast.join.claimed");
	if (lossy(ring))
		rc = ipk_broadcast_find_end(ring, &end);
	else
		/* seq_cst: broadcast.join. (Records before the tail are none of our business: writers may be overwriting them.) */
		end.tail = atomic_load_explicit(&ring->shm->tail.position, memory_order_seq_cst);
	if (rc == 0 && end.tail % 8)
		rc = -EBADMSG; /* only a corrupt segment has a record at an odd place */
	if (rc < 0) {
		ipk_broadcast_leave(ring);
		return rc;
	}
	begin_at(ring, entry, end.tail, end.sequence);
	if (!lossy(ring) && end.tail != tail)
		ipk_broadcast_wake_writers(ring, entry); /* one that saw us where we are not may wait for us */
	return 0;
}

void ipk_broadcast_leave(struct ipk_broadcast *ring)
{
	struct ipk_roster_entry_shm *entry = ipk_roster_own(&ring->roster, 0);

	if (ipk_roster_leave(&ring->roster, IPK_ROSTER_CONSUMER))
		ipk_broadcast_wake_writers(ring, entry);
}

/* Go back from `end` over at most `history` messages that are retained, as a whole where they are in parts. Returns how many;
 * end->tail is where the first of them begins, end->sequence its number. */
static uint64_t go_back(const struct ipk_broadcast *ring, struct ipk_broadcast_end *end, uint64_t history)
{
	uint64_t step = end->tail - end->last;
	uint64_t tail = end->tail, from = tail;
	uint64_t gone_back = 0;
	bool whole = false; /* all parts are there of the message whose part begins at `from` */
	uint32_t flags = 0;

	while (gone_back < history && step >= IPK_BROADCAST_RECORD_HEADER && step <= ring->capacity / 2 && step % 8 == 0) {
		uint64_t at = from - step;
		uint64_t word, sequence;

		if (tail - at > ring->capacity || passed(ring, at))
			break;
		word = load_word(record_at(ring, at));
		sequence = load_word(record_at(ring, at) + 8);
		if (passed(ring, at) || record_size(length_in(word)) != step)
			break; /* overwritten at this moment, or garbage */
		whole = completed_by(flags_in(word)) || (whole && (flags & IPK_BROADCAST_REST));
		flags = flags_in(word);
		from = at;
		step = previous_in(word);
		if (!whole || (flags & IPK_BROADCAST_REST))
			continue;
		end->tail = at;
		end->sequence = sequence;
		gone_back++;
	}
	return gone_back;
}

/* No writer looks at us, or is in our way: we have the lock, or they don't care. */
static int64_t join_back(struct ipk_broadcast *ring, uint64_t history)
{
	struct ipk_roster_entry_shm *entry;
	struct ipk_broadcast_end end;
	uint64_t found = 0;
	int rc = ipk_broadcast_find_end(ring, &end);

	if (rc == 0) {
		found = go_back(ring, &end, history);
		rc = claim(ring, end.tail, &entry);
	}
	if (rc < 0)
		return rc;
	IPK_KILLPOINT("broadcast.join.went_back");
	begin_at(ring, entry, end.tail, end.sequence);
	return (int64_t)found;
}

static void be_a_stranger(struct ipk_broadcast *ring)
{
	ipk_broadcast_leave(ring);
	/* relaxed: whoever's turn it is */
	atomic_store_explicit(&ring->reader.state, IPK_BROADCAST_STRANGER, memory_order_relaxed);
}

static int64_t join_back_locked(struct ipk_broadcast *ring, uint64_t history)
{
	struct ipk_broadcast_oldest *oldest = &ring->shm->oldest;
	uint64_t cursor;
	int64_t rc = ipk_broadcast_lock(ring);

	if (rc < 0)
		return rc;
	be_a_stranger(ring);
	rc = join_back(ring, history);
	if (rc >= 0) {
		/* relaxed, all: the lock orders them */
		cursor = atomic_load_explicit(&ring->reader.position, memory_order_relaxed);
		if (before(cursor, atomic_load_explicit(&oldest->bound, memory_order_relaxed)))
			atomic_store_explicit(&oldest->bound, cursor, memory_order_relaxed);
	}
	ipk_broadcast_unlock(ring);
	return rc;
}

int64_t ipk_broadcast_subscribe(struct ipk_broadcast *ring, uint64_t history)
{
	int64_t rc = enter(ring);

	if (rc < 0)
		return rc;
	if (history > 0 && !lossy(ring)) {
		rc = join_back_locked(ring, history);
	} else {
		be_a_stranger(ring);
		rc = history > 0 ? join_back(ring, history) : ipk_broadcast_join(ring);
	}
	leave(ring);
	return rc;
}

int ipk_broadcast_unsubscribe(struct ipk_broadcast *ring)
{
	int rc = enter(ring);

	if (rc < 0)
		return rc;
	/* relaxed: it is our turn */
	rc = atomic_load_explicit(&ring->reader.state, memory_order_relaxed) == IPK_BROADCAST_SUBSCRIBED;
	be_a_stranger(ring);
	leave(ring);
	return rc;
}
