/* What the calls of a broadcast ring have in common. Private to src/. */
#ifndef IPCKIT_SRC_BROADCAST_SIDE_H
#define IPCKIT_SRC_BROADCAST_SIDE_H

#include <errno.h>
#include <stdbool.h>

#include "ipckit/broadcast.h"

/* What the creator chose: the beginning of the object. */
struct ipk_broadcast_geometry {
	uint64_t capacity;
	uint32_t participants;
	uint32_t policy; /* with PARTS or FILES */
};

/* Read it from the segment behind fd. Returns 0, -EPROTO if it is none of a ring. */
int ipk_broadcast_read_geometry(int fd, struct ipk_broadcast_geometry *geometry);

/* Where the data begins in the object: behind the roster, on its own page. */
uint64_t ipk_broadcast_data_offset(uint32_t participants);

/* The record that a reader receives next. */
struct ipk_broadcast_next {
	uint64_t length;
	uint64_t sequence; /* of the one behind it */
	uint32_t flags;
};

/* The end of what is committed: where the next record goes. */
struct ipk_broadcast_end {
	uint64_t tail;
	uint64_t last;     /* position of the newest record; tail: there is none */
	uint64_t sequence; /* of the next record */
};

/* Where the next record goes. Anybody, on a ring that blocks only who has the writer lock. Returns 0; -EAGAIN if writers were
 * faster all the time; -EBADMSG. */
int ipk_broadcast_find_end(const struct ipk_broadcast *ring, struct ipk_broadcast_end *end);

/* Make room for a record of `need` bytes at `at`, where `last` is the newest one committed, and end.tail the position behind
 * it; *target: the position that the oldest record must reach for that. Holder of the writer lock. Returns 0; -EAGAIN if readers (or,
 * where at lies beyond the tail, the newest record) are in the way; -EBADMSG. */
int ipk_broadcast_make_room(struct ipk_broadcast *ring, const struct ipk_broadcast_end *end, uint64_t at, uint64_t need,
			    uint64_t *target);

/* The cursor that is the furthest behind, no later than tail. Anybody. *at: its entry; may be NULL. */
uint64_t ipk_broadcast_last_cursor(const struct ipk_broadcast *ring, uint64_t tail, uint32_t *at);

/* Take the writer lock, for a call of ours that is allowed to (ipk_broadcast_may_write). Returns 0, -EAGAIN, -EBUSY if our own
 * thread has it, -EBADMSG, -EBADF, -errno. */
int ipk_broadcast_lock(struct ipk_broadcast *ring);

/* After ipk_lock_try and its like: as ipk_broadcast_lock, but -EBUSY. */
int ipk_broadcast_locked(struct ipk_broadcast *ring, int rc);

/* The same, also of a view that is closed. */
int ipk_broadcast_recovered(struct ipk_broadcast *ring, int rc);

/* Write one record behind `end`, which moves. committed: what readers see. Holder of the writer lock. Returns 0, -EAGAIN, -EBADMSG. */
int ipk_broadcast_append(struct ipk_broadcast *ring, struct ipk_broadcast_end *end, const struct ipk_broadcast_end *committed,
			 const struct ipk_slice *message, uint32_t flags);

/* Let readers see what lies before end->tail, where the newest record is at end->last. Holder of the writer lock. */
void ipk_broadcast_show(struct ipk_broadcast *ring, const struct ipk_broadcast_end *end);

static inline void ipk_broadcast_unlock(struct ipk_broadcast *ring)
{
	ipk_lock_release(&ring->shm->lock, &ring->member);
}

/* Whether this thread has the writer lock for the next part of a message. */
static inline bool ipk_broadcast_amid(struct ipk_broadcast *ring)
{
	return ring->shm && ipk_lock_mine(&ring->shm->lock, &ring->member) && ring->writer.amid;
}

/* Make sure that the view is open, and a writer. Returns 0, -EBADF, -ENOSPC, -errno. */
int ipk_broadcast_may_write(struct ipk_broadcast *ring);

/* Begin a call of the reader: its turn, and the role. Returns 0, or -errno (-ESTALE: a gap is still to be told), and it is not
 * our turn. */
int ipk_broadcast_begin(struct ipk_broadcast *ring, struct ipk_roster_entry_shm **entry);

/* The next record. Whoever's turn it is, as those below. Returns 0, -EAGAIN, -ESTALE: passed, -EBADMSG. */
int ipk_broadcast_look(struct ipk_broadcast *ring, struct ipk_broadcast_next *next);

/* We were passed: go on with the oldest message. Returns -ESTALE, -EAGAIN if writers were faster again, -ECONNRESET. */
int ipk_broadcast_catch_up(struct ipk_broadcast *ring, struct ipk_roster_entry_shm *entry);

/* Let the writers have what lies before our position, which was `from`. */
void ipk_broadcast_publish(struct ipk_broadcast *ring, struct ipk_roster_entry_shm *entry, uint64_t from);

/* Become a reader from the next message on. Whoever's turn it is. Returns 0, -errno. */
int ipk_broadcast_join(struct ipk_broadcast *ring);

/* We are no reader any more: tell the writers that wait. */
void ipk_broadcast_leave(struct ipk_broadcast *ring);

