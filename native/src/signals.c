#include "ipckit/signals.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ipckit/base.h"

#define NS_PER_S 1000000000
#define LAST_POLL_CODE 6 /* POLL_HUP: what F_SETSIG of fcntl(2) puts into a signal of any number */

static_assert(_NSIG - 1 <= 64, "a mask is 64 bits");

uint64_t ipk_signals_unblocked(uint64_t mask)
{
	uint64_t blocked = 0;

	syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &blocked, sizeof(blocked));
	return mask & ~blocked;
}

uint64_t ipk_signals_block(uint64_t mask)
{
	uint64_t before = 0;

	syscall(SYS_rt_sigprocmask, SIG_BLOCK, &mask, &before, sizeof(mask));
	return mask & ~before;
}

void ipk_signals_unblock(uint64_t mask)
{
	syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &mask, NULL, sizeof(mask));
}

int ipk_signals_queue(int pid, int signum, int value)
{
	return sigqueue(pid, signum, (union sigval){.sival_int = value}) < 0 ? -errno : 0;
}

static int layout_of_own_codes(int signum, int code)
{
	switch (signum) {
	case SIGILL:
	case SIGFPE:
	case SIGSEGV:
	case SIGBUS:
	case SIGTRAP:
		return IPK_SIGINFO_FAULT;
	case SIGCHLD:
		return IPK_SIGINFO_CHILD;
	case SIGSYS:
		return IPK_SIGINFO_CALL;
	default:
		return code <= LAST_POLL_CODE ? IPK_SIGINFO_POLL : IPK_SIGINFO_KILL;
	}
}

/* As siginfo_layout of the kernel has it, but for SI_TKILL, which has no value and is filled up with zeros. */
static int layout_of(int signum, int code)
{
	if (code > SI_USER && code < SI_KERNEL)
		return layout_of_own_codes(signum, code);
	if (code == SI_TIMER)
		return IPK_SIGINFO_TIMER;
	if (code == SI_SIGIO)
		return IPK_SIGINFO_POLL;
	return code < 0 && code != SI_TKILL ? IPK_SIGINFO_RT : IPK_SIGINFO_KILL;
}

static void from_siginfo(struct ipk_siginfo *to, const siginfo_t *from)
{
	int layout = layout_of(from->si_signo, from->si_code);

	memset(to, 0, sizeof(*to));
	to->layout = layout;
	to->signum = from->si_signo;
	to->code = from->si_code;
	to->error = from->si_errno;
	if (layout == IPK_SIGINFO_KILL || layout == IPK_SIGINFO_RT || layout == IPK_SIGINFO_CHILD) {
		to->pid = from->si_pid;
		to->uid = from->si_uid;
	}
	if (layout == IPK_SIGINFO_RT || layout == IPK_SIGINFO_TIMER) {
		to->value = from->si_value.sival_int;
		to->pointer = (int64_t)(intptr_t)from->si_value.sival_ptr;
	}
	if (layout == IPK_SIGINFO_TIMER) {
		to->timer = from->si_timerid;
		to->overrun = from->si_overrun;
	}
	if (layout == IPK_SIGINFO_CHILD) {
		to->status = from->si_status;
		to->user_time = from->si_utime;
		to->system_time = from->si_stime;
	}
	if (layout == IPK_SIGINFO_POLL) {
		to->band = from->si_band;
		to->fd = from->si_fd;
	}
	if (layout == IPK_SIGINFO_FAULT) {
		to->address = (int64_t)(intptr_t)from->si_addr;
		to->address_lsb = from->si_addr_lsb;
	}
	if (layout == IPK_SIGINFO_CALL) {
		to->address = (int64_t)(intptr_t)from->si_call_addr;
		to->syscall = from->si_syscall;
		to->arch = from->si_arch;
	}
}

