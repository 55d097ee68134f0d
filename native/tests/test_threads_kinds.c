/* Latch, once, barrier and condition between threads, for ThreadSanitizer: what one does before, others read after, and
 * it is plain data (party.h).
 */
#include <errno.h>
#include <stddef.h>

#include "ipckit/barrier.h"
#include "ipckit/condition.h"
#include "ipckit/latch.h"
#include "ipckit/once.h"
#include "party.h"

#define MEETINGS (ROUNDS / 10)
#define SPIN(round) ((round) % 2 ? IPK_SPIN_DEFAULT_NS : 0)

static uint64_t done[PARTIES]; /* each party's, plain */
static uint64_t common;

static void attach_all(struct party *parties, uint32_t kind, int64_t spin_ns)
{
	for (int i = 0; i < PARTIES; i++)
		attach(&parties[i], kind, spin_ns);
	memset(done, 0, sizeof(done));
	common = 0;
}

static void drop_all(struct party *parties)
{
	for (int i = 0; i < PARTIES; i++)
		depart(&parties[i]);
	close_home();
}

static struct party *first; /* of the test's parties */

static int number_of(const struct party *party)
{
	return (int)(party - first);
}

static void format_latch(void *place)
{
	ipk_latch_format(place, PARTIES);
}

static void *count_and_wait(void *argument)
{
	struct party *party = argument;
	int rc;

	done[number_of(party)] = 1;
	ipk_latch_count_down(&party->view, 1);
	while ((rc = ipk_latch_wait(&party->view, IPK_NEVER)) == -EAGAIN)
		continue;
	CHECK_EQ(rc, 0);
	for (int i = 0; i < PARTIES; i++)
		CHECK_EQ(done[i], 1);
	return NULL;
}

static void *look_at_the_count(void *argument)
{
	struct party *party = argument;

	done[number_of(party)] = 1;
	if (ipk_latch_count_down(&party->view, 1) != 0)
		while (ipk_latch_count(&party->view))
			sched_yield();
	for (int i = 0; i < PARTIES; i++)
		CHECK_EQ(done[i], 1);
	return NULL;
}

static void a_latch_orders_what_was_done_before(void)
{
	for (int round = 0; round < MEETINGS; round++) {
		struct party parties[PARTIES];

		make_object(IPK_SYNC_LATCH, 0, 0, format_latch);
		first = parties;
		attach_all(parties, IPK_SYNC_LATCH, SPIN(round / 2));
		run_all(round % 2 ? count_and_wait : look_at_the_count, parties, sizeof(parties[0]), PARTIES);
		drop_all(parties);
	}
}

/* The first gives up once, and the second dies at it once; whoever runs it then completes it. */
static void *run_once(void *argument)
{
	struct party *party = argument;
	int tries = 0;
	int rc;

	while ((rc = tries % 2 ? ipk_once_try(&party->view) : ipk_once_recover(&party->view)) != -EALREADY) {
		if (rc == -EAGAIN && tries++ > 100)
			rc = ipk_once_wait(&party->view, ipk_monotonic_ns() + 1000000);
		if (rc == -EAGAIN || rc == -ETIMEDOUT) {
			sched_yield();
			continue;
		}
		if (rc == -EALREADY)
			break;
		CHECK_EQ(rc, 0);
		after_death();
		common++;
		if (number_of(party) == 0 && !done[0]) {
			done[0] = 1;
			CHECK_EQ(ipk_once_abandon(&party->view), 0);
		} else if (number_of(party) == 1 && !done[1]) {
			done[1] = 1;
			die(party);
			attach(party, IPK_SYNC_ONCE, 0);
		} else {
			common += 100;
			CHECK_EQ(ipk_once_complete(&party->view), 0);
		}
	}
	while (!ipk_once_done(&party->view))
		sched_yield();
	CHECK_RANGE(common, 101, 103);
	return NULL;
}

static void what_is_done_once_is_seen_by_all(void)
{
	for (int round = 0; round < MEETINGS; round++) {
		struct party parties[PARTIES];

		make_object(IPK_SYNC_ONCE, 0, 0, NULL);
		first = parties;
		attach_all(parties, IPK_SYNC_ONCE, SPIN(round));
		run_all(run_once, parties, sizeof(parties[0]), PARTIES);
		drop_all(parties);
	}
}

