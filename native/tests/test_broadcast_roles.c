/* broadcast.h: who writes and who reads, through waits, close, death, fork(2), stops and lost descriptors. */
#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broadcast.h"
#include "ipckit/futex.h"

static void timeouts_are_never_early(void)
{
	int64_t deadline, before;

	make(IPK_BROADCAST_BLOCK);
	CHECK_EQ(ipk_broadcast_subscribe(&ring, 0), 0);
	CHECK_EQ(ipk_broadcast_wait_message(&ring, 0), -ETIMEDOUT);
	CHECK_EQ(ipk_broadcast_wait_message(&ring, INT64_MIN), -ETIMEDOUT);
	for (int ms = 0; ms <= 120; ms += 40) {
		deadline = ipk_monotonic_ns() + ms * MS;
		CHECK_EQ(wait_message(&ring, deadline), -ETIMEDOUT);
		CHECK(ipk_monotonic_ns() >= deadline);
	}
	before = ipk_monotonic_ns(); /* no deadline: one slice at a time */
	CHECK_EQ(ipk_broadcast_wait_message(&ring, IPK_NEVER), -EAGAIN);
	CHECK(ipk_monotonic_ns() - before >= IPK_SLICE_NS);
	while (send_number(&ring, 1, LARGEST) == 0)
		;
	CHECK_EQ(ipk_broadcast_wait_message(&ring, 0), 0); /* what is there is there, deadline or not */
	CHECK_EQ(ipk_broadcast_wait_room(&ring, 0, 0), -ETIMEDOUT);
	deadline = ipk_monotonic_ns() + 70 * MS;
	CHECK_EQ(wait_room(&ring, 0, deadline), -ETIMEDOUT);
	CHECK(ipk_monotonic_ns() >= deadline);
	CHECK_EQ(ipk_broadcast_wait_room(&ring, 0, IPK_NEVER), -EAGAIN); /* which waits, however late it comes to it */
	receive_number(&ring, 1, LARGEST);
	CHECK_EQ(ipk_broadcast_wait_room(&ring, LARGEST, 0), 0);
	CHECK_EQ(stat_of(&ring).full_waits > 0, 1);
	CHECK_EQ(stat_of(&ring).empty_waits > 0, 1);
	drop();
}

static void read_one(void *number)
{
	struct ipk_broadcast *own = reader_of(0, 0);

	ipk_broadcast_set_spin(own, 0);
	atomic_fetch_add(checkpoint, 1);
	CHECK_EQ(wait_message(own, IPK_NEVER), 0);
	receive_number(own, (uint64_t)(uintptr_t)number, 70);
}

/* However many readers sleep: one call wakes them all. */
static void one_call_wakes_all(void)
{
	uint64_t wakes = 0;

	/* Between two slices a sleeper is awake for a moment: then again. */
	for (int tries = 0; tries < 50 && wakes == 0; tries++) {
		pid_t pids[5];

		make(IPK_BROADCAST_BLOCK);
		for (int i = 0; i < 5; i++)
			pids[i] = start(read_one, (void *)7);
		for (int i = 0; i < 5; i++)
			wait_blocked(pids[i], SYS_futex, ANY_ADDRESS);
		CHECK_EQ(send_number(&ring, 7, 70), 0);
		wakes = stat_of(&ring).wakes;
		for (int i = 0; i < 5; i++)
			CHECK_EQ(reap(pids[i]), 0);
		drop();
	}
	CHECK_EQ(wakes, 1);
}

static void send_one(void *number)
{
	struct ipk_broadcast *own = attached();

	ipk_broadcast_set_spin(own, 0);
	CHECK_EQ(wait_room(own, LARGEST, IPK_NEVER), 0);
	CHECK_EQ(send_number(own, (uint64_t)(uintptr_t)number, LARGEST), 0);
	stay();
}

static void a_sleeping_writer_is_woken_once(void)
{
	uint64_t wakes = 0;

	for (int tries = 0; tries < 50 && wakes == 0; tries++) {
		struct ipk_broadcast *reader;
		uint64_t sent = 0;
		pid_t pid;

		make(IPK_BROADCAST_BLOCK);
		reader = reader_of(0, 0);
		while (send_number(&ring, sent, 48) == 0)
			sent++;
		pid = start(send_one, (void *)7);
		wait_blocked(pid, SYS_futex, ANY_ADDRESS);
		for (uint64_t i = 0; i < sent; i++)
			receive_number(reader, i, 48);
		wakes = stat_of(&ring).wakes;
		CHECK_RANGE(wakes, 0, 1);
		wait_staying(pid);
		receive_number(reader, 7, LARGEST);
		kill_child(pid);
		detach(reader);
		drop();
	}
	CHECK_EQ(wakes, 1);
}

