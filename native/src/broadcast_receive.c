/* Messages out of the ring, copied or lent; nothing here waits. */
#include <string.h>

#include "broadcast_side.h"

int ipk_broadcast_begin(struct ipk_broadcast *ring, struct ipk_roster_entry_shm **entry)
{
	int rc = enter(ring);
	uint32_t state;

	if (rc < 0)
		return rc;
	/* relaxed: it is our turn */
	state = atomic_load_explicit(&ring->reader.state, memory_order_relaxed);
	if (state == IPK_BROADCAST_STRANGER) {
		rc = ipk_broadcast_join(ring);
		state = IPK_BROADCAST_SUBSCRIBED;
	}
	if (rc == 0) {
		*entry = ipk_roster_own(&ring->roster, IPK_ROSTER_CONSUMER);
		if (state == IPK_BROADCAST_SUBSCRIBED && *entry) {
			/* relaxed: a number that stands alone */
			if (atomic_load_explicit(&ring->reader.told, memory_order_relaxed) == 0)
				return 0;
			leave(ring);
			return -ESTALE;
		}
		/* cut off, or others took us for dead: our descriptors had been closed */
		atomic_store_explicit(&ring->reader.state, IPK_BROADCAST_CUT_OFF, memory_order_relaxed);
		rc = -ECONNRESET;
	}
	leave(ring);
	return rc;
}

void ipk_broadcast_wake_writers(struct ipk_broadcast *ring, struct ipk_roster_entry_shm *entry)
{
	int calls = ipk_sleepers_wake_all(&ring->shm->writers.sleepers);

	if (calls > 0 && entry)
		ipk_roster_add(entry, IPK_ROSTER_WAKES, (uint64_t)calls);
}

void ipk_broadcast_publish(struct ipk_broadcast *ring, struct ipk_roster_entry_shm *entry, uint64_t from)
{
	/* relaxed: it is our turn */
	uint64_t to = atomic_load_explicit(&ring->reader.position, memory_order_relaxed);
	uint64_t want;

	if (lossy(ring)) {
		/* relaxed: no writer looks at it */
		atomic_store_explicit(&entry->cursor, to, memory_order_relaxed);
		return;
	}
	IPK_KILLPOINT("broadcast.receive.copied");
	/* seq_cst: broadcast.cursor, broadcast.sleep */
	atomic_store_explicit(&entry->cursor, to, memory_order_seq_cst);
	IPK_KILLPOINT("broadcast.receive.published");
	/* seq_cst: broadcast.sleep, broadcast.want */
	if (!(atomic_load_explicit(&ring->shm->writers.sleepers.word, memory_order_seq_cst) & IPK_SLEEPERS_ANY))
		return;
	/* relaxed: broadcast.want */
	want = atomic_load_explicit(&ring->shm->oldest.want, memory_order_relaxed);
	if (before(from, want) && !before(to, want))
		ipk_broadcast_wake_writers(ring, entry);
	IPK_KILLPOINT("broadcast.receive.woken");
}

int ipk_broadcast_catch_up(struct ipk_broadcast *ring, struct ipk_roster_entry_shm *entry)
{
	struct ipk_broadcast_reader *reader = &ring->reader;
	/* acquire: broadcast.oldest */
	uint64_t oldest = atomic_load_explicit(&ring->shm->oldest.position, memory_order_acquire);
	uint64_t sequence = load_word(record_at(ring, oldest & ~UINT64_C(7)) + 8);
	uint64_t lost;

	if (passed(ring, oldest))
		return -EAGAIN;
	/* relaxed, all: it is our turn */
	lost = sequence - atomic_load_explicit(&reader->sequence, memory_order_relaxed);
	ipk_roster_add(entry, IPK_ROSTER_LOST, lost);
	if (ring->policy == IPK_BROADCAST_DISCONNECT) {
		ipk_broadcast_leave(ring);
		atomic_store_explicit(&reader->state, IPK_BROADCAST_CUT_OFF, memory_order_relaxed);
		return -ECONNRESET;
	}
	if (oldest % 8)
		return -EBADMSG;
	atomic_store_explicit(&reader->position, oldest, memory_order_relaxed);
	atomic_store_explicit(&reader->sequence, sequence, memory_order_relaxed);
	atomic_fetch_add_explicit(&reader->told, lost, memory_order_relaxed);
	reader->tail_seen = oldest; /* what was seen before may lie behind us */
	ipk_broadcast_publish(ring, entry, oldest);
	return -ESTALE;
}

