/* Messages out of the ring; nothing here waits. */
#include <string.h>

#include "spsc_side.h"

#define LEND_MOST 131072 /* bytes: who copies so much has given the other side enough to do */

/* Find the record at `at` bytes behind head, if all of it lies before the tail. Returns its header, or -errno. */
static int64_t record_at(struct ipk_spsc *ring, uint64_t at)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_CONSUMER];
	uint64_t readable = side->peer_seen - side->own;
	uint64_t header, length;

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
	header = atomic_load_explicit((_Atomic uint64_t *)(void *)(ring->data + ((side->own + at) & ring->mask)),
				      memory_order_relaxed); /* relaxed: ordered by spsc.full */
	length = header & UINT32_MAX;
	if (record_size(length) > readable - at || header >> 32 & ~(uint64_t)ring->flags)
		return -EBADMSG;
	return (int64_t)header;
}

/* The same for a whole message: returns its length, -EOVERFLOW if the record is one of an oversize message, or -errno. */
static int64_t message_at(struct ipk_spsc *ring, uint64_t at)
{
	int64_t header = record_at(ring, at);

	return header > UINT32_MAX ? -EOVERFLOW : header;
}

/* Enter, and find the oldest message. Returns its length, or -errno and the side is not ours. */
static int64_t enter_at_message(struct ipk_spsc *ring)
{
	int64_t length = enter(ring, IPK_SPSC_CONSUMER);

	if (length < 0)
		return length;
	length = message_at(ring, 0);
	if (length < 0)
		leave(&ring->side[IPK_SPSC_CONSUMER]);
	return length;
}

/* The side is the caller's until the loan ends. */
static void lend(struct ipk_spsc_side *side, uint64_t size, uint64_t messages)
{
	IPK_KILLPOINT("spsc.receive.lent");
	side->loan = size;
	side->loan_messages = messages;
}

/* Where the oldest message lies in the data. */
static uint64_t first_message(const struct ipk_spsc *ring)
{
	return (ring->side[IPK_SPSC_CONSUMER].own & ring->mask) + IPK_SPSC_RECORD_HEADER;
}

int64_t ipk_spsc_try_receive(struct ipk_spsc *ring)
{
	int64_t length = enter_at_message(ring);

	if (length < 0)
		return length;
	lend(&ring->side[IPK_SPSC_CONSUMER], record_size((uint64_t)length), 1);
	/* masked once more: an offset of 2 GiB would be taken for an error, and lies at 0 as well */
	return (int64_t)(first_message(ring) & ring->mask) << 32 | length;
}

int64_t ipk_spsc_try_receive_many(struct ipk_spsc *ring, uint64_t *bounds, uint32_t count)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_CONSUMER];
	uint64_t most = portion(ring) < LEND_MOST ? portion(ring) : LEND_MOST, at = 0;
	uint32_t lent = 0;
	int64_t length = enter(ring, IPK_SPSC_CONSUMER);

	if (length < 0)
		return length;
	for (; lent < count && at < most; lent++) {
		length = message_at(ring, at);
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
	lend(side, at, lent);
	return (int64_t)lent;
}

int64_t ipk_spsc_try_receive_into(struct ipk_spsc *ring, void *into, uint64_t size)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_CONSUMER];
	int64_t length = enter_at_message(ring);

	if (length < 0)
		return length;
	if ((uint64_t)length > size) {
		leave(side);
		return -EMSGSIZE;
	}
	lend(side, record_size((uint64_t)length), 1);
	if (length > 0) /* into may be NULL then */
		memcpy(into, ring->data + first_message(ring), (uint64_t)length);
	ipk_spsc_release(ring);
	return length;
}

int ipk_spsc_try_receive_part(struct ipk_spsc *ring, struct ipk_spsc_part *lent)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_CONSUMER];
	int64_t header = enter(ring, IPK_SPSC_CONSUMER);

	if (header < 0)
		return (int)header;
	header = record_at(ring, 0);
	if (header < 0) {
		leave(side);
		return (int)header;
	}
	*lent = (struct ipk_spsc_part){first_message(ring), (uint64_t)header & UINT32_MAX, (uint32_t)(header >> 32)};
	lend(side, record_size(lent->length), !(lent->flags & IPK_SPSC_MORE));
	return 0;
}

int ipk_spsc_skip_part(struct ipk_spsc *ring)
{
	if (ring->side[IPK_SPSC_CONSUMER].loan == 0)
		return 0; /* forked since */
	add_to(&ring->shm->head.dropped, ring->side[IPK_SPSC_CONSUMER].loan_messages);
	return ipk_spsc_release(ring);
}

int ipk_spsc_forget(struct ipk_spsc *ring)
{
	int rc = enter(ring, IPK_SPSC_CONSUMER);

	if (rc < 0)
		return rc;
	add_to(&ring->shm->head.torn, 1);
	leave(&ring->side[IPK_SPSC_CONSUMER]);
	return 0;
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
	add_to(&shm->head.messages, side->loan_messages);
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
