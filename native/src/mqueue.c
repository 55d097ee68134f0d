#include "ipckit/mqueue.h"

#include <errno.h>
#include <mqueue.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* System calls, and not the C library's functions: older ones keep those in librt, and their mq_notify makes a thread
 * of what the kernel calls SIGEV_THREAD.
 */
#ifndef SYS_mq_timedsend
#define SYS_mq_timedsend SYS_mq_timedsend_time64
#define SYS_mq_timedreceive SYS_mq_timedreceive_time64
#endif

/* The kernel tries before it looks at the time, and does not sleep for what has passed. Zero in either width. */
static const struct timespec PASSED = { .tv_sec = 0, .tv_nsec = 0 };

/* A blocking description says ETIMEDOUT where one with O_NONBLOCK says EAGAIN. */
static int failed(void)
{
	return errno == ETIMEDOUT ? -EAGAIN : -errno;
}

int ipk_mqueue_try_send(int mqd, const char *data, uint64_t length, uint32_t priority)
{
	return syscall(SYS_mq_timedsend, mqd, data, (size_t)length, priority, &PASSED) == 0 ? 0 : failed();
}

int64_t ipk_mqueue_try_receive(int mqd, char *into, uint64_t size, uint32_t *priority)
{
	long length = syscall(SYS_mq_timedreceive, mqd, into, (size_t)size, priority, &PASSED);

	return length < 0 ? failed() : length;
}

static int notify(int mqd, const struct sigevent *how)
{
	return syscall(SYS_mq_notify, mqd, how) == 0 ? 0 : -errno;
}

int ipk_mqueue_notify_signal(int mqd, int signum, int value)
{
	struct sigevent how = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = signum, .sigev_value = { .sival_int = value } };

	return notify(mqd, &how);
}

int ipk_mqueue_notify_socket(int mqd, int socket, const char *cookie)
{
	/* The kernel takes the socket from the place of the signal's number, and only reads the cookie. */
	struct sigevent how = { .sigev_notify = SIGEV_THREAD, .sigev_signo = socket };

	how.sigev_value.sival_ptr = (void *)(uintptr_t)cookie;
	return notify(mqd, &how);
}

int ipk_mqueue_notify_cancel(int mqd)
{
	return notify(mqd, NULL);
}

int ipk_mqueue_attributes(int mqd, struct ipk_mqueue_attributes *attributes)
{
	struct mq_attr found;

	if (syscall(SYS_mq_getsetattr, mqd, NULL, &found) != 0)
		return -errno;
	attributes->max_messages = found.mq_maxmsg;
	attributes->max_message_size = found.mq_msgsize;
	attributes->messages = found.mq_curmsgs;
	return 0;
}
