/* The newest value: one writer replaces it, any number of readers copy it, and nobody waits for a reader.
 *
 * Object within a segment (offsets from its start):
 *
 *   0          128     256      384     512            512 + stride
 *   | geometry | index | asleep | role  | buffer 0     | buffer 1     | ...
 *     creator   writer  readers  both     writer fills, readers copy
 *
 *   buffer:  0          8        16           24     32
 *            | sequence | length | written at | zero | data ... max_size bytes, padded to a multiple of 128 with all that |
 *
 * Values are numbered from 1 on; number n lies in buffer n % buffers. The writer claims the buffer after the newest one's
 * (stores the coming number there), fills it, and publishes it by the store of index.sequence. A writer that is
 * killed before that leaves the newest value as it was, and its successor fills the same buffer again.
 *
 * A reader loads index.sequence, copies that value, and looks whether the buffer still has that number. If not, the
 * writer has gone round all buffers meanwhile, and the reader begins again with a newer value. With two buffers that takes a
 * whole value to be published and the next one to be begun during one copy, with four (the default) three and a fourth one's
 * beginning: a reader hardly ever has to try twice unless the writer does nothing but write, and faster than that reader copies.
 * Such a reader gives up after IPK_LATEST_TRIES attempts, and its caller decides whether to go on.
 *
 * Why a copy that is found valid is whole, without a fence. The data are 8-byte atomic words. The writer stores the
 * buffer's number, then each word with release; the reader loads each word with acquire, then the number. If any word is
 * of a later value, then the load that got it acquired all that its writer had stored before it, the later number too; so
 * the load of the number, which comes after, cannot find the old one. Length and time are words like the others.
 *
 * A stopped process. The writer's role is a claim that the kernel vouches for (segment.h): a stopped writer lives, so
 * nobody takes the role, however long it takes, and when it runs again the buffer that it was filling is still its own.
 * It waits for nobody: so nobody's stop can stop it. A reader that runs again after a long stop finishes its copy of
 * whatever lies there by then, finds another number in the buffer, and throws the copy away. Numbers have 64 bits:
 * they do not come round.
 *
 * In place. Whoever fills a reserved buffer does so with plain stores. They come after the store of the buffer's number,
 * for that one is seq_cst, and so is a load that follows it: on AArch64 no access passes a load-acquire, and a
 * load-acquire does not pass a store-release; on x86 no store passes another. As in C a race of plain stores with
 * readers has no meaning, this rests on the machines, as every mapping that programs share does.
 *
 * Sync points:
 *   latest.claim   claim stores buffer.sequence (release, or seq_cst) -> copy loads it (acquire): index.sequence is at most one behind
 *   latest.word    fill stores a word (release) -> copy loads it (acquire): the buffer's number is at least that value's
 *   latest.value   publish stores index.sequence (seq_cst) -> look loads it (acquire): the value is complete
 *   latest.end     close stores state (seq_cst) -> wait loads state (acquire): index.sequence will not move again
 *   latest.sleep   the store-buffering case: sleepers.bit in sleepers.h. Publish and close store index.sequence or state, then load
 *                  the sleepers' word; a sleeper changes that word, then loads those two. All are seq_cst.
 *
 * A writer that is killed between a value and its wake-up costs the sleepers at most one slice (IPK_SLICE_NS).
 *
 * Trust: a peer may write anything into the segment. Geometry is read once and checked; numbers choose a buffer by their
 * remainder, lengths are bounded before use; garbage yields -EBADMSG or a garbage value, and no access outside the mapping.
 *
 * Who may call: writer calls one at a time: a second one, from another thread or a signal handler, gets -EBUSY and changes
 * nothing. Reader calls: anybody at any time.
 */
#ifndef IPCKIT_LATEST_H
#define IPCKIT_LATEST_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "ipckit/base.h"
#include "ipckit/segment.h"
#include "ipckit/sleepers.h"
#include "ipckit/spin.h"

/* cffi: types */
#define IPK_LATEST_MAX_SIZE 2147483648
#define IPK_LATEST_MIN_BUFFERS 2
#define IPK_LATEST_MAX_BUFFERS 64
#define IPK_LATEST_TRIES 64
#define IPK_LATEST_NEVER 0  /* states of the writer's role: nobody has claimed it yet */
#define IPK_LATEST_OPEN 1   /* claimed; whether its holder lives, the participant slot tells */
#define IPK_LATEST_CLOSED 2 /* its last holder closed it */

/* A value that a reader has found. */
struct ipk_latest_value {
	uint64_t sequence;  /* its number, from 1 on */
	uint64_t length;    /* bytes */
	int64_t written_ns; /* when it was published: CLOCK_MONOTONIC */
};

