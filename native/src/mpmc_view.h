/* What the parts of mpmc.c have in common: places, records, and how one gets in. Private to src/. */
#ifndef IPCKIT_SRC_MPMC_VIEW_H
#define IPCKIT_SRC_MPMC_VIEW_H

#include <errno.h>

#include "ipckit/mpmc.h"

#define UNIT 8
#define TAG (UINT64_C(1) << 31)
#define LONGEST (TAG - 1)

enum state {
	WRITING = 1,
	READY,
	TAKEN,
	FREE,
	ABORTED,
	PAD,
};

static inline uint64_t word_of(enum state state, uint32_t member, uint64_t length_and_tag)
{
	return (uint64_t)state << 60 | (uint64_t)member << 32 | length_and_tag;
}

static inline enum state state_of(uint64_t word)
{
	return (enum state)(word >> 60);
}

static inline uint32_t member_of(uint64_t word)
{
	return (uint32_t)(word >> 32) & IPK_MEMBER_ID_MASK;
}

static inline uint32_t length_of(uint64_t word)
{
	return (uint32_t)(word & LONGEST);
}

/* The word with another state, of another member. */
static inline uint64_t restated(uint64_t word, enum state state, uint32_t member)
{
	return word_of(state, member, word & UINT32_MAX);
}

/* What a record of a message of that length takes, in units. */
static inline uint32_t units_for(uint64_t length)
{
	return (uint32_t)((IPK_MPMC_RECORD_HEADER + length + UNIT - 1) / UNIT);
}

/* The place behind so many units and messages. */
static inline uint64_t behind(uint64_t place, uint32_t units, uint32_t messages)
{
	return (uint64_t)((uint32_t)(place >> 32) + messages) << 32 | (uint32_t)((uint32_t)place + units);
}

/* How many units, and messages, lie between two places. */
static inline uint32_t units_between(uint64_t from, uint64_t to)
{
	return (uint32_t)to - (uint32_t)from;
}

static inline uint32_t messages_between(uint64_t from, uint64_t to)
{
	return (uint32_t)(to >> 32) - (uint32_t)(from >> 32);
}

static inline uint32_t units_of_ring(const struct ipk_mpmc *ring)
{
	return ring->mask + 1;
}

/* Where the record at that place begins in the data, in bytes. */
static inline uint64_t offset_of(const struct ipk_mpmc *ring, uint64_t place)
{
	return (uint64_t)((uint32_t)place & ring->mask) * UNIT;
}

static inline _Atomic uint64_t *record_at(const struct ipk_mpmc *ring, uint64_t place)
{
	return (_Atomic uint64_t *)(void *)(ring->data + offset_of(ring, place));
}

static inline unsigned char *message_at(const struct ipk_mpmc *ring, uint64_t place)
{
	return ring->data + offset_of(ring, place) + IPK_MPMC_RECORD_HEADER;
}

/* Room for so many units, and one message, between tail and free + capacity? */
static inline int fits(const struct ipk_mpmc *ring, uint64_t free, uint64_t tail, uint32_t need)
{
	uint32_t used = units_between(free, tail);

	return used <= units_of_ring(ring) && need <= units_of_ring(ring) - used &&
	       (ring->chosen.max_messages == 0 || messages_between(free, tail) < ring->chosen.max_messages);
}

static inline int is_closed(const struct ipk_mpmc *ring)
{
	/* relaxed: whoever has a lock finds what close has stored before it had it; others are late at worst */
	return (int)atomic_load_explicit(&ring->closed, memory_order_relaxed);
}

/* What the creator of the segment behind fd chose, which has so many bytes. Returns 0, -EPROTO if that is no such ring, -errno. */
int ipk_mpmc_read_geometry(int fd, uint64_t size, struct ipk_mpmc_options *chosen);

