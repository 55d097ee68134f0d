/* spsc.h: messages written and read in place, parts of messages, and the options that allow them; one process alone. */
#include "ring.h"

static const uint32_t all_flags = IPK_SPSC_MORE | IPK_SPSC_REST | IPK_SPSC_FILE;

static void make_with(uint32_t options)
{
	memset(&ring, 0, sizeof(ring));
	CHECK_EQ(ipk_spsc_create(&ring, NULL, CAPACITY, options, 0600), 0);
}

static unsigned char *at(const struct ipk_spsc_part *part)
{
	return (unsigned char *)ipk_spsc_data(&ring) + part->offset;
}

static void reserved_room_is_a_message_when_committed(void)
{
	struct ipk_spsc_part given;

	make(CAPACITY);
	for (uint64_t i = 0; i < 3 * CAPACITY; i += 40) { /* at each offset, also where it wraps around */
		uint64_t room = i % (LARGEST + 1), length = room - room % 5;

		CHECK_EQ(ipk_spsc_try_reserve(&ring, room, &given), 0);
		CHECK_EQ(given.length, room);
		CHECK_EQ(ipk_spsc_try_reserve(&ring, 0, &given), -EBUSY);
		CHECK_EQ(send_number(&ring, i, 1), -EBUSY);
		memcpy(at(&given), content(i), room);
		CHECK_EQ(stat_of(&ring).used, 0);
		CHECK_EQ(ipk_spsc_commit(&ring, ((room + 7) & ~UINT64_C(7)) + 1), -EINVAL);
		CHECK_EQ(ipk_spsc_commit(&ring, length), 0);
		CHECK_EQ(ipk_spsc_commit(&ring, length), -ESTALE);
		receive_number(&ring, i, length);
	}
	drop();
}

static void aborted_room_never_was(void)
{
	struct ipk_spsc_part given;

	make(CAPACITY);
	CHECK_EQ(ipk_spsc_abort(&ring), 0);
	CHECK_EQ(ipk_spsc_try_reserve(&ring, LARGEST, &given), 0);
	memset(at(&given), 0xff, LARGEST);
	CHECK_EQ(ipk_spsc_abort(&ring), 0);
	CHECK_EQ(stat_of(&ring).used + stat_of(&ring).sent, 0);
	CHECK_EQ(send_number(&ring, 1, LARGEST), 0);
	given.offset = 0;
	CHECK_EQ(ipk_spsc_try_reserve(&ring, 0, &given), -EAGAIN);
	CHECK_EQ(ipk_spsc_try_reserve(&ring, LARGEST + 1, &given), -EMSGSIZE);
	CHECK_EQ(ipk_spsc_try_reserve(&ring, UINT64_MAX, &given), -EMSGSIZE);
	CHECK_EQ(given.offset, 0);
	receive_number(&ring, 1, LARGEST);
	drop();
	CHECK_EQ(ipk_spsc_try_reserve(&ring, 0, &given), -EBADF);
}

static void received_into_a_buffer_if_it_fits(void)
{
	unsigned char into[100];

	make(CAPACITY);
	for (uint64_t length = 0; length <= sizeof(into); length++) {
		CHECK_EQ(send_number(&ring, length, length), 0);
		if (length > 0)
			CHECK_EQ(ipk_spsc_try_receive_into(&ring, into, length - 1), -EMSGSIZE);
		CHECK_EQ(ipk_spsc_try_receive_into(&ring, length > 0 ? into : NULL, length), length);
		CHECK(memcmp(into, content(length), length) == 0);
		CHECK_EQ(ipk_spsc_try_receive_into(&ring, into, sizeof(into)), -EAGAIN);
	}
	CHECK_EQ(stat_of(&ring).received, sizeof(into) + 1);
	drop();
}

static void parts_come_as_parts_and_count_as_one_message(void)
{
	struct ipk_spsc_part lent;
	uint64_t bounds[2];

	make_with(IPK_SPSC_PARTS);
	CHECK_EQ(ipk_spsc_try_send_part(&ring, content(1), 10, IPK_SPSC_MORE, 10), 0);
	CHECK_EQ(ipk_spsc_try_send_part(&ring, content(2), 20, IPK_SPSC_REST | IPK_SPSC_MORE, 20), 0);
	CHECK_EQ(stat_of(&ring).sent, 0);
	CHECK_EQ(ipk_spsc_try_send_part(&ring, content(3), 30, IPK_SPSC_REST, 30), 0);
	CHECK_EQ(stat_of(&ring).sent, 1);
	CHECK_EQ(stat_of(&ring).bytes_sent, 60);
	CHECK_EQ(send_number(&ring, 4, 40), 0);
	CHECK_EQ(ipk_spsc_try_receive(&ring), -EOVERFLOW);
	CHECK_EQ(ipk_spsc_try_receive_into(&ring, bytes, 100), -EOVERFLOW);
	CHECK_EQ(ipk_spsc_try_receive_many(&ring, bounds, 1), -EOVERFLOW);
	for (uint64_t i = 1; i <= 3; i++) {
		CHECK_EQ(ipk_spsc_try_receive_part(&ring, &lent), 0);
		CHECK_EQ(lent.length, 10 * i);
		CHECK_EQ(lent.flags, (i > 1 ? IPK_SPSC_REST : 0) | (i < 3 ? IPK_SPSC_MORE : 0));
		CHECK(memcmp(at(&lent), content(i), lent.length) == 0);
		CHECK_EQ(stat_of(&ring).received, 0);
		CHECK_EQ(ipk_spsc_release(&ring), 0);
	}
	CHECK_EQ(stat_of(&ring).received, 1);
	receive_number(&ring, 4, 40);
	drop();
}

