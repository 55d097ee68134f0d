/* Fuzzing of whole files (fuzz.h), and segments with an object of synchronisation in them. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

#define PAGE 4096
#define FILE_MOST (IPK_SEGMENT_HEADER + FUZZ_ROOM)

static int file;
static struct stat file_stat;
static unsigned char *bytes; /* of the file, as far as it goes */

void fuzz_open_file(void)
{
	file = fuzz_memory_file(FILE_MOST, &file_stat);
	bytes = mmap(NULL, FILE_MOST, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (bytes == MAP_FAILED)
		fuzz_fails("mmap");
	fuzz_open_arena(file);
}

size_t fuzz_fill_file(const struct fuzz_script *script)
{
	static size_t was = FILE_MOST;
	size_t size = script->setting->lines * (size_t)16 % (FILE_MOST + 16);
	size_t length = script->length < size ? script->length : size;

	if (size != was && ftruncate(file, (off_t)size) < 0)
		fuzz_fails("file");
	was = size;
	memcpy(bytes, script->content, length);
	memset(bytes + length, 0, size - length);
	fuzz_localise(bytes, length, file_stat.st_dev, file_stat.st_ino);
	return size;
}

int fuzz_duplicate_file(void)
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
	size_t size = fuzz_fill_file(script);
	size_t rest = (PAGE - size % PAGE) % PAGE;
	unsigned char *place;

	fuzz_mapping = 1;
	ipk_segment_inspect(file, &info);
	ipk_segment_participant(file, script->setting->cut, &who);
	memset(&home, 0, sizeof(home));
	if (ipk_home_attach(&home, fuzz_duplicate_file()) < 0)
		return;
	place = ipk_home_place(&home);
	if (place + ipk_home_room(&home) != home.segment.base + size)
		abort();
	fuzz_next_id = FUZZ_FIRST;
	ASAN_POISON_MEMORY_REGION(home.segment.base + size, rest);
	fuzz_run(script, place, ipk_home_room(&home), ipk_home_member(&home), ipk_home_member(&home));
	ASAN_UNPOISON_MEMORY_REGION(home.segment.base + size, rest);
	fuzz_next_id = 0;
	ipk_home_close(&home);
}
