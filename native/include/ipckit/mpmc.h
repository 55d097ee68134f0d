/* A ring of messages of any length, from any number of producers to any number of consumers, each message to one of them.
 *
 * Object within a segment (offsets from its start; the data lies on its own pages and is mapped twice in a row):
 *
 *   0          128               256    384                  512    640             768           896
 *   | geometry | send lock, seen | tail | receive lock, taken | free | waiting for   | waiting for | roster ... | data ...
 *     creator    producers        prod.   consumers            cons.   messages: all   room: all     participants  capacity bytes
 *
 * A place is a byte position and a number of messages in one word, so that one store moves both:
 *
 *   63          32 31               0
 *   | messages    | position / 8     |    both free-running
 *
 *        free            taken           tail
 *   ------|---------------|---------------|-------    free <= taken <= tail <= free + capacity
 *   room  | nobody's to   | to be taken   | room
 *         | take: TAKEN,  | READY,        |
 *         | FREE ...      | WRITING ...   |
 *
 * A record is a word and the message, padded to a multiple of 8:
 *
 *   63     60 59        32 31    30      0
 *   | state  | member id  | tag | length  |
 *
 *   WRITING  its producer copies, or has reserved it             PAD   the rest of a reservation that was shortened;
 *   READY    to be taken                                              no message, all the others count as one
 *   TAKEN    its consumer copies, or has it on loan              ABORTED  there never was a message
 *   FREE     received
 *
 * What happens, in steps each of which is one store or one exchange of a word:
 *
 *   send     under the send lock: look for room, write the record as READY, store tail. That store commits it.
 *   claim    (long messages, reserve) under the send lock: look for room, write WRITING | id, store tail. Copy without the lock.
 *   commit   WRITING | own id -> READY. What is not used becomes PAD first.          abort   WRITING | own id -> ABORTED
 *   receive  under the receive lock: find the oldest READY record from taken on, but not behind a WRITING one; copy, store
 *            free (or mark it FREE where something before it is not free), store taken. The first of these receives it.
 *   take     (long messages, peek) under the receive lock: find it, READY -> TAKEN | own id, store taken. Read without the lock.
 *   release  TAKEN | own id -> FREE; under the receive lock: move free over FREE, ABORTED and PAD.
 *   return   TAKEN | own id -> READY; under the receive lock: move taken back to it.
 *
 * So order is kept over all claims, whoever made them: a consumer takes messages in the order in which their space was claimed, and
 * what one producer sent arrives in the order in which it sent it. (Only what a dead consumer had taken may come after what was claimed
 * later: others go on until they notice.) A record that a slow user writes in place holds up those who
 * would receive what was claimed later; one that is read in place, only those who need its space again.
 *
 * Death. A process that is killed has left each of those words as it was or as it should be. If it had a lock, the next one takes
 * it over, and finds nothing to repair: what the words before tail say is what has happened. What it claimed and did not
 * commit is ABORTED by whoever is stopped by it; what it had taken and not released becomes READY again, and taken is moved back
 * (IPK_MPMC_REDELIVER), or FREE and is counted as lost (IPK_MPMC_LOSE). They ask the kernel whether it is dead once in a slice.
 * A READY record before taken (somebody was killed in the middle of putting it back) is found in the same walk.
 *
 * Nobody writes into space that is no longer its own, however long it was stopped:
 *   1. Bytes of the ring are written only by (a) the owner of the send lock, from tail on as far as there is room, and (b) the owner of
 *      a WRITING record, inside it. Marks of records (8 bytes) are written by their owners, by exchange of a word with their own
 *      id, and by the owner of the receive lock between free and tail.
 *   2. (a) A lock passes to another one only when its owner gives it back, or is dead. As long as it lives, stopped or not, nobody else
 *      moves tail, and free only grows: the room that it found is room still.
 *   3. (b) A producer claims only what lies in front of free + capacity, and free passes a record only when it is FREE, ABORTED or PAD.
 *      A WRITING record becomes one of these by its owner, or when its owner is dead. So its space is given to nobody
 *      else while its owner can write. The same holds for TAKEN and reading.
 *   4. Dead is what the kernel says is dead: the lock on the member's byte of the file is gone, and its recorded process does not run
 *      (member.h). The exception is that of member.h: a process in another pid namespace, whose descriptors of the ring somebody has
 *      closed. It learns of it by the exchange that fails, and nothing of it is published; but it may have written.
 *   A process that forks inside a call (in a signal handler that interrupted it) must not return into that call in the child.
 *
 * Sync points:
 *   mpmc.send     lock.handover of the send lock: what one producer did under it, the next one sees
 *   mpmc.receive  lock.handover of the receive lock
 *   mpmc.tail     send, claim store tail (seq_cst) -> a consumer loads it (acquire): the records before it are readable
 *   mpmc.free     receive, release store free (seq_cst) -> a producer loads it (acquire): the bytes before it are reusable
 *   mpmc.ready    commit exchanges the record's word (release) -> a consumer loads it (acquire): the message is readable
 *   mpmc.freed    release exchanges the word (release) -> whoever moves free loads it (acquire): its bytes are no longer read
 *   mpmc.news     the store-buffering case, sleepers.bit: tail, and `commits` beside it, are stored seq_cst before the waker looks for
 *                 sleepers; a consumer announces itself, then loads both. For room: free, in the same way. For close: roster.end
 *   mpmc.want     a producer stores `want` (relaxed), then announces itself (seq_cst) -> waker loads the sleepers' word (seq_cst), then `want`
 *
 * A consumer sleeps on what it has seen under the lock: tail and `commits` as they were before it looked in vain. Whatever makes a
 * message available (another tail; a commit, an abort, a return of a record before it: one more in `commits`) changes one of
 * these. Each message wakes one; a commit or an abort that others were behind wakes all.
 *
 * A waker that is killed between its store and its wake-up, and a sleeper that is killed when it has been woken, cost
 * the others at most one slice (IPK_SLICE_NS).
 *
 * Trust: a peer may write anything into the segment. Geometry is read once and checked; places and lengths are bounded before
 * each use; garbage yields -EBADMSG, a garbage message or a wait that times out, and no access outside the mapping.
 *
 * Who may call: any number of threads at a time, on one view, but for create, attach and unmap. Not a signal handler that may have
 * interrupted a call of the same view in its own thread, but for the try_ calls, which then say -EAGAIN.
 */
