/* A process's membership in a file of shared memory: how the others tell that it lives.
 *
 * A member has an id, a random number of 28 bits that no other member of the file has: it holds an OFD write lock
 * (fcntl(2)) on byte 2^62 + 2^32 + id of the file, through a description opened for this alone. The kernel drops the
 * lock when the last process that has the description is gone, at whatever instruction it was killed. Lock words in
 * the file hold ids, never pids or thread ids: those mean another process in another pid namespace, and are reused.
 *
 * Where a wrong answer could do harm, a record beside the id (struct ipk_holder_shm) says which process it is, so that a live process
 * whose descriptors somebody closed is not taken for dead. A member is dead only if its byte is free AND the recorded
 * process (pid, start time, pid namespace) is gone, or is of another pid namespace, where we cannot look. So a stopped process
 * lives, and a recycled pid does not.
 *
 * There is no table of members, so there may be any number of them, and an object in shared memory needs nothing but
 * its own bytes and the file that they lie in. That a word of a dead member names a later one with the same id takes
 * a chance of 1 in 2^28 for each process that joins the file before anybody has looked at the word.
 *
 * fork(2): the child is no member. It notices by itself (its copy of the id lies in a page that MADV_WIPEONFORK
 * zeroes), and lets go of the parent's description, so that it does not keep a dead parent alive.
 *
 * Sync points:
 *   member.joined    join   stores *id       (release) -> ipk_member_id loads *id (acquire): `self` is complete
 *   member.recorded  record stores holder.id (release) -> alive loads holder.id (acquire): the record is complete
 *
 * Who may call: any thread at any time, but for open and close.
 */
#ifndef IPCKIT_MEMBER_H
#define IPCKIT_MEMBER_H

#include <stdatomic.h>
#include <stdint.h>

#include "ipckit/base.h"
#include "ipckit/segment.h"

#define IPK_MEMBER_ID_BITS 28
#define IPK_MEMBER_ID_MASK ((UINT32_C(1) << IPK_MEMBER_ID_BITS) - 1)

/* The record beside an id: which process it is. Written by the member itself when it has put its id into a word. */
struct ipk_holder_shm {
	_Atomic uint32_t id; /* last: whose record this is; anything but the id in question: there is no record */
	_Atomic uint32_t pid;
	_Atomic uint64_t start_time;
	_Atomic uint64_t pid_namespace;
};
_Static_assert(sizeof(struct ipk_holder_shm) == 24, "two of them and some words fit into a line");

struct ipk_member {
	int fd;      /* the file; the caller's, open until ipk_member_close */
	int life_fd; /* the description that holds our lock; -1 until the first join */
	uint64_t device, inode; /* of fd: a descriptor that others closed and reused is seen */
	_Atomic uint32_t *id;   /* 0 before the first join, and in a forked child: MADV_WIPEONFORK; NULL when closed */
	_Atomic uint32_t joiner; /* thread id of who is joining or renewing; 0: nobody */
	struct ipk_participant_info self; /* filled by the first join */
};

/* cffi: types */
struct ipk_member;
/* cffi: end */

/* cffi: begin */

/* Prepare to join the file behind fd, which stays the caller's. member: zeroed memory. Does not block.
 * Returns 0, -EINVAL if fd is no regular file, -ENOSYS before Linux 4.14, -errno. */
int ipk_member_open(struct ipk_member *member, int fd);

/* Leave the file: whatever words still hold our id belong to a dead member now. Harmless when repeated. */
void ipk_member_close(struct ipk_member *member);

/* In a forked child: let go of the parent's description now. Calls notice by themselves, but only when they are made. */
void ipk_member_forked(struct ipk_member *member);

/* Our id, for tests and for people; 0 before the first join. */
uint32_t ipk_member_current(const struct ipk_member *member);

/* Join the file, unless we have. Does not block.
 *
 * Returns our id; -EBADF if others closed the descriptor, -ENOENT without /proc, -EACCES if the file's mode forbids to
 * open it again, -EBUSY in a signal handler that interrupted its own thread here, -errno. */
int64_t ipk_member_join(struct ipk_member *member);

/* Whether a member with that id lives, by its lock alone. Returns 1, 0, -errno. Does not block. */
int ipk_member_locked(const struct ipk_member *member, uint32_t id);

/* cffi: end */

/* Our id if we have joined, else 0. */
static inline uint32_t ipk_member_id(const struct ipk_member *member)
{
	/* acquire: member.joined */
	return atomic_load_explicit(member->id, memory_order_acquire);
}

/* Whether a member with that id lives, by its lock and by the record beside the id, if that is the id's. For words
 * whose loss would hurt a live process. Returns 1, 0, -errno. Does not block. */
int ipk_member_alive(const struct ipk_member *member, uint32_t id, const struct ipk_holder_shm *holder);

/* The same, and in *who what the record says, if it is that id's; else zero. */
int ipk_member_who(const struct ipk_member *member, uint32_t id, const struct ipk_holder_shm *holder,
		   struct ipk_participant_info *who);

/* Make sure that we still hold our id: nobody forked us or closed our descriptors. Slow paths only.
 * Returns 0, -ECHILD in a forked child, -EBADF if both descriptors are gone: what we hold is still ours, by the record
 * beside our id, but we can no longer ask whether others live. */
int ipk_member_still_ours(struct ipk_member *member);

/* Say beside our id who we are. */
void ipk_member_record(const struct ipk_member *member, uint32_t id, struct ipk_holder_shm *holder);

#endif
