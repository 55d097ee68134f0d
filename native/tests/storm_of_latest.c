/* The newest value in the storm: one of its writers at a time, and no reader sees half of a value, or an older one than it could have. */
#include <stdio.h>

#include <inttypes.h>

#include "latest_values.h"
#include "storm_rings.h"

#define MOST 2000 /* bytes of a value */

static struct ipk_latest latest;
static unsigned char buffer[MOST];

/* --- reading --------------------------------------------------------------------------------------------------------- */

static void wait_for_newer(void)
{
	int64_t deadline = patience();
	int64_t rc = INSIDE(ipk_latest_wait(&latest, deadline));

	if (rc == -EOWNERDEAD || rc == -EPIPE) {
		atomic_fetch_add(&ledger->deaths_told, 1);
		nap();
		return;
	}
	MUST(rc == 0 || rc == -EAGAIN || rc == -EINTR || (rc == -ETIMEDOUT && deadline != IPK_NEVER));
}

static void read_value(int newer)
{
	uint64_t before = ipk_latest_seen(&latest), there = atomic_load(&ledger->published);
	struct ipk_latest_value value;
	int64_t rc = INSIDE(ipk_latest_read(&latest, newer, buffer, sizeof(buffer), &value));

	if (rc == -EAGAIN || rc == -ENODATA) {
		MUST(newer || rc == -ENODATA);
		MUST(there <= before);
		wait_for_newer();
		return;
	}
	if (rc == -ESTALE) {
		MUST(INSIDE(ipk_latest_overtaken(&latest, IPK_NEVER)) == -EAGAIN);
		return;
	}
	MUST(rc == 0);
	check_content(buffer, value.sequence, value.length);
	MUST(value.sequence >= there && value.sequence >= before + (uint64_t)newer);
	MUST(ipk_latest_seen(&latest) == value.sequence);
	atomic_fetch_add(&ledger->received, 1);
}

static void read_newer(void)
{
	read_value(1);
}

static void read_any(void)
{
	read_value(0);
}

/* --- writing --------------------------------------------------------------------------------------------------------- */

static void published(void)
{
	struct sender *sender = &ledger->sender[storm_index()];

	atomic_store(&ledger->published, latest.own);
	atomic_fetch_add(&sender->attempted, 1);
}

/* Another one has the role: 0, and meanwhile we have read. */
static int is_writer(int64_t rc)
{
	MUST(rc >= 0 || rc == -EBUSY);
	if (rc < 0)
		read_value(1);
	return rc >= 0;
}

/* In place; the first value of a writer is, for before that it does not know its number. */
static void send_in_place(void)
{
	uint64_t length = storm_random(MOST + 1);
	int64_t offset = INSIDE(ipk_latest_reserve(&latest, MOST));

	if (!is_writer(offset))
		return;
	compose((unsigned char *)ipk_latest_buffers(&latest) + offset, latest.own + 1, length);
	storm_dawdle();
	if (storm_random(4) == 0) {
		MUST(INSIDE(ipk_latest_abort(&latest)) == 0);
		return;
	}
	MUST(INSIDE(ipk_latest_commit(&latest, length)) == 0);
	published();
}

static void send_one(void)
{
	uint64_t length = storm_random(MOST + 1);

	if (!latest.held) {
		send_in_place();
		return;
	}
	compose(buffer, latest.own + 1, length);
	MUST(INSIDE(ipk_latest_send(&latest, buffer, length)) == 0);
	published();
}

static void send_and_pause(void)
{
	send_one();
	nap();
}

/* --- coming and going ------------------------------------------------------------------------------------------------- */

static void attach_anew(int fd)
{
	memset(&latest, 0, sizeof(latest));
	MUST(fd >= 0 && ipk_latest_attach(&latest, fd) == 0);
}

static void attach(void)
{
	if (storm_random(2))
		ipk_latest_forked(&latest);
	else
		attach_anew(fcntl(ipk_latest_fd(&latest), F_DUPFD_CLOEXEC, 3));
	if (storm_random(2))
		ipk_latest_set_spin(&latest, 0);
}

static void leave_and_come_back(void)
{
	int fd;

	if (storm_random(16)) { /* it takes far longer than all the others */
		storm_index() < SENDERS ? send_one() : read_value(1);
		return;
	}
	fd = fcntl(ipk_latest_fd(&latest), F_DUPFD_CLOEXEC, 3);
	storm_enter();
	ipk_latest_close(&latest);
	storm_left(0);
	ipk_latest_unmap(&latest);
	attach_anew(fd);
}

static const struct work sends[] = {
	{"latest: send", send_one},	  {"latest: send", send_one},
	{"latest: send", send_one},	  {"latest: send", send_and_pause},
	{"latest: send in place", send_in_place}, {"latest: close a writer", leave_and_come_back},
};
static const struct work receives[] = {
	{"latest: receive", read_newer}, {"latest: receive", read_newer}, {"latest: receive", read_newer},
	{"latest: receive", read_newer}, {"latest: receive", read_newer}, {"latest: receive", read_newer},
	{"latest: read", read_any},	 {"latest: read", read_any},	  {"latest: close a reader", leave_and_come_back},
};

/* --- in the parent ---------------------------------------------------------------------------------------------------- */

static void make(uint32_t buffers)
{
	memset(&latest, 0, sizeof(latest));
	MUST(ipk_latest_create(&latest, NULL, MOST, buffers, 0600) == 0);
}

/* The newest value that was published is there, whole, though all are dead; and one may go on. */
static void at_rest(void)
{
	int64_t deadline = storm_after(10000), rc;
	int64_t newest = read_checked(&latest, 0);

	MUST(newest >= (int64_t)atomic_load(&ledger->published));
	do
		rc = ipk_latest_wait(&latest, deadline);
	while (rc == -EAGAIN);
	MUST(rc == -EOWNERDEAD || rc == -EPIPE);
	MUST(send_next(&latest, 100) == 0);
	MUST(read_checked(&latest, 1) == newest + 1);
	ipk_latest_close(&latest);
	ipk_latest_unmap(&latest);
}

static void show(void)
{
	const struct ipk_latest_shm *shm = latest.shm;

	fprintf(stderr, "newest %" PRIu64 ", published %" PRIu64 ", state of the role %u\n", atomic_load(&shm->index.sequence),
		atomic_load(&ledger->published), atomic_load(&shm->role.state));
}

#define FIELD(name, buffers)                                                                                                      \
	{name, sends, receives, sizeof(sends) / sizeof(sends[0]), sizeof(receives) / sizeof(receives[0]), make, buffers, attach, \
	 NULL, at_rest, show}

const struct field latest_fields[] = {
	FIELD("latest, 4 buffers", 4),
	FIELD("latest, 2 buffers", 2),
};
const size_t latest_field_count = sizeof(latest_fields) / sizeof(latest_fields[0]);
