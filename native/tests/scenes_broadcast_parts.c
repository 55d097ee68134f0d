/* The ring that all readers see, with messages longer than half of it: who writes or reads one dies amid its parts. */
#include <errno.h>
#include <string.h>

#include "broadcast_scene.h"
#include "check.h"
#include "scenes.h"
#include "support.h"

#define CAPACITY 4096
#define PART 900
#define ROOM 4 /* parts that the ring holds */
#define FEW 3  /* parts of a message that fits */
#define MANY 6 /* of one that readers must make room for */
#define PARTICIPANTS 4

static struct ipk_broadcast ring;   /* of the survivor: a reader that is there from the beginning */
static struct ipk_broadcast mine;   /* of the victim, and of those that die before */
static struct ipk_broadcast writer; /* of the survivor, where it writes before the victim is dead */
static pid_t sleeper;
static uint64_t kept; /* parts that the survivor has of a message that is not complete */
static unsigned char content[MANY][PART];

static void attach_another(struct ipk_broadcast *view)
{
	attach_beside_ring(view, &ring);
}

static void make(void)
{
	if (writer.shm)
		let_go_of(&writer);
	if (ring.shm)
		let_go_of(&ring);
	for (uint64_t i = 0; i < MANY; i++)
		memset(content[i], (int)('a' + i), PART);
	make_and_read(&ring, CAPACITY, IPK_BROADCAST_BLOCK | IPK_BROADCAST_PARTS, PARTICIPANTS);
	kept = 0;
	also_watch(ring.shm, (uint64_t)(ring.data - (unsigned char *)ring.shm) + CAPACITY);
}

static int send_part(struct ipk_broadcast *view, uint64_t i, uint64_t parts)
{
	uint32_t amid, flags = (i ? IPK_BROADCAST_REST : 0) | (i < parts - 1 ? IPK_BROADCAST_MORE : 0);

	return ipk_broadcast_try_send_part(view, content[i], PART, flags, parts * PART, &amid);
}

/* Send a message of so many parts, waiting for room: 0, or why not. */
static int send_parts(struct ipk_broadcast *view, uint64_t parts, int64_t deadline)
{
	for (uint64_t i = 0; i < parts;) {
		int rc = send_part(view, i, parts);

		if (rc == -EAGAIN)
			rc = ipk_broadcast_wait_room(view, PART, deadline);
		else if (rc == 0)
			i++;
		if (rc < 0 && rc != -EAGAIN)
			return rc;
	}
	return 0;
}

/* Take one part: 0 if there is more of its message, else of how many parts that is; or -errno. *have: so far. */
static int64_t take_part(struct ipk_broadcast *view, uint64_t *have)
{
	struct ipk_broadcast_part part = {0};
	int rc = ipk_broadcast_try_part(view, &part);

	if (rc < 0)
		return rc;
	if (!(part.flags & IPK_BROADCAST_REST))
		*have = 0; /* there never was a message */
	CHECK_EQ(part.length, PART);
	CHECK(*have < MANY && memcmp((unsigned char *)ipk_broadcast_data(view) + part.offset, content[*have], PART) == 0);
	++*have;
	CHECK_EQ(ipk_broadcast_pass_part(view, &part, part.flags & IPK_BROADCAST_MORE ? -1 : (int64_t)(*have * PART)), 0);
	return part.flags & IPK_BROADCAST_MORE ? 0 : (int64_t)*have;
}

/* Take parts up to the end of a message, waiting: how many it has; or -errno. */
static int64_t receive_parts(struct ipk_broadcast *view, uint64_t *have, int64_t deadline)
{
	int64_t got;

	while ((got = take_part(view, have)) == -EAGAIN || got == 0)
		if (got == -EAGAIN && (got = ipk_broadcast_wait_message(view, deadline)) < 0 && got != -EAGAIN)
			break;
	return got;
}

/* The situations. */

static void stand_by(void)
{
	attach_another(&mine);
}

static void be_amid(void)
{
	attach_another(&mine);
	CHECK_EQ(send_part(&mine, 0, FEW), 0);
}

static void be_reader(void)
{
	attach_another(&mine);
	CHECK_EQ(ipk_broadcast_subscribe(&mine, 0), 0);
}

static void after_a_writer_that_died_amid(void)
{
	make();
	die_after(be_amid);
}

static void write_few(void)
{
	attach_another(&writer);
	CHECK_EQ(send_parts(&writer, FEW, IPK_NEVER), 0);
}

static void write_when_entered(void)
{
	make();
	when_entered(write_few);
}

static int send_many(void)
{
	struct ipk_broadcast own;

	attach_another(&own);
	return send_parts(&own, MANY, IPK_NEVER);
}

