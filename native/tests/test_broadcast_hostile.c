/* broadcast.h, trust: a peer that writes anything at all into the segment gets errors or garbage for it, never an access outside
 * the mapping and never an endless loop. The mapping lies between two pages that nobody may touch. */
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "broadcast.h"

#define PAGE 4096
#define BATCH 16
#ifdef __SANITIZE_ADDRESS__
#define ROUNDS 60000
#else
#define ROUNDS 200000
#endif
#define CONCURRENT_NS INT64_C(1000000000)

static unsigned char *guarded; /* a page without access, the view's mapping, another such page */
static unsigned char scratch[2 * CAPACITY];
static uint64_t answers[4]; /* fine, -EAGAIN, -EBADMSG, other */

/* Move the view's mapping to a place of our choice, between two pages without access. */
static void make_guarded(uint32_t policy)
{
	unsigned char *old, *base;
	size_t mapped;

	make(policy);
	old = ring.segment.base;
	mapped = ring.segment.mapped;
	guarded = mmap(NULL, mapped + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(guarded != MAP_FAILED);
	base = guarded + PAGE;
	CHECK(mremap(old, mapped - CAPACITY, mapped - CAPACITY, MREMAP_MAYMOVE | MREMAP_FIXED, base) != MAP_FAILED);
	CHECK(mremap(old + mapped - CAPACITY, CAPACITY, CAPACITY, MREMAP_MAYMOVE | MREMAP_FIXED, base + mapped - CAPACITY) !=
	      MAP_FAILED);
	ring.data = base + (ring.data - old);
	ring.segment.base = base;
	ring.shm = (struct ipk_broadcast_shm *)(void *)(base + IPK_SEGMENT_HEADER);
	ring.roster.shm = &ring.shm->roster;
}

static void drop_guarded(void)
{
	size_t size = ring.segment.mapped + 2 * PAGE;

	drop();
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
		base = atomic_load(random_below(seed, 2) ? &ring.reader.position : &ring.shm->tail.position);
		return base + random_below(seed, 2 * CAPACITY + 32) - random_below(seed, CAPACITY + 32);
	}
}

/* Plain stores, as a hostile program makes them; atomic only for the checkers' sake. */
static void poke(void *at, uint64_t value)
{
	__atomic_store_n((uint64_t *)at, value, __ATOMIC_RELAXED);
}

static void vandalise(uint64_t *seed)
{
	struct ipk_broadcast_shm *shm = ring.shm;
	uint64_t *positions[] = {
		(uint64_t *)(void *)&shm->tail.position,   (uint64_t *)(void *)&shm->tail.last,
		(uint64_t *)(void *)&shm->oldest.position, (uint64_t *)(void *)&shm->oldest.bound,
		(uint64_t *)(void *)&shm->oldest.want,
	};
	uint64_t at, size = (uint64_t)(ring.data - (unsigned char *)shm);

	switch (random_below(seed, 8)) {
	case 0:
	case 1:
	case 2:
		poke(positions[random_below(seed, 5)], nasty(seed) & (random_below(seed, 4) ? ~UINT64_C(7) : UINT64_MAX));
		break;
	case 3: /* plausible: all at one place, as in an empty ring */
		at = nasty(seed) & ~UINT64_C(7);
		for (int i = 0; i < 4; i++)
			poke(positions[i], at);
		break;
	case 4: /* locks, sleepers, geometry, roster: all words before the data */
		at = random_below(seed, size / 8) * 8;
		poke((unsigned char *)shm + at, nasty(seed));
		break;
	default: /* record headers */
		at = random_below(seed, CAPACITY / 8) * 8;
		poke(ring.data + at, random_below(seed, 2) ? random_below(seed, 64) << (random_below(seed, 2) ? 32 : 0) : nasty(seed));
		break;
	}
}

static const uint32_t policies[] = {
	IPK_BROADCAST_BLOCK,
	IPK_BROADCAST_OVERWRITE,
	IPK_BROADCAST_DISCONNECT,
	IPK_BROADCAST_BLOCK | IPK_BROADCAST_PARTS,
	IPK_BROADCAST_OVERWRITE | IPK_BROADCAST_FILES,
};
#define POLICIES (sizeof(policies) / sizeof(policies[0]))

static void answer(int64_t rc)
{
	answers[rc >= 0 ? 0 : rc == -EAGAIN ? 1 : rc == -EBADMSG ? 2 : 3]++;
}

static void operate_on_part(uint64_t *seed)
{
	struct ipk_broadcast_part part = {0};

	answer(ipk_broadcast_try_part(&ring, &part));
	if (!part.taken)
		return;
	CHECK_RANGE(part.offset + part.length, 0, 2 * CAPACITY);
	memcpy(scratch, ring.data + part.offset, part.length < CAPACITY ? part.length : CAPACITY);
	if (random_below(seed, 4) == 0 && ipk_broadcast_lend_part(&ring, &part, 9) == 0)
		answer(random_below(seed, 2) ? ipk_broadcast_release(&ring) : ipk_broadcast_return_loan(&ring));
	else
		answer(random_below(seed, 2) ? ipk_broadcast_pass_part(&ring, &part, 9) : ipk_broadcast_skip_part(&ring, &part));
}

