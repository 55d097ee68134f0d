/* roster.h: entries are claimed, given up and taken from the dead; how the last of a role went; all bytes hostile. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "ipckit/home.h"
#include "ipckit/roster.h"
#include "support.h"

#define COUNT 3
#define ROOM 8192

struct view {
	struct ipk_home home;
	struct ipk_roster roster;
};

static struct view mine;
static _Atomic uint32_t writer; /* thread id of who claims as one; 0: it has done so */

static struct ipk_roster_shm *table(struct ipk_home *home)
{
	return (struct ipk_roster_shm *)(((uintptr_t)ipk_home_place(home) + IPK_LINE - 1) / IPK_LINE * IPK_LINE);
}

static void set_up(void)
{
	memset(&mine, 0, sizeof(mine));
	CHECK_EQ(ipk_home_create(&mine.home, NULL, ROOM, 0600), 0);
	CHECK_EQ(ipk_home_publish(&mine.home, NULL), 0);
	ipk_roster_init(&mine.roster, table(&mine.home), COUNT, ipk_home_member(&mine.home));
}

static void attach(struct view *view)
{
	memset(view, 0, sizeof(*view));
	CHECK_EQ(ipk_home_attach(&view->home, dup(ipk_home_fd(&mine.home))), 0);
	ipk_roster_init(&view->roster, table(&view->home), COUNT, ipk_home_member(&view->home));
}

static int claim(struct view *view, uint32_t roles)
{
	struct ipk_roster_entry_shm *entry;

	return ipk_roster_claim(&view->roster, roles, 7, &entry);
}

static void claim_and_stay(void *roles)
{
	static struct view view;

	attach(&view);
	CHECK_EQ(claim(&view, *(uint32_t *)roles), 0);
	stay();
}

static pid_t claimant(uint32_t roles)
{
	static uint32_t given;
	pid_t pid;

	given = roles;
	pid = start(claim_and_stay, &given);
	wait_staying(pid);
	return pid;
}

static void roles_come_and_go(void)
{
	struct view other;
	struct ipk_roster_entry_shm *entry;

	set_up();
	attach(&other);
	CHECK_EQ(ipk_roster_end(&mine.roster, IPK_ROSTER_PRODUCER), IPK_ROSTER_NOBODY_YET);
	CHECK_EQ(claim(&mine, IPK_ROSTER_PRODUCER), 0);
	CHECK_EQ(claim(&mine, IPK_ROSTER_CONSUMER), 0);
	CHECK_EQ(claim(&other, IPK_ROSTER_PRODUCER), 0);
	entry = ipk_roster_own(&mine.roster, IPK_ROSTER_ROLES);
	CHECK(entry && ipk_roster_entry(&mine.roster, 0) == entry);
	CHECK_EQ(atomic_load(&entry->cursor), 7);
	CHECK_EQ(ipk_roster_used(&mine.roster), 2);
	CHECK_EQ(ipk_roster_having(&mine.roster, IPK_ROSTER_PRODUCER), 2);
	CHECK_EQ(ipk_roster_bury(&other.roster, IPK_ROSTER_ROLES), 0);
	ipk_roster_add(entry, IPK_ROSTER_SENT, 5);
	CHECK_EQ(ipk_roster_leave(&mine.roster, IPK_ROSTER_PRODUCER), IPK_ROSTER_PRODUCER);
	CHECK_EQ(ipk_roster_leave(&mine.roster, IPK_ROSTER_PRODUCER), 0);
	CHECK(ipk_roster_own(&mine.roster, IPK_ROSTER_CONSUMER) == entry);
	CHECK(ipk_roster_own(&mine.roster, IPK_ROSTER_PRODUCER) == NULL);
	CHECK_EQ(ipk_roster_end(&mine.roster, IPK_ROSTER_PRODUCER), IPK_ROSTER_OPEN);
	CHECK_EQ(ipk_roster_leave(&mine.roster, IPK_ROSTER_CONSUMER), IPK_ROSTER_CONSUMER);
	CHECK(ipk_roster_own(&mine.roster, 0) == NULL);
	CHECK_EQ(ipk_roster_end(&other.roster, IPK_ROSTER_CONSUMER), IPK_ROSTER_CLOSED);
	CHECK_EQ(ipk_roster_leave(&other.roster, IPK_ROSTER_ROLES), IPK_ROSTER_PRODUCER);
	CHECK_EQ(ipk_roster_end(&other.roster, IPK_ROSTER_PRODUCER), IPK_ROSTER_CLOSED);
	CHECK_EQ(ipk_roster_total(&other.roster, IPK_ROSTER_SENT), 5);
	ipk_home_close(&other.home);
	ipk_home_close(&mine.home);
}

