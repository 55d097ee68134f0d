#include "ipckit/pidfd.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* The same numbers on every machine that Linux runs on; older headers lack them. */
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

/* linux/pidfd.h, of which C libraries have a part at most: the first published size of struct pidfd_info. */
struct information {
	uint64_t mask; /* in: what is wanted; out: what there is */
	uint64_t cgroup;
	uint32_t ids[11];
	int32_t exit_code;
};

#define GET_INFO _IOWR(0xff, 11, struct information)
#define INFO_EXIT (UINT64_C(1) << 3)

static_assert(sizeof(struct information) == 64, "PIDFD_INFO_SIZE_VER0");
static_assert(offsetof(struct information, exit_code) == 60, "the last field");

int ipk_pidfd_open(int pid)
{
	long fd = syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : (int)fd;
}

int ipk_pidfd_signal(int pidfd, int signum)
{
	return syscall(SYS_pidfd_send_signal, pidfd, signum, NULL, 0) < 0 ? -errno : 0;
}

int ipk_pidfd_queue(int pidfd, int signum, int value)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = signum;
	info.si_code = SI_QUEUE;
	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_int = value;
	return syscall(SYS_pidfd_send_signal, pidfd, signum, &info, 0) < 0 ? -errno : 0;
}

int ipk_pidfd_getfd(int pidfd, int fd)
{
	long copy = syscall(SYS_pidfd_getfd, pidfd, fd, 0);

	return copy < 0 ? -errno : (int)copy;
}

int ipk_pidfd_status(int pidfd)
{
	struct information info = {.mask = INFO_EXIT};

	if (ioctl(pidfd, GET_INFO, &info) < 0) {
		if (errno == ESRCH) /* it knows of the request, and of nothing but living processes */
			return -EAGAIN;
		return errno == EINVAL || errno == ENOTTY ? -EOPNOTSUPP : -errno;
	}
	return info.mask & INFO_EXIT ? info.exit_code : -EAGAIN;
}
