/* broadcast.h: messages that are longer than half of the ring, in parts or in files. */
#include "broadcast.h"

#define PART 900
#define PARTS (IPK_BROADCAST_BLOCK | IPK_BROADCAST_PARTS)
#define FIRST IPK_BROADCAST_MORE
#define MIDDLE (IPK_BROADCAST_MORE | IPK_BROADCAST_REST)
#define LAST IPK_BROADCAST_REST

static int send_part(struct ipk_broadcast *view, uint64_t number, uint32_t flags)
{
	uint32_t amid = 7;
	int rc = ipk_broadcast_try_send_part(view, content(number), PART, flags, 3 * PART, &amid);

	CHECK_EQ(amid, rc < 0 ? 7 : !!(flags & IPK_BROADCAST_MORE));
	return rc;
}

/* Pass the next record, which is to be that part. */
static void receive_part(struct ipk_broadcast *view, uint64_t number, uint32_t flags)
{
	struct ipk_broadcast_part part = {0};

	CHECK_EQ(receive_any(view), -EOVERFLOW);
	CHECK_EQ(ipk_broadcast_next_length(view), -EOVERFLOW);
	CHECK_EQ(ipk_broadcast_try_part(view, &part), 0);
	CHECK_EQ(part.taken, 1);
	CHECK_EQ(part.flags, flags);
	CHECK_EQ(part.length, PART);
	CHECK(memcmp((unsigned char *)ipk_broadcast_data(view) + part.offset, content(number), PART) == 0);
	CHECK_EQ(receive_any(view), -EALREADY);
	CHECK_EQ(ipk_broadcast_pass_part(view, &part, flags == LAST ? 3 * PART : -1), 0);
	CHECK_EQ(part.taken, 0);
	CHECK_EQ(ipk_broadcast_pass_part(view, &part, -1), -EINVAL);
}

static void choices(void)
{
	static const uint32_t bad[] = {IPK_BROADCAST_OVERWRITE | IPK_BROADCAST_PARTS, IPK_BROADCAST_DISCONNECT | IPK_BROADCAST_PARTS,
				       IPK_BROADCAST_PARTS | IPK_BROADCAST_FILES, 3 | IPK_BROADCAST_FILES, 16};
	uint32_t amid = 0;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK_EQ(ipk_broadcast_create(&ring, NULL, CAPACITY, bad[i], 1, 0600), -EINVAL);
	make(IPK_BROADCAST_BLOCK);
	CHECK_EQ(stat_of(&ring).oversize, 0);
	CHECK_EQ(send_part(&ring, 0, FIRST), -EINVAL);
	drop();
	make(PARTS);
	CHECK_EQ(stat_of(&ring).oversize, IPK_BROADCAST_PARTS);
	CHECK_EQ(stat_of(&ring).policy, IPK_BROADCAST_BLOCK);
	CHECK_EQ(send_part(&ring, 0, IPK_BROADCAST_FILE), -EINVAL);
	CHECK_EQ(send_part(&ring, 0, LAST), -EPERM);
	CHECK_EQ(ipk_broadcast_end_parts(&ring), -EINVAL);
	CHECK_EQ(ipk_broadcast_try_send_part(&ring, bytes, LARGEST + 1, FIRST, LARGEST + 1, &amid), -EMSGSIZE);
	drop();
}

static void parts_are_one_message(void)
{
	struct ipk_broadcast *reader, *other;

	make(PARTS);
	reader = reader_of(0, 0);
	other = attached();
	CHECK_EQ(send_part(&ring, 0, FIRST), 0);
	CHECK_EQ(send_part(&ring, 1, MIDDLE), 0);
	CHECK_EQ(send_number(&ring, 9, 8), -EBUSY);
	CHECK_EQ(send_number(other, 9, 8), -EAGAIN);
	CHECK_EQ(ipk_broadcast_wait_room(other, 8, 0), -ETIME);
	receive_part(reader, 0, FIRST);
	receive_part(reader, 1, MIDDLE);
	CHECK_EQ(receive_any(reader), -EAGAIN);
	CHECK_EQ(stat_of(reader).received, 0);
	CHECK_EQ(send_part(&ring, 2, LAST), 0);
	CHECK_EQ(send_number(other, 9, 8), 0);
	CHECK_EQ(stat_of(reader).depth, 2);
	receive_part(reader, 2, LAST);
	receive_number(reader, 9, 8);
	CHECK_EQ(stat_of(reader).sent, 2);
	CHECK_EQ(stat_of(reader).bytes_sent, 3 * PART + 8);
	CHECK_EQ(stat_of(reader).received, 2);
	CHECK_EQ(stat_of(reader).bytes_received, 3 * PART + 8);
	detach(other);
	detach(reader);
	drop();
}

