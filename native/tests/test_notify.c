/* signals.h, timerfd.h, pidfd.h: what is sent arrives, whole; what is refused says why. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "ipckit/base.h"
#include "ipckit/pidfd.h"
#include "ipckit/signals.h"
#include "ipckit/timerfd.h"
#include "support.h"

#define MS INT64_C(1000000)
#define BIT(signum) (UINT64_C(1) << ((signum)-1))

static uint64_t ours(void)
{
	return BIT(SIGRTMIN) | BIT(SIGRTMIN + 1) | BIT(SIGUSR1);
}

static void masks_are_the_threads_own(void)
{
	CHECK_EQ(ipk_signals_unblocked(ours()), ours());
	CHECK_EQ(ipk_signals_block(BIT(SIGUSR1)), BIT(SIGUSR1));
	CHECK_EQ(ipk_signals_block(ours()), ours() & ~BIT(SIGUSR1));
	CHECK_EQ(ipk_signals_unblocked(ours() | BIT(SIGTERM)), BIT(SIGTERM));
	ipk_signals_unblock(ours());
	CHECK_EQ(ipk_signals_unblocked(ours()), ours());
}

static void expect(const struct ipk_siginfo *info, int signum, int value)
{
	CHECK_EQ(info->signum, signum);
	CHECK_EQ(info->layout, IPK_SIGINFO_RT);
	CHECK_EQ(info->code, SI_QUEUE);
	CHECK_EQ(info->pid, getpid());
	CHECK_EQ(info->uid, getuid());
	CHECK_EQ(info->value, value);
}

static void queued_signals_are_taken_in_order(void)
{
	struct ipk_siginfo info;

	ipk_signals_block(ours());
	CHECK_EQ(ipk_signals_take(ours(), &info), -EAGAIN);
	for (int value = -3; value < 3; value++)
		CHECK_EQ(ipk_signals_queue(getpid(), SIGRTMIN + (value & 1), value), 0);
	for (int odd = 0; odd < 2; odd++)
		for (int value = -3; value < 3; value++)
			if ((value & 1) == odd) {
				CHECK_EQ(ipk_signals_take(ours(), &info), SIGRTMIN + odd);
				expect(&info, SIGRTMIN + odd, value);
			}
	CHECK_EQ(ipk_signals_take(ours(), &info), -EAGAIN);
	raise(SIGUSR1);
	CHECK_EQ(ipk_signals_take(ours(), &info), SIGUSR1);
	CHECK_EQ(info.layout, IPK_SIGINFO_KILL);
	CHECK_EQ(info.code, SI_TKILL);
	ipk_signals_unblock(ours());
}

static void a_wait_ends_at_its_deadline_and_never_before(void)
{
	struct ipk_siginfo info;

	ipk_signals_block(ours());
	for (int64_t wait = 0; wait < 20 * MS; wait = wait * 3 + 10000) {
		int64_t deadline = ipk_monotonic_ns() + wait;

		CHECK_EQ(ipk_signals_wait(ours(), &info, deadline), -EAGAIN);
		CHECK(ipk_monotonic_ns() >= deadline);
	}
	CHECK_EQ(ipk_signals_wait(ours(), &info, 1), -EAGAIN);
	ipk_signals_unblock(ours());
}

static void *queue_later(void *unused)
{
	(void)unused;
	CHECK_EQ(ipk_signals_queue(getpid(), SIGRTMIN, 77), 0);
	return NULL;
}

static void a_signal_ends_a_wait(void)
{
	struct ipk_siginfo info;
	pthread_t thread;

	ipk_signals_block(ours());
	CHECK_EQ(pthread_create(&thread, NULL, queue_later, NULL), 0);
	CHECK_EQ(ipk_signals_wait(ours(), &info, ipk_monotonic_ns() + 20000 * MS), SIGRTMIN);
	expect(&info, SIGRTMIN, 77);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	ipk_signals_unblock(ours());
}

static void a_descriptor_reads_as_many_as_there_are(void)
{
	struct ipk_siginfo infos[IPK_SIGNALS_BATCH];
	int fd;

	ipk_signals_block(ours());
	fd = ipk_signals_descriptor(-1, ours());
	CHECK(fd >= 0);
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	CHECK_EQ(ipk_signals_read(fd, infos, IPK_SIGNALS_BATCH), -EAGAIN);
	for (int value = 0; value < IPK_SIGNALS_BATCH + 5; value++)
		CHECK_EQ(ipk_signals_queue(getpid(), SIGRTMIN, value), 0);
	CHECK_EQ(ipk_signals_read(fd, infos, 5), 5);
	expect(&infos[4], SIGRTMIN, 4);
	CHECK_EQ(ipk_signals_read(fd, infos, IPK_SIGNALS_BATCH), IPK_SIGNALS_BATCH);
	expect(&infos[IPK_SIGNALS_BATCH - 1], SIGRTMIN, IPK_SIGNALS_BATCH + 4);
	CHECK_EQ(ipk_signals_descriptor(fd, BIT(SIGUSR1)), fd);
	CHECK_EQ(ipk_signals_queue(getpid(), SIGRTMIN, 1), 0);
	CHECK_EQ(ipk_signals_read(fd, infos, 1), -EAGAIN);
	CHECK_EQ(ipk_signals_take(ours(), infos), SIGRTMIN);
	CHECK_EQ(ipk_signals_read(fd, infos, 0), -EINVAL);
	CHECK_EQ(ipk_signals_read(fd, infos, IPK_SIGNALS_BATCH + 1), -EINVAL);
	close(fd);
	CHECK_EQ(ipk_signals_read(fd, infos, 1), -EBADF);
	CHECK_EQ(ipk_signals_descriptor(fd, ours()), -EBADF);
	CHECK_EQ(ipk_signals_descriptor(STDERR_FILENO, ours()), -EINVAL);
	ipk_signals_unblock(ours());
}

static volatile sig_atomic_t handled;

static void handle(int signum)
{
	handled = signum;
}

static void what_was_done_at_a_signal_is_done_again(void)
{
	struct ipk_signals_action before, after;
	struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART | SA_NODEFER};

	sigaddset(&action.sa_mask, SIGUSR2);
	CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	CHECK_EQ(ipk_signals_action_get(SIGUSR1, &before), 0);
	CHECK_EQ(before.mask, BIT(SIGUSR2));
	signal(SIGUSR1, SIG_IGN);
	CHECK_EQ(ipk_signals_action_put(SIGUSR1, &before), 0);
	CHECK_EQ(ipk_signals_action_get(SIGUSR1, &after), 0);
	CHECK_EQ(memcmp(&before, &after, sizeof(before)), 0);
	raise(SIGUSR1);
	CHECK_EQ(handled, SIGUSR1);
	signal(SIGUSR1, SIG_DFL);
	CHECK_EQ(ipk_signals_action_get(0, &before), -EINVAL);
	CHECK_EQ(ipk_signals_action_put(SIGKILL, &after), -EINVAL);
}

static void a_timer_expires_once_set_and_tells_what_was(void)
{
	struct ipk_timerfd_setting soon = {.first = 1, .interval = 5 * MS}, off = {.first = 0}, found;
	int fd = ipk_timerfd_create(CLOCK_MONOTONIC);
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	uint64_t count;

	CHECK(fd >= 0);
	CHECK_EQ(ipk_timerfd_get(fd, &found), 0);
	CHECK(found.first == 0 && found.interval == 0);
	CHECK_EQ(ipk_timerfd_set(fd, 0, &soon, &found), 0);
	CHECK_EQ(poll(&ready, 1, 20000), 1);
	CHECK_EQ(read(fd, &count, sizeof(count)), sizeof(count));
	CHECK(count >= 1);
	CHECK_EQ(ipk_timerfd_get(fd, &found), 0);
	CHECK_RANGE(found.first, 0, 5 * MS);
	CHECK_EQ(found.interval, 5 * MS);
	CHECK_EQ(ipk_timerfd_set(fd, 0, &off, &found), 0);
	CHECK_EQ(found.interval, 5 * MS);
	soon.first = ipk_monotonic_ns() - 17 * MS; /* three intervals ago, and a bit */
	CHECK_EQ(ipk_timerfd_set(fd, IPK_TIMERFD_ABSOLUTE, &soon, &found), 0);
	CHECK_EQ(poll(&ready, 1, 20000), 1);
	CHECK_EQ(read(fd, &count, sizeof(count)), sizeof(count));
	CHECK(count >= 4);
	soon.first = -1;
	CHECK_EQ(ipk_timerfd_set(fd, 0, &soon, &found), -EINVAL);
	close(fd);
	CHECK_EQ(ipk_timerfd_get(fd, &found), -EBADF);
	CHECK_EQ(ipk_timerfd_create(99), -EINVAL);
}

