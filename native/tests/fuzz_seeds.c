/* The inputs that fuzzing begins with: live objects and rings in many states, each with scripts of calls. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

#define LARGEST 32768
#define OBJECT_STYLES 3
#define SEGMENT_STYLES 2
#define LOOK_STYLES 3
#define KERNEL_CALLS 10 /* in which a file is attached, and more */
#define LINE 64

static void (*taker)(const char *name, const uint8_t *data, size_t size);

_Noreturn void fuzz_no_seed(const char *what)
{
	fprintf(stderr, "fuzz_sync: no seed: %s\n", what);
	abort();
}

static void expect(int good, const char *what)
{
	if (!good)
		fuzz_no_seed(what);
}

/* Write a setting, the content without the zeros at its end, and a script. */
void fuzz_give_seed(const char *name, int style, struct fuzz_setting setting, const unsigned char *content, size_t size)
{
	static uint8_t input[LARGEST];
	char full[96];
	size_t at = sizeof(setting);

	while (size > 0 && content[size - 1] == 0)
		size--;
	size = (size + 7) / 8 * 8;
	expect(size + sizeof(setting) + FUZZ_STEPS * sizeof(struct fuzz_step) <= sizeof(input), "too large");
	setting.length = (uint16_t)size;
	setting.options |= style & 1 ? FUZZ_SPINS : 0;
	memcpy(input, &setting, sizeof(setting));
	memcpy(input + at, content, size);
	fuzz_delocalise(input + at, size);
	at += size;
	for (int i = 0; i < FUZZ_SCRIPT; i++) {
		struct fuzz_step step = fuzz_make_step(&setting, style, i);

		memcpy(input + at, &step, sizeof(step));
		at += sizeof(step);
	}
	snprintf(full, sizeof(full), "%s.%d", name, style);
	taker(full, input, at);
}

/* Give a whole file to those who look at it. */
void fuzz_give_look(const char *name, struct fuzz_setting setting, const unsigned char *content, size_t size)
{
	char full[64];

	snprintf(full, sizeof(full), "look-%s", name);
	setting.subject = FUZZ_LOOK;
	setting.kind = (uint8_t)((const struct ipk_segment_shm *)(const void *)content)->kind;
	for (int style = 0; style < LOOK_STYLES; style++)
		fuzz_give_seed(full, style, setting, content, size);
}

/* Give it to those who attach, where in turn each call of the kernel fails. */
void fuzz_give_refused(const char *name, struct fuzz_setting setting, const unsigned char *content, size_t size)
{
	char full[64];

	snprintf(full, sizeof(full), "refused-%s", name);
	for (int call = 1; call <= KERNEL_CALLS; call++) {
		setting.options = (uint8_t)(call * FUZZ_REFUSED);
		setting.cut = (uint8_t)(call % 2 ? call : 4 | call << 4); /* also with what tells of an older kernel */
		setting.kind = (uint8_t)(setting.subject == FUZZ_SEGMENT ? call : setting.kind);
		fuzz_give_seed(full, call, setting, content, size);
	}
}

/* The same object in a segment of its own. */
static void give_segment(const struct fuzz_state *state)
{
	struct fuzz_setting setting = {FUZZ_SEGMENT, (uint8_t)state->kind, 0, 0, 0, 0};
	struct ipk_home home;
	char full[64];

	memset(&home, 0, sizeof(home));
	expect(ipk_home_create(&home, NULL, state->size, 0600) == 0, "home");
	expect(ipk_home_room(&home) == state->size, "room");
	memcpy(ipk_home_place(&home), state->place, state->size);
	expect(ipk_home_publish(&home, NULL) == 0, "publish");
	fuzz_delocalise(ipk_home_place(&home), state->size);
	setting.lines = (uint16_t)(home.segment.size / 16);
	snprintf(full, sizeof(full), "segment-%s", state->name);
	for (int style = 0; style < SEGMENT_STYLES; style++)
		fuzz_give_seed(full, style, setting, home.segment.base, (size_t)home.segment.size);
	fuzz_give_look(state->name, setting, home.segment.base, (size_t)home.segment.size);
	if (state->kind == IPK_SYNC_LATCH)
		fuzz_give_refused(state->name, setting, home.segment.base, (size_t)home.segment.size);
	ipk_home_close(&home);
}

void fuzz_make_seeds(void (*take)(const char *name, const uint8_t *data, size_t size))
{
	struct fuzz_state state;

	taker = take;
	for (size_t i = 0; fuzz_make_state(i, &state); i++) {
		struct fuzz_setting setting = {FUZZ_OBJECT, (uint8_t)state.kind, 0, 0, (uint16_t)(state.size / LINE), 0};

		for (int style = 0; style < OBJECT_STYLES; style++)
			fuzz_give_seed(state.name, style, setting, state.place, state.size);
		give_segment(&state);
	}
	fuzz_make_ring_seeds();
}

static const char *directory;

static void write_one(const char *name, const uint8_t *data, size_t size)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	expect(fd >= 0 && write(fd, data, size) == (ssize_t)size, path);
	close(fd);
}

void fuzz_write_seeds(const char *into)
{
	directory = into;
	fuzz_make_seeds(write_one);
}
