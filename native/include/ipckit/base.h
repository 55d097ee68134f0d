/* What every header of the core relies on: cache geometry, time, spinning, kill points.
 *
 * Conventions of the core: a function returns >= 0, or -errno; deadlines are absolute CLOCK_MONOTONIC nanoseconds;
 * sizes are bytes; `struct ipk_X_shm` lies in a segment, `struct ipk_X` is one process's view of it.
 */
#ifndef IPCKIT_BASE_H
#define IPCKIT_BASE_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

/* Two 64-byte lines: the adjacent-line prefetcher fetches them as a pair. */
#define IPK_LINE 128

/* cffi: types */
#define IPK_NEVER 9223372036854775807
#define IPK_SLICE_NS 50000000
/* cffi: end */

_Static_assert(sizeof(void *) == 8, "segments of 2 GiB are mapped twice, and locks lie at byte 2^62: 64 bits only");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2,
	       "libatomic's locks are private to one process");

static inline int64_t ipk_monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Tell the core that this is a spin loop: it leaves the memory pipeline and the sibling thread alone. */
static inline void ipk_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

/* A place at which the tests kill the process. Nothing at all unless built with IPK_FAULTS. */
#ifdef IPK_FAULTS
void ipk_killpoint(const char *name);
#define IPK_KILLPOINT(name) ipk_killpoint(name)
#else
#define IPK_KILLPOINT(name) ((void)0)
#endif

#endif
