/* mpmc.h among processes: waiting, wake-ups, the ends of roles, death at each stage, a process that is stopped, fork. */
#include "mpmc_ring.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DETECTION_NS (2 * IPK_SLICE_NS)
#define SOON (100 * (int64_t)DETECTION_NS) /* a loaded machine may take its time; a hang is what counts */

static int64_t in(int64_t ns)
{
	return ipk_monotonic_ns() + ns;
}

static int await_message(struct ipk_mpmc *view)
{
	uint32_t stalled;

	return wait_message(view, in(SOON), &stalled);
}

static int await_room(struct ipk_mpmc *view, uint64_t length)
{
	uint32_t stalled;

	return wait_room(view, length, in(SOON), &stalled);
}

/* --- in the children ------------------------------------------------------------------------------------------------ */

static void receive_when_there(void *number)
{
	struct ipk_mpmc *view = attached();

	ipk_mpmc_set_spin(view, 0);
	while (nothing(view) == -EAGAIN)
		CHECK_EQ(await_message(view), 0);
	(void)number;
	detach(view);
}

static void send_when_there_is_room(void *unused)
{
	struct ipk_mpmc *view = attached();

	(void)unused;
	ipk_mpmc_set_spin(view, 0);
	while (send_number(view, 2, 100) == -EAGAIN)
		CHECK_EQ(await_room(view, 100), 0);
	detach(view);
}

static void reserve_and_stay(void *unused)
{
	struct ipk_mpmc_claim claim;

	(void)unused;
	CHECK_EQ(ipk_mpmc_try_reserve(attached(), 100, &claim), 0);
	stay();
}

static void take_and_stay(void *number)
{
	struct ipk_mpmc_claim loans[4];

	CHECK(ipk_mpmc_try_receive(attached(), loans, *(uint32_t *)number) > 0);
	stay();
}

static void lock_and_stay(void *sending)
{
	struct ipk_mpmc *view = attached();

	CHECK_EQ(ipk_mpmc_join(view, IPK_ROSTER_ROLES), 0);
	CHECK_EQ(ipk_lock_try(*(uint32_t *)sending ? &view->shm->send.lock : &view->shm->receive.lock, &view->member), 0);
	stay();
}

static void send_and_stay(void *unused)
{
	(void)unused;
	CHECK_EQ(send_number(attached(), 2, 50), 0);
	stay();
}

static pid_t staying(void (*function)(void *), uint32_t argument)
{
	static uint32_t given;
	pid_t pid;

	given = argument;
	pid = start(function, &given);
	wait_staying(pid);
	return pid;
}

/* --- ---------------------------------------------------------------------------------------------------------------- */

static void sleepers_are_woken(void)
{
	pid_t one, two;

	make();
	one = start(receive_when_there, NULL);
	two = start(receive_when_there, NULL);
	wait_blocked(one, SYS_futex, ANY_ADDRESS);
	wait_blocked(two, SYS_futex, ANY_ADDRESS);
	CHECK_EQ(send_number(&ring, 2, 10), 0);
	CHECK_EQ(send_number(&ring, 4, 10), 0);
	CHECK_EQ(reap(one), 0);
	CHECK_EQ(reap(two), 0);
	CHECK_RANGE(stat_of(&ring).wakes, 1, 4);
	CHECK_EQ(stat_of(&ring).consumers, 0);
	CHECK_EQ(ipk_mpmc_join(&ring, IPK_ROSTER_CONSUMER), 0);
	while (send_number(&ring, 2, 200) == 0)
		continue;
	while (send_number(&ring, 2, 0) == 0)
		continue;
	one = start(send_when_there_is_room, NULL);
	two = start(send_when_there_is_room, NULL);
	wait_blocked(one, SYS_futex, ANY_ADDRESS);
	wait_blocked(two, SYS_futex, ANY_ADDRESS);
	while (stat_of(&ring).used > CAPACITY / 2)
		CHECK_EQ(nothing(&ring), 1);
	CHECK_EQ(reap(one), 0);
	CHECK_EQ(reap(two), 0);
	drop();
}

static void a_commit_wakes_those_behind_it(void)
{
	struct ipk_mpmc_claim claim;
	pid_t one, two;

	make();
	CHECK_EQ(ipk_mpmc_try_reserve(&ring, 10, &claim), 0);
	CHECK_EQ(send_number(&ring, 2, 10), 0);
	CHECK_EQ(send_number(&ring, 4, 10), 0);
	one = start(receive_when_there, NULL);
	two = start(receive_when_there, NULL);
	wait_blocked(one, SYS_futex, ANY_ADDRESS);
	wait_blocked(two, SYS_futex, ANY_ADDRESS);
	CHECK_EQ(ipk_mpmc_abort(&ring, &claim), 0);
	CHECK_EQ(reap(one), 0);
	CHECK_EQ(reap(two), 0);
	CHECK_EQ(nothing(&ring), -EAGAIN);
	drop();
}

