/* What a write and a read of the newest value cost: alone, and beside a process of the other kind that does nothing else.
 *
 * usage: bench_latest [BUFFERS]     4 by default
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipckit/latest.h"

#define LARGEST (1 << 20)
#define TIME_NS INT64_C(200000000)
#define ROUNDS 100

static struct ipk_latest latest;
static unsigned char value[LARGEST], copy[LARGEST];

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	sched_setaffinity(0, sizeof(set), &set); /* where there is only one CPU, both share it */
}

static void must(int rc)
{
	if (rc < 0) {
		fprintf(stderr, "bench_latest: %s\n", strerror(-rc));
		exit(1);
	}
}

static void write_one(uint64_t size)
{
	must(ipk_latest_send(&latest, value, size));
}

static void read_one(uint64_t size)
{
	struct ipk_latest_value found;
	int rc;

	while ((rc = ipk_latest_read(&latest, 0, copy, size, &found)) == -ESTALE)
		ipk_latest_overtaken(&latest, IPK_NEVER);
	must(rc);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Nanoseconds of one call: the median of some rounds. */
static double cost(void (*one)(uint64_t size), uint64_t size)
{
	double rounds[ROUNDS];

	for (int round = 0; round < ROUNDS; round++) {
		int64_t start = ipk_monotonic_ns(), end;
		uint64_t count = 0;

		do {
			for (int i = 0; i < 16; i++)
				one(size);
			count += 16;
		} while ((end = ipk_monotonic_ns()) - start < TIME_NS / ROUNDS);
		rounds[round] = (double)(end - start) / (double)count;
	}
	qsort(rounds, ROUNDS, sizeof(rounds[0]), compare);
	return rounds[ROUNDS / 2];
}

/* The same, while another process does the other thing all the time. */
static double cost_beside(void (*one)(uint64_t size), void (*other)(uint64_t size), uint64_t size)
{
	pid_t pid;
	double ns;

	pid = fork();
	if (pid == 0) {
		pin(1);
		for (;;)
			other(size);
	}
	pin(0);
	usleep(20000); /* it has begun: a benchmark needs no more certainty */
	ns = cost(one, size);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return ns;
}

int main(int count, char **words)
{
	const uint64_t sizes[] = {8, 64, 1024, 16384, 65536, LARGEST};
	uint64_t buffers = count > 1 ? strtoull(words[1], NULL, 10) : 4;

	printf("%llu buffers; ns\n%10s %12s %12s %18s %18s\n", (unsigned long long)buffers, "bytes", "write", "read",
	       "write, one reads", "read, one writes");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		double alone[2], beside[2];

		memset(&latest, 0, sizeof(latest));
		must(ipk_latest_create(&latest, NULL, LARGEST, buffers, 0600));
		alone[0] = cost(write_one, sizes[i]);
		alone[1] = cost(read_one, sizes[i]);
		beside[0] = cost_beside(write_one, read_one, sizes[i]);
		ipk_latest_close(&latest);
		ipk_latest_unmap(&latest);
		/* the other process is to be the writer: it claims the role at its first value */
		memset(&latest, 0, sizeof(latest));
		must(ipk_latest_create(&latest, NULL, LARGEST, buffers, 0600));
		write_one(sizes[i]);
		ipk_participant_release(&latest.segment, IPK_LATEST_WRITER);
		beside[1] = cost_beside(read_one, write_one, sizes[i]);
		ipk_latest_unmap(&latest);
		printf("%10llu %12.0f %12.0f %18.0f %18.0f\n", (unsigned long long)sizes[i], alone[0], alone[1], beside[0],
		       beside[1]);
	}
	return 0;
}
