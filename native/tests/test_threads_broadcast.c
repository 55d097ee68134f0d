/* The broadcast ring between threads, for ThreadSanitizer, which sees no processes.
 *
 * A "process" here is a thread with an alias: a view with a membership of its own, over the same mapping. (With a second mapping the
 * two sides would meet at different addresses, where the sanitizer cannot see that they meet. The mirrored half of the data
 * remains such a place: what wraps is checked by its content alone.)
 */
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "broadcast.h"

#ifdef __SANITIZE_THREAD__
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef SANITIZED
#define MESSAGES 8000
#else
#define MESSAGES 40000
#endif
#define WORDS 24
#define WRITERS 2
#define READERS 3

struct party {
	struct ipk_broadcast view;
	uint64_t number; /* of a writer, or of a reader */
	uint64_t received, lost;
};

static struct party writers[WRITERS], readers[READERS];
static _Atomic uint32_t deaths; /* the kernel orders what a process did before its death; the sanitizer is told here */

static void arrive(struct party *party, uint64_t number)
{
	struct ipk_broadcast *view = &party->view;

	memset(party, 0, sizeof(*party));
	party->number = number;
	view->segment = ring.segment;
	view->shm = ring.shm;
	view->data = ring.data;
	view->capacity = ring.capacity;
	view->mask = ring.mask;
	view->policy = ring.policy;
	CHECK_EQ(ipk_member_open(&view->member, ring.segment.fd), 0);
	CHECK(ipk_member_join(&view->member) > 0);
	view->member.self.start_time++; /* a process that does not run: it dies with its lock */
	ipk_roster_init(&view->roster, &ring.shm->roster, PARTICIPANTS, &view->member);
	ipk_broadcast_set_spin(view, 1000);
}

static void depart(struct party *party)
{
	ipk_broadcast_close(&party->view);
	ipk_member_close(&party->view.member);
}

static void die(struct party *party)
{
	atomic_fetch_add_explicit(&deaths, 1, memory_order_release);
	ipk_member_close(&party->view.member);
}

/* Message `number` of a writer is 1 to WORDS words, which count on from one that begins with both. */
static uint64_t words_of(uint64_t number)
{
	return 1 + number * 7 % WORDS;
}

static void compose(uint64_t *message, uint64_t writer, uint64_t number)
{
	for (uint64_t i = 0; i < words_of(number); i++)
		message[i] = writer << 56 | number << 8 | i;
}

/* Returns the number of a message that is whole; *writer: whose it is. */
static uint64_t check_message(const uint64_t *message, int64_t length, uint64_t *writer)
{
	uint64_t number = message[0] << 8 >> 16;

	CHECK_EQ(length, 8 * words_of(number));
	for (uint64_t i = 0; i < words_of(number); i++)
		CHECK_EQ(message[i], message[0] | i);
	*writer = message[0] >> 56;
	CHECK_RANGE(*writer, 0, WRITERS - 1);
	return number;
}

static void *write_all(void *argument)
{
	struct party *party = argument;
	uint64_t batch[8][WORDS];
	struct ipk_slice slices[8];

	for (uint64_t i = 0; i < MESSAGES;) {
		uint64_t most = 1 + i % 8 < MESSAGES - i ? 1 + i % 8 : 1;
		int64_t rc;

		for (uint64_t k = 0; k < most; k++) {
			compose(batch[k], party->number, i + k);
			slices[k] = (struct ipk_slice){batch[k], 8 * words_of(i + k)};
		}
		rc = ipk_broadcast_try_send_many(&party->view, slices, (uint32_t)most);
		if (rc == -EAGAIN) {
			rc = ipk_broadcast_wait_room(&party->view, slices[0].length, IPK_NEVER);
			CHECK(rc == 0 || rc == -EAGAIN);
			continue;
		}
		CHECK(rc > 0);
		i += (uint64_t)rc;
	}
	depart(party);
	return NULL;
}

/* Until the end of the stream: every message of each writer, in order, or counted as lost. */
static void *read_all(void *argument)
{
	struct party *party = argument;
	uint64_t next[WRITERS] = {0};
	uint64_t message[WORDS], writer, number;
	int64_t rc;

	for (;;) {
		rc = receive_patiently(&party->view, message, sizeof(message));
		if (rc == -ESTALE) {
			party->lost += ipk_broadcast_told(&party->view);
			continue;
		}
		if (rc < 0)
			break;
		number = check_message(message, rc, &writer);
		CHECK(number >= next[writer]);
		CHECK(number == next[writer] || ring.policy == IPK_BROADCAST_OVERWRITE);
		next[writer] = number + 1;
		party->received++;
		if (party->number == 2 && number % 64 == 0)
			sched_yield();
	}
	CHECK_EQ(rc, -EPIPE);
	CHECK_EQ(party->received + party->lost, WRITERS * MESSAGES);
	depart(party);
	return NULL;
}

