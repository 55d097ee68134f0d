/* futex(2), futex_waitv(2): sleep on a 32-bit word of memory that processes share.
 *
 * The word is plain memory to the kernel; whoever changes it does so atomically. Never the PRIVATE flag: a private wake
 * does not reach a shared waiter.
 *
 * The protocol is the user's: change the word, then wake. Whoever is about to sleep is either seen by the wake, or
 * finds the word changed, for futex(2) compares it and queues the caller as one step. Hence the accesses here are
 * sequentially consistent: whoever leaves a wake-up out because another word says that nobody sleeps gets the order
 * that he thinks of.
 *
 * Who may call: anybody, also a signal handler. Nothing here touches more than the word.
 */
#ifndef IPCKIT_FUTEX_H
#define IPCKIT_FUTEX_H

#include <stdint.h>

/* cffi: types */
#define IPK_FUTEX_ANY 0xFFFFFFFF
#define IPK_FUTEX_WAITV_MAX 128
#define IPK_FUTEX_SIZE 128 /* of a word that is an object of its own: sync header, then a line that begins with it */

struct ipk_futex_wait_entry {
	uint64_t expected; /* compared with the word; the upper half is zero */
	uint64_t address;  /* of a 32-bit word, a multiple of 4 */
	uint32_t flags;    /* filled in by ipk_futex_waitv */
	uint32_t reserved; /* zero */
};
/* cffi: end */

struct ipk_sync;

/* cffi: begin */

/* The word of an object of its own. */
uint32_t *ipk_futex_word(const struct ipk_sync *view);

/* Sleep while *word == expected, until a wake whose bitset meets ours, or the deadline.
 *
 * word: a multiple of 4. deadline_ns: absolute, CLOCK_MONOTONIC; IPK_NEVER waits for ever. bitset: not 0.
 * Blocks. Returns 0 when woken (perhaps spuriously: look at the word again), -EAGAIN if *word was another value,
 * -ETIMEDOUT, -EINTR after a signal handler ran, -EINVAL for a misaligned word or an empty bitset, -EFAULT.
 */
int ipk_futex_wait(uint32_t *word, uint32_t expected, int64_t deadline_ns, uint32_t bitset);

/* Wake at most `count` waiters on word whose bitset meets ours. Does not block. Returns how many, or -errno. */
int ipk_futex_wake(uint32_t *word, uint32_t count, uint32_t bitset);

/* If *word == expected, wake at most `count` of its waiters, and have at most `moved` others sleep on `target` from now
 * on, as if they had gone to sleep there. Does not block.
 *
 * Returns how many were woken or moved; -EAGAIN if *word was another value, -EINVAL for a misaligned word, -EFAULT.
 */
int ipk_futex_requeue(uint32_t *word, uint32_t expected, uint32_t count, uint32_t moved, uint32_t *target);

/* Sleep until any of `count` words (1 to IPK_FUTEX_WAITV_MAX) is woken, or differs from what was expected.
 *
 * Blocks. Returns the index of a woken word, -EAGAIN if some word was another value at the start, -ETIMEDOUT, -EINTR,
 * -EINVAL, -ENOSYS before Linux 5.16.
 */
int ipk_futex_waitv(struct ipk_futex_wait_entry *entries, uint32_t count, int64_t deadline_ns);

/* Look at `count` words, and sleep until any is woken or is not as expected, for a slice or until the deadline.
 *
 * Without futex_waitv(2), or beyond IPK_FUTEX_WAITV_MAX words, it sleeps on one of them, each in turn, and looks at all
 * after 1, 4, 16 and 30 ms of each slice: what was changed is found by then, while a wake that changes nothing may pass unnoticed.
 * Blocks. Returns the index of a word that was woken or differs; -EAGAIN: the slice is over; -ETIMEDOUT, -EINTR,
 * -EINVAL, -EFAULT. */
int ipk_futex_wait_any(struct ipk_futex_wait_entry *entries, uint32_t count, int64_t deadline_ns);

/* The word, and changes of it, atomic and sequentially consistent; exchange, add and compare_exchange return what it
 * was. add wraps around. compare_exchange stores `desired` only if the word was `expected`. Wait-free. */
uint32_t ipk_futex_load(const uint32_t *word);
void ipk_futex_store(uint32_t *word, uint32_t value);
uint32_t ipk_futex_exchange(uint32_t *word, uint32_t value);
uint32_t ipk_futex_add(uint32_t *word, uint32_t value);
uint32_t ipk_futex_compare_exchange(uint32_t *word, uint32_t expected, uint32_t desired);

/* Whether this kernel has futex_waitv(2), by asking it. Does not block. Returns 1 or 0. */
int ipk_futex_has_waitv(void);

/* cffi: end */

/* How long to sleep, in ns, on one of many words before looking at all again: at the first turn of a slice, the second ... */
static inline int64_t ipk_futex_patience(uint32_t turn)
{
	return INT64_C(1000000) << (turn < 3 ? 2 * turn : 6);
}

#endif
