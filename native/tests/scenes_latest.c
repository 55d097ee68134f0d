/* The newest value. It is no object of synchronisation: the stage makes one that nobody uses, and watches ours beside it. */
#include "latest_values.h"
#include "scenes.h"
#include "support.h"

#define LENGTH 20 /* two words and a half */
#define MAX_SIZE 64
#define SLEEPERS 2

static struct ipk_latest latest; /* of the survivor, a reader unless the scene says otherwise */
static struct ipk_latest mine;   /* of the victim, and of those that die before */
static struct ipk_latest writer; /* of the survivor, where it writes while the victim waits */
static pid_t sleepers[SLEEPERS];

static void make_latest(void)
{
	let_go_of(&writer);
	let_go_of(&latest);
	memset(&latest, 0, sizeof(latest));
	CHECK_EQ(ipk_latest_create(&latest, NULL, MAX_SIZE, 2, 0600), 0);
	ipk_latest_set_spin(&latest, 0);
	also_watch(latest.shm, IPK_LATEST_BUFFERS + ipk_latest_capacity(&latest));
}

static void become_reader(void)
{
	attach_another(&mine, &latest);
}

/* Three values: the next one takes the place of the first but one. */
static void become_writer(void)
{
	attach_another(&mine, &latest);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(send_next(&mine, LENGTH), 0);
}

static void begin_a_value(void)
{
	become_writer();
	CHECK(ipk_latest_reserve(&mine, LENGTH) >= 0);
}

static void after_a_dead_writer(void)
{
	make_latest();
	die_after(begin_a_value);
}

static int receive_one(void)
{
	int64_t got;

	do
		got = receive_checked(&latest, IPK_NEVER);
	while (got >= 0 && got < 4);
	return got < 0 ? (int)got : 0;
}

static void start_sleepers(void)
{
	for (int i = 0; i < SLEEPERS; i++)
		sleepers[i] = start_sleeper(receive_one);
}

static void make_with_sleepers(void)
{
	make_latest();
	when_entered(start_sleepers);
}

static void send_it(void)
{
	send_next(&mine, LENGTH);
}

static void send_in_place(void)
{
	int64_t at = ipk_latest_reserve(&mine, MAX_SIZE);

	if (at < 0)
		return;
	compose((unsigned char *)ipk_latest_buffers(&mine) + at, mine.own + 1, LENGTH);
	ipk_latest_commit(&mine, LENGTH);
}

static void reserve_and_abort(void)
{
	ipk_latest_reserve(&mine, LENGTH);
	ipk_latest_abort(&mine);
}

static void close_it(void)
{
	ipk_latest_close(&mine);
}

static void read_it(void)
{
	read_checked(&mine, 0);
}

static void receive_it(void)
{
	receive_checked(&mine, IPK_NEVER);
}

/* Another one takes the role, and readers get its values, one after the other. */
static void goes_on(uint64_t newest)
{
	struct ipk_latest successor;
	struct ipk_latest_stat stat;

	if (newest > 0)
		CHECK_EQ(read_checked(&latest, 0), newest);
	else
		CHECK_EQ(read_checked(&latest, 0), -ENODATA);
	attach_another(&successor, &latest);
	for (uint64_t i = 1; i <= 4; i++) {
		CHECK_EQ(send_next(&successor, LENGTH + i), 0);
		CHECK_EQ(receive_checked(&latest, promised()), newest + i);
	}
	CHECK_EQ(ipk_latest_stat(&latest, &stat), 0);
	CHECK_EQ(stat.sequence, newest + 4);
	CHECK_EQ(stat.writers, 1);
	let_go_of(&successor);
	CHECK_EQ(receive_checked(&latest, promised()), -EPIPE);
}

/* What the newest value is, as the readers that there are see it. It is whole. */
static uint64_t newest(void)
{
	int64_t got = read_checked(&latest, 0);

	CHECK(got > 0 || got == -ENODATA);
	return got > 0 ? (uint64_t)got : 0;
}

static void after_first_send(int completed)
{
	uint64_t sent = newest();

	CHECK_RANGE(sent, completed, 1);
	goes_on(sent);
}

static void after_send(int completed)
{
	uint64_t sent = newest();

	CHECK_RANGE(sent, 3 + completed, 4);
	goes_on(sent);
}