/* Claim a role that this view has not, or which a fork has taken from it. Returns 0, -ENOSPC, -errno. */
int ipk_mpmc_claim_role(struct ipk_mpmc *ring, uint32_t role, struct ipk_roster_entry_shm **entry);

/* Get in, with that role. Returns 0, -EBADF, -ENOSPC, -errno. */
static inline int enter(struct ipk_mpmc *ring, uint32_t role, struct ipk_roster_entry_shm **entry)
{
	if (is_closed(ring))
		return -EBADF;
	*entry = ipk_roster_own(&ring->roster, role);
	return *entry ? 0 : ipk_mpmc_claim_role(ring, role, entry);
}

/* Get a lock of the ring without sleeping, also after close. Returns 0, -EAGAIN if somebody alive stays in there, -EBADMSG, -errno. */
int ipk_mpmc_lock(struct ipk_mpmc *ring, struct ipk_lock_shm *lock);

/* The same, for a slice or until the deadline. Returns 0, -EAGAIN, -ETIMEDOUT, -EDEADLK if our own thread has it, -EBADMSG, -errno. */
int ipk_mpmc_lock_wait(struct ipk_mpmc *ring, struct ipk_lock_shm *lock, struct ipk_spin *spin, int64_t deadline_ns);

static inline void unlock(struct ipk_mpmc *ring, struct ipk_lock_shm *lock)
{
	ipk_lock_release(lock, &ring->member);
}

/* A walk of the owner of the receive lock. */
struct walk {
	uint64_t free; /* places */
	uint64_t at;   /* taken, moving on */
	uint64_t tail;
	uint64_t word; /* of the record that the walk has stopped at */
};

/* Begin a walk at `taken`. Returns 0 or -EBADMSG. */
int ipk_mpmc_walk_begin(struct ipk_mpmc *ring, struct walk *walk);

/* Go on to the oldest READY record; walk->word is what it says. Returns 0; -EAGAIN if there is none, walk->word is then that of the
 * WRITING one in the way, or 0; -EBADMSG. */
int ipk_mpmc_walk_on(struct ipk_mpmc *ring, struct walk *walk);

/* Move `free` on over what nobody needs. Returns 0 or -EBADMSG. */
int ipk_mpmc_walk_free(struct ipk_mpmc *ring, struct walk *walk);

/* Go past what the producer of the record before had reserved and not used. */
void ipk_mpmc_walk_rest(struct ipk_mpmc *ring, struct walk *walk);

/* Store what has changed. Returns whether there is more room now: then wake those who wait for it, without the lock. */
int ipk_mpmc_walk_end(struct ipk_mpmc *ring, const struct walk *walk);

/* A look at a record before tail: its units, or -EBADMSG; *word: what it says. at: at most `left` units before tail. */
int64_t ipk_mpmc_look(const struct ipk_mpmc *ring, uint64_t at, uint32_t left, uint64_t *word);

/* Put right what the dead have left between free and tail. Owner of the receive lock, walk: begun. Returns how many claims were repaired,
 * or -EBADMSG. */
int64_t ipk_mpmc_repair(struct ipk_mpmc *ring, struct walk *walk, struct ipk_roster_entry_shm *entry);

/* There is news of a record before tail: wake one consumer, or all. */
void ipk_mpmc_tell(struct ipk_mpmc *ring, struct ipk_roster_entry_shm *entry, int all);

/* Wake those who wait for messages, after a store of tail. */
void ipk_mpmc_wake_messages(struct ipk_mpmc *ring, struct ipk_roster_entry_shm *entry, int all);

/* Wake those who wait for room, if there is enough of it, after a store of free. */
void ipk_mpmc_wake_room(struct ipk_mpmc *ring, struct ipk_roster_entry_shm *entry, uint64_t free, uint64_t tail);

static inline void count(struct ipk_roster_entry_shm *entry, enum ipk_roster_counter counter, uint64_t n)
{
	if (entry) /* after close nothing is counted */
		ipk_roster_add(entry, counter, n);
}

#endif
