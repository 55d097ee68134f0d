#include "ipckit/futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ipckit/base.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449 /* the same on every architecture */
#endif
#define FUTEX_SIZE_32 2 /* FUTEX2_SIZE_U32, linux/futex.h since 6.7; FUTEX_32 before */

_Static_assert(sizeof(struct ipk_futex_wait_entry) == 24, "struct futex_waitv of the kernel");

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
	uint32_t limit = count > INT32_MAX ? INT32_MAX : count; /* the kernel reads an int */
	long rc;

	if (limit == 0)
		return 0; /* the kernel would wake one */
	rc = syscall(SYS_futex, word, FUTEX_WAKE_BITSET, limit, NULL, NULL, bitset);
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

int ipk_futex_has_waitv(void)
{
	/* no entries: EINVAL from a kernel that has the call */
	return syscall(SYS_futex_waitv, NULL, 0, 0, NULL, CLOCK_MONOTONIC) < 0 && errno == EINVAL;
}
