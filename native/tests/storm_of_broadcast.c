/* A broadcast ring in the storm: each reader sees every message, or is told exactly how many it lost. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "ipckit/broadcast.h"
#include "storm_rings.h"

#define SECONDS_TO_GO_ON 10

static struct ipk_broadcast ring;
static unsigned char buffer[LONGEST * BATCH];

/* What a reader has seen. */
static struct {
	uint32_t next[SENDERS];	 /* number that comes next, or a later one */
	uint32_t known[SENDERS]; /* whether none before that one is still to come */
	uint64_t sequence;	 /* of the next message, if we know it */
	uint64_t told;		 /* how many we lost */
	uint64_t missed;	 /* of those that were sent for sure, how many did not come */
	uint64_t skipped;	 /* and with those that may have been sent */
	int bounded;		 /* whether none that was sent before we came counts as skipped */
} seen;

/* --- writing --------------------------------------------------------------------------------------------------------- */

static void wait_for_room(uint64_t length, int64_t deadline)
{
	int64_t rc = INSIDE(ipk_broadcast_wait_room(&ring, length, deadline));

	MUST(rc == 0 || rc == -EAGAIN || rc == -EINTR || ((rc == -ETIMEDOUT || rc == -ETIME) && deadline != IPK_NEVER));
}

