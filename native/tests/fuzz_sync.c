/* Whatever stands in shared memory: no crash, no access outside, no wait without an end (fuzz.h).
 *
 * The object lies at the end of its mapping, before a page that nobody may touch; what lies before it, and what it does
 * not fill of the room, is poisoned where AddressSanitizer is there to see that.
 *
 * With libFuzzer this is all there is; else fuzz_plain.c changes the seeds by itself.
 */
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "ipckit/condition.h"
#include "ipckit/spsc.h"

#define PAGE 4096
#define KINDS (IPK_SYNC_FUTEX + 2) /* one more than there are, and none */

struct ipk_member fuzz_members[3];
unsigned char *fuzz_region, *fuzz_side_region;

static int home_file; /* where objects lie */
static struct stat home_stat;
static struct ipk_participant_info self;
static struct ipk_sync good_mutex, fresh_mutex; /* a view of the one in fuzz_side_region, and as it began */
static unsigned char good_bytes[IPK_MUTEX_SIZE];

_Noreturn void fuzz_fails(const char *what)
{
	perror(what);
	abort();
}

int fuzz_memory_file(size_t size, struct stat *st)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 || fstat(fd, st) < 0)
		fuzz_fails("memfd_create");
	return fd;
}

/* Map part of the file between two pages without access. */
static unsigned char *between_guards(int fd, size_t from, size_t size)
{
	unsigned char *base = mmap(NULL, size + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED || mmap(base + PAGE, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, (off_t)from) ==
					  MAP_FAILED)
		fuzz_fails("mmap");
	return base + PAGE;
}

void fuzz_join(struct ipk_member *member, uint32_t id)
{
	memset(member, 0, sizeof(*member));
	fuzz_next_id = id;
	if (ipk_member_open(member, home_file) < 0 || ipk_member_join(member) != id)
		fuzz_fails("join");
	fuzz_next_id = 0;
	self = member->self;
}

/* --- what differs from run to run ---------------------------------------------------------------------------------- */

struct stand_in {
	uint64_t in_input, here;
};

static void exchange(unsigned char *bytes, size_t size, const struct stand_in *pairs, size_t count, int localise)
{
	uint64_t word;

	for (size_t at = 0; at + sizeof(word) <= size; at += sizeof(word)) {
		memcpy(&word, bytes + at, sizeof(word));
		for (size_t i = 0; word != 0 && i < count; i++)
			if (word == (localise ? pairs[i].in_input : pairs[i].here)) {
				word = localise ? pairs[i].here : pairs[i].in_input;
				memcpy(bytes + at, &word, sizeof(word));
				break;
			}
	}
}

static void exchange_pid(unsigned char *bytes, size_t size, uint32_t from, uint32_t to)
{
	uint32_t word;

	for (size_t at = 0; at + sizeof(word) <= size; at += sizeof(word)) {
		memcpy(&word, bytes + at, sizeof(word));
		if ((word & FUTEX_TID_MASK) != from) /* a thread's id may stand beside the kernel's flags */
			continue;
		word ^= from ^ to;
		memcpy(bytes + at, &word, sizeof(word));
	}
}

void fuzz_localise(unsigned char *bytes, size_t size, uint64_t device, uint64_t inode)
{
	const struct stand_in pairs[] = {{FUZZ_DEVICE, device},
					 {FUZZ_INODE, inode},
					 {FUZZ_START, self.start_time},
					 {FUZZ_NAMESPACE, self.pid_namespace}};

	exchange(bytes, size, pairs, sizeof(pairs) / sizeof(pairs[0]), 1);
	exchange_pid(bytes, size, FUZZ_PID, (uint32_t)self.pid);
}

