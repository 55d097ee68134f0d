/* broadcast.h: the edges of the ring, one process alone. */
#include <sys/stat.h>
#include <unistd.h>

#include "broadcast.h"

static const uint32_t policies[] = {IPK_BROADCAST_BLOCK, IPK_BROADCAST_OVERWRITE, IPK_BROADCAST_DISCONNECT};
#define EACH_POLICY(p) (uint32_t p = 0; p < 3; p++)

static void geometry_bounds(void)
{
	const uint64_t bad[] = {0, 1, 2048, 4095, 4097, 12288, (UINT64_C(1) << 31) + 4096, UINT64_C(1) << 32, UINT64_MAX};
	const uint32_t crowds[] = {0, IPK_ROSTER_MAX + 1, UINT32_MAX};
	int descriptors = open_descriptors();

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&ring, 0, sizeof(ring));
		CHECK_EQ(ipk_broadcast_create(&ring, NULL, bad[i], 0, 1, 0600), -EINVAL);
		drop();
	}
	for (size_t i = 0; i < sizeof(crowds) / sizeof(crowds[0]); i++) {
		memset(&ring, 0, sizeof(ring));
		CHECK_EQ(ipk_broadcast_create(&ring, NULL, CAPACITY, 0, crowds[i], 0600), -EINVAL);
		CHECK_EQ(ipk_broadcast_create(&ring, NULL, CAPACITY, 3, 1, 0600), -EINVAL);
	}
	CHECK_EQ(open_descriptors(), descriptors);
	for (uint32_t crowd = 1; crowd <= IPK_ROSTER_MAX; crowd *= 4) {
		memset(&ring, 0, sizeof(ring));
		CHECK_EQ(ipk_broadcast_create(&ring, NULL, CAPACITY, 0, crowd, 0600), 0);
		CHECK_EQ(stat_of(&ring).participants, crowd);
		detach(attached());
		drop();
	}
	CHECK_EQ(ipk_broadcast_fd(&ring), -1);
	CHECK_EQ(open_descriptors(), descriptors);
}

static void attaching_checks_geometry(void)
{
	const struct {
		uint64_t offset, value;
	} damage[] = {
		{offsetof(struct ipk_broadcast_shm, capacity), 2 * CAPACITY},
		{offsetof(struct ipk_broadcast_shm, capacity), CAPACITY + 8},
		{offsetof(struct ipk_broadcast_shm, capacity), 0},
		{offsetof(struct ipk_broadcast_shm, participants), 0},
		{offsetof(struct ipk_broadcast_shm, participants), 1000},
		{offsetof(struct ipk_broadcast_shm, participants), UINT32_MAX},
		{offsetof(struct ipk_broadcast_shm, policy), 3},
	};
	struct ipk_broadcast view;

	make(IPK_BROADCAST_BLOCK);
	for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
		unsigned char whole[16];
		void *at = (unsigned char *)ring.shm + damage[i].offset;
		size_t size = damage[i].offset == 0 ? 8 : 4;

		memcpy(whole, ring.shm, sizeof(whole));
		memcpy(at, &damage[i].value, size);
		memset(&view, 0, sizeof(view));
		CHECK_EQ(ipk_broadcast_attach(&view, fcntl(ring.segment.fd, F_DUPFD_CLOEXEC, 3)), -EPROTO);
		memcpy(ring.shm, whole, sizeof(whole));
	}
	detach(attached());
	drop();
}

static void every_length_wraps_at_each_offset(void)
{
	for EACH_POLICY (p) {
		struct ipk_broadcast *reader;

		make(policies[p]);
		reader = reader_of(0, 0);
		for (uint64_t length = 0; length <= 100; length++) {
			for (uint64_t i = 0; i < CAPACITY / 8 / (2 + (length + 7) / 8) + 2; i++) {
				CHECK_EQ(send_number(&ring, i, length), 0);
				receive_number(reader, i, length);
			}
		}
		for (uint64_t length = LARGEST - 9; length <= LARGEST; length++) {
			for (uint64_t i = 0; i < 20; i++) {
				CHECK_EQ(send_number(&ring, i, length), 0);
				receive_number(reader, i, length);
				CHECK_EQ(receive_any(reader), -EAGAIN);
				CHECK_EQ(send_number(&ring, i, 8 * i), 0);
				receive_number(reader, i, 8 * i);
			}
		}
		CHECK_EQ(stat_of(&ring).lost, 0);
		detach(reader);
		drop();
	}
}