static void send_one(void)
{
	uint64_t length = pick_length();
	int64_t deadline = patience(), rc;

	if (!begin_sending(1))
		return;
	write_message(buffer, 0, length, NO_SEQUENCE);
	while ((rc = INSIDE(ipk_broadcast_try_send(&ring, buffer, length))) == -EAGAIN) {
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
	while ((rc = INSIDE(ipk_broadcast_try_send_many(&ring, slices, count))) == -EAGAIN) {
		wait_for_room(slices[0].length, deadline);
		if (ipk_monotonic_ns() >= deadline)
			break;
	}
	MUST(rc > 0 || rc == -EAGAIN);
	end_sending(rc);
}

/* Such a message says which of the ring it is. */
static void send_in_place(void)
{
	uint64_t length = pick_length(), more = storm_random(40);
	struct ipk_broadcast_claim claim = {0};
	int64_t deadline = patience(), rc;

	if (!begin_sending(1))
		return;
	while ((rc = INSIDE(ipk_broadcast_try_reserve(&ring, length + more, &claim))) == -EAGAIN) {
		wait_for_room(length + more, deadline);
		if (ipk_monotonic_ns() >= deadline)
			break;
	}
	MUST(rc == 0 || rc == -EAGAIN);
	if (rc < 0) {
		end_sending(0);
		return;
	}
	write_message((unsigned char *)ipk_broadcast_data(&ring) + claim.offset, 0, length, ring.writer.sequence);
	storm_dawdle();
	if (storm_random(4)) {
		MUST(INSIDE(ipk_broadcast_commit(&ring, length)) == 0);
		end_sending(1);
	} else {
		MUST(INSIDE(ipk_broadcast_abort(&ring)) == 0);
		end_sending(0);
	}
}

/* --- reading --------------------------------------------------------------------------------------------------------- */

/* From now on we see all, and of what was before, what is retained. */
static void begin_to_see(uint64_t history)
{
	memset(&seen, 0, sizeof(seen));
	seen.sequence = NO_SEQUENCE;
	seen.bounded = history == 0;
	for (int i = 0; i < SENDERS && history == 0; i++)
		seen.next[i] = atomic_load(&ledger->sender[i].returned);
}

static void subscribe(void)
{
	uint64_t history = storm_random(2) ? storm_random(20) : 0;
	int64_t rc;

	begin_to_see(history);
	while ((rc = INSIDE(ipk_broadcast_subscribe(&ring, history))) == -EAGAIN) {
		rc = INSIDE(ipk_broadcast_wait_subscribe(&ring, IPK_NEVER));
		MUST(rc == 0 || rc == -EAGAIN || rc == -EINTR);
	}
	MUST(rc >= 0 && rc <= (int64_t)history);
}

/* As many are lost as we were told: no fewer than did not come for sure, and no more than may have been sent. */
static void check_losses(void)
{
	uint64_t most = seen.skipped;

	for (int i = 0; i < SENDERS; i++)
		most += atomic_load(&ledger->sender[i].attempted) - seen.next[i];
	MUST(seen.missed <= seen.told && (seen.told <= most || !seen.bounded));
}

static void check_next(const unsigned char *message, uint64_t length)
{
	struct head head = read_message(message, length);
	uint32_t from = head.from;

	MUST(head.number >= seen.next[from]);
	seen.skipped += head.number - seen.next[from];
	for (uint32_t n = seen.next[from]; n < head.number; n++)
		seen.missed += seen.known[from] && atomic_load(&ledger->sender[from].sent[n]);
	seen.next[from] = head.number + 1;
	seen.known[from] = 1;
	if (seen.sequence == NO_SEQUENCE)
		seen.sequence = head.sequence;
	MUST(head.sequence == NO_SEQUENCE || head.sequence == seen.sequence);
	seen.sequence += seen.sequence != NO_SEQUENCE;
	atomic_fetch_add(&ledger->received, 1);
}

static void hear_of_losses(void)
{
	uint64_t lost = ipk_broadcast_told(&ring);

	MUST(lost > 0);
	seen.told += lost;
	if (seen.sequence != NO_SEQUENCE)
		seen.sequence += lost;
	atomic_fetch_add(&ledger->told, lost);
	check_losses();
}

/* There was no message: why? */
static void without_message(int64_t rc)
{
	int64_t deadline = patience();

	switch (rc) {
	case -ESTALE:
		hear_of_losses();
		return;
	case -ECONNRESET:
		MUST(ring.policy == IPK_BROADCAST_DISCONNECT);
		subscribe();
		return;
	case -EAGAIN:
		break;
	default:
		MUST(rc == -EAGAIN);
	}
	rc = INSIDE(ipk_broadcast_wait_message(&ring, deadline));
	if (rc == -EOWNERDEAD || rc == -EPIPE) {
		atomic_fetch_add(&ledger->deaths_told, 1);
		nap();
		return;
	}
	MUST(rc == 0 || rc == -EAGAIN || rc == -EINTR || rc == -ECONNRESET || (rc == -ETIMEDOUT && deadline != IPK_NEVER));
}

static void receive_one(void)
{
	int64_t rc = INSIDE(ipk_broadcast_try_receive(&ring, buffer, sizeof(buffer)));

	if (rc < 0) {
		without_message(rc);
		return;
	}
	check_next(buffer, (uint64_t)rc);
	check_losses();
}

static void receive_batch(void)
{
	uint64_t ends[BATCH];
	uint32_t count = 1 + (uint32_t)storm_random(BATCH);
	int64_t rc = INSIDE(ipk_broadcast_try_receive_many(&ring, buffer, sizeof(buffer), ends, count));

	if (rc < 0) {
		without_message(rc);
		return;
	}
	for (int64_t i = 0; i < rc; i++)
		check_next(buffer + (i ? ends[i - 1] : 0), ends[i] - (i ? ends[i - 1] : 0));
	check_losses();
}

static void receive_on_loan(void)
{
	struct ipk_broadcast_claim claim = {0};
	int64_t rc = INSIDE(ipk_broadcast_try_lend(&ring, &claim));

	if (ring.policy != IPK_BROADCAST_BLOCK) {
		MUST(rc == -EOPNOTSUPP);
		return;
	}
	if (rc < 0) {
		without_message(rc);
		return;
	}
	storm_dawdle();
	if (storm_random(8) == 0) {
		MUST(INSIDE(ipk_broadcast_return_loan(&ring)) == 0);
		return;
	}
	check_next((unsigned char *)ipk_broadcast_data(&ring) + claim.offset, claim.length);
	MUST(INSIDE(ipk_broadcast_release(&ring)) == 0);
}

static void subscribe_again(void)
{
	if (storm_random(2))
		MUST(INSIDE(ipk_broadcast_unsubscribe(&ring)) >= 0);
	subscribe();
}

/* --- coming and going ------------------------------------------------------------------------------------------------- */

static void attach_anew(int fd)
{
	memset(&ring, 0, sizeof(ring));
	MUST(fd >= 0 && ipk_broadcast_attach(&ring, fd) == 0);
}

static void attach(void)
{
	if (storm_random(2))
		ipk_broadcast_forked(&ring);
	else
		attach_anew(fcntl(ipk_broadcast_fd(&ring), F_DUPFD_CLOEXEC, 3));
	if (storm_random(2))
		ipk_broadcast_set_spin(&ring, 0);
	if (storm_index() >= SENDERS)
		subscribe();
}

static void leave_and_come_back(void)
{
	int fd;

	if (storm_random(16)) { /* it takes far longer than all the others */
		storm_index() < SENDERS ? send_one() : receive_one();
		return;
	}
	fd = fcntl(ipk_broadcast_fd(&ring), F_DUPFD_CLOEXEC, 3);
	storm_enter();
	ipk_broadcast_close(&ring);
	storm_left(0);
	ipk_broadcast_unmap(&ring);
	attach_anew(fd);
	if (storm_index() >= SENDERS)
		subscribe();
}

static const struct work sends[] = {
	{"broadcast: send", send_one},
	{"broadcast: send", send_one},
	{"broadcast: send many", send_batch},
	{"broadcast: send many", send_batch},
	{"broadcast: send in place", send_in_place},
	{"broadcast: send in place", send_in_place},
	{"broadcast: send in place", send_in_place},
	{"broadcast: close a writer", leave_and_come_back},
};
static const struct work receives[] = {
	{"broadcast: receive", receive_one},
	{"broadcast: receive", receive_one},
	{"broadcast: receive", receive_one},
	{"broadcast: receive", receive_one},
	{"broadcast: receive many", receive_batch},
	{"broadcast: receive many", receive_batch},
	{"broadcast: receive many", receive_batch},
	{"broadcast: receive on loan", receive_on_loan},
	{"broadcast: receive on loan", receive_on_loan},
	{"broadcast: receive on loan", receive_on_loan},
	{"broadcast: subscribe", subscribe_again},
	{"broadcast: close a reader", leave_and_come_back},
};

/* --- in the parent ---------------------------------------------------------------------------------------------------- */

static void make(uint32_t policy)
{
	memset(&ring, 0, sizeof(ring));
	MUST(ipk_broadcast_create(&ring, NULL, RING, policy, PROCESSES + 1, 0600) == 0);
}

/* What is retained comes in one piece up to the newest message, though all are dead. */
static void read_left_over(void)
{
	int64_t deadline = storm_after(SECONDS_TO_GO_ON * 1000), count, rc;

	begin_to_see(RING);
	while ((count = ipk_broadcast_subscribe(&ring, RING)) == -EAGAIN) {
		rc = ipk_broadcast_wait_subscribe(&ring, deadline);
		MUST(rc == 0 || rc == -EAGAIN);
	}
	for (MUST(count >= 0); count > 0; count--) {
		rc = ipk_broadcast_try_receive(&ring, buffer, sizeof(buffer));
		MUST(rc >= 0);
		check_next(buffer, (uint64_t)rc);
		MUST(seen.missed == 0);
	}
	MUST(ipk_broadcast_try_receive(&ring, buffer, sizeof(buffer)) == -EAGAIN);
	for (int i = 0; i < SENDERS; i++)
		for (uint32_t n = seen.next[i]; seen.known[i] && n < atomic_load(&ledger->sender[i].attempted); n++)
			MUST(!atomic_load(&ledger->sender[i].sent[n]));
	do
		rc = ipk_broadcast_wait_message(&ring, deadline);
	while (rc == -EAGAIN);
	MUST(rc == -EOWNERDEAD || rc == -EPIPE);
}

/* One may go on. */
static void works(void)
{
	int64_t deadline = storm_after(SECONDS_TO_GO_ON * 1000), rc;
	struct ipk_broadcast_stat stat;

	while ((rc = ipk_broadcast_try_send(&ring, buffer, LONGEST)) == -EAGAIN) {
		rc = ipk_broadcast_wait_room(&ring, LONGEST, deadline);
		MUST(rc == 0 || rc == -EAGAIN);
	}
	MUST(rc == 0);
	MUST(ipk_broadcast_try_receive(&ring, buffer, sizeof(buffer)) == LONGEST);
	ipk_broadcast_bury(&ring);
	MUST(ipk_broadcast_stat(&ring, &stat) == 0);
	MUST(stat.producers == 1 && stat.consumers == 1 && stat.depth == 0);
}

static void at_rest(void)
{
	read_left_over();
	works();
	ipk_broadcast_close(&ring);
	ipk_broadcast_unmap(&ring);
}

static void show(void)
{
	const struct ipk_broadcast_shm *shm = ring.shm;

	fprintf(stderr, "oldest %" PRIu64 ", tail %" PRIu64 ", last %" PRIu64 ", lock %08x; here: told %" PRIu64 ", missed %" PRIu64
		", skipped %" PRIu64 ", sequence %" PRIu64 "\n",
		atomic_load(&shm->oldest.position), atomic_load(&shm->tail.position), atomic_load(&shm->tail.last),
		atomic_load(&shm->lock.word), seen.told, seen.missed, seen.skipped, seen.sequence);
}

#define FIELD(name, policy)                                                                                                       \
	{name, sends, receives, sizeof(sends) / sizeof(sends[0]), sizeof(receives) / sizeof(receives[0]), make, policy, attach,  \
	 NULL, at_rest, show}

const struct field broadcast_fields[] = {
	FIELD("broadcast, block", IPK_BROADCAST_BLOCK),
	FIELD("broadcast, overwrite", IPK_BROADCAST_OVERWRITE),
	FIELD("broadcast, disconnect", IPK_BROADCAST_DISCONNECT),
};
const size_t broadcast_field_count = sizeof(broadcast_fields) / sizeof(broadcast_fields[0]);