struct ipk_latest_stat {
	uint64_t max_size;    /* bytes of the longest value */
	uint64_t buffers;
	uint64_t capacity;    /* bytes of all buffers, with their headers and padding */
	uint64_t sequence;    /* of the newest value: how many there have been */
	uint64_t length;      /* of the newest value, bytes */
	int64_t written_ns;   /* when the newest value was published: CLOCK_MONOTONIC; 0: there is none */
	uint64_t bytes;       /* of all values */
	uint64_t empty_waits; /* times that a reader slept */
	uint64_t wakes;       /* wake-up calls of writers */
	uint64_t overtaken;   /* times that a reader gave up after IPK_LATEST_TRIES attempts */
	uint64_t recoveries;  /* times that a writer took over from a dead one */
	uint32_t state;       /* of the writer's role */
	uint32_t writers;     /* 1: it has a living holder */
};
/* cffi: end */

#define IPK_LATEST_WRITER 0 /* participant slot */
#define IPK_LATEST_BUFFERS 512 /* offset in the object */
#define IPK_LATEST_DATA 32     /* offset in a buffer */

struct ipk_latest_geometry {
	_Alignas(IPK_LINE) uint64_t max_size; /* r/o after create, all of the line */
	uint64_t buffers;
};

struct ipk_latest_index {
	_Alignas(IPK_LINE) _Atomic uint64_t sequence; /* of the newest value, 0: none; writer only, as all of the line */
	_Atomic uint64_t bytes;
	_Atomic uint64_t wakes;
	_Atomic uint64_t recoveries;
	_Atomic uint32_t cpu; /* where the writer ran last, plus 1; 0: not yet said */
};

struct ipk_latest_asleep {
	_Alignas(IPK_LINE) struct ipk_sleepers_shm sleepers; /* readers */
};

struct ipk_latest_role {
	_Alignas(IPK_LINE) _Atomic uint32_t state; /* writer */
	_Atomic uint64_t waits;                    /* readers, both */
	_Atomic uint64_t overtaken;
};

struct ipk_latest_buffer {
	_Atomic uint64_t sequence; /* of the value that is here, or that will be; writer only, as all of the buffer */
	_Atomic uint64_t length;
	_Atomic int64_t written_ns;
	uint64_t reserved;
	_Atomic uint64_t words[];
};
_Static_assert(offsetof(struct ipk_latest_buffer, words) == IPK_LATEST_DATA, "a short value shares its header's line");

struct ipk_latest_shm {
	struct ipk_latest_geometry geometry;
	struct ipk_latest_index index;
	struct ipk_latest_asleep asleep;
	struct ipk_latest_role role;
};
_Static_assert(offsetof(struct ipk_latest_shm, index) == 1 * IPK_LINE && offsetof(struct ipk_latest_shm, asleep) == 2 * IPK_LINE &&
	       offsetof(struct ipk_latest_shm, role) == 3 * IPK_LINE, "the layout drawn above");
_Static_assert(sizeof(struct ipk_latest_shm) == IPK_LATEST_BUFFERS, "the buffers follow");

/* A process's view. */
struct ipk_latest {
	struct ipk_segment segment;
	struct ipk_latest_shm *shm;
	unsigned char *buffers;
	uint64_t max_size, count, stride; /* as validated; the segment's own words are not read again */
	_Atomic uint32_t closed;
	_Atomic uint32_t busy; /* a writer call is inside, or a buffer is reserved */
	uint32_t held;         /* the role is claimed by this view; writer calls only, as all that follows up to seen */
	uint64_t own;          /* number of the newest value */
	uint64_t reserved;     /* bytes of a reserved buffer, plus 1; 0: none is */
	_Atomic uint64_t seen; /* the newest value that a reader call of this view has returned */
	struct ipk_spin spin;  /* readers */
};

/* cffi: types */
struct ipk_latest;
/* cffi: end */

/* cffi: begin */

/* Make an object without a value, and a view of it. path: NULL for an anonymous one (memfd), else where in /dev/shm it is published.
 *
 * max_size: bytes, 1 to IPK_LATEST_MAX_SIZE. buffers: IPK_LATEST_MIN_BUFFERS to IPK_LATEST_MAX_BUFFERS. mode: permission bits, exact.
 * latest: zeroed memory of the caller's. Returns 0; -EEXIST, -ENOSPC, -EINVAL, -errno; then nothing is left. */
int ipk_latest_create(struct ipk_latest *latest, const char *path, uint64_t max_size, uint64_t buffers, uint32_t mode);

/* Make a view of the object behind fd, which becomes the view's own, also on failure.
 * Returns 0; -ENOMSG, -EPROTO as ipk_segment_attach; -errno. */
int ipk_latest_attach(struct ipk_latest *latest, int fd);

/* Give back the writer's role if the view has it (readers see the end, and wake), and refuse further calls with -EBADF. A
 * reader of another thread that waits is woken, and gets -EBADF. The memory stays mapped until ipk_latest_unmap.
 * Harmless when repeated. Waits for a writer call that is inside to leave, some milliseconds at most. */