static void positions_wrap(void)
{
	const uint64_t edges[] = {UINT64_C(1) << 31, UINT64_C(1) << 32, UINT64_C(1) << 63, 0};

	for (size_t edge = 0; edge < sizeof(edges) / sizeof(edges[0]); edge++) {
		for EACH_POLICY (p) {
			struct ipk_broadcast *reader, *late;

			make(policies[p]);
			start_at(edges[edge] - 200);
			reader = reader_of(0, 0);
			for (uint64_t i = 0; i < 300; i++) {
				CHECK_EQ(send_number(&ring, i, 40), 0);
				receive_number(reader, i, 40);
			}
			late = reader_of(10, 10);
			for (uint64_t i = 290; i < 300; i++)
				receive_number(late, i, 40);
			detach(late);
			detach(reader);
			drop();
		}
	}
}

static void too_long_is_refused_for_ever(void)
{
	struct ipk_slice slices[2] = {{content(1), 10}, {content(2), LARGEST + 1}};
	struct ipk_broadcast_claim claim = {0};
	struct ipk_broadcast *reader;

	make(IPK_BROADCAST_OVERWRITE);
	reader = reader_of(0, 0);
	for (uint64_t length = LARGEST + 1; length < LARGEST + 20; length++) {
		CHECK_EQ(send_number(&ring, 0, length), -EMSGSIZE);
		CHECK_EQ(ipk_broadcast_wait_room(&ring, length, IPK_NEVER), -EMSGSIZE);
		CHECK_EQ(ipk_broadcast_try_reserve(&ring, length, &claim), -EMSGSIZE);
	}
	CHECK_EQ(send_number(&ring, 0, UINT64_MAX), -EMSGSIZE);
	CHECK_EQ(claim.taken, 0);
	CHECK_EQ(ipk_broadcast_try_send_many(&ring, slices, 2), 1);
	CHECK_EQ(ipk_broadcast_try_send_many(&ring, slices + 1, 1), -EMSGSIZE);
	CHECK_EQ(ipk_broadcast_try_send_many(&ring, slices, 0), 0);
	receive_number(reader, 1, 10);
	CHECK_EQ(receive_any(reader), -EAGAIN);
	detach(reader);
	drop();
}

static void everybody_sees_every_message(void)
{
	for EACH_POLICY (p) {
		struct ipk_broadcast *readers[5], *other;

		make(policies[p]);
		other = attached();
		for (int r = 0; r < 5; r++)
			readers[r] = reader_of(0, 0);
		for (uint64_t i = 0; i < 200; i++) {
			CHECK_EQ(send_number(i % 3 ? &ring : other, i, 24), 0);
			for (int r = 0; r < 5; r++)
				receive_number(readers[r], i, 24);
		}
		CHECK_EQ(stat_of(&ring).sent, 200);
		CHECK_EQ(stat_of(&ring).received, 1000);
		CHECK_EQ(stat_of(&ring).bytes_sent, 200 * 24);
		CHECK_EQ(stat_of(&ring).bytes_received, 1000 * 24);
		CHECK_EQ(stat_of(&ring).producers, 2);
		CHECK_EQ(stat_of(&ring).consumers, 5);
		for (int r = 0; r < 5; r++)
			detach(readers[r]);
		CHECK_EQ(stat_of(&ring).consumers, 0);
		detach(other);
		drop();
	}
}

static void a_slow_reader_blocks(void)
{
	struct ipk_broadcast *slow, *fast;
	uint64_t sent = 0;

	make(IPK_BROADCAST_BLOCK);
	slow = reader_of(0, 0);
	fast = reader_of(0, 0);
	while (send_number(&ring, sent, 48) == 0)
		receive_number(fast, sent++, 48);
	CHECK_EQ(sent, CAPACITY / 64);
	CHECK_EQ(stat_of(&ring).used, CAPACITY);
	CHECK_EQ(stat_of(slow).depth, sent);
	CHECK_EQ(stat_of(fast).depth, 0);
	CHECK_EQ(ipk_broadcast_wait_room(&ring, 48, 0), -ETIMEDOUT);
	CHECK_EQ(ipk_broadcast_slowest(&ring), getpid());
	for (uint64_t i = 0; i < 500; i++) { /* one out, one in */
		receive_number(slow, i, 48);
		CHECK_EQ(send_number(&ring, sent + i, 48), 0);
		receive_number(fast, sent + i, 48);
		CHECK_EQ(send_number(&ring, 0, 48), -EAGAIN);
	}
	detach(slow);
	for (uint64_t i = 0; i < sent; i++) {
		CHECK_EQ(send_number(&ring, i, 48), 0);
		receive_number(fast, i, 48);
	}
	CHECK_EQ(stat_of(&ring).lost, 0);
	detach(fast);
	drop();
}

