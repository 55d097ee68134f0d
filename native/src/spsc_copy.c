/* Messages in and out of the ring; nothing here waits. */
#include <string.h>

#include "spsc_side.h"

/* How much a batch moves before the other side hears of it: both copy at the same time, each its own part. */
static uint64_t portion(const struct ipk_spsc *ring)
{
	return ring->capacity / 8;
}

/* Room for `need` bytes at the tail? Returns 0, -EAGAIN, or -EBADMSG. */
static int room(struct ipk_spsc *ring, uint64_t need)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_PRODUCER];

	if (side->own - side->peer_seen + need <= ring->capacity && side->own - side->peer_seen <= ring->capacity)
		return 0;
	/* acquire: spsc.empty */
	side->peer_seen = atomic_load_explicit(&ring->shm->head.position, memory_order_acquire);
	if (side->own - side->peer_seen > ring->capacity)
		return -EBADMSG; /* only a corrupt segment has head beyond tail */
	return side->own - side->peer_seen + need <= ring->capacity ? 0 : -EAGAIN;
}

static void write_record(struct ipk_spsc *ring, const void *data, uint64_t length)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_PRODUCER];
	unsigned char *record = ring->data + (side->own & ring->mask);
	uint64_t header = length; /* upper half zero; little or big endian, the reader is on this machine */

	memcpy(record, &header, sizeof(header));
	IPK_KILLPOINT("spsc.send.headed");
	if (length > 0) /* data may be NULL then */
		memcpy(record + IPK_SPSC_RECORD_HEADER, data, length);
	IPK_KILLPOINT("spsc.send.copied");
	side->own += record_size(length);
}

static void commit(struct ipk_spsc *ring, uint64_t messages)
{
	struct ipk_spsc_shm *shm = ring->shm;

	/* relaxed, both: a counter of the producer's own */
	atomic_store_explicit(&shm->tail.messages,
			      atomic_load_explicit(&shm->tail.messages, memory_order_relaxed) + messages,
			      memory_order_relaxed);
	note_cpu(&shm->tail);
	/* seq_cst: spsc.full, spsc.sleep */
	atomic_store_explicit(&shm->tail.position, ring->side[IPK_SPSC_PRODUCER].own, memory_order_seq_cst);
	IPK_KILLPOINT("spsc.send.committed");
	/* seq_cst: spsc.sleep */
	if (atomic_load_explicit(&shm->consumer_sleep.asleep, memory_order_seq_cst))
		wake(&shm->consumer_sleep, &shm->tail);
	IPK_KILLPOINT("spsc.send.woken");
}

int ipk_spsc_try_send(struct ipk_spsc *ring, const void *data, uint64_t length)
{
	int rc = enter(ring, IPK_SPSC_PRODUCER);

	if (rc < 0)
		return rc;
	if (length > ring->capacity - IPK_SPSC_RECORD_HEADER) {
		rc = -EMSGSIZE;
	} else {
		rc = room(ring, record_size(length));
		if (rc == 0) {
			write_record(ring, data, length);
			commit(ring, 1);
		}
	}
	leave(&ring->side[IPK_SPSC_PRODUCER]);
	return rc;
}

int64_t ipk_spsc_try_send_many(struct ipk_spsc *ring, const struct ipk_slice *messages, uint32_t count)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_PRODUCER];
	uint64_t committed;
	uint32_t sent = 0, pending = 0;
	int rc = enter(ring, IPK_SPSC_PRODUCER);

	if (rc < 0)
		return rc;
	committed = side->own;
	for (; sent < count; sent++) {
		rc = messages[sent].length > ring->capacity - IPK_SPSC_RECORD_HEADER
			     ? -EMSGSIZE
			     : room(ring, record_size(messages[sent].length));
		if (rc < 0)
			break;
		write_record(ring, messages[sent].data, messages[sent].length);
		pending++;
		if (side->own - committed >= portion(ring)) {
			commit(ring, pending);
			committed = side->own;
			pending = 0;
		}
	}
	if (pending > 0)
		commit(ring, pending);
	leave(side);
	return sent > 0 ? (int64_t)sent : rc;
}

