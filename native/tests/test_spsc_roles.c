/* spsc.h: who is producer and consumer, through close, death, fork(2) and lost descriptors. */
#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ring.h"

static void one_call_at_a_time(void)
{
	uint64_t bounds[2];

	make(CAPACITY);
	CHECK_EQ(send_number(&ring, 1, 10), 0);
	CHECK_EQ(send_number(&ring, 2, 20), 0);
	check_number(&ring, 1, 10);
	CHECK_EQ(ipk_spsc_try_receive(&ring), -EBUSY); /* a loan is out */
	CHECK_EQ(ipk_spsc_try_receive_many(&ring, bounds, 1), -EBUSY);
	CHECK_EQ(ipk_spsc_wait_message(&ring, IPK_NEVER), -EBUSY);
	CHECK_EQ(send_number(&ring, 3, 30), 0); /* the other side is not concerned */
	CHECK_EQ(ipk_spsc_return_loan(&ring), 0);
	CHECK_EQ(ipk_spsc_return_loan(&ring), 0);
	receive_number(&ring, 1, 10);
	CHECK_EQ(ipk_spsc_release(&ring), 0);
	receive_number(&ring, 2, 20);
	receive_number(&ring, 3, 30);
	drop();
}

static void one_holder_of_a_role(void)
{
	struct ipk_spsc *second;

	make(CAPACITY);
	second = attached();
	CHECK_EQ(send_number(&ring, 1, 10), 0);
	CHECK_EQ(send_number(second, 2, 20), -EBUSY);
	CHECK_EQ(ipk_spsc_wait_room(second, 1, IPK_NEVER), -EBUSY);
	receive_number(second, 1, 10);
	CHECK_EQ(ipk_spsc_try_receive(&ring), -EBUSY);
	CHECK_EQ(ipk_spsc_wait_message(&ring, IPK_NEVER), -EBUSY);
	drop();
	CHECK_EQ(send_number(second, 2, 20), 0); /* given back by close */
	receive_number(second, 2, 20);
	detach(second);
}

static void close_is_the_end_of_the_stream(void)
{
	struct ipk_spsc *second;

	make(CAPACITY);
	second = attached();
	CHECK_EQ(send_number(&ring, 1, 10), 0);
	CHECK_EQ(send_number(&ring, 2, 20), 0);
	CHECK_EQ(stat_of(second).producer_state, IPK_SPSC_OPEN);
	CHECK_EQ(stat_of(second).consumer_state, IPK_SPSC_NEVER);
	ipk_spsc_close(&ring);
	ipk_spsc_close(&ring);
	CHECK_EQ(send_number(&ring, 3, 30), -EBADF);
	CHECK_EQ(ipk_spsc_wait_room(&ring, 3, IPK_NEVER), -EBADF);
	CHECK_EQ(ipk_spsc_try_receive(&ring), -EBADF);
	CHECK_EQ(ipk_spsc_wait_message(&ring, IPK_NEVER), -EBADF);
	CHECK_EQ(stat_of(second).producer_state, IPK_SPSC_CLOSED);
	for (uint64_t i = 1; i <= 2; i++) {
		CHECK_EQ(ipk_spsc_wait_message(second, IPK_NEVER), 0);
		receive_number(second, i, 10 * i);
	}
	CHECK_EQ(ipk_spsc_wait_message(second, IPK_NEVER), -EPIPE);
	ipk_spsc_unmap(&ring);
	CHECK_EQ(send_number(&ring, 3, 30), -EBADF);

	memcpy(&ring, second, sizeof(ring)); /* a consumer that closes: its view moves house, nothing points into it */
	free(second);
	second = attached();
	while (send_number(second, 1, 100) == 0)
		;
	ipk_spsc_close(&ring);
	CHECK_EQ(ipk_spsc_wait_room(second, 100, IPK_NEVER), -EPIPE);
	detach(second);
	ipk_spsc_unmap(&ring);
}

static void *poll_for_message(void *view)
{
	return (void *)(intptr_t)ipk_spsc_wait_message(view, 0);
}

static void *poll_for_room(void *view)
{
	return (void *)(intptr_t)ipk_spsc_wait_room(view, LARGEST, 0);
}

/* The role is open at the first look, and given back when the kernel is asked: that is a close all the same. */
static void a_close_amid_a_look_is_no_death(void)
{
	for (int role = IPK_SPSC_PRODUCER; role <= IPK_SPSC_CONSUMER; role++) {
		struct ipk_spsc *second;
		pthread_t thread;
		void *rc;

		make(CAPACITY);
		second = attached();
		CHECK_EQ(send_number(role == IPK_SPSC_PRODUCER ? &ring : second, 1, LARGEST), 0);
		receive_number(role == IPK_SPSC_PRODUCER ? second : &ring, 1, LARGEST);
		if (role == IPK_SPSC_CONSUMER)
			CHECK_EQ(send_number(second, 2, LARGEST), 0); /* full */
		stop_reader(ipk_segment_header(&second->segment)); /* where it says who has the role */
		CHECK_EQ(pthread_create(&thread, NULL, role == IPK_SPSC_PRODUCER ? poll_for_message : poll_for_room, second), 0);
		wait_stopped_there();
		ipk_spsc_close(&ring);
		let_go_on();
		CHECK_EQ(pthread_join(thread, &rc), 0);
		CHECK_EQ((intptr_t)rc, -EPIPE);
		detach(second);
		drop();
	}
}

