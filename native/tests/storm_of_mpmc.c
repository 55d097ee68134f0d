/* A ring for many in the storm: each message is received once. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "ipckit/mpmc.h"
#include "storm_rings.h"

#define SECONDS_TO_DRAIN 10

/* What has become of a message, and by whom: storm_me in the lower bits. */
#define PHASE UINT32_C(0xC0000000)
#define ON_LOAN UINT32_C(0x40000000)   /* comes again if the one who has it dies, or puts it back; or is lost, as the ring does it */
#define RELEASING UINT32_C(0x80000000) /* may come again, if he dies */
#define RECEIVED PHASE		       /* never comes again */
#define PUT_BACK UINT32_C(0x3FFFFFFF)  /* ON_LOAN and this: about to be put back */

static struct ipk_mpmc ring;
static uint32_t loses;			/* on_consumer_death */
static uint32_t last[SENDERS];		/* of each sender's, the latest that we received, plus 1 */
static unsigned char buffer[2 * LONGEST * BATCH];

/* --- sending --------------------------------------------------------------------------------------------------------- */

static void wait_for_room(uint64_t length, int64_t deadline)
{
	uint32_t stalled;
	int64_t rc = INSIDE(ipk_mpmc_wait_room(&ring, length, deadline, &stalled));

	MUST(rc == 0 || rc == -EAGAIN || rc == -EINTR || (rc == -ETIMEDOUT && deadline != IPK_NEVER));
}

static void send_one(void)
{
	uint64_t length = pick_length();
	int64_t deadline = patience(), rc;

	if (!begin_sending(1))
		return;
	write_message(buffer, 0, length, NO_SEQUENCE);
	while ((rc = INSIDE(ipk_mpmc_try_send(&ring, buffer, length, 0))) == -EAGAIN) {
		wait_for_room(length, deadline);
		if (ipk_monotonic_ns() >= deadline)
			break;
	}
	MUST(rc == 0 || rc == -EAGAIN);
	end_sending(rc == 0);
}

static void send_batch(void)
{
	struct ipk_slice slices[BATCH];
	uint32_t count = 1 + (uint32_t)storm_random(BATCH);
	int64_t deadline = patience(), rc;

	if (!begin_sending(count))
		return;
	for (uint32_t i = 0; i < count; i++) {
		slices[i] = (struct ipk_slice){buffer + i * LONGEST, pick_length()};
		write_message(buffer + i * LONGEST, i, slices[i].length, NO_SEQUENCE);
	}
	while ((rc = INSIDE(ipk_mpmc_try_send_many(&ring, slices, count))) == -EAGAIN) {
		wait_for_room(slices[0].length, deadline);
		if (ipk_monotonic_ns() >= deadline)
			break;
	}
	MUST(rc > 0 || rc == -EAGAIN);
	end_sending(rc);
}

/* Written where it lies, and shortened, or given up. */
static void send_in_place(void)
{
	uint64_t length = pick_length();
	struct ipk_mpmc_claim claim;
	int64_t deadline = patience(), rc;

	if (!begin_sending(1))
		return;
	while ((rc = INSIDE(ipk_mpmc_try_reserve(&ring, length + storm_random(40), &claim))) == -EAGAIN) {
		wait_for_room(length + 40, deadline);
		if (ipk_monotonic_ns() >= deadline)
			break;
	}
	MUST(rc == 0 || rc == -EAGAIN);
	if (rc < 0) {
		end_sending(0);
		return;
	}
	write_message((unsigned char *)ipk_mpmc_data(&ring) + claim.offset, 0, length, NO_SEQUENCE);
	storm_dawdle();
	if (storm_random(4)) {
		MUST(INSIDE(ipk_mpmc_commit(&ring, &claim, length, 0)) == 0);
		end_sending(1);
	} else {
		MUST(INSIDE(ipk_mpmc_abort(&ring, &claim)) == 0);
		end_sending(0);
	}
}

