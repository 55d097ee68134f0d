/* bench_locks [SECONDS]: what a lock costs without Python, beside those of the C library.
 *
 * Acquire and release with nobody else there; and how long from one process's release until another, which sleeps or
 * spins in acquire, has the lock: both on one CPU, and on two.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipckit/home.h"
#include "ipckit/mutex.h"

#define PAIRS 200000
#define REPEATS 7
#define TURNS_MAX 20000
#define SETTLE_NS 150000 /* until whoever was about to wait does */

struct shared {
	pthread_mutex_t robust;
	sem_t semaphore;
	_Atomic uint32_t turn;	    /* who is to take the lock next, and count up */
	_Atomic int64_t released; /* when */
};

static struct shared *shared;
static struct ipk_home home;
static struct ipk_sync mutex;
static int64_t grants[TURNS_MAX];

static void fail(const char *what, int rc)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-rc));
	exit(1);
}

static void acquire_ours(void)
{
	int rc = ipk_mutex_try(&mutex);

	while (rc == -EAGAIN)
		rc = ipk_mutex_wait(&mutex, IPK_NEVER);
	if (rc < 0)
		fail("ipk_mutex_wait", rc);
}

static void release_ours(void)
{
	ipk_mutex_release(&mutex);
}

static void acquire_robust(void)
{
	pthread_mutex_lock(&shared->robust);
}

static void release_robust(void)
{
	pthread_mutex_unlock(&shared->robust);
}

static void acquire_semaphore(void)
{
	sem_wait(&shared->semaphore);
}

static void release_semaphore(void)
{
	sem_post(&shared->semaphore);
}

static const struct lock {
	const char *name;
	void (*acquire)(void);
	void (*release)(void);
} locks[] = {
	{"ipk_mutex", acquire_ours, release_ours},
	{"pthread mutex, robust", acquire_robust, release_robust},
	{"POSIX semaphore", acquire_semaphore, release_semaphore},
};
#define LOCKS (sizeof(locks) / sizeof(locks[0]))

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		fail("sched_setaffinity", -errno);
}

static int find_cpus(int cpus[2])
{
	cpu_set_t set;
	int found = 0;

	sched_getaffinity(0, sizeof(set), &set);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET((unsigned)cpu, &set))
			cpus[found++ > 0] = cpu;
	return found;
}

static void become_member(void)
{
	int rc;

	memset(&mutex, 0, sizeof(mutex));
	rc = ipk_sync_attach(&mutex, ipk_home_place(&home), ipk_home_room(&home), ipk_home_member(&home), IPK_SYNC_MUTEX);
	if (rc < 0)
		fail("ipk_sync_attach", rc);
}

static void make(void)
{
	pthread_mutexattr_t attributes;
	int rc = ipk_home_create(&home, NULL, IPK_MUTEX_SIZE, 0600);

	if (rc == 0)
		rc = ipk_sync_begin(ipk_home_place(&home), ipk_home_member(&home), IPK_MUTEX_SIZE);
	if (rc == 0)
		rc = ipk_sync_publish(ipk_home_place(&home), ipk_home_member(&home), IPK_SYNC_MUTEX, 0, 0, IPK_MUTEX_SIZE);
	if (rc == 0)
		rc = ipk_home_publish(&home, NULL);
	if (rc < 0)
		fail("ipk_home_create", rc);
	become_member();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		fail("mmap", -errno);
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&shared->robust, &attributes);
	sem_init(&shared->semaphore, 1, 1);
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void measure_pair(const struct lock *lock)
{
	int64_t took[REPEATS];

	for (int repeat = 0; repeat < REPEATS; repeat++) {
		int64_t began = ipk_monotonic_ns();

		for (int i = 0; i < PAIRS; i++) {
			lock->acquire();
			lock->release();
		}
		took[repeat] = ipk_monotonic_ns() - began;
	}
	qsort(took, REPEATS, sizeof(took[0]), by_value);
	printf("pair               %-22s %8.1f ns  (%.1f to %.1f)\n", lock->name, (double)took[REPEATS / 2] / PAIRS,
	       (double)took[0] / PAIRS, (double)took[REPEATS - 1] / PAIRS);
}

static void pause_for(int64_t ns)
{
	struct timespec wait = {0, (long)ns};

	nanosleep(&wait, NULL);
}

/* Take the lock whenever it is our turn, and say how long after its release. */
static void take_turns(const struct lock *lock)
{
	for (;;) {
		while (!(atomic_load(&shared->turn) & 1))
			sched_yield();
		lock->acquire();
		grants[0] = ipk_monotonic_ns() - atomic_load(&shared->released);
		lock->release();
		atomic_store(&shared->released, grants[0]);
		atomic_fetch_add(&shared->turn, 1);
	}
}

/* We hold it, the other one waits; then we give it back. */
static void measure_grant(const struct lock *lock, int64_t ns, const int cpus[2], const char *placement)
{
	int64_t began;
	size_t count = 0;
	pid_t pid;

	atomic_store(&shared->turn, 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pin(cpus[1]);
		if (lock->acquire == acquire_ours) {
			struct ipk_home own;
			int rc;

			memset(&own, 0, sizeof(own));
			rc = ipk_home_attach(&own, dup(ipk_home_fd(&home)));
			if (rc < 0)
				fail("ipk_home_attach", rc);
			home = own;
			become_member();
			ipk_member_join(mutex.member);
		}
		take_turns(lock);
	}
	pin(cpus[0]);
	began = ipk_monotonic_ns();
	while (count < TURNS_MAX && ipk_monotonic_ns() - began < ns) {
		lock->acquire();
		atomic_fetch_add(&shared->turn, 1);
		pause_for(SETTLE_NS);
		atomic_store(&shared->released, ipk_monotonic_ns());
		lock->release();
		while (atomic_load(&shared->turn) & 1)
			sched_yield();
		grants[count++] = atomic_load(&shared->released);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	qsort(grants, count, sizeof(grants[0]), by_value);
	printf("blocked -> granted %-22s %8.2f us  p99 %.2f us  %s  (%zu turns)\n", lock->name, (double)grants[count / 2] / 1e3,
	       (double)grants[count * 99 / 100] / 1e3, placement, count);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 1.0;
	int cpus[2];
	int count = find_cpus(cpus);

	make();
	for (size_t i = 0; i < LOCKS; i++)
		measure_pair(&locks[i]);
	for (int cross = 0; cross < (count > 1 ? 2 : 1); cross++) {
		const int placement[2] = {cpus[0], cpus[cross]};

		for (size_t i = 0; i < LOCKS; i++)
			measure_grant(&locks[i], (int64_t)(seconds * 1e9), placement, cross ? "cross" : "same");
	}
	return 0;
}
