/* bench_spsc [SECONDS]: what the ring itself costs, between two processes.
 *
 * One-way messages per second, and round trips of 64 bytes over two rings; both processes on one CPU, and on two. Messages
 * are copied in and copied out; or handed over in place, where each side touches the first and the last byte only.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipckit/spsc.h"

#define CAPACITY (UINT64_C(1) << 20)
#define LARGEST 1048576
#define MESSAGES 4 /* that the ring holds at the least */
#define ROUND_TRIP_BYTES 64
#define ROUND_TRIPS_MAX 1000000
#define REPEATS 5
#define CHECK_CLOCK_EVERY 256
#define IN_PLACE_FROM 65536

static unsigned char out[LARGEST], in[LARGEST];
static int64_t trips[ROUND_TRIPS_MAX];

static void fail(const char *what, int64_t rc)
{
	fprintf(stderr, "%s: %s\n", what, strerror((int)-rc));
	exit(1);
}

static void send_one(struct ipk_spsc *ring, uint64_t length)
{
	int rc;

	while ((rc = ipk_spsc_try_send(ring, out, length)) == -EAGAIN) {
		rc = ipk_spsc_wait_room(ring, length, IPK_NEVER);
		if (rc < 0 && rc != -EAGAIN)
			fail("wait_room", rc);
	}
	if (rc < 0)
		fail("try_send", rc);
}

static void reserve_one(struct ipk_spsc *ring, uint64_t length)
{
	struct ipk_spsc_part given;
	unsigned char *room;
	int rc;

	while ((rc = ipk_spsc_try_reserve(ring, length, &given)) == -EAGAIN) {
		rc = ipk_spsc_wait_room(ring, length, IPK_NEVER);
		if (rc < 0 && rc != -EAGAIN)
			fail("wait_room", rc);
	}
	if (rc < 0)
		fail("try_reserve", rc);
	room = (unsigned char *)ipk_spsc_data(ring) + given.offset;
	room[0] = out[0];
	room[length - 1] = out[length - 1];
	rc = ipk_spsc_commit(ring, length);
	if (rc < 0)
		fail("commit", rc);
}

/* Returns -EPIPE at the end of the stream, else the loan. */
static int64_t lend_one(struct ipk_spsc *ring)
{
	int64_t lent;

	while ((lent = ipk_spsc_try_receive(ring)) == -EAGAIN) {
		int rc = ipk_spsc_wait_message(ring, IPK_NEVER);

		if (rc == -EPIPE)
			return rc;
		if (rc < 0 && rc != -EAGAIN)
			fail("wait_message", rc);
	}
	if (lent < 0)
		fail("try_receive", lent);
	return lent;
}

/* Returns 0 at the end of the stream. */
static int receive_one(struct ipk_spsc *ring)
{
	int64_t lent = lend_one(ring);

	if (lent < 0)
		return 0;
	memcpy(in, (unsigned char *)ipk_spsc_data(ring) + (lent >> 32), (size_t)(lent & UINT32_MAX));
	ipk_spsc_release(ring);
	return 1;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		fail("sched_setaffinity", -errno);
}

/* The first and the last CPU that we may use. */
static int find_cpus(int cpus[2])
{
	cpu_set_t set;
	int found = 0;

	sched_getaffinity(0, sizeof(set), &set);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET((unsigned)cpu, &set)) {
			cpus[found > 0] = cpu;
			found++;
		}
	}
	return found;
}

static void make(struct ipk_spsc *ring, uint64_t capacity)
{
	int rc;

	memset(ring, 0, sizeof(*ring));
	rc = ipk_spsc_create(ring, NULL, capacity, 0, 0600);
	if (rc < 0)
		fail("create", rc);
}

static void drop(struct ipk_spsc *ring)
{
	ipk_spsc_close(ring);
	ipk_spsc_unmap(ring);
}

static pid_t peer(void (*function)(struct ipk_spsc *, struct ipk_spsc *), struct ipk_spsc *a, struct ipk_spsc *b, int cpu)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(cpu);
	function(a, b);
	_exit(0);
}

static void drain(struct ipk_spsc *ring, struct ipk_spsc *unused)
{
	(void)unused;
	while (receive_one(ring))
		;
	ipk_spsc_close(ring);
}

static void look(struct ipk_spsc *ring, struct ipk_spsc *unused)
{
	int64_t lent;

	(void)unused;
	while ((lent = lend_one(ring)) >= 0) {
		const unsigned char *message = (unsigned char *)ipk_spsc_data(ring) + (lent >> 32);

		in[0] = message[0];
		in[1] = message[(lent & UINT32_MAX) - 1];
		ipk_spsc_release(ring);
	}
	ipk_spsc_close(ring);
}

