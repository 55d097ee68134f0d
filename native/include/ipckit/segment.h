/* A segment: one file of shared memory (memfd_create(2), or a file in /dev/shm) that begins with this header.
 *
 *   0        64                             4096                     size
 *   | header | participant 0 ... 62         | the object             |
 *     creator  each by its own claimant       see the object's header
 *
 *   header: magic 8 | kind 4 | participants 4 | size 8 | id 16 | creator: pid 8, start time 8, pid namespace 8
 *
 * A segment comes to be whole: it is built in a file without a name, its magic is stored last, and only then does
 * it get its name (linkat(2), exclusive and atomic). So an opener never meets a half-made one: magic 0 is an error.
 *
 * Memory is reserved at creation: a full file system is -ENOSPC there, never SIGBUS later. A memfd is sealed against
 * resizing. A named file cannot be (tmpfs refuses seals): whoever may write it may truncate it, so its mode is the
 * trust boundary.
 *
 * Sync points:
 *   segment.ready  publish stores magic (release) -> attach loads magic (acquire): header and object are complete
 *
 * Participants and liveness. A participant holds a slot: an OFD write lock (fcntl(2)) on byte 2^62 + slot of the
 * segment's own file, through a file description opened for this alone. The kernel drops the lock when the last
 * process that has the description is gone, at whatever instruction it was killed. Beside it the slot records who
 * that is. A participant is dead only if its byte is free AND the recorded process (pid, start time, pid namespace)
 * is gone or is of another pid namespace, where we cannot look. So a stopped process lives, and so does one whose
 * descriptors somebody closed; a recycled pid does not.
 *
 * Every description through which a named segment is created or opened holds its life lock, on the byte below those of the
 * participants: by it the segment is in use, or was left behind (life.h).
 *
 * fork(2): the child's copy of a view has lost its claims. It notices by itself (a page that MADV_WIPEONFORK zeroes),
 * and lets go of the parent's description, so that it does not keep a dead parent alive.
 */
#ifndef IPCKIT_SEGMENT_H
#define IPCKIT_SEGMENT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define IPK_SEGMENT_MAGIC UINT64_C(0x69706b6974000002) /* "ipkit", then the layout version in the low 16 bits */
#define IPK_SEGMENT_HEADER 4096

/* cffi: types */
#define IPK_PARTICIPANTS_MAX 63
#define IPK_KIND_SPSC 1
#define IPK_KIND_SYNC 2
#define IPK_KIND_MPMC 3
#define IPK_KIND_BROADCAST 4
#define IPK_KIND_LATEST 5

struct ipk_participant_info {
	uint64_t pid; /* 0: nobody */
	uint64_t start_time; /* clock ticks since boot: field 22 of proc_pid_stat(5) */
	uint64_t pid_namespace; /* inode of /proc/PID/ns/pid */
};

struct ipk_segment_info {
	uint64_t magic; /* as found: tells a wrong version from a stranger's file */
	uint64_t size;
	uint64_t id[2];
	uint32_t kind;
	uint32_t participants;
	struct ipk_participant_info creator; /* pid 0: it had no /proc */
};
/* cffi: end */

struct ipk_participant_shm {
	_Atomic uint64_t pid; /* claimant only, all four */
	_Atomic uint64_t start_time;
	_Atomic uint64_t pid_namespace;
	uint64_t reserved[5];
};

struct ipk_segment_shm {
	_Atomic uint64_t magic; /* creator, last: segment.ready; then r/o like the rest of this line */
	uint32_t kind;
	uint32_t participants;
	uint64_t size;
	uint64_t id[2]; /* random: tells this segment from a later one of the same name */
	struct ipk_participant_info creator; /* the process that made it; for people and for `clean` */
	struct ipk_participant_shm participant[IPK_PARTICIPANTS_MAX];
};
_Static_assert(sizeof(struct ipk_participant_shm) == 64, "one line each: claims do not disturb each other");
_Static_assert(offsetof(struct ipk_segment_shm, participant) == 64, "the header is one line");
_Static_assert(sizeof(struct ipk_segment_shm) == IPK_SEGMENT_HEADER, "the object begins on its own page");

/* A process's view. Owned by one handle; threads may claim and release at once, create to close is the caller's to order. */
struct ipk_segment {
	unsigned char *base; /* header, then the object; NULL when closed */
	size_t mapped;       /* bytes of address space at base */
	uint64_t size;       /* of the file, as validated */
	int fd;              /* the segment's file, close-on-exec */
	int life_fd;         /* the description that holds our participant locks; -1 until the first claim */
	uint64_t device, inode; /* of fd: a descriptor that others closed and reused is seen */
	_Atomic uint64_t claimed; /* bit per participant slot that this view holds; changed by the claimant */
	_Atomic uint32_t claimant; /* thread id of who is claiming, giving back or renewing; 0: nobody */
	_Atomic uint32_t *same_process; /* 1 here, 0 in a forked child: MADV_WIPEONFORK */
	struct ipk_participant_info self; /* filled by the first claim */
};

