/* A mutex whose owner runs with the priority of whoever waits for it: FUTEX_LOCK_PI of futex(2). What mutex.h does with an object
 * that was made with IPK_MUTEX_INHERITS.
 *
 *   word  31        30           29    0
 *        | waiters | owner died | tid  |     as the kernel has it: FUTEX_WAITERS, FUTEX_OWNER_DIED, thread id
 *
 * The kernel, which lends the owner the priority, has to know who that is. So the word holds a thread id, and all who use the
 * mutex are in one pid namespace. The kernel believes the word: the mutex promises nothing against a peer that writes anything.
 *
 *   state  DIED  an owner died, or left without releasing, and nobody has said since that all is consistent
 *          LOST  nobody shall have it any more: an owner that was told of a death released without saying so
 *
 * The owner is a thread, also for the kernel: where a thread ends that owns, the owner has died. Who waits in the kernel then gets
 * the mutex from it, with `owner died` in the word. Who comes later is told ESRCH, for there is no such thread, and puts its own
 * id in the place of that one, with `owner died`, in one compare-and-exchange. Whoever has the mutex moves that flag to `state`,
 * which the kernel does not clear; if he is killed before that, the next one is told of his death.
 *
 * Another thread may have the dead one's id by then. The kernel takes it for the owner; we do not, for the record beside the word
 * says which member the owner was a thread of (member.h): if the member is dead, or has no such thread, the id goes the same way.
 * Those who still wait in the kernel wait for that stranger: they come back when their slice is over. Until the last of them has
 * left, the kernel refuses (EINVAL) all who wait: they pause and try again.
 *
 * Sync points:
 *   pi.handover  release exchanges word (release) -> whoever has taken it, or for whom the kernel has, loads it (acquire); or,
 *                where the kernel hands it over, release stores owner (release) -> whoever gets it loads it (acquire)
 *   pi.recorded  own stores owner (release) -> whoever asks loads it (acquire): the record is of that thread's member
 */
#ifndef IPCKIT_MUTEX_PI_H
#define IPCKIT_MUTEX_PI_H

#include <stdatomic.h>
#include <stdint.h>

#include "ipckit/mutex.h"

#define IPK_MUTEX_PI_DIED UINT32_C(1)
#define IPK_MUTEX_PI_LOST UINT32_C(2)

struct ipk_mutex_pi_shm {
	struct ipk_sync_shm sync;
	_Atomic uint32_t word;  /* futex */
	_Atomic uint32_t state; /* owner */
	_Atomic uint32_t depth; /* owner: how often it has acquired a recursive mutex */
	_Atomic uint32_t owner; /* owner: its thread id, when the record is its own */
	struct ipk_holder_shm holder;
	uint64_t pid_namespace; /* r/o: in which thread ids are meant */
	uint64_t reserved[2];
};
_Static_assert(sizeof(struct ipk_mutex_pi_shm) == IPK_MUTEX_SIZE, "in the place of the lock");

/* cffi: begin */

/* Say whose thread ids the word has, before the object is published. place: of the object. Maker.
 * Returns 0; -ENOSYS if this kernel has no priority inheritance; -ENOENT without /proc. */
int ipk_mutex_pi_format(void *place);

/* Whether the calling process may use the mutex; of another kind of mutex, always. Does not block.
 * Returns 0; -ENOSYS as ipk_mutex_pi_format; -EXDEV if it was made in another pid namespace. */
int ipk_mutex_pi_check(const struct ipk_sync *view);

/* Whether its owner inherits. Returns 1 or 0. */
int ipk_mutex_pi_inherits(const struct ipk_sync *view);

/* cffi: end */

/* As the functions of those names in mutex.h, of a mutex that inherits. wait: -EDEADLK also where owners wait for each other. */
int ipk_mutex_pi_try(struct ipk_sync *view);
int ipk_mutex_pi_recover(struct ipk_sync *view);
int ipk_mutex_pi_wait(struct ipk_sync *view, int64_t deadline_ns);
int ipk_mutex_pi_release(struct ipk_sync *view);
int ipk_mutex_pi_undo(struct ipk_sync *view);
int ipk_mutex_pi_consistent(struct ipk_sync *view);
int ipk_mutex_pi_abandon(struct ipk_sync *view);
int ipk_mutex_pi_mine(const struct ipk_sync *view);
int ipk_mutex_pi_owner(const struct ipk_sync *view, struct ipk_mutex_owner *owner);
int ipk_mutex_pi_lives(const struct ipk_sync *view, uint32_t word);

#endif
