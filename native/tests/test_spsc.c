/* spsc.h: the edges of the ring, one process alone. */
#include <sys/stat.h>
#include <unistd.h>

#include "ring.h"

static void capacity_bounds(void)
{
	const uint64_t bad[] = {0, 1, 2048, 4095, 4097, 12288, (UINT64_C(1) << 31) + 4096, UINT64_C(1) << 32, UINT64_MAX};
	int descriptors = open_descriptors();

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&ring, 0, sizeof(ring));
		CHECK_EQ(ipk_spsc_create(&ring, NULL, bad[i], 0, 0600), -EINVAL);
		drop();
	}
	CHECK_EQ(open_descriptors(), descriptors);
	make(IPK_SPSC_MIN_CAPACITY);
	CHECK_EQ(ipk_spsc_capacity(&ring), IPK_SPSC_MIN_CAPACITY);
	drop();
	CHECK_EQ(ipk_spsc_capacity(&ring), 0);
	CHECK_EQ(ipk_spsc_fd(&ring), -1);
}

static void largest_capacity(void)
{
	uint64_t bounds[2];
	int rc;

	memset(&ring, 0, sizeof(ring));
	rc = ipk_spsc_create(&ring, NULL, IPK_SPSC_MAX_CAPACITY, 0, 0600);
	if (rc == -ENOMEM || rc == -ENOSPC) {
		puts("    skipped: no 2 GiB to spare");
		return;
	}
	CHECK_EQ(rc, 0);
	start_at(IPK_SPSC_MAX_CAPACITY - IPK_SPSC_RECORD_HEADER); /* the record header is the ring's last word */
	CHECK_EQ(send_number(&ring, 1, 100), 0);
	CHECK_EQ(ipk_spsc_try_receive_many(&ring, bounds, 1), 1);
	CHECK_EQ(bounds[1] - bounds[0], 100);
	CHECK_EQ(ipk_spsc_return_loan(&ring), 0);
	receive_number(&ring, 1, 100);
	drop();
}

static void exact_fit_at_each_offset(void)
{
	make(CAPACITY);
	for (uint64_t offset = 0; offset < CAPACITY; offset += 8) {
		for (uint64_t length = LARGEST - 7; length <= LARGEST; length++) {
			CHECK_EQ(send_number(&ring, offset + length, length), 0);
			CHECK_EQ(stat_of(&ring).used, CAPACITY);
			CHECK_EQ(send_number(&ring, 0, 0), -EAGAIN);
			receive_number(&ring, offset + length, length);
			CHECK_EQ(ipk_spsc_try_receive(&ring), -EAGAIN);
		}
		CHECK_EQ(send_number(&ring, 0, 0), 0);
		receive_number(&ring, 0, 0);
	}
	drop();
}

static void every_length_wraps_at_each_offset(void)
{
	make(CAPACITY);
	for (uint64_t length = 0; length <= 200; length++) {
		for (uint64_t i = 0; i < CAPACITY / 8 / (1 + (length + 7) / 8) + 2; i++) {
			CHECK_EQ(send_number(&ring, i, length), 0);
			receive_number(&ring, i, length);
		}
	}
	drop();
}

static void too_long_is_refused_for_ever(void)
{
	struct ipk_slice slices[2] = {{content(1), 10}, {content(2), LARGEST + 1}};

	make(CAPACITY);
	for (uint64_t length = LARGEST + 1; length < LARGEST + 20; length++)
		CHECK_EQ(send_number(&ring, 0, length), -EMSGSIZE);
	CHECK_EQ(ipk_spsc_try_send(&ring, bytes, UINT64_MAX), -EMSGSIZE);
	CHECK_EQ(ipk_spsc_wait_room(&ring, LARGEST + 1, IPK_NEVER), -EMSGSIZE);
	CHECK_EQ(ipk_spsc_wait_room(&ring, UINT64_MAX, IPK_NEVER), -EMSGSIZE);
	CHECK_EQ(ipk_spsc_try_send_many(&ring, slices + 1, 1), -EMSGSIZE);
	CHECK_EQ(ipk_spsc_try_send_many(&ring, slices, 2), 1);
	receive_number(&ring, 1, 10);
	CHECK_EQ(stat_of(&ring).used, 0);
	drop();
}

static void empty_messages(void)
{
	make(CAPACITY);
	CHECK_EQ(ipk_spsc_try_send(&ring, NULL, 0), 0);
	CHECK_EQ(ipk_spsc_try_send(&ring, bytes, 0), 0);
	for (int i = 0; i < 2; i++)
		receive_number(&ring, 0, 0);
	CHECK_EQ(ipk_spsc_try_receive(&ring), -EAGAIN);
	drop();
}

static void full_is_not_empty(void)
{
	make(CAPACITY);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < CAPACITY / 8; i++)
			CHECK_EQ(send_number(&ring, 0, 0), 0);
		CHECK_EQ(send_number(&ring, 0, 0), -EAGAIN);
		CHECK_EQ(stat_of(&ring).used, CAPACITY);
		for (int i = 0; i < CAPACITY / 8; i++)
			receive_number(&ring, 0, 0);
		CHECK_EQ(ipk_spsc_try_receive(&ring), -EAGAIN);
		CHECK_EQ(stat_of(&ring).used, 0);
	}
	CHECK_EQ(stat_of(&ring).sent, 3 * CAPACITY / 8);
	CHECK_EQ(stat_of(&ring).received, 3 * CAPACITY / 8);
	drop();
}