#ifndef IPCKIT_MPMC_H
#define IPCKIT_MPMC_H

#include <stdatomic.h>
#include <stdint.h>

#include "ipckit/base.h"
#include "ipckit/lock.h"
#include "ipckit/roster.h"
#include "ipckit/segment.h"
#include "ipckit/sleepers.h"
#include "ipckit/spin.h"
#include "ipckit/spsc.h" /* struct ipk_slice */

/* cffi: types */
#define IPK_MPMC_MIN_CAPACITY 4096
#define IPK_MPMC_MAX_CAPACITY 2147483648
#define IPK_MPMC_PARTICIPANTS 64 /* if the creator does not say */
#define IPK_MPMC_REDELIVER 0     /* on_consumer_death: what it had taken and not released */
#define IPK_MPMC_LOSE 1
#define IPK_MPMC_BLOCK 0 /* on_consumer_gone: what a producer gets when the ring is full and the last consumer is gone */
#define IPK_MPMC_ERROR 1
#define IPK_MPMC_DROP 2
#define IPK_MPMC_REFUSE 0 /* oversize: messages that the ring cannot hold */
#define IPK_MPMC_FILES 1  /* lie in files; a record with a tag tells which, and the core knows no more of it */
#define IPK_MPMC_INSIDE 1024 /* messages of at most so many bytes are copied under the lock */
#define IPK_MPMC_INSIDE_MANY 16384 /* so many bytes of a batch, about */

/* The creator's choices. */
struct ipk_mpmc_options {
	uint64_t capacity;          /* bytes: a power of two */
	uint32_t max_messages;      /* in the ring at a time; 0: as many as fit */
	uint32_t participants;      /* members with a role at a time, at most; 1 to IPK_ROSTER_MAX */
	uint32_t on_consumer_death; /* IPK_MPMC_REDELIVER, IPK_MPMC_LOSE */
	uint32_t on_consumer_gone;  /* IPK_MPMC_BLOCK, IPK_MPMC_ERROR, IPK_MPMC_DROP */
	uint32_t oversize;          /* IPK_MPMC_REFUSE, IPK_MPMC_FILES */
	uint32_t reserved;
};

/* A record that the caller writes or reads in place. */
struct ipk_mpmc_claim {
	uint64_t offset; /* of the message in the data */
	uint32_t length; /* bytes */
	uint32_t tag;    /* loans: as sent */
	uint64_t place;  /* the core's: where */
	uint32_t member; /* the core's: whose */
	uint32_t reserved;
};

