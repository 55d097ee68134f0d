/* A ring of messages of any length from one or more writers to any number of readers, each of whom sees every message.
 *
 * Object within a segment (offsets from its start; the data lies on its own pages and is mapped twice in a row, so
 * that a record that wraps around is contiguous in memory):
 *
 *   0          128           256    384      512             640             768
 *   | geometry | writer lock | tail | oldest | readers sleep | writers sleep | roster: ends, entries | data ... capacity |
 *     creator    writers       writer writer   both            both            every participant       writer
 *
 * A record begins at a multiple of 8, takes a multiple of 8, and no more than half of the ring:
 *
 *   0             4                         8          16
 *   | length      | size of the record      | sequence | message, padded
 *   | of the msg. | before, 0: the first one| from 0   |
 *
 * Sizes are multiples of 8, so the lowest three bits of that of the record before are free: IPK_BROADCAST_MORE ... of this
 * record. The sequence counts messages: how many complete ones there were before.
 *
 * What becomes of a message that takes more than half of the ring is the creator's choice. It is refused; or it is sent in parts,
 * one record each, MORE on all but the last and REST on all but the first; or it lies in a file, and one record, FILE,
 * tells in which. A writer of parts keeps the writer lock from the first to the last, so nobody's record comes between. If
 * it gives up or is killed, the next record is no REST: there never was a message, and readers forget what they have. A
 * reader that begins amid a message passes over the rest. Parts are only for a ring that blocks: on the others they would
 * overwrite one another before a reader that slept could have them. What a file record leaves to its file counts as an eighth of the ring, so
 * that no more than eight files are retained; who makes the files removes those that the ring has got past (ipk_broadcast_forsaken).
 *
 * Positions are free-running counts of bytes. Records lie one behind the other from `oldest` to `tail`; what lies there is
 * retained, whether or not anybody has still to read it, so that a late joiner can have it. A writer holds the writer lock from
 * its look at the tail to the store of the tail, and that store commits the message. So a writer that is killed
 * at any instruction leaves a message that is there as a whole, or not at all, and nothing to repair: `last`, which leads
 * to the newest record, may then be one step behind, and every writer follows the records from there to the tail.
 *
 * A reader is an entry of the roster with the consumer's role; its cursor is the position of what it receives next.
 * To make room the writer drops the oldest records, at least a sixteenth of the ring at once, but never the newest one:
 *
 *   block       none that a reader has still to read: then there is no room. `bound` is a position that no cursor is before; the
 *               writer looks at the cursors only when the bound is in its way, once in a turn of the ring if readers keep up
 *   overwrite   whatever is in the way. A reader that is passed goes on with the oldest record; the sequences tell how many it lost
 *   disconnect  the same, but a reader that is passed receives no more until it subscribes again
 *
 * So on the latter two no reader can ever stop a writer, and the writer does not look at readers at all.
 *
 * A reader of such a ring that wakes in the middle of a copy, after a stop of any length, may have copied what writers were writing. The
 * writer moves `oldest` beyond a record before it touches its bytes; the reader looks at `oldest` after its copy, and
 * if that is beyond the record it discards what it has. Both copy by words of 8 bytes, each stored with release and loaded with
 * acquire: a reader that has seen one new word sees the `oldest` of before as well. (What user code writes into a
 * reservation are plain stores. They come after a seq_cst store and a seq_cst load of `oldest`, which no processor lets them pass.)
 * Readers never write into the data, so one that wakes late can harm nobody.
 *
 * A writer that wakes after a long stop still holds the lock: nobody else has written meanwhile, the others have timed out.
 *
 * Subscribing without history takes no lock: the reader takes the role, then looks where the tail is, and begins there. A writer
 * that did not see the role has a bound no later than that tail. With history on a ring that blocks it takes the writer lock.
 *
 * Sync points:
 *   broadcast.tail   commit stores position (seq_cst) -> receive loads position (acquire): the records before it are complete
 *   broadcast.last   commit stores last (release)     -> join loads last (acquire): the record there is complete, and position beyond it
 *   broadcast.oldest make room stores oldest, then words of the data (release) -> a reader loads words (acquire), then oldest; one
 *                    that was passed loads oldest (acquire), then words of the record there
 *   broadcast.cursor receive stores cursor (seq_cst)  -> make room loads cursor (acquire): the bytes before it are reusable
 *   broadcast.join   subscribe stores the role (seq_cst), then loads position (seq_cst); make room loads the roles (seq_cst)
 *                    after its store of position (seq_cst): a reader that it did not see begins no earlier than at its tail
 *   broadcast.sleep  the store-buffering case of sleepers.h, in both directions: position or an end of the roster for readers,
 *                    a cursor or a role for writers
 *   broadcast.want   a writer that is about to sleep stores `want`, then announces itself (seq_cst) -> a reader that finds it
 *                    announced (seq_cst) loads `want`: it wakes when its own cursor passes that, so once in each sleep
 *                    (Whoever sleeps has a reader before `want`. Whoever does not sleep after all, or stores a `want` over one
 *                    that all readers have passed, wakes the others, whose `want` that was.)
 *
 * A waker that is killed between its change and its wake-up costs the sleepers at most one slice (IPK_SLICE_NS).
 *
 * Trust: a peer may write anything into the segment. Geometry is read once and checked; indices and lengths are bounded
 * before each use; garbage yields -EBADMSG, a garbage message or a wait, and no access outside the mapping.
 *
 * Who may call: any thread, but for create, attach and unmap. The view is one writer and one reader: threads that share it
 * write one after the other, and share the messages that it receives.
 */
