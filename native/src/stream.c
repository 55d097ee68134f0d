#include "ipckit/stream.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
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

int64_t ipk_stream_try_write_both(int fd, const void *head, uint64_t head_size, const void *data, uint64_t size)
{
	const struct iovec both[] = {{(void *)(uintptr_t)head, (size_t)head_size}, {(void *)(uintptr_t)data, (size_t)size}};
	ssize_t written = writev(fd, both, 2);

	return written < 0 ? -errno : (int64_t)written;
}

int64_t ipk_stream_try_send_both(int fd, const void *head, uint64_t head_size, const void *data, uint64_t size)
{
	struct iovec both[] = {{(void *)(uintptr_t)head, (size_t)head_size}, {(void *)(uintptr_t)data, (size_t)size}};
	const struct msghdr message = {.msg_iov = both, .msg_iovlen = 2};
	ssize_t sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

	return sent < 0 ? -errno : (int64_t)sent;
}

int64_t ipk_stream_try_read(int fd, void *into, uint64_t size)
{
	ssize_t count = read(fd, into, (size_t)size);

	return count < 0 ? -errno : (int64_t)count;
}

int64_t ipk_stream_try_receive(int fd, void *into, uint64_t size)
{
	ssize_t count = recv(fd, into, (size_t)size, MSG_DONTWAIT);

	return count < 0 ? -errno : (int64_t)count;
}
