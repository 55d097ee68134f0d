/* What the objects of synchronisation have in common: the header in shared memory, and a process's view.
 *
 * An object lies anywhere in a file of shared memory, at a multiple of IPK_SYNC_ALIGNMENT, in a segment of its own
 * or among others in memory of the user's. It needs no more than its own bytes; that a process lives, the file tells (member.h).
 *
 *   0               64
 *   | header        | what the kind of object needs ... |
 *     maker, then r/o
 *
 * An object is made in zeroed bytes: the maker puts its id into them, formats them, and stores the magic last. A
 * maker that is killed leaves bytes that the next one takes over.
 *
 * Sync points:
 *   sync.ready  publish stores magic (release) -> attach loads magic (acquire): the object is complete
 *
 * Trust: whoever may write the memory may write anything. The header is read once, at attach; what later calls read from
 * the object is bounded there. Garbage yields errors, waits that end by their deadline, or a lock that two own; never an access
 * outside the object.
 */
#ifndef IPCKIT_SYNC_H
#define IPCKIT_SYNC_H

#include <stdatomic.h>
#include <stdint.h>

#include "ipckit/member.h"
#include "ipckit/spin.h"

/* cffi: types */
#define IPK_SYNC_ALIGNMENT 64
#define IPK_SYNC_MUTEX 1
#define IPK_SYNC_RWLOCK 2
#define IPK_SYNC_CONDITION 3
#define IPK_SYNC_SEMAPHORE 4
#define IPK_SYNC_TRACKED_SEMAPHORE 5
#define IPK_SYNC_EVENT 6
#define IPK_SYNC_EVENT_PAIR 7
#define IPK_SYNC_BARRIER 8
#define IPK_SYNC_LATCH 9
#define IPK_SYNC_ONCE 10
#define IPK_SYNC_ATOMIC_INT64 11
#define IPK_SYNC_ATOMIC_UINT64 12
#define IPK_SYNC_FUTEX 13

struct ipk_sync_info {
	uint64_t magic; /* as found */
	uint64_t id[2];
	uint64_t size;    /* bytes, header included */
	uint32_t kind;    /* IPK_SYNC_..., 0 if it is none of ours */
	uint32_t version; /* of the layout */
	uint32_t options; /* as the kind has them */
	uint32_t count;   /* of what the kind has a number of: waiters, readers, parties */
};

struct ipk_sync;
/* cffi: end */

#define IPK_SYNC_VERSION 2

struct ipk_sync_shm {
	_Atomic uint64_t magic; /* maker, last: sync.ready; then r/o like the rest */
	uint64_t device, inode; /* of the file that tells whether members live: not told by another one */
	uint64_t id[2];         /* random: tells this object from a later one at the same place */
	uint32_t size;          /* bytes, header included */
	uint32_t options;
	uint32_t count;
	uint32_t reserved[3];
};
_Static_assert(sizeof(struct ipk_sync_shm) == IPK_SYNC_ALIGNMENT, "what the kind needs begins on its own line");

/* A process's view of one object. Any thread may use it at any time; init and close are the caller's to order. */
struct ipk_sync {
	struct ipk_sync_shm *object;
	struct ipk_member *member;
	uint32_t options, count; /* as validated; the object's own words are not read again */
	_Atomic uint32_t held;   /* the thread that took the lock through this view, while it has it; 0: none */
	_Atomic uint32_t slot;   /* our entry of the object's table of holders, plus 1; 0: none yet (holders.h) */
	_Atomic uint32_t moved;  /* whoever has `held`: a condition has moved one waiter over to our word, whose flag does not say so */
	struct ipk_spin spin;
};

/* cffi: begin */

/* Begin to make an object of so many bytes in zeroed ones: whoever gets 0 has all but the header zeroed, formats it, and
 * calls ipk_sync_publish. Does not block.
 *
 * Returns 0; -EEXIST if there is an object already; -EAGAIN if another process is making one; -ENOTEMPTY if the bytes
 * are neither zero nor an object; -errno as ipk_member_join. */
int ipk_sync_begin(void *place, struct ipk_member *member, uint64_t size);

/* Complete what ipk_sync_begin began. kind, options, count, size: of the object. Returns 0, -errno of getrandom(2). */
int ipk_sync_publish(void *place, struct ipk_member *member, uint32_t kind, uint32_t options, uint32_t count,
		     uint32_t size);

/* Read the header of the bytes at place, whatever they are. Does not block. Returns 0; -ENOENT if they are zero, or what a dead maker left;
 * -EAGAIN if another process is making it; -ENOMSG if they are no object of ours. */
int ipk_sync_inspect(const void *place, const struct ipk_member *member, struct ipk_sync_info *info);

/* Make a view of the object at place, of which `room` bytes are ours to touch. view: zeroed memory.
 *
 * Returns 0; as ipk_sync_inspect; -EPROTO if kind, version or size are not what they should be; -EXDEV if other
 * members' lives are told by another file than ours. */
int ipk_sync_attach(struct ipk_sync *view, void *place, uint64_t room, struct ipk_member *member, uint32_t kind);

/* Where the object of a view is. */
void *ipk_sync_place(const struct ipk_sync *view);

/* Spin for so long before sleeping, in ns; 0 never spins. */
void ipk_sync_set_spin(struct ipk_sync *view, int64_t budget_ns);

/* The bytes of an object of that kind, with so many of what the kind has a number of; 0 if there is no such object. */
uint64_t ipk_sync_size(uint32_t kind, uint32_t count);

/* cffi: end */

#endif