int ipk_broadcast_look(struct ipk_broadcast *ring, struct ipk_broadcast_next *next)
{
	struct ipk_broadcast_reader *reader = &ring->reader;
	/* relaxed: it is our turn */
	uint64_t at = atomic_load_explicit(&reader->position, memory_order_relaxed);
	uint64_t readable, word;

	if (reader->tail_seen == at) {
		/* acquire: broadcast.tail */
		reader->tail_seen = atomic_load_explicit(&ring->shm->tail.position, memory_order_acquire);
		if (reader->tail_seen == at)
			return -EAGAIN;
	}
	word = load_word(record_at(ring, at));
	next->length = length_in(word);
	next->flags = flags_in(word);
	next->sequence = load_word(record_at(ring, at) + 8) + completed_by(next->flags);
	if (lossy(ring) && passed(ring, at))
		return -ESTALE;
	readable = reader->tail_seen - at;
	if (readable > ring->capacity || record_size(next->length) > readable || (next->flags & ~ring->flags))
		return -EBADMSG;
	return 0;
}

/* The next record, if it is a message by itself. Returns as ipk_broadcast_look, or -EOVERFLOW. */
static int look_for_whole(struct ipk_broadcast *ring, struct ipk_broadcast_next *next)
{
	int rc = ipk_broadcast_look(ring, next);

	return rc == 0 && next->flags ? -EOVERFLOW : rc;
}

/* Copy the next message, and move our position. Returns its length, -errno as try_receive, but -ESTALE: passed. */
static int64_t copy_next(struct ipk_broadcast *ring, void *into, uint64_t size)
{
	struct ipk_broadcast_reader *reader = &ring->reader;
	struct ipk_broadcast_next next;
	uint64_t at = atomic_load_explicit(&reader->position, memory_order_relaxed); /* relaxed, as all here: it is our turn */
	const unsigned char *message = record_at(ring, at) + IPK_BROADCAST_RECORD_HEADER;
	int rc = look_for_whole(ring, &next);

	if (rc < 0)
		return rc;
	if (next.length > size)
		return -EMSGSIZE;
	if (lossy(ring)) {
		ipk_broadcast_words_out(into, message, next.length);
		if (passed(ring, at))
			return -ESTALE;
	} else if (next.length > 0) { /* into may be NULL then */
		memcpy(into, message, next.length);
	}
	atomic_store_explicit(&reader->position, at + record_size(next.length), memory_order_relaxed);
	atomic_store_explicit(&reader->sequence, next.sequence, memory_order_relaxed);
	return (int64_t)next.length;
}

int64_t ipk_broadcast_try_receive_many(struct ipk_broadcast *ring, void *into, uint64_t size, uint64_t *ends, uint32_t number)
{
	struct ipk_roster_entry_shm *entry;
	unsigned char *to = into;
	uint64_t filled = 0, from;
	uint32_t received = 0;
	int64_t length = ipk_broadcast_begin(ring, &entry);

	if (length < 0)
		return length;
	/* relaxed: it is our turn */
	from = atomic_load_explicit(&ring->reader.position, memory_order_relaxed);
	for (; received < number; received++) {
		length = copy_next(ring, to ? to + filled : NULL, size - filled);
		if (length < 0)
			break;
		filled += (uint64_t)length;
		ends[received] = filled;
	}
	if (received > 0) {
		count(entry, IPK_ROSTER_RECEIVED, received);
		count(entry, IPK_ROSTER_BYTES_RECEIVED, filled);
		ipk_broadcast_publish(ring, entry, from);
	} else if (length == -ESTALE) {
		length = ipk_broadcast_catch_up(ring, entry);
	}
	leave(ring);
	return received > 0 ? (int64_t)received : length;
}

