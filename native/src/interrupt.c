#include "ipckit/interrupt.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ipckit/base.h"

#define NS_PER_S 1000000000
#define NO_TIMER (-1)

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid /* glibc keeps the name of sigevent(3type) to itself */
#endif

/* One thread's timer, and what its signal mask was before the wait. */
struct waiter {
	int timer; /* the kernel's number for it, or NO_TIMER */
	int signum;
	int was_blocked;
};

/* State of the process and of its threads, not of a view: signals and timers are theirs. */
static _Atomic int chosen; /* 0: the default */
static _Thread_local struct waiter self = {.timer = NO_TIMER};
static pthread_key_t at_thread_end;
static pthread_once_t prepared = PTHREAD_ONCE_INIT;
static int prepare_failed; /* r/o after prepare */

static void do_nothing(int signum)
{
	(void)signum;
}

/* The raw calls: librt has its own idea of a timer's number, and C libraries before 2.34 keep it in a library apart. */
static void delete_timer(struct waiter *waiter)
{
	if (waiter->timer != NO_TIMER)
		syscall(SYS_timer_delete, waiter->timer);
	waiter->timer = NO_TIMER;
}

static void thread_ends(void *waiter)
{
	delete_timer(waiter);
}

static void forget_in_child(void)
{
	self.timer = NO_TIMER; /* the number may become that of somebody else's timer here */
}

static void prepare(void)
{
	int error = pthread_key_create(&at_thread_end, thread_ends);

	if (error == 0)
		error = pthread_atfork(NULL, NULL, forget_in_child);
	prepare_failed = -error;
}

static int install(int signum)
{
	struct sigaction action = {.sa_handler = do_nothing}; /* no SA_RESTART */
	struct sigaction found;

	if (sigaction(signum, NULL, &found) < 0)
		return -errno;
	if (found.sa_flags & SA_SIGINFO)
		return -EBUSY;
	if (found.sa_handler == do_nothing)
		return 0;
	if (found.sa_handler != SIG_DFL && found.sa_handler != SIG_IGN)
		return -EBUSY;
	sigemptyset(&action.sa_mask);
	return sigaction(signum, &action, NULL) < 0 ? -errno : 0;
}

static int make_timer(int signum)
{
	struct sigevent event;

	pthread_once(&prepared, prepare);
	if (prepare_failed)
		return prepare_failed;
	memset(&event, 0, sizeof(event));
	event.sigev_notify = SIGEV_THREAD_ID;
	event.sigev_signo = signum;
	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &self.timer) < 0) {
		self.timer = NO_TIMER;
		return errno == EAGAIN ? -ENOBUFS : -errno; /* EAGAIN means "would wait" to whoever gets it from us */
	}
	self.signum = signum;
	if (pthread_setspecific(at_thread_end, &self) != 0) {
		delete_timer(&self);
		return -ENOMEM;
	}
	return 0;
}

int ipk_interrupt_signal(void)
{
	int signum = atomic_load_explicit(&chosen, memory_order_relaxed); /* relaxed: publishes nothing but itself */

	return signum ? signum : SIGRTMAX - 3;
}

int ipk_interrupt_use(int signum)
{
	int rc;

	if (signum < SIGRTMIN || signum > SIGRTMAX)
		return -EINVAL;
	rc = install(signum);
	if (rc == 0)
		atomic_store_explicit(&chosen, signum, memory_order_relaxed); /* relaxed: as above */
	return rc;
}

static int set_timer(const struct itimerspec *times)
{
	return syscall(SYS_timer_settime, self.timer, TIMER_ABSTIME, times, NULL) < 0 ? -errno : 0;
}

static int start_timer(int signum, int64_t deadline_ns)
{
	struct itimerspec times = {.it_interval = {.tv_nsec = IPK_INTERRUPT_AGAIN_NS}};
	int rc = -EINVAL;

	if (deadline_ns <= 0)
		deadline_ns = 1; /* 0 would disarm */
	times.it_value.tv_sec = (time_t)(deadline_ns / NS_PER_S);
	times.it_value.tv_nsec = (long)(deadline_ns % NS_PER_S);
	if (self.timer != NO_TIMER && self.signum != signum)
		delete_timer(&self);
	if (self.timer != NO_TIMER)
		rc = set_timer(&times);
	if (rc == -EINVAL) { /* none yet, or this process was cloned without fork(3) and has no timers */
		rc = make_timer(signum);
		if (rc == 0)
			rc = set_timer(&times);
	}
	return rc;
}

int ipk_interrupt_arm(int64_t deadline_ns)
{
	int signum = ipk_interrupt_signal();
	sigset_t ours, before;
	int rc = install(signum); /* each time: whoever took the signal since must be neither called nor killed */

	if (rc < 0)
		return rc;
	sigemptyset(&ours);
	sigaddset(&ours, signum);
	pthread_sigmask(SIG_UNBLOCK, &ours, &before);
	self.was_blocked = sigismember(&before, signum);
	rc = start_timer(signum, deadline_ns);
	if (rc < 0 && self.was_blocked)
		pthread_sigmask(SIG_BLOCK, &ours, NULL);
	return rc;
}

void ipk_interrupt_disarm(void)
{
	const struct itimerspec never = {.it_value = {.tv_sec = 0}};
	sigset_t ours;
	int error = errno;

	/* A signal that was sent meanwhile is delivered at the end of this call at the latest, while it is unblocked. */
	set_timer(&never);
	if (self.was_blocked) {
		sigemptyset(&ours);
		sigaddset(&ours, self.signum);
		pthread_sigmask(SIG_BLOCK, &ours, NULL);
	}
	errno = error;
}

int64_t ipk_interrupt_reason(int64_t rc, int64_t deadline_ns)
{
	return rc == -EINTR && ipk_monotonic_ns() >= deadline_ns ? -ETIMEDOUT : rc;
}