#ifndef IPCKIT_BROADCAST_H
#define IPCKIT_BROADCAST_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "ipckit/base.h"
#include "ipckit/lock.h"
#include "ipckit/member.h"
#include "ipckit/roster.h"
#include "ipckit/segment.h"
#include "ipckit/sleepers.h"
#include "ipckit/spin.h"
#include "ipckit/spsc.h" /* struct ipk_slice */

/* cffi: types */
#define IPK_BROADCAST_MIN_CAPACITY 4096
#define IPK_BROADCAST_MAX_CAPACITY 2147483648
#define IPK_BROADCAST_BLOCK 0 /* what becomes of a slow reader */
#define IPK_BROADCAST_OVERWRITE 1
#define IPK_BROADCAST_DISCONNECT 2
#define IPK_BROADCAST_PARTS 4 /* what becomes of a long message; or'ed to IPK_BROADCAST_BLOCK */
#define IPK_BROADCAST_FILES 8 /* or'ed to any of the three */
#define IPK_BROADCAST_MORE 1  /* of a record: other parts of the message follow */
#define IPK_BROADCAST_REST 2  /* it is not the first part */
#define IPK_BROADCAST_FILE 4  /* the message is in a file */

struct ipk_broadcast_stat {
	uint64_t capacity;       /* bytes */
	uint64_t used;           /* bytes from the oldest record to the tail */
	uint64_t sent;           /* messages committed */
	uint64_t received;       /* messages, by all readers that ever were */
	uint64_t bytes_sent;     /* of messages, without headers */
	uint64_t bytes_received;
	uint64_t full_waits;     /* times that a writer slept for room */
	uint64_t empty_waits;    /* times that a reader slept */
	uint64_t wakes;          /* wake-up calls */
	uint64_t lost;           /* messages that readers were told they lost */
	uint64_t recoveries;     /* writers that died with the lock */
	uint64_t depth;          /* messages that wait for this view; 0 if it is no reader */
	uint32_t producers;      /* participants with that role, alive or not yet buried */
	uint32_t consumers;      /* the same, and on a ring that disconnects still connected */
	uint32_t policy;
	uint32_t participants;   /* how many there may be */
	uint32_t oversize;       /* IPK_BROADCAST_PARTS, _FILES or 0 */
};

struct ipk_broadcast_claim {
	uint64_t offset; /* of the room, or of the message, in the data */
	uint64_t length; /* bytes */
	uint64_t position; /* of the record in the stream; only of a reservation */
	uint32_t taken;  /* 1: the claim is the caller's to end */
};