static void a_slow_reader_is_told_what_it_lost(void)
{
	struct ipk_broadcast *reader, *one_more;

	make(IPK_BROADCAST_OVERWRITE);
	reader = reader_of(0, 0);
	one_more = reader_of(0, 0);
	CHECK_EQ(send_number(&ring, 0, 8), 0);
	receive_number(reader, 0, 8);
	for (uint64_t number = 1, next = 1; number < 3000; number++) {
		unsigned char into[CAPACITY];
		uint64_t lost;
		int64_t rc;

		CHECK_EQ(send_number(&ring, number, number % 97), 0);
		if (number * number % 211 > 3)
			continue;
		rc = ipk_broadcast_try_receive(reader, into, sizeof(into));
		if (rc == -ESTALE) {
			CHECK_EQ(receive_any(reader), -ESTALE); /* until it is asked */
			CHECK_EQ(ipk_broadcast_next_length(reader), -ESTALE);
			lost = ipk_broadcast_told(reader);
			CHECK_RANGE(lost, 1, number - next);
			next += lost;
			rc = ipk_broadcast_try_receive(reader, into, sizeof(into));
		}
		CHECK_EQ(rc, next % 97);
		CHECK(memcmp(into, content(next), (size_t)rc) == 0);
		next++;
		CHECK_EQ(stat_of(reader).depth, number + 1 - next);
	}
	CHECK_EQ(ipk_broadcast_told(one_more), 0);
	CHECK_EQ(receive_any(one_more), -ESTALE); /* lost before its first message: exactly as many */
	CHECK_EQ(ipk_broadcast_told(one_more) + stat_of(one_more).depth, 3000);
	CHECK_EQ(ipk_broadcast_told(one_more), 0);
	detach(one_more);
	detach(reader);
	drop();
}

static void a_slow_reader_is_disconnected(void)
{
	struct ipk_broadcast *reader;
	uint64_t number = 0;

	make(IPK_BROADCAST_DISCONNECT);
	reader = reader_of(0, 0);
	while (stat_of(&ring).consumers == 1)
		CHECK_EQ(send_number(&ring, number++, 48), 0);
	CHECK_RANGE(number, CAPACITY / 64 - 4, CAPACITY / 64 + 1);
	CHECK_EQ(receive_any(reader), -ECONNRESET);
	CHECK_EQ(receive_any(reader), -ECONNRESET);
	CHECK_EQ(ipk_broadcast_next_length(reader), -ECONNRESET);
	CHECK_EQ(stat_of(reader).depth, 0);
	CHECK_EQ(stat_of(&ring).lost > 0, 1);
	CHECK_EQ(ipk_broadcast_subscribe(reader, 2), 2);
	receive_number(reader, number - 2, 48);
	receive_number(reader, number - 1, 48);
	CHECK_EQ(receive_any(reader), -EAGAIN);
	CHECK_EQ(stat_of(&ring).consumers, 1);
	detach(reader);
	drop();
}

static void a_late_joiner_gets_what_is_retained(void)
{
	for EACH_POLICY (p) {
		make(policies[p]);
		detach(reader_of(5, 0));
		for (uint64_t sent = 0; sent < 300; sent++) {
			struct ipk_broadcast_stat stat;
			struct ipk_broadcast *late;
			uint64_t all, few = sent < 3 ? sent : 3;

			late = reader_of(3, (int64_t)few);
			for (uint64_t i = sent - few; i < sent; i++)
				receive_number(late, i, i % 150);
			CHECK_EQ(receive_any(late), -EAGAIN);
			all = (uint64_t)ipk_broadcast_subscribe(late, UINT64_MAX);
			stat = stat_of(late);
			CHECK_EQ(stat.depth, all);
			CHECK_EQ(stat.consumers, 1);
			for (uint64_t i = sent - all; i < sent; i++)
				receive_number(late, i, i % 150);
			CHECK_EQ(receive_any(late), -EAGAIN);
			CHECK_EQ(all == sent || stat.used > CAPACITY * 15 / 16 - 2 * 168, 1);
			detach(late);
			CHECK_EQ(send_number(&ring, sent, sent % 150), 0);
		}
		drop();
	}
}