static pthread_t run(void *(*function)(void *), void *argument)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, function, argument), 0);
	return thread;
}

static void all_at_once(uint32_t policy)
{
	pthread_t threads[WRITERS + READERS];
	int running = 0;

	make(policy);
	for (uint64_t i = 0; i < WRITERS; i++) {
		arrive(&writers[i], i);
		CHECK_EQ(ipk_broadcast_wait_room(&writers[i].view, 8, 0), 0); /* both are writers before one of them leaves */
	}
	for (uint64_t i = 0; i < READERS; i++) {
		arrive(&readers[i], i);
		CHECK_EQ(ipk_broadcast_subscribe(&readers[i].view, 0), 0);
		threads[running++] = run(read_all, &readers[i]);
	}
	for (int i = 0; i < WRITERS; i++)
		threads[running++] = run(write_all, &writers[i]);
	while (running > 0)
		CHECK_EQ(pthread_join(threads[--running], NULL), 0);
	CHECK_EQ(stat_of(&ring).sent, WRITERS * MESSAGES);
	CHECK_EQ(stat_of(&ring).producers, 0);
	CHECK_EQ(stat_of(&ring).consumers, 0);
	drop();
}

static void writers_and_readers(void)
{
	all_at_once(IPK_BROADCAST_BLOCK);
}

static void writers_that_overwrite(void)
{
	all_at_once(IPK_BROADCAST_OVERWRITE);
}

/* Come, look back, read some, and go, again and again; what comes is without a gap that is not told. */
static void *come_and_go(void *argument)
{
	struct party *party = argument;
	uint64_t message[WORDS], writer;

	for (int round = 0;; round++) {
		uint64_t next[WRITERS] = {0};
		uint64_t seen[WRITERS] = {0};
		int64_t rc = ipk_broadcast_subscribe(&party->view, (uint64_t)round % 5 * 3);

		if (rc == -EAGAIN) {
			ipk_broadcast_wait_subscribe(&party->view, IPK_NEVER);
			continue;
		}
		CHECK_RANGE(rc, 0, 12);
		for (int i = 0; i < 20; i++) {
			uint64_t number;

			rc = receive_patiently(&party->view, message, sizeof(message));
			if (rc == -ESTALE || rc == -ECONNRESET) {
				ipk_broadcast_told(&party->view);
				break;
			}
			if (rc == -EPIPE) {
				depart(party);
				return NULL;
			}
			CHECK(rc >= 0);
			number = check_message(message, rc, &writer);
			CHECK(!seen[writer] || number == next[writer]);
			seen[writer] = 1;
			next[writer] = number + 1;
		}
	}
}

static void readers_come_and_go(void)
{
	for (uint32_t policy = IPK_BROADCAST_BLOCK; policy <= IPK_BROADCAST_DISCONNECT; policy++) {
		pthread_t threads[WRITERS + READERS];
		int running = 0;

		make(policy);
		for (uint64_t i = 0; i < WRITERS; i++) {
			arrive(&writers[i], i);
			CHECK_EQ(ipk_broadcast_wait_room(&writers[i].view, 8, 0), 0);
		}
		for (uint64_t i = 0; i < READERS; i++) {
			arrive(&readers[i], i);
			threads[running++] = run(come_and_go, &readers[i]);
		}
		for (int i = 0; i < WRITERS; i++)
			threads[running++] = run(write_all, &writers[i]);
		while (running > 0)
			CHECK_EQ(pthread_join(threads[--running], NULL), 0);
		drop();
	}
}

/* A writer dies with the lock, a reader with the ring full behind it: the others go on. */
static void *write_past_the_dead(void *argument)
{
	struct party *party = argument;
	uint64_t message[WORDS];

	for (uint64_t i = 0; i < 300; i++) {
		compose(message, 0, i);
		CHECK_EQ(send_patiently(&party->view, message, 8 * words_of(i)), 0);
		atomic_load_explicit(&deaths, memory_order_acquire);
	}
	return NULL;
}

