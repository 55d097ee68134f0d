/* A ring for many, and numbered messages: for the tests of mpmc.h. Included once by each program. */
#ifndef IPCKIT_TESTS_MPMC_RING_H
#define IPCKIT_TESTS_MPMC_RING_H

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "ipckit/mpmc.h"
#include "support.h"

#define CAPACITY 4096
#define LARGEST (CAPACITY - IPK_MPMC_RECORD_HEADER)
#define MS INT64_C(1000000)

static struct ipk_mpmc ring; /* the view that most tests use; children attach */
static _Atomic uint32_t *checkpoint;
static unsigned char bytes[4 * CAPACITY];

static inline void make_with(const struct ipk_mpmc_options *options)
{
	memset(&ring, 0, sizeof(ring));
	CHECK_EQ(ipk_mpmc_create(&ring, NULL, options, 0600), 0);
	atomic_store(checkpoint, 0);
}

static inline struct ipk_mpmc_options usual(void)
{
	return (struct ipk_mpmc_options){CAPACITY, 0, 8, IPK_MPMC_REDELIVER, IPK_MPMC_ERROR, IPK_MPMC_REFUSE, 0};
}

static inline void make(void)
{
	struct ipk_mpmc_options options = usual();

	make_with(&options);
}

static inline void drop(void)
{
	ipk_mpmc_close(&ring);
	ipk_mpmc_unmap(&ring);
}

static inline struct ipk_mpmc *attached(void)
{
	struct ipk_mpmc *view = aligned_alloc(64, (sizeof(*view) + 63) / 64 * 64);

	CHECK(view != NULL);
	memset(view, 0, sizeof(*view));
	CHECK_EQ(ipk_mpmc_attach(view, fcntl(ring.segment.fd, F_DUPFD_CLOEXEC, 3)), 0);
	return view;
}

static inline void detach(struct ipk_mpmc *view)
{
	ipk_mpmc_close(view);
	ipk_mpmc_unmap(view);
	free(view);
}

/* Content that tells messages apart. */
static inline const unsigned char *content(uint64_t number)
{
	return bytes + number * 37 % CAPACITY;
}

static inline int send_number(struct ipk_mpmc *view, uint64_t number, uint64_t length)
{
	return ipk_mpmc_try_send(view, content(number), length, number & 1);
}

static inline struct ipk_mpmc_claim lend_number(struct ipk_mpmc *view, uint64_t number, uint64_t length)
{
	struct ipk_mpmc_claim loan;

	CHECK_EQ(ipk_mpmc_try_receive(view, &loan, 1), 1);
	CHECK_EQ(loan.length, length);
	CHECK_EQ(loan.tag, number & 1);
	CHECK(loan.offset + loan.length <= 2 * CAPACITY);
	CHECK(memcmp((unsigned char *)ipk_mpmc_data(view) + loan.offset, content(number), length) == 0);
	return loan;
}

static inline void receive_number(struct ipk_mpmc *view, uint64_t number, uint64_t length)
{
	unsigned char copy[IPK_MPMC_INSIDE];
	uint32_t said;
	struct ipk_mpmc_claim loan;

	if (length <= IPK_MPMC_INSIDE && !(number & 1)) {
		CHECK_EQ(ipk_mpmc_try_copy(view, copy, sizeof(copy), &said, 1), 1);
		CHECK_EQ(said, length);
		CHECK(memcmp(copy, content(number), length) == 0);
		return;
	}
	loan = lend_number(view, number, length);
	CHECK_EQ(ipk_mpmc_release(view, &loan, 1), 0);
}

static inline int64_t nothing(struct ipk_mpmc *view)
{
	unsigned char copy[IPK_MPMC_INSIDE];
	uint32_t said;

	return ipk_mpmc_try_copy(view, copy, sizeof(copy), &said, 1);
}

/* Wait as a caller of the core does: again and again, until it is decided. */
static inline int wait_room(struct ipk_mpmc *view, uint64_t length, int64_t deadline, uint32_t *stalled)
{
	int rc;

	do
		rc = ipk_mpmc_wait_room(view, length, deadline, stalled);
	while (rc == -EAGAIN);
	return rc;
}

static inline int wait_message(struct ipk_mpmc *view, int64_t deadline, uint32_t *stalled)
{
	int rc;

	do
		rc = ipk_mpmc_wait_message(view, deadline, stalled);
	while (rc == -EAGAIN);
	return rc;
}

static inline struct ipk_mpmc_stat stat_of(struct ipk_mpmc *view)
{
	struct ipk_mpmc_stat stat;

	CHECK_EQ(ipk_mpmc_stat(view, &stat), 0);
	return stat;
}

/* Begin at that place, as if so much had gone through. Before the first call. */
static inline void start_at(uint64_t place)
{
	atomic_store(&ring.shm->tail.place, place);
	atomic_store(&ring.shm->free.place, place);
	atomic_store(&ring.shm->receive.taken, place);
	atomic_store(&ring.shm->receive.tail_seen, place);
	atomic_store(&ring.shm->send.free_seen, place);
}

static inline void prepare(void)
{
	uint64_t noise = 12345;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(random_next(&noise) >> 56);
	checkpoint = shared_memory(sizeof(*checkpoint));
}

#endif
