/* storm_spsc [KILLS [SECONDS]]: SIGKILL a producer or a consumer again and again, at random moments.
 *
 * A producer and a consumer work a ring without end. The parent kills one of them (now and then both), notes where it
 * was, and starts a successor; the survivor goes on and checks every message against the ledger. Each process says
 * where it is in a word of shared memory: the last kill point that it passed inside the core, or nothing. The
 * histogram shows it; at least half of the victims must have been inside a function of the core. One moment is not
 * left to chance, for it is too short: every tenth successor or so stops within its claim of the role, and dies there.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "ipckit/spsc.h"
#include "ledger.h"
#include "support.h"

#define CAPACITY (UINT64_C(1) << 18)
#define PLACES 128
#define STALLED_NS INT64_C(10000000000)
#define ROUNDS_PER_PROOF 100
#define MESSAGES_PER_PROOF 200
#define MEETINGS_PER_DEATH_NOTICE 20
#define ROUNDS_PER_DEATH_IN_CLAIM 10
#define POINTS_OF_CLAIM 3
#define ENOUGH_FOR_ALL_PLACES 1000

enum phase { FLOW, FULL, EMPTY, PHASES }; /* FULL: the consumer pauses; EMPTY: the producer pauses */
static const char *const phase_names[] = {"flow", "full", "empty"};
static const char *const role_names[] = {"producer", "consumer"};

/* Where a process is. Strings lie at the same address in all of them, for all are forks of one. */
static const char entered[] = "entered";
static const char on_loan[] = "on loan: copying out";

struct victim {
	_Atomic uintptr_t place; /* a string; 0: outside */
	_Atomic uint32_t wraps;
	_Atomic uint32_t deaths; /* of the other side, as told by -EOWNERDEAD */
	_Atomic uint64_t calls;
};

struct control {
	struct victim side[2];
	_Atomic uint32_t phase;
	struct ledger ledger;
};

struct count {
	char place[96];
	uint32_t victims[2];
};

static struct control *control;
static struct ipk_spsc ring; /* the parent's view, which claims nothing before the end */
static struct victim *self;  /* in a child */
static uint32_t points_to_stop; /* in a child that is to die in its claim: the kill points until it stops for that */
static pid_t pids[2];
static uint32_t generation;
static uint64_t seed;
static struct count histogram[PLACES];

static void at(const char *place)
{
	atomic_store_explicit(&self->place, (uintptr_t)place, memory_order_relaxed);
}

void ipk_killpoint(const char *name)
{
	if (self)
		at(name);
	if (points_to_stop && --points_to_stop == 0)
		stay();
}

static void entering(int wraps)
{
	atomic_store_explicit(&self->wraps, (uint32_t)wraps, memory_order_relaxed);
	at(entered);
}

static void left(void)
{
	at(NULL);
}

static void copying_out(int wraps)
{
	atomic_store_explicit(&self->wraps, (uint32_t)wraps, memory_order_relaxed);
	at(on_loan);
}

static uint32_t phase(void)
{
	return atomic_load_explicit(&control->phase, memory_order_relaxed);
}

/* In a child: half of them take the view that they inherited, half attach anew. */
static void begin(uint32_t role)
{
	self = &control->side[role];
	at(NULL);
	seed += (uint64_t)getpid() * 2;
	if (random_below(&seed, 2)) {
		ipk_spsc_forked(&ring);
	} else {
		int fd = fcntl(ring.segment.fd, F_DUPFD_CLOEXEC, 3);

		memset(&ring, 0, sizeof(ring));
		CHECK_EQ(ipk_spsc_attach(&ring, fd), 0);
	}
	if (random_below(&seed, 2))
		ipk_spsc_set_spin(&ring, 0);
}

static void after_wait(int64_t rc)
{
	if (rc == -EOWNERDEAD)
		atomic_fetch_add(&self->deaths, 1);
	else
		CHECK(rc == 0 || rc == -EAGAIN);
}

