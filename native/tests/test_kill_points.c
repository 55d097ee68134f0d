/* A process is killed exactly at each marked point of the core, at the first and at later passes, in each role that
 * comes by there. The survivor must find every committed message once, whole and in order, must learn of the death in
 * bounded time, and a successor must be able to go on. The list of points is made from the sources (killpoints.h). */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "ipckit/spsc.h"
#include "ledger.h"
#include "support.h"

#define CAPACITY 4096
#define LONGEST 1500
#define MESSAGES 400
#define SLICES_UNTIL_SEEN 20 /* one, and a generous time to be scheduled */

static const char *const points[] = {
#define KILLPOINT(name) name,
#include "killpoints.h"
#undef KILLPOINT
};
#define POINTS (sizeof(points) / sizeof(points[0]))

enum role { PRODUCER = IPK_SPSC_PRODUCER, CONSUMER = IPK_SPSC_CONSUMER, CREATOR };
static const char *const role_names[] = {"producer", "consumer", "creator"};
static const int passes[] = {1, 2, 3, 7, 20};

static const char *target; /* in the victim: where it dies */
static int passes_left;

static struct ipk_spsc ring;
static struct ledger *ledger;
static char name[NAME_SIZE];

void ipk_killpoint(const char *at)
{
	if (target && strcmp(at, target) == 0 && --passes_left == 0)
		kill(getpid(), SIGKILL);
}

static int is(const char *point, const char *prefix)
{
	return strncmp(point, prefix, strlen(prefix)) == 0;
}

/* Which roles come by at a point. One that this table does not know fails the test. */
static int concerns(const char *point, enum role role)
{
	if (is(point, "segment.publish."))
		return role == CREATOR;
	if (is(point, "spsc.send.") || is(point, "spsc.reserve."))
		return role == PRODUCER;
	if (is(point, "spsc.receive."))
		return role == CONSUMER;
	if (is(point, "participant.") || is(point, "spsc.claim.") || is(point, "spsc.wait.") || is(point, "spsc.close."))
		return role != CREATOR;
	return 0;
}

struct life {
	enum role role;
	uint32_t generation;
	uint64_t seed;
	const char *point; /* NULL: live to the end */
	int pass;
	uint64_t messages;
};

static void produce(uint32_t generation, uint64_t seed, uint64_t messages)
{
	for (uint64_t sent = 0; sent < messages;) {
		int64_t rc = ledger_try_send(ledger, &ring, generation, LONGEST, &seed);

		if (rc > 0)
			sent += (uint64_t)rc;
		else
			rc = ipk_spsc_wait_room(&ring, ledger_next_length(LONGEST, seed), IPK_NEVER);
		CHECK(rc >= 0 || rc == -EAGAIN);
	}
}

/* Receive until the stream ends. Returns -EPIPE or -EOWNERDEAD. */
static int consume(uint64_t seed)
{
	for (;;) {
		int64_t rc = ledger_try_receive(ledger, &ring, 1 + (uint32_t)random_below(&seed, 3));

		if (rc == -EAGAIN)
			rc = ipk_spsc_wait_message(&ring, IPK_NEVER);
		if (rc == -EPIPE || rc == -EOWNERDEAD)
			return (int)rc;
		CHECK(rc >= 0 || rc == -EAGAIN);
	}
}

static void live(void *argument)
{
	struct life *life = argument;

	/* a view of our own; not attached anew, so that the parent can tell the words we sleep on by their address */
	ipk_spsc_forked(&ring);
	atomic_store(&ring.closed, 0);
	target = life->point;
	passes_left = life->pass;
	if (life->role == PRODUCER) {
		produce(life->generation, life->seed, life->messages);
	} else {
		ledger_consumer_begins(ledger);
		CHECK_EQ(consume(life->seed), -EPIPE);
	}
	ipk_spsc_close(&ring);
}

static void set_up(void)
{
	memset(&ring, 0, sizeof(ring));
	CHECK_EQ(ipk_spsc_create(&ring, NULL, CAPACITY, 0, 0600), 0);
	ipk_spsc_set_spin(&ring, 0); /* every wait sleeps */
	memset(ledger, 0, sizeof(*ledger));
}

