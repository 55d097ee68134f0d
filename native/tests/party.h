/* Members of one file that are threads of one process, for ThreadSanitizer, which sees no processes.
 *
 * Each party has a membership and a view of its own, over the same mapping: with a second mapping they would meet at
 * different addresses, where the sanitizer cannot see that they meet. A party dies when its lock is dropped; its record
 * names a process that does not run.
 */
#ifndef IPCKIT_TESTS_PARTY_H
#define IPCKIT_TESTS_PARTY_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "ipckit/home.h"
#include "ipckit/sync.h"

#ifdef __SANITIZE_THREAD__
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef SANITIZED
#define ROUNDS 3000
#else
#define ROUNDS 20000
#endif
#define PARTIES 3
#define ROOM 8192

struct party {
	struct ipk_member member;
	struct ipk_sync view;
};

static struct ipk_home home; /* that all parties of a test live in */

static inline void open_home(void)
{
	memset(&home, 0, sizeof(home));
	CHECK_EQ(ipk_home_create(&home, NULL, ROOM, 0600), 0);
}

static inline void close_home(void)
{
	ipk_home_close(&home);
}

/* Join the file, as a process of its own would. */
static inline void arrive(struct party *party)
{
	memset(party, 0, sizeof(*party));
	CHECK_EQ(ipk_member_open(&party->member, ipk_home_fd(&home)), 0);
	CHECK(ipk_member_join(&party->member) > 0);
	party->member.self.start_time++;
}

static inline void attach(struct party *party, uint32_t kind, int64_t spin_ns)
{
	arrive(party);
	CHECK_EQ(ipk_sync_attach(&party->view, ipk_home_place(&home), ROOM, &party->member, kind), 0);
	ipk_sync_set_spin(&party->view, spin_ns);
}

static inline void depart(struct party *party)
{
	ipk_member_close(&party->member);
}

/* Make the object of a test in a home of its own; format(place) may be NULL. */
static inline void make_object(uint32_t kind, uint32_t options, uint32_t count, void (*format)(void *place))
{
	struct ipk_member *member;
	uint64_t size = ipk_sync_size(kind, count);

	open_home();
	member = ipk_home_member(&home);
	CHECK_EQ(ipk_sync_begin(ipk_home_place(&home), member, size), 0);
	if (format)
		format(ipk_home_place(&home));
	CHECK_EQ(ipk_sync_publish(ipk_home_place(&home), member, kind, options, count, (uint32_t)size), 0);
}

/* The kernel orders what a process did before its death before what others do who were told of it. The sanitizer does not
 * see that: it is told here. */
static _Atomic uint32_t deaths;

static inline void die(struct party *party)
{
	atomic_fetch_add_explicit(&deaths, 1, memory_order_release);
	depart(party);
}

static inline void after_death(void)
{
	atomic_load_explicit(&deaths, memory_order_acquire);
}

static inline pthread_t run(void *(*function)(void *), void *argument)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, function, argument), 0);
	return thread;
}

/* Run function(argument + i * size) in so many threads, and wait until all have returned. */
static inline void run_all(void *(*function)(void *), void *arguments, size_t size, int count)
{
	pthread_t threads[8];

	CHECK(count <= 8);
	for (int i = 0; i < count; i++)
		threads[i] = run(function, (char *)arguments + (size_t)i * size);
	for (int i = 0; i < count; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

static _Atomic uint32_t starting;

static inline void line_up(void)
{
	atomic_fetch_sub(&starting, 1);
	while (atomic_load(&starting) > 0)
		sched_yield();
}

#endif
