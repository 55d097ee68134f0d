/* Every entry point of the rings that many take part in. */
#include "fuzz_rings.h"
#include "ipckit/broadcast.h"
#include "ipckit/mpmc.h"

#define SLICES 3
#define BATCH 8
#define CLAIMS 4
#define LOCK_SLICES 3 /* a wait for the lock, one for the other side, and one to repair */

/* --- each message to one ------------------------------------------------------------------------------------------- */

static struct ipk_mpmc rings[FUZZ_VIEWS];
static struct ipk_mpmc_claim claims[CLAIMS], loans[BATCH]; /* of any view: the others are told that they are not theirs */
static uint32_t claimed, lent;

static int attach_mpmc(int view, int fd)
{
	memset(&rings[view], 0, sizeof(rings[view]));
	claimed = lent = 0;
	return ipk_mpmc_attach(&rings[view], fd);
}

static void set_spin_mpmc(int view, int64_t budget_ns)
{
	ipk_mpmc_set_spin(&rings[view], budget_ns);
}

static void close_mpmc(int view)
{
	ipk_mpmc_close(&rings[view]);
}

static void unmap_mpmc(int view)
{
	ipk_mpmc_unmap(&rings[view]);
}

static struct ipk_segment *segment_of_mpmc(int view)
{
	return &rings[view].segment;
}

static struct ipk_member *member_of_mpmc(int view)
{
	return &rings[view].member;
}

static void reserve_mpmc(struct ipk_mpmc *ring, const struct fuzz_step *step)
{
	struct ipk_mpmc_claim *claim = &claims[claimed % CLAIMS];

	fuzz_enter(step);
	if (fuzz_left("ipk_mpmc_try_reserve", ipk_mpmc_try_reserve(ring, fuzz_length(step), claim), 1) < 0)
		return;
	fuzz_fill(ipk_mpmc_data(ring), 2 * ring->chosen.capacity, claim->offset, claim->length);
	if (claimed < CLAIMS)
		claimed++;
}

static void end_mpmc_claim(struct ipk_mpmc *ring, const struct fuzz_step *step)
{
	const struct ipk_mpmc_claim *claim;

	if (claimed == 0)
		return;
	claim = &claims[--claimed];
	if (step->argument & 1)
		FUZZ_CALL(step, ipk_mpmc_abort(ring, claim));
	else
		FUZZ_CALL(step, ipk_mpmc_commit(ring, claim, step->argument & 2 ? claim->length : fuzz_length(step) / 2, step->value & 1));
}

static void lend_mpmc(struct ipk_mpmc *ring, const struct fuzz_step *step)
{
	int64_t number;

	fuzz_enter(step);
	number = fuzz_left("ipk_mpmc_try_receive", ipk_mpmc_try_receive(ring, loans, 1 + step->argument % BATCH), 1);
	lent = number > 0 ? (uint32_t)number : 0;
	for (uint32_t i = 0; i < lent; i++)
		fuzz_read(ipk_mpmc_data(ring), 2 * ring->chosen.capacity, loans[i].offset, loans[i].length);
}

static void copy_mpmc(struct ipk_mpmc *ring, const struct fuzz_step *step)
{
	uint32_t lengths[BATCH], count = 1 + step->argument % BATCH;
	uint64_t size = fuzz_length(step), sum = 0;
	int64_t number;

	fuzz_enter(step);
	number = fuzz_left("ipk_mpmc_try_copy", ipk_mpmc_try_copy(ring, fuzz_room(size), size, lengths, count), 1);
	for (int64_t i = 0; i < number; i++)
		sum += lengths[i];
	if (number > (int64_t)count || sum > size)
		fuzz_fails("more than there was room for");
}

