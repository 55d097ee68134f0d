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
	return fuzz_opened(fd);
}

struct fuzz_range fuzz_file_bytes(size_t size)
{
	return (struct fuzz_range){bytes, size};
}

static uint32_t robbed; /* a bit for each view: the numbers may be another's afterwards */

void fuzz_rob(int view, int life_fd, int fd, const struct fuzz_step *step)
{
	if (robbed >> view & 1)
		return;
	robbed |= 1U << view;
	if (life_fd >= 0)
		close(life_fd);
	if (!(step->argument & 1))
		return;
	close(fd);
	fuzz_closed |= 1U << view;
}

void fuzz_end_views(void)
{
	robbed = fuzz_closed = 0;
	memset(fuzz_pages, 0, sizeof(fuzz_pages));
	fuzz_next_id = 0;
}

static void check_closed(struct ipk_home *home)
{
	ipk_home_close(home);
	if (ipk_home_fd(home) >= 0 || ipk_home_place(home) || ipk_home_room(home))
		abort();
}

/* A file that its user maps: nothing of it is ours to look at. */
static void adopt(const struct fuzz_script *script)
{
	int fd = script->setting->cut & 0x40 ? fuzz_opened(open("/dev/null", O_RDWR | O_CLOEXEC)) : fuzz_duplicate_file();
	struct ipk_home home;

	memset(&home, 0, sizeof(home));
	fuzz_refuse(script->setting->options / FUZZ_REFUSED, script->setting->cut);
	if (ipk_home_adopt(&home, fd) == 0 &&
	    (ipk_home_place(&home) || ipk_home_room(&home) || ipk_home_fd(&home) != fd || ipk_member_current(&home.member)))
		abort();
	fuzz_refuse(0, 0);
	check_closed(&home);
}

/* A new segment, where some call of the kernel fails, or its name is none. */
static void make(const struct fuzz_script *script)
{
	static const char *const paths[] = {NULL, NULL, "no-directory", "/proc/no-such-directory/name"};
	const char *path = paths[script->setting->kind % (sizeof(paths) / sizeof(paths[0]))];
	uint64_t size = script->setting->cut & 0x20 ? UINT64_MAX : 64; /* never what memory might be found for */
	struct ipk_home home;

	memset(&home, 0, sizeof(home));
	fuzz_refuse(script->setting->options / FUZZ_REFUSED, script->setting->cut);
	if (ipk_home_create(&home, path, size, 0600) == 0)
		ipk_home_publish(&home, NULL);
	fuzz_refuse(0, 0);
	check_closed(&home);
}

static void look_around(const struct fuzz_script *script)
{
	struct ipk_segment_info info;
	struct ipk_participant_info who;

	fuzz_refuse(script->setting->options / FUZZ_REFUSED, script->setting->cut);
	ipk_segment_inspect(file, &info);
	fuzz_refuse(script->setting->options / FUZZ_REFUSED, script->setting->cut);
	if (ipk_segment_participant(file, script->setting->cut % (IPK_PARTICIPANTS_MAX + 2), &who) >= 0)
		ipk_segment_runs(&who);
	fuzz_refuse(0, 0);
}

void fuzz_on_segment(const struct fuzz_script *script)
{
	struct ipk_home home;
	size_t size = fuzz_fill_file(script);
	size_t rest = (PAGE - size % PAGE) % PAGE;
	unsigned char *place;
	int fd = fuzz_duplicate_file();
	int rc;

	fuzz_mapping = 1;
	look_around(script);
	memset(&home, 0, sizeof(home));
	fuzz_refuse(script->setting->options / FUZZ_REFUSED, script->setting->cut);
	rc = ipk_home_attach(&home, fd);
	fuzz_refuse(0, 0);
	if (rc < 0) {
		adopt(script);
		make(script);
		return;
	}
	place = ipk_home_place(&home);
	if (place + ipk_home_room(&home) != home.segment.base + size)
		abort();
	fuzz_next_id = FUZZ_FIRST;
	fuzz_pages[0] = home.member.id;
	ASAN_POISON_MEMORY_REGION(home.segment.base + size, rest);
	fuzz_run(script, place, ipk_home_room(&home), ipk_home_member(&home), ipk_home_member(&home));
	ASAN_UNPOISON_MEMORY_REGION(home.segment.base + size, rest);
	fuzz_end_views();
	ipk_home_close(&home);
}
