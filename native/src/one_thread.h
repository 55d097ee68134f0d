/* One thread of a view at a time deals with what all of them share, without a system call where no other does. Private to src/. */
#ifndef IPCKIT_SRC_ONE_THREAD_H
#define IPCKIT_SRC_ONE_THREAD_H

#include <errno.h>
#include <unistd.h>

#include "ipckit/futex.h"

#define ONE_THREAD_PAUSE_NS 100000 /* the other one takes some ten microseconds */

/* who: the thread id of whoever is at it; 0: nobody. Returns 0; -EBUSY in a signal handler that interrupted its own thread there. */
static inline int one_thread_begin(_Atomic uint32_t *who)
{
	uint32_t self = (uint32_t)gettid();
	uint32_t other = 0;

	/* acquire: pairs with one_thread_end; relaxed: nothing is done with a failure but to try again */
	while (!atomic_compare_exchange_strong_explicit(who, &other, self, memory_order_acquire, memory_order_relaxed)) {
		if (other == self)
			return -EBUSY;
		ipk_futex_wait((uint32_t *)who, other, ipk_monotonic_ns() + ONE_THREAD_PAUSE_NS, IPK_FUTEX_ANY);
		other = 0;
	}
	return 0;
}

static inline void one_thread_end(_Atomic uint32_t *who)
{
	/* release: pairs with one_thread_begin; nobody is woken, for a waiter's pause is short */
	atomic_store_explicit(who, 0, memory_order_release);
}

#endif
