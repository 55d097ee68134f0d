/* Messages into the ring; nothing here waits. */
#include <string.h>

#include "mpmc_view.h"

#define MANY_AT_ONCE 64 /* messages of a batch under one lock */

/* Get in as a producer, with the send lock. Returns 0, -EAGAIN, -EBADF, -ENOSPC, -EBADMSG, -errno. */
static int begin(struct ipk_mpmc *ring, struct ipk_roster_entry_shm **entry)
{
	struct ipk_lock_shm *lock;
	int rc = enter(ring, IPK_ROSTER_PRODUCER, entry);

	if (rc < 0)
		return rc;
	lock = &ring->shm->send.lock;
	rc = ipk_mpmc_lock(ring, lock);
	if (rc == 0 && is_closed(ring)) { /* and the others may have seen that */
		unlock(ring, lock);
		rc = -EBADF;
	}
	return rc;
}

/* Room for so many units behind tail? Returns 0, -EAGAIN, -EBADMSG. */
static int room(struct ipk_mpmc *ring, uint64_t tail, uint32_t need)
{
	struct ipk_mpmc_shm *shm = ring->shm;
	uint64_t free;

	/* relaxed: the lock's owner only */
	if (fits(ring, atomic_load_explicit(&shm->send.free_seen, memory_order_relaxed), tail, need))
		return 0;
	/* acquire: mpmc.free */
	free = atomic_load_explicit(&shm->free.place, memory_order_acquire);
	/* relaxed: the lock's owner only */
	atomic_store_explicit(&shm->send.free_seen, free, memory_order_relaxed);
	if (units_between(free, tail) > units_of_ring(ring))
		return -EBADMSG;
	return fits(ring, free, tail, need) ? 0 : -EAGAIN;
}

static int too_long(const struct ipk_mpmc *ring, uint64_t length)
{
	return length > ring->chosen.capacity - IPK_MPMC_RECORD_HEADER;
}

static uint64_t tail_of(const struct ipk_mpmc *ring)
{
	/* relaxed: the lock's owner only stores it */
	return atomic_load_explicit(&ring->shm->tail.place, memory_order_relaxed);
}

static void publish(struct ipk_mpmc *ring, uint64_t tail)
{
	/* seq_cst: mpmc.tail, mpmc.news */
	atomic_store_explicit(&ring->shm->tail.place, tail, memory_order_seq_cst);
	IPK_KILLPOINT("mpmc.send.published");
}

/* Write a whole record at tail, for publish. Returns the place behind it. */
static uint64_t put(struct ipk_mpmc *ring, uint64_t tail, const void *data, uint64_t length, uint32_t tag)
{
	if (length > 0) /* data may be NULL then */
		memcpy(message_at(ring, tail), data, length);
	/* relaxed: mpmc.tail orders it */
	atomic_store_explicit(record_at(ring, tail),
			      word_of(READY, ipk_member_id(&ring->member), length | (tag ? TAG : 0)), memory_order_relaxed);
	IPK_KILLPOINT("mpmc.send.written");
	return behind(tail, units_for(length), 1);
}

static int send_short(struct ipk_mpmc *ring, const void *data, uint64_t length, uint32_t tag)
{
	struct ipk_roster_entry_shm *entry;
	uint64_t tail;
	int rc = begin(ring, &entry);

	if (rc < 0)
		return rc;
	tail = tail_of(ring);
	rc = room(ring, tail, units_for(length));
	if (rc == 0)
		publish(ring, put(ring, tail, data, length, tag));
	unlock(ring, &ring->shm->send.lock);
	if (rc < 0)
		return rc;
	count(entry, IPK_ROSTER_SENT, 1);
	count(entry, IPK_ROSTER_BYTES_SENT, length);
	ipk_mpmc_wake_messages(ring, entry, 0);
	IPK_KILLPOINT("mpmc.send.woken");
	return 0;
}

int ipk_mpmc_try_reserve(struct ipk_mpmc *ring, uint64_t length, struct ipk_mpmc_claim *claim)
{
	struct ipk_roster_entry_shm *entry;
	uint64_t tail;
	uint32_t id;
	int rc = begin(ring, &entry);

	if (rc < 0)
		return rc;
	tail = tail_of(ring);
	rc = too_long(ring, length) ? -EMSGSIZE : room(ring, tail, units_for(length));
	if (rc == 0) {
		id = ipk_member_id(&ring->member);
		*claim = (struct ipk_mpmc_claim){offset_of(ring, tail) + IPK_MPMC_RECORD_HEADER, (uint32_t)length, 0, tail, id, 0};
		/* relaxed: mpmc.tail orders it */
		atomic_store_explicit(record_at(ring, tail), word_of(WRITING, id, length), memory_order_relaxed);
		IPK_KILLPOINT("mpmc.claim.marked");
		publish(ring, behind(tail, units_for(length), 1));
	}
	unlock(ring, &ring->shm->send.lock);
	IPK_KILLPOINT("mpmc.claim.claimed");
	return rc;
}

