/* mpmc.h among threads, for ThreadSanitizer: views of their own over one mapping, and one view that all share. Each message says who
 * sent it, and as which; what arrives is complete, in each producer's order, and nothing is there twice. */
#include "mpmc_ring.h"
#include "party.h"

#define SENDERS 2
#define RECEIVERS 2
#define MESSAGES (ROUNDS / 2)
#define LONG (IPK_MPMC_INSIDE + 200)
#define KINDS 8
#define A_QUARTER (CAPACITY / 4 - IPK_MPMC_RECORD_HEADER)

struct message {
	uint32_t sender, number;
	unsigned char rest[LONG];
};

struct player {
	struct ipk_mpmc *view;
	uint32_t number;
};

static struct ipk_mpmc views[SENDERS + RECEIVERS];
static uint32_t counts[RECEIVERS][SENDERS];
static _Atomic uint32_t seen[SENDERS][MESSAGES];

/* A view with a membership of its own, over the mapping of the ring. */
static void become(struct ipk_mpmc *view)
{
	*view = ring;
	memset(&view->member, 0, sizeof(view->member));
	CHECK_EQ(ipk_member_open(&view->member, ring.segment.fd), 0);
	ipk_roster_init(&view->roster, &ring.shm->roster, ring.chosen.participants, &view->member);
}

static uint64_t length_of_number(uint32_t number)
{
	return number % KINDS == 0 ? sizeof(struct message) : 8 + number % 100;
}

static void *send_all(void *argument)
{
	const struct player *player = argument;
	struct ipk_mpmc_claim claim;
	struct message message;
	uint32_t stalled;
	int rc;

	memset(&message, (int)player->number, sizeof(message));
	message.sender = player->number;
	for (uint32_t number = 0; number < MESSAGES; number++) {
		uint64_t length = length_of_number(number);

		message.number = number;
		for (;;) {
			if (number % KINDS == 3)
				rc = ipk_mpmc_try_reserve(player->view, length + 30, &claim);
			else
				rc = ipk_mpmc_try_send(player->view, &message, length, 0);
			if (rc != -EAGAIN)
				break;
			rc = ipk_mpmc_wait_room(player->view, length + 30, IPK_NEVER, &stalled);
			CHECK(rc == 0 || rc == -EAGAIN);
		}
		CHECK_EQ(rc, 0);
		if (number % KINDS == 3) {
			memcpy((unsigned char *)ipk_mpmc_data(player->view) + claim.offset, &message, length);
			CHECK_EQ(ipk_mpmc_commit(player->view, &claim, length, 0), 0);
		}
		if (number % KINDS == 5 && ipk_mpmc_try_reserve(player->view, 10, &claim) == 0)
			CHECK_EQ(ipk_mpmc_abort(player->view, &claim), 0);
	}
	return NULL;
}

static void check_message(const struct player *player, const unsigned char *data, uint64_t length)
{
	struct message message;

	CHECK(length >= 8 && length <= sizeof(message));
	memcpy(&message, data, length);
	CHECK(message.sender < SENDERS && message.number < MESSAGES);
	CHECK_EQ(length, length_of_number(message.number));
	for (uint64_t i = 8; i < length; i++)
		CHECK_EQ(data[i], message.sender);
	/* in order, as far as one consumer can tell; another one may have put something back */
	CHECK_EQ(atomic_fetch_add(&seen[message.sender][message.number], 1), 0);
	counts[player->number][message.sender]++;
}

static void *receive_all(void *argument)
{
	const struct player *player = argument;
	unsigned char copy[4096];
	uint32_t lengths[16], stalled, round = 0;
	struct ipk_mpmc_claim loans[3];

	for (;;) {
		int64_t rc = -EMSGSIZE;
		uint64_t at = 0;

		if (round++ % 4)
			rc = ipk_mpmc_try_copy(player->view, copy, sizeof(copy), lengths, round % 16 + 1);
		for (int64_t i = 0; i < rc; at += lengths[i++])
			check_message(player, copy + at, lengths[i]);
		if (rc == -EMSGSIZE) {
			rc = ipk_mpmc_try_receive(player->view, loans, 3);
			if (rc > 0 && round % 32 == 0) {
				CHECK_EQ(ipk_mpmc_return_loan(player->view, loans, (uint32_t)rc), 0);
			} else if (rc > 0) {
				for (int64_t i = 0; i < rc; i++)
					check_message(player, (unsigned char *)ipk_mpmc_data(player->view) + loans[i].offset,
						      loans[i].length);
				CHECK_EQ(ipk_mpmc_release(player->view, loans, (uint32_t)rc), 0);
			}
		}
		if (rc != -EAGAIN) {
			CHECK(rc > 0);
			continue;
		}
		rc = ipk_mpmc_wait_message(player->view, IPK_NEVER, &stalled);
		if (rc == -EPIPE)
			return NULL;
		CHECK(rc == 0 || rc == -EAGAIN);
	}
}