static void tear_down(void)
{
	ipk_spsc_close(&ring);
	ipk_spsc_unmap(&ring);
}

/* We are the consumer. Lets the producer run into a full ring again and again, then empties it. Returns whether the
 * victim died; it is reaped. */
static int outlive_producer(pid_t pid)
{
	int blocked = 1;
	int status;

	ledger_consumer_begins(ledger);
	while (blocked) {
		int64_t rc;

		blocked = settle(pid, SYS_futex, &ring.shm->producer_sleep.asleep);
		do
			rc = ledger_try_receive(ledger, &ring, BATCH);
		while (rc > 0);
		CHECK_EQ(rc, -EAGAIN);
	}
	status = reap(pid);
	CHECK(status == 0 || status == -SIGKILL);
	return status != 0;
}

/* What a survivor is told at last depends on how far the dead one had come: one that was killed before it had its role
 * was never there. */
static int verdict(enum role dead, int64_t *deadline)
{
	uint32_t state = atomic_load(&ring.shm->roles.state[dead]);
	int slices = state == IPK_SPSC_NEVER ? 2 : SLICES_UNTIL_SEEN;

	CHECK_EQ(ipk_participant_alive(&ring.segment, dead), 0);
	*deadline = ipk_monotonic_ns() + slices * (int64_t)IPK_SLICE_NS;
	return state == IPK_SPSC_NEVER ? -ETIMEDOUT : state == IPK_SPSC_OPEN ? -EOWNERDEAD : -EPIPE;
}

static void check_end_of_stream(void)
{
	int64_t deadline;
	int expected = verdict(PRODUCER, &deadline);
	int rc;

	do
		rc = ipk_spsc_wait_message(&ring, deadline);
	while (rc == -EAGAIN);
	CHECK_EQ(rc, expected);
	ledger_check_drained(ledger, 0);
}

static int kill_producer(const char *point, int pass)
{
	struct life victim = {PRODUCER, 0, 1000 + (uint64_t)pass, point, pass, MESSAGES};
	struct life successor = {PRODUCER, 1, 2000, NULL, 0, MESSAGES / 4};
	pid_t pid;
	int died;

	set_up();
	died = outlive_producer(start(live, &victim));
	if (died) {
		check_end_of_stream();
		pid = start(live, &successor);
		while (atomic_load(&ledger->returned[1]) == 0) /* until then the stream's end is the dead one's */
			settle(pid, SYS_futex, &ring.shm->producer_sleep.asleep);
		CHECK_EQ(consume(3000), -EPIPE);
		CHECK_EQ(reap(pid), 0);
		ledger_check_drained(ledger, 1);
		CHECK(atomic_load(&ledger->returned[1]) >= MESSAGES / 4);
	}
	tear_down();
	return died;
}

/* We are the producer. Lets the consumer run into an empty ring again and again, then fills it. */
static int outlive_consumer(pid_t pid)
{
	uint64_t seed = 4000;
	uint64_t sent = 0;
	int status;

	while (settle(pid, SYS_futex, &ring.shm->consumer_sleep.asleep)) {
		int64_t rc = 0;

		for (int i = 0; i < 10 && sent < MESSAGES && rc >= 0; i++) {
			rc = ledger_try_send(ledger, &ring, 0, LONGEST, &seed);
			CHECK(rc > 0 || rc == -EAGAIN);
			sent += rc > 0 ? (uint64_t)rc : 0;
		}
		if (sent >= MESSAGES)
			ipk_spsc_close(&ring);
	}
	status = reap(pid);
	CHECK(status == 0 || status == -SIGKILL);
	return status != 0;
}

/* Fill the ring until somebody drains it or we learn that nobody will. */
static void check_consumer_is_missed(void)
{
	uint64_t seed = 5000;
	int64_t rc, deadline;
	int expected;

	if (atomic_load(&ring.closed))
		return; /* the victim came to its end, and so did we */
	while ((rc = ledger_try_send(ledger, &ring, 0, LONGEST, &seed)) > 0)
		;
	CHECK_EQ(rc, -EAGAIN);
	expected = verdict(CONSUMER, &deadline);
	do
		rc = ipk_spsc_wait_room(&ring, ledger_next_length(LONGEST, seed), deadline);
	while (rc == -EAGAIN);
	CHECK_EQ(rc, expected);
}

