/* What the kernel says to a call that is fuzzed, where it would say the same each time: asked once, and remembered. What it
 * refuses, where an input asks for that. And where a file is mapped: always at the same place, between pages without access that
 * stay there. The linker puts these functions in the place of those of the same names (--wrap). */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../src/identity.h"
#include "fuzz.h"
#include "ipckit/segment.h"

#define PAGE 4096
#define ARENA (16 * FUZZ_ROOM) /* more than any file of ours takes, mirror and all */
#define ARENAS 2 /* views of one file */
#define PRIVATE_PAGES (2 * ARENAS)
#define ANSWERS 4096
#define OPENED 64

int fuzz_mapping, fuzz_was_refused;

pid_t __real_gettid(void);
int __real_ipk_identity_self(struct ipk_participant_info *self);
int __real_ipk_identity_runs(const struct ipk_participant_info *who);
void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t from);
int __real_munmap(void *at, size_t size);
int __real_fstat(int fd, struct stat *st);
int __real_madvise(void *at, size_t size, int advice);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
pid_t __wrap_gettid(void);
int __wrap_ipk_identity_self(struct ipk_participant_info *self);
int __wrap_ipk_identity_runs(const struct ipk_participant_info *who);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t from);
int __wrap_munmap(void *at, size_t size);
int __wrap_madvise(void *at, size_t size, int advice);
int __wrap_fstat(int fd, struct stat *st);

/* --- what it refuses ----------------------------------------------------------------------------------------------- */

static const int refusals[] = {EIO, ENOMEM, EMFILE, EACCES, EINVAL, ENOLCK, EINTR, ENODEV};
#define REFUSALS (sizeof(refusals) / sizeof(refusals[0]))

static uint32_t refused_after; /* 0: nothing is refused */
static int refused_with, refuses_all;
static int opened[OPENED], opened_count;

void fuzz_refuse(uint32_t after, uint32_t how)
{
	refused_after = after;
	refused_with = refusals[how % REFUSALS];
	refuses_all = how / REFUSALS % 2 != 0 && refused_with != EINTR; /* no signal comes again and again */
}

int fuzz_refuses(void)
{
	if (refused_after == 0 || --refused_after > 0)
		return 0;
	refused_after = (uint32_t)refuses_all;
	fuzz_was_refused = 1;
	errno = refused_with;
	return 1;
}

int fuzz_is_refusal(int error)
{
	for (size_t i = 0; i < REFUSALS; i++)
		if (error == refusals[i])
			return 1;
	return error == EBADF || error == ENOSYS;
}

int fuzz_opened(int fd)
{
	if (opened_count == OPENED)
		abort();
	if (fd >= 0)
		opened[opened_count++] = fd;
	return fd;
}

void fuzz_close_opened(void)
{
	while (opened_count > 0)
		if (fuzz_was_refused)
			close(opened[--opened_count]);
		else
			opened_count--;
	fuzz_was_refused = 0;
}

int __wrap_open(const char *path, int flags, ...)
{
	unsigned mode;
	va_list list;

	if (fuzz_refuses())
		return -1;
	va_start(list, flags);
	mode = flags & O_CREAT ? va_arg(list, unsigned) : 0;
	va_end(list);
	return fuzz_mapping ? fuzz_opened(__real_open(path, flags, mode)) : __real_open(path, flags, mode);
}

/* --- who is who ---------------------------------------------------------------------------------------------------- */

pid_t __wrap_gettid(void)
{
	static _Thread_local pid_t self;

	if (self == 0)
		self = __real_gettid();
	return self;
}

int __wrap_ipk_identity_self(struct ipk_participant_info *self)
{
	static struct ipk_participant_info us;
	int rc = fuzz_refuses() ? -errno : us.pid ? 0 : __real_ipk_identity_self(&us);

	*self = us;
	return rc;
}