static void produce(void *number)
{
	uint32_t own = (uint32_t)(uintptr_t)number;

	begin(IPK_SPSC_PRODUCER);
	for (;;) {
		uint64_t largest = random_below(&seed, 4) ? CAPACITY / 2 : CAPACITY - IPK_SPSC_RECORD_HEADER;
		int64_t rc;

		while (phase() == EMPTY)
			sched_yield();
		while ((rc = ledger_try_send(&control->ledger, &ring, own, largest, &seed)) == -EAGAIN) {
			entering(0);
			rc = ipk_spsc_wait_room(&ring, ledger_next_length(largest, seed), IPK_NEVER);
			left();
			after_wait(rc);
		}
		CHECK(rc > 0);
		atomic_fetch_add(&self->calls, 1);
	}
}

static void consume(void *unused)
{
	(void)unused;
	begin(IPK_SPSC_CONSUMER);
	ledger_consumer_begins(&control->ledger);
	for (;;) {
		int64_t rc;

		while (phase() == FULL)
			sched_yield();
		rc = ledger_try_receive(&control->ledger, &ring, 1 + (uint32_t)random_below(&seed, 3));
		if (rc == -EAGAIN) {
			entering(0);
			rc = ipk_spsc_wait_message(&ring, IPK_NEVER);
			left();
			after_wait(rc);
		} else {
			CHECK(rc > 0);
		}
		atomic_fetch_add(&self->calls, 1);
	}
}

static void birth(uint32_t role)
{
	if (role == IPK_SPSC_PRODUCER) {
		CHECK(generation + 1 < GENERATIONS);
		generation++;
	}
	random_next(&seed);
	pids[role] = start(role == IPK_SPSC_PRODUCER ? produce : consume, (void *)(uintptr_t)generation);
}

/* In system call futex(2), by proc_pid_syscall(5)? */
static int in_futex(pid_t pid)
{
	char path[64], text[32];
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/syscall", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (length <= 0)
		return 0;
	text[length] = '\0';
	return strtol(text, NULL, 10) == SYS_futex && text[0] != 'r';
}

static void note(uint32_t role, int asleep)
{
	const struct victim *victim = &control->side[role];
	const char *place = (const char *)atomic_load(&victim->place);
	char text[96];
	struct count *row = histogram;

	snprintf(text, sizeof(text), "%s%s%s", place ? place : "outside",
		 place && strcmp(place, "spsc.wait.announced") == 0 && asleep ? ", blocked in futex(2)" : "",
		 place && atomic_load(&victim->wraps) ? ", wrapped" : "");
	while (row->place[0] && strcmp(row->place, text) != 0)
		row++;
	CHECK(row < histogram + PLACES - 1);
	memcpy(row->place, text, sizeof(text));
	row->victims[role]++;
}

static void death(uint32_t role)
{
	int asleep = in_futex(pids[role]);
	int status;

	CHECK_EQ(kill(pids[role], SIGKILL), 0);
	status = reap(pids[role]);
	if (status != -SIGKILL)
		fprintf(stderr, "the %s ended by itself, with status %d\n", role_names[role], status);
	CHECK_EQ(status, -SIGKILL);
	note(role, asleep);
	pids[role] = 0;
}

static void show_state(void)
{
	struct ipk_spsc_stat stat;

	if (!control)
		return;
	ipk_spsc_stat(&ring, &stat);
	fprintf(stderr, "phase %s, generation %u, %" PRIu64 " bytes in the ring, head %" PRIu64 ", tail %" PRIu64 "\n",
		phase_names[phase()], generation, stat.used, atomic_load(&ring.shm->head.position),
		atomic_load(&ring.shm->tail.position));
	for (int role = 0; role < 2; role++) {
		const struct victim *side = &control->side[role];
		const char *place = (const char *)atomic_load(&side->place);

		fprintf(stderr, "%s: process %d, %s, in futex: %d, %" PRIu64 " calls, asleep %u, alive %d\n", role_names[role],
			(int)pids[role], place ? place : "outside", pids[role] > 0 && in_futex(pids[role]),
			atomic_load(&side->calls),
			atomic_load(role ? &ring.shm->consumer_sleep.asleep : &ring.shm->producer_sleep.asleep),
			ipk_participant_alive(&ring.segment, (uint32_t)role));
	}
	fprintf(stderr, "sent %" PRIu64 ", received %" PRIu64 "\n", atomic_load(&control->ledger.sent),
		atomic_load(&control->ledger.received));
}