/* --- receiving ------------------------------------------------------------------------------------------------------- */

static void wait_for_message(int64_t deadline)
{
	uint32_t stalled;
	int64_t rc = INSIDE(ipk_mpmc_wait_message(&ring, deadline, &stalled));

	MUST(rc == 0 || rc == -EAGAIN || rc == -EINTR || (rc == -ETIMEDOUT && deadline != IPK_NEVER) || rc == -EOWNERDEAD ||
	     rc == -EPIPE);
	if (rc == -EOWNERDEAD || rc == -EPIPE) {
		atomic_fetch_add(&ledger->deaths_told, 1);
		nap();
	}
}

static _Atomic uint32_t *state_of(const struct head *head)
{
	return &ledger->state[head->from][head->number];
}

/* We have it, in that phase: has anybody else? */
static struct head obtain(const unsigned char *message, uint64_t length, uint32_t phase)
{
	struct head head = read_message(message, length);
	uint32_t before = atomic_exchange(state_of(&head), phase | storm_me());

	if (before != 0 && before != (ON_LOAN | PUT_BACK)) {
		MUST((before & PHASE) != RECEIVED);
		MUST(storm_is_dead(before & ~PHASE));
	}
	if (head.number < last[head.from])
		atomic_fetch_add(&ledger->out_of_order, 1);
	else
		last[head.from] = head.number + 1;
	return head;
}

/* The call that we are about to make may receive so many for good. */
static void take_in_hand(uint32_t count)
{
	atomic_store(&ledger->in_hand[storm_index()], count);
}

static void receive_batch(void)
{
	uint32_t lengths[BATCH], count = 1 + (uint32_t)storm_random(BATCH);
	uint64_t at = 0;
	int64_t rc;

	take_in_hand(count);
	rc = INSIDE(ipk_mpmc_try_copy(&ring, buffer, sizeof(buffer), lengths, count));
	for (int64_t i = 0; i < rc; i++) {
		obtain(buffer + at, lengths[i], RECEIVED);
		at += lengths[i];
	}
	take_in_hand(0);
	MUST(rc > 0 || rc == -EAGAIN || rc == -EMSGSIZE);
	if (rc > 0)
		atomic_fetch_add(&ledger->received, (uint64_t)rc);
	if (rc == -EAGAIN)
		wait_for_message(patience());
}

static void receive_one(void)
{
	int64_t rc;

	take_in_hand(1);
	rc = INSIDE(ipk_mpmc_try_receive_into(&ring, buffer, sizeof(buffer)));
	if (rc >= 0)
		obtain(buffer, (uint64_t)rc, RECEIVED);
	take_in_hand(0);
	MUST(rc >= 0 || rc == -EAGAIN);
	if (rc >= 0)
		atomic_fetch_add(&ledger->received, 1);
	else
		wait_for_message(patience());
}

/* Those that were not copied: to the end of the loans. */
static void end_loans(const struct ipk_mpmc_claim *loans, const struct head *heads, uint32_t count)
{
	int returns = storm_random(8) == 0;

	for (uint32_t i = 0; i < count; i++)
		atomic_store(state_of(&heads[i]), returns ? ON_LOAN | PUT_BACK : RELEASING | storm_me());
	if (returns) {
		atomic_fetch_add(&ledger->may_be_out_of_order, count);
		MUST(INSIDE(ipk_mpmc_return_loan(&ring, loans, count)) == 0);
		return;
	}
	MUST(INSIDE(ipk_mpmc_release(&ring, loans, count)) == 0);
	for (uint32_t i = 0; i < count; i++)
		MUST(atomic_exchange(state_of(&heads[i]), RECEIVED | storm_me()) == (RELEASING | storm_me()));
	atomic_fetch_add(&ledger->received, count);
}

