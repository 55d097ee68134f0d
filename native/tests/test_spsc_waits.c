/* spsc.h: timeouts, wake-ups, signals, and the absence of system calls. */
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipckit/futex.h"
#include "ring.h"

static void timeouts_are_never_early(void)
{
	int64_t deadline, before;

	make(CAPACITY);
	CHECK_EQ(ipk_spsc_wait_message(&ring, 0), -ETIMEDOUT);
	CHECK_EQ(ipk_spsc_wait_message(&ring, INT64_MIN), -ETIMEDOUT);
	for (int ms = 0; ms <= 120; ms += 20) {
		deadline = ipk_monotonic_ns() + ms * MS;
		CHECK_EQ(wait_message(&ring, deadline), -ETIMEDOUT);
		CHECK(ipk_monotonic_ns() >= deadline);
	}
	before = ipk_monotonic_ns(); /* no deadline: one slice at a time */
	CHECK_EQ(ipk_spsc_wait_message(&ring, IPK_NEVER), -EAGAIN);
	CHECK(ipk_monotonic_ns() - before >= IPK_SLICE_NS);
	CHECK_EQ(send_number(&ring, 1, LARGEST), 0);
	CHECK_EQ(ipk_spsc_wait_message(&ring, 0), 0); /* what is there is there, deadline or not */
	CHECK_EQ(ipk_spsc_wait_room(&ring, 0, 0), -ETIMEDOUT);
	deadline = ipk_monotonic_ns() + 70 * MS;
	CHECK_EQ(wait_room(&ring, 0, deadline), -ETIMEDOUT);
	CHECK(ipk_monotonic_ns() >= deadline);
	receive_number(&ring, 1, LARGEST);
	CHECK_EQ(ipk_spsc_wait_room(&ring, LARGEST, 0), 0);
	drop();
}

static void echo_one(void *unused)
{
	(void)unused;
	ipk_spsc_set_spin(&ring, 0);
	CHECK_EQ(wait_message(&ring, IPK_NEVER), 0);
	receive_number(&ring, 7, 70);
}

static void sleeping_consumer_is_woken(void)
{
	uint64_t wakes = 0;

	/* Between two slices a sleeper is awake for a moment, and needs no wake-up: then again. */
	for (int tries = 0; tries < 50 && wakes == 0; tries++) {
		pid_t pid;

		make(CAPACITY);
		pid = start(echo_one, NULL);
		wait_blocked(pid, SYS_futex, &ring.shm->consumer_sleep.asleep);
		CHECK_EQ(send_number(&ring, 7, 70), 0);
		wakes = stat_of(&ring).producer_wakes;
		CHECK_EQ(reap(pid), 0);
		CHECK(stat_of(&ring).empty_waits >= 1);
		drop();
	}
	CHECK_EQ(wakes, 1);
}

static void send_one_more(void *length)
{
	ipk_spsc_set_spin(&ring, 0);
	CHECK_EQ(wait_room(&ring, (uint64_t)(uintptr_t)length, IPK_NEVER), 0);
	CHECK_EQ(send_number(&ring, 7, (uint64_t)(uintptr_t)length), 0);
}

static void sleeping_producer_is_woken(void)
{
	const uint64_t lengths[] = {0, 700, LARGEST};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint64_t wakes = 0;

		for (int tries = 0; tries < 50 && wakes == 0; tries++) {
			struct ipk_spsc *second;
			uint64_t sent = 0;
			pid_t pid;

			make(CAPACITY);
			second = attached();
			while (send_number(second, sent, 56) == 0)
				sent++;
			CHECK_EQ(sent, CAPACITY / 64);
			detach(second);
			pid = start(send_one_more, (void *)(uintptr_t)lengths[i]);
			wait_blocked(pid, SYS_futex, &ring.shm->producer_sleep.asleep);
			for (uint64_t got = 0; got < sent; got++)
				receive_number(&ring, got, 56);
			wakes = stat_of(&ring).consumer_wakes;
			CHECK_EQ(reap(pid), 0);
			receive_number(&ring, 7, lengths[i]);
			CHECK(wakes <= 2);
			CHECK(stat_of(&ring).full_waits >= 1);
			drop();
		}
		CHECK(wakes > 0);
	}
}

static void sleep_without_slices(void *sleep)
{
	atomic_store(&((struct ipk_spsc_sleep *)sleep)->asleep, 1);
	CHECK_EQ(ipk_futex_wait((uint32_t *)sleep, 1, IPK_NEVER, IPK_FUTEX_ANY), 0);
}