void fuzz_delocalise(unsigned char *bytes, size_t size)
{
	const struct stand_in pairs[] = {{FUZZ_START, self.start_time}, {FUZZ_NAMESPACE, self.pid_namespace}};
	struct ipk_sync_shm *header = (struct ipk_sync_shm *)(void *)bytes;

	if (size >= sizeof(*header) && header->inode == home_stat.st_ino && header->device == home_stat.st_dev) {
		header->device = FUZZ_DEVICE; /* a small number, that may stand elsewhere too */
		header->inode = FUZZ_INODE;
	}
	exchange(bytes, size, pairs, sizeof(pairs) / sizeof(pairs[0]), 0);
	exchange_pid(bytes, size, (uint32_t)self.pid, FUZZ_PID);
}

/* --- one input ----------------------------------------------------------------------------------------------------- */

static int parse(const uint8_t *data, size_t size, struct fuzz_setting *setting, struct fuzz_script *script)
{
	if (size < sizeof(*setting))
		return 0;
	memcpy(setting, data, sizeof(*setting));
	size -= sizeof(*setting);
	script->setting = setting;
	script->content = data + sizeof(*setting);
	script->length = setting->length < size ? setting->length : size;
	script->steps = script->content + script->length;
	script->count = (size - script->length) / sizeof(struct fuzz_step);
	if (script->count > FUZZ_STEPS)
		script->count = FUZZ_STEPS;
	return 1;
}

/* The mutex of a condition: its own, wherever that is; or the one beside, as any opener may give it. */
static struct ipk_sync *mutex_for(struct ipk_sync *own, unsigned char *place, uint64_t room, struct ipk_member *member)
{
	if (room >= IPK_CONDITION_MUTEX + IPK_MUTEX_SIZE &&
	    ipk_sync_attach(own, place + IPK_CONDITION_MUTEX, IPK_MUTEX_SIZE, member, IPK_SYNC_MUTEX) == 0)
		return own;
	return &good_mutex;
}

static void make_good_mutex(void)
{
	unsigned char *place = fuzz_side_region + FUZZ_SIDE - IPK_MUTEX_SIZE;

	if (ipk_sync_begin(place, &fuzz_members[0], IPK_MUTEX_SIZE) < 0 ||
	    ipk_sync_publish(place, &fuzz_members[0], IPK_SYNC_MUTEX, 0, 0, IPK_MUTEX_SIZE) < 0 ||
	    ipk_sync_attach(&fresh_mutex, place, IPK_MUTEX_SIZE, &fuzz_members[0], IPK_SYNC_MUTEX) < 0)
		fuzz_fails("mutex");
	memcpy(good_bytes, place, IPK_MUTEX_SIZE);
}

static void renew_good_mutex(void)
{
	unsigned char *place = fuzz_side_region + FUZZ_SIDE - IPK_MUTEX_SIZE;

	memcpy(place, good_bytes, IPK_MUTEX_SIZE);
	good_mutex = fresh_mutex;
	fuzz_side = (struct fuzz_range){place, IPK_MUTEX_SIZE};
}

/* What an opener does, and a maker who takes the place over. */
static void call_on_any_bytes(unsigned char *place, uint64_t room, struct ipk_member *member, uint32_t kind,
			      const struct fuzz_step *step)
{
	struct ipk_sync_info info;

	if (room < sizeof(struct ipk_sync_shm))
		return;
	FUZZ_CALL(step, ipk_sync_inspect(place, member, &info));
	FUZZ_CALL(step, ipk_sync_begin(place, member, room));
	if (step->argument & 1)
		FUZZ_CALL(step, ipk_sync_publish(place, member, kind, step->argument, step->value, (uint32_t)room));
}

/* What others do to a member, but to those that stay: returns whether the step is about that. */
static int hits(struct ipk_member *member, const struct fuzz_step *step)
{
	if (member == &fuzz_members[0] || (step->call != FUZZ_ROBS && step->call != FUZZ_FORKS))
		return 0;
	if (step->call == FUZZ_ROBS)
		fuzz_rob(0, member->life_fd, member->fd, step);
	else
		atomic_store(member->id, 0);
	return 1;
}

