/* interrupt.h: calls that have no timeout end at the deadline, and nothing of the signal is noticed elsewhere. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "ipckit/base.h"
#include "ipckit/interrupt.h"
#include "support.h"

#define MS INT64_C(1000000)
#define THREADS 8

struct message {
	long type;
	char data[8];
};

static int queue = -1;

/* A wait for a message that never comes. */
static int receive_until(int64_t deadline_ns)
{
	struct message message;
	int rc = ipk_interrupt_arm(deadline_ns);

	if (rc < 0)
		return rc;
	rc = msgrcv(queue, &message, sizeof(message.data), 0, 0) < 0 ? -errno : 0;
	ipk_interrupt_disarm();
	return (int)ipk_interrupt_reason(rc, deadline_ns);
}

static void ends_at_the_deadline_and_never_before(void)
{
	for (int64_t wait = 0; wait < 30 * MS; wait = wait * 3 + 10000) {
		int64_t deadline = ipk_monotonic_ns() + wait;

		CHECK_EQ(receive_until(deadline), -ETIMEDOUT);
		CHECK(ipk_monotonic_ns() >= deadline);
	}
}

static void deadline_that_has_passed_interrupts_at_once(void)
{
	CHECK_EQ(receive_until(1), -ETIMEDOUT);
	CHECK_EQ(receive_until(0), -ETIMEDOUT);
	CHECK_EQ(receive_until(-5), -ETIMEDOUT);
	CHECK_EQ(receive_until(ipk_monotonic_ns()), -ETIMEDOUT);
}

/* The signal came before the call: only its repetition can end it. */
static void signal_before_the_call_is_repeated(void)
{
	struct message message;
	int64_t began = ipk_monotonic_ns();

	CHECK_EQ(ipk_interrupt_arm(began), 0);
	while (ipk_monotonic_ns() < began + IPK_INTERRUPT_AGAIN_NS / 2)
		;
	CHECK_EQ(msgrcv(queue, &message, sizeof(message.data), 0, 0), -1);
	CHECK_EQ(errno, EINTR);
	CHECK(ipk_monotonic_ns() >= began + IPK_INTERRUPT_AGAIN_NS);
	ipk_interrupt_disarm();
}

static void reason_is_told_by_the_clock(void)
{
	CHECK_EQ(ipk_interrupt_reason(-EINTR, 1), -ETIMEDOUT);
	CHECK_EQ(ipk_interrupt_reason(-EINTR, IPK_NEVER), -EINTR);
	CHECK_EQ(ipk_interrupt_reason(-EIDRM, 1), -EIDRM);
	CHECK_EQ(ipk_interrupt_reason(7, 1), 7);
}

static void hold_locks(void *fd)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	CHECK_EQ(fcntl(*(int *)fd, F_SETLK, &whole), 0);
	stay();
}

static void ends_locks_and_semaphores_alike(void)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct sembuf take = {.sem_num = 0, .sem_op = -1, .sem_flg = 0};
	int semaphore = semget(IPC_PRIVATE, 1, 0600);
	char path[NAME_SIZE];
	int fd, other, rc[4];
	pid_t holder;

	fresh_name(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	other = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0 && other >= 0 && semaphore >= 0);
	CHECK_EQ(flock(other, LOCK_EX), 0);
	holder = start(hold_locks, &other);
	wait_staying(holder);
	for (int i = 0; i < 4; i++) {
		int64_t deadline = ipk_monotonic_ns() + 2 * MS;

		CHECK_EQ(ipk_interrupt_arm(deadline), 0);
		errno = 0;
		switch (i) {
		case 0: rc[i] = flock(fd, LOCK_EX); break;
		case 1: rc[i] = fcntl(fd, F_SETLKW, &whole); break;
		case 2: rc[i] = fcntl(fd, F_OFD_SETLKW, &whole); break;
		default: rc[i] = semop(semaphore, &take, 1);
		}
		CHECK_EQ(errno, EINTR);
		ipk_interrupt_disarm();
		CHECK_EQ(errno, EINTR);
		CHECK_EQ(rc[i], -1);
		CHECK(ipk_monotonic_ns() >= deadline);
	}
	kill_child(holder);
	CHECK_EQ(semctl(semaphore, 0, IPC_RMID), 0);
	unlink(path);
	close(fd);
	close(other);
}