/* End a claim of ours. Returns 0, -ECHILD, -EOWNERDEAD. */
static int end_claim(struct ipk_mpmc *ring, const struct ipk_mpmc_claim *claim, uint64_t after)
{
	uint64_t before = word_of(WRITING, claim->member, claim->length);
	uint64_t end = behind(claim->place, units_for(claim->length), 1);

	/* release: mpmc.ready; relaxed: nothing is done with a failure */
	if (!atomic_compare_exchange_strong_explicit(record_at(ring, claim->place), &before, after, memory_order_release,
						     memory_order_relaxed))
		return -EOWNERDEAD;
	IPK_KILLPOINT("mpmc.commit.committed");
	/* relaxed: whoever claims something behind us later on finds our record as it is now, and wakes for itself */
	ipk_mpmc_tell(ring, ipk_roster_own(&ring->roster, IPK_ROSTER_PRODUCER),
		      state_of(after) == ABORTED || (uint32_t)end != (uint32_t)tail_of(ring));
	IPK_KILLPOINT("mpmc.commit.woken");
	return 0;
}

static int is_ours(const struct ipk_mpmc *ring, const struct ipk_mpmc_claim *claim)
{
	return claim->member == ipk_member_id(&ring->member);
}

int ipk_mpmc_commit(struct ipk_mpmc *ring, const struct ipk_mpmc_claim *claim, uint64_t length, uint32_t tag)
{
	struct ipk_roster_entry_shm *entry = ipk_roster_own(&ring->roster, IPK_ROSTER_PRODUCER);
	uint32_t used = units_for(length), whole = units_for(claim->length);
	int rc;

	if (!is_ours(ring, claim))
		return -ECHILD;
	if (length > claim->length)
		return -EINVAL;
	if (used < whole)
		/* relaxed: mpmc.ready orders it */
		atomic_store_explicit(record_at(ring, behind(claim->place, used, 0)),
				      word_of(PAD, 0, (uint64_t)(whole - used) * UNIT - IPK_MPMC_RECORD_HEADER), memory_order_relaxed);
	IPK_KILLPOINT("mpmc.commit.written");
	rc = end_claim(ring, claim, word_of(READY, claim->member, length | (tag ? TAG : 0)));
	if (rc == 0) {
		count(entry, IPK_ROSTER_SENT, 1);
		count(entry, IPK_ROSTER_BYTES_SENT, length);
	}
	return rc;
}

int ipk_mpmc_abort(struct ipk_mpmc *ring, const struct ipk_mpmc_claim *claim)
{
	return is_ours(ring, claim) ? end_claim(ring, claim, word_of(ABORTED, 0, claim->length)) : -ECHILD;
}

static int send_long(struct ipk_mpmc *ring, const void *data, uint64_t length, uint32_t tag)
{
	struct ipk_mpmc_claim claim;
	int rc = ipk_mpmc_try_reserve(ring, length, &claim);

	if (rc < 0)
		return rc;
	memcpy(ring->data + claim.offset, data, length);
	IPK_KILLPOINT("mpmc.claim.copied");
	return ipk_mpmc_commit(ring, &claim, length, tag);
}

int ipk_mpmc_try_send(struct ipk_mpmc *ring, const void *data, uint64_t length, uint32_t tag)
{
	if (length <= IPK_MPMC_INSIDE)
		return send_short(ring, data, length, tag);
	return send_long(ring, data, length, tag);
}

/* Send the first short ones of a batch under one lock. Returns how many, at least one; -errno. */
static int64_t send_part(struct ipk_mpmc *ring, const struct ipk_slice *messages, uint32_t number)
{
	struct ipk_roster_entry_shm *entry;
	uint64_t tail, bytes = 0;
	uint32_t sent = 0;
	int rc = begin(ring, &entry);

	if (rc < 0)
		return rc;
	tail = tail_of(ring);
	for (; sent < number && sent < MANY_AT_ONCE && bytes < IPK_MPMC_INSIDE_MANY; sent++) {
		uint64_t length = messages[sent].length;

		if (length > IPK_MPMC_INSIDE || (rc = room(ring, tail, units_for(length))) < 0)
			break;
		tail = put(ring, tail, messages[sent].data, length, 0);
		bytes += length;
	}
	if (sent > 0)
		publish(ring, tail);
	unlock(ring, &ring->shm->send.lock);
	if (sent == 0)
		return rc;
	count(entry, IPK_ROSTER_SENT, sent);
	count(entry, IPK_ROSTER_BYTES_SENT, bytes);
	ipk_mpmc_wake_messages(ring, entry, sent > 1);
	return (int64_t)sent;
}

int64_t ipk_mpmc_try_send_many(struct ipk_mpmc *ring, const struct ipk_slice *messages, uint32_t number)
{
	uint32_t sent = 0;
	int64_t rc = 0;

	while (sent < number) {
		const struct ipk_slice *next = &messages[sent];

		if (next->length <= IPK_MPMC_INSIDE)
			rc = send_part(ring, next, number - sent);
		else if ((rc = send_long(ring, next->data, next->length, 0)) == 0)
			rc = 1;
		if (rc < 0)
			break;
		sent += (uint32_t)rc;
	}
	return sent > 0 ? (int64_t)sent : rc;
}