static void a_process_is_held_signalled_and_outlived(void)
{
	int status, pipes[2], copy, fd;
	pid_t pid;
	char byte;

	CHECK_EQ(pipe(pipes), 0);
	pid = fork();
	if (pid == 0) {
		ipk_signals_block(ours());
		struct ipk_siginfo info;

		CHECK_EQ(write(pipes[1], "r", 1), 1);
		CHECK_EQ(ipk_signals_wait(ours(), &info, ipk_monotonic_ns() + 20000 * MS), SIGRTMIN);
		_exit((int)info.value);
	}
	fd = ipk_pidfd_open(pid);
	CHECK(fd >= 0);
	CHECK_EQ(read(pipes[0], &byte, 1), 1);
	copy = ipk_pidfd_getfd(fd, pipes[1]);
	CHECK(copy >= 0 || copy == -EPERM);
	if (copy >= 0)
		close(copy);
	CHECK_EQ(ipk_pidfd_getfd(fd, 9999), copy >= 0 ? -EBADF : -EPERM);
	CHECK_EQ(ipk_pidfd_signal(fd, 0), 0);
	CHECK(ipk_pidfd_status(fd) < 0);
	CHECK_EQ(ipk_pidfd_queue(fd, SIGRTMIN, 42), 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WEXITSTATUS(status), 42);
	CHECK_EQ(ipk_pidfd_signal(fd, SIGKILL), -ESRCH);
	CHECK_EQ(ipk_pidfd_queue(fd, SIGRTMIN, 1), -ESRCH);
	copy = ipk_pidfd_status(fd);
	CHECK(copy == status || copy == -EAGAIN || copy == -EOPNOTSUPP);
	CHECK_EQ(ipk_pidfd_open(pid), -ESRCH);
	CHECK_EQ(ipk_pidfd_open(0), -EINVAL);
	for (int i = 0; i < 2; i++)
		close(pipes[i]);
	close(fd);
	CHECK_EQ(ipk_pidfd_signal(fd, 0), -EBADF);
}

int main(void)
{
	RUN(masks_are_the_threads_own);
	RUN(queued_signals_are_taken_in_order);
	RUN(a_wait_ends_at_its_deadline_and_never_before);
	RUN(a_signal_ends_a_wait);
	RUN(a_descriptor_reads_as_many_as_there_are);
	RUN(what_was_done_at_a_signal_is_done_again);
	RUN(a_timer_expires_once_set_and_tells_what_was);
	RUN(a_process_is_held_signalled_and_outlived);
	return 0;
}
