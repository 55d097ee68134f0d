/* bench_broadcast [SECONDS]: what a message costs its writer, with 1, 2, 4 and 8 readers that are awake.
 *
 * The writer has a CPU for itself, the readers share the others. Its cost is its own CPU time divided by the messages: what it
 * waits for readers on a ring that blocks is not in it.
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
#include <time.h>
#include <unistd.h>

#include "ipckit/broadcast.h"

#define CAPACITY (UINT64_C(1) << 20)
#define LARGEST 65536
#define READERS_MAX 8
#define REPEATS 5
#define CHECK_CLOCK_EVERY 256

static unsigned char out[LARGEST], in[LARGEST];
static uint64_t *received; /* by each reader; shared */

static void fail(const char *what, int64_t rc)
{
	fprintf(stderr, "%s: %s\n", what, strerror((int)-rc));
	exit(1);
}

static void send_one(struct ipk_broadcast *ring, uint64_t length)
{
	int rc;

	while ((rc = ipk_broadcast_try_send(ring, out, length)) == -EAGAIN) {
		rc = ipk_broadcast_wait_room(ring, length, IPK_NEVER);
		if (rc < 0 && rc != -EAGAIN)
			fail("wait_room", rc);
	}
	if (rc < 0)
		fail("try_send", rc);
}

/* The first CPU that we may use is the writer's; the readers have all others, or the same if there is but one. */
static cpu_set_t others;

static void pin(void)
{
	cpu_set_t first;
	unsigned cpu = 0;

	if (sched_getaffinity(0, sizeof(others), &others) < 0)
		fail("sched_getaffinity", -errno);
	while (!CPU_ISSET(cpu, &others))
		cpu++;
	if (CPU_COUNT(&others) > 1)
		CPU_CLR(cpu, &others);
	CPU_ZERO(&first);
	CPU_SET(cpu, &first);
	if (sched_setaffinity(0, sizeof(first), &first) < 0)
		fail("sched_setaffinity", -errno);
}

static void read_all(struct ipk_broadcast *mine, uint64_t *number)
{
	for (;;) {
		int64_t rc = ipk_broadcast_try_receive(mine, in, sizeof(in));

		if (rc >= 0)
			++*number;
		else if (rc == -ESTALE)
			ipk_broadcast_told(mine);
		else if (rc != -EAGAIN)
			fail("try_receive", rc);
		else if ((rc = ipk_broadcast_wait_message(mine, IPK_NEVER)) == -EPIPE)
			return;
		else if (rc < 0 && rc != -EAGAIN)
			fail("wait_message", rc);
	}
}

static pid_t start_reader(struct ipk_broadcast *ring, int index)
{
	static struct ipk_broadcast view;
	pid_t pid = fork();
	int64_t rc;

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (sched_setaffinity(0, sizeof(others), &others) < 0)
		fail("sched_setaffinity", -errno);
	memset(&view, 0, sizeof(view));
	rc = ipk_broadcast_attach(&view, dup(ipk_broadcast_fd(ring)));
	if (rc < 0 || (rc = ipk_broadcast_subscribe(&view, 0)) < 0)
		fail("subscribe", rc);
	read_all(&view, &received[index]);
	_exit(0);
}

static int64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct result {
	double cost;    /* ns of the writer's CPU for a message */
	double rate;    /* messages per second */
	double arrived; /* share that a reader got, on average */
};

static struct result run(uint32_t policy, int readers, uint64_t length, double seconds)
{
	static struct ipk_broadcast ring;
	struct ipk_broadcast_stat stat;
	struct result result;
	pid_t pids[READERS_MAX];
	uint64_t sent = 0, all = 0;
	int64_t begin, cpu, end;
	int rc;

	memset(&ring, 0, sizeof(ring));
	memset(received, 0, READERS_MAX * sizeof(*received));
	rc = ipk_broadcast_create(&ring, NULL, CAPACITY, policy, 64, 0600);
	if (rc < 0)
		fail("create", rc);
	for (int i = 0; i < readers; i++)
		pids[i] = start_reader(&ring, i);
	do
		ipk_broadcast_stat(&ring, &stat);
	while (stat.consumers < (uint32_t)readers);
	send_one(&ring, length);
	cpu = cpu_ns();
	begin = ipk_monotonic_ns();
	end = begin + (int64_t)(seconds * 1e9);
	do {
		for (int i = 0; i < CHECK_CLOCK_EVERY; i++)
			send_one(&ring, length);
		sent += CHECK_CLOCK_EVERY;
	} while (ipk_monotonic_ns() < end);
	result.cost = (double)(cpu_ns() - cpu) / (double)sent;
	result.rate = (double)sent * 1e9 / (double)(ipk_monotonic_ns() - begin);
	ipk_broadcast_close(&ring);
	for (int i = 0; i < readers; i++) {
		waitpid(pids[i], NULL, 0);
		all += received[i];
	}
	ipk_broadcast_unmap(&ring);
	result.arrived = (double)all / (double)readers / (double)(sent + 1);
	return result;
}

static int by_cost(const void *a, const void *b)
{
	double x = ((const struct result *)a)->cost, y = ((const struct result *)b)->cost;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		uint32_t policy;
	} policies[] = {{"overwrite", IPK_BROADCAST_OVERWRITE}, {"block", IPK_BROADCAST_BLOCK}};
	double seconds = argc > 1 ? atof(argv[1]) : 0.3;
	uint64_t lengths[] = {64, 4096};
	struct result results[2][4][REPEATS];

	received = mmap(NULL, READERS_MAX * sizeof(*received), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (received == MAP_FAILED)
		fail("mmap", -errno);
	pin();
	for (size_t l = 0; l < 2; l++) {
		/* repeats of different numbers of readers take turns: what else the machine does falls on all of them */
		for (int repeat = 0; repeat < REPEATS; repeat++)
			for (size_t p = 0; p < 2; p++)
				for (int r = 0; r < 4; r++)
					results[p][r][repeat] = run(policies[p].policy, 1 << r, lengths[l], seconds);
		for (size_t p = 0; p < 2; p++)
			for (int r = 0; r < 4; r++) {
				qsort(results[p][r], REPEATS, sizeof(results[p][r][0]), by_cost);
				printf("%-10s %5llu B  %d readers  %7.1f ns of the writer's CPU  %6.2f M/s  %5.1f %% arrived\n",
				       policies[p].name, (unsigned long long)lengths[l], 1 << r, results[p][r][REPEATS / 2].cost,
				       results[p][r][REPEATS / 2].rate / 1e6, 100 * results[p][r][REPEATS / 2].arrived);
			}
	}
	return 0;
}
