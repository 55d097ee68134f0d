/* Every entry point of the rings with one writer: of one reader, and of the newest value. */
#include "fuzz_rings.h"
#include "ipckit/latest.h"
#include "ipckit/spsc.h"

#define SLICES 3
#define BATCH 8

/* --- one producer, one consumer ------------------------------------------------------------------------------------ */

static struct ipk_spsc rings[FUZZ_VIEWS];

static int attach_spsc(int view, int fd)
{
	memset(&rings[view], 0, sizeof(rings[view]));
	return ipk_spsc_attach(&rings[view], fd);
}

static void set_spin_spsc(int view, int64_t budget_ns)
{
	ipk_spsc_set_spin(&rings[view], budget_ns);
}

static void close_spsc(int view)
{
	ipk_spsc_close(&rings[view]);
}

static void unmap_spsc(int view)
{
	ipk_spsc_unmap(&rings[view]);
}

static struct ipk_segment *segment_of_spsc(int view)
{
	return &rings[view].segment;
}

static struct ipk_member *no_member(int view)
{
	(void)view;
	return NULL;
}

static void read_spsc(struct ipk_spsc *ring, uint64_t offset, uint64_t length)
{
	fuzz_read(ipk_spsc_data(ring), 2 * ipk_spsc_capacity(ring), offset, length);
}

static void end_spsc_loan(struct ipk_spsc *ring, const struct fuzz_step *step)
{
	switch (step->argument % 4) {
	case 0:
	case 1:
		FUZZ_CALL(step, ipk_spsc_release(ring));
		break;
	case 2:
		FUZZ_CALL(step, ipk_spsc_return_loan(ring));
		break;
	default:
		FUZZ_CALL(step, ipk_spsc_skip_part(ring));
		break;
	}
}

static void receive_spsc(struct ipk_spsc *ring, const struct fuzz_step *step)
{
	int64_t lent;

	fuzz_enter(step);
	lent = fuzz_left("ipk_spsc_try_receive", ipk_spsc_try_receive(ring), 1);
	if (lent < 0)
		return;
	read_spsc(ring, (uint64_t)lent >> 32, (uint64_t)lent & UINT32_MAX);
	end_spsc_loan(ring, step);
}

static void receive_spsc_part(struct ipk_spsc *ring, const struct fuzz_step *step)
{
	struct ipk_spsc_part part;

	fuzz_enter(step);
	if (fuzz_left("ipk_spsc_try_receive_part", ipk_spsc_try_receive_part(ring, &part), 1) < 0)
		return;
	read_spsc(ring, part.offset, part.length);
	end_spsc_loan(ring, step);
}

static void receive_many_spsc(struct ipk_spsc *ring, const struct fuzz_step *step)
{
	uint64_t bounds[2 * BATCH];
	int64_t lent;

	fuzz_enter(step);
	lent = fuzz_left("ipk_spsc_try_receive_many", ipk_spsc_try_receive_many(ring, bounds, BATCH), 1);
	for (int64_t i = 0; i < lent; i++)
		read_spsc(ring, bounds[2 * i], bounds[2 * i + 1] - bounds[2 * i]);
	if (lent > 0)
		end_spsc_loan(ring, step);
}

static void reserve_spsc(struct ipk_spsc *ring, const struct fuzz_step *step)
{
	struct ipk_spsc_part given;

	fuzz_enter(step);
	if (fuzz_left("ipk_spsc_try_reserve", ipk_spsc_try_reserve(ring, fuzz_length(step), &given), 1) == 0)
		fuzz_fill(ipk_spsc_data(ring), 2 * ipk_spsc_capacity(ring), given.offset, given.length);
}

static void end_spsc_reservation(struct ipk_spsc *ring, const struct fuzz_step *step)
{
	switch (step->argument % 4) {
	case 0:
	case 1:
		FUZZ_CALL(step, ipk_spsc_commit(ring, step->argument & 0x40 ? fuzz_length(step) : fuzz_length(step) / 2));
		break;
	case 2:
		FUZZ_CALL(step, ipk_spsc_commit_part(ring, 1, step->argument >> 2 & 7, step->value));
		break;
	default:
		FUZZ_CALL(step, ipk_spsc_abort(ring));
		break;
	}
}