static void from_signalfd(struct ipk_siginfo *to, const struct signalfd_siginfo *from)
{
	memset(to, 0, sizeof(*to));
	to->layout = layout_of((int)from->ssi_signo, from->ssi_code);
	to->signum = from->ssi_signo;
	to->code = from->ssi_code;
	to->error = from->ssi_errno;
	to->pid = from->ssi_pid;
	to->uid = from->ssi_uid;
	to->value = from->ssi_int;
	to->pointer = (int64_t)from->ssi_ptr;
	to->status = from->ssi_status;
	to->user_time = (int64_t)from->ssi_utime;
	to->system_time = (int64_t)from->ssi_stime;
	to->band = from->ssi_band;
	to->fd = from->ssi_fd;
	to->timer = from->ssi_tid;
	to->overrun = from->ssi_overrun;
	to->address = (int64_t)(to->layout == IPK_SIGINFO_CALL ? from->ssi_call_addr : from->ssi_addr);
	to->address_lsb = from->ssi_addr_lsb;
	to->syscall = from->ssi_syscall;
	to->arch = from->ssi_arch;
}

static int take(uint64_t mask, struct ipk_siginfo *info, int64_t wait_ns)
{
	struct timespec time = {.tv_sec = (time_t)(wait_ns / NS_PER_S), .tv_nsec = (long)(wait_ns % NS_PER_S)};
	siginfo_t got;
	long signum = syscall(SYS_rt_sigtimedwait, &mask, &got, &time, sizeof(mask));

	if (signum < 0)
		return -errno;
	from_siginfo(info, &got);
	return (int)signum;
}

int ipk_signals_take(uint64_t mask, struct ipk_siginfo *info)
{
	return take(mask, info, 0);
}

int ipk_signals_wait(uint64_t mask, struct ipk_siginfo *info, int64_t deadline_ns)
{
	int64_t left = deadline_ns - ipk_monotonic_ns();

	return take(mask, info, left > 0 ? left : 0);
}

int ipk_signals_descriptor(int fd, uint64_t mask)
{
	long result = syscall(SYS_signalfd4, fd, &mask, sizeof(mask), SFD_NONBLOCK | SFD_CLOEXEC);

	return result < 0 ? -errno : (int)result;
}

int ipk_signals_read(int fd, struct ipk_siginfo *infos, int count)
{
	struct signalfd_siginfo got[IPK_SIGNALS_BATCH];
	ssize_t size;
	int number;

	if (count < 1 || count > IPK_SIGNALS_BATCH)
		return -EINVAL;
	size = read(fd, got, (size_t)count * sizeof(got[0]));
	if (size < 0)
		return -errno;
	number = (int)((size_t)size / sizeof(got[0]));
	for (int i = 0; i < number; i++)
		from_signalfd(&infos[i], &got[i]);
	return number;
}

int ipk_signals_action_get(int signum, struct ipk_signals_action *action)
{
	struct sigaction found;

	if (sigaction(signum, NULL, &found) < 0)
		return -errno;
	action->function = found.sa_flags & SA_SIGINFO ? (uint64_t)(uintptr_t)found.sa_sigaction
						       : (uint64_t)(uintptr_t)found.sa_handler;
	action->flags = found.sa_flags;
	action->mask = 0;
	for (int other = 1; other < _NSIG; other++)
		if (sigismember(&found.sa_mask, other) == 1)
			action->mask |= UINT64_C(1) << (other - 1);
	return 0;
}

int ipk_signals_action_put(int signum, const struct ipk_signals_action *action)
{
	struct sigaction again;

	memset(&again, 0, sizeof(again));
	again.sa_flags = (int)action->flags;
	if (again.sa_flags & SA_SIGINFO)
		again.sa_sigaction = (void (*)(int, siginfo_t *, void *))(uintptr_t)action->function;
	else
		again.sa_handler = (void (*)(int))(uintptr_t)action->function;
	for (int other = 1; other < _NSIG; other++)
		if (action->mask >> (other - 1) & 1)
			sigaddset(&again.sa_mask, other);
	return sigaction(signum, &again, NULL) < 0 ? -errno : 0;
}
