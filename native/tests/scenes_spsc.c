/* Scenes of the ring from one producer to one consumer. What sweep.h calls the object is an event that nobody uses; the
 * ring lies beside it, and the victim has a view of its own. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "check.h"
#include "ipckit/spsc.h"
#include "scenes.h"
#include "support.h"

#define CAPACITY 4096
#define LENGTH 24
#define WATCHED 1024 /* geometry to roles, and the beginning of nothing else */

static struct ipk_spsc made, own; /* of the survivor and of the victim */
static struct ipk_spsc *ring;	  /* of whoever runs */
static uint64_t had;		  /* messages in the ring when the victim began */

static void fill(unsigned char *message, uint64_t number)
{
	memset(message, (int)(number % 251), LENGTH);
}

static void send_number(uint64_t number)
{
	unsigned char message[LENGTH];

	fill(message, number);
	CHECK_EQ(ipk_spsc_try_send(ring, message, LENGTH), 0);
}

/* A ring of which so many bytes have been used and freed, and that holds so many messages, sent by nobody's role. */
static void begin_at(uint64_t position, uint64_t messages)
{
	static int used;

	if (used) {
		ipk_spsc_close(&made);
		ipk_spsc_unmap(&made);
	}
	used = 1;
	memset(&made, 0, sizeof(made));
	ring = &made;
	CHECK_EQ(ipk_spsc_create(&made, NULL, CAPACITY, IPK_SPSC_PARTS, 0600), 0);
	ipk_spsc_set_spin(&made, 0);
	atomic_store(&made.shm->tail.position, position);
	atomic_store(&made.shm->head.position, position);
	had = messages;
	for (uint64_t number = 0; number < messages; number++)
		send_number(number);
	/* the role is free for the victim, as if it had never been taken */
	ipk_participant_release(&made.segment, IPK_SPSC_PRODUCER);
	made.side[IPK_SPSC_PRODUCER].held = 0;
	atomic_store(&made.shm->roles.state[IPK_SPSC_PRODUCER], IPK_SPSC_NEVER);
	also_watch(made.shm, WATCHED);
}

static void empty(void)
{
	begin_at(0, 0);
}

static void empty_before_the_end(void)
{
	begin_at(CAPACITY - 16, 0);
}

static void three(void)
{
	begin_at(0, 3);
}

static void three_before_the_end(void)
{
	begin_at(CAPACITY - 16, 3);
}

/* The victim's own view. */
static void attach_own(void)
{
	memset(&own, 0, sizeof(own));
	CHECK_EQ(ipk_spsc_attach(&own, fcntl(made.segment.fd, F_DUPFD_CLOEXEC, 3)), 0);
	ipk_spsc_set_spin(&own, 0);
	ring = &own;
}

static void become_producer(void)
{
	attach_own();
	CHECK_EQ(ipk_spsc_try_send_many(ring, NULL, 0), 0);
}

static void become_consumer(void)
{
	struct ipk_spsc_part lent;

	attach_own();
	if (ipk_spsc_try_receive_part(ring, &lent) == 0)
		CHECK_EQ(ipk_spsc_return_loan(ring), 0);
}

static void reserve_room(void)
{
	struct ipk_spsc_part given;

	become_producer();
	CHECK_EQ(ipk_spsc_try_reserve(ring, LENGTH, &given), 0);
	fill((unsigned char *)ipk_spsc_data(ring) + given.offset, had);
}

static void borrow(void)
{
	become_consumer();
	CHECK(ipk_spsc_try_receive(ring) >= 0);
}

static void operate_send(void)
{
	send_number(had);
}

static void operate_send_two(void)
{
	unsigned char messages[2][LENGTH];
	struct ipk_slice slices[2] = {{messages[0], LENGTH}, {messages[1], LENGTH}};

	fill(messages[0], had);
	fill(messages[1], had + 1);
	ipk_spsc_try_send_many(ring, slices, 2);
}

static void operate_in_place(void)
{
	struct ipk_spsc_part given;

	CHECK_EQ(ipk_spsc_try_reserve(ring, LENGTH, &given), 0);
	fill((unsigned char *)ipk_spsc_data(ring) + given.offset, had);
	ipk_spsc_commit(ring, LENGTH);
}

static void operate_commit(void)
{
	ipk_spsc_commit(ring, LENGTH);
}

static void operate_abort(void)
{
	ipk_spsc_abort(ring);
}

static void operate_receive(void)
{
	unsigned char message[LENGTH];

	ipk_spsc_try_receive_into(ring, message, LENGTH);
}

static void operate_receive_two(void)
{
	uint64_t bounds[4];

	ipk_spsc_try_receive_many(ring, bounds, 2);
	ipk_spsc_release(ring);
}

static void operate_release(void)
{
	ipk_spsc_release(ring);
}

static void operate_return(void)
{
	ipk_spsc_return_loan(ring);
}

static void operate_skip(void)
{
	ipk_spsc_skip_part(ring);
}

static void operate_close(void)
{
	ipk_spsc_close(ring);
}

static void operate_wait_room(void)
{
	ipk_spsc_wait_room(ring, CAPACITY - IPK_SPSC_RECORD_HEADER, IPK_NEVER);
}

static void operate_wait_message(void)
{
	ipk_spsc_wait_message(ring, IPK_NEVER);
}

