/* A ring of messages of any length from one producer to one consumer.
 *
 * Object within a segment (offsets from its start; the data lies on its own pages and is mapped twice in a row, so
 * that a record that wraps around is contiguous in memory):
 *
 *   0          128    256    384              512              640      4096
 *   | geometry | tail | head | consumer sleep | producer sleep | roles  | data ... capacity bytes |
 *     creator  producer consumer  both          both             both     producer fills, consumer drains
 *
 * A record is a 32-bit length, 32 bits of flags, and the message, padded to a multiple of 8. Head and tail are
 * free-running byte positions; tail - head bytes are readable. A message is committed by the store of tail and
 * released by the store of head, so a side that is killed in the middle of anything leaves nothing half-done: what the
 * producer had not committed was never there, and what the consumer had not released is delivered to its successor.
 * A reservation is room behind the tail, and nothing in the segment: whoever dies or aborts leaves none.
 *
 * A message that is longer than the ring, or than its users want to see in one piece, is several records (MORE, REST)
 * or one that says which file it is in (FILE), if the creator allowed that. What is in a part is its users' business;
 * calls that are about messages refuse it with -EOVERFLOW. A first part that follows one that announced more tells that
 * the producer in between gave up or died; a part that continues a message is the first that a consumer finds if its
 * predecessor died with the beginning.
 *
 * Sync points:
 *   spsc.full   put     stores tail   (seq_cst) -> take    loads tail   (acquire): the record is readable
 *   spsc.empty  release stores head   (seq_cst) -> put     loads head   (acquire): the bytes are reusable
 *   spsc.end    close   stores state  (seq_cst) -> wait    loads state  (acquire): tail (head) will not move again
 *   spsc.sleep  the store-buffering case, in both directions. A sleeper stores `asleep`, then loads the index; the
 *               other side stores the index, then loads `asleep`. All four are seq_cst, so at least one of the two sees
 *               the other's store: the sleeper does not sleep, or it is woken. With anything weaker both could miss.
 *               Close is the same with the state in place of the index.
 *   spsc.want   sleeper stores `want` (relaxed), then `asleep` (seq_cst) -> waker loads `asleep` (seq_cst), then `want`
 *
 * A waker that is killed between its index and its wake-up costs the sleeper at most one slice (IPK_SLICE_NS); a
 * sleeper that is killed leaves `asleep` set, which costs the other side one needless wake-up.
 *
 * Trust: a peer may write anything into the segment. Geometry is read once and checked; indices and lengths are bounded
 * before each use; garbage yields -EBADMSG or a garbage message, and no access outside the mapping.
 *
 * Who may call: producer calls and consumer calls are independent of each other. Of either kind one at a time: a second
 * one, from another thread or a signal handler, gets -EBUSY and changes nothing.
 */
#ifndef IPCKIT_SPSC_H
#define IPCKIT_SPSC_H

#include <stdatomic.h>
#include <stdint.h>

#include "ipckit/base.h"
#include "ipckit/segment.h"
#include "ipckit/spin.h"

/* cffi: types */
#define IPK_SPSC_MIN_CAPACITY 4096
#define IPK_SPSC_MAX_CAPACITY 2147483648
#define IPK_SPSC_PRODUCER 0
#define IPK_SPSC_CONSUMER 1
#define IPK_SPSC_NEVER 0  /* states of a role: nobody has claimed it yet */
#define IPK_SPSC_OPEN 1   /* claimed; whether its holder lives, the participant slot tells */
#define IPK_SPSC_CLOSED 2 /* its last holder closed it */
/* Options of a ring, chosen by its creator: what is allowed for long messages, and what a full ring without consumer is. */
#define IPK_SPSC_PARTS 1   /* records with MORE and REST */
#define IPK_SPSC_FILES 2   /* records with FILE */
#define IPK_SPSC_PATIENT 4 /* the producer waits for a successor of its consumer, as for a slow one */
#define IPK_SPSC_DROPS 8   /* for the users: they drop what there is no consumer for, and say so with ipk_spsc_drop */
/* Flags of a record. */
#define IPK_SPSC_MORE 1 /* the next record goes on with the message */
#define IPK_SPSC_REST 2 /* goes on with the message of the record before */
#define IPK_SPSC_FILE 4 /* tells which file the message is in */