struct ipk_broadcast_part {
	uint64_t offset;   /* of its content in the data */
	uint64_t length;   /* bytes */
	uint64_t position; /* of the record in the stream */
	uint64_t after;    /* of the record behind it */
	uint64_t sequence; /* of the record behind it */
	uint64_t file[3];  /* FILE: its first words */
	uint32_t flags;    /* IPK_BROADCAST_MORE ... */
	uint32_t taken;    /* 1: the part is the caller's to end; 2: as a loan */
};
/* cffi: end */

#define IPK_BROADCAST_RECORD_HEADER 16

struct ipk_broadcast_tail {
	_Alignas(IPK_LINE) _Atomic uint64_t position; /* holder of the writer lock, as all of the line */
	_Atomic uint64_t last;                        /* position of the newest record, or of one a few before it; position: none yet */
	_Atomic uint64_t messages;                    /* committed, for people */
	_Atomic uint32_t cpu;                         /* where a writer ran last, plus 1; 0: not yet said */
};

struct ipk_broadcast_oldest {
	_Alignas(IPK_LINE) _Atomic uint64_t position; /* holder of the writer lock, as all of the line */
	_Atomic uint64_t bound;                       /* block: no reader's cursor is before it */
	_Atomic uint64_t want;                        /* block: the cursor that makes it worth while to wake a writer */
};

struct ipk_broadcast_sleep {
	_Alignas(IPK_LINE) struct ipk_sleepers_shm sleepers;
};

struct ipk_broadcast_shm {
	uint64_t capacity; /* power of two; r/o after create, as all of the line */
	uint32_t participants;
	uint32_t policy; /* with PARTS or FILES */
	_Alignas(IPK_LINE) struct ipk_lock_shm lock; /* writers */
	struct ipk_broadcast_tail tail;
	struct ipk_broadcast_oldest oldest;
	struct ipk_broadcast_sleep readers;
	struct ipk_broadcast_sleep writers;
	struct ipk_roster_shm roster; /* its entries follow, then the data on its own page */
};
_Static_assert(offsetof(struct ipk_broadcast_shm, lock) == 1 * IPK_LINE && offsetof(struct ipk_broadcast_shm, tail) == 2 * IPK_LINE &&
	       offsetof(struct ipk_broadcast_shm, oldest) == 3 * IPK_LINE &&
	       offsetof(struct ipk_broadcast_shm, readers) == 4 * IPK_LINE &&
	       offsetof(struct ipk_broadcast_shm, writers) == 5 * IPK_LINE &&
	       offsetof(struct ipk_broadcast_shm, roster) == 6 * IPK_LINE &&
	       sizeof(struct ipk_broadcast_shm) == 7 * IPK_LINE, "the layout drawn above");

/* The writing side of a view. Fields but the spin: of the thread that holds the writer lock. */
struct ipk_broadcast_writer {
	_Alignas(64) struct ipk_spin spin;
	_Atomic uint32_t reserved; /* a reservation is open; whoever clears it ends it */
	uint64_t at;               /* position of its record */
	uint64_t length;           /* bytes of message that there is room for */
	uint64_t previous;         /* size of the record before */
	uint64_t sequence;
	uint32_t amid;             /* of a message in parts: the lock is kept for the next one */
};

/* The reading side of a view. Fields but turn, position, told and spin: of the thread whose turn it is. */
struct ipk_broadcast_reader {
	_Alignas(64) _Atomic uint32_t turn; /* futex; 0: free, else IPK_BROADCAST_INSIDE or _ON_LOAN */
	_Atomic uint32_t state;             /* enum ipk_broadcast_state */
	_Atomic uint64_t position;          /* our cursor */
	_Atomic uint64_t sequence;          /* of the next message; block: not known before the first one was received */
	uint64_t tail_seen;
	uint64_t loan; /* bytes that release() will pass */
	uint64_t loan_bytes; /* bytes of the message on loan, for the counter */
	_Atomic uint64_t told; /* messages lost, and the caller was told so */
	struct ipk_spin spin;
};

#define IPK_BROADCAST_INSIDE 1U
#define IPK_BROADCAST_ON_LOAN 2U

enum ipk_broadcast_state {
	IPK_BROADCAST_STRANGER,   /* its first receive subscribes */
	IPK_BROADCAST_SUBSCRIBED,
	IPK_BROADCAST_CUT_OFF,    /* only subscribing again helps */
};

