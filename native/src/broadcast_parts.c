/* Messages that are longer than half of the ring: in parts, or in a file that a record tells of; nothing here waits. */
#include "broadcast_side.h"

/* Append the part and let readers see it. Holder of the writer lock. Returns 0, -EAGAIN, -EBADMSG. */
static int put(struct ipk_broadcast *ring, const struct ipk_slice *part, uint32_t flags)
{
	struct ipk_broadcast_end end, committed;
	int rc = ipk_broadcast_find_end(ring, &end);

	if (rc < 0)
		return -EBADMSG; /* also -EAGAIN: nobody else writes, it was garbage */
	committed = end;
	rc = ipk_broadcast_append(ring, &end, &committed, part, flags);
	if (rc == 0)
		ipk_broadcast_show(ring, &end);
	return rc;
}

int ipk_broadcast_try_send_part(struct ipk_broadcast *ring, const void *data, uint64_t length, uint32_t flags, uint64_t bytes,
				uint32_t *amid)
{
	struct ipk_slice part = {data, length};
	struct ipk_roster_entry_shm *entry;
	bool first = !(flags & IPK_BROADCAST_REST);
	int rc = ipk_broadcast_may_write(ring);

	if (rc == 0 && (flags & ~ring->flags))
		rc = -EINVAL;
	if (rc == 0 && too_long(ring, length))
		rc = -EMSGSIZE;
	if (rc == 0 && first)
		rc = ipk_broadcast_lock(ring);
	else if (rc == 0 && !ipk_broadcast_amid(ring))
		rc = -EPERM;
	if (rc < 0)
		return rc;
	rc = put(ring, &part, flags);
	entry = ipk_roster_own(&ring->roster, IPK_ROSTER_PRODUCER);
	if (rc == 0 && completed_by(flags) && entry) {
		count(entry, IPK_ROSTER_SENT, 1);
		count(entry, IPK_ROSTER_BYTES_SENT, bytes);
	}
	if (rc == 0)
		*amid = ring->writer.amid = flags & IPK_BROADCAST_MORE;
	if (rc == 0 ? completed_by(flags) : first)
		ipk_broadcast_unlock(ring);
	if (rc == 0)
		ipk_broadcast_wake_readers(ring, entry);
	return rc;
}

int ipk_broadcast_end_parts(struct ipk_broadcast *ring)
{
	if (!ipk_broadcast_amid(ring))
		return -EINVAL;
	ring->writer.amid = 0;
	ipk_broadcast_unlock(ring);
	return 0;
}

int ipk_broadcast_try_part(struct ipk_broadcast *ring, struct ipk_broadcast_part *part)
{
	struct ipk_roster_entry_shm *entry;
	struct ipk_broadcast_next next;
	uint64_t at;
	int rc = ipk_broadcast_begin(ring, &entry);

	if (rc < 0)
		return rc;
	rc = ipk_broadcast_look(ring, &next);
	/* relaxed: it is our turn */
	at = atomic_load_explicit(&ring->reader.position, memory_order_relaxed);
	if (rc == 0 && (next.flags & IPK_BROADCAST_FILE)) {
		ipk_broadcast_words_out(part->file, record_at(ring, at) + IPK_BROADCAST_RECORD_HEADER, sizeof(part->file));
		rc = lossy(ring) && passed(ring, at)	     ? -ESTALE
		     : next.length < sizeof(part->file) ? -EBADMSG
							     : 0;
	}
	if (rc == -ESTALE)
		rc = ipk_broadcast_catch_up(ring, entry);
	if (rc < 0) {
		leave(ring);
		return rc;
	}
	part->offset = (at & ring->mask) + IPK_BROADCAST_RECORD_HEADER;
	part->length = next.length;
	part->position = at;
	part->after = at + record_size(next.length);
	part->sequence = next.sequence;
	part->flags = next.flags;
	part->taken = 1;
	return 0;
}

/* Whether the part is still ours: a process that was forked since has not the reading side of its parent. */
static bool taken(const struct ipk_broadcast *ring, const struct ipk_broadcast_part *part)
{
	/* relaxed: if it is ours, we have stored it */
	return part->taken == 1 && ring->shm && !forked(ring) &&
	       atomic_load_explicit(&ring->reader.turn, memory_order_relaxed) == IPK_BROADCAST_INSIDE;
}

static int pass(struct ipk_broadcast *ring, struct ipk_broadcast_part *part, enum ipk_roster_counter counter, uint64_t messages,
		uint64_t bytes)
{
	struct ipk_broadcast_reader *reader = &ring->reader;
	struct ipk_roster_entry_shm *entry;

	if (!taken(ring, part))
		return -EINVAL;
	/* relaxed, both: it is our turn */
	atomic_store_explicit(&reader->sequence, part->sequence, memory_order_relaxed);
	atomic_store_explicit(&reader->position, part->after, memory_order_relaxed);
	entry = ipk_roster_own(&ring->roster, IPK_ROSTER_CONSUMER);
	if (entry) {
		count(entry, counter, messages);
		count(entry, IPK_ROSTER_BYTES_RECEIVED, bytes);
		ipk_broadcast_publish(ring, entry, part->position);
	}
	part->taken = 0;
	leave(ring);
	return 0;
}

int ipk_broadcast_pass_part(struct ipk_broadcast *ring, struct ipk_broadcast_part *part, int64_t bytes)
{
	return pass(ring, part, IPK_ROSTER_RECEIVED, bytes >= 0, bytes >= 0 ? (uint64_t)bytes : 0);
}

int ipk_broadcast_skip_part(struct ipk_broadcast *ring, struct ipk_broadcast_part *part)
{
	return pass(ring, part, IPK_ROSTER_LOST, 1, 0);
}

int ipk_broadcast_return_part(struct ipk_broadcast *ring, struct ipk_broadcast_part *part)
{
	if (!taken(ring, part))
		return -EINVAL;
	part->taken = 0;
	leave(ring);
	return 0;
}

int ipk_broadcast_lend_part(struct ipk_broadcast *ring, struct ipk_broadcast_part *part, uint64_t bytes)
{
	if (!taken(ring, part) || lossy(ring))
		return -EINVAL;
	part->taken = 2;
	lend(ring, part->after - part->position, bytes);
	return 0;
}

int ipk_broadcast_forsaken(struct ipk_broadcast *ring, uint64_t position)
{
	int rc;

	if (!ring->shm)
		return -EBADF;
	if (passed(ring, position))
		return 1;
	/* relaxed: a look; what is before the tail is there */
	if (before(position, atomic_load_explicit(&ring->shm->tail.position, memory_order_relaxed)))
		return 0;
	/* whoever is to commit it has had the lock since before there was anything to ask about */
	if (ipk_lock_mine(&ring->shm->lock, &ring->member))
		return 0;
	rc = ipk_broadcast_recovered(ring, ipk_lock_recover(&ring->shm->lock, &ring->member));
	if (rc < 0)
		return rc == -EAGAIN ? 0 : rc;
	/* relaxed: the lock orders it */
	rc = !before(position, atomic_load_explicit(&ring->shm->tail.position, memory_order_relaxed));
	ipk_broadcast_unlock(ring);
	return rc;
}

int ipk_broadcast_alone(struct ipk_broadcast *ring)
{
	if (!ring->shm || forked(ring))
		return 0;
	ipk_roster_bury(&ring->roster, IPK_ROSTER_ROLES);
	return ipk_roster_having(&ring->roster, IPK_ROSTER_PRODUCER) + ipk_roster_having(&ring->roster, IPK_ROSTER_CONSUMER) == 0;
}