static void mask_is_as_it_was(void)
{
	int signum = ipk_interrupt_signal();
	sigset_t ours, before, now;

	sigemptyset(&ours);
	sigaddset(&ours, signum);
	for (int blocked = 0; blocked < 2; blocked++) {
		CHECK_EQ(pthread_sigmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &ours, &before), 0);
		CHECK_EQ(receive_until(ipk_monotonic_ns() + MS), -ETIMEDOUT);
		pthread_sigmask(SIG_SETMASK, NULL, &now);
		CHECK_EQ(sigismember(&now, signum), blocked);
		sigpending(&now);
		CHECK_EQ(sigismember(&now, signum), 0);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
}

/* Deadlines that fall before, into and after the disarming: the next call of the thread must not see EINTR. */
static void no_signal_comes_after_disarm(void)
{
	const struct timespec nap = {.tv_nsec = 20000};
	uint64_t state = random_seed();

	for (int i = 0; i < 5000; i++) {
		CHECK_EQ(ipk_interrupt_arm(ipk_monotonic_ns() + (int64_t)random_below(&state, 4000)), 0);
		ipk_interrupt_disarm();
		CHECK_EQ(nanosleep(&nap, NULL), 0);
	}
}

static void *wait_in_thread(void *milliseconds)
{
	int64_t deadline = ipk_monotonic_ns() + (intptr_t)milliseconds * MS;

	CHECK_EQ(receive_until(deadline), -ETIMEDOUT);
	CHECK(ipk_monotonic_ns() >= deadline);
	CHECK_EQ(receive_until(deadline), -ETIMEDOUT);
	return NULL;
}

/* Timers of this process by proc_pid_timers(5), or -1 on a kernel without that file. */
static int timers(void)
{
	FILE *file = fopen("/proc/self/timers", "re");
	char line[128];
	int count = 0;

	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file))
		count += strncmp(line, "ID:", 3) == 0;
	fclose(file);
	return count;
}

static void each_thread_has_its_own_timer_until_it_ends(void)
{
	pthread_t threads[THREADS];
	int before;

	CHECK_EQ(receive_until(1), -ETIMEDOUT);
	before = timers();
	for (intptr_t i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, wait_in_thread, (void *)(1 + 3 * (i % 4))), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(timers(), before);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(receive_until(1), -ETIMEDOUT);
	CHECK_EQ(timers(), before);
}

static void wait_in_child(void *unused)
{
	int has = timers();

	(void)unused;
	CHECK(has <= 0);
	CHECK_EQ(receive_until(ipk_monotonic_ns() + MS), -ETIMEDOUT);
	CHECK(timers() == has || timers() == 1);
}

static void forked_child_makes_its_own(void)
{
	CHECK_EQ(receive_until(1), -ETIMEDOUT);
	CHECK_EQ(reap(start(wait_in_child, NULL)), 0);
	CHECK_EQ(receive_until(ipk_monotonic_ns() + MS), -ETIMEDOUT);
}

/* clone(2) called directly runs no handlers of pthread_atfork: the child believes that it has its parent's timer. */
static void child_of_a_bare_clone_makes_its_own(void)
{
	pid_t pid;

	CHECK_EQ(receive_until(1), -ETIMEDOUT);
	fflush(NULL);
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
	CHECK(pid >= 0);
	if (pid == 0) {
		wait_in_child(NULL);
		_exit(0);
	}
	CHECK_EQ(reap(pid), 0);
}

static void handler_of_the_user(int signum)
{
	(void)signum;
}