/* Those who wait for the room of a message that never was are woken by whoever goes past it, whatever comes behind it. */
static void the_room_of_an_aborted_message_is_told(void)
{
	enum { NOTHING, TOO_LONG_TO_COPY, LENT, CASES };
	struct ipk_mpmc_claim claim;

	for (int behind = NOTHING; behind < CASES; behind++) {
		make();
		CHECK_EQ(ipk_mpmc_try_reserve(&ring, LARGEST / 2, &claim), 0);
		if (behind != NOTHING)
			CHECK_EQ(send_number(&ring, 2, IPK_MPMC_INSIDE + 1), 0);
		CHECK_EQ(ipk_mpmc_abort(&ring, &claim), 0);
		ipk_sleepers_announce(&ring.shm->room.sleepers); /* as a producer that finds no room */
		if (behind == LENT)
			lend_number(&ring, 2, IPK_MPMC_INSIDE + 1);
		else
			CHECK_EQ(nothing(&ring), behind == NOTHING ? -EAGAIN : -EMSGSIZE);
		CHECK_RANGE(stat_of(&ring).wakes, 1, 2);
		drop();
	}
}

static void the_end_of_the_stream(void)
{
	struct ipk_mpmc *other;
	pid_t pid;

	make();
	CHECK_EQ(ipk_mpmc_wait_message(&ring, 0, &(uint32_t){0}), -ETIMEDOUT); /* nobody has come yet */
	other = attached();
	CHECK_EQ(send_number(other, 2, 10), 0);
	pid = staying(send_and_stay, 0);
	detach(other);
	receive_number(&ring, 2, 10);
	receive_number(&ring, 2, 50);
	CHECK_EQ(ipk_mpmc_wait_message(&ring, 0, &(uint32_t){0}), -ETIMEDOUT); /* one is still there */
	CHECK_EQ(ipk_mpmc_living(&ring, IPK_ROSTER_PRODUCER), 1);
	kill_child(pid);
	CHECK_EQ(ipk_mpmc_wait_message(&ring, 0, &(uint32_t){0}), -EOWNERDEAD);
	CHECK_EQ(await_message(&ring), -EOWNERDEAD);
	CHECK_EQ(ipk_mpmc_living(&ring, IPK_ROSTER_PRODUCER), 0);
	other = attached();
	CHECK_EQ(send_number(other, 2, 10), 0);
	detach(other);
	CHECK_EQ(await_message(&ring), 0);
	receive_number(&ring, 2, 10);
	CHECK_EQ(await_message(&ring), -EPIPE);
	drop();
}

static void the_last_consumer_goes(void)
{
	static const struct {
		uint32_t gone;
		int closed, died;
	} cases[] = {{IPK_MPMC_ERROR, -EPIPE, -EOWNERDEAD}, {IPK_MPMC_DROP, 1, 1}, {IPK_MPMC_BLOCK, -ETIMEDOUT, -ETIMEDOUT}};
	struct ipk_mpmc_options options = usual();
	struct ipk_mpmc *other;
	uint32_t stalled;
	pid_t pid;

	for (size_t i = 0; i < 3; i++) {
		options.on_consumer_gone = cases[i].gone;
		make_with(&options);
		while (send_number(&ring, 2, 1000) == 0)
			continue;
		CHECK_EQ(ipk_mpmc_wait_room(&ring, 1000, 0, &stalled), -ETIMEDOUT); /* none has come yet */
		other = attached();
		receive_number(other, 2, 1000);
		CHECK_EQ(send_number(&ring, 2, 1000), 0);
		detach(other);
		CHECK_EQ(wait_room(&ring, 1000, in(5 * MS), &stalled), cases[i].closed);
		pid = staying(take_and_stay, 1);
		CHECK_EQ(ipk_mpmc_wait_room(&ring, 1000, 0, &stalled), -ETIMEDOUT);
		kill_child(pid);
		CHECK_EQ(wait_room(&ring, 1000, in(5 * MS), &stalled), cases[i].died);
		CHECK_EQ(stat_of(&ring).lost, cases[i].gone == IPK_MPMC_DROP ? 2 : 0);
		drop();
	}
}

static void a_dead_producers_claim_is_aborted(void)
{
	pid_t pid;

	make();
	pid = staying(reserve_and_stay, 0);
	CHECK_EQ(send_number(&ring, 2, 10), 0);
	CHECK_EQ(nothing(&ring), -EAGAIN);
	CHECK_EQ(ipk_mpmc_wait_message(&ring, 0, &(uint32_t){0}), -ETIMEDOUT);
	kill_child(pid);
	CHECK_EQ(await_message(&ring), 0);
	receive_number(&ring, 2, 10);
	CHECK_EQ(stat_of(&ring).used, 0);
	CHECK_EQ(stat_of(&ring).recoveries, 1);
	CHECK_EQ(stat_of(&ring).producers, 1);
	drop();
}

