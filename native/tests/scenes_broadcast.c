/* The ring that all readers see. It is no object of synchronisation: the stage makes one that nobody uses, and watches ours beside it. */
#include <errno.h>
#include <string.h>

#include "broadcast_scene.h"
#include "check.h"
#include "scenes.h"
#include "support.h"

#define CAPACITY 4096
#define LENGTH 20 /* two words and a half */
#define LONG 1000 /* four of them fill the ring */
#define FULL 4	  /* of those, and no more */
#define PARTICIPANTS 4
#define SLEEPERS 2
#define NUMBERS 64

static struct ipk_broadcast ring;   /* of the survivor: a reader that is there from the beginning */
static struct ipk_broadcast mine;   /* of the victim, and of those that die before */
static struct ipk_broadcast writer; /* of the survivor, where it writes before the victim is dead */
static uint64_t received;	    /* the number of the last message that the survivor has */
static pid_t sleepers[SLEEPERS];
static unsigned char messages[NUMBERS][LONG]; /* made beforehand: nobody steps through that */

static void attach_another(struct ipk_broadcast *view)
{
	attach_beside_ring(view, &ring);
}

static void compose_all(void)
{
	for (uint64_t number = 0; number < NUMBERS; number++) {
		for (uint64_t i = 0; i < LONG; i++)
			messages[number][i] = (unsigned char)(number * 31 + i);
		memcpy(messages[number], &number, sizeof(number));
	}
}

static int send_number(struct ipk_broadcast *view, uint64_t number, uint64_t length)
{
	return ipk_broadcast_try_send(view, messages[number % NUMBERS], length);
}

/* Send, waiting as long as is promised: 0, or why not. */
static int send_patiently(struct ipk_broadcast *view, uint64_t number, uint64_t length, int64_t deadline)
{
	int rc;

	while ((rc = send_number(view, number, length)) == -EAGAIN)
		if ((rc = ipk_broadcast_wait_room(view, length, deadline)) < 0 && rc != -EAGAIN)
			break;
	return rc;
}

/* The number of the next message, which is whole; or why there is none. */
static int64_t receive_number(struct ipk_broadcast *view)
{
	unsigned char message[LONG];
	int64_t length = ipk_broadcast_try_receive(view, message, sizeof(message));
	uint64_t number;

	if (length < 0)
		return length;
	CHECK(length == LENGTH || length == LONG);
	memcpy(&number, message, sizeof(number));
	CHECK(number < NUMBERS && memcmp(message, messages[number], (size_t)length) == 0);
	return (int64_t)number;
}

static int64_t receive_patiently(struct ipk_broadcast *view, int64_t deadline)
{
	int64_t got;

	while ((got = receive_number(view)) == -EAGAIN)
		if ((got = ipk_broadcast_wait_message(view, deadline)) < 0 && got != -EAGAIN)
			break;
	return got;
}

static void make_ring(uint32_t policy)
{
	if (writer.shm)
		let_go_of(&writer);
	if (ring.shm)
		let_go_of(&ring);
	compose_all();
	make_and_read(&ring, CAPACITY, policy, PARTICIPANTS);
	received = 0;
	also_watch(ring.shm, (uint64_t)(ring.data - (unsigned char *)ring.shm) + CAPACITY);
}

static void make_blocking(void)
{
	make_ring(IPK_BROADCAST_BLOCK);
}

static void make_overwriting(void)
{
	make_ring(IPK_BROADCAST_OVERWRITE);
}

static void make_disconnecting(void)
{
	make_ring(IPK_BROADCAST_DISCONNECT);
}

static void stand_by(void)
{
	attach_another(&mine);
}

/* Four long messages: the ring is full. */
static void fill(struct ipk_broadcast *view)
{
	for (uint64_t i = 1; i <= FULL; i++)
		CHECK_EQ(send_number(view, i, LONG), 0);
}

static void be_writer(void)
{
	attach_another(&mine);
	fill(&mine);
}

static void be_reader(void)
{
	attach_another(&mine);
	CHECK_EQ(ipk_broadcast_subscribe(&mine, 0), 0);
}

/* The survivor writes. It reads as well, but where a scene needs a slow reader. */
static void write_before(void)
{
	attach_another(&writer);
	fill(&writer);
}

static void read_all(void)
{
	int64_t got;

	while ((got = receive_number(&ring)) > 0) {
		CHECK_EQ(got, received + 1);
		received = (uint64_t)got;
	}
	CHECK_EQ(got, -EAGAIN);
}

static void write_before_and_read(void)
{
	write_before();
	read_all();
}

static void begin_a_message(void)
{
	struct ipk_broadcast_claim claim = {0};

	attach_another(&mine);
	CHECK_EQ(ipk_broadcast_try_reserve(&mine, LENGTH, &claim), 0);
}