static inline struct ipk_segment_shm *ipk_segment_header(const struct ipk_segment *segment)
{
	return (struct ipk_segment_shm *)(void *)segment->base;
}

/* Build an unpublished segment: path NULL: a sealed memfd; else an unnamed file in path's directory.
 *
 * A named one's life lock is held from here on. object: bytes after the header. mirror: 0, or the size of the object's tail that is mapped a second time right
 * behind itself (a multiple of the page size), so that what wraps around is contiguous. mode: exact, whatever the umask.
 * Does not block. Returns 0, or -errno (-ENOSPC: no memory; -EINVAL: sizes; -EOPNOTSUPP: the
 * directory's file system has no O_TMPFILE; -ENOSYS: Linux before 4.14); on failure nothing is left behind.
 */
int ipk_segment_create(struct ipk_segment *segment, const char *path, uint32_t kind, uint32_t participants,
		       uint64_t object, uint64_t mirror, uint32_t mode);

/* Store the magic, and give a named segment its name. Creator, once, when the object is complete.
 * Returns 0, or -errno (-EEXIST: the name is taken); on failure the caller closes the view. */
int ipk_segment_publish(struct ipk_segment *segment, const char *path);

/* Map the segment behind fd, which becomes the view's own, also on failure. It takes no lock: ipk_life_open has, and
 * who only looks does without.
 *
 * kind: what it must be. mirror_from: offset in the object of the part to be mapped twice, 0 for none.
 * Returns 0; -ENOMSG if it is no segment of ours, -EPROTO if layout version, kind or geometry differ
 * (ipk_segment_inspect tells what was found); other -errno. */
int ipk_segment_attach(struct ipk_segment *segment, int fd, uint32_t kind, uint32_t participants, uint64_t mirror_from);

/* Release claims, unmap, close. Harmless on a closed view. */
void ipk_segment_close(struct ipk_segment *segment);

/* Claim a participant slot for this process. Returns 0, -EBUSY if a live process has it (or if called by a signal handler
 * whose own thread is claiming), -EBADF if the view's descriptor was closed by others, -ENOENT without /proc, -errno. */
int ipk_participant_claim(struct ipk_segment *segment, uint32_t slot);

/* Give the slot back; no effect where this view does not hold it. */
void ipk_participant_release(struct ipk_segment *segment, uint32_t slot);

/* Returns 1 if the slot's participant lives, 0 if it is dead or nobody holds the slot, -errno. Does not block. */
int ipk_participant_alive(const struct ipk_segment *segment, uint32_t slot);

/* Make sure that this view still holds what it claimed: nobody forked us or closed our descriptors. Slow paths only.
 * Returns 0, -ECHILD in a forked child (its claims are dropped), -EBUSY if a claim was lost to another (ipk_segment_holds
 * tells which), -EBADF if both descriptors are gone: what the view holds is still its own, but it can no longer ask
 * whether others live. */
int ipk_segment_still_ours(struct ipk_segment *segment);

/* Whether this view has claimed the slot and not lost it since. Does not look: ipk_segment_still_ours does. */
static inline int ipk_segment_holds(const struct ipk_segment *segment, uint32_t slot)
{
	/* relaxed: the caller is the one thread that deals with this slot */
	return (int)(atomic_load_explicit(&segment->claimed, memory_order_relaxed) >> slot & 1);
}

/* Whether fd is a descriptor of the segment's file: daemonising programs close and reuse numbers that are not theirs. */
int ipk_segment_owns(const struct ipk_segment *segment, int fd);

/* In a forked child: let go of the description that the parent's claims live on. */
void ipk_segment_forked(struct ipk_segment *segment);

/* cffi: begin */

/* Read the header of the file behind fd, whatever it is. Returns 0, -ENOMSG if it is too short or no segment, -errno. */
int ipk_segment_inspect(int fd, struct ipk_segment_info *info);

/* Read who is recorded in a participant slot of the segment behind fd. Returns 1 if it lives, 0 if not, -errno. */
int ipk_segment_participant(int fd, uint32_t slot, struct ipk_participant_info *who);

/* Whether the process of such a record runs: 1; 0 if it is gone, is a zombie, or is of another pid namespace, where we cannot look. */
int ipk_segment_runs(const struct ipk_participant_info *who);

/* cffi: end */

#endif