static void in_the_way(void *unused)
{
	struct sigaction action = {.sa_handler = handler_of_the_user}, after;
	int other = SIGRTMIN + 3;

	(void)unused;
	sigaction(ipk_interrupt_signal(), &action, NULL);
	CHECK_EQ(receive_until(1), -EBUSY);
	sigaction(ipk_interrupt_signal(), NULL, &after);
	CHECK(after.sa_handler == handler_of_the_user);
	CHECK_EQ(ipk_interrupt_use(ipk_interrupt_signal()), -EBUSY);
	CHECK_EQ(ipk_interrupt_use(SIGRTMIN - 1), -EINVAL);
	CHECK_EQ(ipk_interrupt_use(SIGRTMAX + 1), -EINVAL);
	CHECK_EQ(ipk_interrupt_use(other), 0);
	CHECK_EQ(ipk_interrupt_signal(), other);
	CHECK_EQ(receive_until(ipk_monotonic_ns() + MS), -ETIMEDOUT);
	action.sa_handler = SIG_IGN;
	sigaction(other, &action, NULL);
	CHECK_EQ(receive_until(ipk_monotonic_ns() + MS), -ETIMEDOUT);
}

static void handler_of_the_user_is_respected(void)
{
	CHECK_EQ(reap(start(in_the_way, NULL)), 0);
}

static void change_signals(void *unused)
{
	(void)unused;
	for (int signum = SIGRTMIN; signum <= SIGRTMAX; signum++) {
		CHECK_EQ(ipk_interrupt_use(signum), 0);
		CHECK_EQ(receive_until(ipk_monotonic_ns() + MS / 10), -ETIMEDOUT);
	}
	CHECK(timers() == -1 || timers() == 1);
}

static void any_real_time_signal_will_do(void)
{
	CHECK_EQ(reap(start(change_signals, NULL)), 0);
}

static void without_timers(void *unused)
{
	const struct rlimit none = {0, 0};

	(void)unused;
	CHECK_EQ(setrlimit(RLIMIT_SIGPENDING, &none), 0);
	CHECK_EQ(receive_until(1), -ENOBUFS);
}

static void no_timer_is_told_apart(void)
{
	CHECK_EQ(reap(start(without_timers, NULL)), 0);
}

static void send_one(void *unused)
{
	struct message message = {.type = 1};

	(void)unused;
	CHECK_EQ(msgsnd(queue, &message, 1, 0), 0);
}

static void call_that_succeeds_keeps_its_result(void)
{
	struct message message;
	pid_t sender = start(send_one, NULL);

	CHECK_EQ(ipk_interrupt_arm(IPK_NEVER), 0);
	CHECK_EQ(msgrcv(queue, &message, sizeof(message.data), 0, 0), 1);
	ipk_interrupt_disarm();
	CHECK_EQ(reap(sender), 0);
}

int main(void)
{
	/* where that is allowed, what a failing test leaves goes with the namespace */
	if (unshare(CLONE_NEWIPC) < 0)
		CHECK(errno == EPERM || errno == EINVAL);
	queue = msgget(IPC_PRIVATE, 0600);
	CHECK(queue >= 0);
	RUN(ends_at_the_deadline_and_never_before);
	RUN(deadline_that_has_passed_interrupts_at_once);
	RUN(signal_before_the_call_is_repeated);
	RUN(reason_is_told_by_the_clock);
	RUN(ends_locks_and_semaphores_alike);
	RUN(mask_is_as_it_was);
	RUN(no_signal_comes_after_disarm);
	RUN(each_thread_has_its_own_timer_until_it_ends);
	RUN(forked_child_makes_its_own);
	RUN(child_of_a_bare_clone_makes_its_own);
	RUN(handler_of_the_user_is_respected);
	RUN(any_real_time_signal_will_do);
	RUN(no_timer_is_told_apart);
	RUN(call_that_succeeds_keeps_its_result);
	CHECK_EQ(msgctl(queue, IPC_RMID, NULL), 0);
	return 0;
}