/* What is behind the claim is no news to those who wait for the claim. */
static void two_wait_behind_a_dead_producers_claim(void)
{
	struct ipk_mpmc *view;
	pid_t dead, one, two;

	make();
	dead = staying(reserve_and_stay, 0);
	view = attached();
	CHECK_EQ(nothing(view), -EAGAIN);
	CHECK_EQ(send_number(&ring, 2, 10), 0);
	CHECK_EQ(send_number(&ring, 4, 10), 0);
	one = start(receive_when_there, NULL);
	two = start(receive_when_there, NULL);
	wait_blocked(one, SYS_futex, ANY_ADDRESS);
	wait_blocked(two, SYS_futex, ANY_ADDRESS);
	kill_child(dead);
	CHECK_EQ(reap(one), 0);
	CHECK_EQ(reap(two), 0);
	CHECK_EQ(stat_of(&ring).recoveries, 1);
	detach(view);
	drop();
}

static void a_dead_consumers_loan(void)
{
	struct ipk_mpmc_options options = usual();
	struct ipk_mpmc_claim mine;
	pid_t pid;

	for (uint32_t lose = 0; lose <= 1; lose++) {
		options.on_consumer_death = lose;
		make_with(&options);
		for (uint64_t number = 1; number <= 4; number++)
			CHECK_EQ(send_number(&ring, number, number * 10), 0);
		mine = lend_number(&ring, 1, 10);
		pid = staying(take_and_stay, 2);
		receive_number(&ring, 4, 40);
		CHECK_EQ(ipk_mpmc_wait_message(&ring, 0, &(uint32_t){0}), -ETIMEDOUT);
		kill_child(pid);
		CHECK_EQ(wait_message(&ring, in(5 * MS), &(uint32_t){0}), lose ? -ETIMEDOUT : 0);
		if (!lose) {
			receive_number(&ring, 2, 20);
			receive_number(&ring, 3, 30);
		}
		CHECK_EQ(nothing(&ring), -EAGAIN);
		CHECK_EQ(ipk_mpmc_release(&ring, &mine, 1), 0);
		CHECK_EQ(stat_of(&ring).used, 0);
		CHECK_EQ(stat_of(&ring).recoveries, 2);
		CHECK_EQ(stat_of(&ring).lost, lose ? 2 : 0);
		drop();
	}
}

static void a_dead_consumers_loan_is_in_a_producers_way(void)
{
	struct ipk_mpmc_options options = usual();
	pid_t pid;

	options.on_consumer_death = IPK_MPMC_LOSE;
	make_with(&options);
	CHECK_EQ(send_number(&ring, 2, LARGEST), 0);
	pid = staying(take_and_stay, 1);
	kill_child(pid);
	CHECK_EQ(send_number(&ring, 4, 10), -EAGAIN);
	CHECK_EQ(await_room(&ring, 10), 0);
	CHECK_EQ(send_number(&ring, 4, 10), 0);
	receive_number(&ring, 4, 10);
	drop();
}

static void a_dead_owner_of_a_lock(void)
{
	for (uint32_t sending = 0; sending <= 1; sending++) {
		pid_t pid;

		make();
		CHECK_EQ(send_number(&ring, 2, 10), 0);
		pid = staying(lock_and_stay, sending);
		CHECK_EQ(sending ? send_number(&ring, 4, 10) : (int)nothing(&ring), -EAGAIN);
		kill_child(pid);
		CHECK_EQ(send_number(&ring, 4, 10), 0);
		receive_number(&ring, 2, 10);
		receive_number(&ring, 4, 10);
		drop();
	}
}

static void a_stopped_process_is_waited_for(void)
{
	static void (*const ways[])(void *) = {reserve_and_stay, take_and_stay, lock_and_stay, lock_and_stay};
	uint32_t stalled;
	pid_t pid;

	for (uint32_t way = 0; way < 4; way++) {
		make();
		if (way > 0)
			CHECK_EQ(send_number(&ring, 2, LARGEST - 200), 0);
		pid = staying(ways[way], way == 1 || way == 3);
		kill(pid, SIGSTOP);
		wait_stopped(pid);
		stalled = 0;
		if (way == 0 || way == 2)
			CHECK_EQ(wait_message(&ring, in(IPK_SLICE_NS + 5 * MS), &stalled), -ETIMEDOUT);
		else
			CHECK_EQ(wait_room(&ring, way == 3 ? 10 : 1000, in(IPK_SLICE_NS + 5 * MS), &stalled), -ETIMEDOUT);
		CHECK_EQ(stalled, (uint32_t)pid);
		CHECK_EQ(stat_of(&ring).recoveries, 0);
		kill(pid, SIGCONT);
		kill_child(pid);
		drop();
	}
}

