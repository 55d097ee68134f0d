/* fuzz_sync [SECONDS [DIRECTORY]] where there is no libFuzzer: the seeds, and those of the directory, changed at random.
 *
 *   fuzz_sync --seeds DIRECTORY   write the seeds
 *   fuzz_sync --live SECONDS      with the kernel's clock and sleeps, and a thread that writes over the object all the time
 *   SEED=123                      the random numbers of an earlier run
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "fuzz.h"
#include "support.h"

#define SEEDS_MAX 65536
#define LARGEST 32768
#define CALL_SECONDS 20 /* an input that takes so long does not end */
#define INPUTS_PER_LOOK 256

static struct {
	uint8_t *data;
	size_t size;
} seeds[SEEDS_MAX];
static size_t seed_count;

static uint8_t input[LARGEST];
static size_t input_size;
static uint64_t random_state;

static void keep(const char *name, const uint8_t *data, size_t size)
{
	(void)name;
	if (seed_count == SEEDS_MAX || size > LARGEST)
		return;
	seeds[seed_count].data = malloc(size + 1);
	CHECK(seeds[seed_count].data != NULL);
	memcpy(seeds[seed_count].data, data, size);
	seeds[seed_count++].size = size;
}

static void keep_directory(const char *path)
{
	DIR *directory = opendir(path);
	const struct dirent *entry;

	CHECK(directory != NULL);
	while ((entry = readdir(directory))) {
		static uint8_t bytes[LARGEST];
		char name[512];
		FILE *file;

		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		file = entry->d_type == DT_REG ? fopen(name, "rbe") : NULL;
		if (!file)
			continue;
		keep(name, bytes, fread(bytes, 1, sizeof(bytes), file));
		fclose(file);
	}
	closedir(directory);
}

/* Keep the input that ends the process: as libFuzzer does, and for it. */
static void keep_the_last(int signal_number)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "fuzz-crash-%d", (int)getpid());
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd >= 0 && write(fd, input, input_size) == (ssize_t)input_size)
		fprintf(stderr, "the input is in %s\n", name);
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static uint64_t below(uint64_t limit)
{
	return random_below(&random_state, limit);
}

static void change_once(void)
{
	static const uint32_t words[] = {0, 1, 2, 4, 64, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, FUZZ_FIRST, FUZZ_SECOND, FUZZ_THIRD};
	size_t at = (size_t)below(input_size);
	uint32_t word;

	switch (below(6)) {
	case 0:
		input[at] ^= (uint8_t)(1U << below(8));
		break;
	case 1:
		input[at] = (uint8_t)below(256);
		break;
	case 2: /* a word, with a state or flags */
		at &= ~(size_t)3;
		if (at + 4 > input_size)
			break;
		word = words[below(sizeof(words) / 4)] | (below(2) ? (uint32_t)below(16) << IPK_MEMBER_ID_BITS : 0);
		memcpy(input + at, &word, 4);
		break;
	case 3: /* part of the script, or of the content, once more elsewhere */
		if (input_size >= 64) {
			size_t from = (size_t)below(input_size / 8 - 3) * 8, to = (size_t)below(input_size / 8 - 3) * 8;

			memmove(input + to, input + from, 8 * (1 + (size_t)below(3)));
		}
		break;
	case 4: /* another script */
		if (input_size >= 264) {
			size_t other = (size_t)below(seed_count);

			if (seeds[other].size >= 264)
				memcpy(input + input_size - 192, seeds[other].data + seeds[other].size - 192, 192);
		}
		break;
	default: /* the setting */
		input[below(8)] = (uint8_t)below(below(2) ? 16 : 256);
		break;
	}
}

static void change(void)
{
	size_t seed = (size_t)below(seed_count);

	input_size = seeds[seed].size;
	memcpy(input, seeds[seed].data, input_size);
	if (input_size == 0)
		return;
	for (uint64_t times = below(8) ? below(6) : below(60); times > 0; times--)
		change_once();
	if (below(16) == 0)
		input_size = (size_t)below(input_size);
}

int main(int count, char **words)
{
	uint64_t inputs = 0;
	int64_t end;
	long seconds;

	LLVMFuzzerInitialize(&count, &words);
	fuzz_live = count == 3 && strcmp(words[1], "--live") == 0;
	seconds = count > 1 ? strtol(words[fuzz_live ? 2 : 1], NULL, 0) : 60;
	random_state = random_seed();
	fuzz_make_seeds(keep);
	signal(SIGABRT, keep_the_last); /* of ours, and with ASAN_OPTIONS=abort_on_error=1 of the sanitizers' */
	if (!fuzz_live && count == 3)
		keep_directory(words[2]);
	if (fuzz_live)
		fuzz_start_peer();
	end = ipk_monotonic_ns() + seconds * INT64_C(1000000000);
	for (size_t i = 0; i < seed_count && !(fuzz_live && ipk_monotonic_ns() > end); i++, inputs++) {
		input_size = seeds[i].size;
		memcpy(input, seeds[i].data, input_size);
		LLVMFuzzerTestOneInput(input, input_size);
	}
	do {
		watchdog(CALL_SECONDS, NULL);
		for (int i = 0; i < (fuzz_live ? 1 : INPUTS_PER_LOOK); i++, inputs++) {
			change();
			LLVMFuzzerTestOneInput(input, input_size);
		}
	} while (ipk_monotonic_ns() < end);
	printf("%llu inputs in %ld s%s\n", (unsigned long long)inputs, seconds, fuzz_live ? ", with a peer at work" : "");
	return 0;
}