static void history_moves_the_bound_back(void)
{
	struct ipk_broadcast *late;
	uint64_t sent = 0, found;

	make(IPK_BROADCAST_BLOCK);
	for (; sent < 1000; sent++) /* nobody reads: the bound is far ahead */
		CHECK_EQ(send_number(&ring, sent, 48), 0);
	late = attached();
	found = (uint64_t)ipk_broadcast_subscribe(late, UINT64_MAX);
	CHECK_RANGE(found, CAPACITY / 64 - 5, CAPACITY / 64);
	while (send_number(&ring, sent, 48) == 0)
		sent++;
	CHECK_EQ(stat_of(late).depth, CAPACITY / 64);
	for (uint64_t i = sent - CAPACITY / 64; i < sent; i++)
		receive_number(late, i, 48);
	detach(late);
	drop();
}

static void the_newest_message_stays(void)
{
	for EACH_POLICY (p) {
		struct ipk_broadcast *late;

		make(policies[p]);
		for (uint64_t i = 0; i < 50; i++) {
			struct ipk_broadcast_claim claim = {0};
			uint64_t length = i % 2 ? LARGEST : i * 40;

			CHECK_EQ(send_number(&ring, i, length), 0);
			CHECK_EQ(ipk_broadcast_try_reserve(&ring, LARGEST, &claim), 0);
			CHECK_EQ(ipk_broadcast_abort(&ring), 0);
			late = reader_of(1, 1);
			receive_number(late, i, length);
			detach(late);
		}
		drop();
	}
}

static void batches(void)
{
	struct ipk_slice slices[200];
	uint64_t ends[200];
	unsigned char into[CAPACITY];

	for (uint64_t i = 0; i < 200; i++)
		slices[i] = (struct ipk_slice){content(i), i % 50};
	for EACH_POLICY (p) {
		struct ipk_broadcast *reader;
		uint64_t at = 0;
		int64_t sent;

		make(policies[p]);
		reader = reader_of(0, 0);
		sent = ipk_broadcast_try_send_many(&ring, slices, 200);
		if (policies[p] == IPK_BROADCAST_BLOCK) {
			CHECK_RANGE(sent, 80, 110);
			CHECK_EQ(send_number(&ring, 0, 400), -EAGAIN);
		} else {
			CHECK_EQ(sent, 200); /* those at the end have overwritten those at the beginning */
			CHECK_EQ(receive_any(reader), policies[p] == IPK_BROADCAST_OVERWRITE ? -ESTALE : -ECONNRESET);
			if (policies[p] == IPK_BROADCAST_OVERWRITE)
				at = ipk_broadcast_told(reader);
			else
				at = 200 - (uint64_t)ipk_broadcast_subscribe(reader, 1000);
			CHECK_RANGE(at, 90, 130);
		}
		while (at < (uint64_t)sent) {
			int64_t got = ipk_broadcast_try_receive_many(reader, into, 200, ends, 7);

			CHECK_RANGE(got, 1, 7);
			for (int64_t k = 0; k < got; k++, at++) {
				uint64_t begin = k ? ends[k - 1] : 0;

				CHECK_EQ(ends[k] - begin, at % 50);
				CHECK(memcmp(into + begin, content(at), ends[k] - begin) == 0);
			}
		}
		CHECK_EQ(ipk_broadcast_try_receive_many(reader, into, 200, ends, 7), -EAGAIN);
		detach(reader);
		drop();
	}
}

static void a_buffer_may_be_too_small(void)
{
	unsigned char into[64];

	for EACH_POLICY (p) {
		struct ipk_broadcast *reader;

		make(policies[p]);
		reader = reader_of(0, 0);
		CHECK_EQ(ipk_broadcast_next_length(reader), -EAGAIN);
		CHECK_EQ(send_number(&ring, 1, 41), 0);
		CHECK_EQ(ipk_broadcast_try_receive(reader, into, 40), -EMSGSIZE);
		CHECK_EQ(ipk_broadcast_try_receive(reader, NULL, 0), -EMSGSIZE);
		CHECK_EQ(ipk_broadcast_next_length(reader), 41);
		CHECK_EQ(ipk_broadcast_try_receive(reader, into, 41), 41);
		CHECK(memcmp(into, content(1), 41) == 0);
		CHECK_EQ(send_number(&ring, 1, 0), 0);
		CHECK_EQ(ipk_broadcast_try_receive(reader, NULL, 0), 0);
		detach(reader);
		drop();
	}
}

