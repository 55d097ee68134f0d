/* bench_mpmc [SECONDS]: a ring of many producers and consumers, messages copied in and out.
 *
 * Messages per second from 1 + 1, 2 + 2 and 4 + 4 processes, in turn; also where each does something else for a while after
 * each message, as programs do (in Python the call itself takes that long).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipckit/mpmc.h"

#define CAPACITY (UINT64_C(1) << 20)
#define REPEATS 5
#define LONGEST 65536

struct shared {
	_Atomic uint32_t go, stop;
	_Atomic uint64_t received[8];
};

static struct shared *shared;
static struct ipk_mpmc ring; /* the parent's view */
static unsigned char message[LONGEST];

static void fail(const char *what, int64_t rc)
{
	fprintf(stderr, "%s: %s\n", what, strerror((int)-rc));
	exit(1);
}

static void attach(struct ipk_mpmc *view)
{
	int rc;

	memset(view, 0, sizeof(*view));
	rc = ipk_mpmc_attach(view, dup(ipk_mpmc_fd(&ring)));
	if (rc < 0)
		fail("attach", rc);
}

static void work(uint32_t pauses)
{
	for (uint32_t i = 0; i < pauses; i++)
		ipk_relax();
}

static void produce(uint64_t length, uint32_t pauses)
{
	struct ipk_mpmc view;
	uint32_t stalled;
	int rc;

	attach(&view);
	while (!atomic_load(&shared->go))
		usleep(100);
	while (!atomic_load_explicit(&shared->stop, memory_order_relaxed)) {
		while ((rc = ipk_mpmc_try_send(&view, message, length, 0)) == -EAGAIN) {
			rc = ipk_mpmc_wait_room(&view, length, IPK_NEVER, &stalled);
			if (rc < 0 && rc != -EAGAIN)
				fail("wait_room", rc);
		}
		if (rc < 0)
			fail("try_send", rc);
		work(pauses);
	}
	ipk_mpmc_close(&view);
	ipk_mpmc_unmap(&view);
}

/* Returns 0 at the end of the stream. */
static int receive_one(struct ipk_mpmc *view)
{
	static unsigned char copy[LONGEST];
	struct ipk_mpmc_claim loan;
	uint32_t length, stalled;
	int64_t rc;

	while ((rc = ipk_mpmc_try_copy(view, copy, sizeof(copy), &length, 1)) == -EAGAIN) {
		rc = ipk_mpmc_wait_message(view, IPK_NEVER, &stalled);
		if (rc == -EPIPE)
			return 0;
		if (rc < 0 && rc != -EAGAIN)
			fail("wait_message", rc);
	}
	if (rc == -EMSGSIZE) {
		rc = ipk_mpmc_try_receive(view, &loan, 1);
		if (rc == -EAGAIN)
			return 1; /* another one was faster */
		if (rc == 1) {
			memcpy(copy, (unsigned char *)ipk_mpmc_data(view) + loan.offset, loan.length);
			ipk_mpmc_release(view, &loan, 1);
		}
	}
	if (rc < 0)
		fail("receive", rc);
	return 1;
}

static void consume(int number, uint32_t pauses)
{
	struct ipk_mpmc view;
	uint64_t received = 0;

	attach(&view);
	for (; receive_one(&view); received++) {
		if (received % 64 == 0)
			atomic_store_explicit(&shared->received[number], received, memory_order_relaxed);
		work(pauses);
	}
	ipk_mpmc_close(&view);
	ipk_mpmc_unmap(&view);
}

static uint64_t total(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < 8; i++)
		sum += atomic_load(&shared->received[i]);
	return sum;
}

/* Messages per second, while all run. */
static double run(int pairs, uint64_t length, uint32_t pauses, int64_t ns, struct ipk_mpmc_stat *stat)
{
	struct ipk_mpmc_options options = {CAPACITY, 0, 64, IPK_MPMC_REDELIVER, IPK_MPMC_ERROR, IPK_MPMC_REFUSE, 0};
	uint64_t before, after;
	int64_t began, ended;
	int rc;

	memset(shared, 0, sizeof(*shared));
	memset(&ring, 0, sizeof(ring));
	rc = ipk_mpmc_create(&ring, NULL, &options, 0600);
	if (rc < 0)
		fail("create", rc);
	for (int i = 0; i < 2 * pairs; i++) {
		if (fork() != 0)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (i % 2)
			consume(i / 2, pauses);
		else
			produce(length, pauses);
		_exit(0);
	}
	atomic_store(&shared->go, 1);
	usleep(50000);
	before = total();
	began = ipk_monotonic_ns();
	usleep((useconds_t)(ns / 1000));
	after = total();
	ended = ipk_monotonic_ns();
	ipk_mpmc_stat(&ring, stat);
	atomic_store(&shared->stop, 1);
	while (wait(NULL) > 0)
		continue;
	ipk_mpmc_close(&ring);
	ipk_mpmc_unmap(&ring);
	return (double)(after - before) * 1e9 / (double)(ended - began);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int count, char **words)
{
	static const uint64_t lengths[] = {64, 1024, 65536};
	static const uint32_t pauses[] = {0, 4};
	int64_t ns = (int64_t)((count > 1 ? atof(words[1]) : 0.5) * 1e9);
	double rates[3][REPEATS];
	struct ipk_mpmc_stat stat[3];

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (size_t l = 0; l < 3; l++) {
		for (size_t p = 0; p < 2; p++) {
			for (int repeat = 0; repeat < REPEATS; repeat++)
				for (int n = 0; n < 3; n++)
					rates[n][repeat] = run(1 << n, lengths[l], pauses[p], ns, &stat[n]);
			printf("%6d B%s", (int)lengths[l], pauses[p] ? ", something else in between" : "");
			for (int n = 0; n < 3; n++) {
				qsort(rates[n], REPEATS, sizeof(double), by_size);
				printf("   %d+%d %6.2f M/s", 1 << n, 1 << n, rates[n][REPEATS / 2] / 1e6);
			}
			printf("   4+4 is %.0f %% of 1+1; waits %d full, %d empty, %d wakes in %d k\n",
			       100 * rates[2][REPEATS / 2] / rates[0][REPEATS / 2], (int)stat[2].full_waits, (int)stat[2].empty_waits,
			       (int)stat[2].wakes, (int)(stat[2].received / 1000));
			fflush(stdout);
		}
	}
	return 0;
}
