/* A broadcast ring of the smallest capacity, and numbered messages: for the tests of broadcast.h. Included once by each program. */
#ifndef IPCKIT_TESTS_BROADCAST_H
#define IPCKIT_TESTS_BROADCAST_H

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "ipckit/broadcast.h"
#include "support.h"

#define CAPACITY 4096
#define LARGEST (CAPACITY / 2 - IPK_BROADCAST_RECORD_HEADER)
#define PARTICIPANTS 8
#define MS INT64_C(1000000)

static struct ipk_broadcast ring; /* the view that most tests write with; children inherit it or attach */
static _Atomic uint32_t *checkpoint;
static unsigned char bytes[2 * CAPACITY];

static inline void make(uint32_t policy)
{
	memset(&ring, 0, sizeof(ring));
	CHECK_EQ(ipk_broadcast_create(&ring, NULL, CAPACITY, policy, PARTICIPANTS, 0600), 0);
	atomic_store(checkpoint, 0);
}

static inline void drop(void)
{
	ipk_broadcast_close(&ring);
	ipk_broadcast_unmap(&ring);
}

static inline struct ipk_broadcast *attached(void)
{
	struct ipk_broadcast *view = aligned_alloc(_Alignof(struct ipk_broadcast), sizeof(*view));

	CHECK(view != NULL);
	memset(view, 0, sizeof(*view));
	CHECK_EQ(ipk_broadcast_attach(view, fcntl(ring.segment.fd, F_DUPFD_CLOEXEC, 3)), 0);
	return view;
}

static inline struct ipk_broadcast *reader_of(uint64_t history, int64_t found)
{
	struct ipk_broadcast *view = attached();

	CHECK_EQ(ipk_broadcast_subscribe(view, history), found);
	return view;
}

static inline void detach(struct ipk_broadcast *view)
{
	ipk_broadcast_close(view);
	ipk_broadcast_unmap(view);
	free(view);
}

/* Content that tells messages apart. */
static inline const unsigned char *content(uint64_t number)
{
	return bytes + number * 37 % CAPACITY;
}

static inline int send_number(struct ipk_broadcast *view, uint64_t number, uint64_t length)
{
	return ipk_broadcast_try_send(view, content(number), length);
}

static inline void receive_number(struct ipk_broadcast *view, uint64_t number, uint64_t length)
{
	unsigned char into[CAPACITY];

	CHECK_EQ(ipk_broadcast_try_receive(view, into, sizeof(into)), length);
	CHECK(memcmp(into, content(number), length) == 0);
}

static inline int64_t receive_any(struct ipk_broadcast *view)
{
	unsigned char into[CAPACITY];

	return ipk_broadcast_try_receive(view, into, sizeof(into));
}

/* Wait as a caller of the core does: again and again, until it is decided. */
static inline int wait_room(struct ipk_broadcast *view, uint64_t length, int64_t deadline)
{
	int rc;

	do
		rc = ipk_broadcast_wait_room(view, length, deadline);
	while (rc == -EAGAIN);
	return rc;
}

static inline int wait_message(struct ipk_broadcast *view, int64_t deadline)
{
	int rc;

	do
		rc = ipk_broadcast_wait_message(view, deadline);
	while (rc == -EAGAIN);
	return rc;
}

/* Send and receive, waiting until it is done: 0, or why not. */
static inline int send_patiently(struct ipk_broadcast *view, const void *data, uint64_t length)
{
	int rc;

	while ((rc = ipk_broadcast_try_send(view, data, length)) == -EAGAIN)
		if ((rc = wait_room(view, length, IPK_NEVER)) < 0)
			break;
	return rc;
}

static inline int64_t receive_patiently(struct ipk_broadcast *view, void *into, uint64_t size)
{
	int64_t rc;

	while ((rc = ipk_broadcast_try_receive(view, into, size)) == -EAGAIN || rc == -EALREADY)
		if ((rc = wait_message(view, IPK_NEVER)) < 0)
			break;
	return rc;
}

static inline struct ipk_broadcast_stat stat_of(struct ipk_broadcast *view)
{
	struct ipk_broadcast_stat stat;

	CHECK_EQ(ipk_broadcast_stat(view, &stat), 0);
	return stat;
}

/* Begin at that byte position, as if so much had gone through. Before the first message. */
static inline void start_at(uint64_t position)
{
	atomic_store(&ring.shm->tail.position, position);
	atomic_store(&ring.shm->tail.last, position);
	atomic_store(&ring.shm->oldest.position, position);
	atomic_store(&ring.shm->oldest.bound, position);
}

static inline void prepare(void)
{
	uint64_t noise = 12345;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(random_next(&noise) >> 56);
	checkpoint = shared_memory(sizeof(*checkpoint));
}

#endif
