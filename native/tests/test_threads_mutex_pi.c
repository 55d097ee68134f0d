/* The mutex that inherits, between threads: what it protects is plain data, so that ThreadSanitizer sees a missing order. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>

#include "ipckit/mutex_pi.h"
#include "sync_object.h"

#define THREADS 3U
#define ROUNDS 400U

static uint64_t plain;

static int lock(void)
{
	int rc;

	do
		rc = ipk_mutex_wait(&first.view, IPK_NEVER);
	while (rc == -EAGAIN);
	return rc;
}

static struct ipk_mutex_pi_shm *object(void)
{
	return (struct ipk_mutex_pi_shm *)(void *)first.view.object;
}

static _Atomic uint32_t ready, finished;

/* Until another thread sleeps in the kernel for what we have, or none is left that could. */
static void await_a_waiter(void)
{
	/* relaxed, both: the test is to order nothing */
	while (!(atomic_load_explicit(&object()->word, memory_order_relaxed) & FUTEX_WAITERS) &&
	       atomic_load_explicit(&finished, memory_order_relaxed) < THREADS - 1)
		continue;
}

/* handed: each time by the kernel, to one who sleeps in it. */
static void *count(void *handed)
{
	atomic_fetch_add_explicit(&ready, 1, memory_order_relaxed);
	while (atomic_load_explicit(&ready, memory_order_relaxed) < THREADS)
		continue;
	for (unsigned i = 0; i < ROUNDS; i++) {
		CHECK_EQ(lock(), 0);
		plain++;
		if (handed)
			await_a_waiter();
		CHECK_EQ(ipk_mutex_release(&first.view), 0);
	}
	atomic_fetch_add_explicit(&finished, 1, memory_order_relaxed);
	return NULL;
}

static void all_count(void *handed)
{
	pthread_t threads[THREADS];

	plain = 0;
	atomic_store(&ready, 0);
	atomic_store(&finished, 0);
	for (unsigned i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, count, handed), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(plain, THREADS * ROUNDS);
}

static void many_count(void)
{
	all_count(NULL);
}

static void handed_over_by_the_kernel(void)
{
	all_count(&plain);
}

/* Each takes it, and leaves it to the next: as one that has closed it, for another thread, or in its own. */
static void *abandon(void *unused)
{
	int rc = lock();

	(void)unused;
	CHECK(rc == 0 || rc == -EOWNERDEAD);
	plain++;
	CHECK_EQ(ipk_mutex_consistent(&first.view), 0);
	CHECK_EQ(ipk_mutex_abandon(&first.view), 1);
	return NULL;
}

static void each_abandons(void)
{
	pthread_t threads[THREADS];

	plain = 0;
	for (unsigned i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, abandon, NULL), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(lock(), -EOWNERDEAD);
	CHECK_EQ(plain, THREADS);
}

static _Atomic uint32_t stage;

static void reach(uint32_t number)
{
	atomic_store_explicit(&stage, number, memory_order_relaxed);
}

static void await_stage(uint32_t number)
{
	while (atomic_load_explicit(&stage, memory_order_relaxed) < number)
		continue;
}

static void *own_and_stay(void *unused)
{
	(void)unused;
	CHECK_EQ(lock(), 0);
	reach(1);
	await_stage(3);
	return NULL;
}

static void *succeed(void *unused)
{
	int rc;

	(void)unused;
	do
		rc = ipk_mutex_try(&first.view);
	while (rc == -EAGAIN || rc == -EDEADLK);
	CHECK_EQ(rc, -EOWNERDEAD);
	CHECK_EQ(plain, 77); /* what the closer wrote */
	CHECK_EQ(ipk_mutex_consistent(&first.view), 0);
	CHECK_EQ(ipk_mutex_release(&first.view), 0);
	reach(3);
	return NULL;
}

/* The handle is closed by a thread that is not the owner's. */
static void closer_tells_what_it_did(void)
{
	pthread_t owner, successor;

	atomic_store(&stage, 0);
	CHECK_EQ(pthread_create(&owner, NULL, own_and_stay, NULL), 0);
	await_stage(1);
	CHECK_EQ(pthread_create(&successor, NULL, succeed, NULL), 0);
	plain = 77;
	CHECK_EQ(ipk_mutex_abandon(&first.view), 1);
	pthread_join(successor, NULL);
	pthread_join(owner, NULL);
}

int main(void)
{
	if (ipk_mutex_pi_format(make_object(IPK_SYNC_MUTEX, IPK_MUTEX_INHERITS, 0)) == -ENOSYS) {
		printf("  skipped: this kernel has no priority inheritance\n");
		return 0;
	}
	RUN(many_count);
	RUN(handed_over_by_the_kernel);
	RUN(closer_tells_what_it_did);
	RUN(each_abandons);
	return 0;
}
