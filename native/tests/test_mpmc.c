/* mpmc.h in one process: order, wrapping, limits, claims in any order, batches, what garbage in geometry does. */
#include "mpmc_ring.h"

#define WRAPS 40

static void messages_of_all_lengths_wrap(void)
{
	uint64_t sent = 0, received = 0;

	make();
	start_at(UINT64_C(0xFFFFFFFFFFFFFF00)); /* both halves of a place overflow */
	for (int round = 0; round < WRAPS * 20; round++) {
		while (send_number(&ring, sent, sent * 131 % 1500) == 0)
			sent++;
		CHECK(sent > received);
		for (uint64_t half = (sent - received + 1) / 2; half > 0; half--, received++)
			receive_number(&ring, received, received * 131 % 1500);
	}
	for (; received < sent; received++)
		receive_number(&ring, received, received * 131 % 1500);
	CHECK_EQ(nothing(&ring), -EAGAIN);
	CHECK_EQ(stat_of(&ring).sent, sent);
	CHECK_EQ(stat_of(&ring).received, sent);
	CHECK_EQ(stat_of(&ring).used, 0);
	CHECK_EQ(stat_of(&ring).depth, 0);
	CHECK_EQ(stat_of(&ring).bytes_sent, stat_of(&ring).bytes_received);
	drop();
}

static void limits(void)
{
	struct ipk_mpmc_claim claim;
	uint32_t stalled;

	make();
	CHECK_EQ(send_number(&ring, 1, LARGEST + 1), -EMSGSIZE);
	CHECK_EQ(ipk_mpmc_try_reserve(&ring, LARGEST + 1, &claim), -EMSGSIZE);
	CHECK_EQ(ipk_mpmc_try_reserve(&ring, UINT64_MAX, &claim), -EMSGSIZE);
	CHECK_EQ(ipk_mpmc_wait_room(&ring, LARGEST + 1, 0, &stalled), -EMSGSIZE);
	CHECK_EQ(send_number(&ring, 1, LARGEST), 0);
	CHECK_EQ(send_number(&ring, 2, 0), -EAGAIN);
	receive_number(&ring, 1, LARGEST);
	CHECK_EQ(send_number(&ring, 2, 0), 0);
	CHECK_EQ(send_number(&ring, 3, LARGEST), -EAGAIN);
	receive_number(&ring, 2, 0);
	CHECK_EQ(nothing(&ring), -EAGAIN);
	drop();
}

static void so_many_messages(void)
{
	struct ipk_mpmc_options options = usual();
	struct ipk_mpmc_claim claim;

	options.max_messages = 2;
	make_with(&options);
	CHECK_EQ(send_number(&ring, 1, 10), 0);
	CHECK_EQ(ipk_mpmc_try_reserve(&ring, 10, &claim), 0);
	CHECK_EQ(send_number(&ring, 2, 10), -EAGAIN);
	CHECK_EQ(ipk_mpmc_abort(&ring, &claim), 0);
	CHECK_EQ(send_number(&ring, 2, 10), -EAGAIN); /* until a consumer comes by, or the one that waits for room */
	receive_number(&ring, 1, 10);
	CHECK_EQ(nothing(&ring), -EAGAIN);
	CHECK_EQ(send_number(&ring, 2, 10), 0);
	CHECK_EQ(send_number(&ring, 3, 10), 0);
	CHECK_EQ(send_number(&ring, 4, 10), -EAGAIN);
	drop();
}

static void claims_end_in_any_order(void)
{
	struct ipk_mpmc *other;
	struct ipk_mpmc_claim first, second, third, loans[3];

	make();
	other = attached();
	CHECK_EQ(ipk_mpmc_try_reserve(&ring, 100, &first), 0);
	CHECK_EQ(ipk_mpmc_try_reserve(other, 200, &second), 0);
	CHECK_EQ(ipk_mpmc_try_reserve(&ring, 300, &third), 0);
	memcpy((unsigned char *)ipk_mpmc_data(&ring) + third.offset, content(3), 300);
	CHECK_EQ(ipk_mpmc_commit(&ring, &third, 301, 1), -EINVAL);
	CHECK_EQ(ipk_mpmc_commit(&ring, &third, 300, 1), 0);
	CHECK_EQ(nothing(&ring), -EAGAIN); /* not before what was claimed earlier */
	CHECK_EQ(ipk_mpmc_abort(other, &second), 0);
	CHECK_EQ(ipk_mpmc_abort(other, &second), -EOWNERDEAD);
	memcpy((unsigned char *)ipk_mpmc_data(&ring) + first.offset, content(1), 100);
	CHECK_EQ(ipk_mpmc_commit(&ring, &first, 41, 1), 0);
	CHECK_EQ(ipk_mpmc_commit(&ring, &first, 41, 1), -EOWNERDEAD);
	CHECK_EQ(ipk_mpmc_commit(&ring, &second, 1, 0), -ECHILD); /* another view's */
	CHECK_EQ(send_number(&ring, 4, 5), 0);
	loans[0] = lend_number(other, 1, 41);
	loans[1] = lend_number(&ring, 3, 300);
	loans[2] = lend_number(other, 4, 5);
	CHECK_EQ(ipk_mpmc_release(&ring, &loans[0], 1), -ECHILD);
	CHECK_EQ(ipk_mpmc_release(other, &loans[2], 1), 0);
	CHECK_EQ(ipk_mpmc_return_loan(other, &loans[0], 1), 0);
	CHECK_EQ(ipk_mpmc_return_loan(&ring, &loans[1], 1), 0);
	CHECK_EQ(ipk_mpmc_return_loan(&ring, &loans[1], 1), -EOWNERDEAD);
	receive_number(&ring, 1, 41);
	receive_number(other, 3, 300);
	CHECK_EQ(nothing(&ring), -EAGAIN);
	CHECK_EQ(stat_of(&ring).used, 0);
	CHECK_EQ(stat_of(&ring).sent, 3);
	CHECK_EQ(stat_of(&ring).received, 3);
	detach(other);
	drop();
}

