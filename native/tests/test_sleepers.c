/* sleepers.h: each change wakes, the dead leave nothing but a needless call, and no wake-up gets lost in a race. */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "ipckit/base.h"
#include "ipckit/sleepers.h"
#include "support.h"

#define SLEEPERS 3
#define ROUNDS 2000
#define SOON_NS INT64_C(10000000000)

struct shared {
	struct ipk_sleepers_shm sleepers;
	_Atomic uint32_t turn;
	_Atomic uint32_t answer;
};

static struct shared *shared;

/* Sleep until the turn is `turn`. A wake-up that was lost would cost the whole time. */
static void await_turn(uint32_t turn)
{
	int64_t deadline = ipk_monotonic_ns() + SOON_NS;

	while (atomic_load(&shared->turn) < turn) {
		uint32_t announced = ipk_sleepers_announce(&shared->sleepers);

		if (atomic_load(&shared->turn) < turn)
			CHECK(ipk_sleepers_sleep(&shared->sleepers, announced, deadline) != -ETIMEDOUT);
	}
}

static void sleep_once(void *turn)
{
	await_turn(*(uint32_t *)turn);
}

static pid_t asleep(uint32_t turn)
{
	static uint32_t given;
	pid_t pid;

	given = turn;
	pid = start(sleep_once, &given);
	wait_blocked(pid, SYS_futex, &shared->sleepers.word);
	return pid;
}

static void begin(void)
{
	shared = shared_memory(sizeof(*shared));
}

static void nobody_costs_nothing(void)
{
	begin();
	CHECK_EQ(ipk_sleepers_wake_one(&shared->sleepers), 0);
	CHECK_EQ(ipk_sleepers_wake_all(&shared->sleepers), 0);
}

static void one_or_all(void)
{
	pid_t pids[SLEEPERS];

	begin();
	for (int i = 0; i < SLEEPERS; i++)
		pids[i] = asleep(1);
	CHECK_EQ(ipk_sleepers_wake_one(&shared->sleepers), 1); /* not its turn: it sleeps again */
	for (int i = 0; i < SLEEPERS; i++)
		wait_blocked(pids[i], SYS_futex, &shared->sleepers.word);
	atomic_store(&shared->turn, 1);
	CHECK_EQ(ipk_sleepers_wake_one(&shared->sleepers), 1);
	CHECK_EQ(ipk_sleepers_wake_all(&shared->sleepers), 1);
	for (int i = 0; i < SLEEPERS; i++)
		CHECK_EQ(reap(pids[i]), 0);
	CHECK_EQ(ipk_sleepers_wake_all(&shared->sleepers), 0);
}

static void the_dead_cost_a_needless_call(void)
{
	pid_t living;

	begin();
	kill_child(asleep(1));
	CHECK_EQ(ipk_sleepers_wake_one(&shared->sleepers), 2); /* finds nobody, and empties */
	CHECK_EQ(ipk_sleepers_wake_one(&shared->sleepers), 0);
	kill_child(asleep(1));
	living = asleep(1);
	atomic_store(&shared->turn, 1);
	CHECK_EQ(ipk_sleepers_wake_one(&shared->sleepers), 1);
	CHECK_EQ(reap(living), 0);
}

static void answer(void *unused)
{
	(void)unused;
	for (uint32_t turn = 1; turn <= ROUNDS; turn++) {
		await_turn(turn);
		atomic_store(&shared->answer, turn);
	}
}

static void no_wake_up_gets_lost(void)
{
	pid_t pid;

	begin();
	pid = start(answer, NULL);
	for (uint32_t turn = 1; turn <= ROUNDS; turn++) {
		atomic_store(&shared->turn, turn);
		if (turn % 2)
			ipk_sleepers_wake_one(&shared->sleepers);
		else
			ipk_sleepers_wake_all(&shared->sleepers);
		await(&shared->answer, turn);
	}
	CHECK_EQ(reap(pid), 0);
}

int main(void)
{
	RUN(nobody_costs_nothing);
	RUN(one_or_all);
	RUN(the_dead_cost_a_needless_call);
	RUN(no_wake_up_gets_lost);
	return 0;
}