static void close_is_the_end_of_the_stream(void)
{
	struct ipk_broadcast *reader, *second, *late;

	make(IPK_BROADCAST_BLOCK);
	reader = reader_of(0, 0);
	CHECK_EQ(wait_message(reader, ipk_monotonic_ns() + MS), -ETIMEDOUT); /* nobody has written yet: somebody may */
	second = attached();
	CHECK_EQ(send_number(&ring, 1, 10), 0);
	CHECK_EQ(send_number(second, 2, 20), 0);
	ipk_broadcast_close(&ring);
	CHECK_EQ(ipk_broadcast_wait_message(reader, 0), 0);
	receive_number(reader, 1, 10);
	receive_number(reader, 2, 20);
	CHECK_EQ(ipk_broadcast_wait_message(reader, 0), -ETIMEDOUT); /* the second one may go on */
	CHECK_EQ(send_number(second, 3, 30), 0);
	ipk_broadcast_close(second);
	receive_number(reader, 3, 30);
	CHECK_EQ(ipk_broadcast_wait_message(reader, IPK_NEVER), -EPIPE);
	CHECK_EQ(ipk_broadcast_wait_message(reader, 0), -EPIPE);
	late = attached();
	CHECK_EQ(send_number(late, 4, 40), 0); /* a successor */
	receive_number(reader, 4, 40);
	CHECK_EQ(ipk_broadcast_wait_message(reader, 0), -ETIMEDOUT);
	detach(late);
	detach(second);
	detach(reader);
	ipk_broadcast_unmap(&ring);
}

static void write_some(void *count)
{
	struct ipk_broadcast *own = attached();

	for (uint64_t i = 0; i < (uint64_t)(uintptr_t)count; i++)
		CHECK_EQ(send_number(own, i, 20), 0);
	stay();
}

static void a_dead_writer_is_told(void)
{
	struct ipk_broadcast *reader;
	pid_t pid;

	make(IPK_BROADCAST_BLOCK);
	reader = reader_of(0, 0);
	pid = start(write_some, (void *)3);
	wait_staying(pid);
	CHECK_EQ(kill(pid, SIGSTOP), 0);
	wait_stopped(pid);
	for (uint64_t i = 0; i < 3; i++)
		receive_number(reader, i, 20);
	/* stopped is not dead */
	CHECK_EQ(wait_message(reader, ipk_monotonic_ns() + 120 * MS), -ETIMEDOUT);
	CHECK_EQ(stat_of(&ring).producers, 1);
	kill_child(pid);
	CHECK_EQ(wait_message(reader, IPK_NEVER), -EOWNERDEAD);
	CHECK_EQ(ipk_broadcast_wait_message(reader, 0), -EOWNERDEAD);
	CHECK_EQ(stat_of(&ring).producers, 0);
	CHECK_EQ(send_number(&ring, 3, 20), 0);
	receive_number(reader, 3, 20);
	detach(reader);
	drop();
}

static void reserve_and_stay(void *unused)
{
	struct ipk_broadcast *own = attached();
	struct ipk_broadcast_claim claim = {0};

	(void)unused;
	CHECK_EQ(ipk_broadcast_try_reserve(own, 100, &claim), 0);
	stay();
}

static void a_stopped_writer_is_waited_for_and_a_dead_one_is_not(void)
{
	struct ipk_broadcast *reader;
	pid_t pid;

	make(IPK_BROADCAST_OVERWRITE);
	reader = reader_of(0, 0);
	CHECK_EQ(send_number(&ring, 1, 100), 0);
	pid = start(reserve_and_stay, NULL);
	wait_staying(pid);
	CHECK_EQ(kill(pid, SIGSTOP), 0);
	wait_stopped(pid);
	CHECK_EQ(send_number(&ring, 2, 100), -EAGAIN);
	CHECK_EQ(wait_room(&ring, 100, ipk_monotonic_ns() + 120 * MS), -ETIME);
	CHECK_EQ(ipk_broadcast_holder(&ring), pid);
	CHECK_EQ(ipk_broadcast_subscribe(reader, 1), 1); /* readers of such a ring wait for nobody */
	kill_child(pid);
	CHECK_EQ(wait_room(&ring, 100, IPK_NEVER), 0);
	CHECK_EQ(send_number(&ring, 2, 100), 0);
	CHECK_EQ(stat_of(&ring).recoveries, 1);
	receive_number(reader, 1, 100);
	receive_number(reader, 2, 100);
	detach(reader);
	drop();
}

