/* mpmc.h, trust: a peer that writes anything at all into the segment gets errors or garbage for it, never an access outside the
 * mapping and never an endless loop. The mapping lies between two pages that nobody may touch. */
#include "mpmc_ring.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096
#define KEPT 8
#define ROUNDS 200000
#define CONCURRENT_NS INT64_C(1500000000)

static unsigned char *guarded; /* a page without access, the view's mapping, another such page */
static unsigned char scratch[2 * CAPACITY];
static struct ipk_mpmc_claim claims[KEPT], loans[KEPT];
static uint32_t claimed, lent;

/* Move the view's mapping to a place of our choice, between two pages without access. */
static void make_guarded(void)
{
	unsigned char *old, *base;
	size_t mapped, before;

	make();
	old = ring.segment.base;
	mapped = ring.segment.mapped;
	before = (size_t)(ring.data - old);
	guarded = mmap(NULL, mapped + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(guarded != MAP_FAILED);
	base = guarded + PAGE;
	CHECK(mremap(old, mapped - CAPACITY, mapped - CAPACITY, MREMAP_MAYMOVE | MREMAP_FIXED, base) != MAP_FAILED);
	CHECK(mremap(old + mapped - CAPACITY, CAPACITY, CAPACITY, MREMAP_MAYMOVE | MREMAP_FIXED, base + mapped - CAPACITY) !=
	      MAP_FAILED);
	ring.segment.base = base;
	ring.shm = (struct ipk_mpmc_shm *)(void *)(base + IPK_SEGMENT_HEADER);
	ring.data = base + before;
	ipk_roster_init(&ring.roster, &ring.shm->roster, ring.chosen.participants, &ring.member);
	CHECK_EQ(mapped, before + 2 * CAPACITY);
}

static void drop_guarded(void)
{
	size_t size = ring.segment.mapped + 2 * PAGE;

	drop();
	munmap(guarded, size);
}

/* Numbers that hurt: near the bounds of what is valid, plausible words, and anything. */
static uint64_t nasty(uint64_t *seed)
{
	switch (random_below(seed, 7)) {
	case 0:
		return random_next(seed);
	case 1:
		return random_next(seed) >> random_below(seed, 64);
	case 2:
		return UINT64_MAX - random_below(seed, 3 * CAPACITY);
	case 3: /* a record of any state, of a plausible length, of us or of somebody else */
		return random_below(seed, 8) << 60 |
		       (random_below(seed, 2) ? (uint64_t)ipk_member_current(&ring.member) << 32 : random_next(seed) >> 36 << 32) |
		       random_below(seed, CAPACITY + 16);
	case 4:
		return atomic_load(&ring.shm->tail.place) + random_below(seed, CAPACITY / 8 + 4) - random_below(seed, CAPACITY / 8 + 4);
	default:
		return random_below(seed, 2 * CAPACITY);
	}
}

/* Plain stores, as a hostile program makes them; atomic only for the checkers' sake. */
static void poke64(void *at, uint64_t value)
{
	__atomic_store_n((uint64_t *)at, value, __ATOMIC_RELAXED);
}

static void vandalise(uint64_t *seed)
{
	struct ipk_mpmc_shm *shm = ring.shm;
	void *const places[] = {&shm->tail.place, &shm->free.place, &shm->receive.taken, &shm->receive.tail_seen, &shm->send.free_seen};
	uint64_t at;

	switch (random_below(seed, 5)) {
	case 0:
		poke64(places[random_below(seed, 5)], nasty(seed));
		break;
	case 1: /* locks, sleepers, roster: all words before the data */
		at = random_below(seed, (uint64_t)(ring.data - (unsigned char *)shm) / 8) * 8;
		poke64((unsigned char *)shm + at, nasty(seed));
		break;
	default: /* records */
		poke64(ring.data + random_below(seed, CAPACITY / 8) * 8, nasty(seed));
		break;
	}
}

/* What is corrupt for good: begin anew, as whoever makes a ring. */
static void heal(void)
{
	memset((unsigned char *)ring.shm + sizeof(ring.shm->geometry), 0,
	       (size_t)(ring.data - (unsigned char *)ring.shm) - sizeof(ring.shm->geometry) + CAPACITY);
	claimed = lent = 0;
}

static void check_claim(const struct ipk_mpmc_claim *claim)
{
	CHECK(claim->offset >= 8 && claim->offset <= CAPACITY && claim->offset + claim->length <= 2 * CAPACITY);
}

static int64_t one_call(uint64_t *seed, int waiting)
{
	struct ipk_slice slices[4];
	struct ipk_mpmc_stat stat;
	uint32_t lengths[16], stalled;
	uint64_t length = random_below(seed, 4) ? random_below(seed, 100) : random_below(seed, CAPACITY + 16);
	int64_t deadline = waiting ? ipk_monotonic_ns() + 100000 : 0;
	int64_t rc;

	switch (random_below(seed, 10)) {
	case 0:
	case 1:
		return ipk_mpmc_try_send(&ring, scratch, length, (uint32_t)length & 1);
	case 2:
		for (int i = 0; i < 4; i++)
			slices[i] = (struct ipk_slice){scratch, length};
		return ipk_mpmc_try_send_many(&ring, slices, 4);
	case 3:
		if (claimed == KEPT)
			claimed--;
		rc = ipk_mpmc_try_reserve(&ring, length, &claims[claimed]);
		if (rc == 0) {
			check_claim(&claims[claimed]);
			memset(ring.data + claims[claimed].offset, 0xAB, claims[claimed].length);
			claimed++;
		}
		return rc;
	case 4:
		if (claimed == 0)
			return 0;
		claimed--;
		rc = random_below(seed, 2) ? ipk_mpmc_abort(&ring, &claims[claimed])
					   : ipk_mpmc_commit(&ring, &claims[claimed], claims[claimed].length / 2, 0);
		return rc == -EOWNERDEAD || rc == -ECHILD ? 0 : rc;
	case 5:
		return ipk_mpmc_try_copy(&ring, scratch, random_below(seed, sizeof(scratch)), lengths, 16);
	case 6:
		if (lent == KEPT)
			lent--;
		rc = ipk_mpmc_try_receive(&ring, &loans[lent], 1);
		if (rc == 1) {
			check_claim(&loans[lent]);
			memcpy(scratch, ring.data + loans[lent].offset, loans[lent].length);
			lent++;
		}
		return rc;
	case 7:
		if (lent == 0)
			return 0;
		lent--;
		rc = random_below(seed, 2) ? ipk_mpmc_release(&ring, &loans[lent], 1) : ipk_mpmc_return_loan(&ring, &loans[lent], 1);
		return rc == -EOWNERDEAD || rc == -ECHILD ? 0 : rc;
	case 8:
		return random_below(seed, 2) ? ipk_mpmc_wait_message(&ring, deadline, &stalled)
					     : ipk_mpmc_wait_room(&ring, length, deadline, &stalled);
	default:
		ipk_mpmc_stat(&ring, &stat);
		return random_below(seed, 2) ? ipk_mpmc_living(&ring, IPK_ROSTER_CONSUMER)
					     : ipk_mpmc_try_receive_into(&ring, scratch, random_below(seed, sizeof(scratch)));
	}
}

static void expected(int64_t rc)
{
	CHECK(rc >= 0 || rc == -EAGAIN || rc == -EBADMSG || rc == -EMSGSIZE || rc == -ETIMEDOUT || rc == -EPIPE || rc == -EINVAL ||
	      rc == -EOWNERDEAD || rc == -EOVERFLOW || rc == -ENOSPC || rc == -EDEADLK);
}

static void garbage_between_calls(void)
{
	uint64_t seed = random_seed();
	uint64_t fine = 0;

	make_guarded();
	for (int round = 0; round < ROUNDS; round++) {
		int64_t rc;

		if (random_below(&seed, 3) == 0)
			vandalise(&seed);
		rc = one_call(&seed, 0);
		expected(rc);
		fine += rc >= 0;
		if (round % 16 == 15)
			heal();
	}
	CHECK(fine > ROUNDS / 10);
	heal();
	CHECK_EQ(send_number(&ring, 2, 100), 0);
	receive_number(&ring, 2, 100);
	drop_guarded();
}

static void vandal(void *unused)
{
	uint64_t seed = 99;

	(void)unused;
	for (;;)
		vandalise(&seed);
}

static void garbage_during_calls(void)
{
	uint64_t seed = random_seed();
	int64_t end;
	pid_t pid;

	make_guarded();
	pid = start(vandal, NULL);
	end = ipk_monotonic_ns() + CONCURRENT_NS;
	while (ipk_monotonic_ns() < end)
		expected(one_call(&seed, 1));
	kill_child(pid);
	drop_guarded();
}

int main(void)
{
	prepare();
	RUN(garbage_between_calls);
	RUN(garbage_during_calls);
	return 0;
}