struct ipk_spsc_stat {
	uint64_t capacity;      /* bytes */
	uint64_t used;          /* bytes between head and tail, record headers included */
	uint64_t head;          /* byte positions, free-running */
	uint64_t tail;
	uint64_t sent;          /* messages committed */
	uint64_t received;      /* messages released */
	uint64_t waiting;       /* messages committed and not released */
	uint64_t bytes_sent;    /* of messages, without headers */
	uint64_t full_waits;    /* times that the producer slept */
	uint64_t empty_waits;   /* times that the consumer slept */
	uint64_t producer_wakes; /* wake-up calls made by the producer */
	uint64_t consumer_wakes;
	uint64_t dropped;       /* messages that the producer gave up for want of a consumer */
	uint64_t skipped;       /* messages committed whose beginning went with a dead consumer */
	uint64_t torn;          /* messages begun by a producer that gave up or died before their end */
	uint64_t recoveries;    /* times that a role was taken over from a dead process */
	uint32_t producer_state;
	uint32_t consumer_state;
	uint32_t options;
};

struct ipk_spsc_part {
	uint64_t offset; /* bytes, in the data */
	uint64_t length; /* bytes */
	uint32_t flags;  /* IPK_SPSC_MORE, IPK_SPSC_REST, IPK_SPSC_FILE; 0: a whole message */
};

struct ipk_slice {
	const void *data;
	uint64_t length; /* bytes */
};
/* cffi: end */

#define IPK_SPSC_LAYOUT 2 /* raised with each change of the object's layout */
#define IPK_SPSC_RECORD_HEADER 8
#define IPK_SPSC_DATA 4096 /* offset in the object */

struct ipk_spsc_index {
	_Alignas(IPK_LINE) _Atomic uint64_t position; /* bytes, free-running; owner of the line only, as all of it */
	_Atomic uint64_t messages;
	_Atomic uint64_t bytes;   /* of messages; producer only */
	_Atomic uint64_t waits;
	_Atomic uint64_t wakes;
	_Atomic uint64_t dropped; /* producer: never sent; consumer: of `messages`, those that nobody received */
	_Atomic uint64_t torn;    /* consumer only */
	_Atomic uint32_t recoveries;
	_Atomic uint32_t cpu; /* where the owner ran last, plus 1; 0: not yet said */
};

struct ipk_spsc_sleep {
	_Alignas(IPK_LINE) _Atomic uint32_t asleep; /* futex; sleeper sets and clears it, waker clears it */
	_Atomic uint32_t want_kib;                  /* sleeper: room that makes a wake-up worth while, rounded down */
};

struct ipk_spsc_roles {
	_Alignas(IPK_LINE) _Atomic uint32_t state[2]; /* holder of the role */
};

struct ipk_spsc_shm {
	uint64_t layout; /* IPK_SPSC_LAYOUT; r/o after create, as all of this line */
	uint64_t capacity; /* power of two */
	uint32_t options;
	struct ipk_spsc_index tail; /* producer */
	struct ipk_spsc_index head; /* consumer */
	struct ipk_spsc_sleep consumer_sleep;
	struct ipk_spsc_sleep producer_sleep;
	struct ipk_spsc_roles roles;
};
_Static_assert(offsetof(struct ipk_spsc_shm, tail) == 1 * IPK_LINE && offsetof(struct ipk_spsc_shm, head) == 2 * IPK_LINE &&
	       offsetof(struct ipk_spsc_shm, consumer_sleep) == 3 * IPK_LINE &&
	       offsetof(struct ipk_spsc_shm, producer_sleep) == 4 * IPK_LINE &&
	       offsetof(struct ipk_spsc_shm, roles) == 5 * IPK_LINE, "the layout drawn above");
_Static_assert(sizeof(struct ipk_spsc_shm) <= IPK_SPSC_DATA, "the data begins on its own page");

/* One side of a view. */
struct ipk_spsc_side {
	_Alignas(64) _Atomic uint32_t busy; /* a call is inside, or a received message is on loan */
	uint32_t held;                      /* the role is claimed by this view */
	uint64_t own;                       /* our index */
	uint64_t peer_seen;                 /* the other's, as last loaded */
	uint64_t loan;                      /* bytes that release() will hand back; consumer only */
	uint64_t loan_messages;
	uint64_t reserved; /* bytes behind own that are being written; 0: none; producer only */
	struct ipk_spin spin;
};