static void fork_with_claims(void)
{
	struct ipk_mpmc_claim claim, loan;
	pid_t pid;

	make();
	CHECK_EQ(send_number(&ring, 2, 10), 0);
	CHECK_EQ(ipk_mpmc_try_reserve(&ring, 10, &claim), 0);
	loan = lend_number(&ring, 2, 10);
	pid = fork();
	if (pid == 0) {
		CHECK_EQ(ipk_mpmc_commit(&ring, &claim, 10, 0), -ECHILD);
		CHECK_EQ(ipk_mpmc_release(&ring, &loan, 1), -ECHILD);
		CHECK_EQ(send_number(&ring, 4, 20), 0); /* as a participant of its own */
		CHECK_EQ(ipk_mpmc_living(&ring, IPK_ROSTER_PRODUCER), 2);
		CHECK_EQ(ipk_mpmc_commit(&ring, &claim, 10, 0), -ECHILD);
		CHECK_EQ(nothing(&ring), -EAGAIN);
		ipk_mpmc_close(&ring);
		_exit(0);
	}
	CHECK_EQ(reap(pid), 0);
	CHECK_EQ(ipk_mpmc_abort(&ring, &claim), 0);
	CHECK_EQ(ipk_mpmc_release(&ring, &loan, 1), 0);
	receive_number(&ring, 4, 20);
	CHECK_EQ(ipk_mpmc_wait_message(&ring, 0, &(uint32_t){0}), -ETIMEDOUT); /* we are a producer */
	pid = fork();
	if (pid == 0)
		_exit(0); /* takes nothing of ours along */
	CHECK_EQ(reap(pid), 0);
	CHECK_EQ(ipk_mpmc_living(&ring, IPK_ROSTER_PRODUCER), 1);
	drop();
}

static void *send_first(void *view)
{
	return (void *)(intptr_t)send_number(view, 2, 10);
}

/* A call that finds the view open takes a role though another thread closes it: the others see a close all the same. */
static void a_close_amid_a_first_call(void)
{
	struct ipk_mpmc *consumer;
	pthread_t thread;
	void *rc;

	make();
	consumer = attached();
	CHECK_EQ(nothing(consumer), -EAGAIN);
	stop_writer(ring.member.id); /* it is about to become a member, and then a producer */
	CHECK_EQ(pthread_create(&thread, NULL, send_first, &ring), 0);
	wait_stopped_there();
	ipk_mpmc_close(&ring);
	let_go_on();
	CHECK_EQ(pthread_join(thread, &rc), 0);
	CHECK_EQ((intptr_t)rc, -EBADF);
	ipk_mpmc_unmap(&ring);
	CHECK_EQ(await_message(consumer), -EPIPE);
	detach(consumer);
}

static void a_full_roster(void)
{
	struct ipk_mpmc_options options = usual();
	struct ipk_mpmc *one, *two;
	pid_t pid;

	options.participants = 2;
	make_with(&options);
	one = attached();
	two = attached();
	CHECK_EQ(send_number(one, 2, 1), 0);
	pid = staying(send_and_stay, 0);
	CHECK_EQ(send_number(two, 2, 1), -ENOSPC);
	CHECK_EQ(nothing(two), -ENOSPC);
	CHECK_EQ(ipk_mpmc_wait_message(two, 0, &(uint32_t){0}), -ENOSPC);
	kill_child(pid);
	CHECK_EQ(send_number(two, 2, 1), 0);
	receive_number(one, 2, 1);
	detach(one);
	CHECK_EQ(ipk_mpmc_living(&ring, IPK_ROSTER_CONSUMER), 0);
	detach(two);
	drop();
}

int main(void)
{
	prepare();
	RUN(sleepers_are_woken);
	RUN(a_commit_wakes_those_behind_it);
	RUN(the_room_of_an_aborted_message_is_told);
	RUN(the_end_of_the_stream);
	RUN(the_last_consumer_goes);
	RUN(a_dead_producers_claim_is_aborted);
	RUN(two_wait_behind_a_dead_producers_claim);
	RUN(a_dead_consumers_loan);
	RUN(a_dead_consumers_loan_is_in_a_producers_way);
	RUN(a_dead_owner_of_a_lock);
	RUN(a_stopped_process_is_waited_for);
	RUN(fork_with_claims);
	RUN(a_close_amid_a_first_call);
	RUN(a_full_roster);
	return 0;
}
