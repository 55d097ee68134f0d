/* The C library's robust mutex for several processes: pthread_mutexattr_setrobust(3). */
#include <pthread.h>
#include <stddef.h>
#include <time.h>

size_t mutex_size(void)
{
	return sizeof(pthread_mutex_t);
}

int mutex_make(void *place)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	return pthread_mutex_init(place, &attributes);
}

int mutex_acquire(void *place)
{
	return pthread_mutex_lock(place);
}

int mutex_release(void *place)
{
	return pthread_mutex_unlock(place);
}

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* Nanoseconds of so many pairs. */
long long mutex_pairs(void *place, long long count)
{
	long long began = now();

	for (long long i = 0; i < count; i++) {
		pthread_mutex_lock(place);
		pthread_mutex_unlock(place);
	}
	return now() - began;
}
