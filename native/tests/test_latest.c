/* latest.h: values, roles, waits, what stopped and killed processes leave, and garbage. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "latest_values.h"
#include "support.h"

#define MS INT64_C(1000000)
#define MAX_SIZE 1000

static struct ipk_latest latest; /* of this process; children inherit it */
static _Atomic uint32_t *checkpoint;

static void make(uint64_t max_size, uint64_t buffers)
{
	memset(&latest, 0, sizeof(latest));
	CHECK_EQ(ipk_latest_create(&latest, NULL, max_size, buffers, 0600), 0);
	ipk_latest_set_spin(&latest, 0);
	atomic_store(checkpoint, 0);
}

static void drop(void)
{
	let_go_of(&latest);
}

static struct ipk_latest_stat stat_of(struct ipk_latest *view)
{
	struct ipk_latest_stat stat;

	CHECK_EQ(ipk_latest_stat(view, &stat), 0);
	return stat;
}

static void geometry_is_bounded(void)
{
	const struct {
		uint64_t max_size, buffers;
		int rc;
	} cases[] = {
		{0, 4, -EINVAL}, {(uint64_t)IPK_LATEST_MAX_SIZE + 1, 4, -EINVAL}, {UINT64_MAX, 4, -EINVAL}, {8, 1, -EINVAL},
		{8, 65, -EINVAL}, {1, 2, 0}, {96, 64, 0}, {97, 3, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(&latest, 0, sizeof(latest));
		CHECK_EQ(ipk_latest_create(&latest, NULL, cases[i].max_size, cases[i].buffers, 0600), cases[i].rc);
		if (cases[i].rc < 0)
			continue;
		CHECK_EQ(latest.stride, cases[i].max_size <= 96 ? 128 : 256);
		CHECK_EQ(ipk_latest_capacity(&latest), cases[i].buffers * latest.stride);
		for (uint64_t n = 1; n <= 2 * cases[i].buffers; n++) {
			CHECK_EQ(send_next(&latest, cases[i].max_size), 0);
			CHECK_EQ(read_checked(&latest, 1), n);
		}
		drop();
	}
}

static void every_length_comes_whole(void)
{
	unsigned char value[MAX_SIZE + 1] = {0}, into[MAX_SIZE + 1];
	struct ipk_latest_value found;

	make(MAX_SIZE, 3);
	CHECK_EQ(ipk_latest_read(&latest, 0, into, MAX_SIZE, &found), -ENODATA);
	CHECK_EQ(ipk_latest_read(&latest, 1, into, MAX_SIZE, &found), -EAGAIN);
	for (uint64_t length = 0; length <= MAX_SIZE; length += length < 40 ? 1 : 37) {
		CHECK_EQ(send_next(&latest, length), 0);
		memset(into, 0x5A, sizeof(into));
		CHECK_EQ(ipk_latest_read(&latest, 1, into, MAX_SIZE, &found), 0);
		CHECK_EQ(found.length, length);
		CHECK_RANGE(ipk_monotonic_ns() - found.written_ns, 0, 60000 * MS);
		check_content(into, found.sequence, length);
		for (uint64_t i = length; i < sizeof(into); i++)
			CHECK_EQ(into[i], 0x5A);
		CHECK_EQ(read_checked(&latest, 1), -EAGAIN);
		CHECK_EQ(read_checked(&latest, 0), found.sequence);
		if (length > 0) {
			CHECK_EQ(ipk_latest_read(&latest, 0, into, length - 1, &found), -EMSGSIZE);
			CHECK_EQ(found.length, length);
		}
	}
	CHECK_EQ(ipk_latest_send(&latest, value, MAX_SIZE + 1), -EMSGSIZE);
	CHECK_EQ(ipk_latest_reserve(&latest, MAX_SIZE + 1), -EMSGSIZE);
	CHECK_EQ(stat_of(&latest).sequence, ipk_latest_seen(&latest));
	drop();
}

/* Too small a buffer takes nothing away: the value is still new. */
static void what_did_not_fit_is_still_new(void)
{
	unsigned char into[8];
	struct ipk_latest_value found;

	make(64, 2);
	CHECK_EQ(send_next(&latest, 9), 0);
	CHECK_EQ(ipk_latest_read(&latest, 1, into, sizeof(into), &found), -EMSGSIZE);
	CHECK_EQ(read_checked(&latest, 1), 1);
	drop();
}

static void a_copy_that_was_overtaken_is_refused(void)
{
	unsigned char into[64];
	struct ipk_latest_value found;

	for (uint64_t buffers = 2; buffers <= 4; buffers++) {
		make(64, buffers);
		CHECK_EQ(send_next(&latest, 64), 0);
		CHECK_EQ(ipk_latest_look(&latest, 1, &found), 0);
		for (uint64_t more = 1; more < buffers; more++) {
			CHECK_EQ(send_next(&latest, 64), 0);
			CHECK_EQ(ipk_latest_copy(&latest, 0, &found, into), 0); /* all others were filled, not this one */
			check_content(into, 1, 64);
		}
		CHECK(ipk_latest_reserve(&latest, 64) >= 0); /* begun is enough */
		CHECK_EQ(ipk_latest_copy(&latest, 0, &found, into), -ESTALE);
		CHECK_EQ(ipk_latest_abort(&latest), 0);
		CHECK_EQ(ipk_latest_copy(&latest, 0, &found, into), -ESTALE);
		CHECK_EQ(read_checked(&latest, 1), buffers);
		drop();
	}
}

static void in_place(void)
{
	int64_t at;

	make(64, 2);
	CHECK_EQ(ipk_latest_commit(&latest, 0), -EPERM);
	CHECK_EQ(ipk_latest_abort(&latest), -EPERM);
	CHECK_EQ(send_next(&latest, 10), 0);
	for (uint64_t n = 2; n < 20; n++) {
		at = ipk_latest_reserve(&latest, 64);
		CHECK_EQ(at, n % 2 * latest.stride + IPK_LATEST_DATA);
		CHECK_EQ(ipk_latest_reserve(&latest, 1), -EBUSY);
		CHECK_EQ(send_next(&latest, 1), -EBUSY);
		compose((unsigned char *)ipk_latest_buffers(&latest) + at, n, n);
		CHECK_EQ(read_checked(&latest, 0), n - 1); /* not before the commit */
		CHECK_EQ(ipk_latest_commit(&latest, 65), -EINVAL);
		CHECK_EQ(ipk_latest_commit(&latest, n), 0);
		CHECK_EQ(read_checked(&latest, 1), n);
		CHECK(ipk_latest_reserve(&latest, 64) >= 0);
		CHECK_EQ(ipk_latest_abort(&latest), 0);
		CHECK_EQ(read_checked(&latest, 1), -EAGAIN);
		CHECK_EQ(read_checked(&latest, 0), n);
	}
	drop();
}

static void one_writer_at_a_time(void)
{
	struct ipk_latest second;

	make(64, 4);
	attach_another(&second, &latest);
	CHECK_EQ(stat_of(&second).writers, 0);
	CHECK_EQ(ipk_latest_wait(&second, 0), -ETIMEDOUT); /* nobody has written yet: that is no end */
	CHECK_EQ(send_next(&latest, 8), 0);
	CHECK_EQ(stat_of(&second).writers, 1);
	CHECK_EQ(send_next(&second, 8), -EBUSY);
	CHECK_EQ(ipk_latest_reserve(&second, 8), -EBUSY);
	CHECK_EQ(read_checked(&second, 1), 1);
	CHECK_EQ(ipk_latest_wait(&second, 0), -ETIMEDOUT);
	ipk_latest_close(&latest);
	CHECK_EQ(send_next(&latest, 8), -EBADF);
	CHECK_EQ(read_checked(&latest, 0), -EBADF);
	CHECK_EQ(ipk_latest_wait(&latest, 0), -EBADF);
	CHECK_EQ(ipk_latest_wait(&second, 0), -EPIPE);
	CHECK_EQ(read_checked(&second, 0), 1); /* the value outlives its writer */
	CHECK_EQ(send_next(&second, 8), 0);
	CHECK_EQ(receive_checked(&second, 0), 2);
	CHECK_EQ(stat_of(&second).recoveries, 0);
	let_go_of(&second);
	drop();
}

static void *poll_for_value(void *view)
{
	return (void *)(intptr_t)ipk_latest_wait(view, 0);
}

/* The role is open at the first look, and given back when the kernel is asked: that is a close all the same. */
static void a_close_amid_a_look_is_no_death(void)
{
	struct ipk_latest second;
	pthread_t thread;
	void *rc;

	make(64, 4);
	attach_another(&second, &latest);
	CHECK_EQ(send_next(&latest, 8), 0);
	CHECK_EQ(read_checked(&second, 1), 1);
	stop_reader(ipk_segment_header(&second.segment)); /* where it says who has the role */
	CHECK_EQ(pthread_create(&thread, NULL, poll_for_value, &second), 0);
	wait_stopped_there();
	ipk_latest_close(&latest);
	let_go_on();
	CHECK_EQ(pthread_join(thread, &rc), 0);
	CHECK_EQ((intptr_t)rc, -EPIPE);
	let_go_of(&second);
	drop();
}

static void write_and_stay(void *buffers)
{
	struct ipk_latest own;

	attach_another(&own, &latest);
	for (uint64_t n = 1; n <= (uint64_t)(uintptr_t)buffers + 1; n++)
		CHECK_EQ(send_next(&own, 50), 0);
	CHECK(ipk_latest_reserve(&own, 50) >= 0);
	memset(own.buffers + own.stride * ((own.own + 1) % own.count) + IPK_LATEST_DATA, 0xEE, 50);
	stay();
}

/* Killed amid a value: the one before is the newest. Stopped amid a value: nobody else writes, and readers go on reading. */
static void writer_killed_or_stopped(void)
{
	for (uint64_t buffers = 2; buffers < 5; buffers++) {
		pid_t pid;

		make(64, buffers);
		pid = start(write_and_stay, (void *)(uintptr_t)buffers);
		wait_staying(pid);
		kill(pid, SIGSTOP);
		wait_stopped(pid);
		CHECK_EQ(receive_checked(&latest, IPK_NEVER), buffers + 1);
		CHECK_EQ(receive_checked(&latest, ipk_monotonic_ns() + 60 * MS), -ETIMEDOUT);
		CHECK_EQ(send_next(&latest, 50), -EBUSY);
		CHECK_EQ(stat_of(&latest).writers, 1);
		kill_child(pid);
		CHECK_EQ(receive_checked(&latest, IPK_NEVER), -EOWNERDEAD);
		CHECK_EQ(read_checked(&latest, 0), buffers + 1);
		CHECK_EQ(send_next(&latest, 50), 0);
		CHECK_EQ(receive_checked(&latest, IPK_NEVER), buffers + 2);
		CHECK_EQ(stat_of(&latest).recoveries, 1);
		drop();
	}
}

static void receive_and_end(void *number)
{
	struct ipk_latest own;

	attach_another(&own, &latest);
	CHECK_EQ(receive_checked(&own, IPK_NEVER), (uintptr_t)number);
}

/* All that sleep are woken by one value, and a writer calls the kernel only where somebody sleeps. */
static void sleepers_are_woken(void)
{
	pid_t pids[3];

	make(64, 4);
	CHECK_EQ(send_next(&latest, 8), 0);
	CHECK_EQ(read_checked(&latest, 1), 1);
	for (uint64_t n = 2; n < 10; n++)
		CHECK_EQ(send_next(&latest, 8), 0);
	CHECK_EQ(stat_of(&latest).wakes, 0);
	drop();
	make(64, 4);
	for (int i = 0; i < 3; i++)
		pids[i] = start(receive_and_end, (void *)1);
	for (int i = 0; i < 3; i++)
		wait_blocked(pids[i], SYS_futex, ANY_ADDRESS);
	CHECK_EQ(send_next(&latest, 8), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(reap(pids[i]), 0);
	CHECK_RANGE(stat_of(&latest).wakes, 0, 1); /* none, if all three were awake between two slices */
	CHECK(stat_of(&latest).empty_waits >= 3);
	drop();
}

static void sleep_without_slices(void *unused)
{
	struct ipk_sleepers_shm *sleepers = &latest.shm->asleep.sleepers;

	(void)unused;
	CHECK_EQ(ipk_sleepers_sleep(sleepers, ipk_sleepers_announce(sleepers), IPK_NEVER), 0);
}

/* A sleeper looks around by itself after a slice, which would hide that nobody woke it: these would sleep for ever. */
static void wakers_do_call_the_kernel(void)
{
	pid_t pid;

	make(64, 4);
	for (int closes = 0; closes <= 1; closes++) {
		pid = start(sleep_without_slices, NULL);
		wait_blocked(pid, SYS_futex, &latest.shm->asleep.sleepers.word);
		if (closes)
			ipk_latest_close(&latest);
		else
			CHECK_EQ(send_next(&latest, 8), 0);
		CHECK_EQ(reap(pid), 0);
	}
	drop();
}

static void timeouts_are_never_early(void)
{
	make(64, 2);
	for (int sent = 0; sent <= 1; sent++) {
		CHECK_EQ(ipk_latest_wait(&latest, INT64_MIN), -ETIMEDOUT);
		for (int ms = 0; ms <= 120; ms += 40) {
			int64_t deadline = ipk_monotonic_ns() + ms * MS;

			CHECK_EQ(receive_checked(&latest, deadline), -ETIMEDOUT);
			CHECK(ipk_monotonic_ns() >= deadline);
		}
		CHECK_EQ(ipk_latest_wait(&latest, IPK_NEVER), -EAGAIN); /* no deadline: one slice at a time */
		CHECK_EQ(send_next(&latest, 8), 0);
		CHECK_EQ(ipk_latest_wait(&latest, 0), 0); /* what is there is there, deadline or not */
		CHECK_EQ(read_checked(&latest, 1), sent + 1);
	}
	CHECK_EQ(ipk_latest_overtaken(&latest, 0), -ETIMEDOUT);
	CHECK_EQ(ipk_latest_overtaken(&latest, IPK_NEVER), -EAGAIN);
	CHECK_EQ(stat_of(&latest).overtaken, 2);
	drop();
}

static void use_in_child(void *unused)
{
	(void)unused;
	CHECK_EQ(read_checked(&latest, 0), 1);
	CHECK_EQ(ipk_latest_commit(&latest, 8), -EPERM); /* the reservation is the parent's */
	CHECK_EQ(send_next(&latest, 8), -EBUSY);
	ipk_latest_close(&latest);
}

static void forked_child_reads_and_has_no_role(void)
{
	make(64, 2);
	CHECK_EQ(send_next(&latest, 8), 0);
	CHECK(ipk_latest_reserve(&latest, 8) >= 0);
	CHECK_EQ(reap(start(use_in_child, NULL)), 0);
	CHECK_EQ(ipk_latest_abort(&latest), 0);
	CHECK_EQ(send_next(&latest, 8), 0);
	CHECK_EQ(stat_of(&latest).writers, 1);
	drop();
}

/* Two processes write and read as fast as they can: what is read is whole, and in order. */
static void write_on(void *unused)
{
	struct ipk_latest own;

	(void)unused;
	attach_another(&own, &latest);
	for (uint64_t n = 1; !atomic_load(checkpoint); n++)
		CHECK_EQ(send_next(&own, n % MAX_SIZE), 0);
}

static void reads_beside_a_busy_writer(void)
{
	for (uint64_t buffers = 2; buffers <= 4; buffers += 2) {
		int64_t end = ipk_monotonic_ns() + 300 * MS;
		uint64_t last = 0, got = 0;
		pid_t pid;

		make(MAX_SIZE, buffers);
		pid = start(write_on, NULL);
		while (ipk_monotonic_ns() < end || got < 100) {
			int64_t rc = receive_checked(&latest, IPK_NEVER);

			CHECK(rc > (int64_t)last);
			last = (uint64_t)rc;
			got++;
		}
		atomic_store(checkpoint, 1);
		CHECK_EQ(reap(pid), 0);
		printf("    %llu buffers: read %llu of %llu values, overtaken %llu times\n", (unsigned long long)buffers,
		       (unsigned long long)got, (unsigned long long)last, (unsigned long long)stat_of(&latest).overtaken);
		drop();
	}
}

/* Whatever a peer writes into the segment: an error or a garbage value, within the mapping, and within the time. */
static void garbage(void)
{
	uint64_t seed = random_seed(), answers[3] = {0};
	unsigned char into[64];
	struct ipk_latest_value found;
	uint64_t words;

	make(64, 3);
	words = (IPK_LATEST_BUFFERS + ipk_latest_capacity(&latest)) / 8;
	for (int round = 0; round < 300000; round++) {
		_Atomic uint64_t *at = (_Atomic uint64_t *)(void *)latest.shm + random_below(&seed, words);
		uint64_t value = random_next(&seed) >> random_below(&seed, 64);
		int64_t rc;

		switch (random_below(&seed, 6)) {
		case 0:
			rc = send_next(&latest, random_below(&seed, 66));
			CHECK(rc == 0 || rc == -EMSGSIZE);
			break;
		case 1:
			atomic_store(&latest.seen, random_below(&seed, 3) ? 0 : value);
			break;
		case 2:
			atomic_store(random_below(&seed, 2) ? &latest.shm->index.sequence : at, value);
			break;
		case 3:
			atomic_store(at, random_below(&seed, 80));
			break;
		default:
			rc = ipk_latest_read(&latest, (int)random_below(&seed, 2), into, random_below(&seed, 65), &found);
			CHECK(rc == 0 || rc == -EAGAIN || rc == -ENODATA || rc == -ESTALE || rc == -EBADMSG || rc == -EMSGSIZE);
			CHECK(rc != 0 || found.length <= sizeof(into));
			answers[rc == 0 ? 0 : rc == -EBADMSG ? 1 : 2]++;
			rc = ipk_latest_wait(&latest, 0);
			CHECK(rc == 0 || rc == -ETIMEDOUT || rc == -EPIPE || rc == -EOWNERDEAD);
		}
	}
	printf("    %llu reads went well, %llu found corruption, %llu other\n", (unsigned long long)answers[0],
	       (unsigned long long)answers[1], (unsigned long long)answers[2]);
	CHECK(answers[0] > 0 && answers[1] > 0 && answers[2] > 0);
	drop();
}

/* An opener believes no geometry that the file's size contradicts. */
static void lying_geometry(void)
{
	const uint64_t lies[][2] = {{0, 3}, {64, 0}, {64, 2}, {64, 4}, {640, 3}, {UINT64_MAX, 3}, {64, UINT64_MAX}, {97, 3}};
	struct ipk_latest other;

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		make(64, 3);
		latest.shm->geometry.max_size = lies[i][0];
		latest.shm->geometry.buffers = lies[i][1];
		memset(&other, 0, sizeof(other));
		CHECK_EQ(ipk_latest_attach(&other, fcntl(latest.segment.fd, F_DUPFD_CLOEXEC, 3)), -EPROTO);
		CHECK_EQ(send_next(&latest, 64), 0); /* who has read it already does not read it again */
		drop();
	}
}

static void named_and_nothing_left(void)
{
	int descriptors = open_descriptors(), maps = mappings();
	char path[NAME_SIZE];
	struct ipk_latest other;

	fresh_name(path);
	memset(&latest, 0, sizeof(latest));
	memset(&other, 0, sizeof(other));
	CHECK_EQ(ipk_latest_create(&latest, path, 64, 2, 0600), 0);
	CHECK_EQ(ipk_latest_create(&other, path, 64, 2, 0600), -EEXIST);
	CHECK_EQ(ipk_latest_attach(&other, open(path, O_RDWR | O_CLOEXEC)), 0);
	CHECK_EQ(send_next(&other, 8), 0);
	CHECK_EQ(receive_checked(&latest, IPK_NEVER), 1);
	let_go_of(&other);
	CHECK_EQ(ipk_latest_seen(&latest), 1);
	drop();
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(open_descriptors(), descriptors);
	CHECK_EQ(mappings(), maps);
}

int main(void)
{
	checkpoint = shared_memory(sizeof(*checkpoint));
	RUN(geometry_is_bounded);
	RUN(every_length_comes_whole);
	RUN(what_did_not_fit_is_still_new);
	RUN(a_copy_that_was_overtaken_is_refused);
	RUN(in_place);
	RUN(one_writer_at_a_time);
	RUN(a_close_amid_a_look_is_no_death);
	RUN(writer_killed_or_stopped);
	RUN(sleepers_are_woken);
	RUN(wakers_do_call_the_kernel);
	RUN(timeouts_are_never_early);
	RUN(forked_child_reads_and_has_no_role);
	RUN(reads_beside_a_busy_writer);
	RUN(garbage);
	RUN(lying_geometry);
	RUN(named_and_nothing_left);
	return 0;
}