/* Random lengths against a queue of numbers, singly and in batches, with loans that are returned. */
static void against_a_model(uint64_t *seed, int steps)
{
	static struct {
		uint64_t number, length;
	} model[CAPACITY / 8];
	uint64_t first = 0, last = 0, used = 0;

	for (int step = 0; step < steps; step++) {
		uint64_t limit = random_below(seed, 8) == 0 ? LARGEST : 300;
		uint32_t count = 1 + (uint32_t)random_below(seed, 6);
		struct ipk_slice slices[6];
		uint64_t bounds[12];
		int64_t rc, fit = 0;

		if (random_below(seed, 2)) {
			for (uint32_t i = 0; i < count; i++)
				slices[i] = (struct ipk_slice){content(last + i), random_below(seed, limit + 1)};
			rc = count == 1 ? ipk_spsc_try_send(&ring, slices[0].data, slices[0].length)
					: ipk_spsc_try_send_many(&ring, slices, count);
			for (; fit < count; fit++) {
				uint64_t size = 8 + ((slices[fit].length + 7) & ~UINT64_C(7));

				if (used + size > CAPACITY)
					break;
				used += size;
				model[last % (CAPACITY / 8)].number = last;
				model[last++ % (CAPACITY / 8)].length = slices[fit].length;
			}
			CHECK_EQ(rc, fit == 0 ? -EAGAIN : count == 1 ? 0 : fit);
		} else {
			rc = ipk_spsc_try_receive_many(&ring, bounds, count);
			for (uint64_t at = 0; fit < count && first + (uint64_t)fit < last && at < CAPACITY / 8; fit++)
				at += 8 + ((model[(first + (uint64_t)fit) % (CAPACITY / 8)].length + 7) & ~UINT64_C(7));
			CHECK_EQ(rc, fit == 0 ? -EAGAIN : fit);
			for (int64_t i = 0; i < fit; i++) {
				uint64_t number = model[(first + (uint64_t)i) % (CAPACITY / 8)].number;
				uint64_t length = model[(first + (uint64_t)i) % (CAPACITY / 8)].length;

				CHECK_EQ(bounds[2 * i + 1] - bounds[2 * i], length);
				CHECK(memcmp((unsigned char *)ipk_spsc_data(&ring) + bounds[2 * i], content(number), length) == 0);
			}
			if (random_below(seed, 4) == 0) {
				CHECK_EQ(ipk_spsc_return_loan(&ring), 0);
				continue;
			}
			CHECK_EQ(ipk_spsc_release(&ring), 0);
			for (int64_t i = 0; i < fit; i++)
				used -= 8 + ((model[first++ % (CAPACITY / 8)].length + 7) & ~UINT64_C(7));
		}
		CHECK_EQ(stat_of(&ring).used, used);
		CHECK_EQ(stat_of(&ring).sent - stat_of(&ring).received, last - first);
	}
}

static void random_lengths_against_a_model(void)
{
	uint64_t seed = random_seed();

	make(CAPACITY);
	against_a_model(&seed, 200000);
	drop();
}

static void positions_pass_every_power_of_two(void)
{
	const uint64_t positions[] = {UINT64_C(1) << 31, UINT64_C(1) << 32, UINT64_C(1) << 63, 0};
	uint64_t seed = random_seed();

	for (size_t i = 0; i < sizeof(positions) / sizeof(positions[0]); i++) {
		make(CAPACITY);
		start_at(positions[i] - 20 * CAPACITY);
		against_a_model(&seed, 5000);
		CHECK((int64_t)(atomic_load(&ring.shm->tail.position) - positions[i]) > 0);
		drop();
	}
}

static void named_rings(void)
{
	struct ipk_spsc *second;
	char name[NAME_SIZE];
	mode_t mask = umask(0777);
	struct stat st;

	fresh_name(name);
	memset(&ring, 0, sizeof(ring));
	CHECK_EQ(ipk_spsc_create(&ring, name, CAPACITY, 0, 0640), 0);
	umask(mask);
	CHECK_EQ(stat(name, &st), 0);
	CHECK_EQ(st.st_mode & 07777, 0640);
	second = blank_view();
	CHECK_EQ(ipk_spsc_create(second, name, CAPACITY, 0, 0600), -EEXIST);
	CHECK_EQ(ipk_spsc_attach(second, open(name, O_RDWR | O_CLOEXEC)), 0);
	CHECK_EQ(send_number(second, 5, 50), 0);
	receive_number(&ring, 5, 50);
	unlink(name);
	CHECK_EQ(send_number(second, 6, 60), 0); /* a name removed disturbs nobody who has it */
	receive_number(&ring, 6, 60);
	detach(second);
	drop();
}

static void foreign_geometry_is_refused(void)
{
	const uint64_t capacities[] = {0, CAPACITY / 2, CAPACITY + 8, 2 * CAPACITY, UINT64_MAX};
	int descriptors = open_descriptors();
	int maps = mappings();

	for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
		struct ipk_spsc view;

		make(CAPACITY);
		ring.shm->capacity = capacities[i];
		memset(&view, 0, sizeof(view));
		CHECK_EQ(ipk_spsc_attach(&view, dup(ring.segment.fd)), -EPROTO);
		drop();
	}
	CHECK_EQ(open_descriptors(), descriptors);
	CHECK_EQ(mappings(), maps);
}

int main(void)
{
	prepare();
	RUN(capacity_bounds);
	RUN(largest_capacity);
	RUN(exact_fit_at_each_offset);
	RUN(every_length_wraps_at_each_offset);
	RUN(too_long_is_refused_for_ever);
	RUN(empty_messages);
	RUN(full_is_not_empty);
	RUN(random_lengths_against_a_model);
	RUN(positions_pass_every_power_of_two);
	RUN(named_rings);
	RUN(foreign_geometry_is_refused);
	return 0;
}