static void play(int shared)
{
	struct player players[SENDERS + RECEIVERS];
	pthread_t threads[SENDERS + RECEIVERS];
	struct ipk_mpmc *last;

	make();
	memset(counts, 0, sizeof(counts));
	memset(seen, 0, sizeof(seen));
	for (uint32_t i = 0; i < SENDERS + RECEIVERS; i++) {
		if (!shared)
			become(&views[i]);
		players[i] = (struct player){shared ? &ring : &views[i], i < SENDERS ? i : i - SENDERS};
	}
	last = attached();
	CHECK_EQ(ipk_mpmc_join(last, IPK_ROSTER_PRODUCER), 0);
	CHECK_EQ(ipk_mpmc_join(&ring, IPK_ROSTER_CONSUMER), 0);
	for (int i = 0; i < SENDERS + RECEIVERS; i++)
		threads[i] = run(i < SENDERS ? send_all : receive_all, &players[i]);
	for (int i = 0; i < SENDERS; i++) {
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
		if (!shared)
			ipk_roster_leave(&views[i].roster, IPK_ROSTER_PRODUCER);
	}
	if (shared)
		ipk_roster_leave(&ring.roster, IPK_ROSTER_PRODUCER);
	detach(last); /* and with it the last producer */
	for (int i = SENDERS; i < SENDERS + RECEIVERS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	for (uint32_t sender = 0; sender < SENDERS; sender++)
		CHECK_EQ(counts[0][sender] + counts[1][sender], MESSAGES);
	CHECK_EQ(stat_of(&ring).sent, SENDERS * MESSAGES);
	CHECK_EQ(stat_of(&ring).received, SENDERS * MESSAGES);
	CHECK_EQ(stat_of(&ring).used, 0);
	for (int i = 0; i < SENDERS + RECEIVERS && !shared; i++)
		ipk_member_close(&views[i].member);
	drop();
}

static void a_view_for_each(void)
{
	play(0);
}

static void one_view_for_all(void)
{
	play(1);
}

/* Somebody dies with a reservation, with a loan, with a lock, again and again, and the others go on. */
static void *die_often(void *argument)
{
	struct ipk_mpmc_claim claim;
	struct ipk_mpmc *view = argument;

	for (int round = 0; round < ROUNDS / 20; round++) {
		become(view);
		CHECK(ipk_member_join(&view->member) > 0);
		view->member.self.start_time++; /* its process does not run */
		if (round % 3 == 0 && ipk_mpmc_try_reserve(view, 10, &claim) == 0)
			memset((unsigned char *)ipk_mpmc_data(view) + claim.offset, 0xEE, 10);
		else if (round % 3 == 1)
			ipk_mpmc_try_receive(view, &claim, 1);
		else if (ipk_mpmc_join(view, IPK_ROSTER_ROLES) == 0)
			ipk_lock_guard(round % 2 ? &view->shm->send.lock : &view->shm->receive.lock, &view->member);
		atomic_fetch_add_explicit(&deaths, 1, memory_order_release);
		ipk_member_close(&view->member);
	}
	return NULL;
}

static _Atomic uint32_t over;

static void *go_on(void *argument)
{
	struct ipk_mpmc *view = argument;
	uint32_t stalled;

	while (!atomic_load(&over)) {
		after_death();
		if (ipk_mpmc_try_send(view, "message", 8, 0) == -EAGAIN)
			ipk_mpmc_wait_room(view, 8, ipk_monotonic_ns() + MS, &stalled);
		after_death();
		if (nothing(view) == -EAGAIN)
			ipk_mpmc_wait_message(view, ipk_monotonic_ns() + MS, &stalled);
	}
	return NULL;
}

static void deaths_are_outlived(void)
{
	pthread_t dying, living[2];

	make();
	for (int i = 0; i < 2; i++)
		become(&views[i]);
	atomic_store(&over, 0);
	dying = run(die_often, &views[2]);
	for (int i = 0; i < 2; i++)
		living[i] = run(go_on, &views[i]);
	CHECK_EQ(pthread_join(dying, NULL), 0);
	while (stat_of(&ring).recoveries == 0) /* the first round leaves a reservation: whoever lives comes upon it */
		sched_yield();
	atomic_store(&over, 1);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(living[i], NULL), 0);
	for (int i = 0; i < 2; i++)
		ipk_member_close(&views[i].member);
	drop();
}

/* What two threads say to each other without ordering anything. */
static _Atomic uint32_t said;

static void say(uint32_t word)
{
	atomic_store_explicit(&said, word, memory_order_relaxed);
}

static void hear(uint32_t word)
{
	while (atomic_load_explicit(&said, memory_order_relaxed) != word)
		sched_yield();
}

enum { LENT = 1, LOCKED, RELEASED };

static void *read_one(void *view)
{
	struct ipk_mpmc_claim loan = lend_number(view, 0, A_QUARTER);

	say(LENT);
	hear(LOCKED);
	CHECK_EQ(ipk_mpmc_release(view, &loan, 1), 0);
	say(RELEASED);
	return NULL;
}

/* A loan that ends while somebody else stays under the lock: nothing but the record's word says that it was read before another
 * one frees its room. */
static void what_was_lent_is_read_before_it_is_overwritten(void)
{
	struct ipk_mpmc_claim second;
	pthread_t reader;

	make();
	become(&views[0]);
	for (uint64_t number = 0; number < 2; number++)
		CHECK_EQ(send_number(&ring, number, A_QUARTER), 0);
	say(0);
	reader = run(read_one, &views[0]);
	hear(LENT);
	second = lend_number(&ring, 1, A_QUARTER);
	CHECK_EQ(ipk_lock_guard(&ring.shm->receive.lock, &ring.member), 0);
	say(LOCKED);
	hear(RELEASED);
	CHECK_EQ(ipk_lock_release(&ring.shm->receive.lock, &ring.member), 0);
	CHECK_EQ(ipk_mpmc_release(&ring, &second, 1), 0);
	for (uint64_t number = 2; number < 6; number++)
		CHECK_EQ(send_number(&ring, number, A_QUARTER), 0);
	CHECK_EQ(pthread_join(reader, NULL), 0);
	ipk_member_close(&views[0].member);
	drop();
}

int main(void)
{
	prepare();
	RUN(what_was_lent_is_read_before_it_is_overwritten);
	RUN(a_view_for_each);
	RUN(one_view_for_all);
	RUN(deaths_are_outlived);
	return 0;
}