static void read_and_stay(void *unused)
{
	struct ipk_broadcast *own = reader_of(0, 0);

	(void)own;
	(void)unused;
	stay();
}

static void a_stopped_reader_is_waited_for_and_a_dead_one_is_not(void)
{
	int64_t before;
	pid_t pid;

	make(IPK_BROADCAST_BLOCK);
	pid = start(read_and_stay, NULL);
	wait_staying(pid);
	CHECK_EQ(kill(pid, SIGSTOP), 0);
	wait_stopped(pid);
	while (send_number(&ring, 1, 100) == 0)
		;
	CHECK_EQ(wait_room(&ring, 100, ipk_monotonic_ns() + 120 * MS), -ETIMEDOUT);
	CHECK_EQ(ipk_broadcast_wait_room(&ring, 100, 0), -ETIMEDOUT);
	CHECK_EQ(ipk_broadcast_slowest(&ring), pid);
	CHECK_EQ(stat_of(&ring).consumers, 1);
	kill_child(pid);
	before = ipk_monotonic_ns();
	CHECK_EQ(wait_room(&ring, 100, before + 20 * (int64_t)IPK_SLICE_NS), 0);
	CHECK_EQ(stat_of(&ring).consumers, 0);
	CHECK_EQ(send_number(&ring, 1, 100), 0);
	drop();

	make(IPK_BROADCAST_BLOCK); /* who only ever polls learns it, too */
	pid = start(read_and_stay, NULL);
	wait_staying(pid);
	while (send_number(&ring, 1, 100) == 0)
		;
	kill_child(pid);
	CHECK_EQ(ipk_broadcast_wait_room(&ring, 100, 0), 0);
	CHECK_EQ(send_number(&ring, 1, 100), 0);
	drop();
}

static void be_forked(void *unused)
{
	struct ipk_broadcast_claim claim = {0};

	(void)unused;
	CHECK_EQ(ipk_broadcast_release(&ring), -EINVAL); /* the parent's */
	CHECK_EQ(ipk_broadcast_commit(&ring, 1), -EINVAL);
	CHECK_EQ(receive_any(&ring), -EAGAIN); /* a reader of its own, from now on */
	CHECK_EQ(stat_of(&ring).consumers, 2);
	CHECK_EQ(ipk_broadcast_try_reserve(&ring, 10, &claim), -EAGAIN); /* the parent has the lock */
	atomic_store(checkpoint, 1);
	await(checkpoint, 2);
	CHECK_EQ(wait_message(&ring, IPK_NEVER), 0);
	receive_number(&ring, 5, 50);
	CHECK_EQ(send_number(&ring, 6, 60), 0);
}

static void fork_inherits_no_role(void)
{
	struct ipk_broadcast_claim claim = {0}, loan = {0};
	unsigned char *data;
	pid_t pid;

	make(IPK_BROADCAST_BLOCK);
	CHECK_EQ(ipk_broadcast_subscribe(&ring, 0), 0);
	CHECK_EQ(send_number(&ring, 4, 40), 0);
	CHECK_EQ(ipk_broadcast_try_lend(&ring, &loan), 0);
	CHECK_EQ(ipk_broadcast_try_reserve(&ring, 50, &claim), 0);
	pid = start(be_forked, NULL);
	await(checkpoint, 1);
	data = ipk_broadcast_data(&ring);
	memcpy(data + claim.offset, content(5), 50);
	CHECK_EQ(ipk_broadcast_commit(&ring, 50), 0);
	atomic_store(checkpoint, 2);
	CHECK(memcmp(data + loan.offset, content(4), 40) == 0);
	CHECK_EQ(ipk_broadcast_release(&ring), 0);
	receive_number(&ring, 5, 50);
	CHECK_EQ(wait_message(&ring, IPK_NEVER), 0);
	receive_number(&ring, 6, 60);
	CHECK_EQ(reap(pid), 0);
	CHECK_EQ(ipk_broadcast_bury(&ring), 1);
	CHECK_EQ(stat_of(&ring).consumers, 1);
	drop();
}

static void *receive_first(void *unused)
{
	(void)unused;
	return (void *)(intptr_t)receive_any(&ring);
}

static void begin_anew(void *unused)
{
	struct ipk_broadcast *reader = reader_of(0, 0);

	(void)unused;
	ipk_broadcast_forked(&ring);
	CHECK_EQ(receive_any(&ring), -EAGAIN);
	CHECK_EQ(send_number(&ring, 3, 30), 0);
	receive_number(&ring, 3, 30);
	receive_number(reader, 3, 30);
	drop();
	CHECK_EQ(wait_message(reader, IPK_NEVER), -EPIPE);
	detach(reader);
}