static void call_mpmc(int view, const struct fuzz_step *step)
{
	struct ipk_mpmc *ring = &rings[view];
	const struct ipk_slice slices[SLICES] = {
		{fuzz_sent(), step->value % 100}, {fuzz_sent(), 0}, {fuzz_sent(), fuzz_length(step)}};
	struct ipk_mpmc_options chosen;
	struct ipk_mpmc_stat stat;
	uint64_t length = fuzz_length(step);
	uint32_t stalled;

	switch (step->call % 16) {
	case 0:
	case 1:
		FUZZ_CALL(step, ipk_mpmc_try_send(ring, fuzz_sent(), length, step->argument & 1));
		break;
	case 2:
		FUZZ_CALL(step, ipk_mpmc_try_send_many(ring, slices, 1 + step->argument % SLICES));
		break;
	case 3:
		reserve_mpmc(ring, step);
		break;
	case 4:
		end_mpmc_claim(ring, step);
		break;
	case 5:
	case 6:
		lend_mpmc(ring, step);
		break;
	case 7:
		FUZZ_CALL(step, ipk_mpmc_release(ring, loans, lent));
		lent = 0;
		break;
	case 8:
		FUZZ_CALL(step, ipk_mpmc_return_loan(ring, loans, lent));
		lent = 0;
		break;
	case 9:
		copy_mpmc(ring, step);
		break;
	case 10:
		FUZZ_CALL(step, ipk_mpmc_try_receive_into(ring, fuzz_room(length), length));
		break;
	case 11:
	case 12:
		FUZZ_SLOW_CALL(step, LOCK_SLICES, ipk_mpmc_wait_message(ring, deadline, &stalled));
		break;
	case 13:
		FUZZ_SLOW_CALL(step, LOCK_SLICES, ipk_mpmc_wait_room(ring, length, deadline, &stalled));
		break;
	case 14:
		FUZZ_CALL(step, ipk_mpmc_join(ring, step->argument & 7));
		break;
	default:
		FUZZ_CALL(step, ipk_mpmc_stat(ring, &stat));
		FUZZ_CALL(step, ipk_mpmc_living(ring, 1 + (step->argument & 1)));
		FUZZ_CALL(step, ipk_mpmc_passed(ring, step->value));
		FUZZ_VOID_CALL(step, ipk_mpmc_chosen(ring, &chosen));
		FUZZ_VOID_CALL(step, ipk_mpmc_fd(ring));
		break;
	}
}

const struct fuzz_ring fuzz_mpmc = {attach_mpmc, set_spin_mpmc,	  call_mpmc,	 close_mpmc,
				    unmap_mpmc,	 segment_of_mpmc, member_of_mpmc};

/* --- each message to all ------------------------------------------------------------------------------------------- */

static struct ipk_broadcast broadcasts[FUZZ_VIEWS];

static int attach_broadcast(int view, int fd)
{
	memset(&broadcasts[view], 0, sizeof(broadcasts[view]));
	return ipk_broadcast_attach(&broadcasts[view], fd);
}

static void set_spin_broadcast(int view, int64_t budget_ns)
{
	ipk_broadcast_set_spin(&broadcasts[view], budget_ns);
}

static void close_broadcast(int view)
{
	ipk_broadcast_close(&broadcasts[view]);
}

static void unmap_broadcast(int view)
{
	ipk_broadcast_unmap(&broadcasts[view]);
}

static struct ipk_segment *segment_of_broadcast(int view)
{
	return &broadcasts[view].segment;
}

static struct ipk_member *member_of_broadcast(int view)
{
	return &broadcasts[view].member;
}

static void reserve_broadcast(struct ipk_broadcast *ring, const struct fuzz_step *step)
{
	struct ipk_broadcast_claim claim = {0};

	fuzz_enter(step);
	if (fuzz_left("ipk_broadcast_try_reserve", ipk_broadcast_try_reserve(ring, fuzz_length(step), &claim), 1) == 0)
		fuzz_fill(ipk_broadcast_data(ring), 2 * ring->capacity, claim.offset, claim.length);
}

static void lend_broadcast(struct ipk_broadcast *ring, const struct fuzz_step *step)
{
	struct ipk_broadcast_claim claim = {0};

	fuzz_enter(step);
	if (fuzz_left("ipk_broadcast_try_lend", ipk_broadcast_try_lend(ring, &claim), 1) == 0)
		fuzz_read(ipk_broadcast_data(ring), 2 * ring->capacity, claim.offset, claim.length);
}

static void receive_many_broadcast(struct ipk_broadcast *ring, const struct fuzz_step *step)
{
	uint64_t ends[BATCH], size = fuzz_length(step);
	int64_t number;

	fuzz_enter(step);
	number = fuzz_left("ipk_broadcast_try_receive_many",
			   ipk_broadcast_try_receive_many(ring, fuzz_room(size), size, ends, BATCH), 1);
	if (number > BATCH || (number > 0 && ends[number - 1] > size))
		fuzz_fails("more than there was room for");
}

static void send_part_broadcast(struct ipk_broadcast *ring, const struct fuzz_step *step)
{
	uint64_t length = fuzz_length(step);
	uint32_t amid = 0;

	if (step->argument & 0x80)
		FUZZ_CALL(step, ipk_broadcast_commit_part(ring, length, IPK_BROADCAST_FILE, length, NULL));
	else if (step->argument & 0x40)
		FUZZ_CALL(step, ipk_broadcast_end_parts(ring));
	else
		FUZZ_CALL(step, ipk_broadcast_try_send_part(ring, fuzz_sent(), length, step->argument & 7, length, &amid));
}

