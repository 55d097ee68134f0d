/* Messages into the ring, copied or written in place; nothing here waits. */
#include <string.h>

#include "broadcast_side.h"

int ipk_broadcast_may_write(struct ipk_broadcast *ring)
{
	struct ipk_roster_entry_shm *entry;

	if (is_closed(ring))
		return -EBADF;
	if (forked(ring))
		ipk_broadcast_forked(ring);
	if (ipk_roster_own(&ring->roster, IPK_ROSTER_PRODUCER))
		return 0;
	return ipk_roster_claim(&ring->roster, IPK_ROSTER_PRODUCER, 0, &entry);
}

int ipk_broadcast_recovered(struct ipk_broadcast *ring, int rc)
{
	struct ipk_roster_entry_shm *entry = ipk_roster_own(&ring->roster, 0);

	if (rc == -EOWNERDEAD) {
		/* nothing to repair: see broadcast.h */
		ipk_lock_consistent(&ring->shm->lock);
		if (entry)
			ipk_roster_add(entry, IPK_ROSTER_RECOVERIES, 1);
		rc = 0;
	}
	if (rc == 0)
		ring->writer.amid = 0;
	return rc == -ENOTRECOVERABLE ? -EBADMSG : rc;
}

int ipk_broadcast_locked(struct ipk_broadcast *ring, int rc)
{
	rc = ipk_broadcast_recovered(ring, rc);
	if (rc < 0 || !is_closed(ring))
		return rc;
	ipk_broadcast_unlock(ring);
	return -EBADF;
}

int ipk_broadcast_lock(struct ipk_broadcast *ring)
{
	int rc = ipk_lock_try(&ring->shm->lock, &ring->member);

	if (rc == -EAGAIN) {
		if (ipk_lock_mine(&ring->shm->lock, &ring->member))
			return -EBUSY;
		rc = ipk_lock_guard(&ring->shm->lock, &ring->member);
	}
	return ipk_broadcast_locked(ring, rc);
}

static void write_header(struct ipk_broadcast *ring, uint64_t at, uint64_t length, uint64_t previous, uint32_t flags,
			 uint64_t sequence)
{
	unsigned char *record = record_at(ring, at);

	store_word(record, length | (previous | flags) << 32);
	store_word(record + 8, sequence);
	IPK_KILLPOINT("broadcast.send.headed");
}

static void write_message(struct ipk_broadcast *ring, uint64_t at, const void *data, uint64_t length)
{
	unsigned char *record = record_at(ring, at) + IPK_BROADCAST_RECORD_HEADER;

	if (lossy(ring))
		ipk_broadcast_words_in(record, data, length);
	else if (length > 0) /* data may be NULL then */
		memcpy(record, data, length);
	IPK_KILLPOINT("broadcast.send.copied");
}

void ipk_broadcast_show(struct ipk_broadcast *ring, const struct ipk_broadcast_end *end)
{
	struct ipk_broadcast_tail *tail = &ring->shm->tail;

	/* relaxed, both: a hint, and a number for people */
	atomic_store_explicit(&tail->cpu, ipk_spin_cpu() + 1, memory_order_relaxed);
	atomic_store_explicit(&tail->messages, end->sequence, memory_order_relaxed);
	/* seq_cst: broadcast.tail, broadcast.join, broadcast.sleep */
	atomic_store_explicit(&tail->position, end->tail, memory_order_seq_cst);
	IPK_KILLPOINT("broadcast.send.committed");
	/* release: broadcast.last */
	atomic_store_explicit(&tail->last, end->last, memory_order_release);
	IPK_KILLPOINT("broadcast.send.settled");
}

void ipk_broadcast_wake_readers(struct ipk_broadcast *ring, struct ipk_roster_entry_shm *entry)
{
	int calls = ipk_sleepers_wake_all(&ring->shm->readers.sleepers);

	if (calls > 0 && entry)
		ipk_roster_add(entry, IPK_ROSTER_WAKES, (uint64_t)calls);
}

int ipk_broadcast_append(struct ipk_broadcast *ring, struct ipk_broadcast_end *end, const struct ipk_broadcast_end *committed,
			 const struct ipk_slice *message, uint32_t flags)
{
	uint64_t at = end->tail;
	uint64_t target;
	int rc = ipk_broadcast_make_room(ring, committed, at, record_size(message->length), &target);

	if (rc < 0)
		return rc;
	write_header(ring, at, message->length, at - end->last, flags, end->sequence);
	write_message(ring, at, message->data, message->length);
	end->last = at;
	end->tail = at + record_size(message->length);
	end->sequence += completed_by(flags);
	return 0;
}

/* As many as there is room for. Holder of the writer lock. Returns how many, or -errno. */
static int64_t append_all(struct ipk_broadcast *ring, const struct ipk_slice *messages, uint32_t number, uint64_t *bytes)
{
	struct ipk_broadcast_end end, committed;
	uint32_t done = 0;
	int rc = ipk_broadcast_find_end(ring, &end);

	if (rc < 0)
		return rc == -EAGAIN ? -EBADMSG : rc; /* nobody else writes: it was garbage */
	committed = end;
	while (done < number) {
		rc = too_long(ring, messages[done].length) ? -EMSGSIZE
							   : ipk_broadcast_append(ring, &end, &committed, &messages[done], 0);
		if (rc == -EAGAIN && end.tail != committed.tail) {
			/* what is committed may be dropped, once there is something newer */
			ipk_broadcast_show(ring, &end);
			ipk_broadcast_wake_readers(ring, NULL);
			committed = end;
			continue;
		}
		if (rc < 0)
			break;
		*bytes += messages[done++].length;
		if (done == number || end.tail - committed.tail >= ring->capacity / 8) {
			ipk_broadcast_show(ring, &end);
			committed = end;
			if (done < number)
				ipk_broadcast_wake_readers(ring, NULL);
		}
	}
	if (end.tail != committed.tail)
		ipk_broadcast_show(ring, &end);
	return done > 0 ? (int64_t)done : rc;
}

