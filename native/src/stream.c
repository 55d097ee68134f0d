#include "ipckit/stream.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipckit/base.h"

#define NS_PER_MS 1000000

int ipk_stream_wait(int fd, int events, int timeout_ms)
{
	struct pollfd one = {.fd = fd, .events = (short)events};
	int ready = poll(&one, 1, timeout_ms);

	return ready < 0 ? -errno : ready == 0 ? 0 : one.revents;
}

/* Returns 0, -ETIMEDOUT, or what ipk_stream_wait does below 0. */
static int wait_for_room(int fd, int64_t deadline_ns)
{
	int64_t left_ns = deadline_ns - ipk_monotonic_ns();
	int rc;

	if (left_ns <= 0)
		return -ETIMEDOUT;
	rc = ipk_stream_wait(fd, POLLOUT, (int)((left_ns + NS_PER_MS - 1) / NS_PER_MS));
	return rc < 0 ? rc : 0; /* the next write tells what it was, and the clock whether the time is up */
}

int64_t ipk_stream_try_write(int fd, const void *data, uint64_t size)
{
	ssize_t written = write(fd, data, (size_t)size);

	return written < 0 ? -errno : (int64_t)written;
}

int64_t ipk_stream_write(int fd, const void *data, uint64_t size, int64_t deadline_ns)
{
	uint64_t done = 0;
	int rc = 0;

	while (done < size && rc == 0) {
		int64_t written = ipk_stream_try_write(fd, (const char *)data + done, size - done);

		if (written >= 0)
			done += (uint64_t)written;
		else
			rc = written == -EAGAIN ? wait_for_room(fd, deadline_ns) : (int)written;
	}
	return done > 0 || rc == 0 ? (int64_t)done : rc;
}

int64_t ipk_stream_try_send(int fd, const void *data, uint64_t size)
{
	ssize_t sent = send(fd, data, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);

	return sent < 0 ? -errno : (int64_t)sent;
}