/* A process's view of a ring. */
struct ipk_broadcast {
	struct ipk_segment segment;
	struct ipk_member member;
	struct ipk_roster roster;
	struct ipk_broadcast_shm *shm;
	unsigned char *data; /* capacity bytes, then the same once more */
	uint64_t capacity;   /* as validated, as all of the geometry; the segment's own words are not read again */
	uint64_t mask;
	uint32_t policy;
	uint32_t oversize;
	uint32_t flags;      /* of records, that the choice allows */
	_Atomic uint32_t closed;
	struct ipk_broadcast_writer writer;
	struct ipk_broadcast_reader reader;
};

/* cffi: types */
struct ipk_broadcast;
/* cffi: end */

/* cffi: begin */

/* Make a ring and a view of it. path: NULL for an anonymous one (memfd), else where in /dev/shm it is published.
 *
 * capacity: a power of two, IPK_BROADCAST_MIN_CAPACITY to IPK_BROADCAST_MAX_CAPACITY, and no less than a page. policy:
 * IPK_BROADCAST_BLOCK ..., with IPK_BROADCAST_PARTS or _FILES. participants: how many views may be writers or readers at a time, 1 to IPK_ROSTER_MAX. mode:
 * permission bits, exact. ring: zeroed memory of the caller's. Returns 0; -EEXIST, -ENOSPC, -EINVAL, -errno; then nothing is left.
 */
int ipk_broadcast_create(struct ipk_broadcast *ring, const char *path, uint64_t capacity, uint32_t policy,
			 uint32_t participants, uint32_t mode);

/* Make a view of the ring behind fd, which becomes the view's own, also on failure.
 * Returns 0; -ENOMSG, -EPROTO as ipk_segment_attach; -errno. */
int ipk_broadcast_attach(struct ipk_broadcast *ring, int fd);

/* Give up both roles (readers see the end of the stream if we were the last writer, and wake; so do writers that waited for us),
 * and refuse further calls with -EBADF. A call of another thread that waits ends with it within a slice. The memory stays
 * mapped until ipk_broadcast_unmap. Harmless when repeated. Waits for calls that are inside to leave, some milliseconds at most. */
void ipk_broadcast_close(struct ipk_broadcast *ring);

/* Unmap and close the file; the caller knows that no call is inside and no claim is being used. */
void ipk_broadcast_unmap(struct ipk_broadcast *ring);

/* In a forked child: let go of the parent's claims now. Calls notice by themselves, but only when they are made. */
void ipk_broadcast_forked(struct ipk_broadcast *ring);

/* Copy one message in and commit it. Claims the writer's role at the first call. Does not block.
 *
 * Returns 0; -EAGAIN if there is no room now, or another writer is inside; -EMSGSIZE if there never will be (a record of more than
 * half the ring); -EBUSY if this thread has a reservation; -ENOSPC if the roster is full of living participants; -EBADMSG if the
 * segment is corrupt; -EBADF after close.
 */
int ipk_broadcast_try_send(struct ipk_broadcast *ring, const void *data, uint64_t length);

/* Copy as many of `count` messages as there is room for, and commit them, at least each eighth of the ring. Does not block.
 * Returns how many, or -errno as try_send (about the first). */
int64_t ipk_broadcast_try_send_many(struct ipk_broadcast *ring, const struct ipk_slice *messages, uint32_t count);

/* Take room for a message of `length` bytes, to be written in place, and with it the writer lock: until commit or abort other
 * writers wait. Does not block. claim: zeroed. Returns 0, or -errno as try_send. */
int ipk_broadcast_try_reserve(struct ipk_broadcast *ring, uint64_t length, struct ipk_broadcast_claim *claim);

/* Commit the first `length` bytes of the reservation, or end it without a trace. Any thread. Does not block.
 * Returns 0; -EINVAL if there is none (forked, closed), or it is longer than that; -EPERM if others took us for dead. */
int ipk_broadcast_commit(struct ipk_broadcast *ring, uint64_t length);
int ipk_broadcast_abort(struct ipk_broadcast *ring);

