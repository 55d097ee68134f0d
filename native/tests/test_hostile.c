/* spsc.h, trust: a peer that writes anything at all into the segment gets errors or garbage for it, never an access
 * outside the mapping and never an endless loop. The mapping lies between two pages that nobody may touch. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "ipckit/spsc.h"
#include "support.h"

#define CAPACITY 4096
#define PAGE 4096
#define BATCH 16
#ifdef __SANITIZE_ADDRESS__
#define ROUNDS 300000
#else
#define ROUNDS 1000000
#endif
#define CONCURRENT_NS INT64_C(1500000000)

static struct ipk_spsc ring;
static unsigned char *guarded; /* a page without access, the view's mapping, another such page */
static unsigned char scratch[2 * CAPACITY];
static uint64_t answers[4]; /* fine, -EAGAIN, -EBADMSG, other */

/* Move the view's mapping to a place of our choice, between two pages without access. */
static void make_guarded(void)
{
	unsigned char *old, *base;
	size_t mapped;

	memset(&ring, 0, sizeof(ring));
	CHECK_EQ(ipk_spsc_create(&ring, NULL, CAPACITY, IPK_SPSC_PARTS | IPK_SPSC_FILES, 0600), 0);
	old = ring.segment.base;
	mapped = ring.segment.mapped;
	CHECK_EQ(mapped, IPK_SEGMENT_HEADER + IPK_SPSC_DATA + 2 * CAPACITY);
	guarded = mmap(NULL, mapped + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(guarded != MAP_FAILED);
	base = guarded + PAGE;
	CHECK(mremap(old, mapped - CAPACITY, mapped - CAPACITY, MREMAP_MAYMOVE | MREMAP_FIXED, base) != MAP_FAILED);
	CHECK(mremap(old + mapped - CAPACITY, CAPACITY, CAPACITY, MREMAP_MAYMOVE | MREMAP_FIXED, base + mapped - CAPACITY) !=
	      MAP_FAILED);
	ring.segment.base = base;
	ring.shm = (struct ipk_spsc_shm *)(void *)(base + IPK_SEGMENT_HEADER);
	ring.data = base + IPK_SEGMENT_HEADER + IPK_SPSC_DATA;
}

static void drop(void)
{
	size_t size = ring.segment.mapped + 2 * PAGE;

	ipk_spsc_close(&ring);
	ipk_spsc_unmap(&ring);
	munmap(guarded, size);
}

/* Numbers that hurt: near the bounds of what is valid, and anything. */
static uint64_t nasty(uint64_t *seed)
{
	uint64_t base;

	switch (random_below(seed, 8)) {
	case 0:
		return random_next(seed);
	case 1:
		return random_next(seed) >> random_below(seed, 64);
	case 2:
		return UINT64_MAX - random_below(seed, 3 * CAPACITY);
	case 3:
		return (UINT64_C(1) << (random_below(seed, 2) ? 31 : 32)) - 8 + random_below(seed, 17);
	case 4:
		return random_below(seed, 3 * CAPACITY);
	default: /* relative to where the victim stands */
		base = ring.side[random_below(seed, 2)].own;
		return base + random_below(seed, 2 * CAPACITY + 32) - random_below(seed, CAPACITY + 32);
	}
}

/* Plain stores, as a hostile program makes them; atomic only for the checkers' sake. */
static void poke64(void *at, uint64_t value)
{
	__atomic_store_n((uint64_t *)at, value, __ATOMIC_RELAXED);
}

static void vandalise(uint64_t *seed)
{
	struct ipk_spsc_shm *shm = ring.shm;
	uint64_t at;

	switch (random_below(seed, 8)) {
	case 0:
		poke64(&shm->tail.position, nasty(seed));
		break;
	case 1:
		poke64(&shm->head.position, nasty(seed));
		break;
	case 2:
		poke64(&shm->tail.position, nasty(seed));
		poke64(&shm->head.position, nasty(seed));
		break;
	case 3: /* sleepers, states, geometry: all words before the data */
		at = random_below(seed, sizeof(*shm) / 8) * 8;
		poke64((unsigned char *)shm + at, nasty(seed));
		break;
	case 4: /* plausible: a tail a little ahead of the consumer */
		poke64(&shm->tail.position, ring.side[IPK_SPSC_CONSUMER].own + 8 * random_below(seed, CAPACITY / 8 + 2));
		break;
	default: /* record headers */
		at = random_below(seed, CAPACITY / 8) * 8;
		poke64(ring.data + at, random_below(seed, 2) ? random_below(seed, 64) : nasty(seed));
		break;
	}
}

static void count(int64_t rc)
{
	answers[rc >= 0 ? 0 : rc == -EAGAIN ? 1 : rc == -EBADMSG ? 2 : 3]++;
	CHECK(rc >= 0 || rc == -EAGAIN || rc == -EBADMSG || rc == -EMSGSIZE || rc == -ETIMEDOUT || rc == -EPIPE ||
	      rc == -EOWNERDEAD || rc == -EOVERFLOW);
}

static void read_loan(uint64_t begin, uint64_t end)
{
	CHECK(begin <= end && end - begin <= CAPACITY && end <= 2 * CAPACITY);
	memcpy(scratch, (unsigned char *)ipk_spsc_data(&ring) + begin, end - begin);
}

static void one_call(uint64_t *seed)
{
	struct ipk_slice slices[BATCH];
	struct ipk_spsc_stat stat;
	struct ipk_spsc_part part;
	uint64_t bounds[2 * BATCH];
	uint64_t length = random_below(seed, 4) ? random_below(seed, 100) : random_below(seed, CAPACITY + 16);
	int64_t rc;

	switch (random_below(seed, 12)) {
	case 0:
	case 1:
		count(ipk_spsc_try_send(&ring, scratch, length));
		break;
	case 2:
		for (int i = 0; i < BATCH; i++)
			slices[i] = (struct ipk_slice){scratch, length};
		count(ipk_spsc_try_send_many(&ring, slices, BATCH));
		break;
	case 3:
	case 4:
		rc = ipk_spsc_try_receive(&ring);
		count(rc);
		if (rc >= 0) {
			read_loan((uint64_t)(rc >> 32), (uint64_t)(rc >> 32) + ((uint64_t)rc & UINT32_MAX));
			CHECK_EQ(random_below(seed, 4) ? ipk_spsc_release(&ring) : ipk_spsc_return_loan(&ring), 0);
		}
		break;
	case 5:
		rc = ipk_spsc_try_receive_many(&ring, bounds, BATCH);
		count(rc);
		for (int64_t i = 0; i < rc; i++)
			read_loan(bounds[2 * i], bounds[2 * i + 1]);
		if (rc > 0)
			CHECK_EQ(ipk_spsc_release(&ring), 0);
		break;
	case 7:
		rc = ipk_spsc_try_reserve(&ring, length, &part);
		count(rc);
		if (rc == 0) {
			CHECK(part.offset + length <= 2 * CAPACITY);
			memcpy((unsigned char *)ipk_spsc_data(&ring) + part.offset, scratch, length);
			CHECK_EQ(random_below(seed, 4) ? ipk_spsc_commit(&ring, length / 2) : ipk_spsc_abort(&ring), 0);
		}
		break;
	case 8:
		rc = ipk_spsc_try_receive_part(&ring, &part);
		count(rc);
		if (rc == 0) {
			read_loan(part.offset, part.offset + part.length);
			CHECK_EQ(random_below(seed, 2) ? ipk_spsc_skip_part(&ring) : ipk_spsc_return_loan(&ring), 0);
		}
		break;
	case 9:
		count(ipk_spsc_try_receive_into(&ring, scratch, length));
		break;
	case 10:
		count(ipk_spsc_try_send_part(&ring, scratch, length, (uint32_t)random_below(seed, 8), length));
		break;
	case 6:
		count(ipk_spsc_wait_message(&ring, 0));
		count(ipk_spsc_wait_room(&ring, length, 0));
		break;
	default:
		CHECK_EQ(ipk_spsc_stat(&ring, &stat), 0);
		break;
	}
}

/* Roles are claimed anew now and then, so that indices are believed that a vandal left. */
static void forget_roles(void)
{
	ring.side[IPK_SPSC_PRODUCER].held = 0;
	ring.side[IPK_SPSC_CONSUMER].held = 0;
}

static void show(void)
{
	printf("    %llu calls went well, %llu had to wait, %llu found corruption, %llu other\n",
	       (unsigned long long)answers[0], (unsigned long long)answers[1], (unsigned long long)answers[2],
	       (unsigned long long)answers[3]);
	for (int i = 0; i < 3; i++)
		CHECK(answers[i] > 0);
	memset(answers, 0, sizeof(answers));
}

static void garbage_between_calls(void)
{
	uint64_t seed = random_seed();

	make_guarded();
	for (int round = 0; round < ROUNDS; round++) {
		vandalise(&seed);
		if (round % 64 == 0)
			forget_roles();
		one_call(&seed);
	}
	show();
	drop();
}

static void vandal(void *unused)
{
	uint64_t seed = (uint64_t)getpid();

	(void)unused;
	for (;;)
		vandalise(&seed);
}

static void garbage_during_calls(void)
{
	uint64_t seed = random_seed();
	int64_t end = ipk_monotonic_ns() + CONCURRENT_NS;
	pid_t pid;

	make_guarded();
	pid = start(vandal, NULL);
	for (int round = 0; round % 256 != 0 || ipk_monotonic_ns() < end; round++) {
		if (round % 64 == 0)
			forget_roles();
		one_call(&seed);
	}
	show();
	kill_child(pid);
	drop();
}

/* A record that is longer than what its producer had committed, by as little as can be. */
static void record_beyond_the_tail(void)
{
	uint64_t bounds[2];

	for (uint64_t length = 0; length < 100; length++) {
		uint64_t size = IPK_SPSC_RECORD_HEADER + ((length + 7) & ~UINT64_C(7));

		make_guarded();
		poke64(ring.data, length);
		for (uint64_t tail = 1; tail < size; tail++) {
			poke64(&ring.shm->tail.position, tail);
			CHECK_EQ(ipk_spsc_try_receive(&ring), -EBADMSG);
			CHECK_EQ(ipk_spsc_try_receive_many(&ring, bounds, 1), -EBADMSG);
			forget_roles();
		}
		poke64(&ring.shm->tail.position, size);
		CHECK_EQ(ipk_spsc_try_receive(&ring) & UINT32_MAX, length);
		CHECK_EQ(ipk_spsc_release(&ring), 0);
		CHECK_EQ(ipk_spsc_try_receive(&ring), -EAGAIN);
		drop();
	}
}

/* The whole shared header of the ring and the data, all at once, behind an opener's back and before it. */
static void random_pages(void)
{
	uint64_t seed = random_seed();

	for (int round = 0; round < 500; round++) {
		uint64_t capacity;

		make_guarded();
		capacity = ring.shm->capacity;
		for (size_t at = 0; at < IPK_SPSC_DATA + CAPACITY; at += 8)
			poke64((unsigned char *)ring.shm + at, random_next(&seed));
		ring.shm->capacity = capacity;
		for (int call = 0; call < 20; call++)
			one_call(&seed);
		drop();
	}
	memset(answers, 0, sizeof(answers));
}

int main(void)
{
	RUN(garbage_between_calls);
	RUN(garbage_during_calls);
	RUN(random_pages);
	RUN(record_beyond_the_tail);
	return 0;
}