static void the_dead_are_buried_once(void)
{
	struct ipk_roster_info info;
	pid_t pid;

	set_up();
	pid = claimant(IPK_ROSTER_PRODUCER);
	CHECK_EQ(ipk_roster_get(&mine.roster, 0, &info), 1);
	CHECK(info.lives && info.pid == (uint32_t)pid && info.roles == IPK_ROSTER_PRODUCER);
	CHECK_EQ(ipk_roster_get(&mine.roster, 1, &info), -ENOENT);
	CHECK_EQ(ipk_roster_bury(&mine.roster, IPK_ROSTER_ROLES), 0);
	kill_child(pid);
	CHECK_EQ(ipk_roster_get(&mine.roster, 0, &info), 1);
	CHECK(!info.lives);
	CHECK_EQ(ipk_roster_end(&mine.roster, IPK_ROSTER_PRODUCER), IPK_ROSTER_OPEN); /* nobody has asked the kernel yet */
	CHECK_EQ(ipk_roster_bury(&mine.roster, IPK_ROSTER_CONSUMER), 0);
	CHECK_EQ(ipk_roster_bury(&mine.roster, IPK_ROSTER_PRODUCER), 1);
	CHECK_EQ(ipk_roster_bury(&mine.roster, IPK_ROSTER_PRODUCER), 0);
	CHECK_EQ(ipk_roster_end(&mine.roster, IPK_ROSTER_PRODUCER), IPK_ROSTER_DIED);
	CHECK_EQ(ipk_roster_end(&mine.roster, IPK_ROSTER_CONSUMER), IPK_ROSTER_NOBODY_YET);
	CHECK_EQ(claim(&mine, IPK_ROSTER_PRODUCER), 0);
	CHECK_EQ(ipk_roster_end(&mine.roster, IPK_ROSTER_PRODUCER), IPK_ROSTER_OPEN);
	CHECK_EQ(ipk_roster_leave(&mine.roster, IPK_ROSTER_ROLES), IPK_ROSTER_PRODUCER);
	CHECK_EQ(ipk_roster_end(&mine.roster, IPK_ROSTER_PRODUCER), IPK_ROSTER_CLOSED);
	ipk_home_close(&mine.home);
}

static void entries_of_the_dead_are_used_again(void)
{
	pid_t pids[COUNT];

	set_up();
	for (int i = 0; i < COUNT; i++)
		pids[i] = claimant(IPK_ROSTER_CONSUMER);
	CHECK_EQ(claim(&mine, IPK_ROSTER_PRODUCER), -ENOSPC);
	kill_child(pids[1]);
	CHECK_EQ(claim(&mine, IPK_ROSTER_PRODUCER), 0);
	CHECK(ipk_roster_own(&mine.roster, 0) == ipk_roster_entry(&mine.roster, 1));
	CHECK_EQ(ipk_roster_having(&mine.roster, IPK_ROSTER_CONSUMER), 2);
	kill_child(pids[0]);
	kill_child(pids[2]);
	CHECK_EQ(ipk_roster_bury(&mine.roster, IPK_ROSTER_CONSUMER), 2);
	CHECK_EQ(ipk_roster_end(&mine.roster, IPK_ROSTER_CONSUMER), IPK_ROSTER_DIED);
	ipk_home_close(&mine.home);
}

static void a_forked_child_has_an_entry_of_its_own(void)
{
	pid_t pid;

	set_up();
	CHECK_EQ(claim(&mine, IPK_ROSTER_PRODUCER), 0);
	pid = fork();
	if (pid == 0) {
		CHECK(ipk_roster_own(&mine.roster, 0) == NULL);
		CHECK_EQ(ipk_roster_leave(&mine.roster, IPK_ROSTER_ROLES), 0);
		CHECK_EQ(claim(&mine, IPK_ROSTER_PRODUCER), 0);
		CHECK_EQ(ipk_roster_having(&mine.roster, IPK_ROSTER_PRODUCER), 2);
		_exit(0);
	}
	CHECK_EQ(reap(pid), 0);
	CHECK(ipk_roster_own(&mine.roster, IPK_ROSTER_PRODUCER) != NULL);
	CHECK_EQ(ipk_roster_bury(&mine.roster, IPK_ROSTER_ROLES), 1);
	CHECK_EQ(ipk_roster_having(&mine.roster, IPK_ROSTER_PRODUCER), 1);
	ipk_home_close(&mine.home);
}