/* Lend the record at `at` bytes behind head, if all of it lies before the tail. Returns its length, or -errno. */
static int64_t record_at(struct ipk_spsc *ring, uint64_t at)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_CONSUMER];
	uint64_t readable = side->peer_seen - side->own;
	uint64_t length;

	if (at >= readable) {
		/* acquire: spsc.full */
		side->peer_seen = atomic_load_explicit(&ring->shm->tail.position, memory_order_acquire);
		readable = side->peer_seen - side->own;
		if (readable <= at)
			return -EAGAIN;
	}
	if (readable > ring->capacity || readable - at < IPK_SPSC_RECORD_HEADER)
		return -EBADMSG;
	/* one load: a hostile producer may change the word between two */
	length = atomic_load_explicit((_Atomic uint64_t *)(void *)(ring->data + ((side->own + at) & ring->mask)),
				      memory_order_relaxed); /* relaxed: ordered by spsc.full */
	if (length > readable || record_size(length) > readable - at)
		return -EBADMSG;
	return (int64_t)length;
}

int64_t ipk_spsc_try_receive(struct ipk_spsc *ring)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_CONSUMER];
	int64_t length = enter(ring, IPK_SPSC_CONSUMER);

	if (length < 0)
		return length;
	length = record_at(ring, 0);
	if (length < 0) {
		leave(side);
		return length;
	}
	IPK_KILLPOINT("spsc.receive.lent");
	side->loan = record_size((uint64_t)length);
	side->loan_messages = 1;
	/* masked once more: an offset of 2 GiB would be taken for an error, and lies at 0 as well */
	return (int64_t)((side->own + IPK_SPSC_RECORD_HEADER) & ring->mask) << 32 | length;
}

int64_t ipk_spsc_try_receive_many(struct ipk_spsc *ring, uint64_t *bounds, uint32_t count)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_CONSUMER];
	uint64_t at = 0;
	uint32_t lent = 0;
	int64_t length = enter(ring, IPK_SPSC_CONSUMER);

	if (length < 0)
		return length;
	for (; lent < count && at < portion(ring); lent++) {
		length = record_at(ring, at);
		if (length < 0)
			break;
		bounds[2 * lent] = ((side->own + at) & ring->mask) + IPK_SPSC_RECORD_HEADER;
		bounds[2 * lent + 1] = bounds[2 * lent] + (uint64_t)length;
		at += record_size((uint64_t)length);
	}
	if (lent == 0) {
		leave(side);
		return length;
	}
	side->loan = at;
	side->loan_messages = lent;
	return (int64_t)lent;
}

int ipk_spsc_release(struct ipk_spsc *ring)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_CONSUMER];
	struct ipk_spsc_shm *shm = ring->shm;

	if (side->loan == 0)
		return 0; /* forked since */
	IPK_KILLPOINT("spsc.receive.copied");
	side->own += side->loan;
	side->loan = 0;
	/* relaxed, both: a counter of the consumer's own */
	atomic_store_explicit(&shm->head.messages,
			      atomic_load_explicit(&shm->head.messages, memory_order_relaxed) + side->loan_messages,
			      memory_order_relaxed);
	note_cpu(&shm->head);
	/* seq_cst: spsc.empty, spsc.sleep */
	atomic_store_explicit(&shm->head.position, side->own, memory_order_seq_cst);
	IPK_KILLPOINT("spsc.receive.released");
	/* seq_cst: spsc.sleep */
	if (atomic_load_explicit(&shm->producer_sleep.asleep, memory_order_seq_cst)) {
		/* relaxed: spsc.want; peer_seen may be old, then there is more room than we think only for a moment */
		uint64_t want = (uint64_t)atomic_load_explicit(&shm->producer_sleep.want_kib, memory_order_relaxed) << 10;

		if (ring->capacity - (side->peer_seen - side->own) >= want || side->peer_seen == side->own)
			wake(&shm->producer_sleep, &shm->head);
	}
	IPK_KILLPOINT("spsc.receive.woken");
	leave(side);
	return 0;
}

int ipk_spsc_return_loan(struct ipk_spsc *ring)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_CONSUMER];

	if (side->loan == 0)
		return 0;
	side->loan = 0;
	leave(side);
	return 0;
}