static int kill_consumer(const char *point, int pass)
{
	struct life victim = {CONSUMER, 0, 1000 + (uint64_t)pass, point, pass, 0};
	struct life successor = {CONSUMER, 0, 2000, NULL, 0, 0};
	pid_t pid;
	int died;

	set_up();
	died = outlive_consumer(start(live, &victim));
	if (died) {
		check_consumer_is_missed();
		pid = start(live, &successor);
		if (!atomic_load(&ring.closed)) {
			/* or else a full ring would have us told of the dead one */
			while (ipk_participant_alive(&ring.segment, CONSUMER) == 0)
				sched_yield();
			produce(0, 6000, MESSAGES / 4);
			ipk_spsc_close(&ring);
		}
		CHECK_EQ(reap(pid), 0);
		ledger_consumer_begins(ledger);
		ledger_check_drained(ledger, 0);
		CHECK_EQ(atomic_load(&ledger->taken), atomic_load(&ledger->released));
		CHECK_EQ(atomic_load(&ledger->sent), atomic_load(&ledger->released));
		CHECK(atomic_load(&ledger->redelivered) <= 1);
	}
	tear_down();
	return died;
}

static void create_named(void *argument)
{
	struct life *life = argument;

	target = life->point;
	passes_left = life->pass;
	memset(&ring, 0, sizeof(ring));
	CHECK_EQ(ipk_spsc_create(&ring, name, CAPACITY, 0, 0600), 0);
}

static int kill_creator(const char *point, int pass)
{
	struct life victim = {CREATOR, 0, 0, point, pass, 0};
	int status;

	fresh_name(name);
	status = reap(start(create_named, &victim));
	CHECK(status == 0 || status == -SIGKILL);
	memset(&ring, 0, sizeof(ring));
	if (access(name, F_OK) == 0) { /* then it is whole */
		CHECK_EQ(ipk_spsc_attach(&ring, open(name, O_RDWR | O_CLOEXEC)), 0);
	} else { /* then nothing is in the way of the next creator */
		CHECK_EQ(ipk_spsc_create(&ring, name, CAPACITY, 0, 0600), 0);
	}
	memset(ledger, 0, sizeof(*ledger));
	ledger_consumer_begins(ledger);
	for (uint64_t seed = 7000, i = 0; i < 100; i++) {
		CHECK(ledger_try_send(ledger, &ring, 0, LONGEST, &seed) > 0);
		while (ledger_try_receive(ledger, &ring, BATCH) > 0)
			;
	}
	ledger_check_drained(ledger, 0);
	tear_down();
	unlink(name);
	return status != 0;
}

static int kill_one(const char *point, enum role role, int pass)
{
	return role == PRODUCER ? kill_producer(point, pass)
	       : role == CONSUMER ? kill_consumer(point, pass)
				  : kill_creator(point, pass);
}

int main(void)
{
	static char title[128];
	int killed = 0;

	CHECK(POINTS >= 10);
	ledger_prepare();
	ledger = shared_memory(sizeof(*ledger));
	for (size_t i = 0; i < POINTS; i++) {
		int roles = 0;

		for (int role = PRODUCER; role <= CREATOR; role++) {
			if (!concerns(points[i], (enum role)role))
				continue;
			roles++;
			snprintf(title, sizeof(title), "%s, %s", points[i], role_names[role]);
			beginning(title);
			for (size_t k = 0; k < sizeof(passes) / sizeof(passes[0]); k++) {
				int died = kill_one(points[i], (enum role)role, passes[k]);

				CHECK(died || k > 0); /* every point is reached at least once */
				killed += died;
			}
		}
		if (roles == 0)
			fprintf(stderr, "no test knows who passes the kill point %s\n", points[i]);
		CHECK(roles > 0);
	}
	printf("%d processes killed at %zu points; every survivor and every successor went on\n", killed, POINTS);
	return 0;
}