static int meet(struct ipk_sync *view, int acts)
{
	struct ipk_barrier_wait wait = {.acts = (uint32_t)acts};
	int rc = ipk_barrier_arrive(view, &wait);

	if (rc == 2) {
		for (int i = 0; i < PARTIES; i++)
			CHECK_EQ(done[i], common + 1);
		common++;
		rc = ipk_barrier_release(view, &wait);
	}
	if (rc == 0)
		rc = -EAGAIN;
	while (rc == -EAGAIN || rc == 2) {
		if (rc == 2) {
			common++;
			rc = ipk_barrier_release(view, &wait);
		} else {
			rc = ipk_barrier_wait(view, &wait, IPK_NEVER);
		}
	}
	return rc;
}

static void *meet_again_and_again(void *argument)
{
	struct party *party = argument;
	int me = number_of(party);

	for (uint64_t i = 1; i <= MEETINGS; i++) {
		done[me] = i;
		CHECK_RANGE(meet(&party->view, 1), 0, 1);
		CHECK_EQ(common, i);
		for (int k = 0; k < PARTIES; k++)
			CHECK_EQ(done[k], i);
		CHECK_RANGE(meet(&party->view, 0), 0, 1);
	}
	return NULL;
}

static void a_barrier_orders_what_was_done_before(void)
{
	for (int round = 0; round < 2; round++) {
		struct party parties[PARTIES];

		make_object(IPK_SYNC_BARRIER, 0, PARTIES, NULL);
		first = parties;
		attach_all(parties, IPK_SYNC_BARRIER, SPIN(round));
		run_all(meet_again_and_again, parties, sizeof(parties[0]), PARTIES);
		drop_all(parties);
	}
}

static struct ipk_sync *mutex_of(struct party *party, struct ipk_sync *mutex)
{
	memset(mutex, 0, sizeof(*mutex));
	CHECK_EQ(ipk_sync_attach(mutex, (char *)ipk_home_place(&home) + IPK_CONDITION_MUTEX, IPK_MUTEX_SIZE, &party->member,
				 IPK_SYNC_MUTEX), 0);
	return mutex;
}

static void acquire(struct ipk_sync *mutex)
{
	int rc = ipk_mutex_try(mutex);

	while (rc == -EAGAIN)
		rc = ipk_mutex_wait(mutex, IPK_NEVER);
	CHECK_EQ(rc, 0);
}

/* The parties go one after the other: whose turn it is, `common` says. */
static void *take_turns(void *argument)
{
	struct party *party = argument;
	uint64_t me = (uint64_t)number_of(party);
	struct ipk_sync mutex;

	mutex_of(party, &mutex);
	acquire(&mutex);
	for (int i = 0; i < MEETINGS; i++) {
		while (common % PARTIES != me) {
			struct ipk_condition_wait wait = {0};
			int rc = ipk_condition_begin(&party->view, &mutex, &wait);

			CHECK_EQ(rc, 0);
			while ((rc = ipk_condition_wait(&party->view, &mutex, &wait, IPK_NEVER)) == -EAGAIN)
				continue;
			CHECK_EQ(rc, 0);
		}
		common++;
		CHECK(ipk_condition_notify(&party->view, &mutex, i % 2 ? PARTIES : PARTIES - 1) >= 0);
	}
	CHECK_EQ(ipk_mutex_release(&mutex), 0);
	return NULL;
}

static void a_condition_orders_the_turns(void)
{
	for (int round = 0; round < 2; round++) {
		struct party parties[PARTIES];
		uint32_t size = (uint32_t)ipk_sync_size(IPK_SYNC_CONDITION, PARTIES);

		open_home();
		CHECK_EQ(ipk_sync_begin(ipk_home_place(&home), ipk_home_member(&home), size), 0);
		CHECK_EQ(ipk_condition_format(ipk_home_place(&home), ipk_home_member(&home), NULL, 0), 0);
		CHECK_EQ(ipk_sync_publish(ipk_home_place(&home), ipk_home_member(&home), IPK_SYNC_CONDITION, 0, PARTIES, size), 0);
		first = parties;
		attach_all(parties, IPK_SYNC_CONDITION, SPIN(round));
		run_all(take_turns, parties, sizeof(parties[0]), PARTIES);
		CHECK_EQ(common, PARTIES * MEETINGS);
		drop_all(parties);
	}
}

int main(void)
{
	RUN(a_latch_orders_what_was_done_before);
	RUN(what_is_done_once_is_seen_by_all);
	RUN(a_barrier_orders_what_was_done_before);
	RUN(a_condition_orders_the_turns);
	return 0;
}