/* A process's view of a ring. */
struct ipk_spsc {
	struct ipk_segment segment;
	struct ipk_spsc_shm *shm;
	unsigned char *data; /* capacity bytes, then the same once more */
	uint64_t capacity;   /* as validated; the segment's own word is not read again */
	uint64_t mask;
	uint32_t options;    /* as validated */
	uint32_t flags;      /* of records, that the options allow */
	_Atomic uint32_t closed;
	struct ipk_spsc_side side[2];
};

/* cffi: types */
struct ipk_spsc;
/* cffi: end */

/* cffi: begin */

/* Make a ring and a view of it. path: NULL for an anonymous one (memfd), else where in /dev/shm it is published.
 *
 * capacity: a power of two, IPK_SPSC_MIN_CAPACITY to IPK_SPSC_MAX_CAPACITY, and no less than a page. options: those
 * above. mode: permission bits, exact. ring: zeroed memory of the caller's. Returns 0; -EEXIST, -ENOSPC, -EINVAL,
 * -errno; then nothing is left.
 */
int ipk_spsc_create(struct ipk_spsc *ring, const char *path, uint64_t capacity, uint32_t options, uint32_t mode);

/* Make a view of the ring behind fd, which becomes the view's own, also on failure.
 * Returns 0; -ENOMSG, -EPROTO as ipk_segment_attach; -errno. */
int ipk_spsc_attach(struct ipk_spsc *ring, int fd);

/* Give back both roles (the peer sees the end of the stream, and wakes), and refuse further calls with -EBADF. A call
 * of another thread that waits is woken, and gets -EBADF when it is made again. The memory stays mapped until
 * ipk_spsc_unmap. Harmless when repeated. Waits for a call that is inside to leave, some milliseconds at most. */
void ipk_spsc_close(struct ipk_spsc *ring);

/* Unmap and close the file; the caller knows that no call is inside and no loan is being read. */
void ipk_spsc_unmap(struct ipk_spsc *ring);

/* In a forked child: let go of the parent's claims now. Calls notice by themselves, but only when they are made. */
void ipk_spsc_forked(struct ipk_spsc *ring);

/* Copy one message in and commit it. Producer. Claims the role at its first call. Does not block.
 *
 * Returns 0; -EAGAIN if there is no room now; -EMSGSIZE if there never will be (more than capacity - 8 bytes); -EBUSY
 * if another process or thread is the producer; -EBADMSG if the segment is corrupt; -EBADF after close.
 */
int ipk_spsc_try_send(struct ipk_spsc *ring, const void *data, uint64_t length);

/* Copy as many of `count` messages as fit, and commit them, at least each eighth of the ring. Does not block.
 * Returns how many, or -errno as try_send (-EAGAIN, -EMSGSIZE: about the first). */
int64_t ipk_spsc_try_send_many(struct ipk_spsc *ring, const struct ipk_slice *messages, uint32_t count);

/* Send one part of a message, as ipk_spsc_try_send does a whole one. flags: what the ring's options allow. bytes: how
 * many bytes of the message this part stands for, for the counter. Returns as try_send; -EINVAL: the flags. */
int ipk_spsc_try_send_part(struct ipk_spsc *ring, const void *data, uint64_t length, uint32_t flags, uint64_t bytes);

/* Give the caller room for a message of `length` bytes, to write in place and end with ipk_spsc_commit or
 * ipk_spsc_abort. Until then every other call of the producer is -EBUSY. Producer. Does not block.
 * Returns 0, and in `given` where the room is; or -errno as try_send, and nothing in `given`. */
int ipk_spsc_try_reserve(struct ipk_spsc *ring, uint64_t length, struct ipk_spsc_part *given);

/* Send the first `length` bytes of the reservation, from any thread that the reservation was handed to. Does not block.
 * Returns 0; -EINVAL: more than was reserved, and the reservation stays; -ESTALE: there is none, as in a forked child. */
int ipk_spsc_commit(struct ipk_spsc *ring, uint64_t length);

/* The same as one part of a message: ipk_spsc_try_send_part. */
int ipk_spsc_commit_part(struct ipk_spsc *ring, uint64_t length, uint32_t flags, uint64_t bytes);