/* Wait until the counter has risen by `more`; both processes must live. */
static void wait_for_more(_Atomic uint64_t *counter, uint64_t more, const char *what)
{
	uint64_t goal = atomic_load(counter) + more;
	int64_t end = ipk_monotonic_ns() + STALLED_NS;

	while (atomic_load(counter) < goal) {
		if (ipk_monotonic_ns() > end || waitpid(-1, NULL, WNOHANG) > 0) {
			fprintf(stderr, "stalled, or a process ended: waited for %s\n", what);
			show_state();
			CHECK(0);
		}
		sched_yield();
	}
}

/* The random moment. Not to synchronise with anybody: any length is right. */
static void linger(void)
{
	uint64_t ns = random_below(&seed, 4) ? random_below(&seed, 2500000) : random_below(&seed, 250000);
	struct timespec pause = {0, (long)ns};

	nanosleep(&pause, NULL);
}

/* A claim of the role takes some microseconds, once in a life: a random moment hardly ever meets it. */
static void death_in_claim(uint32_t role)
{
	atomic_store(&control->phase, FLOW); /* or it may never begin */
	points_to_stop = 1 + (uint32_t)random_below(&seed, POINTS_OF_CLAIM);
	birth(role);
	points_to_stop = 0;
	wait_staying(pids[role]);
	death(role);
}

/* Leave the dead one unreplaced until the survivor has been told. */
static void wait_for_death_notice(uint32_t dead)
{
	struct victim *survivor = &control->side[!dead];
	uint32_t told = atomic_load(&survivor->deaths);
	int64_t end = ipk_monotonic_ns() + STALLED_NS;

	atomic_store(&control->phase, FLOW);
	while (atomic_load(&survivor->deaths) == told) {
		if (ipk_monotonic_ns() > end) {
			fprintf(stderr, "the survivor does not learn that the %s died\n", role_names[dead]);
			show_state();
			CHECK(0);
		}
		sched_yield();
	}
}

static uint32_t one_round(uint32_t round)
{
	uint32_t role = round & 1;
	int both = random_below(&seed, 20) == 0;
	int in_claim = random_below(&seed, ROUNDS_PER_DEATH_IN_CLAIM) == 0;

	switch (random_below(&seed, 5)) {
	case 0: /* the victim will be the one that blocks */
		atomic_store(&control->phase, role == IPK_SPSC_PRODUCER ? FULL : EMPTY);
		break;
	default:
		atomic_store(&control->phase, FLOW);
		break;
	}
	linger();
	death(role);
	if (both)
		death(!role);
	else if (random_below(&seed, MEETINGS_PER_DEATH_NOTICE) == 0)
		wait_for_death_notice(role);
	if (in_claim)
		death_in_claim(role);
	if (random_below(&seed, 4) == 0)
		atomic_store(&control->phase, (uint32_t)random_below(&seed, PHASES)); /* the successor begins in any of them */
	birth(role);
	if (both)
		birth(!role);
	if (round % ROUNDS_PER_PROOF == 0) {
		atomic_store(&control->phase, FLOW);
		wait_for_more(&control->ledger.received, MESSAGES_PER_PROOF, "messages to arrive");
	}
	return 1 + (uint32_t)both + (uint32_t)in_claim;
}

/* The last ones are killed too; we drain what they left. */
static void last_consumer(void)
{
	int64_t rc;

	atomic_store(&control->phase, FLOW);
	wait_for_more(&control->ledger.received, MESSAGES_PER_PROOF, "the last messages");
	death(IPK_SPSC_CONSUMER);
	death(IPK_SPSC_PRODUCER);
	self = &control->side[IPK_SPSC_CONSUMER]; /* from here on it is us */
	ledger_consumer_begins(&control->ledger);
	while ((rc = ledger_try_receive(&control->ledger, &ring, BATCH)) > 0)
		;
	CHECK_EQ(rc, -EAGAIN);
	do
		rc = ipk_spsc_wait_message(&ring, IPK_NEVER);
	while (rc == -EAGAIN);
	CHECK_EQ(rc, -EOWNERDEAD);
	ledger_check_drained(&control->ledger, generation);
}