static void *claim_as_reader(void *unused)
{
	(void)unused;
	return (void *)(intptr_t)claim(&mine, IPK_ROSTER_CONSUMER);
}

static void *claim_as_writer(void *unused)
{
	void *rc;

	(void)unused;
	atomic_store(&writer, (uint32_t)gettid());
	rc = (void *)(intptr_t)claim(&mine, IPK_ROSTER_PRODUCER);
	atomic_store(&writer, 0);
	return rc;
}

/* Two threads that claim at the same time, after the view has given up its entry, get one entry. */
static void threads_of_a_view_share_its_entry(void)
{
	pthread_t threads[2];
	void *rc;

	set_up();
	CHECK_EQ(claim(&mine, IPK_ROSTER_CONSUMER), 0);
	CHECK_EQ(ipk_roster_leave(&mine.roster, IPK_ROSTER_CONSUMER), IPK_ROSTER_CONSUMER);
	stop_writer(ipk_roster_entry(&mine.roster, 0)); /* the first of them has seen that there is none, and takes one */
	CHECK_EQ(pthread_create(&threads[0], NULL, claim_as_reader, NULL), 0);
	wait_stopped_there();
	atomic_store(&writer, UINT32_MAX);
	CHECK_EQ(pthread_create(&threads[1], NULL, claim_as_writer, NULL), 0);
	while (atomic_load(&writer) == UINT32_MAX)
		sched_yield();
	while (atomic_load(&writer) != 0 && !is_blocked((pid_t)atomic_load(&writer), SYS_futex, ANY_ADDRESS))
		sched_yield();
	let_go_on();
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(pthread_join(threads[i], &rc), 0);
		CHECK_EQ((intptr_t)rc, 0);
	}
	CHECK(ipk_roster_own(&mine.roster, IPK_ROSTER_ROLES) == ipk_roster_entry(&mine.roster, 0));
	CHECK_EQ(atomic_load(&ipk_roster_entry(&mine.roster, 0)->cursor), 7);
	CHECK_EQ(ipk_roster_leave(&mine.roster, IPK_ROSTER_ROLES), IPK_ROSTER_ROLES);
	CHECK_EQ(ipk_roster_having(&mine.roster, IPK_ROSTER_PRODUCER), 0);
	CHECK_EQ(ipk_roster_having(&mine.roster, IPK_ROSTER_CONSUMER), 0);
	ipk_home_close(&mine.home);
}

static void garbage_stays_within_the_table(void)
{
	uint64_t seed = random_seed();
	struct ipk_roster_info info;

	set_up();
	for (int round = 0; round < 3000; round++) {
		uint64_t *words = (uint64_t *)(void *)table(&mine.home);

		words[random_below(&seed, ipk_roster_size(COUNT) / 8)] =
			random_below(&seed, 2) ? random_next(&seed) : random_below(&seed, 9);
		claim(&mine, (uint32_t)random_below(&seed, 4));
		ipk_roster_bury(&mine.roster, IPK_ROSTER_ROLES);
		ipk_roster_get(&mine.roster, (uint32_t)random_below(&seed, COUNT + 2), &info);
		ipk_roster_alive(&mine.roster, (uint32_t)random_next(&seed));
		CHECK_RANGE(ipk_roster_having(&mine.roster, IPK_ROSTER_PRODUCER), 0, COUNT);
		CHECK_RANGE(ipk_roster_end(&mine.roster, IPK_ROSTER_CONSUMER), 0, IPK_ROSTER_DIED);
		if (round % 3 == 0)
			ipk_roster_leave(&mine.roster, IPK_ROSTER_ROLES);
	}
	CHECK_EQ(ipk_roster_size(0), 0);
	CHECK_EQ(ipk_roster_size(IPK_ROSTER_MAX + 1), 0);
	ipk_home_close(&mine.home);
}

int main(void)
{
	RUN(roles_come_and_go);
	RUN(the_dead_are_buried_once);
	RUN(entries_of_the_dead_are_used_again);
	RUN(a_forked_child_has_an_entry_of_its_own);
	RUN(threads_of_a_view_share_its_entry);
	RUN(garbage_stays_within_the_table);
	return 0;
}