void ipk_latest_close(struct ipk_latest *latest);

/* Unmap and close the file; the caller knows that no call is inside and no reserved buffer is being filled. */
void ipk_latest_unmap(struct ipk_latest *latest);

/* In a forked child: let go of the parent's claim now. Calls notice by themselves, but only when they are made. */
void ipk_latest_forked(struct ipk_latest *latest);

/* Publish a value: `length` bytes, copied. Writer. Claims the role at its first call. Wait-free, but for the wake-up call where
 * readers sleep, and for the claim.
 *
 * Returns 0; -EMSGSIZE if it is longer than max_size; -EBUSY if another process or thread is the writer, or a
 * buffer is reserved; -EBADF after close, or if others closed the descriptor before the claim; -errno as ipk_participant_claim. */
int ipk_latest_send(struct ipk_latest *latest, const void *data, uint64_t length);

/* Reserve the buffer of the next value, for `length` bytes to be written where they lie. Writer. As send; wait-free.
 * Returns the offset of the bytes from ipk_latest_buffers, or -errno as send. ipk_latest_commit or _abort must follow. */
int64_t ipk_latest_reserve(struct ipk_latest *latest, uint64_t length);

/* Publish the first `length` bytes of what was reserved, as send does. Writer, any thread.
 * Returns 0; -EINVAL if it is more than was reserved, -EPERM if nothing is (also in a forked child), and nothing has changed. */
int ipk_latest_commit(struct ipk_latest *latest, uint64_t length);

/* Give up what was reserved: the newest value stays the newest. Writer, any thread. Returns 0, or -EPERM if nothing is reserved. */
int ipk_latest_abort(struct ipk_latest *latest);

/* Find the newest value; newer: only if this view has not returned it, or a later one, yet. Reader. Wait-free.
 *
 * Returns 0; -EAGAIN if there is none newer; -ENODATA if nothing was ever written; -ESTALE if it was overwritten already, look
 * again; -EBADMSG if the segment is corrupt; -EBADF after close. */
int ipk_latest_look(struct ipk_latest *latest, int newer, struct ipk_latest_value *value);

/* Copy the value that look has found. Reader. Wait-free.
 *
 * into: value->length bytes, which hold garbage unless it returns 0. newer: as in look. Returns 0, and the value counts as
 * returned; -ESTALE if it was overwritten meanwhile, or with `newer` if another thread has had it: look again; -EBADMSG. */
int ipk_latest_copy(struct ipk_latest *latest, int newer, const struct ipk_latest_value *value, void *into);

/* look and copy, IPK_LATEST_TRIES times at most. Reader. Wait-free.
 *
 * Returns 0, or as look; -EMSGSIZE if it is longer than `room` bytes: value->length tells, and it does not count as returned;
 * -ESTALE if the writer was faster each time. */
int ipk_latest_read(struct ipk_latest *latest, int newer, void *into, uint64_t room, struct ipk_latest_value *value);

/* After -ESTALE from read, or as many attempts of one's own: let others run, and go on. Reader.
 * Returns -EAGAIN: try again; -ETIMEDOUT: the deadline has passed; -EBADF. */
int ipk_latest_overtaken(struct ipk_latest *latest, int64_t deadline_ns);

/* Wait until there is a value that this view has not returned yet: spin, then sleep, at most one slice. Reader. Blocks.
 *
 * Returns 0: look. -EAGAIN: the slice is over, look around and wait again; -EINTR: a handler ran. -ETIMEDOUT: the deadline has
 * passed. -EPIPE: the writer has closed. -EOWNERDEAD: it died. -EBADF after close, and when somebody closed our
 * descriptor, so that nobody can tell us whether the writer lives. */
int ipk_latest_wait(struct ipk_latest *latest, int64_t deadline_ns);

/* The number of the newest value that a reader call of this view has returned; 0: none. */
uint64_t ipk_latest_seen(const struct ipk_latest *latest);

/* Where the buffers lie in this process, and how many bytes they are; NULL, 0 after unmap. */
void *ipk_latest_buffers(struct ipk_latest *latest);
uint64_t ipk_latest_capacity(const struct ipk_latest *latest);

/* The file; -1 after unmap. */
int ipk_latest_fd(const struct ipk_latest *latest);

/* Readers spin for so long before sleeping, in ns; 0 never spins. */
void ipk_latest_set_spin(struct ipk_latest *latest, int64_t budget_ns);

/* A snapshot that disturbs nobody; its figures may be of slightly different moments. Asks the kernel whether the writer
 * lives. Returns 0 or -EBADF. */
int ipk_latest_stat(struct ipk_latest *latest, struct ipk_latest_stat *stat);

/* cffi: end */

#endif
