/* A look at a ring, or at an object of synchronisation in a segment of its own, by somebody who takes no part in it.
 *
 * What lies in the file is copied (pread(2)), and the copy is looked at; who lives, the kernel is asked (F_OFD_GETLK of fcntl(2),
 * for which a descriptor to read will do). So nothing is mapped, locked, claimed, joined or written: no participant notices,
 * and a file that somebody cuts short, or writes garbage into, is an error or a wrong number, and no harm.
 *
 * A copy of what others are changing is of no one moment; its words are whole.
 *
 * Who may call: one thread at a time for each look. Nothing here blocks.
 */
#ifndef IPCKIT_LOOK_H
#define IPCKIT_LOOK_H

#include <stdint.h>

#include "ipckit/broadcast.h"
#include "ipckit/condition.h"
#include "ipckit/latest.h"
#include "ipckit/member.h"
#include "ipckit/mpmc.h"
#include "ipckit/roster.h"
#include "ipckit/segment.h"
#include "ipckit/spsc.h"
#include "ipckit/sync.h"

/* cffi: types */
#define IPK_LOOK_LAYOUT 2   /* of segments: the version in the magic that can be looked at */
#define IPK_LOOK_PRODUCER 1 /* what a participant is: IPK_ROSTER_PRODUCER ..., in rings */
#define IPK_LOOK_CONSUMER 2
#define IPK_LOOK_OWNER 4    /* of a mutex, also a condition's own; who runs a Once; who writes, or waits for readers to leave */
#define IPK_LOOK_READER 8
#define IPK_LOOK_HOLDER 16  /* of permits */
#define IPK_LOOK_WAITER 32  /* for a condition */
#define IPK_LOOK_PARTY 64   /* has arrived at a barrier, and waits for the others */
#define IPK_LOOK_CUT_OFF 128 /* a consumer that was overtaken, and receives no more until it subscribes again */
#define IPK_LOOK_BROKEN 0x10000000 /* of a state's flags, beside those of a lock: of a barrier */

struct ipk_look_participant {
	uint64_t pid; /* 0: it has not said; in pid_namespace */
	uint64_t start_time;
	uint64_t pid_namespace;
	uint64_t behind; /* bytes that a reader of a broadcast ring has still to receive */
	uint32_t role;   /* IPK_LOOK_... */
	uint32_t count;  /* how often it owns or reads, how many permits it has */
	uint32_t thread; /* of an owner; 0: it has not said */
	int32_t lives;   /* 1, 0; below 0: nobody can tell from here */
};

/* What an object of synchronisation says of itself. */
struct ipk_look_state {
	uint64_t value;   /* permits that are left; what a latch has left to count; an atomic's bits; a futex's word; 1: an event is
			     set; of an event pair: bit 0 low, bit 1 high */
	uint32_t limit;   /* permits, at most */
	uint32_t waiting; /* parties of a barrier, waiters of a condition, handles that wait to read */
	uint32_t flags;   /* IPK_LOCK_WAITERS: somebody may sleep; IPK_LOCK_DIED, IPK_LOCK_LOST: of a lock; a Once that is done is lost */
	uint32_t reserved;
};

struct ipk_look;
/* cffi: end */

_Static_assert((IPK_SEGMENT_MAGIC & 0xFFFF) == IPK_LOOK_LAYOUT, "the same here and there");

#define IPK_LOOK_ROOM (sizeof(struct ipk_mpmc_shm) + IPK_ROSTER_MAX * sizeof(struct ipk_roster_entry_shm))
_Static_assert(IPK_LOOK_ROOM >= sizeof(struct ipk_condition_shm) + IPK_CONDITION_MAX_WAITERS * sizeof(struct ipk_condition_slot) &&
		       IPK_LOOK_ROOM >= sizeof(struct ipk_broadcast_shm) + IPK_ROSTER_MAX * sizeof(struct ipk_roster_entry_shm),
	       "the longest table of any object has room");

struct ipk_look {
	struct ipk_member member; /* asks who lives; never joins */
	_Atomic uint32_t nobody;  /* the id of who is no member: 0 */
	uint64_t size;            /* of the file, in bytes */
	uint32_t kind;            /* IPK_KIND_... of what was looked at; 0: of nothing yet */
	uint32_t sync;            /* IPK_SYNC_... of that, where it is such an object */
	uint32_t policy;          /* of a broadcast ring */
	uint32_t end[3];          /* by role, as ipk_roster_end; [0] is not used */
	uint64_t oldest;          /* position of the oldest record that a ring still needs, or place, as passed takes it */
	uint64_t tail;            /* position, of a broadcast ring */
	struct ipk_roster roster; /* of a ring that has one */
	struct ipk_sync view;     /* of an object of synchronisation */
	struct ipk_sync mutex;    /* a condition's own */
	unsigned char room[IPK_LOOK_ROOM + IPK_LINE];
};

/* cffi: begin */

/* Begin to look at the file behind fd, which stays the caller's, and open while the look lasts. look: zeroed memory, or an earlier look.
 * Returns as ipk_segment_inspect; *info tells what was found, also where that is an error. */
int ipk_look_begin(struct ipk_look *look, int fd, struct ipk_segment_info *info);

/* Look at a ring of that kind. Returns 0; -EPROTO if it is none, of another layout, or torn; -errno.
 * In stat, `depth` is what waits for any consumer; of a broadcast ring, for the reader that is the furthest behind. */
int ipk_look_spsc(struct ipk_look *look, struct ipk_spsc_stat *stat);
int ipk_look_mpmc(struct ipk_look *look, struct ipk_mpmc_stat *stat, struct ipk_mpmc_options *chosen);
int ipk_look_broadcast(struct ipk_look *look, struct ipk_broadcast_stat *stat);
int ipk_look_latest(struct ipk_look *look, struct ipk_latest_stat *stat);

/* How the last of a role of that ring went: IPK_ROSTER_... ; IPK_ROSTER_OPEN also where it is dead, and nobody has noticed yet. */
uint32_t ipk_look_end(const struct ipk_look *look, uint32_t role);

/* Whether that ring has got past the record at `position` of its stream; of a ring from many to many: at `place` (mpmc.h).
 * Returns 1, 0. */
int ipk_look_passed(const struct ipk_look *look, uint64_t position);

/* Look at the object of synchronisation in a segment. Returns 0; -EPROTO if there is none, of another layout, or torn; -EXDEV if
 * it was copied from another file; -errno. */
int ipk_look_sync(struct ipk_look *look, struct ipk_sync_info *info, struct ipk_look_state *state);

/* Who takes part in what was looked at; index: from 0 on. Asks the kernel whether it lives.
 * Returns 1; 0 if nobody has that place; -ENOENT beyond the last one. */
int ipk_look_participant(const struct ipk_look *look, uint32_t index, struct ipk_look_participant *who);

/* cffi: end */

#endif