static void blocking_after_a_dead_writer(void)
{
	make_blocking();
	die_after(begin_a_message);
}

static void blocking_with_a_dead_reader(void)
{
	make_blocking();
	die_after(be_reader);
	write_before_and_read();
}

static int receive_one(void)
{
	struct ipk_broadcast own;
	int64_t got;

	attach_another(&own);
	/* its own place is after the last that was sent; the survivor's view counts what is in between */
	got = ipk_broadcast_subscribe(&own, 1);
	CHECK(got >= 0);
	if (got == 1 && (got = receive_number(&own)) > FULL)
		return 0;
	got = receive_patiently(&own, IPK_NEVER);
	return got < 0 ? (int)got : 0;
}

static void start_readers(void)
{
	for (int i = 0; i < SLEEPERS; i++)
		sleepers[i] = start_sleeper(receive_one);
}

static void overwriting_with_sleeping_readers(void)
{
	make_overwriting();
	when_entered(start_readers);
}

static int send_one(void)
{
	struct ipk_broadcast own;

	attach_another(&own);
	return send_patiently(&own, FULL + 1, LONG, IPK_NEVER);
}

static void fill_and_start_writer(void)
{
	write_before_and_read();
	sleepers[0] = start_sleeper(send_one);
}

static void blocking_with_a_sleeping_writer(void)
{
	make_blocking();
	when_entered(fill_and_start_writer);
}

static void write_when_entered(void)
{
	make_blocking();
	when_entered(write_before_and_read);
}

static void overwrite_when_entered(void)
{
	attach_another(&writer);
	fill(&writer);
	for (uint64_t i = 1; i <= 3; i++)
		CHECK_EQ(send_number(&writer, FULL + i, LONG), 0);
}

static void lapped(void)
{
	make_overwriting();
	when_entered(overwrite_when_entered);
}

static void cut_off(void)
{
	make_disconnecting();
	when_entered(overwrite_when_entered);
}

static void writer_is_there(void)
{
	make_blocking();
	attach_another(&writer);
	fill(&writer);
	read_all();
}

static void overwriting_writer_is_there(void)
{
	make_overwriting();
	attach_another(&writer);
	fill(&writer);
	read_all();
}

/* What the victim does. */

static void send_short(void)
{
	send_number(&mine, FULL + 1, LENGTH);
}

static void send_long(void)
{
	send_number(&mine, FULL + 1, LONG);
}

static void send_first(void)
{
	send_number(&mine, 1, LENGTH);
}

static void send_first_and_wait(void)
{
	send_patiently(&mine, 1, LENGTH, IPK_NEVER);
}

static void send_batch(void)
{
	struct ipk_slice slices[6];

	for (uint64_t i = 0; i < 6; i++)
		slices[i] = (struct ipk_slice){messages[FULL + 1 + i], LENGTH};
	ipk_broadcast_try_send_many(&mine, slices, 6);
}

static void send_in_place(void)
{
	struct ipk_broadcast_claim claim = {0};

	if (ipk_broadcast_try_reserve(&mine, LONG, &claim) < 0)
		return;
	memcpy((unsigned char *)ipk_broadcast_data(&mine) + claim.offset, messages[FULL + 1], LENGTH);
	ipk_broadcast_commit(&mine, LENGTH);
}

static void reserve_and_abort(void)
{
	struct ipk_broadcast_claim claim = {0};

	ipk_broadcast_try_reserve(&mine, LENGTH, &claim);
	ipk_broadcast_abort(&mine);
}

static void send_and_wait(void)
{
	send_patiently(&mine, FULL + 1, LONG, IPK_NEVER);
}

static void close_it(void)
{
	ipk_broadcast_close(&mine);
}

static void subscribe_it(void)
{
	ipk_broadcast_subscribe(&mine, 0);
}

static void subscribe_back(void)
{
	ipk_broadcast_subscribe(&mine, 2);
}

static void subscribe_back_and_wait(void)
{
	while (ipk_broadcast_subscribe(&mine, 2) == -EAGAIN)
		ipk_broadcast_wait_subscribe(&mine, IPK_NEVER);
}

static void unsubscribe_it(void)
{
	ipk_broadcast_unsubscribe(&mine);
}

static void receive_it(void)
{
	receive_number(&mine);
}

static void lend_it(void)
{
	struct ipk_broadcast_claim claim = {0};

	ipk_broadcast_try_lend(&mine, &claim);
	ipk_broadcast_release(&mine);
}

static void lend_and_return(void)
{
	struct ipk_broadcast_claim claim = {0};

	ipk_broadcast_try_lend(&mine, &claim);
	ipk_broadcast_return_loan(&mine);
}

static void receive_after_gap(void)
{
	receive_number(&mine);
	ipk_broadcast_told(&mine);
	receive_number(&mine);
}