static void the_dead_are_passed(void)
{
	struct party dead_reader, dead_writer, reader;
	struct ipk_broadcast_claim claim = {0};
	uint64_t message[WORDS], writer;
	pthread_t thread;

	make(IPK_BROADCAST_BLOCK);
	arrive(&writers[0], 0);
	arrive(&dead_reader, 0);
	arrive(&dead_writer, 0);
	arrive(&reader, 0);
	CHECK_EQ(ipk_broadcast_subscribe(&reader.view, 0), 0);
	CHECK_EQ(ipk_broadcast_subscribe(&dead_reader.view, 0), 0);
	CHECK_EQ(ipk_broadcast_try_reserve(&dead_writer.view, 100, &claim), 0);
	die(&dead_reader);
	die(&dead_writer);
	thread = run(write_past_the_dead, &writers[0]);
	for (uint64_t i = 0; i < 300; i++) {
		CHECK_EQ(check_message(message, receive_patiently(&reader.view, message, sizeof(message)), &writer), i);
		atomic_load_explicit(&deaths, memory_order_acquire);
	}
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(stat_of(&ring).recoveries, 1);
	CHECK_EQ(stat_of(&ring).consumers, 1);
	depart(&writers[0]);
	depart(&reader);
	drop();
}

/* Threads that share a view: one writer, and one reader whose messages they share. */
static _Atomic uint64_t shared_count, shared_sum;

static void *share_reading(void *argument)
{
	uint64_t message;
	int64_t rc;

	while ((rc = receive_patiently(argument, &message, sizeof(message))) == sizeof(message)) {
		atomic_fetch_add(&shared_count, 1);
		atomic_fetch_add(&shared_sum, message);
	}
	CHECK_EQ(rc, -EPIPE);
	return NULL;
}

static void *share_writing(void *argument)
{
	for (uint64_t i = 0; i < MESSAGES; i++)
		CHECK_EQ(send_patiently(argument, &i, sizeof(i)), 0);
	return NULL;
}

static void threads_share_a_view(void)
{
	struct party writer, reader;
	pthread_t threads[4];

	make(IPK_BROADCAST_BLOCK);
	atomic_store(&shared_count, 0);
	atomic_store(&shared_sum, 0);
	arrive(&writer, 0);
	arrive(&reader, 0);
	CHECK_EQ(ipk_broadcast_subscribe(&reader.view, 0), 0);
	for (int i = 0; i < 4; i++)
		threads[i] = run(i < 2 ? share_writing : share_reading, i < 2 ? &writer.view : &reader.view);
	CHECK_EQ(pthread_join(threads[0], NULL), 0);
	CHECK_EQ(pthread_join(threads[1], NULL), 0);
	depart(&writer);
	CHECK_EQ(pthread_join(threads[2], NULL), 0);
	CHECK_EQ(pthread_join(threads[3], NULL), 0);
	CHECK_EQ(atomic_load(&shared_count), 2 * MESSAGES);
	CHECK_EQ(atomic_load(&shared_sum), (uint64_t)MESSAGES * (MESSAGES - 1));
	depart(&reader);
	drop();
}

/* One thread begins, another one ends: nothing but the word that they hand over tells the second what the first has done. */
#define HANDED_OVER 400

static void *commit_what_others_reserve(void *argument)
{
	for (uint64_t i = 0; i < HANDED_OVER; i++) {
		int rc;

		while ((rc = ipk_broadcast_commit(argument, words_of(i))) == -EINVAL)
			sched_yield();
		CHECK_EQ(rc, 0);
	}
	return NULL;
}

static void another_thread_commits(void)
{
	struct party party;
	pthread_t thread;

	make(IPK_BROADCAST_OVERWRITE);
	arrive(&party, 0);
	thread = run(commit_what_others_reserve, &party.view);
	for (uint64_t i = 0; i < HANDED_OVER; i++) {
		struct ipk_broadcast_claim claim = {0};
		int rc;

		while ((rc = ipk_broadcast_try_reserve(&party.view, 8 * WORDS, &claim)) == -EAGAIN || rc == -EBUSY)
			sched_yield();
		CHECK_EQ(rc, 0);
	}
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(stat_of(&ring).sent, HANDED_OVER);
	depart(&party);
	drop();
}

static void *release_what_others_lend(void *argument)
{
	for (uint64_t i = 0; i < HANDED_OVER; i++) {
		int rc;

		while ((rc = ipk_broadcast_release(argument)) == -EINVAL)
			sched_yield();
		CHECK_EQ(rc, 0);
	}
	return NULL;
}