static void produce_until_killed(void *count)
{
	for (uint64_t i = 0; i < (uint64_t)(uintptr_t)count; i++)
		CHECK_EQ(send_number(&ring, i, i), 0);
	stay();
}

static void dead_producer_and_its_successor(void)
{
	pid_t pid;

	make(CAPACITY);
	pid = start(produce_until_killed, (void *)20);
	wait_staying(pid);
	CHECK_EQ(send_number(&ring, 0, 0), -EBUSY);
	kill_child(pid);
	CHECK_EQ(wait_message(&ring, IPK_NEVER), 0);
	for (uint64_t i = 0; i < 10; i++)
		receive_number(&ring, i, i);
	CHECK_EQ(send_number(&ring, 20, 20), 0); /* we succeed it ourselves, and are alive */
	for (uint64_t i = 10; i <= 20; i++)
		receive_number(&ring, i, i);
	CHECK_EQ(wait_message(&ring, ipk_monotonic_ns() + 10 * MS), -ETIMEDOUT);
	drop();
}

static void death_is_told_after_the_last_message(void)
{
	pid_t pid;

	make(CAPACITY);
	pid = start(produce_until_killed, (void *)20);
	wait_staying(pid);
	kill_child(pid);
	for (uint64_t i = 0; i < 20; i++) {
		CHECK_EQ(wait_message(&ring, IPK_NEVER), 0);
		receive_number(&ring, i, i);
	}
	CHECK_EQ(wait_message(&ring, IPK_NEVER), -EOWNERDEAD);
	CHECK_EQ(wait_message(&ring, IPK_NEVER), -EOWNERDEAD);
	drop();
}

static void consume_until_killed(void *unused)
{
	(void)unused;
	receive_number(&ring, 0, 100);
	check_number(&ring, 1, 100); /* taken, not released */
	stay();
}

static void dead_consumer_and_its_successor(void)
{
	uint64_t sent = 0;
	pid_t pid;

	make(CAPACITY);
	CHECK_EQ(send_number(&ring, sent++, 100), 0);
	CHECK_EQ(send_number(&ring, sent++, 100), 0);
	pid = start(consume_until_killed, NULL);
	wait_staying(pid);
	CHECK_EQ(ipk_spsc_try_receive(&ring), -EBUSY);
	kill_child(pid);
	while (send_number(&ring, sent, 100) == 0)
		sent++;
	CHECK_EQ(wait_room(&ring, 100, IPK_NEVER), -EOWNERDEAD);
	for (uint64_t i = 1; i < sent; i++) /* again what the dead one had taken and not released */
		receive_number(&ring, i, 100);
	CHECK_EQ(ipk_spsc_try_receive(&ring), -EAGAIN);
	drop();
}

static void stopped_peer_is_not_dead(void)
{
	pid_t pid;

	make(CAPACITY);
	pid = start(produce_until_killed, (void *)1);
	wait_staying(pid);
	receive_number(&ring, 0, 0);
	kill(pid, SIGSTOP);
	wait_stopped(pid);
	CHECK_EQ(wait_message(&ring, ipk_monotonic_ns() + 120 * MS), -ETIMEDOUT);
	kill(pid, SIGCONT);
	kill_child(pid);
	CHECK_EQ(wait_message(&ring, IPK_NEVER), -EOWNERDEAD);
	drop();
}

static void child_of_both_roles(void *unused)
{
	(void)unused;
	CHECK_EQ(send_number(&ring, 9, 9), -EBUSY);
	CHECK_EQ(ipk_spsc_try_receive(&ring), -EBUSY);
	CHECK_EQ(ipk_spsc_release(&ring), 0); /* the loan is the parent's */
	drop();
}

static void child_that_only_closes(void *unused)
{
	(void)unused;
	drop();
}

static void forked_child_has_no_role(void)
{
	make(CAPACITY);
	CHECK_EQ(send_number(&ring, 1, 10), 0);
	CHECK_EQ(send_number(&ring, 2, 20), 0);
	check_number(&ring, 1, 10);
	CHECK_EQ(reap(start(child_of_both_roles, NULL)), 0);
	CHECK_EQ(reap(start(child_that_only_closes, NULL)), 0);
	CHECK_EQ(stat_of(&ring).producer_state, IPK_SPSC_OPEN);
	CHECK_EQ(ipk_spsc_release(&ring), 0);
	receive_number(&ring, 2, 20);
	CHECK_EQ(send_number(&ring, 3, 30), 0);
	receive_number(&ring, 3, 30);
	drop();
}

static void child_that_notices(void *unused)
{
	(void)unused;
	ipk_spsc_forked(&ring);
	atomic_store(checkpoint, 1);
	await(checkpoint, 2);
}