static void wait_for_one(void)
{
	receive_patiently(&mine, IPK_NEVER);
}

/* What ends its sleep. */

static void give_way(void)
{
	if (received == 0)
		CHECK_EQ(receive_number(&ring), ++received);
}

static void send_another(void)
{
	struct ipk_broadcast_stat stat;

	CHECK_EQ(ipk_broadcast_stat(&writer, &stat), 0);
	CHECK_EQ(send_number(&writer, stat.sent + 1, LENGTH), 0);
}

static void end_writer(void)
{
	let_go_of(&writer);
}

/* The others go on: the survivor reads what there is, whole and in order, and others write and read on. */
static void goes_on(void)
{
	struct ipk_broadcast successor, late;
	struct ipk_broadcast_stat stat;
	int64_t got;

	if (writer.shm)
		let_go_of(&writer);
	attach_another(&successor);
	CHECK_EQ(send_patiently(&successor, received + 1, LENGTH, promised()), 0);
	for (uint64_t i = 1; i <= 10; i++) {
		got = receive_patiently(&ring, promised());
		CHECK_EQ(got, received + 1);
		received++;
		CHECK_EQ(send_patiently(&successor, received + 1, i % 2 ? LONG : LENGTH, promised()), 0);
	}
	attach_another(&late);
	for (int64_t deadline = promised(); (got = ipk_broadcast_subscribe(&late, 1)) == -EAGAIN;)
		CHECK(ipk_broadcast_wait_subscribe(&late, deadline) <= 0);
	CHECK_EQ(got, 1);
	CHECK_EQ(receive_number(&late), received + 1);
	ipk_broadcast_bury(&ring);
	CHECK_EQ(ipk_broadcast_stat(&ring, &stat), 0);
	CHECK_EQ(stat.producers, 1);
	CHECK_EQ(stat.consumers, 2);
	let_go_of(&successor);
	CHECK_EQ(receive_patiently(&late, promised()), -EPIPE);
	CHECK_EQ(receive_patiently(&ring, promised()), received + 1);
	CHECK_EQ(receive_patiently(&ring, promised()), -EPIPE);
	let_go_of(&late);
}

/* Messages of the victim from `first` on, at most `most`, and if it has completed all. */
static void after_messages(int completed, uint64_t first, uint64_t most)
{
	int64_t got;

	while ((got = receive_number(&ring)) == -ESTALE)
		received += ipk_broadcast_told(&ring); /* exactly so many */
	for (; got > 0; got = receive_number(&ring))
		CHECK_EQ(got, ++received);
	CHECK_EQ(got, -EAGAIN);
	CHECK_RANGE(received, completed ? first + most - 1 : first - 1, first + most - 1);
	goes_on();
}

static void after_send(int completed)
{
	after_messages(completed, FULL + 1, 1);
}

static void after_first_send(int completed)
{
	after_messages(completed, 1, 1);
}

static void after_batch(int completed)
{
	after_messages(completed, FULL + 1, 6);
}

static void after_no_message(int completed)
{
	(void)completed;
	after_messages(1, FULL + 1, 0);
}

static void after_nothing_at_all(int completed)
{
	(void)completed;
	after_messages(1, 1, 0);
}

static void after_sending_to_sleepers(int completed)
{
	int64_t before = promised();
	int woken = count_ended(sleepers, SLEEPERS);

	(void)before;
	while ((int64_t)received < FULL + 1) {
		int64_t got = receive_number(&ring);

		if (got == -ESTALE)
			received += ipk_broadcast_told(&ring);
		else if (got > 0)
			CHECK_EQ(got, ++received);
		else
			break;
	}
	if (completed)
		CHECK_EQ(received, FULL + 1);
	if (received == FULL) { /* the message never was: they are told of the death, or of the successor's */
		for (int i = 0; i < SLEEPERS; i++)
			CHECK_EQ(result_of(sleepers[i]), -EOWNERDEAD);
	} else {
		for (int i = 0; i < SLEEPERS; i++)
			CHECK_EQ(result_of(sleepers[i]), 0);
	}
	(void)woken;
	goes_on();
}

static void after_closing_before_sleepers(int completed)
{
	int closed = 0;

	read_all();
	for (int i = 0; i < SLEEPERS; i++) {
		int rc = result_of(sleepers[i]);

		CHECK(rc == -EPIPE || (rc == -EOWNERDEAD && !completed));
		closed += rc == -EPIPE;
	}
	CHECK(closed == 0 || closed == SLEEPERS);
	goes_on();
}

static void after_wait_for_room(int completed)
{
	after_messages(completed && received > 0, FULL + 1, 1);
}

static void after_reading(int completed)
{
	(void)completed;
	if (writer.shm)
		read_all();
	goes_on();
}

