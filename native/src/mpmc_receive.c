/* Messages out of the ring; nothing here waits. */
#include <string.h>

#include "mpmc_view.h"

/* Get in as a consumer, with the receive lock, at the oldest message. Returns 0; -EAGAIN, -EBADF, -ENOSPC, -EBADMSG, -errno without the
 * lock. */
static int begin(struct ipk_mpmc *ring, struct ipk_roster_entry_shm **entry, struct walk *walk)
{
	struct ipk_lock_shm *lock;
	int more_room = 0;
	int rc = enter(ring, IPK_ROSTER_CONSUMER, entry);

	if (rc < 0)
		return rc;
	lock = &ring->shm->receive.lock;
	rc = ipk_mpmc_lock(ring, lock);
	if (rc < 0)
		return rc;
	rc = is_closed(ring) ? -EBADF : ipk_mpmc_walk_begin(ring, walk);
	if (rc == 0) {
		rc = ipk_mpmc_walk_on(ring, walk);
		if (rc == -EAGAIN)
			more_room = ipk_mpmc_walk_end(ring, walk); /* it may have passed something */
	}
	if (rc < 0)
		unlock(ring, lock);
	if (more_room)
		ipk_mpmc_wake_room(ring, *entry, walk->free, walk->tail);
	return rc;
}

/* The message that the walk is at has been copied: go past it. */
static void take_copied(struct ipk_mpmc *ring, struct walk *walk)
{
	uint64_t next = behind(walk->at, units_for(length_of(walk->word)), 1);

	if ((uint32_t)walk->at == (uint32_t)walk->free)
		walk->free = next; /* received when free is stored */
	else
		/* release: mpmc.freed */
		atomic_store_explicit(record_at(ring, walk->at), restated(walk->word, FREE, 0), memory_order_release);
	IPK_KILLPOINT("mpmc.receive.copied");
	walk->at = next;
}

int64_t ipk_mpmc_try_copy(struct ipk_mpmc *ring, void *buffer, uint64_t size, uint32_t *lengths, uint32_t number)
{
	struct ipk_roster_entry_shm *entry;
	struct walk walk;
	unsigned char *to = buffer;
	uint64_t left = size < IPK_MPMC_INSIDE_MANY ? size : IPK_MPMC_INSIDE_MANY;
	uint64_t bytes = 0;
	uint32_t copied = 0;
	int more_room;
	int rc = begin(ring, &entry, &walk);

	if (rc < 0)
		return rc;
	while (rc == 0 && copied < number) {
		uint32_t length = length_of(walk.word);

		if (walk.word & TAG)
			rc = -EOVERFLOW;
		else if (length > left || length > IPK_MPMC_INSIDE)
			rc = -EMSGSIZE;
		if (rc < 0)
			break;
		memcpy(to + bytes, message_at(ring, walk.at), length);
		lengths[copied++] = length;
		bytes += length;
		left -= length;
		take_copied(ring, &walk);
		if (copied < number)
			rc = ipk_mpmc_walk_on(ring, &walk);
	}
	ipk_mpmc_walk_rest(ring, &walk);
	if ((uint32_t)walk.free != (uint32_t)walk.at)
		ipk_mpmc_walk_free(ring, &walk); /* garbage there is told to whoever comes to it */
	more_room = ipk_mpmc_walk_end(ring, &walk);
	unlock(ring, &ring->shm->receive.lock);
	count(entry, IPK_ROSTER_RECEIVED, copied);
	count(entry, IPK_ROSTER_BYTES_RECEIVED, bytes);
	if (more_room)
		ipk_mpmc_wake_room(ring, entry, walk.free, walk.tail);
	IPK_KILLPOINT("mpmc.receive.woken");
	return copied > 0 ? (int64_t)copied : rc;
}

/* Lend the message that the walk is at, and go past it. */
static void lend(struct ipk_mpmc *ring, struct walk *walk, struct ipk_mpmc_claim *loan)
{
	uint32_t id = ipk_member_id(&ring->member);

	*loan = (struct ipk_mpmc_claim){offset_of(ring, walk->at) + IPK_MPMC_RECORD_HEADER, length_of(walk->word),
					(walk->word & TAG) != 0, walk->at, id, 0};
	/* relaxed: the lock's owner only looks at it, until we release it */
	atomic_store_explicit(record_at(ring, walk->at), restated(walk->word, TAKEN, id), memory_order_relaxed);
	IPK_KILLPOINT("mpmc.take.marked");
	walk->at = behind(walk->at, units_for(length_of(walk->word)), 1);
}

