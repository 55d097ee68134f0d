/* Fuzzing of whole files: segments with an object of synchronisation in them, and rings (fuzz.h). */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "ipckit/spsc.h"

#define PAGE 4096
#define SLICES 3
#define FILE_MOST (IPK_SEGMENT_HEADER + FUZZ_ROOM)

static int file;
static struct stat file_stat;

void fuzz_open_file(void)
{
	file = fuzz_memory_file(FILE_MOST, &file_stat);
}

/* Make the other file what the script says. Returns its size. */
static size_t fill_file(const struct fuzz_script *script)
{
	static unsigned char bytes[FILE_MOST];
	size_t size = script->setting->lines * (size_t)16 % (FILE_MOST + 16);
	size_t length = script->length < size ? script->length : size;

	memcpy(bytes, script->content, length);
	fuzz_localise(bytes, length, file_stat.st_dev, file_stat.st_ino);
	if (ftruncate(file, 0) < 0 || ftruncate(file, (off_t)size) < 0 ||
	    pwrite(file, bytes, length, 0) != (ssize_t)length)
		fuzz_fails("file");
	return size;
}

/* Pages without access around a mapping, where there is still nothing. */
static unsigned char *guards[2];

static void guard(unsigned char *base, size_t size)
{
	unsigned char *at[2] = {base - PAGE, base + (size + PAGE - 1) / PAGE * PAGE};

	for (int i = 0; i < 2; i++) {
		guards[i] = mmap(at[i], PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (guards[i] == MAP_FAILED)
			guards[i] = NULL;
	}
}

static void unguard(void)
{
	for (int i = 0; i < 2; i++)
		if (guards[i])
			munmap(guards[i], PAGE);
}

static int duplicate(void)
{
	int fd = fcntl(file, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		fuzz_fails("dup");
	return fd;
}

void fuzz_on_segment(const struct fuzz_script *script)
{
	struct ipk_segment_info info;
	struct ipk_participant_info who;
	struct ipk_home home;
	size_t size = fill_file(script);
	size_t rest = (PAGE - size % PAGE) % PAGE;
	unsigned char *place;

	ipk_segment_inspect(file, &info);
	ipk_segment_participant(file, script->setting->cut, &who);
	memset(&home, 0, sizeof(home));
	if (ipk_home_attach(&home, duplicate()) < 0)
		return;
	place = ipk_home_place(&home);
	if (place + ipk_home_room(&home) != home.segment.base + size)
		abort();
	guard(home.segment.base, size);
	fuzz_next_id = FUZZ_FIRST;
	ASAN_POISON_MEMORY_REGION(home.segment.base + size, rest);
	fuzz_run(script, place, ipk_home_room(&home), ipk_home_member(&home), ipk_home_member(&home));
	ASAN_UNPOISON_MEMORY_REGION(home.segment.base + size, rest);
	fuzz_next_id = 0;
	unguard();
	ipk_home_close(&home);
}

static void call_ring(struct ipk_spsc *ring, const struct fuzz_step *step)
{
	static unsigned char scratch[2 * FUZZ_ROOM];
	const struct ipk_slice slices[SLICES] = {{scratch, step->value % 100}, {scratch, 0}, {scratch, step->argument}};
	struct ipk_spsc_stat stat;
	uint64_t bounds[16];
	int64_t lent;

	switch (step->call % 6) {
	case 0:
		FUZZ_CALL(step, ipk_spsc_try_send(ring, scratch, step->value % sizeof(scratch)));
		FUZZ_CALL(step, ipk_spsc_try_send_many(ring, slices, 1 + step->argument % SLICES));
		break;
	case 1: {
		fuzz_enter(step);
		lent = fuzz_left("ipk_spsc_try_receive", ipk_spsc_try_receive(ring), 1);
		if (lent >= 0) {
			memcpy(scratch, (unsigned char *)ipk_spsc_data(ring) + (lent >> 32), (size_t)(lent & UINT32_MAX));
			FUZZ_CALL(step, step->argument & 1 ? ipk_spsc_release(ring) : ipk_spsc_return_loan(ring));
		}
		break;
	}
	case 2: {
		fuzz_enter(step);
		lent = fuzz_left("ipk_spsc_try_receive_many", ipk_spsc_try_receive_many(ring, bounds, 8), 1);
		for (int64_t i = 0; i < lent; i++)
			memcpy(scratch, (unsigned char *)ipk_spsc_data(ring) + bounds[2 * i], bounds[2 * i + 1] - bounds[2 * i]);
		if (lent > 0)
			FUZZ_CALL(step, ipk_spsc_release(ring));
		break;
	}
	case 3:
		FUZZ_CALL(step, ipk_spsc_wait_message(ring, deadline));
		break;
	case 4:
		FUZZ_CALL(step, ipk_spsc_wait_room(ring, step->value, deadline));
		break;
	default:
		FUZZ_CALL(step, ipk_spsc_stat(ring, &stat));
		break;
	}
}

void fuzz_on_ring(const struct fuzz_script *script)
{
	static struct ipk_spsc ring;

	fill_file(script);
	memset(&ring, 0, sizeof(ring));
	if (ipk_spsc_attach(&ring, duplicate()) < 0)
		return;
	guard(ring.segment.base, ring.segment.mapped);
	fuzz_object = (struct fuzz_range){ring.segment.base, (size_t)ring.segment.size};
	fuzz_side.size = 0;
	ipk_spsc_set_spin(&ring, script->setting->options & FUZZ_SPINS ? IPK_SPIN_DEFAULT_NS : 0);
	for (size_t i = 0; i < script->count; i++) {
		struct fuzz_step step = fuzz_step_of(script, i);

		call_ring(&ring, &step);
	}
	unguard();
	ipk_spsc_close(&ring);
	ipk_spsc_unmap(&ring);
}