static void call_spsc(int view, const struct fuzz_step *step)
{
	struct ipk_spsc *ring = &rings[view];
	const struct ipk_slice slices[SLICES] = {
		{fuzz_sent(), step->value % 100}, {fuzz_sent(), 0}, {fuzz_sent(), step->argument}};
	struct ipk_spsc_stat stat;
	uint64_t length = fuzz_length(step);

	switch (step->call % 15) {
	case 0:
		FUZZ_CALL(step, ipk_spsc_try_send(ring, fuzz_sent(), length));
		break;
	case 1:
		FUZZ_CALL(step, ipk_spsc_try_send_many(ring, slices, 1 + step->argument % SLICES));
		break;
	case 2:
		FUZZ_CALL(step, ipk_spsc_try_send_part(ring, fuzz_sent(), length, step->argument & 7, step->value));
		break;
	case 3:
	case 4:
		receive_spsc(ring, step);
		break;
	case 5:
		receive_many_spsc(ring, step);
		break;
	case 6:
		receive_spsc_part(ring, step);
		break;
	case 7:
		FUZZ_CALL(step, ipk_spsc_try_receive_into(ring, fuzz_room(length), length));
		break;
	case 8:
		reserve_spsc(ring, step);
		break;
	case 9:
		end_spsc_reservation(ring, step);
		break;
	case 10:
		FUZZ_CALL(step, ipk_spsc_drop(ring));
		break;
	case 11:
		FUZZ_CALL(step, ipk_spsc_forget(ring));
		break;
	case 12:
		FUZZ_CALL(step, ipk_spsc_wait_message(ring, deadline));
		break;
	case 13:
		FUZZ_CALL(step, ipk_spsc_wait_room(ring, length, deadline));
		break;
	default:
		FUZZ_CALL(step, ipk_spsc_stat(ring, &stat));
		FUZZ_VOID_CALL(step, ipk_spsc_fd(ring));
		break;
	}
}

const struct fuzz_ring fuzz_spsc = {attach_spsc, set_spin_spsc, call_spsc, close_spsc, unmap_spsc, segment_of_spsc, no_member};

/* --- the newest value ---------------------------------------------------------------------------------------------- */

static struct ipk_latest latests[FUZZ_VIEWS];

static int attach_latest(int view, int fd)
{
	memset(&latests[view], 0, sizeof(latests[view]));
	return ipk_latest_attach(&latests[view], fd);
}

static void set_spin_latest(int view, int64_t budget_ns)
{
	ipk_latest_set_spin(&latests[view], budget_ns);
}

static void close_latest(int view)
{
	ipk_latest_close(&latests[view]);
}

static void unmap_latest(int view)
{
	ipk_latest_unmap(&latests[view]);
}

static struct ipk_segment *segment_of_latest(int view)
{
	return &latests[view].segment;
}

static void look_and_copy(struct ipk_latest *latest, int newer, const struct fuzz_step *step)
{
	struct ipk_latest_value value;

	fuzz_enter(step);
	if (fuzz_left("ipk_latest_look", ipk_latest_look(latest, newer, &value), 1) == 0)
		FUZZ_CALL(step, ipk_latest_copy(latest, newer, &value, fuzz_room(value.length)));
}

static void reserve_latest(struct ipk_latest *latest, const struct fuzz_step *step)
{
	uint64_t length = fuzz_length(step);
	int64_t offset;

	fuzz_enter(step);
	offset = fuzz_left("ipk_latest_reserve", ipk_latest_reserve(latest, length), 1);
	if (offset >= 0)
		fuzz_fill(ipk_latest_buffers(latest), ipk_latest_capacity(latest), (uint64_t)offset, length);
}

static void call_latest(int view, const struct fuzz_step *step)
{
	struct ipk_latest *latest = &latests[view];
	struct ipk_latest_value value;
	struct ipk_latest_stat stat;
	int newer = step->argument & 1;
	uint64_t length = fuzz_length(step);

	switch (step->call % 10) {
	case 0:
	case 1:
		FUZZ_CALL(step, ipk_latest_send(latest, fuzz_sent(), length));
		break;
	case 2:
		reserve_latest(latest, step);
		break;
	case 3:
		FUZZ_CALL(step, ipk_latest_commit(latest, step->argument & 0x40 ? length : length / 2));
		break;
	case 4:
		FUZZ_CALL(step, ipk_latest_abort(latest));
		break;
	case 5:
		look_and_copy(latest, newer, step);
		break;
	case 6:
		FUZZ_CALL(step, ipk_latest_read(latest, newer, fuzz_room(length), length, &value));
		break;
	case 7:
		FUZZ_CALL(step, ipk_latest_overtaken(latest, deadline));
		break;
	case 8:
		FUZZ_CALL(step, ipk_latest_wait(latest, deadline));
		break;
	default:
		FUZZ_CALL(step, ipk_latest_stat(latest, &stat));
		FUZZ_VOID_CALL(step, ipk_latest_fd(latest));
		break;
	}
}

const struct fuzz_ring fuzz_latest = {attach_latest, set_spin_latest,	call_latest, close_latest,
				      unmap_latest,  segment_of_latest, no_member};
