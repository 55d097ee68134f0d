#include "ipckit/move.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>

static_assert(sizeof(struct ipk_span) == sizeof(struct iovec), "a span is an iovec");
static_assert(offsetof(struct ipk_span, base) == offsetof(struct iovec, iov_base), "a span is an iovec");
static_assert(offsetof(struct ipk_span, size) == offsetof(struct iovec, iov_len), "a span is an iovec");

int64_t ipk_tee(int source, int target, uint64_t size)
{
	ssize_t moved = tee(source, target, (size_t)size, SPLICE_F_NONBLOCK);

	return moved >= 0 ? moved : -errno;
}

int64_t ipk_vmsplice(int target, const struct ipk_span *spans, uint32_t count)
{
	ssize_t moved = vmsplice(target, (const struct iovec *)(const void *)spans, count, SPLICE_F_NONBLOCK);

	return moved >= 0 ? moved : -errno;
}
