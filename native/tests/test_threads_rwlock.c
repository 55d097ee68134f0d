/* The lock for readers and writers between threads, for ThreadSanitizer: what it protects is plain data, so that an order
 * that is missing is a race (party.h).
 */
#include <errno.h>

#include "ipckit/rwlock.h"
#include "party.h"

#define READERS 8

static const int64_t budgets[] = {0, IPK_SPIN_DEFAULT_NS}; /* asleep most of the time; awake most of the time */

static struct {
	uint64_t count;
	uint64_t copies[6];
} guarded; /* by the lock */

static void look(void)
{
	for (int i = 0; i < 6; i++)
		CHECK_EQ(guarded.copies[i], guarded.count);
}

static void change(void)
{
	look();
	guarded.count++;
	for (int i = 0; i < 6; i++)
		guarded.copies[i] = guarded.count;
}

static void begin(struct party *parties, int64_t spin_ns)
{
	memset(&guarded, 0, sizeof(guarded));
	make_object(IPK_SYNC_RWLOCK, 0, READERS, NULL);
	for (int i = 0; i < PARTIES; i++)
		attach(&parties[i], IPK_SYNC_RWLOCK, spin_ns);
}

static void finish(struct party *parties)
{
	for (int i = 0; i < PARTIES; i++)
		depart(&parties[i]);
	close_home();
}

static void to_read(struct ipk_sync *view)
{
	uint32_t taken;
	int rc = ipk_rwlock_read_try(view);

	while (rc == -EAGAIN)
		rc = ipk_rwlock_read_wait(view, IPK_NEVER, &taken);
	CHECK_EQ(rc, 0);
}

static void to_write(struct ipk_sync *view)
{
	int rc = ipk_rwlock_write_try(view);

	while (rc == -EAGAIN)
		rc = ipk_rwlock_write_wait(view, IPK_NEVER);
	CHECK_EQ(rc, 0);
}

static void *take_turns(void *party)
{
	struct ipk_sync *view = &((struct party *)party)->view;

	for (int i = 0; i < ROUNDS; i++) {
		switch (i % 4) {
		case 0:
			to_write(view);
			change();
			CHECK_EQ(ipk_rwlock_write_release(view), 0);
			break;
		case 1:
			to_write(view);
			change();
			CHECK_EQ(ipk_rwlock_downgrade(view), 0);
			look();
			CHECK_EQ(ipk_rwlock_read_release(view), 0);
			break;
		default:
			to_read(view);
			look();
			CHECK_EQ(ipk_rwlock_read_release(view), 0);
		}
	}
	return NULL;
}

static void readers_see_what_writers_wrote(void)
{
	for (size_t i = 0; i < 2; i++) {
		struct party parties[PARTIES];

		begin(parties, budgets[i]);
		run_all(take_turns, parties, sizeof(parties[0]), PARTIES);
		CHECK_EQ(guarded.count, PARTIES * ROUNDS / 2);
		finish(parties);
	}
}

/* One view, whose first read all its threads begin at the same time. */
static void *read_through_one(void *party)
{
	struct ipk_sync *view = &((struct party *)party)->view;

	line_up();
	to_read(view);
	look();
	CHECK_EQ(ipk_rwlock_read_release(view), 0);
	return NULL;
}

static void threads_of_one_view_claim_one_entry(void)
{
	for (int round = 0; round < ROUNDS / 20; round++) {
		struct party parties[PARTIES];

		begin(parties, 0);
		atomic_store(&starting, PARTIES);
		run_all(read_through_one, parties, 0, PARTIES);
		CHECK_EQ(ipk_holders_sum(&parties[0].view), 0);
		for (uint32_t i = 0, claimed = 0; i < READERS; i++) {
			claimed += atomic_load(&ipk_holders_entry(&parties[0].view, i)->word) != 0;
			CHECK(claimed <= 1);
		}
		finish(parties);
	}
}

/* One member, two views: this one is closed again and again while its thread acquires and releases ... */
static _Atomic int closing;

/* Returns 0, or -EOWNERDEAD. */
static int to_write_what_may_be_told(struct ipk_sync *view)
{
	int rc = ipk_rwlock_write_try(view);

	while (rc == -EAGAIN)
		rc = ipk_rwlock_write_wait(view, IPK_NEVER);
	CHECK(rc == 0 || rc == -EOWNERDEAD);
	return rc;
}

static void write_what_is_closed(struct ipk_sync *view)
{
	for (int i = 0; i < ROUNDS; i++) {
		int rc;

		if (to_write_what_may_be_told(view) == -EOWNERDEAD)
			ipk_rwlock_consistent(view); /* -EPERM: closed meanwhile */
		rc = ipk_rwlock_write_release(view);
		CHECK(rc == 0 || rc == -EPERM);
	}
	/* relaxed: the others need not know at once */
	atomic_store_explicit(&closing, 0, memory_order_relaxed);
}

static void *close_again_and_again(void *view)
{
	while (atomic_load_explicit(&closing, memory_order_relaxed)) { /* relaxed: as above */
		ipk_rwlock_abandon(view);
		sched_yield();
	}
	return NULL;
}

/* ... and whoever writes through the other one is alone until it says that it has done. */
static void *write_through_the_other(void *view)
{
	struct ipk_rwlock_shm *rw = (struct ipk_rwlock_shm *)(void *)ipk_home_place(&home);
	const struct ipk_sync *other = view;

	while (atomic_load_explicit(&closing, memory_order_relaxed)) { /* relaxed: as above */
		if (to_write_what_may_be_told(view) == -EOWNERDEAD)
			CHECK_EQ(ipk_rwlock_consistent(view), 0);
		for (int i = 0; i < 20; i++) {
			CHECK_EQ(atomic_load(&rw->gate) & IPK_MEMBER_ID_MASK, ipk_member_id(other->member));
			CHECK_EQ(atomic_load(&rw->changing), 1);
		}
		CHECK_EQ(ipk_rwlock_write_release(view), 0);
	}
	return NULL;
}

static void a_view_that_is_closed_takes_nothing_from_another(void)
{
	struct ipk_sync other;
	struct party party;
	pthread_t closer, writer;

	make_object(IPK_SYNC_RWLOCK, 0, READERS, NULL);
	attach(&party, IPK_SYNC_RWLOCK, 0);
	memset(&other, 0, sizeof(other));
	CHECK_EQ(ipk_sync_attach(&other, ipk_home_place(&home), ROOM, &party.member, IPK_SYNC_RWLOCK), 0);
	atomic_store(&closing, 1);
	closer = run(close_again_and_again, &party.view);
	writer = run(write_through_the_other, &other);
	write_what_is_closed(&party.view);
	CHECK_EQ(pthread_join(closer, NULL), 0);
	CHECK_EQ(pthread_join(writer, NULL), 0);
	depart(&party);
	close_home();
}

int main(void)
{
	RUN(readers_see_what_writers_wrote);
	RUN(threads_of_one_view_claim_one_entry);
	RUN(a_view_that_is_closed_takes_nothing_from_another);
	return 0;
}
