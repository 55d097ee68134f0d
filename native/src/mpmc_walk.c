/* From record to record, under the receive lock; and what the dead have left there. */
#include "mpmc_view.h"

#define WALK_MOST (1U << 20) /* records that one repair looks at: some ten milliseconds; those in the way come first */
#define REMEMBERED 8

int ipk_mpmc_walk_begin(struct ipk_mpmc *ring, struct walk *walk)
{
	struct ipk_mpmc_shm *shm = ring->shm;
	uint32_t used;

	/* relaxed, all: the lock's owner only stores them; what it has not got round to, we do */
	walk->free = atomic_load_explicit(&shm->free.place, memory_order_relaxed);
	walk->at = atomic_load_explicit(&shm->receive.taken, memory_order_relaxed);
	walk->tail = atomic_load_explicit(&shm->receive.tail_seen, memory_order_relaxed);
	walk->word = 0;
	used = units_between(walk->free, walk->tail);
	if (used > units_of_ring(ring) || units_between(walk->free, walk->at) > used)
		/* somebody was killed between the stores; acquire: mpmc.tail */
		walk->tail = atomic_load_explicit(&shm->tail.place, memory_order_acquire);
	used = units_between(walk->free, walk->tail);
	if (used > units_of_ring(ring))
		return -EBADMSG;
	if (units_between(walk->free, walk->at) > used)
		walk->at = walk->free; /* the same */
	return 0;
}

int64_t ipk_mpmc_look(const struct ipk_mpmc *ring, uint64_t at, uint32_t left, uint64_t *word)
{
	uint32_t units;

	/* acquire: mpmc.ready, mpmc.freed. One load: a hostile peer may change the word between two */
	*word = atomic_load_explicit(record_at(ring, at), memory_order_acquire);
	units = units_for(length_of(*word));
	if (state_of(*word) < WRITING || state_of(*word) > PAD || units > left)
		return -EBADMSG;
	return units;
}

/* The same for the place that the walk is at. Returns its units, 0 at the tail, -EBADMSG. */
static int64_t look_here(struct ipk_mpmc *ring, struct walk *walk)
{
	uint32_t left = units_between(walk->at, walk->tail);

	if (left == 0) {
		/* acquire: mpmc.tail */
		walk->tail = atomic_load_explicit(&ring->shm->tail.place, memory_order_acquire);
		left = units_between(walk->at, walk->tail);
		if (left > units_of_ring(ring) - units_between(walk->free, walk->at))
			return -EBADMSG;
	}
	return left == 0 ? 0 : ipk_mpmc_look(ring, walk->at, left, &walk->word);
}

int ipk_mpmc_walk_on(struct ipk_mpmc *ring, struct walk *walk)
{
	for (;;) {
		int64_t units = look_here(ring, walk);
		enum state state = state_of(walk->word);
		uint64_t next;

		if (units < 0)
			return (int)units;
		if (units == 0) {
			walk->word = 0;
			return -EAGAIN;
		}
		if (state == READY)
			return 0;
		if (state == WRITING)
			return -EAGAIN;
		next = behind(walk->at, (uint32_t)units, state != PAD);
		if ((uint32_t)walk->at == (uint32_t)walk->free && state != TAKEN)
			walk->free = next;
		walk->at = next;
	}
}

int ipk_mpmc_walk_free(struct ipk_mpmc *ring, struct walk *walk)
{
	while ((uint32_t)walk->free != (uint32_t)walk->at) {
		uint64_t word;
		int64_t units = ipk_mpmc_look(ring, walk->free, units_between(walk->free, walk->at), &word);
		enum state state = state_of(word);

		if (units < 0)
			return (int)units;
		if (state != FREE && state != ABORTED && state != PAD)
			break;
		walk->free = behind(walk->free, (uint32_t)units, state != PAD);
	}
	return 0;
}

void ipk_mpmc_walk_rest(struct ipk_mpmc *ring, struct walk *walk)
{
	uint32_t left = units_between(walk->at, walk->tail);
	uint64_t next, word = 0;
	int64_t units = left > 0 ? ipk_mpmc_look(ring, walk->at, left, &word) : 0;

	if (units <= 0 || state_of(word) != PAD)
		return; /* garbage is told to whoever comes to it */
	next = behind(walk->at, (uint32_t)units, 0);
	if ((uint32_t)walk->at == (uint32_t)walk->free)
		walk->free = next;
	walk->at = next;
}