/* Amid a message the writer waits for room, and keeps the lock. */
static void a_part_waits_for_room(void)
{
	struct ipk_broadcast *reader;

	make(PARTS);
	reader = reader_of(0, 0);
	CHECK_EQ(send_part(&ring, 0, FIRST), 0);
	for (uint64_t i = 1; i < 4; i++)
		CHECK_EQ(send_part(&ring, i, MIDDLE), 0);
	CHECK_EQ(send_part(&ring, 4, MIDDLE), -EAGAIN);
	CHECK_EQ(wait_room(&ring, PART, ipk_monotonic_ns() + MS), -ETIMEDOUT);
	receive_part(reader, 0, FIRST);
	receive_part(reader, 1, MIDDLE);
	CHECK_EQ(wait_room(&ring, PART, ipk_monotonic_ns() + MS), 0);
	CHECK_EQ(send_part(&ring, 4, LAST), 0);
	for (uint64_t i = 2; i < 4; i++)
		receive_part(reader, i, MIDDLE);
	receive_part(reader, 4, LAST);
	detach(reader);
	drop();
}

static void what_is_given_up_has_no_number(void)
{
	struct ipk_broadcast *reader, *late;

	make(PARTS);
	reader = reader_of(0, 0);
	CHECK_EQ(send_part(&ring, 0, FIRST), 0);
	CHECK_EQ(send_part(&ring, 1, MIDDLE), 0);
	CHECK_EQ(ipk_broadcast_end_parts(&ring), 0);
	CHECK_EQ(ipk_broadcast_end_parts(&ring), -EINVAL);
	late = reader_of(9, 0);
	CHECK_EQ(send_number(&ring, 2, 8), 0);
	receive_number(late, 2, 8);
	CHECK_EQ(ipk_broadcast_subscribe(late, 9), 1);
	receive_number(late, 2, 8);
	receive_part(reader, 0, FIRST);
	receive_part(reader, 1, MIDDLE);
	receive_number(reader, 2, 8);
	CHECK_EQ(stat_of(&ring).sent, 1);
	CHECK_EQ(stat_of(&ring).lost, 0);
	detach(late);
	detach(reader);
	drop();
}

static void history_begins_with_a_first_part(void)
{
	struct ipk_broadcast *late;

	make(PARTS);
	CHECK_EQ(send_number(&ring, 5, 8), 0);
	CHECK_EQ(send_part(&ring, 0, FIRST), 0);
	CHECK_EQ(send_part(&ring, 1, LAST), 0);
	CHECK_EQ(send_number(&ring, 6, 8), 0);
	late = reader_of(2, 2);
	receive_part(late, 0, FIRST);
	CHECK_EQ(ipk_broadcast_subscribe(late, 3), 3);
	receive_number(late, 5, 8);
	receive_part(late, 0, FIRST);
	receive_part(late, 1, LAST);
	receive_number(late, 6, 8);
	/* the beginning is overwritten */
	CHECK_EQ(send_part(&ring, 0, FIRST), 0);
	for (uint64_t i = 1; i < 4; i++) {
		CHECK_EQ(ipk_broadcast_unsubscribe(late), i == 1);
		CHECK_EQ(send_part(&ring, i, i < 3 ? MIDDLE : LAST), 0);
	}
	CHECK_EQ(send_number(&ring, 7, 1500), 0);
	CHECK_EQ(ipk_broadcast_subscribe(late, 9), 1);
	receive_number(late, 7, 1500);
	detach(late);
	drop();
}

static void die_amid(void *view)
{
	CHECK_EQ(send_part(view, 0, FIRST), 0);
	CHECK_EQ(send_part(view, 1, MIDDLE), 0);
	atomic_store(checkpoint, 1);
	pause();
}

static void a_writer_that_dies_amid_a_message_leaves_nothing_to_repair(void)
{
	struct ipk_broadcast *reader;
	pid_t pid;

	make(PARTS);
	reader = reader_of(0, 0);
	pid = start(die_amid, &ring);
	while (atomic_load(checkpoint) == 0)
		usleep(100);
	kill_child(pid);
	CHECK_EQ(send_patiently(&ring, content(3), 8), 0);
	CHECK_EQ(stat_of(&ring).recoveries, 1);
	receive_part(reader, 0, FIRST);
	receive_part(reader, 1, MIDDLE);
	receive_number(reader, 3, 8);
	CHECK_EQ(stat_of(&ring).sent, 1);
	detach(reader);
	drop();
}