static uint32_t victims_at(const char *what, uint32_t role)
{
	uint32_t sum = 0;

	for (struct count *row = histogram; row->place[0]; row++)
		sum += strstr(row->place, what) ? row->victims[role] : 0;
	return sum;
}

static int by_place(const void *a, const void *b)
{
	return strcmp(((const struct count *)a)->place, ((const struct count *)b)->place);
}

static void report(int64_t began)
{
	uint32_t total[2] = {victims_at("", 0), victims_at("", 1)};
	uint32_t all = total[0] + total[1];
	uint32_t outside = victims_at("outside", 0) + victims_at("outside", 1);
	uint32_t loan = victims_at(on_loan, 0) + victims_at(on_loan, 1);
	uint32_t inside = all - outside - loan;
	size_t rows = 0;

	while (histogram[rows].place[0])
		rows++;
	qsort(histogram, rows, sizeof(histogram[0]), by_place);
	printf("\n%-58s %9s %9s\n", "where the victims were: the last kill point passed", "producer", "consumer");
	for (size_t i = 0; i < rows; i++)
		printf("%-58s %9u %9u\n", histogram[i].place, histogram[i].victims[0], histogram[i].victims[1]);
	printf("%-58s %9u %9u\n\n", "all", total[0], total[1]);
	printf("%u killed in %.1f s: %.1f %% inside ipk_*, %.1f %% with a loan, %.1f %% outside\n", all,
	       (double)(ipk_monotonic_ns() - began) / 1e9, 100.0 * inside / all, 100.0 * loan / all, 100.0 * outside / all);
	printf("%" PRIu64 " messages received, each once and whole, but for %" PRIu64 " batches that a killed consumer had checked and "
	       "not released; %" PRIu64 " arrived whose send never returned; survivors were told of %u deaths\n",
	       atomic_load(&control->ledger.received), atomic_load(&control->ledger.redelivered),
	       atomic_load(&control->ledger.unreturned),
	       atomic_load(&control->side[0].deaths) + atomic_load(&control->side[1].deaths));
	fflush(stdout); /* a check that fails ends us without it */
	CHECK(2 * inside >= all);
	if (all < ENOUGH_FOR_ALL_PLACES)
		return;
	for (uint32_t role = 0; role < 2; role++) {
		CHECK(victims_at("blocked in futex", role) > 0);
		CHECK(victims_at("participant.claim.", role) > 0);
		CHECK(victims_at("spsc.claim.", role) > 0);
	}
	CHECK(victims_at("spsc.send.headed", IPK_SPSC_PRODUCER) > 0);
	CHECK(victims_at("spsc.send.headed, wrapped", IPK_SPSC_PRODUCER) > 0);
	CHECK(victims_at("on loan: copying out, wrapped", IPK_SPSC_CONSUMER) > 0);
}

int main(int argc, char **argv)
{
	uint32_t kills = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : 2000;
	uint32_t seconds = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : 0;
	int64_t began = ipk_monotonic_ns();
	uint32_t done = 0;

	seed = random_seed();
	ledger_prepare();
	ledger_entering = entering;
	ledger_left = left;
	ledger_copying_out = copying_out;
	control = shared_memory(sizeof(*control));
	CHECK_EQ(ipk_spsc_create(&ring, NULL, CAPACITY, 0, 0600), 0);
	watchdog(60 + kills / 10 + seconds * 2, show_state);
	birth(IPK_SPSC_PRODUCER);
	birth(IPK_SPSC_CONSUMER);
	for (uint32_t round = 0; seconds ? ipk_monotonic_ns() - began < seconds * INT64_C(1000000000) : done < kills; round++)
		done += one_round(round);
	last_consumer();
	report(began);
	ipk_spsc_close(&ring);
	ipk_spsc_unmap(&ring);
	return 0;
}