static void in_place(void)
{
	for EACH_POLICY (p) {
		struct ipk_broadcast *reader, *other;
		struct ipk_broadcast_claim claim = {0}, refused = {0};
		unsigned char *data;

		make(policies[p]);
		data = ipk_broadcast_data(&ring);
		reader = reader_of(0, 0);
		other = attached();
		CHECK_EQ(ipk_broadcast_commit(&ring, 0), -EINVAL);
		CHECK_EQ(ipk_broadcast_abort(&ring), -EINVAL);
		for (uint64_t i = 0; i < 300; i++) {
			CHECK_EQ(ipk_broadcast_try_reserve(&ring, 100, &claim), 0);
			CHECK_EQ(claim.length, 100);
			memcpy(data + claim.offset, content(i), 100);
			CHECK_EQ(receive_any(reader), -EAGAIN);
			CHECK_EQ(send_number(&ring, 0, 1), -EBUSY);
			CHECK_EQ(ipk_broadcast_try_reserve(&ring, 1, &refused), -EBUSY);
			CHECK_EQ(send_number(other, 0, 1), -EAGAIN);
			CHECK_EQ(ipk_broadcast_wait_room(other, 1, 0), -ETIME);
			CHECK_EQ(ipk_broadcast_holder(other), getpid());
			if (i % 3 == 0) {
				CHECK_EQ(ipk_broadcast_abort(&ring), 0);
				CHECK_EQ(receive_any(reader), -EAGAIN);
			} else {
				CHECK_EQ(ipk_broadcast_commit(&ring, i % 101), 0);
				receive_number(reader, i, i % 101);
			}
			CHECK_EQ(ipk_broadcast_holder(other), 0);
			CHECK_EQ(send_number(other, i, 30), 0);
			receive_number(reader, i, 30);
		}
		CHECK_EQ(ipk_broadcast_try_reserve(&ring, 10, &claim), 0);
		CHECK_EQ(ipk_broadcast_commit(&ring, 11), -EINVAL); /* it ends all the same */
		CHECK_EQ(receive_any(reader), -EAGAIN);
		CHECK_EQ(ipk_broadcast_try_reserve(&ring, 10, &claim), 0);
		ipk_broadcast_close(&ring);
		CHECK_EQ(ipk_broadcast_commit(&ring, 1), -EINVAL);
		CHECK_EQ(send_number(other, 7, 30), 0);
		receive_number(reader, 7, 30);
		detach(other);
		detach(reader);
		drop();
	}
}

static void on_loan(void)
{
	struct ipk_broadcast_claim claim = {0};
	struct ipk_broadcast *reader, *other;
	unsigned char *data;

	make(IPK_BROADCAST_BLOCK);
	reader = reader_of(0, 0);
	other = reader_of(0, 0);
	data = ipk_broadcast_data(reader);
	CHECK_EQ(ipk_broadcast_try_lend(reader, &claim), -EAGAIN);
	for (uint64_t i = 0; i < 300; i++) {
		CHECK_EQ(send_number(&ring, i, 60), 0);
		CHECK_EQ(ipk_broadcast_try_lend(reader, &claim), 0);
		CHECK_EQ(claim.length, 60);
		CHECK(memcmp(data + claim.offset, content(i), 60) == 0);
		CHECK_EQ(receive_any(reader), -EBUSY);
		CHECK_EQ(ipk_broadcast_subscribe(reader, 0), -EBUSY);
		CHECK_EQ(ipk_broadcast_unsubscribe(reader), -EBUSY);
		CHECK_EQ(ipk_broadcast_wait_message(reader, IPK_NEVER), -EBUSY);
		receive_number(other, i, 60);
		if (i % 2) {
			CHECK_EQ(ipk_broadcast_return_loan(reader), 0);
			receive_number(reader, i, 60);
		} else {
			CHECK_EQ(ipk_broadcast_release(reader), 0);
		}
		CHECK_EQ(ipk_broadcast_release(reader), -EINVAL);
		CHECK_EQ(ipk_broadcast_return_loan(reader), -EINVAL);
		CHECK_EQ(receive_any(reader), -EAGAIN);
	}
	CHECK_EQ(stat_of(&ring).received, 600);
	detach(other);
	detach(reader);
	drop();
	for (uint32_t p = 1; p < 3; p++) {
		make(policies[p]);
		CHECK_EQ(ipk_broadcast_try_lend(&ring, &claim), -EOPNOTSUPP);
		drop();
	}
}