int ipk_mpmc_walk_end(struct ipk_mpmc *ring, const struct walk *walk)
{
	struct ipk_mpmc_shm *shm = ring->shm;
	/* relaxed: ours until now */
	int more_room = atomic_load_explicit(&shm->free.place, memory_order_relaxed) != walk->free;

	if (more_room) {
		/* seq_cst: mpmc.free, mpmc.news */
		atomic_store_explicit(&shm->free.place, walk->free, memory_order_seq_cst);
		IPK_KILLPOINT("mpmc.receive.freed");
	}
	/* relaxed, both: the lock's owner only; never before free, for whoever dies in between leaves taken behind it */
	atomic_store_explicit(&shm->receive.tail_seen, walk->tail, memory_order_relaxed);
	atomic_store_explicit(&shm->receive.taken, walk->at, memory_order_relaxed);
	IPK_KILLPOINT("mpmc.receive.taken");
	return more_room;
}

/* Members that the kernel has been asked about in this walk. */
struct asked {
	uint32_t id[REMEMBERED];
	int alive[REMEMBERED];
	uint32_t number;
};

/* Whether the member lives, as far as anybody can tell. */
static int is_alive(const struct ipk_mpmc *ring, struct asked *asked, uint32_t id)
{
	uint32_t slot;

	for (uint32_t i = 0; i < asked->number && i < REMEMBERED; i++)
		if (asked->id[i] == id)
			return asked->alive[i];
	slot = asked->number++ % REMEMBERED;
	asked->id[slot] = id;
	asked->alive[slot] = ipk_roster_alive(&ring->roster, id) != 0;
	return asked->alive[slot];
}

/* Give what a dead consumer had taken to somebody else, or to nobody. Returns the word that its record then has. */
static uint64_t bury_loan(struct ipk_mpmc *ring, uint64_t at, uint64_t word, struct ipk_roster_entry_shm *entry)
{
	int lose = ring->chosen.on_consumer_death == IPK_MPMC_LOSE;
	uint64_t next = restated(word, lose ? FREE : READY, 0);

	/* relaxed: the dead read it, nobody else; whoever takes it next has the lock after us */
	atomic_store_explicit(record_at(ring, at), next, memory_order_relaxed);
	IPK_KILLPOINT("mpmc.repair.loan");
	count(entry, IPK_ROSTER_RECOVERIES, 1);
	count(entry, IPK_ROSTER_LOST, (uint64_t)lose);
	return next;
}

/* What lies between free and taken: nobody's to take, unless its consumer is dead, or has put it back. Returns how many claims
 * were repaired, -EBADMSG. */
static int64_t repair_taken(struct ipk_mpmc *ring, struct walk *walk, struct asked *asked, struct ipk_roster_entry_shm *entry)
{
	uint64_t at = walk->free, first = walk->at;
	int64_t repaired = 0;

	for (uint32_t looks = 0; (uint32_t)at != (uint32_t)walk->at && looks < WALK_MOST; looks++) {
		uint64_t word;
		int64_t units = ipk_mpmc_look(ring, at, units_between(at, walk->at), &word);

		if (units < 0)
			return units;
		if (state_of(word) == TAKEN && !is_alive(ring, asked, member_of(word))) {
			word = bury_loan(ring, at, word, entry);
			repaired++;
		}
		if (state_of(word) == READY && (uint32_t)first == (uint32_t)walk->at)
			first = at;
		at = behind(at, (uint32_t)units, state_of(word) != PAD);
	}
	walk->at = first;
	return repaired;
}

int64_t ipk_mpmc_repair(struct ipk_mpmc *ring, struct walk *walk, struct ipk_roster_entry_shm *entry)
{
	struct asked asked = {.number = 0};
	int64_t repaired = 0, loans;
	int rc;

	/* so that what somebody had taken when it was killed, and nobody has gone past yet, lies before taken, too */
	rc = ipk_mpmc_walk_on(ring, walk);
	while (rc == -EAGAIN && state_of(walk->word) == WRITING && !is_alive(ring, &asked, member_of(walk->word))) {
		/* relaxed, both: nobody but its dead owner, and the owner of this lock, changes it */
		atomic_compare_exchange_strong_explicit(record_at(ring, walk->at), &walk->word,
							restated(walk->word, ABORTED, 0), memory_order_relaxed, memory_order_relaxed);
		IPK_KILLPOINT("mpmc.repair.aborted");
		count(entry, IPK_ROSTER_RECOVERIES, 1);
		repaired++;
		rc = ipk_mpmc_walk_on(ring, walk);
	}
	if (rc == -EBADMSG)
		return rc;
	loans = repair_taken(ring, walk, &asked, entry);
	if (loans < 0)
		return loans;
	rc = ipk_mpmc_walk_free(ring, walk);
	return rc < 0 ? rc : repaired + loans;
}
