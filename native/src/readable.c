#include "ipckit/readable.h"

#include <errno.h>
#include <poll.h>

#include "ipckit/base.h"

int ipk_readable_spin(int fd, int64_t budget_ns)
{
	struct pollfd look = { .fd = fd, .events = POLLIN };
	int64_t end_ns = 0;

	for (int waited = 0;; waited = 1) {
		int rc = poll(&look, 1, 0);

		if (rc < 0)
			return -errno;
		if (rc > 0)
			return look.revents & POLLNVAL ? -EBADF : waited;
		if (!waited)
			end_ns = ipk_monotonic_ns() + budget_ns;
		else if (ipk_monotonic_ns() >= end_ns)
			return -EAGAIN;
	}
}