static void receive_on_loan(void)
{
	struct ipk_mpmc_claim loans[BATCH];
	struct head heads[BATCH];
	uint32_t count = 1 + (uint32_t)storm_random(BATCH);
	int64_t rc;

	take_in_hand(loses ? count : 0);
	rc = INSIDE(ipk_mpmc_try_receive(&ring, loans, count));
	for (int64_t i = 0; i < rc; i++)
		heads[i] = obtain((unsigned char *)ipk_mpmc_data(&ring) + loans[i].offset, loans[i].length, ON_LOAN);
	take_in_hand(0);
	MUST(rc > 0 || rc == -EAGAIN);
	if (rc == -EAGAIN) {
		wait_for_message(patience());
		return;
	}
	storm_dawdle();
	end_loans(loans, heads, (uint32_t)rc);
}

/* --- coming and going ------------------------------------------------------------------------------------------------- */

static void attach_anew(int fd)
{
	memset(&ring, 0, sizeof(ring));
	MUST(fd >= 0 && ipk_mpmc_attach(&ring, fd) == 0);
}

static void attach(void)
{
	memset(last, 0, sizeof(last));
	if (storm_random(2))
		ipk_mpmc_forked(&ring);
	else
		attach_anew(fcntl(ipk_mpmc_fd(&ring), F_DUPFD_CLOEXEC, 3));
	if (storm_random(2))
		ipk_mpmc_set_spin(&ring, 0);
}

static void leave_and_come_back(void)
{
	int fd;

	if (storm_random(16)) { /* it takes far longer than all the others */
		storm_index() < SENDERS ? send_one() : receive_one();
		return;
	}
	fd = fcntl(ipk_mpmc_fd(&ring), F_DUPFD_CLOEXEC, 3);
	storm_enter();
	ipk_mpmc_close(&ring);
	storm_left(0);
	ipk_mpmc_unmap(&ring);
	attach_anew(fd);
}

static const struct work sends[] = {
	{"mpmc: send", send_one},
	{"mpmc: send", send_one},
	{"mpmc: send", send_one},
	{"mpmc: send many", send_batch},
	{"mpmc: send many", send_batch},
	{"mpmc: send in place", send_in_place},
	{"mpmc: send in place", send_in_place},
	{"mpmc: close a sender", leave_and_come_back},
};
static const struct work receives[] = {
	{"mpmc: receive", receive_one},
	{"mpmc: receive", receive_one},
	{"mpmc: receive many", receive_batch},
	{"mpmc: receive many", receive_batch},
	{"mpmc: receive on loan", receive_on_loan},
	{"mpmc: receive on loan", receive_on_loan},
	{"mpmc: receive on loan", receive_on_loan},
	{"mpmc: close a receiver", leave_and_come_back},
};

/* --- in the parent ---------------------------------------------------------------------------------------------------- */

static void make(uint32_t policy)
{
	struct ipk_mpmc_options options = {RING, storm_random(2) ? 12 : 0, PROCESSES + 1, policy, IPK_MPMC_BLOCK, IPK_MPMC_REFUSE, 0};

	loses = policy == IPK_MPMC_LOSE;
	memset(&ring, 0, sizeof(ring));
	MUST(ipk_mpmc_create(&ring, NULL, &options, 0600) == 0);
}

static void after_death(int i)
{
	ledger->gone += atomic_exchange(&ledger->in_hand[i], 0);
	if (i >= SENDERS)
		atomic_fetch_add(&ledger->may_be_out_of_order, BATCH);
}

static int64_t receive_left_over(int64_t deadline)
{
	uint32_t stalled;
	int64_t rc;

	while ((rc = ipk_mpmc_try_receive_into(&ring, buffer, sizeof(buffer))) == -EAGAIN)
		if ((rc = ipk_mpmc_wait_message(&ring, deadline, &stalled)) < 0 && rc != -EAGAIN)
			break;
	return rc;
}

