/* The ring between threads, for ThreadSanitizer, which sees no processes.
 *
 * A "process" here is a thread with an alias: a copy of the view with claims and indices of its own, over the same
 * mapping. (With a second mapping the two sides would meet at different addresses, where the sanitizer cannot see
 * that they meet. The mirrored half of the data remains such a place: what wraps is checked by its content alone.)
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "ipckit/spsc.h"
#include "support.h"

#define CAPACITY 4096
#ifdef __SANITIZE_THREAD__
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef SANITIZED
#define MESSAGES 40000
#else
#define MESSAGES 200000
#endif
#define WORDS 24

static struct ipk_spsc ring;

static void make(void)
{
	memset(&ring, 0, sizeof(ring));
	CHECK_EQ(ipk_spsc_create(&ring, NULL, CAPACITY, 0, 0600), 0);
}

static void drop(void)
{
	ipk_spsc_close(&ring);
	ipk_spsc_unmap(&ring);
}

static void make_alias(struct ipk_spsc *alias)
{
	*alias = ring;
	memset(alias->side, 0, sizeof(alias->side));
	alias->segment.life_fd = -1;
	alias->segment.claimed = 0;
}

/* As a kill leaves it: the lock is dropped, everything in the segment stays as it is. */
static void kill_alias(struct ipk_spsc *alias)
{
	if (alias->segment.life_fd >= 0)
		close(alias->segment.life_fd);
}

/* Message `number` is 1 to WORDS words, which count on from a number that begins with its own. */
static uint64_t words_of(uint64_t number)
{
	return 1 + number * 7 % WORDS;
}

static int send_number(struct ipk_spsc *view, uint64_t number)
{
	uint64_t message[WORDS];

	for (uint64_t i = 0; i < words_of(number); i++)
		message[i] = number << 8 | i;
	return ipk_spsc_try_send(view, message, 8 * words_of(number));
}

static uint64_t check_loan(struct ipk_spsc *view, uint64_t begin, uint64_t length)
{
	uint64_t message[WORDS];

	CHECK(length >= 8 && length <= sizeof(message));
	memcpy(message, (unsigned char *)ipk_spsc_data(view) + begin, length);
	CHECK_EQ(length, 8 * words_of(message[0] >> 8));
	for (uint64_t i = 0; i < length / 8; i++)
		CHECK_EQ(message[i], message[0] | i);
	return message[0] >> 8;
}

/* Sends, or waits until it can. Returns 0, or why not. */
static int send_patiently(struct ipk_spsc *view, uint64_t number)
{
	int rc;

	while ((rc = send_number(view, number)) == -EAGAIN) {
		rc = ipk_spsc_wait_room(view, 8 * words_of(number), IPK_NEVER);
		if (rc < 0 && rc != -EAGAIN)
			return rc;
	}
	return rc;
}