struct ipk_mpmc_stat {
	uint64_t capacity;       /* bytes */
	uint64_t used;           /* bytes, record headers included */
	uint64_t depth;          /* messages that were claimed and not yet taken */
	uint64_t sent;           /* messages committed */
	uint64_t received;       /* messages received */
	uint64_t bytes_sent;
	uint64_t bytes_received;
	uint64_t full_waits;     /* times that a producer slept */
	uint64_t empty_waits;    /* times that a consumer slept */
	uint64_t wakes;          /* wake-up calls */
	uint64_t lost;           /* messages dropped (IPK_MPMC_DROP), or lost with their consumer (IPK_MPMC_LOSE) */
	uint64_t recoveries;     /* claims of the dead that were repaired */
	uint32_t producers;      /* members with the role, alive or not yet missed */
	uint32_t consumers;
};
/* cffi: end */

#define IPK_MPMC_RECORD_HEADER 8

struct ipk_mpmc_geometry_shm {
	_Alignas(IPK_LINE) uint64_t capacity; /* creator, all; r/o after create */
	uint32_t max_messages;
	uint32_t participants;
	uint32_t on_consumer_death;
	uint32_t on_consumer_gone;
	uint32_t oversize;
};

struct ipk_mpmc_send_shm {
	_Alignas(IPK_LINE) struct ipk_lock_shm lock;
	_Atomic uint64_t free_seen; /* owner of the lock: `free` as last loaded, a place; spares the consumers' line */
};

struct ipk_mpmc_tail_shm {
	_Alignas(IPK_LINE) _Atomic uint64_t place; /* owner of the send lock */
	_Atomic uint32_t commits;                  /* anybody: records before tail of which there is news; only counted up */
};

struct ipk_mpmc_receive_shm {
	_Alignas(IPK_LINE) struct ipk_lock_shm lock;
	_Atomic uint64_t taken;     /* owner of the lock: a place */
	_Atomic uint64_t tail_seen; /* owner of the lock: `tail` as last loaded; spares the producers' line */
};

struct ipk_mpmc_free_shm {
	_Alignas(IPK_LINE) _Atomic uint64_t place; /* owner of the receive lock */
};

struct ipk_mpmc_wait_shm {
	_Alignas(IPK_LINE) struct ipk_sleepers_shm sleepers;
	_Atomic uint32_t want;          /* room: units of 8 bytes that make a wake-up worth while */
	_Atomic uint32_t want_messages; /* room: the same in messages, where there are at most so many */
};

struct ipk_mpmc_shm {
	struct ipk_mpmc_geometry_shm geometry;
	struct ipk_mpmc_send_shm send;
	struct ipk_mpmc_tail_shm tail;
	struct ipk_mpmc_receive_shm receive;
	struct ipk_mpmc_free_shm free;
	struct ipk_mpmc_wait_shm messages; /* consumers wait */
	struct ipk_mpmc_wait_shm room;     /* producers wait */
	struct ipk_roster_shm roster;
};
_Static_assert(offsetof(struct ipk_mpmc_shm, send) == 1 * IPK_LINE && offsetof(struct ipk_mpmc_shm, tail) == 2 * IPK_LINE &&
	       offsetof(struct ipk_mpmc_shm, receive) == 3 * IPK_LINE && offsetof(struct ipk_mpmc_shm, free) == 4 * IPK_LINE &&
	       offsetof(struct ipk_mpmc_shm, messages) == 5 * IPK_LINE && offsetof(struct ipk_mpmc_shm, room) == 6 * IPK_LINE &&
	       offsetof(struct ipk_mpmc_shm, roster) == 7 * IPK_LINE, "the layout drawn above");

/* One role of a view. */
struct ipk_mpmc_side {
	_Alignas(64) struct ipk_spin spin;      /* while waiting for the others */
	struct ipk_spin lock_spin;              /* while waiting for the lock */
};

/* A process's view of a ring. */
struct ipk_mpmc {
	struct ipk_segment segment;
	struct ipk_member member;
	struct ipk_roster roster;
	struct ipk_mpmc_shm *shm;
	unsigned char *data;           /* capacity bytes, then the same once more */
	struct ipk_mpmc_options chosen; /* as validated; the segment's own words are not read again */
	uint32_t mask;                 /* of positions, in units of 8 bytes */
	_Atomic uint32_t closed;
	struct ipk_mpmc_side side[2]; /* producer, consumer */
};

