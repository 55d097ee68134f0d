/* A ring of the smallest capacity, and numbered messages: for the tests of spsc.h. Included once by each program. */
#ifndef IPCKIT_TESTS_RING_H
#define IPCKIT_TESTS_RING_H

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "ipckit/spsc.h"
#include "support.h"

#define CAPACITY 4096
#define LARGEST (CAPACITY - IPK_SPSC_RECORD_HEADER)
#define MS INT64_C(1000000)

static struct ipk_spsc ring; /* the view that most tests use; children inherit it or attach */
static _Atomic uint32_t *checkpoint;
static unsigned char bytes[2 * CAPACITY];

static inline void make(uint64_t capacity)
{
	memset(&ring, 0, sizeof(ring));
	CHECK_EQ(ipk_spsc_create(&ring, NULL, capacity, 0, 0600), 0);
	atomic_store(checkpoint, 0);
}

static inline void drop(void)
{
	ipk_spsc_close(&ring);
	ipk_spsc_unmap(&ring);
}

static inline struct ipk_spsc *blank_view(void)
{
	struct ipk_spsc *view = aligned_alloc(_Alignof(struct ipk_spsc), sizeof(*view));

	CHECK(view != NULL);
	memset(view, 0, sizeof(*view));
	return view;
}

static inline struct ipk_spsc *attached(void)
{
	struct ipk_spsc *view = blank_view();

	CHECK_EQ(ipk_spsc_attach(view, fcntl(ring.segment.fd, F_DUPFD_CLOEXEC, 3)), 0);
	return view;
}

static inline void detach(struct ipk_spsc *view)
{
	ipk_spsc_close(view);
	ipk_spsc_unmap(view);
	free(view);
}

/* Content that tells messages apart. */
static inline const unsigned char *content(uint64_t number)
{
	return bytes + number * 37 % CAPACITY;
}

static inline int send_number(struct ipk_spsc *view, uint64_t number, uint64_t length)
{
	return ipk_spsc_try_send(view, content(number), length);
}

static inline void check_number(struct ipk_spsc *view, uint64_t number, uint64_t length)
{
	int64_t lent = ipk_spsc_try_receive(view);

	CHECK(lent >= 0);
	CHECK_EQ(lent & UINT32_MAX, length);
	CHECK(memcmp((unsigned char *)ipk_spsc_data(view) + (lent >> 32), content(number), length) == 0);
}

static inline void receive_number(struct ipk_spsc *view, uint64_t number, uint64_t length)
{
	check_number(view, number, length);
	CHECK_EQ(ipk_spsc_release(view), 0);
}

/* Wait as a caller of the core does: again and again, until it is decided. */
static inline int wait_room(struct ipk_spsc *view, uint64_t length, int64_t deadline)
{
	int rc;

	do
		rc = ipk_spsc_wait_room(view, length, deadline);
	while (rc == -EAGAIN);
	return rc;
}

static inline int wait_message(struct ipk_spsc *view, int64_t deadline)
{
	int rc;

	do
		rc = ipk_spsc_wait_message(view, deadline);
	while (rc == -EAGAIN);
	return rc;
}

static inline struct ipk_spsc_stat stat_of(struct ipk_spsc *view)
{
	struct ipk_spsc_stat stat;

	CHECK_EQ(ipk_spsc_stat(view, &stat), 0);
	return stat;
}

/* Begin at that byte position, as if so much had gone through. Before the first claim. */
static inline void start_at(uint64_t position)
{
	atomic_store(&ring.shm->tail.position, position);
	atomic_store(&ring.shm->head.position, position);
}

static inline void prepare(void)
{
	uint64_t noise = 12345;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(random_next(&noise) >> 56);
	checkpoint = shared_memory(sizeof(*checkpoint));
}

#endif