static void take_part_broadcast(struct ipk_broadcast *ring, const struct fuzz_step *step)
{
	struct ipk_broadcast_part part = {0};

	fuzz_enter(step);
	if (fuzz_left("ipk_broadcast_try_part", ipk_broadcast_try_part(ring, &part), 1) != 0)
		return;
	fuzz_read(ipk_broadcast_data(ring), 2 * ring->capacity, part.offset, part.length);
	switch (step->argument & 3) {
	case 0:
		FUZZ_CALL(step, ipk_broadcast_pass_part(ring, &part, step->argument & 4 ? -1 : 5));
		break;
	case 1:
		FUZZ_CALL(step, ipk_broadcast_skip_part(ring, &part));
		break;
	case 2:
		fuzz_enter(step);
		if (fuzz_left("ipk_broadcast_lend_part", ipk_broadcast_lend_part(ring, &part, 5), 1) == 0)
			break;
		/* fall through */
	default:
		FUZZ_CALL(step, ipk_broadcast_return_part(ring, &part));
		break;
	}
}

static void ask_broadcast(struct ipk_broadcast *ring, const struct fuzz_step *step)
{
	struct ipk_broadcast_stat stat;

	FUZZ_CALL(step, ipk_broadcast_stat(ring, &stat));
	FUZZ_CALL(step, ipk_broadcast_holder(ring));
	FUZZ_CALL(step, ipk_broadcast_slowest(ring));
	FUZZ_CALL(step, ipk_broadcast_bury(ring));
	FUZZ_CALL(step, ipk_broadcast_forsaken(ring, step->value));
	FUZZ_CALL(step, ipk_broadcast_alone(ring));
	FUZZ_VOID_CALL(step, ipk_broadcast_fd(ring));
}

static void call_broadcast(int view, const struct fuzz_step *step)
{
	struct ipk_broadcast *ring = &broadcasts[view];
	const struct ipk_slice slices[SLICES] = {
		{fuzz_sent(), step->value % 100}, {fuzz_sent(), 0}, {fuzz_sent(), fuzz_length(step)}};
	uint64_t length = fuzz_length(step);

	switch (step->call % 21) {
	case 0:
	case 6:
		FUZZ_CALL(step, ipk_broadcast_subscribe(ring, step->argument & 0x40 ? UINT64_MAX : step->argument & 7));
		break;
	case 1:
	case 5:
		FUZZ_CALL(step, ipk_broadcast_try_send(ring, fuzz_sent(), length));
		break;
	case 2:
		FUZZ_CALL(step, ipk_broadcast_try_send_many(ring, slices, 1 + step->argument % SLICES));
		break;
	case 3:
		reserve_broadcast(ring, step);
		break;
	case 4:
		FUZZ_CALL(step, ipk_broadcast_commit(ring, step->argument & 0x40 ? length : length / 2));
		break;
	case 7:
	case 13:
		lend_broadcast(ring, step);
		break;
	case 8:
		if (step->argument & 1)
			FUZZ_CALL(step, ipk_broadcast_return_loan(ring));
		else
			FUZZ_CALL(step, ipk_broadcast_release(ring));
		break;
	case 9:
		FUZZ_CALL(step, ipk_broadcast_try_receive(ring, fuzz_room(length), length));
		FUZZ_CALL(step, ipk_broadcast_told(ring) & INT64_MAX);
		break;
	case 10:
		FUZZ_CALL(step, ipk_broadcast_next_length(ring));
		break;
	case 11:
		FUZZ_CALL(step, ipk_broadcast_wait_message(ring, deadline));
		break;
	case 12:
		receive_many_broadcast(ring, step);
		break;
	case 14:
		FUZZ_SLOW_CALL(step, LOCK_SLICES, ipk_broadcast_wait_room(ring, length, deadline));
		break;
	case 15:
		FUZZ_SLOW_CALL(step, 2, ipk_broadcast_wait_subscribe(ring, deadline));
		break;
	case 16:
		FUZZ_CALL(step, ipk_broadcast_abort(ring));
		break;
	case 17:
		FUZZ_CALL(step, ipk_broadcast_unsubscribe(ring));
		break;
	case 18:
		send_part_broadcast(ring, step);
		break;
	case 19:
		take_part_broadcast(ring, step);
		break;
	default:
		ask_broadcast(ring, step);
		break;
	}
}

const struct fuzz_ring fuzz_broadcast = {attach_broadcast, set_spin_broadcast,   call_broadcast,      close_broadcast,
					 unmap_broadcast,  segment_of_broadcast, member_of_broadcast};
