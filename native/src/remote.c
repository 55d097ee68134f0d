#include "ipckit/remote.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sys/uio.h>

static_assert(sizeof(struct ipk_remote_span) == sizeof(struct iovec), "a span is an iovec");
static_assert(offsetof(struct ipk_remote_span, address) == offsetof(struct iovec, iov_base), "a span is an iovec");
static_assert(offsetof(struct ipk_remote_span, size) == offsetof(struct iovec, iov_len), "a span is an iovec");

static size_t total(const struct ipk_remote_span *spans, uint32_t count)
{
	size_t sum = 0;

	for (uint32_t i = 0; i < count; i++)
		sum += spans[i].size;
	return sum;
}

/* What the call gave, if the process of `pidfd` lives even now. */
static int64_t outcome(ssize_t copied, int pidfd)
{
	struct pollfd lives = { .fd = pidfd, .events = POLLIN };

	if (copied < 0)
		return -errno;
	return poll(&lives, 1, 0) == 0 ? copied : -ESRCH;
}

int64_t ipk_remote_read(int pid, int pidfd, void *local, const struct ipk_remote_span *spans, uint32_t count)
{
	struct iovec here = { .iov_base = local, .iov_len = total(spans, count) };
	const struct iovec *there = (const struct iovec *)(const void *)spans;

	return outcome(process_vm_readv(pid, &here, 1, there, count, 0), pidfd);
}

int64_t ipk_remote_write(int pid, int pidfd, const void *local, const struct ipk_remote_span *spans, uint32_t count)
{
	/* The call only reads what iov_base points to; struct iovec has no const. */
	struct iovec here = { .iov_base = (void *)(uintptr_t)local, .iov_len = total(spans, count) };
	const struct iovec *there = (const struct iovec *)(const void *)spans;

	return outcome(process_vm_writev(pid, &here, 1, there, count, 0), pidfd);
}