static void one_handle_may_be_both(void)
{
	for EACH_POLICY (p) {
		make(policies[p]);
		CHECK_EQ(send_number(&ring, 0, 8), 0);
		CHECK_EQ(receive_any(&ring), -EAGAIN); /* it subscribes now */
		for (uint64_t i = 0; i < 200; i++) {
			CHECK_EQ(send_number(&ring, i, 100), 0);
			receive_number(&ring, i, 100);
		}
		CHECK_EQ(stat_of(&ring).producers, 1);
		CHECK_EQ(stat_of(&ring).consumers, 1);
		CHECK_EQ(ipk_broadcast_unsubscribe(&ring), 1);
		CHECK_EQ(ipk_broadcast_unsubscribe(&ring), 0);
		CHECK_EQ(stat_of(&ring).producers, 1);
		CHECK_EQ(stat_of(&ring).consumers, 0);
		CHECK_EQ(stat_of(&ring).received, 200);
		drop();
	}
}

static void the_roster_is_bounded(void)
{
	struct ipk_broadcast *views[PARTICIPANTS], *late;

	make(IPK_BROADCAST_BLOCK);
	for (int i = 0; i < PARTICIPANTS; i++)
		views[i] = reader_of(0, 0);
	late = attached();
	CHECK_EQ(ipk_broadcast_subscribe(late, 0), -ENOSPC);
	CHECK_EQ(ipk_broadcast_subscribe(late, 3), -ENOSPC);
	CHECK_EQ(receive_any(late), -ENOSPC);
	CHECK_EQ(send_number(late, 0, 8), -ENOSPC);
	CHECK_EQ(send_number(views[0], 0, 8), 0);
	detach(views[0]);
	CHECK_EQ(ipk_broadcast_subscribe(late, 1), 1);
	receive_number(late, 0, 8);
	detach(late);
	for (int i = 1; i < PARTICIPANTS; i++)
		detach(views[i]);
	drop();
}

static void closed_means_closed(void)
{
	struct ipk_broadcast_claim claim = {0};
	struct ipk_broadcast_stat stat;

	make(IPK_BROADCAST_BLOCK);
	CHECK_EQ(send_number(&ring, 0, 8), 0);
	ipk_broadcast_close(&ring);
	ipk_broadcast_close(&ring);
	CHECK_EQ(send_number(&ring, 0, 8), -EBADF);
	CHECK_EQ(receive_any(&ring), -EBADF);
	CHECK_EQ(ipk_broadcast_next_length(&ring), -EBADF);
	CHECK_EQ(ipk_broadcast_subscribe(&ring, 0), -EBADF);
	CHECK_EQ(ipk_broadcast_unsubscribe(&ring), -EBADF);
	CHECK_EQ(ipk_broadcast_try_reserve(&ring, 8, &claim), -EBADF);
	CHECK_EQ(ipk_broadcast_try_lend(&ring, &claim), -EBADF);
	CHECK_EQ(ipk_broadcast_wait_room(&ring, 8, IPK_NEVER), -EBADF);
	CHECK_EQ(ipk_broadcast_wait_message(&ring, IPK_NEVER), -EBADF);
	CHECK_EQ(ipk_broadcast_wait_subscribe(&ring, IPK_NEVER), -EBADF);
	CHECK_EQ(ipk_broadcast_bury(&ring), -EBADF);
	ipk_broadcast_unmap(&ring);
	ipk_broadcast_unmap(&ring);
	CHECK_EQ(ipk_broadcast_stat(&ring, &stat), -EBADF);
	CHECK_EQ(ipk_broadcast_holder(&ring), 0);
	CHECK_EQ(ipk_broadcast_slowest(&ring), 0);
	CHECK_EQ(send_number(&ring, 0, 8), -EBADF);
	CHECK_EQ(receive_any(&ring), -EBADF);
}

int main(void)
{
	prepare();
	RUN(geometry_bounds);
	RUN(attaching_checks_geometry);
	RUN(every_length_wraps_at_each_offset);
	RUN(positions_wrap);
	RUN(too_long_is_refused_for_ever);
	RUN(everybody_sees_every_message);
	RUN(a_slow_reader_blocks);
	RUN(a_slow_reader_is_told_what_it_lost);
	RUN(a_slow_reader_is_disconnected);
	RUN(a_late_joiner_gets_what_is_retained);
	RUN(history_moves_the_bound_back);
	RUN(the_newest_message_stays);
	RUN(batches);
	RUN(a_buffer_may_be_too_small);
	RUN(in_place);
	RUN(on_loan);
	RUN(one_handle_may_be_both);
	RUN(the_roster_is_bounded);
	RUN(closed_means_closed);
	return 0;
}
