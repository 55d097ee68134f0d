#include "ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "support.h"

#define HEAD sizeof(struct message_head)
#define PLACES 4096 /* where a message's content may begin in the noise */

static unsigned char *noise;     /* what messages are cut from */
static unsigned char *outgoing;  /* the same, with the head of the message being sent written over it */
static unsigned char *incoming;
static uint64_t expected;        /* generation << 32 | messages of it received */
static uint64_t may_come_again;  /* as expected, before the batch that our predecessor had taken; else as expected */

static void nothing_with(int wraps)
{
	(void)wraps;
}

static void nothing(void)
{
}

void (*ledger_entering)(int) = nothing_with;
void (*ledger_left)(void) = nothing;
void (*ledger_copying_out)(int) = nothing_with;

void ledger_prepare(void)
{
	const size_t size = LARGEST + PLACES + BATCH * HEAD;
	uint64_t state = 88172645463325252;

	noise = malloc(size);
	outgoing = malloc(size);
	incoming = malloc(LARGEST);
	CHECK(noise && outgoing && incoming);
	for (size_t i = 0; i < size; i++)
		noise[i] = (unsigned char)(random_next(&state) >> 56);
	memcpy(outgoing, noise, size);
}

static uint64_t place_of(uint32_t generation, uint32_t sequence)
{
	return (generation * UINT64_C(2654435761) + sequence * UINT64_C(40503)) % PLACES;
}

static uint64_t pick_length(uint64_t largest, uint64_t *random)
{
	uint64_t limit = largest - HEAD;

	switch (random_below(random, 4)) {
	case 0:
		limit = limit < 64 ? limit : 64;
		break;
	case 1:
		limit = limit < 4096 ? limit : 4096;
		break;
	default:
		break;
	}
	return HEAD + random_below(random, limit + 1);
}

uint64_t ledger_next_length(uint64_t largest, uint64_t random)
{
	return pick_length(largest, &random);
}

/* A reservation is for more than is committed, where that makes no difference to the room that it takes. */
#define LONGER(length) (((length) + 7) & ~UINT64_C(7))

static int wraps(const struct ipk_spsc *ring, uint64_t length)
{
	/* own: what the next call begins with, if it is not the one that claims */
	return (ring->side[IPK_SPSC_PRODUCER].own & ring->mask) + IPK_SPSC_RECORD_HEADER + length > ring->capacity;
}

static void write_head(unsigned char *at, uint64_t length, uint32_t generation, uint32_t sequence)
{
	struct message_head head = {length, generation, sequence};

	memcpy(at, &head, HEAD);
}

static int64_t send_one(struct ipk_spsc *ring, uint32_t generation, uint32_t sequence, uint64_t length)
{
	uint64_t place = place_of(generation, sequence);
	int64_t rc;

	write_head(outgoing + place, length, generation, sequence);
	ledger_entering(wraps(ring, length));
	rc = ipk_spsc_try_send(ring, outgoing + place, length);
	ledger_left();
	memcpy(outgoing + place, noise + place, HEAD);
	return rc < 0 ? rc : 1;
}

/* Write it where it is to lie; every other time, think better of it first. */
static int64_t send_in_place(struct ipk_spsc *ring, uint32_t generation, uint32_t sequence, uint64_t length)
{
	struct ipk_spsc_part room;
	uint64_t place = place_of(generation, sequence);
	int64_t rc;

	ledger_entering(wraps(ring, length));
	rc = ipk_spsc_try_reserve(ring, LONGER(length), &room);
	if (rc == 0 && sequence % 2) {
		memset((unsigned char *)ipk_spsc_data(ring) + room.offset, 0xee, length);
		ipk_spsc_abort(ring);
		rc = ipk_spsc_try_reserve(ring, LONGER(length), &room);
	}
	if (rc == 0) {
		write_head((unsigned char *)ipk_spsc_data(ring) + room.offset, length, generation, sequence);
		memcpy((unsigned char *)ipk_spsc_data(ring) + room.offset + HEAD, noise + place + HEAD, length - HEAD);
		rc = ipk_spsc_commit(ring, length);
	}
	ledger_left();
	return rc < 0 ? rc : 1;
}