/* cffi: types */
struct ipk_mpmc;
/* cffi: end */

/* cffi: begin */

/* Make a ring and a view of it. path: NULL for an anonymous one (memfd), else where in /dev/shm it is published.
 *
 * mode: permission bits, exact. ring: zeroed memory of the caller's.
 * Returns 0; -EEXIST, -ENOSPC, -EINVAL, -errno; then nothing is left. */
int ipk_mpmc_create(struct ipk_mpmc *ring, const char *path, const struct ipk_mpmc_options *options, uint32_t mode);

/* Make a view of the ring behind fd, which becomes the view's own, also on failure.
 * Returns 0; -ENOMSG, -EPROTO as ipk_segment_attach; -errno. */
int ipk_mpmc_attach(struct ipk_mpmc *ring, int fd);

/* Give up both roles (the last one of a role is the end of the stream for the others, who wake), and refuse further calls with
 * -EBADF. A call of another thread that waits is woken. The caller has ended its claims, or ends them before ipk_mpmc_unmap:
 * until then they are a living member's. The memory stays mapped. Harmless when repeated. Waits for others who are inside, a slice at most. */
void ipk_mpmc_close(struct ipk_mpmc *ring);

/* Unmap and close the file; the caller knows that no call is inside, and that nobody touches what was claimed. */
void ipk_mpmc_unmap(struct ipk_mpmc *ring);

/* In a forked child: let go of the parent's claims now. Calls notice by themselves, but only when they are made. */
void ipk_mpmc_forked(struct ipk_mpmc *ring);

/* Have these roles (IPK_ROSTER_PRODUCER, IPK_ROSTER_CONSUMER) from now on, before the first call that needs them. Does not block.
 * Returns 0; -EINVAL, -ENOSPC, -EBADF, -errno as try_send. */
int ipk_mpmc_join(struct ipk_mpmc *ring, uint32_t roles);

/* Copy one message in and commit it. Claims the role of a producer at the first call. Does not block.
 *
 * tag: 0 or 1, given to its consumer. Returns 0; -EAGAIN if there is no room now, or another producer is inside and stays there;
 * -EMSGSIZE if there never will be (more than capacity - 8 bytes); -ENOSPC if the roster is full; -EBADMSG if the segment
 * is corrupt; -EBADF after close; -errno as ipk_member_join. */
int ipk_mpmc_try_send(struct ipk_mpmc *ring, const void *data, uint64_t length, uint32_t tag);

/* Copy as many of `count` messages as fit, and commit them in parts. Those of other producers may come between the parts.
 * Returns how many, or -errno as try_send (about the first). */
int64_t ipk_mpmc_try_send_many(struct ipk_mpmc *ring, const struct ipk_slice *messages, uint32_t count);

/* Claim room for a message of `length` bytes, to be written at claim->offset in the data. Any number at a time. Does not block.
 * Returns as try_send. */
int ipk_mpmc_try_reserve(struct ipk_mpmc *ring, uint64_t length, struct ipk_mpmc_claim *claim);

/* Publish the first `length` bytes of what was reserved. Does not block, and works after close. tag: as try_send.
 * Returns 0; -EINVAL if that is more than was reserved; -ECHILD in a forked child; -EOWNERDEAD if others took us for dead: nothing is
 * published. The claim has ended but for -EINVAL. */
int ipk_mpmc_commit(struct ipk_mpmc *ring, const struct ipk_mpmc_claim *claim, uint64_t length, uint32_t tag);

/* Give up what was reserved. Does not block, and works after close. Returns 0, -ECHILD, -EOWNERDEAD as commit. */
int ipk_mpmc_abort(struct ipk_mpmc *ring, const struct ipk_mpmc_claim *claim);

/* Wait until a message of `length` bytes may fit, and the send lock is free: spin, then sleep, at most one slice. Repairs what the
 * dead have left in the way. Producer. Blocks.
 *
 * Returns 0: try again. 1: the message is dropped, and counted (IPK_MPMC_DROP, and the last consumer is gone). -EAGAIN: the slice
 * is over, or -EINTR: a handler ran: look around and wait again. -ETIMEDOUT: the deadline has passed; *stalled: the process whose
 * loan or lock is in the way and has been for all of this call, 0 if there is none. -EPIPE, -EOWNERDEAD (IPK_MPMC_ERROR): there have been
 * consumers, and the last one closed, or died. -EMSGSIZE, -ENOSPC, -EBADMSG, -EBADF as try_send; -EBADF also when somebody
 * closed our descriptors of the ring, and so nobody can tell us who lives. */