/* A sleeper looks around by itself after a slice, which would hide that nobody woke it: this one would sleep for ever. */
static void wakers_do_call_the_kernel(void)
{
	struct ipk_spsc *second;
	pid_t pid;

	make(CAPACITY);
	second = attached();
	pid = start(sleep_without_slices, &ring.shm->consumer_sleep);
	wait_blocked(pid, SYS_futex, &ring.shm->consumer_sleep);
	CHECK_EQ(send_number(&ring, 0, 0), 0);
	CHECK_EQ(reap(pid), 0);
	pid = start(sleep_without_slices, &ring.shm->producer_sleep);
	wait_blocked(pid, SYS_futex, &ring.shm->producer_sleep);
	receive_number(second, 0, 0);
	CHECK_EQ(reap(pid), 0);
	pid = start(sleep_without_slices, &ring.shm->consumer_sleep);
	wait_blocked(pid, SYS_futex, &ring.shm->consumer_sleep);
	ipk_spsc_close(&ring);
	CHECK_EQ(reap(pid), 0);
	pid = start(sleep_without_slices, &ring.shm->producer_sleep);
	wait_blocked(pid, SYS_futex, &ring.shm->producer_sleep);
	detach(second);
	CHECK_EQ(reap(pid), 0);
	ipk_spsc_unmap(&ring);
}

static void wait_for_the_end(void *unused)
{
	(void)unused;
	ipk_spsc_set_spin(&ring, 0);
	CHECK_EQ(wait_message(&ring, IPK_NEVER), -EPIPE);
}

static void close_wakes_a_sleeping_consumer(void)
{
	uint64_t wakes = 0;

	for (int tries = 0; tries < 50 && wakes == 0; tries++) {
		struct ipk_spsc *second;
		pid_t pid;

		make(CAPACITY);
		second = attached();
		CHECK_EQ(ipk_spsc_wait_room(second, 0, 0), 0);
		pid = start(wait_for_the_end, NULL);
		wait_blocked(pid, SYS_futex, &ring.shm->consumer_sleep.asleep);
		ipk_spsc_close(second);
		wakes = stat_of(&ring).producer_wakes;
		CHECK_EQ(reap(pid), 0);
		detach(second);
		drop();
	}
	CHECK_EQ(wakes, 1);
}

static void fill_until_the_end(void *unused)
{
	int rc;

	(void)unused;
	ipk_spsc_set_spin(&ring, 0);
	for (;;) {
		rc = send_number(&ring, 1, 100);
		if (rc == -EAGAIN)
			rc = wait_room(&ring, 100, IPK_NEVER);
		if (rc < 0)
			break;
	}
	CHECK_EQ(rc, -EPIPE);
}

static void close_wakes_a_sleeping_producer(void)
{
	struct ipk_spsc *second;
	pid_t pid;

	make(CAPACITY);
	second = attached();
	CHECK_EQ(ipk_spsc_try_receive(second), -EAGAIN);
	pid = start(fill_until_the_end, NULL);
	wait_blocked(pid, SYS_futex, &ring.shm->producer_sleep.asleep);
	ipk_spsc_close(second);
	CHECK_EQ(reap(pid), 0);
	detach(second);
	drop();
}

static void handler(int signum)
{
	(void)signum;
}

static void wait_interrupted(void *unused)
{
	struct sigaction action = {.sa_handler = handler};

	(void)unused;
	sigaction(SIGUSR1, &action, NULL);
	ipk_spsc_set_spin(&ring, 0);
	CHECK_EQ(wait_message(&ring, IPK_NEVER), -EINTR);
}

static void handler_ends_the_wait(void)
{
	pid_t pid;

	make(CAPACITY);
	pid = start(wait_interrupted, NULL);
	/* a signal between two slices ends none: then again */
	while (settle(pid, SYS_futex, &ring.shm->consumer_sleep.asleep))
		kill(pid, SIGUSR1);
	CHECK_EQ(reap(pid), 0);
	drop();
}

static void exchange_in_strict_mode(void *unused)
{
	(void)unused;
	CHECK_EQ(send_number(&ring, 0, 0), 0); /* the claims, which do cost system calls */
	receive_number(&ring, 0, 0);
	CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT), 0); /* from here on any other call is death */
	for (uint64_t i = 0; i < 100000; i++) {
		while (send_number(&ring, i, i % 100) == 0)
			;
		receive_number(&ring, i, i % 100);
		while (ipk_spsc_try_receive(&ring) >= 0)
			ipk_spsc_release(&ring);
	}
	syscall(SYS_exit, 42);
}

static void no_system_call_while_both_are_awake(void)
{
#if defined(__x86_64__) || defined(__aarch64__)
	make(CAPACITY);
	CHECK_EQ(reap(start(exchange_in_strict_mode, NULL)), 42);
	drop();
#else
	puts("    skipped: where we run may cost a system call here");
#endif
}

int main(void)
{
	prepare();
	RUN(timeouts_are_never_early);
	RUN(sleeping_consumer_is_woken);
	RUN(sleeping_producer_is_woken);
	RUN(wakers_do_call_the_kernel);
	RUN(close_wakes_a_sleeping_consumer);
	RUN(close_wakes_a_sleeping_producer);
	RUN(handler_ends_the_wait);
	RUN(no_system_call_while_both_are_awake);
	return 0;
}