/* The survivor makes room as far as it can; the victim, which is a reader too, is in the way. */
static void start_long_message(void)
{
	sleeper = start_sleeper(send_many);
	for (uint64_t i = 0; i < ROOM; i++)
		CHECK_EQ(take_part(&ring, &kept), 0);
}

static void with_a_writer_that_sleeps_amid(void)
{
	make();
	when_entered(start_long_message);
}

/* What the victim does. */

static void send_first_part(void)
{
	send_part(&mine, 0, FEW);
}

static void send_few(void)
{
	for (uint64_t i = 0; i < FEW; i++)
		send_part(&mine, i, FEW);
}

static void send_few_and_wait(void)
{
	send_parts(&mine, FEW, IPK_NEVER);
}

static void send_many_and_wait(void)
{
	send_parts(&mine, MANY, IPK_NEVER);
}

static void give_it_up(void)
{
	ipk_broadcast_end_parts(&mine);
}

static void close_it(void)
{
	ipk_broadcast_close(&mine);
}

static void receive_few(void)
{
	uint64_t have = 0;

	while (take_part(&mine, &have) == 0)
		;
}

static void receive_first_part(void)
{
	uint64_t have = 0;

	take_part(&mine, &have);
}

/* What ends its sleep: the survivor makes room for the rest of the message. */
static void make_room(void)
{
	while (kept < MANY - ROOM && take_part(&ring, &kept) == 0)
		; /* or it died before it had sent so much */
}

/* Others go on: a successor's message comes whole, and nothing of what was not complete. */
static void goes_on(void)
{
	struct ipk_broadcast successor;
	struct ipk_broadcast_stat stat;

	if (writer.shm)
		let_go_of(&writer);
	attach_another(&successor);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(send_parts(&successor, FEW, promised()), 0);
		CHECK_EQ(receive_parts(&ring, &kept, promised()), FEW);
	}
	ipk_broadcast_bury(&ring);
	CHECK_EQ(ipk_broadcast_stat(&ring, &stat), 0);
	CHECK_EQ(stat.producers, 1);
	CHECK_EQ(stat.consumers, 1);
	let_go_of(&successor);
	CHECK_EQ(receive_parts(&ring, &kept, promised()), -EPIPE);
}

/* The victim's message is there, whole, or there never was one; and it is there if it was sent. */
static void after_message(int sent, uint64_t parts)
{
	int64_t got;

	while ((got = take_part(&ring, &kept)) == 0)
		;
	CHECK(got == (int64_t)parts || (got == -EAGAIN && !sent));
	if (got != -EAGAIN)
		CHECK_EQ(take_part(&ring, &kept), -EAGAIN);
	goes_on();
}

static void after_few(int completed)
{
	after_message(completed, FEW);
}

/* It slept until there was room, which may be when it died. */
static void after_many(int completed)
{
	int64_t got;

	while ((got = take_part(&ring, &kept)) == 0)
		;
	CHECK(got == -EAGAIN || got == MANY);
	CHECK(got == MANY || !completed);
	goes_on();
}

static void after_no_message(int completed)
{
	(void)completed;
	while (take_part(&ring, &kept) == 0)
		;
	CHECK(kept < FEW);
	goes_on();
}

static void after_reading(int completed)
{
	(void)completed;
	CHECK_EQ(receive_parts(&ring, &kept, promised()), FEW);
	goes_on();
}

static void after_reading_before_a_writer(int completed)
{
	(void)completed;
	CHECK_EQ(receive_parts(&ring, &kept, promised()), MANY);
	CHECK_EQ(result_of(sleeper), 0);
	goes_on();
}

#define SCENE(name, ...) {"broadcast parts: " name, IPK_SYNC_ONCE, 0, 0, __VA_ARGS__}

static const struct scene scenes[] = {
	SCENE("the first of a message", make, stand_by, send_first_part, NULL, after_no_message),
	SCENE("a message", make, stand_by, send_few, NULL, after_few),
	SCENE("a message, a writer had died amid one", after_a_writer_that_died_amid, stand_by, send_few_and_wait, let_time_pass,
	      after_few),
	SCENE("a message that waits for room", make, stand_by, send_many_and_wait, make_room, after_many),
	SCENE("a message is given up", make, be_amid, give_it_up, NULL, after_no_message),
	SCENE("close amid a message", make, be_amid, close_it, NULL, after_no_message),
	SCENE("receive a message", write_when_entered, be_reader, receive_few, NULL, after_reading),
	SCENE("receive one, its writer sleeps", with_a_writer_that_sleeps_amid, be_reader, receive_first_part, NULL,
	      after_reading_before_a_writer),
	SCENE("close as a reader, a writer sleeps amid a message", with_a_writer_that_sleeps_amid, be_reader, close_it, NULL,
	      after_reading_before_a_writer),
};

const struct scene *const broadcast_parts_scenes = scenes;
const size_t broadcast_parts_scene_count = sizeof(scenes) / sizeof(scenes[0]);