/* Receives up to `count`, the numbers in *numbers; waits until there is one. Returns how many, or why none. */
static int64_t receive_patiently(struct ipk_spsc *view, uint64_t *numbers, uint32_t count)
{
	uint64_t bounds[2 * 8];
	int64_t got;

	while ((got = ipk_spsc_try_receive_many(view, bounds, count)) == -EAGAIN) {
		int rc = ipk_spsc_wait_message(view, IPK_NEVER);

		if (rc < 0 && rc != -EAGAIN)
			return rc;
	}
	for (int64_t i = 0; i < got; i++)
		numbers[i] = check_loan(view, bounds[2 * i], bounds[2 * i + 1] - bounds[2 * i]);
	if (got > 0)
		ipk_spsc_release(view);
	return got;
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

static void *produce_all(void *view)
{
	for (uint64_t i = 0; i < MESSAGES; i++)
		CHECK_EQ(send_patiently(view, i), 0);
	return NULL;
}

static void *consume_all(void *view)
{
	uint64_t numbers[8];

	for (uint64_t i = 0; i < MESSAGES;) {
		int64_t got = receive_patiently(view, numbers, 1 + (uint32_t)i % 8);

		CHECK(got > 0);
		for (int64_t k = 0; k < got; k++)
			CHECK_EQ(numbers[k], i++);
	}
	return NULL;
}

static void both_sides_of_one_view(void)
{
	const int64_t budgets[] = {0, IPK_SPIN_DEFAULT_NS}; /* asleep most of the time; awake most of the time */

	for (size_t i = 0; i < 2; i++) {
		pthread_t consumer;

		make();
		ipk_spsc_set_spin(&ring, budgets[i]);
		consumer = run(consume_all, &ring);
		produce_all(&ring);
		join(consumer);
		drop();
	}
}

static _Atomic uint32_t starting;

static void line_up(void)
{
	atomic_fetch_sub(&starting, 1);
	while (atomic_load(&starting) > 0)
		sched_yield();
}

static void *first_send(void *view)
{
	line_up();
	CHECK_EQ(send_number(view, 1), 0);
	return NULL;
}

static void *first_receive(void *view)
{
	int rc;

	line_up();
	do
		rc = ipk_spsc_wait_message(view, IPK_NEVER);
	while (rc == -EAGAIN);
	CHECK_EQ(rc, 0);
	return NULL;
}

static void both_roles_claimed_at_once(void)
{
	int descriptors = open_descriptors();

	for (int round = 0; round < 300; round++) {
		pthread_t other;

		make();
		atomic_store(&starting, 2);
		other = run(first_receive, &ring);
		first_send(&ring);
		join(other);
		CHECK_EQ(ring.segment.claimed, 3);
		CHECK_EQ(ipk_participant_alive(&ring.segment, IPK_SPSC_PRODUCER), 1);
		CHECK_EQ(ipk_participant_alive(&ring.segment, IPK_SPSC_CONSUMER), 1);
		drop();
	}
	CHECK_EQ(open_descriptors(), descriptors); /* the loser of a race would leave its own open */
}

#define RIVALS 2

struct rival {
	uint64_t base;
	uint64_t refused;
};

/* Numbers of rivals differ in the bit above all counts. */
#define RIVAL(n) ((uint64_t)(n) << 40)

static void *send_in_rivalry(void *argument)
{
	struct rival *rival = argument;
	uint64_t message;

	for (uint64_t i = 0; i < MESSAGES / RIVALS;) {
		int rc;

		message = rival->base | i;
		rc = ipk_spsc_try_send(&ring, &message, sizeof(message));
		if (rc == -EAGAIN)
			rc = ipk_spsc_wait_room(&ring, sizeof(message), IPK_NEVER) == -EBUSY ? -EBUSY : -EAGAIN;
		if (rc == 0)
			i++;
		else if (rc == -EBUSY)
			rival->refused++;
	}
	return NULL;
}

static void two_threads_send(void)
{
	struct rival rivals[RIVALS] = {{RIVAL(0), 0}, {RIVAL(1), 0}};
	uint64_t next[RIVALS] = {0};
	pthread_t threads[RIVALS];

	make();
	for (int i = 0; i < RIVALS; i++)
		threads[i] = run(send_in_rivalry, &rivals[i]);
	for (uint64_t left = MESSAGES / RIVALS * RIVALS; left > 0;) {
		int64_t lent = ipk_spsc_try_receive(&ring);
		uint64_t message;

		if (lent == -EAGAIN) {
			ipk_spsc_wait_message(&ring, IPK_NEVER);
			continue;
		}
		CHECK(lent >= 0);
		CHECK_EQ(lent & UINT32_MAX, sizeof(message));
		memcpy(&message, (unsigned char *)ipk_spsc_data(&ring) + (lent >> 32), sizeof(message));
		ipk_spsc_release(&ring);
		CHECK(message >> 40 < RIVALS);
		CHECK_EQ(message & (RIVAL(1) - 1), next[message >> 40]++);
		left--;
	}
	for (int i = 0; i < RIVALS; i++)
		join(threads[i]);
	CHECK_EQ(ipk_spsc_try_receive(&ring), -EAGAIN);
	drop();
}

static _Atomic uint8_t seen[MESSAGES];
static _Atomic uint64_t received;

static void *receive_in_rivalry(void *unused)
{
	(void)unused;
	while (atomic_load(&received) < MESSAGES) {
		int64_t lent = ipk_spsc_try_receive(&ring);

		if (lent < 0) {
			CHECK(lent == -EBUSY || lent == -EAGAIN);
			if (lent == -EAGAIN)
				ipk_spsc_wait_message(&ring, ipk_monotonic_ns() + 1000000);
			continue;
		}
		/* a rival that is refused must not have ended our loan */
		CHECK_EQ(atomic_fetch_add(&seen[check_loan(&ring, (uint64_t)lent >> 32, (uint64_t)lent & UINT32_MAX)], 1), 0);
		ipk_spsc_release(&ring);
		atomic_fetch_add(&received, 1);
	}
	return NULL;
}

static void two_threads_receive(void)
{
	pthread_t threads[RIVALS];

	make();
	for (int i = 0; i < RIVALS; i++)
		threads[i] = run(receive_in_rivalry, NULL);
	produce_all(&ring);
	for (int i = 0; i < RIVALS; i++)
		join(threads[i]);
	CHECK_EQ(atomic_load(&received), MESSAGES);
	CHECK_EQ(ipk_spsc_try_receive(&ring), -EAGAIN);
	drop();
}

#define TERM 50 /* messages until a holder is replaced */
#define TERMS (MESSAGES / TERM / 8)

static _Atomic uint32_t turn; /* whose term it is; relaxed, so that the ring alone orders predecessor and successor */

static void await_turn(uint32_t mine)
{
	while (atomic_load_explicit(&turn, memory_order_relaxed) != mine)
		sched_yield();
}

static void *consume_in_terms(void *parity)
{
	for (uint32_t term = (uint32_t)(uintptr_t)parity; term < TERMS; term += 2) {
		struct ipk_spsc alias;
		uint64_t number;

		await_turn(term);
		make_alias(&alias);
		for (uint64_t i = 0; i < TERM; i++) {
			CHECK_EQ(receive_patiently(&alias, &number, 1), 1);
			CHECK_EQ(number, (uint64_t)term * TERM + i);
		}
		kill_alias(&alias);
		atomic_store_explicit(&turn, term + 1, memory_order_relaxed);
	}
	return NULL;
}

static void *produce_in_terms(void *parity)
{
	for (uint32_t term = (uint32_t)(uintptr_t)parity; term < TERMS; term += 2) {
		struct ipk_spsc alias;

		await_turn(term);
		make_alias(&alias);
		for (uint64_t i = 0; i < TERM; i++)
			CHECK_EQ(send_patiently(&alias, (uint64_t)term * TERM + i), 0);
		kill_alias(&alias);
		atomic_store_explicit(&turn, term + 1, memory_order_relaxed);
	}
	return NULL;
}

/* One side changes hands again and again while the other goes on. */
static void successors(void *(*in_terms)(void *), int producers)
{
	struct ipk_spsc peer;
	pthread_t threads[2];
	uint64_t number;

	make();
	make_alias(&peer);
	ipk_spsc_set_spin(&peer, 0);
	atomic_store(&turn, 0);
	for (uintptr_t i = 0; i < 2; i++)
		threads[i] = run(in_terms, (void *)i);
	for (uint64_t i = 0; i < (uint64_t)TERMS * TERM; i++) {
		if (producers) {
			CHECK_EQ(receive_patiently(&peer, &number, 1), 1);
			CHECK_EQ(number, i);
		} else {
			CHECK_EQ(send_patiently(&peer, i), 0);
		}
	}
	join(threads[0]);
	join(threads[1]);
	kill_alias(&peer);
	drop();
}

static void consumers_succeed_each_other(void)
{
	successors(consume_in_terms, 0);
}

static void producers_succeed_each_other(void)
{
	successors(produce_in_terms, 1);
}

static void *consume_until_closed(void *view)
{
	uint64_t numbers[8];
	uint64_t expected = 0;
	int64_t got;

	while ((got = receive_patiently(view, numbers, 8)) > 0) {
		for (int64_t i = 0; i < got; i++)
			CHECK_EQ(numbers[i], expected++);
	}
	CHECK_EQ(got, -EPIPE);
	CHECK_EQ(expected, 100);
	return NULL;
}

static void close_is_seen_after_the_last_message(void)
{
	for (int round = 0; round < 100; round++) {
		struct ipk_spsc peer;
		pthread_t consumer;

		make();
		make_alias(&peer);
		consumer = run(consume_until_closed, &peer);
		for (uint64_t i = 0; i < 100; i++)
			CHECK_EQ(send_patiently(&ring, i), 0);
		ipk_spsc_close(&ring);
		join(consumer);
		kill_alias(&peer);
		ipk_spsc_unmap(&ring);
	}
}

static void *wait_until_closed(void *view)
{
	int rc;

	do
		rc = ipk_spsc_wait_message(view, IPK_NEVER);
	while (rc == -EAGAIN);
	CHECK_EQ(rc, -EBADF);
	return NULL;
}

static void close_ends_the_wait_of_another_thread(void)
{
	for (int round = 0; round < 20; round++) {
		pthread_t consumer;

		make();
		ipk_spsc_set_spin(&ring, 0);
		consumer = run(wait_until_closed, &ring);
		while (!atomic_load(&ring.shm->consumer_sleep.asleep))
			sched_yield();
		ipk_spsc_close(&ring);
		join(consumer);
		CHECK_EQ(atomic_load(&ring.shm->roles.state[IPK_SPSC_CONSUMER]), IPK_SPSC_CLOSED);
		ipk_spsc_unmap(&ring);
	}
}

static _Atomic uint32_t calls; /* relaxed, so that the ring alone orders the calls of one thread and the close of another */

static void *call_again_and_again(void *view)
{
	int rc;

	while ((rc = ipk_spsc_try_send(view, "", 0)) != -EBADF) {
		CHECK(rc == 0 || rc == -EAGAIN || rc == -EBUSY);
		atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
	}
	return NULL;
}

static void close_among_the_calls_of_another_thread(void)
{
	for (int round = 0; round < 100; round++) {
		pthread_t caller;

		make();
		atomic_store_explicit(&calls, 0, memory_order_relaxed);
		caller = run(call_again_and_again, &ring);
		while (atomic_load_explicit(&calls, memory_order_relaxed) < (uint32_t)round)
			sched_yield();
		ipk_spsc_close(&ring);
		join(caller);
		ipk_spsc_unmap(&ring);
	}
}

int main(void)
{
	RUN(both_sides_of_one_view);
	RUN(both_roles_claimed_at_once);
	RUN(two_threads_send);
	RUN(two_threads_receive);
	RUN(consumers_succeed_each_other);
	RUN(producers_succeed_each_other);
	RUN(close_is_seen_after_the_last_message);
	RUN(close_ends_the_wait_of_another_thread);
	RUN(close_among_the_calls_of_another_thread);
	return 0;
}