static void after_send_to_sleepers(int completed)
{
	uint64_t sent = newest();

	CHECK_RANGE(sent, 3 + completed, 4);
	for (int i = 0; i < SLEEPERS; i++)
		CHECK_EQ(result_of(sleepers[i]), sent == 4 ? 0 : -EOWNERDEAD);
	goes_on(sent);
}

static void after_abort(int completed)
{
	(void)completed;
	CHECK_EQ(newest(), 3);
	goes_on(3);
}

static void after_close(int completed)
{
	uint64_t got = newest();
	int64_t end;

	CHECK_EQ(got, 3);
	end = receive_checked(&latest, promised());
	CHECK(end == -EPIPE || (end == -EOWNERDEAD && !completed));
	goes_on(3);
}

static void after_close_before_sleepers(int completed)
{
	for (int i = 0; i < SLEEPERS; i++) {
		int end = result_of(sleepers[i]);

		CHECK(end == -EPIPE || (end == -EOWNERDEAD && !completed));
	}
	after_close(completed);
}

static void make_with_values(void)
{
	make_latest();
	memset(&writer, 0, sizeof(writer));
	attach_another(&writer, &latest);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(send_next(&writer, LENGTH), 0);
}

static void become_reader_of_all(void)
{
	become_reader();
	CHECK_EQ(read_checked(&mine, 1), 3);
}

static void send_another(void)
{
	CHECK_EQ(send_next(&writer, LENGTH), 0);
}

static void end_writer(void)
{
	let_go_of(&writer);
}

/* A reader is nothing to the writer: it goes on as if nobody had died. */
static void after_read(int completed)
{
	struct ipk_latest_stat stat;
	uint64_t before = newest();

	(void)completed;
	if (writer.shm)
		for (uint64_t i = 1; i <= 4; i++) {
			CHECK_EQ(send_next(&writer, LENGTH), 0);
			CHECK_EQ(receive_checked(&latest, promised()), before + i);
		}
	CHECK_EQ(ipk_latest_stat(&latest, &stat), 0);
	CHECK_RANGE(stat.wakes, 0, 2); /* of a word that the dead had set, once; and of the wake-up that it got */
	let_go_of(&writer);
	goes_on(stat.sequence);
}

static void after_reading_the_dead(int completed)
{
	(void)completed;
	CHECK_EQ(newest(), 3);
	CHECK_EQ(receive_checked(&latest, promised()), -EOWNERDEAD);
	goes_on(3);
}

#define SCENE(name, ...) {"latest: " name, IPK_SYNC_ONCE, 0, 0, __VA_ARGS__}

static const struct scene scenes[] = {
	SCENE("the first value", make_latest, become_reader, send_it, NULL, after_first_send),
	SCENE("a value", make_latest, become_writer, send_it, NULL, after_send),
	SCENE("a value, readers sleep", make_with_sleepers, become_writer, send_it, NULL, after_send_to_sleepers),
	SCENE("a value, a dead writer had begun one", after_a_dead_writer, become_reader, send_it, NULL, after_send),
	SCENE("a value in place", make_latest, become_writer, send_in_place, NULL, after_send),
	SCENE("a value in place, readers sleep", make_with_sleepers, become_writer, send_in_place, NULL, after_send_to_sleepers),
	SCENE("a value in place that is given up", make_latest, become_writer, reserve_and_abort, NULL, after_abort),
	SCENE("close", make_latest, become_writer, close_it, NULL, after_close),
	SCENE("close, readers sleep", make_with_sleepers, become_writer, close_it, NULL, after_close_before_sleepers),
	SCENE("read", make_with_values, become_reader, read_it, NULL, after_read),
	SCENE("wait for a value", make_with_values, become_reader_of_all, receive_it, send_another, after_read),
	SCENE("wait, the writer closes", make_with_values, become_reader_of_all, receive_it, end_writer, after_read),
	SCENE("wait, the writer is dead", after_a_dead_writer, become_reader_of_all, receive_it, let_time_pass, after_reading_the_dead),
};

const struct scene *const latest_scenes = scenes;
const size_t latest_scene_count = sizeof(scenes) / sizeof(scenes[0]);