static void drain(void)
{
	int64_t deadline = storm_after(SECONDS_TO_DRAIN * 1000), rc;

	while ((rc = receive_left_over(deadline)) > 0) {
		struct head head = read_message(buffer, (uint64_t)rc);

		MUST((atomic_exchange(state_of(&head), RECEIVED) & PHASE) != RECEIVED);
	}
	MUST(rc == -EOWNERDEAD || rc == -EPIPE); /* the last one died, or had closed */
}

/* Each message that was sent has been received once, but for those that the dead had in their hands. */
static void count_messages(void)
{
	uint64_t missing = 0, lent = 0;
	struct ipk_mpmc_stat stat;

	for (int i = 0; i < SENDERS; i++) {
		for (uint32_t n = 0; n < atomic_load(&ledger->sender[i].attempted); n++) {
			uint32_t state = atomic_load(&ledger->state[i][n]);

			missing += state == 0 && atomic_load(&ledger->sender[i].sent[n]);
			lent += (state & PHASE) == ON_LOAN;
			ledger->taken_by_dead += (state & PHASE) == RELEASING;
		}
	}
	MUST(ipk_mpmc_stat(&ring, &stat) == 0);
	if (loses) {
		MUST(missing <= ledger->gone);
		MUST(lent <= stat.lost + ledger->gone && stat.lost <= lent + ledger->taken_by_dead + ledger->gone);
	} else {
		MUST(missing + lent <= ledger->gone);
		MUST(stat.lost == 0);
	}
	atomic_fetch_add(&ledger->told, stat.lost);
	MUST(atomic_load(&ledger->out_of_order) <= atomic_load(&ledger->may_be_out_of_order));
}

/* All the space is there again, and one may go on. */
static void works(void)
{
	struct ipk_mpmc_stat stat;

	memset(buffer, 7, RING - IPK_MPMC_RECORD_HEADER);
	MUST(ipk_mpmc_try_send(&ring, buffer, RING - IPK_MPMC_RECORD_HEADER, 0) == 0);
	MUST(receive_left_over(storm_after(SECONDS_TO_DRAIN * 1000)) == RING - IPK_MPMC_RECORD_HEADER);
	MUST(ipk_mpmc_living(&ring, IPK_ROSTER_PRODUCER) == 1 && ipk_mpmc_living(&ring, IPK_ROSTER_CONSUMER) == 1);
	MUST(ipk_mpmc_stat(&ring, &stat) == 0);
	MUST(stat.used == 0 && stat.depth == 0);
}

static void at_rest(void)
{
	drain();
	count_messages();
	works();
	ipk_mpmc_close(&ring);
	ipk_mpmc_unmap(&ring);
}

static void show(void)
{
	const struct ipk_mpmc_shm *shm = ring.shm;

	fprintf(stderr, "free %" PRIx64 ", taken %" PRIx64 ", tail %" PRIx64 "; locks: send %08x, receive %08x; may be gone %" PRIu64
		", out of order %" PRIu64 " of %" PRIu64 "\n",
		atomic_load(&shm->free.place), atomic_load(&shm->receive.taken), atomic_load(&shm->tail.place),
		atomic_load(&shm->send.lock.word), atomic_load(&shm->receive.lock.word), ledger->gone,
		atomic_load(&ledger->out_of_order), atomic_load(&ledger->may_be_out_of_order));
}

#define FIELD(name, policy)                                                                                                       \
	{name, sends, receives, sizeof(sends) / sizeof(sends[0]), sizeof(receives) / sizeof(receives[0]), make, policy, attach,  \
	 after_death, at_rest, show}

const struct field mpmc_fields[] = {
	FIELD("mpmc, redeliver", IPK_MPMC_REDELIVER),
	FIELD("mpmc, lose", IPK_MPMC_LOSE),
};
const size_t mpmc_field_count = sizeof(mpmc_fields) / sizeof(mpmc_fields[0]);