static int64_t send_batch(struct ipk_spsc *ring, uint32_t generation, uint32_t sequence, uint64_t length, uint32_t count)
{
	static unsigned char copies[BATCH][1024];
	struct ipk_slice slices[BATCH];
	int64_t rc;

	for (uint32_t i = 0; i < count; i++) {
		write_head(copies[i], length, generation, sequence + i);
		memcpy(copies[i] + HEAD, noise + place_of(generation, sequence + i) + HEAD, length - HEAD);
		slices[i] = (struct ipk_slice){copies[i], length};
	}
	ledger_entering(wraps(ring, (length + IPK_SPSC_RECORD_HEADER) * count));
	rc = ipk_spsc_try_send_many(ring, slices, count);
	ledger_left();
	return rc;
}

int64_t ledger_try_send(struct ledger *ledger, struct ipk_spsc *ring, uint32_t generation, uint64_t largest, uint64_t *random)
{
	uint64_t before = *random;
	uint64_t length = pick_length(largest, random);
	uint32_t count = random_below(random, 4) == 0 && length <= 1024 ? 1 + (uint32_t)random_below(random, BATCH) : 1;
	uint64_t sequence = atomic_load(&ledger->returned[generation]);
	int64_t rc;

	atomic_store(&ledger->attempted[generation], sequence + count);
	rc = count == 1 && sequence % 3 == 0 ? send_in_place(ring, generation, (uint32_t)sequence, length)
	     : count == 1 ? send_one(ring, generation, (uint32_t)sequence, length)
			: send_batch(ring, generation, (uint32_t)sequence, length, count);
	if (rc < 0) {
		*random = before;
		return rc;
	}
	atomic_store(&ledger->returned[generation], sequence + (uint64_t)rc);
	atomic_store(&ledger->attempted[generation], sequence + (uint64_t)rc);
	atomic_fetch_add(&ledger->sent, (uint64_t)rc);
	return rc;
}

static uint32_t high(uint64_t position)
{
	return (uint32_t)(position >> 32);
}

static uint32_t low(uint64_t position)
{
	return (uint32_t)position;
}

/* May a generation have sent exactly so many? What had returned is there; what was attempted may be. */
static int complete(struct ledger *ledger, uint32_t generation, uint64_t count)
{
	return atomic_load(&ledger->returned[generation]) <= count && count <= atomic_load(&ledger->attempted[generation]);
}

static int follows(struct ledger *ledger, uint64_t position, const struct message_head *head)
{
	if (head->generation == high(position))
		return head->sequence == low(position);
	if (head->generation < high(position) || head->generation >= GENERATIONS || head->sequence != 0 ||
	    !complete(ledger, high(position), low(position)))
		return 0;
	for (uint32_t between = high(position) + 1; between < head->generation; between++) {
		if (!complete(ledger, between, 0))
			return 0;
	}
	return 1;
}

void ledger_consumer_begins(struct ledger *ledger)
{
	may_come_again = atomic_load(&ledger->released);
	expected = atomic_load(&ledger->taken);
}

/* A consumer's first message shows whether its predecessor's last release took effect. Noted before that message is
 * taken: who is killed now, too, must leave to its successor where its own batch began. */
static void resume(struct ledger *ledger, const struct message_head *head)
{
	if (may_come_again == expected)
		return;
	if (!follows(ledger, expected, head)) {
		CHECK(follows(ledger, may_come_again, head));
		atomic_fetch_add(&ledger->redelivered, 1);
		expected = may_come_again;
	}
	may_come_again = expected;
	atomic_store(&ledger->released, expected);
}