static void another_thread_releases(void)
{
	struct party party;
	pthread_t thread;

	make(IPK_BROADCAST_BLOCK);
	arrive(&party, 0);
	CHECK_EQ(ipk_broadcast_subscribe(&party.view, 0), 0);
	thread = run(release_what_others_lend, &party.view);
	for (uint64_t i = 0; i < HANDED_OVER; i++) {
		struct ipk_broadcast_claim claim = {0};
		struct ipk_broadcast_part part = {0};
		int rc;

		CHECK_EQ(send_patiently(&party.view, &i, sizeof(i)), 0);
		do {
			rc = i % 2 ? ipk_broadcast_try_part(&party.view, &part) : ipk_broadcast_try_lend(&party.view, &claim);
			sched_yield();
		} while (rc == -EBUSY || rc == -EALREADY);
		CHECK_EQ(rc, 0);
		if (i % 2)
			CHECK_EQ(ipk_broadcast_lend_part(&party.view, &part, part.length), 0);
	}
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(stat_of(&ring).received, HANDED_OVER);
	depart(&party);
	drop();
}

/* Another thread closes: what the reader has copied until then, it has copied before writers overwrite it. */
static _Atomic uint32_t has_read; /* relaxed: it tells the test, and orders nothing */

static void *read_one(void *argument)
{
	uint64_t message;

	CHECK_EQ(ipk_broadcast_try_receive(argument, &message, sizeof(message)), sizeof(message));
	atomic_store_explicit(&has_read, 1, memory_order_relaxed);
	while (atomic_load_explicit(&has_read, memory_order_relaxed) != 2)
		sched_yield();
	return NULL;
}

static void another_thread_closes(void)
{
	struct party writer, reader;
	pthread_t thread;

	make(IPK_BROADCAST_BLOCK);
	arrive(&writer, 0);
	arrive(&reader, 0);
	CHECK_EQ(ipk_broadcast_subscribe(&reader.view, 0), 0);
	for (uint64_t i = 0; i < 2; i++)
		CHECK_EQ(send_patiently(&writer.view, &i, sizeof(i)), 0);
	atomic_store_explicit(&has_read, 0, memory_order_relaxed);
	thread = run(read_one, &reader.view);
	while (atomic_load_explicit(&has_read, memory_order_relaxed) == 0)
		sched_yield();
	depart(&reader);
	for (uint64_t i = 0; i < 2 * CAPACITY / 24; i++)
		CHECK_EQ(send_patiently(&writer.view, &i, sizeof(i)), 0);
	atomic_store_explicit(&has_read, 2, memory_order_relaxed);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	depart(&writer);
	drop();
}

/* A writer that gave up in the end has left what it wanted, and that it may sleep; all readers have passed that since. */
static void *wait_for_room(void *argument)
{
	CHECK_EQ(wait_room(argument, LARGEST, IPK_NEVER), 0);
	return NULL;
}

static void what_nobody_wants_any_more_is_forgotten(void)
{
	static unsigned char message[LARGEST];
	struct party writer, reader;
	pthread_t thread;

	make(IPK_BROADCAST_BLOCK);
	arrive(&writer, 0);
	arrive(&reader, 0);
	CHECK_EQ(ipk_broadcast_subscribe(&reader.view, 0), 0);
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(ipk_broadcast_try_send(&writer.view, message, LARGEST), 0);
		if (i < 2)
			CHECK_EQ(ipk_broadcast_try_receive(&reader.view, message, LARGEST), LARGEST);
	}
	atomic_store_explicit(&ring.shm->oldest.want, CAPACITY / 2, memory_order_relaxed);
	atomic_store_explicit(&ring.shm->writers.sleepers.word, IPK_SLEEPERS_ANY, memory_order_relaxed);
	thread = run(wait_for_room, &writer.view);
	while (stat_of(&ring).full_waits == 0)
		sched_yield();
	for (int i = 0; i < 2; i++)
		CHECK_EQ(ipk_broadcast_try_receive(&reader.view, message, LARGEST), LARGEST);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_RANGE(stat_of(&ring).wakes, 2, 3); /* for those that may still sleep, and by the reader */
	depart(&writer);
	depart(&reader);
	drop();
}

int main(void)
{
	prepare();
	RUN(writers_and_readers);
	RUN(writers_that_overwrite);
	RUN(readers_come_and_go);
	RUN(the_dead_are_passed);
	RUN(threads_share_a_view);
	RUN(another_thread_commits);
	RUN(another_thread_releases);
	RUN(another_thread_closes);
	RUN(what_nobody_wants_any_more_is_forgotten);
	return 0;
}