int ipk_mpmc_wait_room(struct ipk_mpmc *ring, uint64_t length, int64_t deadline_ns, uint32_t *stalled);

/* Receive the oldest messages that there are, at most `count`, as far as `size` bytes and IPK_MPMC_INSIDE_MANY hold them one after
 * the other: they are copied under the lock. Claims the role of a consumer at the first call.
 * Does not block.
 *
 * lengths: of each. Returns how many; -EAGAIN if there is none now, or another consumer is inside and stays there; -EMSGSIZE if the
 * oldest is longer than size, or than IPK_MPMC_INSIDE, -EOVERFLOW if it has a tag: take it on loan; -ENOSPC, -EBADMSG, -EBADF,
 * -errno as try_send. */
int64_t ipk_mpmc_try_copy(struct ipk_mpmc *ring, void *buffer, uint64_t size, uint32_t *lengths, uint32_t count);

/* Receive the oldest message into a buffer of so many bytes. Does not block. Returns its length; -EMSGSIZE if it is longer, and it
 * stays the next one; -EAGAIN, -EOVERFLOW, -ENOSPC, -EBADMSG, -EBADF, -errno as try_copy. */
int64_t ipk_mpmc_try_receive_into(struct ipk_mpmc *ring, void *buffer, uint64_t size);

/* Lend the oldest messages to the caller, at most `count`, and none after those that fill an eighth of the ring. Each loan is ended
 * by release or return_loan. Any number at a time. Does not block. Returns how many; -EAGAIN, -ENOSPC, -EBADMSG, -EBADF, -errno as try_copy. */
int64_t ipk_mpmc_try_receive(struct ipk_mpmc *ring, struct ipk_mpmc_claim *loans, uint32_t count);

/* End loans: the messages are received. Does not block, and works after close.
 * Returns 0; -ECHILD in a forked child; -EOWNERDEAD if others took us for dead, and one may have been delivered to another consumer. */
int ipk_mpmc_release(struct ipk_mpmc *ring, const struct ipk_mpmc_claim *loans, uint32_t count);

/* End loans, and put the messages back: they are the next that are received. Does not block, and works after close. Returns as release. */
int ipk_mpmc_return_loan(struct ipk_mpmc *ring, const struct ipk_mpmc_claim *loans, uint32_t count);

/* Wait until there may be a message, and the receive lock is free: spin, then sleep, at most one slice. Repairs what the dead have
 * left. Consumer. Blocks.
 *
 * Returns as wait_room, without 1. -ETIMEDOUT: *stalled: the process whose uncommitted message or lock is in the way. -EPIPE, -EOWNERDEAD:
 * there have been producers, the last one closed, or died, and there is nothing left to take. */
int ipk_mpmc_wait_message(struct ipk_mpmc *ring, int64_t deadline_ns, uint32_t *stalled);

/* Where the data lies in this process (two times capacity bytes). */
void *ipk_mpmc_data(struct ipk_mpmc *ring);

/* What the creator chose; all zero after unmap. */
void ipk_mpmc_chosen(const struct ipk_mpmc *ring, struct ipk_mpmc_options *options);

/* The file of the ring; -1 after unmap. */
int ipk_mpmc_fd(const struct ipk_mpmc *ring);

/* Spin for so long before sleeping, in ns; 0 never spins. */
void ipk_mpmc_set_spin(struct ipk_mpmc *ring, int64_t budget_ns);

/* A snapshot that disturbs nobody; its parts may be of slightly different moments. Does not ask the kernel. Returns 0 or -EBADF. */
int ipk_mpmc_stat(const struct ipk_mpmc *ring, struct ipk_mpmc_stat *stat);

/* Whether the ring has got past the record that was reserved at `place` (of a claim; the lower half of it will do): it is received, or
 * there never was a message. For places of the last 16 GiB. Works after close. Returns 1, 0, -EBADF. */
int ipk_mpmc_passed(const struct ipk_mpmc *ring, uint64_t place);

/* How many living members have the role (IPK_ROSTER_PRODUCER, IPK_ROSTER_CONSUMER); buries the dead. Asks the kernel.
 * Works after close. Returns that, or -EBADF. */
int64_t ipk_mpmc_living(struct ipk_mpmc *ring, uint32_t role);

/* cffi: end */

#endif