static void a_loan_holds_its_space_only(void)
{
	struct ipk_mpmc_claim loan;
	uint64_t number = 2;

	make();
	CHECK_EQ(send_number(&ring, 1, 1000), 0);
	loan = lend_number(&ring, 1, 1000);
	for (; send_number(&ring, number, 500) == 0; number++)
		receive_number(&ring, number, 500);
	CHECK_EQ(number, 2 + 6); /* what lies behind it is received, and not yet free */
	CHECK(memcmp((unsigned char *)ipk_mpmc_data(&ring) + loan.offset, content(1), 1000) == 0);
	CHECK_EQ(ipk_mpmc_release(&ring, &loan, 1), 0);
	CHECK_EQ(stat_of(&ring).used, 0);
	CHECK_EQ(send_number(&ring, number, LARGEST), 0);
	drop();
}

/* What was reserved and not used is room as soon as the message is received. */
static void a_shortened_message_leaves_nothing_behind(void)
{
	struct ipk_mpmc_claim claim;

	make();
	for (uint64_t number = 2; number <= 3; number++) { /* copied, and on loan */
		CHECK_EQ(ipk_mpmc_try_reserve(&ring, LARGEST, &claim), 0);
		memcpy((unsigned char *)ipk_mpmc_data(&ring) + claim.offset, content(number), 50);
		CHECK_EQ(ipk_mpmc_commit(&ring, &claim, 50, number & 1), 0);
		CHECK_EQ(stat_of(&ring).used, CAPACITY);
		receive_number(&ring, number, 50);
		CHECK_EQ(stat_of(&ring).used, 0);
	}
	drop();
}

static void batches(void)
{
	struct ipk_slice slices[200];
	unsigned char copy[2000];
	uint32_t lengths[200];
	struct ipk_mpmc_claim loans[200];
	int64_t sent, got, seen = 0;

	make();
	for (int i = 0; i < 200; i++)
		slices[i] = (struct ipk_slice){content((uint64_t)i), i == 3 ? 1100 : (uint64_t)i % 90};
	sent = ipk_mpmc_try_send_many(&ring, slices, 200);
	CHECK_RANGE(sent, 20, 199);
	CHECK_EQ(ipk_mpmc_try_send_many(&ring, slices + sent, 200 - (uint32_t)sent), -EAGAIN);
	got = ipk_mpmc_try_copy(&ring, copy, sizeof(copy), lengths, 200);
	CHECK_EQ(got, 3);
	CHECK_EQ(ipk_mpmc_try_copy(&ring, copy, sizeof(copy), lengths, 200), -EMSGSIZE);
	got = ipk_mpmc_try_receive(&ring, loans, 1);
	CHECK_EQ(got, 1);
	CHECK_EQ(loans[0].length, 1100);
	CHECK_EQ(ipk_mpmc_release(&ring, loans, 1), 0);
	for (seen = 4; seen < sent;) {
		uint64_t at = 0;

		got = ipk_mpmc_try_copy(&ring, copy, 200, lengths, 200);
		CHECK(got > 0);
		for (int64_t i = 0; i < got; at += lengths[i++], seen++) {
			CHECK_EQ(lengths[i], slices[seen].length);
			CHECK(memcmp(copy + at, slices[seen].data, lengths[i]) == 0);
		}
	}
	CHECK_EQ(nothing(&ring), -EAGAIN);
	CHECK_EQ(ipk_mpmc_try_send_many(&ring, slices, 4), 4);
	CHECK_EQ(ipk_mpmc_try_receive(&ring, loans, 200), 4);
	CHECK_EQ(ipk_mpmc_return_loan(&ring, loans + 1, 3), 0);
	CHECK_EQ(ipk_mpmc_release(&ring, loans, 1), 0);
	CHECK_EQ(ipk_mpmc_try_receive(&ring, loans, 200), 3);
	CHECK_EQ(ipk_mpmc_release(&ring, loans, 3), 0);
	CHECK_EQ(stat_of(&ring).used, 0);
	slices[0].length = LARGEST + 1;
	CHECK_EQ(ipk_mpmc_try_send_many(&ring, slices, 4), -EMSGSIZE);
	drop();
}