static void producer_with_a_child(void *unused)
{
	(void)unused;
	CHECK_EQ(send_number(&ring, 0, 0), 0);
	if (fork() == 0) {
		alarm(60);
		child_that_notices(NULL);
		_exit(0);
	}
	stay();
}

static void death_is_seen_although_a_child_lives(void)
{
	pid_t pid;

	make(CAPACITY);
	pid = start(producer_with_a_child, NULL);
	wait_staying(pid);
	await(checkpoint, 1);
	receive_number(&ring, 0, 0);
	kill_child(pid);
	CHECK_EQ(wait_message(&ring, IPK_NEVER), -EOWNERDEAD);
	atomic_store(checkpoint, 2);
	drop();
}

static void fork_inside_a_wait(int signum)
{
	(void)signum;
	if (fork() == 0)
		alarm(60);
}

/* A handler forks while its thread spins inside a wait; the child comes back into that wait without its role. */
static void wait_that_forks(void *unused)
{
	struct sigaction action = {.sa_handler = fork_inside_a_wait};
	pid_t me = getpid();

	(void)unused;
	sigaction(SIGUSR1, &action, NULL);
	ipk_spsc_set_spin(&ring, 20 * MS);
	CHECK_EQ(ipk_spsc_try_receive(&ring), -EAGAIN);
	for (int i = 0; i < 200 && getpid() == me; i++)
		ipk_spsc_wait_message(&ring, ipk_monotonic_ns() + 30 * MS);
	if (getpid() == me)
		stay();
	CHECK_EQ(ipk_spsc_try_receive(&ring), -EBUSY);
	CHECK_EQ(ipk_spsc_wait_message(&ring, ipk_monotonic_ns() + 100 * MS), -EBUSY);
	atomic_store(checkpoint, 2);
	_exit(0);
}

static void child_forked_inside_a_wait_has_no_role(void)
{
	pid_t pid;

	make(CAPACITY);
	pid = start(wait_that_forks, NULL);
	while (atomic_load(&ring.shm->head.cpu) == 0) /* noted as it begins to spin */
		sched_yield();
	kill(pid, SIGUSR1);
	await(checkpoint, 2);
	kill_child(pid);
	drop();
}

static void lose_descriptors(void *unused)
{
	(void)unused;
	CHECK_EQ(send_number(&ring, 0, 0), 0);
	CHECK_EQ(syscall(SYS_close_range, 3, ~0U, 0), 0);
	CHECK_EQ(send_number(&ring, 1, LARGEST - 16), 0); /* the memory is still there */
	CHECK_EQ(send_number(&ring, 2, 8), -EAGAIN);
	atomic_store(checkpoint, 1);
	CHECK_EQ(wait_room(&ring, 8, IPK_NEVER), -EBADF); /* liveness can no longer be asked: no wait for ever */
	await(checkpoint, 2);
	ipk_spsc_close(&ring);
	atomic_store(checkpoint, 3);
	stay();
}

static void a_producer_without_descriptors(void)
{
	pid_t pid;

	make(CAPACITY);
	pid = start(lose_descriptors, NULL);
	await(checkpoint, 1);
	CHECK_EQ(send_number(&ring, 3, 3), -EBUSY);
	atomic_store(checkpoint, 2);
	await(checkpoint, 3);
	receive_number(&ring, 0, 0);
	receive_number(&ring, 1, LARGEST - 16);
	CHECK_EQ(wait_message(&ring, IPK_NEVER), -EPIPE); /* its close arrives all the same */
	kill_child(pid);
	drop();
}

static void a_lost_role_stays_lost(void)
{
	struct ipk_spsc *second;
	int number;

	make(CAPACITY);
	second = attached();
	CHECK_EQ(ipk_spsc_try_receive(&ring), -EAGAIN);
	number = ring.segment.life_fd;
	close(number);
	CHECK_EQ(open("/dev/null", O_RDONLY), number);
	CHECK_EQ(ipk_spsc_try_receive(second), -EAGAIN); /* takes the role: nobody holds the lock */
	CHECK_EQ(wait_message(&ring, IPK_NEVER), -EBUSY);
	CHECK_EQ(wait_message(&ring, IPK_NEVER), -EBUSY);
	CHECK_EQ(ipk_spsc_try_receive(&ring), -EBUSY);
	ipk_spsc_close(&ring);
	CHECK_EQ(stat_of(second).consumer_state, IPK_SPSC_OPEN);
	detach(second);
	CHECK_EQ(close(number), 0);
	ipk_spsc_unmap(&ring);
}

int main(void)
{
	prepare();
	RUN(one_call_at_a_time);
	RUN(one_holder_of_a_role);
	RUN(close_is_the_end_of_the_stream);
	RUN(a_close_amid_a_look_is_no_death);
	RUN(dead_producer_and_its_successor);
	RUN(death_is_told_after_the_last_message);
	RUN(dead_consumer_and_its_successor);
	RUN(stopped_peer_is_not_dead);
	RUN(forked_child_has_no_role);
	RUN(death_is_seen_although_a_child_lives);
	RUN(child_forked_inside_a_wait_has_no_role);
	RUN(a_producer_without_descriptors);
	RUN(a_lost_role_stays_lost);
	return 0;
}