static void what_nobody_receives_is_counted(void)
{
	struct ipk_spsc_part lent;

	make_with(IPK_SPSC_PARTS);
	CHECK_EQ(ipk_spsc_try_send_part(&ring, content(1), 10, IPK_SPSC_REST | IPK_SPSC_MORE, 10), 0);
	CHECK_EQ(ipk_spsc_try_send_part(&ring, content(1), 10, IPK_SPSC_REST, 10), 0);
	CHECK_EQ(stat_of(&ring).waiting, 1);
	for (uint64_t i = 0; i < 2; i++) {
		CHECK_EQ(ipk_spsc_try_receive_part(&ring, &lent), 0);
		CHECK_EQ(ipk_spsc_skip_part(&ring), 0);
		CHECK_EQ(stat_of(&ring).skipped, i);
	}
	CHECK_EQ(stat_of(&ring).received + stat_of(&ring).waiting, 0);
	CHECK_EQ(ipk_spsc_forget(&ring), 0);
	CHECK_EQ(ipk_spsc_drop(&ring), 0);
	CHECK_EQ(stat_of(&ring).torn, 1);
	CHECK_EQ(stat_of(&ring).dropped, 1);
	CHECK_EQ(ipk_spsc_skip_part(&ring), 0); /* of no loan: nothing */
	CHECK_EQ(stat_of(&ring).skipped, 1);
	drop();
}

static void flags_that_the_options_forbid_are_refused_by_both_sides(void)
{
	for (uint32_t options = 0; options < 2 * IPK_SPSC_DROPS; options++) {
		uint32_t allowed = (options & IPK_SPSC_PARTS ? IPK_SPSC_MORE | IPK_SPSC_REST : 0) |
				   (options & IPK_SPSC_FILES ? IPK_SPSC_FILE : 0);
		struct ipk_spsc *second;

		make_with(options);
		second = attached();
		CHECK_EQ(stat_of(second).options, options);
		for (uint32_t flags = 1; flags <= 2 * all_flags; flags++) {
			uint64_t header = (uint64_t)flags << 32 | 4;
			struct ipk_spsc_part lent;
			int forbidden = (flags & ~allowed) != 0;

			CHECK_EQ(ipk_spsc_try_send_part(&ring, "part", 4, flags, 4), forbidden ? -EINVAL : 0);
			if (forbidden)
				CHECK_EQ(send_number(&ring, 0, 4), 0);
			/* as a hostile producer would have it */
			memcpy(ring.data + (stat_of(&ring).head & ring.mask), &header, sizeof(header));
			CHECK_EQ(ipk_spsc_try_receive(second), forbidden ? -EBADMSG : -EOVERFLOW);
			CHECK_EQ(ipk_spsc_try_receive_part(second, &lent), forbidden ? -EBADMSG : 0);
			if (forbidden) {
				header = 4;
				memcpy(ring.data + (stat_of(&ring).head & ring.mask), &header, sizeof(header));
				CHECK_EQ(ipk_spsc_try_receive_part(second, &lent), 0);
			}
			CHECK_EQ(ipk_spsc_release(second), 0);
		}
		detach(second);
		drop();
	}
	memset(&ring, 0, sizeof(ring));
	CHECK_EQ(ipk_spsc_create(&ring, NULL, CAPACITY, 2 * IPK_SPSC_DROPS, 0600), -EINVAL);
}

static void another_layout_or_unknown_options_are_refused(void)
{
	struct ipk_spsc view;

	make(CAPACITY);
	for (uint64_t layout = 0; layout < 5; layout++) {
		ring.shm->layout = layout;
		memset(&view, 0, sizeof(view));
		CHECK_EQ(ipk_spsc_attach(&view, dup(ring.segment.fd)), layout == IPK_SPSC_LAYOUT ? 0 : -EPROTO);
		ipk_spsc_unmap(&view);
	}
	ring.shm->layout = CAPACITY; /* where the first layout had the capacity */
	memset(&view, 0, sizeof(view));
	CHECK_EQ(ipk_spsc_attach(&view, dup(ring.segment.fd)), -EPROTO);
	ring.shm->layout = IPK_SPSC_LAYOUT;
	ring.shm->options = 2 * IPK_SPSC_DROPS;
	memset(&view, 0, sizeof(view));
	CHECK_EQ(ipk_spsc_attach(&view, dup(ring.segment.fd)), -EPROTO);
	drop();
}

int main(void)
{
	prepare();
	RUN(reserved_room_is_a_message_when_committed);
	RUN(aborted_room_never_was);
	RUN(received_into_a_buffer_if_it_fits);
	RUN(parts_come_as_parts_and_count_as_one_message);
	RUN(what_nobody_receives_is_counted);
	RUN(flags_that_the_options_forbid_are_refused_by_both_sides);
	RUN(another_layout_or_unknown_options_are_refused);
	return 0;
}
