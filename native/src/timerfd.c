#include "ipckit/timerfd.h"

#include <assert.h>
#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>

#define NS_PER_S 1000000000

static_assert(IPK_TIMERFD_ABSOLUTE == TFD_TIMER_ABSTIME, "the kernel's flag");
static_assert(IPK_TIMERFD_CANCEL == TFD_TIMER_CANCEL_ON_SET, "the kernel's flag");

static struct timespec to_timespec(int64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

static int64_t to_ns(const struct timespec *time)
{
	return (int64_t)time->tv_sec * NS_PER_S + time->tv_nsec;
}

static void tell(struct ipk_timerfd_setting *setting, const struct itimerspec *times)
{
	setting->first = to_ns(&times->it_value);
	setting->interval = to_ns(&times->it_interval);
}

int ipk_timerfd_create(int clock)
{
	int fd = timerfd_create(clock, TFD_NONBLOCK | TFD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int ipk_timerfd_set(int fd, int flags, const struct ipk_timerfd_setting *setting, struct ipk_timerfd_setting *previous)
{
	struct itimerspec times = {.it_value = to_timespec(setting->first), .it_interval = to_timespec(setting->interval)};
	struct itimerspec before = {.it_value = {.tv_sec = 0}};
	int rc = timerfd_settime(fd, flags, &times, &before) < 0 ? -errno : 0;

	tell(previous, &before);
	return rc;
}

int ipk_timerfd_get(int fd, struct ipk_timerfd_setting *setting)
{
	struct itimerspec times;

	if (timerfd_gettime(fd, &times) < 0)
		return -errno;
	tell(setting, &times);
	return 0;
}