/* Copies that another process may be writing to, or reading from: by words, see broadcast.h. The place in the ring is a multiple of 8. */
void ipk_broadcast_words_in(unsigned char *record, const void *data, uint64_t length);
void ipk_broadcast_words_out(void *into, const unsigned char *record, uint64_t length);

/* Wake who sleeps for a message, and for room. entry: ours, or NULL. */
void ipk_broadcast_wake_readers(struct ipk_broadcast *ring, struct ipk_roster_entry_shm *entry);
void ipk_broadcast_wake_writers(struct ipk_broadcast *ring, struct ipk_roster_entry_shm *entry);

static inline uint64_t record_size(uint64_t length)
{
	return (IPK_BROADCAST_RECORD_HEADER + length + 7) & ~UINT64_C(7);
}

static inline bool too_long(const struct ipk_broadcast *ring, uint64_t length)
{
	return length > ring->capacity / 2 - IPK_BROADCAST_RECORD_HEADER;
}

static inline bool lossy(const struct ipk_broadcast *ring)
{
	return ring->policy != IPK_BROADCAST_BLOCK;
}

/* a is before b, on a ring of positions. */
static inline bool before(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) < 0;
}

static inline unsigned char *record_at(const struct ipk_broadcast *ring, uint64_t position)
{
	return ring->data + (position & ring->mask);
}

static inline uint64_t load_word(const unsigned char *at)
{
	/* acquire: broadcast.oldest, and the record's other words are loaded after the length */
	return atomic_load_explicit((const _Atomic uint64_t *)(const void *)at, memory_order_acquire);
}

static inline void store_word(unsigned char *at, uint64_t word)
{
	/* release: broadcast.oldest */
	atomic_store_explicit((_Atomic uint64_t *)(void *)at, word, memory_order_release);
}

static inline uint32_t length_in(uint64_t first_word)
{
	return (uint32_t)first_word;
}

static inline uint32_t previous_in(uint64_t first_word)
{
	return (uint32_t)(first_word >> 32) & ~UINT32_C(7);
}

static inline uint32_t flags_in(uint64_t first_word)
{
	return (uint32_t)(first_word >> 32) & 7;
}

/* How many messages are complete with a record of those flags. */
static inline uint64_t completed_by(uint32_t flags)
{
	return flags & IPK_BROADCAST_MORE ? 0 : 1;
}

/* Whether the record at `position` may have been overwritten since. After the loads of its words, which are acquire. */
static inline bool passed(const struct ipk_broadcast *ring, uint64_t position)
{
	/* relaxed: broadcast.oldest; what comes after it is not believed before it is asked again */
	return before(position, atomic_load_explicit(&ring->shm->oldest.position, memory_order_relaxed));
}

/* Count n more, where nobody else of our view counts the same. */
static inline void count(struct ipk_roster_entry_shm *entry, enum ipk_roster_counter counter, uint64_t n)
{
	/* relaxed, both: counters carry nothing */
	uint64_t so_far = atomic_load_explicit(&entry->counter[counter], memory_order_relaxed);

	atomic_store_explicit(&entry->counter[counter], so_far + n, memory_order_relaxed);
}

/* Whether this is the child of a fork, and the roles are our parent's. Not on a view that is unmapped. */
static inline bool forked(const struct ipk_broadcast *ring)
{
	/* relaxed: only fork zeroes it, and the child sees all that came before */
	return !atomic_load_explicit(ring->segment.same_process, memory_order_relaxed);
}

static inline bool is_closed(const struct ipk_broadcast *ring)
{
	/* relaxed: a close at this very moment finds the memory still mapped */
	return atomic_load_explicit(&ring->closed, memory_order_relaxed) != 0 || !ring->shm;
}

static inline void leave(struct ipk_broadcast *ring)
{
	/* release: pairs with enter, the reader's fields go to the next caller, perhaps another thread */
	atomic_store_explicit(&ring->reader.turn, 0, memory_order_release);
}

/* A message is on loan to our caller, who may hand it to another thread. Whoever's turn it is. size: of its record. */
static inline void lend(struct ipk_broadcast *ring, uint64_t size, uint64_t bytes)
{
	ring->reader.loan = size;
	ring->reader.loan_bytes = bytes;
	/* release: pairs with take_loan */
	atomic_store_explicit(&ring->reader.turn, IPK_BROADCAST_ON_LOAN, memory_order_release);
}

/* Have the reading side of the view for ourselves. Returns 0; -EALREADY, -EBUSY, -EBADF, and it is not ours. */
static inline int enter(struct ipk_broadcast *ring)
{
	uint32_t turn = 0;

	if (is_closed(ring))
		return -EBADF;
	if (forked(ring))
		ipk_broadcast_forked(ring);
	/* acquire: pairs with leave; relaxed: nothing is done with a failure */
	if (!atomic_compare_exchange_strong_explicit(&ring->reader.turn, &turn, IPK_BROADCAST_INSIDE, memory_order_acquire,
						     memory_order_relaxed))
		return turn == IPK_BROADCAST_ON_LOAN ? -EBUSY : -EALREADY;
	if (!is_closed(ring))
		return 0;
	leave(ring);
	return -EBADF;
}

#endif