/* End the reservation: there never was a message. Does not block. Returns 0, also where there is none. */
int ipk_spsc_abort(struct ipk_spsc *ring);

/* Count a message that is not sent, for want of a consumer. Producer. Returns 0, or -errno as try_send. */
int ipk_spsc_drop(struct ipk_spsc *ring);

/* Wait until a message of `length` bytes may fit: spin, then sleep, at most one slice. Producer. Blocks.
 *
 * Returns 0: try again. -EAGAIN: the slice is over, or a handler ran (-EINTR): look around and wait again. -ETIMEDOUT: the
 * deadline has passed. -EPIPE: the consumer closed its end. -EOWNERDEAD: it died. -EBUSY, -EMSGSIZE, -EBADF as try_send;
 * -EBADF also when somebody closed our descriptors of the ring, and so nobody can tell us whether the peer lives.
 */
int ipk_spsc_wait_room(struct ipk_spsc *ring, uint64_t length, int64_t deadline_ns);

/* Lend the oldest message to the caller, who ends the loan with ipk_spsc_release. Consumer. Claims the role at its
 * first call. Does not block.
 *
 * Returns offset << 32 | length of the message in the data; -EAGAIN if there is none; -EOVERFLOW if it is in parts or
 * in a file (ipk_spsc_try_receive_part); -EBUSY if another process or thread is the consumer or has a loan; -EBADMSG;
 * -EBADF.
 */
int64_t ipk_spsc_try_receive(struct ipk_spsc *ring);

/* Lend the oldest messages, at most `count`, and none after those that fill an eighth of the ring or 128 KiB: message i
 * lies from bounds[2 * i] to bounds[2 * i + 1] in the data. Returns how many, or -errno as try_receive. */
int64_t ipk_spsc_try_receive_many(struct ipk_spsc *ring, uint64_t *bounds, uint32_t count);

/* Copy the oldest message into `size` bytes of the caller's, and release it. Consumer. Does not block.
 * Returns its length; -EMSGSIZE if it is longer, and it stays in the ring; -errno as try_receive. */
int64_t ipk_spsc_try_receive_into(struct ipk_spsc *ring, void *into, uint64_t size);

/* Lend the oldest record, be it a message or a part of one. The loan ends with ipk_spsc_release, ipk_spsc_skip_part or
 * ipk_spsc_return_loan. Consumer. Does not block. Returns 0, or -errno as try_receive and nothing in `lent`. */
int ipk_spsc_try_receive_part(struct ipk_spsc *ring, struct ipk_spsc_part *lent);

/* End the loan of a part whose message nobody will ever have; counted if it is the last one. Does not block. Returns 0. */
int ipk_spsc_skip_part(struct ipk_spsc *ring);

/* Count a message whose parts stopped before the end. Consumer. Returns 0, or -errno as try_receive. */
int ipk_spsc_forget(struct ipk_spsc *ring);

/* Wait until there is a message: spin, then sleep, at most one slice. Consumer. Blocks.
 * Returns as wait_room; -EPIPE and -EOWNERDEAD only when all that was sent has been received. */
int ipk_spsc_wait_message(struct ipk_spsc *ring, int64_t deadline_ns);

/* End the loan: the message is received, its space is the producer's again. Does not block. Returns 0. */
int ipk_spsc_release(struct ipk_spsc *ring);

/* End the loan and keep the message in the ring. Does not block. Returns 0. */
int ipk_spsc_return_loan(struct ipk_spsc *ring);

/* Where the data lies in this process (two times capacity bytes), for reading loans. */
void *ipk_spsc_data(struct ipk_spsc *ring);

/* Bytes that the ring holds; 0 after unmap. */
uint64_t ipk_spsc_capacity(const struct ipk_spsc *ring);

/* The file of the ring; -1 after unmap. */
int ipk_spsc_fd(const struct ipk_spsc *ring);

/* Spin for so long before sleeping, in ns; 0 never spins. */
void ipk_spsc_set_spin(struct ipk_spsc *ring, int64_t budget_ns);

/* A snapshot that disturbs nobody; counters of two sides may be of slightly different moments. Returns 0 or -EBADF. */
int ipk_spsc_stat(const struct ipk_spsc *ring, struct ipk_spsc_stat *stat);

/* cffi: end */

#endif