int64_t ipk_mpmc_try_receive(struct ipk_mpmc *ring, struct ipk_mpmc_claim *loans, uint32_t number)
{
	struct ipk_roster_entry_shm *entry;
	struct walk walk;
	uint32_t lent = 0, enough = units_of_ring(ring) / 8;
	uint64_t from;
	int more_room;
	int rc = begin(ring, &entry, &walk);

	if (rc < 0)
		return rc;
	from = walk.at;
	do
		lend(ring, &walk, &loans[lent++]);
	while (lent < number && units_between(from, walk.at) < enough && ipk_mpmc_walk_on(ring, &walk) == 0);
	ipk_mpmc_walk_rest(ring, &walk);
	more_room = ipk_mpmc_walk_end(ring, &walk);
	unlock(ring, &ring->shm->receive.lock);
	IPK_KILLPOINT("mpmc.take.taken");
	if (more_room)
		ipk_mpmc_wake_room(ring, entry, walk.free, walk.tail);
	return (int64_t)lent;
}

/* Change the records of our loans. Returns 0, -ECHILD, or -EOWNERDEAD if one was not ours any more. */
static int end_loans(struct ipk_mpmc *ring, const struct ipk_mpmc_claim *loans, uint32_t number, enum state state)
{
	uint32_t id = ipk_member_id(&ring->member);
	int rc = 0;

	for (uint32_t i = 0; i < number; i++) {
		uint64_t content = loans[i].length | (loans[i].tag ? TAG : 0);
		uint64_t before = word_of(TAKEN, loans[i].member, content);

		if (loans[i].member != id)
			return -ECHILD;
		/* release: mpmc.freed; relaxed: nothing is done with a failure */
		if (!atomic_compare_exchange_strong_explicit(record_at(ring, loans[i].place), &before, word_of(state, 0, content),
							     memory_order_release, memory_order_relaxed))
			rc = -EOWNERDEAD;
		IPK_KILLPOINT("mpmc.release.marked");
	}
	return rc;
}

int ipk_mpmc_release(struct ipk_mpmc *ring, const struct ipk_mpmc_claim *loans, uint32_t number)
{
	struct ipk_roster_entry_shm *entry = ipk_roster_own(&ring->roster, IPK_ROSTER_CONSUMER);
	struct walk walk;
	uint64_t bytes = 0;
	int rc = end_loans(ring, loans, number, FREE);

	if (rc == -ECHILD)
		return rc;
	for (uint32_t i = 0; i < number; i++)
		bytes += loans[i].length;
	count(entry, IPK_ROSTER_RECEIVED, number);
	count(entry, IPK_ROSTER_BYTES_RECEIVED, bytes);
	/* if somebody stays in there, whoever comes next moves free */
	if (ipk_mpmc_lock(ring, &ring->shm->receive.lock) < 0)
		return rc;
	if (ipk_mpmc_walk_begin(ring, &walk) == 0 && ipk_mpmc_walk_free(ring, &walk) == 0)
		ipk_mpmc_walk_end(ring, &walk);
	unlock(ring, &ring->shm->receive.lock);
	ipk_mpmc_wake_room(ring, entry, walk.free, walk.tail);
	IPK_KILLPOINT("mpmc.release.woken");
	return rc;
}

/* Move taken back to the first of what was put back. Owner of the receive lock. */
static void move_back(struct ipk_mpmc *ring, const struct ipk_mpmc_claim *loans, uint32_t number)
{
	struct walk walk;

	if (ipk_mpmc_walk_begin(ring, &walk) < 0)
		return;
	for (uint32_t i = 0; i < number; i++)
		if (units_between(walk.free, loans[i].place) < units_between(walk.free, walk.at))
			walk.at = loans[i].place;
	ipk_mpmc_walk_end(ring, &walk);
}

int ipk_mpmc_return_loan(struct ipk_mpmc *ring, const struct ipk_mpmc_claim *loans, uint32_t number)
{
	int rc = end_loans(ring, loans, number, READY);

	if (rc == -ECHILD)
		return rc;
	/* if somebody stays in there, those who wait for messages find them in their next repair */
	if (ipk_mpmc_lock(ring, &ring->shm->receive.lock) == 0) {
		if (rc == 0) /* else we do not know which of the places begins a record still */
			move_back(ring, loans, number);
		unlock(ring, &ring->shm->receive.lock);
	}
	ipk_mpmc_tell(ring, ipk_roster_own(&ring->roster, IPK_ROSTER_CONSUMER), number > 1);
	IPK_KILLPOINT("mpmc.return.woken");
	return rc;
}

int64_t ipk_mpmc_try_receive_into(struct ipk_mpmc *ring, void *buffer, uint64_t size)
{
	struct ipk_mpmc_claim loan;
	uint32_t length;
	int64_t rc = ipk_mpmc_try_copy(ring, buffer, size, &length, 1);

	if (rc == 1)
		return length;
	if (rc != -EMSGSIZE)
		return rc;
	rc = ipk_mpmc_try_receive(ring, &loan, 1);
	if (rc < 0)
		return rc;
	if (loan.length > size || loan.tag) {
		ipk_mpmc_return_loan(ring, &loan, 1);
		return loan.tag ? -EOVERFLOW : -EMSGSIZE;
	}
	memcpy(buffer, ring->data + loan.offset, loan.length);
	rc = ipk_mpmc_release(ring, &loan, 1);
	return rc < 0 ? rc : (int64_t)loan.length;
}