static void after_reading_before_a_writer(int completed)
{
	(void)completed;
	CHECK_EQ(result_of(sleepers[0]), 0);
	after_messages(1, FULL + 1, 1);
}

static void after_reading_apart(int completed)
{
	int64_t got;

	(void)completed;
	while ((got = receive_number(&ring)) == -ESTALE)
		received += ipk_broadcast_told(&ring);
	if (got == -ECONNRESET) {
		CHECK_EQ(ipk_broadcast_subscribe(&ring, 1), 1);
		received = FULL + 2;
		got = receive_number(&ring);
	}
	for (; got > 0; got = receive_number(&ring))
		CHECK_EQ(got, ++received);
	CHECK_EQ(received, FULL + 3);
	goes_on();
}

#define SCENE(name, ...) {"broadcast: " name, IPK_SYNC_ONCE, 0, 0, __VA_ARGS__}

static const struct scene scenes[] = {
	SCENE("the first message", make_blocking, stand_by, send_first, NULL, after_first_send),
	SCENE("the first message, overwriting", make_overwriting, stand_by, send_first, NULL, after_first_send),
	SCENE("a short message that drops the oldest", make_overwriting, be_writer, send_short, NULL, after_send),
	SCENE("a long message that drops the oldest", make_overwriting, be_writer, send_long, NULL, after_send),
	SCENE("a message, a dead writer had begun one", blocking_after_a_dead_writer, stand_by, send_first_and_wait,
	      let_time_pass, after_first_send),
	SCENE("a message, readers sleep", overwriting_with_sleeping_readers, be_writer, send_short, NULL,
	      after_sending_to_sleepers),
	SCENE("a batch", make_overwriting, be_writer, send_batch, NULL, after_batch),
	SCENE("a message in place", make_overwriting, be_writer, send_in_place, NULL, after_send),
	SCENE("a message in place that is given up", make_overwriting, be_writer, reserve_and_abort, NULL, after_no_message),
	SCENE("wait for room", make_blocking, be_writer, send_and_wait, give_way, after_wait_for_room),
	SCENE("wait for room, a dead reader is in the way", blocking_with_a_dead_reader, stand_by, send_and_wait, let_time_pass,
	      after_send),
	SCENE("close as a writer", make_blocking, be_writer, close_it, NULL, after_no_message),
	SCENE("close as a writer, readers sleep", overwriting_with_sleeping_readers, be_writer, close_it, NULL,
	      after_closing_before_sleepers),
	SCENE("subscribe", writer_is_there, stand_by, subscribe_it, NULL, after_reading),
	SCENE("subscribe, overwriting", overwriting_writer_is_there, stand_by, subscribe_it, NULL, after_reading),
	SCENE("subscribe with history", writer_is_there, stand_by, subscribe_back, NULL, after_reading),
	SCENE("subscribe with history, overwriting", overwriting_writer_is_there, stand_by, subscribe_back, NULL, after_reading),
	SCENE("subscribe with history, a dead writer had begun", blocking_after_a_dead_writer, stand_by,
	      subscribe_back_and_wait, let_time_pass, after_nothing_at_all),
	SCENE("receive", write_when_entered, be_reader, receive_it, NULL, after_reading),
	SCENE("receive, a writer sleeps", blocking_with_a_sleeping_writer, be_reader, receive_it, NULL,
	      after_reading_before_a_writer),
	SCENE("receive in place, a writer sleeps", blocking_with_a_sleeping_writer, be_reader, lend_it, NULL,
	      after_reading_before_a_writer),
	SCENE("return a loan, a writer sleeps", blocking_with_a_sleeping_writer, be_reader, lend_and_return, NULL,
	      after_reading_before_a_writer),
	SCENE("unsubscribe, a writer sleeps", blocking_with_a_sleeping_writer, be_reader, unsubscribe_it, NULL,
	      after_reading_before_a_writer),
	SCENE("close as a reader, a writer sleeps", blocking_with_a_sleeping_writer, be_reader, close_it, NULL,
	      after_reading_before_a_writer),
	SCENE("receive after a gap", lapped, be_reader, receive_after_gap, NULL, after_reading_apart),
	SCENE("receive, disconnected", cut_off, be_reader, receive_it, NULL, after_reading_apart),
	SCENE("wait for a message", writer_is_there, be_reader, wait_for_one, send_another, after_reading),
	SCENE("wait, the writer closes", writer_is_there, be_reader, wait_for_one, end_writer, after_reading),
	SCENE("wait, the writer is dead", blocking_after_a_dead_writer, be_reader, wait_for_one, let_time_pass,
	      after_nothing_at_all),
};

const struct scene *const broadcast_scenes = scenes;
const size_t broadcast_scene_count = sizeof(scenes) / sizeof(scenes[0]);