/* What the messages are from now on: all that are there, in order and whole, from `from` on. Returns how many. */
static uint64_t drain_from(uint64_t from)
{
	unsigned char message[LENGTH], expected[LENGTH];
	uint64_t count = 0;
	int64_t rc;

	ring = &made;
	while ((rc = ipk_spsc_try_receive_into(ring, message, LENGTH)) >= 0) {
		CHECK_EQ(rc, LENGTH);
		fill(expected, from + count);
		CHECK(memcmp(message, expected, LENGTH) == 0);
		count++;
	}
	CHECK_EQ(rc, -EAGAIN);
	return count;
}

/* A successor sends and receives, and the counters are true. */
static void goes_on(void)
{
	struct ipk_spsc_stat stat;

	for (int i = 0; i < 200; i++) {
		CHECK_EQ(ipk_spsc_try_send(&made, "again", 6), 0);
		CHECK_EQ(ipk_spsc_try_receive(&made) & UINT32_MAX, 6);
		CHECK_EQ(ipk_spsc_release(&made), 0);
	}
	CHECK_EQ(ipk_spsc_stat(&made, &stat), 0);
	CHECK_EQ(stat.used, 0);
	CHECK_EQ(stat.head, stat.tail);
}

/* Whoever waits for the victim is told of its end in time, unless it never had the role. */
static void learns_of_the_end(void)
{
	int64_t deadline;
	int rc;

	if (atomic_load(&made.shm->roles.state[IPK_SPSC_PRODUCER]) == IPK_SPSC_NEVER)
		return;
	deadline = promised();
	do
		rc = ipk_spsc_wait_message(&made, deadline);
	while (rc == -EAGAIN || rc == 0);
	CHECK(rc == -EOWNERDEAD || rc == -EPIPE);
}

static void after_sending(uint64_t most, int completed)
{
	uint64_t got = drain_from(0);

	learns_of_the_end();
	CHECK_RANGE(got, had, had + most);
	if (completed)
		CHECK_EQ(got, had + most);
	goes_on();
}

static void after_send(int completed)
{
	after_sending(1, completed);
}

static void after_send_two(int completed)
{
	after_sending(2, completed);
}

static void after_nothing(int completed)
{
	(void)completed;
	after_sending(0, 1);
}

static void after_receiving(uint64_t most, int completed)
{
	uint64_t left = (atomic_load(&made.shm->tail.position) - atomic_load(&made.shm->head.position)) / (LENGTH + 8);

	CHECK_RANGE(left, had - most, had);
	if (completed)
		CHECK_EQ(left, had - most);
	CHECK_EQ(drain_from(had - left), left);
	goes_on();
}

static void after_receive(int completed)
{
	after_receiving(1, completed);
}

static void after_receive_two(int completed)
{
	after_receiving(2, completed);
}

static void after_return(int completed)
{
	(void)completed;
	after_receiving(0, 1);
}

static void receive_all(void)
{
	CHECK(drain_from(0) == had);
}

static void send_one(void)
{
	ring = &made;
	send_number(had);
}

static void after_wait_room(int completed)
{
	(void)completed;
	CHECK_RANGE(drain_from(0), 0, had);
	goes_on();
}

static void after_wait_message(int completed)
{
	(void)completed;
	if (atomic_load(&made.shm->tail.messages) == 0)
		send_one();
	CHECK_EQ(drain_from(0), 1);
	goes_on();
}

#define SCENE(name, ...) {"spsc: " name, IPK_SYNC_EVENT, 0, 0, __VA_ARGS__}

static const struct scene scenes[] = {
	SCENE("claim and send", empty, attach_own, operate_send, NULL, after_send),
	SCENE("send", three, become_producer, operate_send, NULL, after_send),
	SCENE("send, it wraps around", empty_before_the_end, become_producer, operate_send, NULL, after_send),
	SCENE("send two", three, become_producer, operate_send_two, NULL, after_send_two),
	SCENE("reserve and commit", three, become_producer, operate_in_place, NULL, after_send),
	SCENE("reserve and commit, it wraps around", empty_before_the_end, become_producer, operate_in_place, NULL, after_send),
	SCENE("commit", three, reserve_room, operate_commit, NULL, after_send),
	SCENE("abort", three, reserve_room, operate_abort, NULL, after_nothing),
	SCENE("close, the producer", three, become_producer, operate_close, NULL, after_nothing),
	SCENE("claim and receive", three, attach_own, operate_receive, NULL, after_receive),
	SCENE("receive", three, become_consumer, operate_receive, NULL, after_receive),
	SCENE("receive, it wraps around", three_before_the_end, become_consumer, operate_receive, NULL, after_receive),
	SCENE("receive two", three, become_consumer, operate_receive_two, NULL, after_receive_two),
	SCENE("release", three, borrow, operate_release, NULL, after_receive),
	SCENE("release, it wraps around", three_before_the_end, borrow, operate_release, NULL, after_receive),
	SCENE("skip", three, borrow, operate_skip, NULL, after_receive),
	SCENE("return", three, borrow, operate_return, NULL, after_return),
	SCENE("close, the consumer", three, become_consumer, operate_close, NULL, after_return),
	SCENE("wait for room", three, become_producer, operate_wait_room, receive_all, after_wait_room),
	SCENE("wait for a message", empty, become_consumer, operate_wait_message, send_one, after_wait_message),
};

const struct scene *const spsc_scenes = scenes;
const size_t spsc_scene_count = sizeof(scenes) / sizeof(scenes[0]);
