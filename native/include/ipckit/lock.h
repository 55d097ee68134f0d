/* A lock in shared memory that survives the death of its owner: the word behind Mutex, and the guard inside other objects.
 *
 *   word  31      30    29     28  27       0
 *        | waiters | died | lost | 0 | owner id |
 *
 *   waiters  somebody may sleep on the word. Set before each sleep; whoever releases with it set wakes one. A dead
 *            waiter leaves it set, which costs one needless wake-up. An owner who knows of one more sleeper, that the flag
 *            does not tell of, leaves it set when it releases, and wakes one: whoever takes the lock keeps it
 *   died     an owner died, or left without releasing, and nobody has said since that what the lock protects is
 *            consistent. The owner's to clear (ipk_lock_consistent); may be set while nobody owns
 *   lost     nobody will ever own it again: an owner that was told of a death released without saying so
 *   owner    ipk_member_id of the owner, 0: nobody
 *
 * An owner that dies is found by the others asking the kernel whether that id lives (member.h): a waiter asks when it
 * has slept for a slice, and when its time is up. It then puts its own id in the place of the dead one, with `died` set, in one
 * compare-and-exchange: so two never recover the same lock, and who is killed amid that has either done it or not.
 *
 * Which thread of its member the owner is, `thread` says. To give the lock back one clears that first, by compare-and-exchange of
 * what it is supposed to be: so of a thread that releases, and another one that abandons what the first holds because its view
 * is closed, one gives the lock back and the other is told that it has nothing to give; neither touches the next owner's.
 *
 * A waker that is killed between its store of the word and its wake-up, and a waiter that is killed between being woken and
 * taking the lock, cost the others at most a slice.
 *
 * Not fair: whoever comes first after a release gets the lock. While the owner runs on another CPU waiters spin for about as
 * long as a wake-up takes.
 *
 * Sync points:
 *   lock.handover  release stores word (release) -> acquire exchanges word (acquire): the protected data is the next owner's
 *   lock.stolen    the dead owner's stores -> recovery: the kernel's lock that dropped at its death orders them
 *
 * No store-buffering case: sleeper and releaser both use read-modify-writes of the one word, and futex(2) compares it.
 */
#ifndef IPCKIT_LOCK_H
#define IPCKIT_LOCK_H

#include <stdatomic.h>
#include <stdint.h>

#include "ipckit/member.h"
#include "ipckit/spin.h"

/* cffi: types */
#define IPK_LOCK_WAITERS 0x80000000
#define IPK_LOCK_DIED 0x40000000
#define IPK_LOCK_LOST 0x20000000
/* cffi: end */

struct ipk_lock_shm {
	_Atomic uint32_t word;  /* futex */
	_Atomic uint32_t depth; /* owner: how often it has acquired a recursive lock */
	_Atomic uint32_t cpu;   /* owner: where it runs, plus 1; 0: not said */
	uint32_t reserved;
	struct ipk_holder_shm holder;
	_Atomic uint64_t thread; /* of the owner: its member id << 32 | its thread id; cleared before the word is given back, see above */
	uint64_t reserved2[2];
};
_Static_assert(sizeof(struct ipk_lock_shm) == 64, "one line");

/* Take the lock if it is free. Does not block. Whether the caller has it already is the caller's to know.
 *
 * Returns 0; -EOWNERDEAD: taken, and the last owner died; -EAGAIN if another one has it; -ENOTRECOVERABLE if it is lost;
 * -errno as ipk_member_join. */
int ipk_lock_try(struct ipk_lock_shm *lock, struct ipk_member *member);

/* Take the lock if its owner is dead, or if it is free after all. Does not block, but asks the kernel. Returns as ipk_lock_try. */
int ipk_lock_recover(struct ipk_lock_shm *lock, struct ipk_member *member);

/* Wait for the lock: spin, then sleep, for a slice or until the deadline. Blocks.
 *
 * Returns as ipk_lock_try, where -EAGAIN means: the slice is over, or a signal handler ran; look around and wait again.
 * -ETIMEDOUT: the deadline has passed, and the owner lives. */
int ipk_lock_wait(struct ipk_lock_shm *lock, struct ipk_member *member, struct ipk_spin *spin, int64_t deadline_ns);

/* Give the lock back. Owner. With `died` still set the lock is lost. Does not block. Returns 0, -EPERM if others took us for dead, or
 * another thread of ours has abandoned it. */
int ipk_lock_release(struct ipk_lock_shm *lock, const struct ipk_member *member);

/* Give the lock back for whoever owns it; it is then free also where `died` was set. Anybody. Does not block. Returns 0, -EPERM if
 * nobody owns it. */
int ipk_lock_release_any(struct ipk_lock_shm *lock, struct ipk_member *member);

/* Leave the lock as if we had died with it, whichever of our threads owns it. Owner, or another thread of its member. Does not block.
 * Returns 0, -EPERM if none of ours does. */
int ipk_lock_abandon(struct ipk_lock_shm *lock, const struct ipk_member *member);

/* The same, if that thread of our member owns it; thread: as ipk_thread_id told it there. */
int ipk_lock_abandon_of(struct ipk_lock_shm *lock, const struct ipk_member *member, uint32_t thread);

/* The first half of giving it back, if that thread of our member owns it: nobody owns it then, and whoever of our threads was told
 * so is the only one who may change what it protects; if we are killed now, that is the owner's death. thread: as ipk_thread_id
 * told it there. Does not block. Returns 0; -EPERM if it does not, or another one was faster. */
int ipk_lock_disown(struct ipk_lock_shm *lock, const struct ipk_member *member, uint32_t thread);

/* The second half. next: 0; IPK_LOCK_DIED, as if we had died with it; IPK_LOCK_LOST; with IPK_LOCK_WAITERS if one sleeps on the word
 * besides those that its flag tells of. Does not block. Returns 0, -EPERM if others took us for dead. */
int ipk_lock_give(struct ipk_lock_shm *lock, const struct ipk_member *member, uint32_t next);

/* Say that what the lock protects is consistent again. Owner. Does not block. */
void ipk_lock_consistent(struct ipk_lock_shm *lock);

/* For an object's own short critical sections: as ipk_lock_try, but spins a little if another one is inside. Does not sleep, and
 * does not ask the kernel. */
int ipk_lock_guard(struct ipk_lock_shm *lock, struct ipk_member *member);

/* Whether our member and the calling thread own it. */
int ipk_lock_mine(const struct ipk_lock_shm *lock, struct ipk_member *member);

#endif