/* Commit as ipk_broadcast_commit does, what is one record of a message of `bytes` bytes; flags: of the record. claim: that of the
 * reservation, which is no longer taken; or NULL. */
int ipk_broadcast_commit_part(struct ipk_broadcast *ring, uint64_t length, uint32_t flags, uint64_t bytes,
			      struct ipk_broadcast_claim *claim);

/* Send one part of a message of `bytes` bytes, as ipk_broadcast_try_send does a whole one. After one with MORE the writer lock
 * stays with this thread, and *amid is 1, until it has sent the last one (0), or gives up with ipk_broadcast_end_parts. Does not block.
 * Returns as try_send; -EAGAIN amid a message changes nothing; -EINVAL: the flags; -EPERM: the lock is not this thread's. */
int ipk_broadcast_try_send_part(struct ipk_broadcast *ring, const void *data, uint64_t length, uint32_t flags, uint64_t bytes,
				uint32_t *amid);

/* Send no more of the message that this thread is amid: there never was one. Does not block. Returns 0; -EINVAL: there is none. */
int ipk_broadcast_end_parts(struct ipk_broadcast *ring);

/* Wait until a message of `length` bytes may be sent: spin, then sleep, at most one slice for the lock and one for room. Blocks.
 *
 * Returns 0: try again. -EAGAIN: the slice is over, or a handler ran (-EINTR): look around and wait again. -ETIMEDOUT: the
 * deadline has passed, and readers have still to read what is in the way. -ETIME: it has passed, and another writer, which lives,
 * has the lock (ipk_broadcast_holder). Amid a message in parts the lock stays ours. -EMSGSIZE, -EBUSY, -ENOSPC, -EBADMSG, -EBADF as try_send; -EBADF also when somebody closed
 * our descriptors of the ring, and so nobody can tell us who lives. */
int ipk_broadcast_wait_room(struct ipk_broadcast *ring, uint64_t length, int64_t deadline_ns);

/* Become a reader, from the next message on, or of the newest `history` messages too, as far as they are retained. One that
 * is a reader begins anew. Does not block.
 *
 * Returns how many older messages it will get; -EAGAIN if a writer is inside (only with history on a ring that blocks): then
 * nothing has changed; -EALREADY if another thread is inside with this view; -EBUSY if it has a message on loan, or our thread a
 * reservation; -ENOSPC; -EBADMSG; -EBADF. */
int64_t ipk_broadcast_subscribe(struct ipk_broadcast *ring, uint64_t history);

/* Wait until no writer is inside, at most a slice, or until the other thread is gone. Blocks. Returns as wait_room. */
int ipk_broadcast_wait_subscribe(struct ipk_broadcast *ring, int64_t deadline_ns);

/* Be a reader no more. Does not block. Returns 1; 0 if it was none; -EALREADY, -EBUSY, -EBADF as subscribe. */
int ipk_broadcast_unsubscribe(struct ipk_broadcast *ring);

/* Copy the next message into `into`, and pass it. Subscribes at the first call. Does not block.
 *
 * Returns its length; -EMSGSIZE if that is more than size: it is still the next one, and ipk_broadcast_next_length tells how
 * long it is; -EAGAIN if there is none; -ESTALE if messages were overwritten before we had read them: as many as ipk_broadcast_told
 * tells, and until that is asked there is nothing else; -EOVERFLOW if it is in parts or in a file (ipk_broadcast_try_part);
 * -ECONNRESET: disconnected, until subscribe; -EALREADY if another thread is inside with this
 * view; -EBUSY if it has a message on loan; -ENOSPC; -EBADMSG; -EBADF. */
int64_t ipk_broadcast_try_receive(struct ipk_broadcast *ring, void *into, uint64_t size);

/* Copy messages one behind the other into `into`, at most `count` and as many as fit: message i ends at ends[i].
 * Returns how many, or -errno as try_receive (about the first). A batch never goes beyond a gap. */
int64_t ipk_broadcast_try_receive_many(struct ipk_broadcast *ring, void *into, uint64_t size, uint64_t *ends, uint32_t count);

/* How long the next message is, without passing it. Returns as try_receive, without -EMSGSIZE. */
int64_t ipk_broadcast_next_length(struct ipk_broadcast *ring);

