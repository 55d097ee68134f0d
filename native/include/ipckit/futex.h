/* futex(2), futex_waitv(2): sleep on a 32-bit word of memory that processes share.
 *
 * The word is plain memory to the kernel; whoever changes it does so atomically. No function here reads or writes
 * through its word: the kernel compares. Never the PRIVATE flag: a private wake does not reach a shared waiter.
 */
#ifndef IPCKIT_FUTEX_H
#define IPCKIT_FUTEX_H

#include <stdint.h>

/* cffi: types */
#define IPK_FUTEX_ANY 0xFFFFFFFF
#define IPK_FUTEX_WAITV_MAX 128

struct ipk_futex_wait_entry {
	uint64_t expected; /* compared with the word; the upper half is zero */
	uint64_t address;  /* of a 32-bit word, a multiple of 4 */
	uint32_t flags;    /* filled in by ipk_futex_waitv */
	uint32_t reserved; /* zero */
};
/* cffi: end */

/* cffi: begin */

/* Sleep while *word == expected, until a wake whose bitset meets ours, or the deadline.
 *
 * word: a multiple of 4. deadline_ns: absolute, CLOCK_MONOTONIC; IPK_NEVER waits for ever. bitset: not 0.
 * Blocks. Returns 0 when woken (perhaps spuriously: look at the word again), -EAGAIN if *word was another value,
 * -ETIMEDOUT, -EINTR after a signal handler ran, -EINVAL for a misaligned word or an empty bitset, -EFAULT.
 */
int ipk_futex_wait(uint32_t *word, uint32_t expected, int64_t deadline_ns, uint32_t bitset);

/* Wake at most `count` waiters on word whose bitset meets ours. Does not block. Returns how many, or -errno. */
int ipk_futex_wake(uint32_t *word, uint32_t count, uint32_t bitset);

/* Sleep until any of `count` words (1 to IPK_FUTEX_WAITV_MAX) is woken, or differs from what was expected.
 *
 * Blocks. Returns the index of a woken word, -EAGAIN if some word was another value at the start, -ETIMEDOUT, -EINTR,
 * -EINVAL, -ENOSYS before Linux 5.16.
 */
int ipk_futex_waitv(struct ipk_futex_wait_entry *entries, uint32_t count, int64_t deadline_ns);

/* Whether this kernel has futex_waitv(2), by asking it. Does not block. Returns 1 or 0. */
int ipk_futex_has_waitv(void);

/* cffi: end */

#endif