static void check_message(struct ledger *ledger, const unsigned char *message, uint64_t length)
{
	struct message_head head;

	CHECK(length >= HEAD);
	memcpy(&head, message, HEAD);
	CHECK_EQ(head.length, length);
	CHECK(memcmp(message + HEAD, noise + place_of(head.generation, head.sequence) + HEAD, length - HEAD) == 0);
	resume(ledger, &head);
	if (!follows(ledger, expected, &head)) {
		uint32_t was = high(expected);

		fprintf(stderr, "after message %u of generation %u (which sent %llu to %llu) came message %u of generation %u\n",
			low(expected), was, (unsigned long long)atomic_load(&ledger->returned[was]),
			(unsigned long long)atomic_load(&ledger->attempted[was]), head.sequence, head.generation);
		CHECK(0);
	}
	if (head.generation != high(expected) && low(expected) > atomic_load(&ledger->returned[high(expected)]))
		atomic_fetch_add(&ledger->unreturned, 1);
	may_come_again = expected = (uint64_t)head.generation << 32 | (head.sequence + 1);
}

static int64_t receive_one(struct ipk_spsc *ring, uint64_t *lengths)
{
	int64_t rc, offset;

	ledger_entering(0);
	if (expected % 2) {
		struct ipk_spsc_part lent = {0, 0, 0};

		rc = ipk_spsc_try_receive_part(ring, &lent);
		if (rc == 0)
			rc = (int64_t)(lent.offset & ring->mask) << 32 | (int64_t)lent.length;
		CHECK_EQ(lent.flags, 0);
	} else {
		rc = ipk_spsc_try_receive(ring);
	}
	ledger_left();
	if (rc < 0)
		return rc;
	offset = rc >> 32;
	lengths[0] = (uint64_t)rc & UINT32_MAX;
	CHECK((uint64_t)offset < ring->capacity && lengths[0] <= LARGEST);
	ledger_copying_out((uint64_t)offset + lengths[0] > ring->capacity);
	memcpy(incoming, (unsigned char *)ipk_spsc_data(ring) + offset, lengths[0]);
	ledger_left();
	return 1;
}

static int64_t receive_batch(struct ipk_spsc *ring, uint64_t *lengths, uint32_t count)
{
	uint64_t bounds[2 * BATCH];
	unsigned char *at = incoming;
	int64_t rc;

	ledger_entering(0);
	rc = ipk_spsc_try_receive_many(ring, bounds, count);
	ledger_left();
	for (int64_t i = 0; i < rc; i++) {
		lengths[i] = bounds[2 * i + 1] - bounds[2 * i];
		CHECK(bounds[2 * i + 1] <= 2 * ring->capacity && at + lengths[i] <= incoming + LARGEST);
		ledger_copying_out(bounds[2 * i + 1] > ring->capacity);
		memcpy(at, (unsigned char *)ipk_spsc_data(ring) + bounds[2 * i], lengths[i]);
		ledger_left();
		at += lengths[i];
	}
	return rc;
}

int64_t ledger_try_receive(struct ledger *ledger, struct ipk_spsc *ring, uint32_t count)
{
	uint64_t lengths[BATCH];
	const unsigned char *at = incoming;
	int64_t got = count == 1 ? receive_one(ring, lengths) : receive_batch(ring, lengths, count);

	if (got <= 0)
		return got;
	/* Checked before the release, for `taken` must be right; the release can no longer change the copy. */
	for (int64_t i = 0; i < got; i++) {
		check_message(ledger, at, lengths[i]);
		at += lengths[i];
	}
	atomic_store(&ledger->taken, expected);
	ledger_entering(0);
	ipk_spsc_release(ring);
	ledger_left();
	atomic_store(&ledger->released, expected);
	atomic_fetch_add(&ledger->received, (uint64_t)got);
	return got;
}

void ledger_check_drained(struct ledger *ledger, uint32_t last_generation)
{
	CHECK(complete(ledger, high(expected), low(expected)));
	for (uint32_t after = high(expected) + 1; after <= last_generation; after++)
		CHECK(complete(ledger, after, 0));
}