/* One process is ours; of the others, of which an input may name any, it does not matter whether they run. */
int __wrap_ipk_identity_runs(const struct ipk_participant_info *who)
{
	static struct {
		struct ipk_participant_info who;
		int asked, runs;
	} answers[ANSWERS];
	uint64_t hash = (who->pid ^ who->start_time ^ who->pid_namespace) * UINT64_C(0x9E3779B97F4A7C15) >> 52;

	if (who->pid == FUZZ_OTHER)
		return 1;
	if (!answers[hash].asked || !ipk_identity_same(&answers[hash].who, who)) {
		answers[hash].who = *who;
		answers[hash].runs = __real_ipk_identity_runs(who);
		answers[hash].asked = 1;
	}
	return answers[hash].runs;
}

/* The descriptors of those two members are never closed. */
int __wrap_fstat(int fd, struct stat *st)
{
	static struct stat home;

	if (fd != fuzz_members[0].life_fd && fd != fuzz_members[1].life_fd)
		return fuzz_refuses() ? -1 : __real_fstat(fd, st);
	if (home.st_ino == 0 && __real_fstat(fd, &home) < 0)
		return -1;
	*st = home;
	return 0;
}

/* --- where files are mapped ---------------------------------------------------------------------------------------- */

static unsigned char *arenas[ARENAS]; /* PROT_NONE, but for what is mapped just now, which ends where the arena does */
static int arena_used[ARENAS];
static unsigned char *header; /* of the file, to look at */
static unsigned char *private_pages;
static int private_used[PRIVATE_PAGES];

void fuzz_open_arena(int file)
{
	for (int i = 0; i < ARENAS; i++) {
		arenas[i] = __real_mmap(NULL, ARENA + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (arenas[i] == MAP_FAILED)
			fuzz_fails("mmap");
	}
	private_pages = __real_mmap(NULL, PRIVATE_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	header = __real_mmap(NULL, IPK_SEGMENT_HEADER, PROT_READ, MAP_SHARED, file, 0);
	if (private_pages == MAP_FAILED || header == MAP_FAILED)
		fuzz_fails("mmap");
}

static void *end_of_arena(size_t size)
{
	for (int i = 0; i < ARENAS; i++)
		if (!arena_used[i]) {
			arena_used[i] = 1;
			return arenas[i] + ARENA - size;
		}
	return MAP_FAILED;
}

/* Returns whether that was a mapping of an arena. */
static int leave_arena(unsigned char *from)
{
	for (int i = 0; i < ARENAS; i++)
		if (from >= arenas[i] && from < arenas[i] + ARENA) {
			arena_used[i] = 0;
			return 1;
		}
	return 0;
}

static void *private_page(void)
{
	for (int i = 0; i < PRIVATE_PAGES; i++)
		if (!private_used[i]) {
			private_used[i] = 1;
			memset(private_pages + i * PAGE, 0, PAGE);
			return private_pages + i * PAGE;
		}
	return MAP_FAILED;
}

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t from)
{
	size_t pages = (size + PAGE - 1) / PAGE * PAGE;

	if (fuzz_refuses())
		return MAP_FAILED;
	if (!fuzz_mapping || at)
		return __real_mmap(at, size, protection, flags, fd, from);
	if (protection == PROT_READ && size == IPK_SEGMENT_HEADER)
		return header;
	if (protection == PROT_NONE && pages <= ARENA - PAGE)
		return end_of_arena(pages);
	if (flags & MAP_ANONYMOUS && size == PAGE)
		return private_page();
	return __real_mmap(at, size, protection, flags, fd, from);
}

int __wrap_munmap(void *at, size_t size)
{
	unsigned char *from = at;

	if (from == header)
		return 0;
	if (from >= private_pages && from < private_pages + PRIVATE_PAGES * PAGE) {
		private_used[(from - private_pages) / PAGE] = 0;
		return 0;
	}
	if (!leave_arena(from))
		return __real_munmap(at, size);
	return __real_mmap(at, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0;
}

int __wrap_madvise(void *at, size_t size, int advice)
{
	unsigned char *from = at;

	if (fuzz_refuses())
		return -1;
	if (from >= private_pages && from < private_pages + PRIVATE_PAGES * PAGE)
		return 0; /* nobody forks */
	return __real_madvise(at, size, advice);
}
