#include "ipckit/futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ipckit/base.h"
#include "ipckit/sync.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449 /* the same on every architecture */
#endif
#define FUTEX_SIZE_32 2 /* FUTEX2_SIZE_U32, linux/futex.h since 6.7; FUTEX_32 before */

_Static_assert(sizeof(struct ipk_futex_wait_entry) == 24, "struct futex_waitv of the kernel");

uint32_t *ipk_futex_word(const struct ipk_sync *view)
{
	return (uint32_t *)(void *)((unsigned char *)view->object + sizeof(*view->object));
}

/* The kernel reads an int. */
static uint32_t at_most(uint32_t count)
{
	return count > INT32_MAX ? INT32_MAX : count;
}

static struct timespec *absolute(struct timespec *at, int64_t deadline_ns)
{
	if (deadline_ns == IPK_NEVER)
		return NULL;
	if (deadline_ns < 0)
		deadline_ns = 0; /* long past; the kernel would call it invalid */
	at->tv_sec = (time_t)(deadline_ns / 1000000000);
	at->tv_nsec = (long)(deadline_ns % 1000000000);
	return at;
}

int ipk_futex_wait(uint32_t *word, uint32_t expected, int64_t deadline_ns, uint32_t bitset)
{
	struct timespec at;
	/* FUTEX_WAIT_BITSET and not FUTEX_WAIT: only this one takes an absolute time */
	long rc = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, absolute(&at, deadline_ns), NULL, bitset);

	return rc < 0 ? -errno : 0;
}

int ipk_futex_wake(uint32_t *word, uint32_t count, uint32_t bitset)
{
	long rc;

	if (count == 0)
		return 0; /* the kernel would wake one */
	rc = syscall(SYS_futex, word, FUTEX_WAKE_BITSET, at_most(count), NULL, NULL, bitset);
	return rc < 0 ? -errno : (int)rc;
}

int ipk_futex_requeue(uint32_t *word, uint32_t expected, uint32_t count, uint32_t moved, uint32_t *target)
{
	/* the number to move goes where other operations have their time */
	long rc = syscall(SYS_futex, word, FUTEX_CMP_REQUEUE, at_most(count), (unsigned long)at_most(moved), target, expected);

	return rc < 0 ? -errno : (int)rc;
}

int ipk_futex_waitv(struct ipk_futex_wait_entry *entries, uint32_t count, int64_t deadline_ns)
{
	struct timespec at;
	long rc;

	if (count == 0 || count > IPK_FUTEX_WAITV_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < count; i++) {
		entries[i].flags = FUTEX_SIZE_32;
		entries[i].reserved = 0;
	}
	rc = syscall(SYS_futex_waitv, entries, count, 0, absolute(&at, deadline_ns), CLOCK_MONOTONIC);
	return rc < 0 ? -errno : (int)rc;
}

static uint32_t *word_of(const struct ipk_futex_wait_entry *entry)
{
	return (uint32_t *)(uintptr_t)entry->address;
}

/* The first word that is not what was expected, or -EAGAIN. */
static int differing(const struct ipk_futex_wait_entry *entries, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (ipk_futex_load(word_of(&entries[i])) != (uint32_t)entries[i].expected)
			return (int)i;
	return -EAGAIN;
}

/* Sleep on all words if one call takes them; else on one of them, another one at each turn, until the next look. Returns as
 * ipk_futex_waitv. */
static int sleep_on(struct ipk_futex_wait_entry *entries, uint32_t count, uint32_t turn, int64_t now, int64_t until)
{
	int64_t look = now + ipk_futex_patience(turn);
	uint32_t one = turn % count;
	int rc;

	if (count > 1 && count <= IPK_FUTEX_WAITV_MAX) {
		rc = ipk_futex_waitv(entries, count, until);
		if (rc != -ENOSYS && rc != -EPERM) /* an old kernel, or a filter that does not know the call */
			return rc;
	}
	rc = ipk_futex_wait(word_of(&entries[one]), (uint32_t)entries[one].expected,
			    count == 1 || until < look ? until : look, IPK_FUTEX_ANY);
	return rc < 0 ? rc : (int)one;
}

int ipk_futex_wait_any(struct ipk_futex_wait_entry *entries, uint32_t count, int64_t deadline_ns)
{
	int64_t now = ipk_monotonic_ns();
	int64_t until = deadline_ns - now < IPK_SLICE_NS ? deadline_ns : now + IPK_SLICE_NS;

	if (count == 0)
		return -EINVAL;
	for (uint32_t turn = 0;; turn++) {
		int rc = differing(entries, count);

		if (rc >= 0)
			return rc;
		if (now >= until)
			return now >= deadline_ns ? -ETIMEDOUT : -EAGAIN;
		rc = sleep_on(entries, count, turn, now, until);
		if (rc != -EAGAIN && rc != -ETIMEDOUT)
			return rc;
		now = ipk_monotonic_ns();
	}
}

static _Atomic uint32_t *shared(uint32_t *word)
{
	return (_Atomic uint32_t *)word;
}

/* seq_cst, all that follow: the store-buffering case in the header is the user's */

uint32_t ipk_futex_load(const uint32_t *word)
{
	return atomic_load_explicit((const _Atomic uint32_t *)word, memory_order_seq_cst);
}

void ipk_futex_store(uint32_t *word, uint32_t value)
{
	atomic_store_explicit(shared(word), value, memory_order_seq_cst);
}

uint32_t ipk_futex_exchange(uint32_t *word, uint32_t value)
{
	return atomic_exchange_explicit(shared(word), value, memory_order_seq_cst);
}

uint32_t ipk_futex_add(uint32_t *word, uint32_t value)
{
	return atomic_fetch_add_explicit(shared(word), value, memory_order_seq_cst);
}

uint32_t ipk_futex_compare_exchange(uint32_t *word, uint32_t expected, uint32_t desired)
{
	atomic_compare_exchange_strong_explicit(shared(word), &expected, desired, memory_order_seq_cst, memory_order_seq_cst);
	return expected;
}

int ipk_futex_has_waitv(void)
{
	/* no entries: EINVAL from a kernel that has the call */
	return syscall(SYS_futex_waitv, NULL, 0, 0, NULL, CLOCK_MONOTONIC) < 0 && errno == EINVAL;
}