/* Messages per second: from the first send until the last message has been received. */
static double one_way(uint64_t length, int64_t ns, const int cpus[2], int in_place)
{
	const uint64_t capacity = MESSAGES * length > CAPACITY ? MESSAGES * length : CAPACITY;
	void (*const put)(struct ipk_spsc *, uint64_t) = in_place ? reserve_one : send_one;
	struct ipk_spsc ring;
	uint64_t count = 0;
	int64_t began, now;
	pid_t pid;
	int rc;

	make(&ring, capacity);
	pid = peer(in_place ? look : drain, &ring, NULL, cpus[1]);
	pin(cpus[0]);
	put(&ring, length); /* the peer is there when a ringful has gone */
	while (ipk_spsc_wait_room(&ring, capacity - IPK_SPSC_RECORD_HEADER, IPK_NEVER) == -EAGAIN)
		;
	began = ipk_monotonic_ns();
	do {
		for (int i = 0; i < CHECK_CLOCK_EVERY; i++)
			put(&ring, length);
		count += CHECK_CLOCK_EVERY;
		now = ipk_monotonic_ns();
	} while (now - began < ns);
	do /* all of it is free again: all has been received */
		rc = ipk_spsc_wait_room(&ring, capacity - IPK_SPSC_RECORD_HEADER, IPK_NEVER);
	while (rc == -EAGAIN);
	now = ipk_monotonic_ns();
	drop(&ring);
	waitpid(pid, NULL, 0);
	return (double)count * 1e9 / (double)(now - began);
}

static void echo(struct ipk_spsc *to, struct ipk_spsc *from)
{
	while (receive_one(to))
		send_one(from, ROUND_TRIP_BYTES);
	ipk_spsc_close(from);
}

static int by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void round_trip(int64_t ns, const int cpus[2], const char *placement)
{
	struct ipk_spsc to, from;
	int64_t began;
	size_t count = 0;
	pid_t pid;

	make(&to, CAPACITY);
	make(&from, CAPACITY);
	pid = peer(echo, &to, &from, cpus[1]);
	pin(cpus[0]);
	for (int i = 0; i < 1000; i++) { /* warm-up */
		send_one(&to, ROUND_TRIP_BYTES);
		receive_one(&from);
	}
	began = ipk_monotonic_ns();
	while (count < ROUND_TRIPS_MAX && ipk_monotonic_ns() - began < ns) {
		int64_t start = ipk_monotonic_ns();

		send_one(&to, ROUND_TRIP_BYTES);
		receive_one(&from);
		trips[count++] = ipk_monotonic_ns() - start;
	}
	ipk_spsc_close(&to);
	waitpid(pid, NULL, 0);
	drop(&from);
	drop(&to);
	qsort(trips, count, sizeof(trips[0]), by_time);
	printf("round trip  %6d B  %-5s  p50 %8.2f us  p99 %8.2f us  (%zu round trips)\n", ROUND_TRIP_BYTES, placement,
	       (double)trips[count / 2] / 1e3, (double)trips[count * 99 / 100] / 1e3, count);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void report_one_way(uint64_t length, double seconds, const int cpus[2], const char *placement, int in_place)
{
	double rates[REPEATS];

	for (int repeat = 0; repeat < REPEATS; repeat++)
		rates[repeat] = one_way(length, (int64_t)(seconds * 1e9), cpus, in_place);
	qsort(rates, REPEATS, sizeof(rates[0]), by_value);
	printf("%-8s  %8d B  %-5s  %8.3f M msg/s  %8.3f GB/s  (%.3f to %.3f)\n", in_place ? "in place" : "one way", (int)length,
	       placement, rates[REPEATS / 2] / 1e6, rates[REPEATS / 2] * (double)length / 1e9, rates[0] / 1e6,
	       rates[REPEATS - 1] / 1e6);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const uint64_t sizes[] = {8, 64, 1024, 65536, LARGEST};
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 0.3;
	int cpus[2];
	int count = find_cpus(cpus);
	int placements[2][2] = {{cpus[0], cpus[0]}, {cpus[0], cpus[1]}};

	printf("ring of %d KiB, and of %d messages at the least; %d repeats of %.1f s each: median, least and most\n",
	       (int)(CAPACITY >> 10), MESSAGES, REPEATS, seconds);
	for (int cross = 0; cross < (count > 1 ? 2 : 1); cross++) {
		const char *placement = cross ? "cross" : "same";

		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			report_one_way(sizes[i], seconds, placements[cross], placement, 0);
			if (sizes[i] >= IN_PLACE_FROM)
				report_one_way(sizes[i], seconds, placements[cross], placement, 1);
		}
		round_trip((int64_t)(seconds * 1e9), placements[cross], placement);
	}
	if (count == 1)
		puts("cross: this machine lets us use one CPU only");
	return 0;
}