/* How many messages were lost since this was last asked, as far as receive has noticed: then receive goes on. */
uint64_t ipk_broadcast_told(struct ipk_broadcast *ring);

/* Lend the next message to the caller, who ends the loan with release (it is passed) or return_loan (it is still the next one).
 * Only on a ring that blocks; else -EOPNOTSUPP. Does not block. claim: zeroed. Returns 0, or -errno as
 * try_receive. */
int ipk_broadcast_try_lend(struct ipk_broadcast *ring, struct ipk_broadcast_claim *claim);
int ipk_broadcast_release(struct ipk_broadcast *ring);
int ipk_broadcast_return_loan(struct ipk_broadcast *ring);

/* Take the reading side of the view, for the next record, be it a message or a part of one, and end that with one of the
 * four below; until then other calls of a receiver are -EALREADY. On a ring that blocks no writer touches the record meanwhile; on the others
 * only `file` is to be relied on. Does not block. part: zeroed. Returns 0, or -errno as try_receive and nothing is taken. */
int ipk_broadcast_try_part(struct ipk_broadcast *ring, struct ipk_broadcast_part *part);

/* Pass the record: received is a message of `bytes` bytes that it completes, or with -1 none. Does not block.
 * Returns 0; -EINVAL: it is not taken (forked). */
int ipk_broadcast_pass_part(struct ipk_broadcast *ring, struct ipk_broadcast_part *part, int64_t bytes);

/* Pass the record, and count its message as lost. As pass_part. */
int ipk_broadcast_skip_part(struct ipk_broadcast *ring, struct ipk_broadcast_part *part);

/* The record is still the next one. As pass_part. */
int ipk_broadcast_return_part(struct ipk_broadcast *ring, struct ipk_broadcast_part *part);

/* Make a loan of it, as of a message of `bytes` bytes that it completes: release and return_loan end that. Only on a ring that
 * blocks. As pass_part. */
int ipk_broadcast_lend_part(struct ipk_broadcast *ring, struct ipk_broadcast_part *part, uint64_t bytes);

/* Whether nothing in the ring tells, or will tell, of a record at that position, where there was once to be one: the ring has got past it, or
 * its writer gave up or died. Looks at the writer lock; does not block. Returns 1; 0 also if it is not known; -errno. */
int ipk_broadcast_forsaken(struct ipk_broadcast *ring, uint64_t position);

/* Whether nobody that lives is a writer or a reader. Also after close. Asks the kernel. Returns 1 or 0. */
int ipk_broadcast_alone(struct ipk_broadcast *ring);

/* Wait until there is a message: spin, then sleep, at most one slice. Blocks.
 *
 * Returns 0: try again. -EAGAIN, -EINTR, -ETIMEDOUT, -EBADF as wait_room. -EPIPE: all was received, and the last writer closed
 * its end. -EOWNERDEAD: it died. -ENOSPC, -EBADMSG, -EBUSY, -ECONNRESET as try_receive. */
int ipk_broadcast_wait_message(struct ipk_broadcast *ring, int64_t deadline_ns);

/* Where the data lies in this process (two times capacity bytes), for claims. */
void *ipk_broadcast_data(struct ipk_broadcast *ring);

/* The file of the ring; -1 after unmap. */
int ipk_broadcast_fd(const struct ipk_broadcast *ring);

/* Spin for so long before sleeping, in ns; 0 never spins. */
void ipk_broadcast_set_spin(struct ipk_broadcast *ring, int64_t budget_ns);

/* The process that has the writer lock, and the reader that is the furthest behind, for people; 0: nobody, or not known. */
uint32_t ipk_broadcast_holder(const struct ipk_broadcast *ring);
uint32_t ipk_broadcast_slowest(const struct ipk_broadcast *ring);

/* Bury the participants that are dead, so that stat counts the living. Asks the kernel. Returns how many, or -EBADF. */
int ipk_broadcast_bury(struct ipk_broadcast *ring);

/* A snapshot that disturbs nobody; counters may be of slightly different moments. Returns 0 or -EBADF. */
int ipk_broadcast_stat(const struct ipk_broadcast *ring, struct ipk_broadcast_stat *stat);

/* cffi: end */

#endif
