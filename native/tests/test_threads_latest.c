/* The newest value between threads, for ThreadSanitizer, which sees no processes.
 *
 * The data are atomic words, so the sanitizer sees no race there, whatever the orders; that a copy is whole shows in its
 * content, and in the model. What it does see are the plain fields of a view, and what a user publishes beside a value.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "latest_values.h"
#include "support.h"

#ifdef __SANITIZE_THREAD__
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef SANITIZED
#define VALUES 20000
#else
#define VALUES 100000
#endif
#define READERS 3
#define LENGTH 200

static struct ipk_latest latest;

/* Plain memory that value number n publishes: all up to n are written. */
static uint64_t beside[VALUES + 1];

static void make(uint64_t buffers)
{
	memset(&latest, 0, sizeof(latest));
	memset(beside, 0, sizeof(beside));
	CHECK_EQ(ipk_latest_create(&latest, NULL, LENGTH, buffers, 0600), 0);
}

static void drop(void)
{
	let_go_of(&latest);
}

static pthread_t run(void *(*function)(void *), void *argument)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, function, argument), 0);
	return thread;
}

static void join(pthread_t thread)
{
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

/* As another process has it: a view with a claim and a memory of its own, over the same mapping. */
static void make_alias(struct ipk_latest *alias)
{
	*alias = latest;
	alias->segment.life_fd = -1;
	alias->segment.claimed = 0;
	alias->held = 0;
	atomic_store(&alias->busy, 0);
	atomic_store(&alias->seen, 0);
}

static void *receive_all(void *view)
{
	for (uint64_t last = 0; last < VALUES;) {
		int64_t got = receive_checked(view, IPK_NEVER);

		if (got == -EOWNERDEAD)
			continue; /* until a successor comes */
		if (got == -EPIPE)
			break;
		CHECK(got > (int64_t)last);
		last = (uint64_t)got;
		CHECK_EQ(beside[last], last);
	}
	return NULL;
}

static void write_all(void)
{
	for (uint64_t n = 1; n <= VALUES; n++) {
		beside[n] = n;
		CHECK_EQ(send_next(&latest, n % LENGTH), 0);
	}
}

/* Readers in turn asleep and awake, each with a view of its own. */
static void readers_with_views(void)
{
	struct ipk_latest views[READERS];
	pthread_t threads[READERS];

	for (uint64_t buffers = 2; buffers <= 4; buffers += 2) {
		make(buffers);
		for (int i = 0; i < READERS; i++) {
			make_alias(&views[i]);
			ipk_latest_set_spin(&views[i], i == 0 ? 0 : IPK_SPIN_DEFAULT_NS);
			threads[i] = run(receive_all, &views[i]);
		}
		write_all();
		for (int i = 0; i < READERS; i++)
			join(threads[i]);
		drop();
	}
}

static _Atomic uint64_t returned[VALUES + 1];

static void *receive_shared(void *unused)
{
	(void)unused;
	for (;;) {
		int64_t got = receive_checked(&latest, IPK_NEVER);

		if (got == -EBADF || got == -EPIPE)
			return NULL;
		CHECK(got > 0);
		CHECK_EQ(atomic_fetch_add(&returned[got], 1), 0); /* by one of them only */
		CHECK_EQ(beside[got], got);
	}
}

/* Threads of one view: no value is returned twice; close ends those that wait. */
static void readers_of_one_view(void)
{
	pthread_t threads[READERS];

	make(4);
	for (int i = 0; i < READERS; i++)
		threads[i] = run(receive_shared, NULL);
	write_all();
	ipk_latest_close(&latest);
	for (int i = 0; i < READERS; i++)
		join(threads[i]);
	ipk_latest_unmap(&latest);
}

static _Atomic uint32_t refused;

static void *write_in_rivalry(void *unused)
{
	unsigned char value[LENGTH];

	(void)unused;
	for (uint64_t sent = 0; sent < VALUES / 10;) {
		int64_t at = ipk_latest_reserve(&latest, LENGTH);

		if (at == -EBUSY) {
			atomic_fetch_add(&refused, 1);
			sched_yield();
			continue;
		}
		CHECK(at >= 0);
		/* plain fields of the view, which only whoever is inside touches */
		compose(value, latest.own + 1, LENGTH);
		for (int i = 0; i < LENGTH; i += 8) {
			uint64_t word;

			memcpy(&word, value + i, 8);
			/* relaxed: what a plain store is to the machine */
			atomic_store_explicit((_Atomic uint64_t *)(void *)(latest.buffers + at + i), word, memory_order_relaxed);
		}
		CHECK_EQ(ipk_latest_commit(&latest, LENGTH), 0);
		sent++;
	}
	return NULL;
}

static void *read_until_end(void *view)
{
	while (receive_checked(view, IPK_NEVER) != -EPIPE)
		;
	return NULL;
}

static void two_threads_write(void)
{
	struct ipk_latest alias;
	pthread_t first, reader;

	make(3);
	make_alias(&alias);
	reader = run(read_until_end, &alias);
	first = run(write_in_rivalry, NULL);
	write_in_rivalry(NULL);
	join(first);
	CHECK_EQ(latest.own, 2 * (VALUES / 10));
	ipk_latest_close(&latest);
	join(reader);
	ipk_latest_unmap(&latest);
}

static void *write_until_closed(void *unused)
{
	int rc;

	(void)unused;
	while ((rc = send_next(&latest, LENGTH)) == 0 || rc == -EBUSY)
		;
	CHECK_EQ(rc, -EBADF);
	return NULL;
}

/* Close waits for the call that is inside, and takes the role from it; or unmap does, if that call is kept from running. */
static void close_under_a_writer(void)
{
	struct ipk_latest other;

	for (int round = 0; round < 200; round++) {
		pthread_t thread;

		make(2);
		attach_another(&other, &latest);
		thread = run(write_until_closed, NULL);
		while (atomic_load(&latest.shm->index.sequence) < 3)
			sched_yield();
		ipk_latest_close(&latest);
		join(thread);
		ipk_latest_unmap(&latest);
		CHECK_EQ(atomic_load(&other.shm->role.state), IPK_LATEST_CLOSED);
		let_go_of(&other);
	}
}

/* Roles change hands by close: what the predecessor did is seen by the successor, and by readers of the successor's value. */
static void the_role_changes_hands(void)
{
	struct ipk_latest alias, reader;
	pthread_t thread;

	make(2);
	make_alias(&reader);
	thread = run(receive_all, &reader);
	for (uint64_t n = 1; n <= VALUES / 100; n++) {
		make_alias(&alias);
		beside[n] = n;
		CHECK_EQ(send_next(&alias, LENGTH), 0);
		atomic_store(&alias.shm->role.state, IPK_LATEST_OPEN); /* killed rather than closed: the reader goes on */
		CHECK_EQ(close(alias.segment.life_fd), 0);
	}
	make_alias(&alias);
	beside[VALUES / 100 + 1] = VALUES / 100 + 1;
	CHECK_EQ(send_next(&alias, 0), 0);
	ipk_latest_close(&alias);
	close(alias.segment.life_fd);
	join(thread);
	drop();
}

int main(void)
{
	RUN(readers_with_views);
	RUN(readers_of_one_view);
	RUN(two_threads_write);
	RUN(close_under_a_writer);
	RUN(the_role_changes_hands);
	return 0;
}
