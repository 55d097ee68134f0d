/* Fuzzing of rings (fuzz.h): the content of the input is a whole file, to which two views are attached. */
#include <stdio.h>
#include <stdlib.h>

#include "fuzz_rings.h"

#define CALLS 32
#define CLOSE_SLICES 4

static const struct fuzz_ring *const rings[FUZZ_RING_KINDS] = {
	[FUZZ_SPSC] = &fuzz_spsc,
	[FUZZ_LATEST] = &fuzz_latest,
	[FUZZ_MPMC] = &fuzz_mpmc,
	[FUZZ_BROADCAST] = &fuzz_broadcast,
};
static unsigned char ours[2 * FUZZ_ROOM];

const void *fuzz_sent(void)
{
	return ours;
}

void *fuzz_room(size_t size)
{
	if (size > sizeof(ours))
		abort();
	return ours + sizeof(ours) - size;
}

static void check_place(uint64_t size, uint64_t offset, uint64_t length)
{
	if (offset > size || length > size - offset || length > sizeof(ours)) {
		fprintf(stderr, "fuzz_sync: given %llu bytes at %llu of %llu\n", (unsigned long long)length,
			(unsigned long long)offset, (unsigned long long)size);
		abort();
	}
}

void fuzz_read(const void *data, uint64_t size, uint64_t offset, uint64_t length)
{
	check_place(size, offset, length);
	memcpy(fuzz_room(length), (const unsigned char *)data + offset, length);
}

void fuzz_fill(void *data, uint64_t size, uint64_t offset, uint64_t length)
{
	check_place(size, offset, length);
	memset((unsigned char *)data + offset, 0x5A, length);
}

uint64_t fuzz_length(const struct fuzz_step *step)
{
	switch (step->value >> 14) {
	case 0:
		return step->value % 64;
	case 1:
		return 1000 + step->value % 64;
	case 2:
		return 4000 + step->value % 128;
	default:
		return step->value % sizeof(ours);
	}
}

/* What fork(2) leaves of a view in the child: the pages that the kernel wipes. */
static void wipe(int view)
{
	for (int i = 2 * view; i < 2 * view + 2; i++)
		if (fuzz_pages[i])
			atomic_store(fuzz_pages[i], 0);
}

static void open_pages(const struct fuzz_ring *ring, int view)
{
	struct ipk_member *member = ring->member(view);

	fuzz_pages[2 * view] = ring->segment(view)->same_process;
	fuzz_pages[2 * view + 1] = member ? member->id : NULL;
}

static void rob(const struct fuzz_ring *ring, int view, const struct fuzz_step *step)
{
	struct ipk_member *member = ring->member(view);
	struct ipk_segment *segment = ring->segment(view);

	if (segment->base)
		fuzz_rob(view, member ? member->life_fd : segment->life_fd, segment->fd, step);
}

/* Attach the next view; some call of the kernel may fail. */
static int attach(const struct fuzz_ring *ring, int view, const struct fuzz_setting *setting)
{
	int fd = fuzz_duplicate_file();
	int rc;

	fuzz_refuse(setting->options / FUZZ_REFUSED, setting->cut);
	rc = ring->attach(view, fd);
	fuzz_refuse(0, 0);
	return rc;
}

static void close_view(const struct fuzz_ring *ring, int view)
{
	static const struct fuzz_step step = {0, 0, 0, 0, 0, 0};

	FUZZ_SLOW_CALL(&step, CLOSE_SLICES, (ring->close(view), 0));
	FUZZ_SLOW_CALL(&step, CLOSE_SLICES, (ring->unmap(view), 0));
}

/* Where the peer writes: anywhere in the file, or behind the header. Both are where calls may sleep: each view's mapping. */
static void open_ranges(const struct fuzz_ring *ring, int views)
{
	const struct ipk_segment *first = ring->segment(0), *second = ring->segment(views - 1);

	fuzz_object = (struct fuzz_range){first->base, (size_t)first->size};
	fuzz_side = (struct fuzz_range){second->base + IPK_SEGMENT_HEADER, (size_t)second->size - IPK_SEGMENT_HEADER};
}

static void make_step(const struct fuzz_ring *ring, int view, const struct fuzz_step *step)
{
	fuzz_next_id = view ? FUZZ_SECOND : FUZZ_FIRST;
	switch (step->call % CALLS) {
	case FUZZ_ROBS:
		rob(ring, view, step);
		break;
	case FUZZ_FORKS:
		wipe(view);
		break;
	case FUZZ_CLOSES:
		FUZZ_SLOW_CALL(step, CLOSE_SLICES, (ring->close(view), 0));
		fuzz_closed |= 1U << view;
		break;
	default:
		ring->call(view, step);
		break;
	}
}

void fuzz_on_ring(const struct fuzz_script *script)
{
	const struct fuzz_ring *ring = rings[script->setting->kind % FUZZ_RING_KINDS];
	int64_t spin = script->setting->options & FUZZ_SPINS ? IPK_SPIN_DEFAULT_NS : 0;
	struct fuzz_range side = fuzz_side;
	int views = 0;

	fuzz_fill_file(script);
	fuzz_mapping = 1;
	while (views < FUZZ_VIEWS && attach(ring, views, script->setting) == 0)
		ring->set_spin(views++, spin);
	if (views == 0)
		return;
	open_ranges(ring, views);
	for (int view = 0; view < views; view++)
		open_pages(ring, view);
	for (size_t i = 0; i < script->count; i++) {
		struct fuzz_step step = fuzz_step_of(script, i);

		make_step(ring, step.argument >> 7 ? views - 1 : 0, &step);
	}
	memset(fuzz_pages, 0, sizeof(fuzz_pages));
	for (int view = 0; view < views; view++)
		close_view(ring, view);
	fuzz_side = side;
	fuzz_end_views();
}
