/* The mutex that inherits, between threads: what it protects is plain data, so that ThreadSanitizer sees a missing order. */
#include <errno.h>
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

static void *count(void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < ROUNDS; i++) {
		CHECK_EQ(lock(), 0);
		plain++;
		CHECK_EQ(ipk_mutex_release(&first.view), 0);
	}
	return NULL;
}

static void many_count(void)
{
	pthread_t threads[THREADS];

	plain = 0;
	for (unsigned i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, count, NULL), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(plain, THREADS * ROUNDS);
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

int main(void)
{
	if (ipk_mutex_pi_format(make_object(IPK_SYNC_MUTEX, IPK_MUTEX_INHERITS, 0)) == -ENOSYS) {
		printf("  skipped: this kernel has no priority inheritance\n");
		return 0;
	}
	RUN(many_count);
	RUN(each_abandons);
	return 0;
}