static void operate(uint64_t *seed)
{
	uint32_t amid = 0;

	struct ipk_slice slices[BATCH];
	uint64_t ends[BATCH];
	struct ipk_broadcast_claim claim = {0};
	struct ipk_broadcast_stat stat;

	switch (random_below(seed, 12)) {
	case 0:
		answer(ipk_broadcast_try_send(&ring, scratch, random_below(seed, LARGEST + 2)));
		break;
	case 1:
		for (int i = 0; i < BATCH; i++)
			slices[i] = (struct ipk_slice){scratch, random_below(seed, 300)};
		answer(ipk_broadcast_try_send_many(&ring, slices, BATCH));
		break;
	case 2:
		answer(ipk_broadcast_try_reserve(&ring, random_below(seed, LARGEST), &claim));
		if (claim.taken) {
			CHECK_RANGE(claim.offset + claim.length, 0, 2 * CAPACITY);
			memset(ring.data + claim.offset, 1, claim.length);
			answer(random_below(seed, 2) ? ipk_broadcast_commit(&ring, claim.length) : ipk_broadcast_abort(&ring));
		}
		break;
	case 3:
		answer(ipk_broadcast_try_receive_many(&ring, scratch, sizeof(scratch), ends, BATCH));
		break;
	case 4:
		answer(ipk_broadcast_subscribe(&ring, random_below(seed, 50)));
		break;
	case 5:
		answer(ipk_broadcast_next_length(&ring));
		ipk_broadcast_told(&ring);
		break;
	case 6:
		answer(ipk_broadcast_try_lend(&ring, &claim));
		if (claim.taken) {
			CHECK_RANGE(claim.offset + claim.length, 0, 2 * CAPACITY);
			memcpy(scratch, ring.data + claim.offset, claim.length < CAPACITY ? claim.length : CAPACITY);
			answer(random_below(seed, 2) ? ipk_broadcast_release(&ring) : ipk_broadcast_return_loan(&ring));
		}
		break;
	case 7:
		answer(ipk_broadcast_wait_message(&ring, 0));
		answer(ipk_broadcast_wait_room(&ring, random_below(seed, LARGEST), 0));
		break;
	case 8:
		operate_on_part(seed);
		break;
	case 9:
		answer(ipk_broadcast_try_send_part(&ring, scratch, random_below(seed, LARGEST), (uint32_t)random_below(seed, 8), 9,
						   &amid));
		if (random_below(seed, 2))
			ipk_broadcast_end_parts(&ring);
		answer(ipk_broadcast_forsaken(&ring, nasty(seed)));
		break;
	case 10:
		CHECK_EQ(ipk_broadcast_stat(&ring, &stat), 0);
		ipk_broadcast_slowest(&ring);
		ipk_broadcast_holder(&ring);
		ipk_broadcast_bury(&ring);
		break;
	default:
		answer(ipk_broadcast_try_receive(&ring, scratch, random_below(seed, sizeof(scratch))));
		break;
	}
}

static void garbage_between_calls(void)
{
	uint64_t seed = random_seed();

	for (size_t policy = 0; policy < POLICIES; policy++) {
		make_guarded(policies[policy]);
		ipk_broadcast_set_spin(&ring, 0);
		for (int i = 0; i < ROUNDS; i++) {
			if (random_below(&seed, 3) == 0)
				vandalise(&seed);
			operate(&seed);
			if (random_below(&seed, 200) == 0) { /* else it is corrupt from the beginning to the end */
				memset(ring.shm, 0, (size_t)(ring.data - (unsigned char *)ring.shm));
				ipk_broadcast_subscribe(&ring, 0);
			}
		}
		drop_guarded();
	}
	for (int i = 0; i < 4; i++)
		CHECK(answers[i] > ROUNDS / 100);
	printf("    fine %llu, -EAGAIN %llu, -EBADMSG %llu, other %llu\n", (unsigned long long)answers[0],
	       (unsigned long long)answers[1], (unsigned long long)answers[2], (unsigned long long)answers[3]);
}

static void vandal(void *seed)
{
	for (;;)
		vandalise(seed);
}

static void garbage_during_calls(void)
{
	uint64_t seed = random_seed(), own = random_next(&seed);

	for (size_t policy = 0; policy < POLICIES; policy++) {
		int64_t end;
		pid_t pid;

		make_guarded(policies[policy]);
		ipk_broadcast_set_spin(&ring, 0);
		pid = start(vandal, &own);
		end = ipk_monotonic_ns() + CONCURRENT_NS;
		while (ipk_monotonic_ns() < end)
			operate(&seed);
		kill_child(pid);
		drop_guarded();
	}
}

int main(void)
{
	prepare();
	RUN(garbage_between_calls);
	RUN(garbage_during_calls);
	return 0;
}
