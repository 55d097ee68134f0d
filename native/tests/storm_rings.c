/* storm_rings [SECONDS]: eight processes send and receive through a ring, and are killed at random moments.
 *
 * One kind of ring after the other, each with each of its policies. Half of the processes send, half receive, in all the ways
 * that there are; each message is checked as a whole, and against a ledger of who sent and received what. The parent kills them,
 * stops some for a while, and starts others in their places; after a while it kills them all, takes what is left in the ring,
 * and checks what must hold then. The histograms show where the victims were, at least half of them inside a function of the core.
 */
#include "storm_rings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "ipckit/base.h"
#include "storm_processes.h"
#include "support.h"

#define LIFE_MS 2500 /* of a ring */
#define ENOUGH 100   /* messages received in one, at least, however slow the machine is */
#define LOOKS_FOR_A_VICTIM 4000
#define MOST_FIELDS 16
#define NOISE 65536

struct ledger_of_ring *ledger;

static const struct field *fields[MOST_FIELDS], *field;
static size_t field_count;
static unsigned char noise[NOISE];
static uint32_t next; /* number of our next message */
static struct {
	uint64_t lives, sent, received, told, deaths;
} sums[MOST_FIELDS];

/* --- messages -------------------------------------------------------------------------------------------------------- */

static const unsigned char *content(uint32_t from, uint32_t number)
{
	return noise + (from * 7919 + number * 37) % (NOISE - LONGEST);
}

uint64_t pick_length(void)
{
	uint64_t most = storm_random(4) ? 200 : LONGEST - sizeof(struct head);

	return sizeof(struct head) + storm_random(most + 1);
}

void write_message(unsigned char *to, uint32_t ahead, uint64_t length, uint64_t sequence)
{
	struct head head = {(uint32_t)storm_index(), next + ahead, length, sequence};

	memcpy(to, &head, sizeof(head));
	memcpy(to + sizeof(head), content(head.from, head.number), length - sizeof(head));
}

struct head read_message(const unsigned char *message, uint64_t length)
{
	struct head head;

	MUST(length >= sizeof(head));
	memcpy(&head, message, sizeof(head));
	MUST(head.length == length && head.from < SENDERS);
	MUST(head.number < atomic_load(&ledger->sender[head.from].attempted));
	MUST(memcmp(message + sizeof(head), content(head.from, head.number), length - sizeof(head)) == 0);
	return head;
}

static struct sender *sender(void)
{
	return &ledger->sender[storm_index()];
}

void resume_sending(void)
{
	if (storm_index() < SENDERS)
		next = atomic_load(&sender()->attempted);
}

int begin_sending(uint32_t count)
{
	if (next + count > NUMBERS) {
		nap();
		return 0;
	}
	atomic_store(&sender()->attempted, next + count);
	return 1;
}

void end_sending(int64_t sent)
{
	for (int64_t i = 0; i < sent; i++)
		atomic_store(&sender()->sent[next++], 1);
	if (sent > 0)
		atomic_store(&sender()->returned, next);
	atomic_store(&sender()->attempted, next);
}

int64_t patience(void)
{
	return storm_random(4) ? IPK_NEVER : storm_after((int64_t)storm_random(20));
}

void nap(void)
{
	struct timespec pause = {0, 1000000};

	nanosleep(&pause, NULL);
}

/* --- what storm.c asks ------------------------------------------------------------------------------------------------ */

void storm_attach(void)
{
	field->attach();
	resume_sending();
}

const struct work *storm_next_work(int64_t now)
{
	(void)now;
	if (storm_index() < SENDERS)
		return &field->sends[storm_random(field->send_count)];
	return &field->receives[storm_random(field->receive_count)];
}

void storm_before_death(int i)
{
	(void)i;
}

void storm_after_death(int i)
{
	if (field->after_death)
		field->after_death(i);
}

/* One in the middle of an operation, and not asleep: most are. */
int storm_owner(void)
{
	for (int look = 0; look < LOOKS_FOR_A_VICTIM; look++) {
		int i = (int)storm_random(PROCESSES);
		const char *place = (const char *)atomic_load(&processes[i].place);

		if (place && !strstr(place, "announced") && !strstr(place, "wanted"))
			return i;
	}
	return -1;
}

void storm_show_objects(void)
{
	fprintf(stderr, "%s: %" PRIu64 " received, %" PRIu64 " told as lost\n", field->name, atomic_load(&ledger->received),
		atomic_load(&ledger->told));
	for (int i = 0; i < SENDERS; i++)
		fprintf(stderr, "sender %d: %u attempted\n", i, atomic_load(&ledger->sender[i].attempted));
	field->show();
}

/* --- in the parent ---------------------------------------------------------------------------------------------------- */

static void add_fields(const struct field *some, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fields[field_count++] = &some[i];
}

static void prepare(void)
{
	uint64_t state = 12345;

	add_fields(mpmc_fields, mpmc_field_count);
	add_fields(broadcast_fields, broadcast_field_count);
	add_fields(latest_fields, latest_field_count);
	for (size_t i = 0; i < NOISE; i++)
		noise[i] = (unsigned char)(random_next(&state) >> 56);
	ledger = shared_memory(sizeof(*ledger));
}

static void add_up(size_t which)
{
	sums[which].lives++;
	for (int i = 0; i < SENDERS; i++)
		sums[which].sent += atomic_load(&ledger->sender[i].attempted);
	sums[which].received += atomic_load(&ledger->received);
	sums[which].told += atomic_load(&ledger->told);
	sums[which].deaths += atomic_load(&ledger->deaths_told);
}

static void live(size_t which, int64_t until)
{
	field = fields[which];
	memset(ledger, 0, sizeof(*ledger));
	field->make(field->variant);
	for (int i = 0; i < PROCESSES; i++)
		storm_birth(i);
	do
		storm_rage(until);
	while (atomic_load(&ledger->received) < ENOUGH && (until = storm_after(100)));
	for (int i = 0; i < PROCESSES; i++)
		storm_death(i);
	field->at_rest();
	add_up(which);
}

static void show_totals(void)
{
	printf("\n%-24s %6s %10s %10s %10s %22s\n", "what the processes used", "lives", "sent", "received", "told: lost",
	       "told: all others died");
	for (size_t i = 0; i < field_count; i++) {
		printf("%-24s %6" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %22" PRIu64 "\n", fields[i]->name, sums[i].lives,
		       sums[i].sent, sums[i].received, sums[i].told, sums[i].deaths);
		CHECK(sums[i].lives == 0 || (sums[i].sent > 0 && sums[i].received > 0));
	}
}

int main(int argc, char **argv)
{
	uint32_t seconds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : 30;
	int64_t end = ipk_monotonic_ns() + seconds * INT64_C(1000000000);
	int64_t life;

	storm_open();
	prepare();
	life = (int64_t)(seconds * 1000 / field_count);
	life = life < LIFE_MS ? life : LIFE_MS;
	watchdog(60 + seconds * 2, storm_show);
	for (size_t i = 0; ipk_monotonic_ns() < end || i < field_count; i++)
		live(i % field_count, storm_after(life));
	storm_report();
	show_totals();
	return 0;
}