int64_t ipk_broadcast_try_send_many(struct ipk_broadcast *ring, const struct ipk_slice *messages, uint32_t number)
{
	struct ipk_roster_entry_shm *entry;
	uint64_t bytes = 0;
	int64_t sent;
	int rc = ipk_broadcast_may_write(ring);

	if (rc == 0 && number > 0 && too_long(ring, messages[0].length))
		rc = -EMSGSIZE;
	if (rc == 0)
		rc = ipk_broadcast_lock(ring);
	if (rc < 0 || number == 0)
		return rc;
	sent = append_all(ring, messages, number, &bytes);
	entry = ipk_roster_own(&ring->roster, IPK_ROSTER_PRODUCER);
	if (sent > 0 && entry) {
		count(entry, IPK_ROSTER_SENT, (uint64_t)sent);
		count(entry, IPK_ROSTER_BYTES_SENT, bytes);
	}
	ipk_broadcast_unlock(ring);
	IPK_KILLPOINT("broadcast.send.unlocked");
	if (sent > 0)
		ipk_broadcast_wake_readers(ring, entry);
	IPK_KILLPOINT("broadcast.send.woken");
	return sent;
}

int ipk_broadcast_try_send(struct ipk_broadcast *ring, const void *data, uint64_t length)
{
	struct ipk_slice message = {data, length};
	int64_t sent = ipk_broadcast_try_send_many(ring, &message, 1);

	return sent < 0 ? (int)sent : 0;
}

int ipk_broadcast_try_reserve(struct ipk_broadcast *ring, uint64_t length, struct ipk_broadcast_claim *claim)
{
	struct ipk_broadcast_writer *writer = &ring->writer;
	struct ipk_broadcast_end end;
	uint64_t target;
	int rc = ipk_broadcast_may_write(ring);

	if (rc == 0 && too_long(ring, length))
		rc = -EMSGSIZE;
	if (rc == 0)
		rc = ipk_broadcast_lock(ring);
	if (rc < 0)
		return rc;
	rc = ipk_broadcast_find_end(ring, &end);
	if (rc == -EAGAIN)
		rc = -EBADMSG; /* as in append_all */
	if (rc == 0)
		rc = ipk_broadcast_make_room(ring, &end, end.tail, record_size(length), &target);
	if (rc < 0) {
		ipk_broadcast_unlock(ring);
		return rc;
	}
	writer->at = end.tail;
	writer->length = length;
	writer->previous = end.tail - end.last;
	writer->sequence = end.sequence;
	/* seq_cst: no plain store of the caller's passes this load, which comes after the store of `oldest` */
	(void)atomic_load_explicit(&ring->shm->oldest.position, memory_order_seq_cst);
	/* release: another thread may end the reservation */
	atomic_store_explicit(&writer->reserved, 1, memory_order_release);
	IPK_KILLPOINT("broadcast.reserve.reserved");
	claim->position = end.tail;
	claim->offset = (end.tail & ring->mask) + IPK_BROADCAST_RECORD_HEADER;
	claim->length = length;
	claim->taken = 1;
	return 0;
}

/* Give the lock back for the thread that reserved. Returns 0, -EPERM. */
static int end_reservation(struct ipk_broadcast *ring)
{
	struct ipk_lock_shm *lock = &ring->shm->lock;

	/* relaxed: our own id is in it, or somebody else's */
	if ((atomic_load_explicit(&lock->word, memory_order_relaxed) & IPK_MEMBER_ID_MASK) != ipk_member_id(&ring->member))
		return -EPERM;
	return ipk_lock_release_any(lock, &ring->member);
}

/* Whether the caller is the one who ends the reservation. */
static bool take_reservation(struct ipk_broadcast *ring)
{
	if (!ring->shm || forked(ring))
		return false;
	/* acquire: pairs with reserve */
	return atomic_exchange_explicit(&ring->writer.reserved, 0, memory_order_acquire) != 0;
}

int ipk_broadcast_commit_part(struct ipk_broadcast *ring, uint64_t length, uint32_t flags, uint64_t bytes,
			      struct ipk_broadcast_claim *claim)
{
	struct ipk_broadcast_writer *writer = &ring->writer;
	struct ipk_roster_entry_shm *entry;
	struct ipk_broadcast_end end;
	int rc;

	if (!take_reservation(ring))
		return -EINVAL;
	if (claim)
		claim->taken = 0;
	if (length > writer->length || (flags & ~ring->flags)) {
		end_reservation(ring);
		return -EINVAL;
	}
	write_header(ring, writer->at, length, writer->previous, flags, writer->sequence);
	end = (struct ipk_broadcast_end){writer->at + record_size(length), writer->at, writer->sequence + completed_by(flags)};
	entry = ipk_roster_own(&ring->roster, IPK_ROSTER_PRODUCER);
	if (entry) {
		count(entry, IPK_ROSTER_SENT, completed_by(flags));
		count(entry, IPK_ROSTER_BYTES_SENT, bytes);
	}
	ipk_broadcast_show(ring, &end);
	rc = end_reservation(ring);
	ipk_broadcast_wake_readers(ring, entry);
	return rc;
}

int ipk_broadcast_commit(struct ipk_broadcast *ring, uint64_t length)
{
	return ipk_broadcast_commit_part(ring, length, 0, length, NULL);
}

int ipk_broadcast_abort(struct ipk_broadcast *ring)
{
	return take_reservation(ring) ? end_reservation(ring) : -EINVAL;
}
