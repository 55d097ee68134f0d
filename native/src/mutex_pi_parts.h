/* What the parts of mutex_pi.h share. Private to src/. */
#ifndef IPCKIT_SRC_MUTEX_PI_PARTS_H
#define IPCKIT_SRC_MUTEX_PI_PARTS_H

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipckit/mutex_pi.h"

#define DIED IPK_MUTEX_PI_DIED
#define LOST IPK_MUTEX_PI_LOST
#define TID ((uint32_t)FUTEX_TID_MASK)
#define OWNER_DIED ((uint32_t)FUTEX_OWNER_DIED)

static inline struct ipk_mutex_pi_shm *mutex_of(const struct ipk_sync *view)
{
	return (struct ipk_mutex_pi_shm *)(void *)view->object;
}

static inline uint32_t word_of(const struct ipk_sync *view)
{
	/* relaxed: who takes it does so by an exchange, or by the kernel */
	return atomic_load_explicit(&mutex_of(view)->word, memory_order_relaxed);
}

static inline uint32_t state_of(const struct ipk_sync *view)
{
	/* relaxed: the owner's own; to others a hint */
	return atomic_load_explicit(&mutex_of(view)->state, memory_order_relaxed);
}

static inline int pi_futex(_Atomic uint32_t *word, int operation, const struct timespec *until)
{
	return syscall(SYS_futex, word, operation, 0, until, NULL, 0) < 0 ? -errno : 0;
}

/* Give the word back, which is this thread's. Returns 0; -EPERM: another thread of ours has abandoned it. */
int ipk_mutex_pi_give(struct ipk_sync *view, uint32_t self);

/* Whether the record is that thread's, and says that it is dead. Returns 1, 0, -errno. */
int ipk_mutex_pi_recorded_dead(const struct ipk_sync *view, uint32_t thread);

#endif