int64_t ipk_broadcast_try_receive(struct ipk_broadcast *ring, void *into, uint64_t size)
{
	uint64_t length;
	int64_t rc = ipk_broadcast_try_receive_many(ring, into, size, &length, 1);

	return rc == 1 ? (int64_t)length : rc;
}

int64_t ipk_broadcast_next_length(struct ipk_broadcast *ring)
{
	struct ipk_roster_entry_shm *entry;
	struct ipk_broadcast_next next;
	int rc = ipk_broadcast_begin(ring, &entry);

	if (rc < 0)
		return rc;
	rc = look_for_whole(ring, &next);
	if (rc == -ESTALE)
		rc = ipk_broadcast_catch_up(ring, entry);
	leave(ring);
	return rc < 0 ? rc : (int64_t)next.length;
}

uint64_t ipk_broadcast_told(struct ipk_broadcast *ring)
{
	/* relaxed: a number that stands alone */
	return atomic_exchange_explicit(&ring->reader.told, 0, memory_order_relaxed);
}

int ipk_broadcast_try_lend(struct ipk_broadcast *ring, struct ipk_broadcast_claim *claim)
{
	struct ipk_broadcast_reader *reader = &ring->reader;
	struct ipk_roster_entry_shm *entry;
	struct ipk_broadcast_next next;
	uint64_t at;
	int rc;

	if (!is_closed(ring) && lossy(ring))
		return -EOPNOTSUPP;
	rc = ipk_broadcast_begin(ring, &entry);
	if (rc < 0)
		return rc;
	rc = look_for_whole(ring, &next);
	if (rc < 0) {
		leave(ring);
		return rc;
	}
	/* relaxed: it is our turn */
	at = atomic_load_explicit(&reader->position, memory_order_relaxed);
	lend(ring, record_size(next.length), next.length);
	claim->offset = (at & ring->mask) + IPK_BROADCAST_RECORD_HEADER;
	claim->length = next.length;
	claim->taken = 1;
	return 0;
}

/* Whether the caller is the one who ends the loan: then it is its turn. */
static bool take_loan(struct ipk_broadcast *ring)
{
	uint32_t turn = IPK_BROADCAST_ON_LOAN;

	if (!ring->shm || forked(ring))
		return false;
	/* acquire: pairs with try_lend, in another thread perhaps; relaxed: nothing is done with a failure */
	return atomic_compare_exchange_strong_explicit(&ring->reader.turn, &turn, IPK_BROADCAST_INSIDE, memory_order_acquire,
						       memory_order_relaxed);
}

int ipk_broadcast_release(struct ipk_broadcast *ring)
{
	struct ipk_broadcast_reader *reader = &ring->reader;
	struct ipk_roster_entry_shm *entry;
	uint64_t from;

	if (!take_loan(ring))
		return -EINVAL;
	/* relaxed, all: it is our turn */
	from = atomic_load_explicit(&reader->position, memory_order_relaxed);
	atomic_store_explicit(&reader->sequence, load_word(record_at(ring, from) + 8) + 1, memory_order_relaxed);
	atomic_store_explicit(&reader->position, from + reader->loan, memory_order_relaxed);
	entry = ipk_roster_own(&ring->roster, IPK_ROSTER_CONSUMER);
	if (entry) {
		count(entry, IPK_ROSTER_RECEIVED, 1);
		count(entry, IPK_ROSTER_BYTES_RECEIVED, reader->loan_bytes);
		ipk_broadcast_publish(ring, entry, from);
	}
	leave(ring);
	return 0;
}

int ipk_broadcast_return_loan(struct ipk_broadcast *ring)
{
	if (!take_loan(ring))
		return -EINVAL;
	leave(ring);
	return 0;
}
