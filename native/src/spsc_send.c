/* Messages into the ring; nothing here waits. */
#include <string.h>

#include "spsc_side.h"

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

/* Write the header of the record at the tail, whose message is or will be behind it, and step over it. */
static void write_header(struct ipk_spsc *ring, uint64_t length, uint32_t flags)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_PRODUCER];
	uint64_t header = (uint64_t)flags << 32 | length;

	memcpy(ring->data + (side->own & ring->mask), &header, sizeof(header));
	IPK_KILLPOINT("spsc.send.headed");
	side->own += record_size(length);
}

static void write_record(struct ipk_spsc *ring, const void *data, uint64_t length, uint32_t flags)
{
	uint64_t at = ring->side[IPK_SPSC_PRODUCER].own & ring->mask;

	write_header(ring, length, flags);
	if (length > 0) /* data may be NULL then */
		memcpy(ring->data + at + IPK_SPSC_RECORD_HEADER, data, length);
	IPK_KILLPOINT("spsc.send.copied");
}

static void publish(struct ipk_spsc *ring, uint64_t messages, uint64_t bytes)
{
	struct ipk_spsc_shm *shm = ring->shm;

	add_to(&shm->tail.messages, messages);
	add_to(&shm->tail.bytes, bytes);
	note_cpu(&shm->tail);
	/* seq_cst: spsc.full, spsc.sleep */
	atomic_store_explicit(&shm->tail.position, ring->side[IPK_SPSC_PRODUCER].own, memory_order_seq_cst);
	IPK_KILLPOINT("spsc.send.committed");
	/* seq_cst: spsc.sleep */
	if (atomic_load_explicit(&shm->consumer_sleep.asleep, memory_order_seq_cst))
		wake(&shm->consumer_sleep, &shm->tail);
	IPK_KILLPOINT("spsc.send.woken");
}

/* Room for a message of that length? Returns 0, -EMSGSIZE, -EAGAIN, -EBADMSG. */
static int room_for(struct ipk_spsc *ring, uint64_t length)
{
	return length > ring->capacity - IPK_SPSC_RECORD_HEADER ? -EMSGSIZE : room(ring, record_size(length));
}

int ipk_spsc_try_send(struct ipk_spsc *ring, const void *data, uint64_t length)
{
	int rc = enter(ring, IPK_SPSC_PRODUCER);

	if (rc < 0)
		return rc;
	rc = room_for(ring, length);
	if (rc == 0) {
		write_record(ring, data, length, 0);
		publish(ring, 1, length);
	}
	leave(&ring->side[IPK_SPSC_PRODUCER]);
	return rc;
}

int ipk_spsc_try_send_part(struct ipk_spsc *ring, const void *data, uint64_t length, uint32_t flags, uint64_t bytes)
{
	int rc = enter(ring, IPK_SPSC_PRODUCER);

	if (rc < 0)
		return rc;
	rc = flags & ~ring->flags ? -EINVAL : room_for(ring, length);
	if (rc == 0) {
		write_record(ring, data, length, flags);
		publish(ring, !(flags & IPK_SPSC_MORE), bytes);
	}
	leave(&ring->side[IPK_SPSC_PRODUCER]);
	return rc;
}

int64_t ipk_spsc_try_send_many(struct ipk_spsc *ring, const struct ipk_slice *messages, uint32_t count)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_PRODUCER];
	uint64_t published, bytes = 0;
	uint32_t sent = 0, pending = 0;
	int rc = enter(ring, IPK_SPSC_PRODUCER);

	if (rc < 0)
		return rc;
	published = side->own;
	for (; sent < count; sent++) {
		rc = room_for(ring, messages[sent].length);
		if (rc < 0)
			break;
		write_record(ring, messages[sent].data, messages[sent].length, 0);
		bytes += messages[sent].length;
		pending++;
		if (side->own - published >= portion(ring)) {
			publish(ring, pending, bytes);
			published = side->own;
			bytes = pending = 0;
		}
	}
	if (pending > 0)
		publish(ring, pending, bytes);
	leave(side);
	return sent > 0 ? (int64_t)sent : rc;
}

int ipk_spsc_try_reserve(struct ipk_spsc *ring, uint64_t length, struct ipk_spsc_part *given)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_PRODUCER];
	int rc = enter(ring, IPK_SPSC_PRODUCER);

	if (rc < 0)
		return rc;
	rc = room_for(ring, length);
	if (rc < 0) {
		leave(side);
		return rc;
	}
	side->reserved = record_size(length);
	IPK_KILLPOINT("spsc.reserve.granted");
	*given = (struct ipk_spsc_part){(side->own & ring->mask) + IPK_SPSC_RECORD_HEADER, length, 0};
	return 0;
}

/* Whether this process has a reservation: it may have been forked since. */
static int has_reserved(struct ipk_spsc *ring)
{
	notice_fork(ring);
	return ring->side[IPK_SPSC_PRODUCER].reserved != 0;
}

int ipk_spsc_commit_part(struct ipk_spsc *ring, uint64_t length, uint32_t flags, uint64_t bytes)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_PRODUCER];

	if (!has_reserved(ring))
		return -ESTALE;
	if (length > side->reserved - IPK_SPSC_RECORD_HEADER || flags & ~ring->flags)
		return -EINVAL;
	side->reserved = 0;
	write_header(ring, length, flags);
	publish(ring, !(flags & IPK_SPSC_MORE), bytes);
	leave(side);
	return 0;
}

int ipk_spsc_commit(struct ipk_spsc *ring, uint64_t length)
{
	return ipk_spsc_commit_part(ring, length, 0, length);
}

int ipk_spsc_abort(struct ipk_spsc *ring)
{
	struct ipk_spsc_side *side = &ring->side[IPK_SPSC_PRODUCER];

	if (!has_reserved(ring))
		return 0;
	side->reserved = 0;
	IPK_KILLPOINT("spsc.reserve.aborted");
	leave(side);
	return 0;
}

int ipk_spsc_drop(struct ipk_spsc *ring)
{
	int rc = enter(ring, IPK_SPSC_PRODUCER);

	if (rc < 0)
		return rc;
	add_to(&ring->shm->tail.dropped, 1);
	leave(&ring->side[IPK_SPSC_PRODUCER]);
	return 0;
}