static void a_part_on_loan(void)
{
	struct ipk_broadcast_part part = {0};
	struct ipk_broadcast *reader;

	make(PARTS);
	reader = reader_of(0, 0);
	CHECK_EQ(send_part(&ring, 0, FIRST), 0);
	CHECK_EQ(send_part(&ring, 1, LAST), 0);
	receive_part(reader, 0, FIRST);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(ipk_broadcast_try_part(reader, &part), 0);
		CHECK_EQ(ipk_broadcast_return_part(reader, &part), 0);
		CHECK_EQ(ipk_broadcast_try_part(reader, &part), 0);
		CHECK_EQ(ipk_broadcast_lend_part(reader, &part, 2 * PART), 0);
		CHECK_EQ(part.taken, 2);
		CHECK_EQ(ipk_broadcast_return_part(reader, &part), -EINVAL);
		CHECK_EQ(receive_any(reader), -EBUSY);
		CHECK_EQ(i ? ipk_broadcast_release(reader) : ipk_broadcast_return_loan(reader), 0);
	}
	CHECK_EQ(receive_any(reader), -EAGAIN);
	CHECK_EQ(stat_of(reader).received, 1);
	CHECK_EQ(stat_of(reader).bytes_received, 2 * PART);
	detach(reader);
	drop();
}

static void files(uint32_t policy)
{
	static const uint64_t told[3] = {11, 22, 33};
	struct ipk_broadcast_claim claim = {0};
	struct ipk_broadcast_part part = {0};
	struct ipk_broadcast *reader;
	uint64_t room = CAPACITY / 8 - IPK_BROADCAST_RECORD_HEADER;
	uint64_t position;

	make(policy | IPK_BROADCAST_FILES);
	reader = reader_of(0, 0);
	CHECK_EQ(ipk_broadcast_forsaken(reader, 0), 1);
	CHECK_EQ(ipk_broadcast_try_reserve(&ring, room, &claim), 0);
	position = claim.position;
	CHECK_EQ(position, 0);
	CHECK_EQ(ipk_broadcast_forsaken(reader, position), 0);
	CHECK_EQ(ipk_broadcast_forsaken(&ring, position), 0);
	memcpy(ring.data + claim.offset, told, sizeof(told));
	CHECK_EQ(ipk_broadcast_commit_part(&ring, room, IPK_BROADCAST_FILE, 5000, &claim), 0);
	CHECK_EQ(claim.taken, 0);
	CHECK_EQ(ipk_broadcast_forsaken(reader, position), 0);
	CHECK_EQ(receive_any(reader), -EOVERFLOW);
	CHECK_EQ(ipk_broadcast_try_part(reader, &part), 0);
	CHECK_EQ(part.flags, IPK_BROADCAST_FILE);
	CHECK_EQ(part.position, position);
	CHECK(memcmp(part.file, told, sizeof(told)) == 0);
	if (policy != IPK_BROADCAST_BLOCK)
		CHECK_EQ(ipk_broadcast_lend_part(reader, &part, 5000), -EINVAL);
	CHECK_EQ(ipk_broadcast_pass_part(reader, &part, 5000), 0);
	CHECK_EQ(stat_of(&ring).bytes_sent, 5000);
	CHECK_EQ(stat_of(&ring).bytes_received, 5000);
	for (uint64_t i = 0; i < 40; i++) {
		CHECK_EQ(send_number(&ring, i, 200), 0);
		receive_number(reader, i, 200);
	}
	CHECK_EQ(ipk_broadcast_forsaken(reader, position), 1);
	CHECK_EQ(ipk_broadcast_alone(reader), 0);
	ipk_broadcast_close(&ring);
	CHECK_EQ(ipk_broadcast_forsaken(&ring, position), 1);
	CHECK_EQ(ipk_broadcast_forsaken(&ring, UINT64_C(1) << 40), 1);
	ipk_broadcast_close(reader);
	CHECK_EQ(ipk_broadcast_alone(reader), 1);
	detach(reader);
	ipk_broadcast_unmap(&ring);
}

static void records_that_tell_of_files(void)
{
	for (uint32_t policy = IPK_BROADCAST_BLOCK; policy <= IPK_BROADCAST_DISCONNECT; policy++)
		files(policy);
}

static void die_before_the_commit(void *view)
{
	struct ipk_broadcast_claim claim = {0};

	CHECK_EQ(ipk_broadcast_try_reserve(view, 100, &claim), 0);
	atomic_store(checkpoint, 1);
	pause();
}

static void a_file_whose_writer_died_is_forsaken(void)
{
	pid_t pid;

	make(IPK_BROADCAST_FILES);
	pid = start(die_before_the_commit, &ring);
	while (atomic_load(checkpoint) == 0)
		usleep(100);
	CHECK_EQ(ipk_broadcast_forsaken(&ring, 0), 0);
	kill_child(pid);
	CHECK_EQ(ipk_broadcast_forsaken(&ring, 0), 1);
	CHECK_EQ(ipk_broadcast_alone(&ring), 1);
	drop();
}

int main(void)
{
	prepare();
	RUN(choices);
	RUN(parts_are_one_message);
	RUN(a_part_waits_for_room);
	RUN(what_is_given_up_has_no_number);
	RUN(history_begins_with_a_first_part);
	RUN(a_writer_that_dies_amid_a_message_leaves_nothing_to_repair);
	RUN(a_part_on_loan);
	RUN(records_that_tell_of_files);
	RUN(a_file_whose_writer_died_is_forsaken);
	return 0;
}