/* A thread that is amid its first call when another one forks does not exist in the child: nobody waits for it there. */
static void fork_amid_a_first_call(void)
{
	pthread_t thread;
	void *result;
	pid_t pid;

	make(IPK_BROADCAST_BLOCK);
	stop_writer(ring.member.id); /* it is about to become a member */
	CHECK_EQ(pthread_create(&thread, NULL, receive_first, NULL), 0);
	wait_stopped_there();
	pid = start(begin_anew, NULL);
	CHECK_EQ(reap(pid), 0);
	let_go_on();
	CHECK_EQ(pthread_join(thread, &result), 0);
	CHECK_EQ((intptr_t)result, -EAGAIN);
	drop();
}

static void close_everything(void *unused)
{
	struct ipk_broadcast *own = reader_of(0, 0);

	(void)unused;
	CHECK_EQ(send_number(own, 9, 90), 0);
	CHECK_EQ(syscall(SYS_close_range, 3, 1000000, 0), 0);
	atomic_store(checkpoint, 1);
	await(checkpoint, 2);
	receive_number(own, 9, 90);
	CHECK_EQ(wait_message(own, IPK_NEVER), -EBADF); /* nobody could tell it who lives */
	stay();
}

/* A daemon closes descriptors that are not its own: it is not dead for that. */
static void lost_descriptors_are_no_death(void)
{
	struct ipk_broadcast *reader;
	pid_t pid;

	make(IPK_BROADCAST_BLOCK);
	reader = reader_of(0, 0);
	pid = start(close_everything, NULL);
	await(checkpoint, 1);
	CHECK_EQ(ipk_broadcast_bury(&ring), 0);
	CHECK_EQ(stat_of(&ring).producers, 1);
	receive_number(reader, 9, 90);
	CHECK_EQ(wait_message(reader, ipk_monotonic_ns() + 60 * MS), -ETIMEDOUT);
	atomic_store(checkpoint, 2);
	wait_staying(pid);
	kill_child(pid);
	CHECK_EQ(wait_message(reader, IPK_NEVER), -EOWNERDEAD);
	detach(reader);
	drop();
}

static void *wait_for_message(void *view)
{
	atomic_store(checkpoint, (uint32_t)gettid());
	return (void *)(intptr_t)wait_message(view, IPK_NEVER);
}

static void *wait_for_room(void *view)
{
	atomic_store(checkpoint, (uint32_t)gettid());
	return (void *)(intptr_t)wait_room(view, 100, IPK_NEVER);
}

static void close_ends_waits_of_other_threads(void)
{
	void *(*const waits[])(void *) = {wait_for_message, wait_for_room, wait_for_room};

	for (int i = 0; i < 3; i++) {
		struct ipk_broadcast_claim claim = {0};
		struct ipk_broadcast *reader;
		pthread_t thread;
		void *result;

		make(IPK_BROADCAST_BLOCK);
		reader = reader_of(0, 0);
		ipk_broadcast_set_spin(reader, 0);
		while (i == 1 && send_number(&ring, 0, 100) == 0)
			;
		if (i == 2)
			CHECK_EQ(ipk_broadcast_try_reserve(&ring, 100, &claim), 0);
		CHECK_EQ(pthread_create(&thread, NULL, waits[i], reader), 0);
		while (atomic_load(checkpoint) == 0)
			sched_yield();
		while (!is_blocked((pid_t)atomic_load(checkpoint), SYS_futex, ANY_ADDRESS)) /* a thread is no child to wait for */
			sched_yield();
		ipk_broadcast_close(reader);
		CHECK_EQ(pthread_join(thread, &result), 0);
		CHECK_EQ((intptr_t)result, -EBADF);
		detach(reader);
		drop();
	}
}

int main(void)
{
	prepare();
	RUN(timeouts_are_never_early);
	RUN(one_call_wakes_all);
	RUN(a_sleeping_writer_is_woken_once);
	RUN(close_is_the_end_of_the_stream);
	RUN(a_dead_writer_is_told);
	RUN(a_stopped_writer_is_waited_for_and_a_dead_one_is_not);
	RUN(a_stopped_reader_is_waited_for_and_a_dead_one_is_not);
	RUN(fork_inherits_no_role);
	RUN(fork_amid_a_first_call);
	RUN(lost_descriptors_are_no_death);
	RUN(close_ends_waits_of_other_threads);
	return 0;
}