void fuzz_run(const struct fuzz_script *script, unsigned char *place, uint64_t room, struct ipk_member *first,
	      struct ipk_member *second)
{
	uint32_t kind = script->setting->kind % KINDS;
	int64_t spin = script->setting->options & FUZZ_SPINS ? IPK_SPIN_DEFAULT_NS : 0;
	struct ipk_sync views[2], mutexes[2];
	struct fuzz_views v = {&views[0], &views[1], NULL, place, room};
	uint64_t size;

	memset(views, 0, sizeof(views));
	memset(mutexes, 0, sizeof(mutexes));
	fuzz_object = (struct fuzz_range){place, (size_t)room};
	fuzz_forget();
	if (ipk_sync_attach(&views[0], place, room, first, kind) < 0 ||
	    ipk_sync_attach(&views[1], place, room, second, kind) < 0) {
		for (size_t i = 0; i < script->count && i < 4; i++) {
			struct fuzz_step step = fuzz_step_of(script, i);

			call_on_any_bytes(place, room, first, kind, &step);
		}
		return;
	}
	size = ipk_sync_size(kind, views[0].count);
	if (ipk_sync_size(kind, views[1].count) != size || size > room)
		abort();
	ASAN_POISON_MEMORY_REGION(place + size, (size_t)(room - size));
	fuzz_object.size = (size_t)size;
	for (int i = 0; i < 2; i++)
		ipk_sync_set_spin(&views[i], spin);
	for (size_t i = 0; i < script->count; i++) {
		struct fuzz_step step = fuzz_step_of(script, i);
		int other = step.argument >> 7;

		if (hits(first, &step))
			continue;
		v.view = &views[other];
		v.other = &views[!other];
		if (kind == IPK_SYNC_CONDITION)
			v.mutex = mutex_for(&mutexes[other], place, size, other ? second : first);
		fuzz_call(kind, &v, &step);
	}
	ASAN_UNPOISON_MEMORY_REGION(place + size, (size_t)(room - size));
}

static void on_object(const struct fuzz_script *script)
{
	size_t room = script->setting->options & FUZZ_FULL ? FUZZ_ROOM : script->setting->lines * (size_t)64 % (FUZZ_ROOM + 64);
	size_t cut = script->setting->cut % 8 * (size_t)64;
	unsigned char *place;
	size_t length;

	room = room > cut ? room - cut : 0;
	place = fuzz_region + FUZZ_ROOM - room;
	length = script->length < room ? script->length : room;
	memcpy(place, script->content, length);
	memset(place + length, 0, room - length);
	fuzz_localise(place, length, home_stat.st_dev, home_stat.st_ino);
	renew_good_mutex();
	ASAN_POISON_MEMORY_REGION(fuzz_region, FUZZ_ROOM - room);
	fuzz_run(script, place, room, &fuzz_members[0], &fuzz_members[1]);
	ASAN_UNPOISON_MEMORY_REGION(fuzz_region, FUZZ_ROOM - room);
}

int LLVMFuzzerInitialize(int *count, char ***words)
{
	home_file = fuzz_memory_file(FUZZ_ROOM + FUZZ_SIDE, &home_stat);
	fuzz_open_file();
	fuzz_open_look();
	fuzz_region = between_guards(home_file, 0, FUZZ_ROOM);
	fuzz_side_region = between_guards(home_file, FUZZ_ROOM, FUZZ_SIDE);
	fuzz_join(&fuzz_members[0], FUZZ_FIRST);
	fuzz_join(&fuzz_members[1], FUZZ_SECOND);
	make_good_mutex();
	if (*count == 3 && strcmp((*words)[1], "--seeds") == 0) {
		fuzz_write_seeds((*words)[2]);
		exit(0);
	}
	atexit(fuzz_report);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const subjects[])(const struct fuzz_script *) = {on_object, fuzz_on_segment, fuzz_on_ring,
										 fuzz_on_look};
	struct fuzz_setting setting;
	struct fuzz_script script;

	if (parse(data, size, &setting, &script))
		subjects[setting.subject % FUZZ_SUBJECTS](&script);
	fuzz_close_opened();
	fuzz_mapping = 0;
	return 0;
}