static void closed_and_forgotten(void)
{
	static struct ipk_mpmc never; /* zeroed: what a closed handle points to */
	struct ipk_mpmc_claim claim;
	uint32_t stalled;
	int fd = open_descriptors(), maps = mappings();

	ipk_mpmc_close(&never);
	CHECK_EQ(ipk_mpmc_try_send(&never, "", 0, 0), -EBADF);
	CHECK_EQ(nothing(&never), -EBADF);
	CHECK_EQ(ipk_mpmc_try_receive(&never, &claim, 1), -EBADF);
	CHECK_EQ(ipk_mpmc_wait_message(&never, 0, &stalled), -EBADF);
	CHECK_EQ(ipk_mpmc_wait_room(&never, 0, 0, &stalled), -EBADF);
	CHECK_EQ(ipk_mpmc_living(&never, IPK_ROSTER_CONSUMER), -EBADF);
	CHECK_EQ(ipk_mpmc_fd(&never), -1);
	ipk_mpmc_unmap(&never);
	make();
	CHECK_EQ(send_number(&ring, 1, 1), 0);
	CHECK_EQ(ipk_mpmc_try_reserve(&ring, 10, &claim), 0);
	ipk_mpmc_close(&ring);
	ipk_mpmc_close(&ring);
	CHECK_EQ(send_number(&ring, 1, 1), -EBADF);
	CHECK_EQ(ipk_mpmc_commit(&ring, &claim, 10, 0), 0); /* its space is ours as long as it is mapped */
	drop();
	CHECK_EQ(open_descriptors(), fd);
	CHECK_EQ(mappings(), maps);
}

static void geometry_is_not_believed(void)
{
	static const struct {
		size_t at;
		uint64_t value;
	} wrong[] = {
		{offsetof(struct ipk_mpmc_geometry_shm, capacity), 0},
		{offsetof(struct ipk_mpmc_geometry_shm, capacity), 3 * CAPACITY},
		{offsetof(struct ipk_mpmc_geometry_shm, capacity), 2 * CAPACITY},
		{offsetof(struct ipk_mpmc_geometry_shm, capacity), UINT64_C(1) << 40},
		{offsetof(struct ipk_mpmc_geometry_shm, max_messages), UINT64_C(100000) << 32},
		{offsetof(struct ipk_mpmc_geometry_shm, max_messages), 0},
		{offsetof(struct ipk_mpmc_geometry_shm, on_consumer_death), 7},
		{offsetof(struct ipk_mpmc_geometry_shm, on_consumer_death), UINT64_C(7) << 32},
	};
	struct ipk_mpmc view;
	struct ipk_mpmc_options options = usual();
	int fds = open_descriptors();

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		make();
		memcpy((unsigned char *)&ring.shm->geometry + wrong[i].at, &wrong[i].value, 8);
		memset(&view, 0, sizeof(view));
		CHECK_EQ(ipk_mpmc_attach(&view, dup(ring.segment.fd)), -EPROTO);
		CHECK_EQ(send_number(&ring, 1, 100), 0); /* whoever has attached does not look again */
		receive_number(&ring, 1, 100);
		drop();
	}
	memset(&view, 0, sizeof(view));
	CHECK_EQ(ipk_mpmc_attach(&view, open("/dev/null", O_RDWR)), -ENOMSG);
	options.capacity = 5000;
	CHECK_EQ(ipk_mpmc_create(&view, NULL, &options, 0600), -EINVAL);
	options = usual();
	options.participants = 0;
	CHECK_EQ(ipk_mpmc_create(&view, NULL, &options, 0600), -EINVAL);
	CHECK_EQ(open_descriptors(), fds);
}

int main(void)
{
	prepare();
	RUN(messages_of_all_lengths_wrap);
	RUN(limits);
	RUN(so_many_messages);
	RUN(claims_end_in_any_order);
	RUN(a_loan_holds_its_space_only);
	RUN(a_shortened_message_leaves_nothing_behind);
	RUN(batches);
	RUN(closed_and_forgotten);
	RUN(geometry_is_not_believed);
	return 0;
}
