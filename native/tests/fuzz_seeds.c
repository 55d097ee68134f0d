/* The inputs that fuzzing begins with: live objects of each kind in many states, each with scripts of calls. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz_rings.h"
#include "ipckit/atomic.h"
#include "ipckit/barrier.h"
#include "ipckit/condition.h"
#include "ipckit/event.h"
#include "ipckit/event_pair.h"
#include "ipckit/latch.h"
#include "ipckit/mutex.h"
#include "ipckit/once.h"
#include "ipckit/rwlock.h"
#include "ipckit/semaphore.h"
#include "ipckit/tracked_semaphore.h"

#define LARGEST 32768
#define SCRIPT 24 /* steps */
#define OBJECT_STYLES 3
#define LINE 64

enum { US, ANOTHER, DEAD };

static struct ipk_sync views[3], mutexes[3]; /* by the enumeration; of a condition also its mutex */
static unsigned char *place;
static struct ipk_condition_wait waits[3];
static struct ipk_barrier_wait parties[3];
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

/* --- states -------------------------------------------------------------------------------------------------------- */

static void nothing(void)
{
}

static void waiters_flag(size_t at)
{
	atomic_fetch_or((_Atomic uint32_t *)(void *)(place + at), IPK_LOCK_WAITERS);
}

static void flag_64(void)
{
	waiters_flag(64);
}

static void ours(void)
{
	ipk_mutex_try(&views[US]);
}

static void ours_deep(void)
{
	for (int i = 0; i < 3; i++)
		ipk_mutex_try(&views[US]);
	flag_64();
}

static void anothers(void)
{
	ipk_mutex_try(&views[ANOTHER]);
	flag_64();
}

static void of_the_dead(void)
{
	ipk_mutex_try(&views[DEAD]);
	flag_64();
}

static void inconsistent(void)
{
	ours();
	ipk_mutex_abandon(&views[US]);
}

static void inherited(void)
{
	inconsistent();
	ours();
}

static void lost(void)
{
	inherited();
	ipk_mutex_release(&views[US]);
}

/* As deep as can be counted. */
static void deepest(void)
{
	ours();
	atomic_store(&((struct ipk_mutex_shm *)(void *)place)->lock.depth, UINT32_MAX);
}

static void read_by(int who)
{
	ipk_rwlock_read_try(&views[who]);
}

static void all_read(void)
{
	for (int i = 0; i < 3; i++)
		read_by(i);
}

static void dead_reads(void)
{
	read_by(DEAD);
}

static void most_read(void)
{
	read_by(US);
	atomic_fetch_or((_Atomic uint64_t *)(void *)(place + IPK_HOLDERS_OFFSET + LINE), UINT32_MAX);
}

static void we_write(void)
{
	ipk_rwlock_write_try(&views[US]);
	waiters_flag(128);
}

static void another_writes(void)
{
	ipk_rwlock_write_try(&views[ANOTHER]);
	waiters_flag(128);
}

static void dead_writes(void)
{
	ipk_rwlock_write_try(&views[DEAD]);
	waiters_flag(128);
}

static void we_wait_to_write(void)
{
	dead_reads();
	read_by(ANOTHER);
	ipk_rwlock_write_wait(&views[US], ipk_monotonic_ns() + 1000000);
}

static void writer_gave_up(void)
{
	ipk_rwlock_write_try(&views[US]);
	ipk_rwlock_abandon(&views[US]);
	read_by(US);
}

static void semaphore_empty(void)
{
	while (ipk_semaphore_try(&views[US]) == 0)
		continue;
	flag_64();
}

static void tracked_taken(void)
{
	for (int i = 0; i < 3; i++)
		ipk_tracked_semaphore_try(&views[i]);
	waiters_flag(128);
}

static void tracked_of_the_dead(void)
{
	while (ipk_tracked_semaphore_try(&views[DEAD]) == 0)
		continue;
}

static void event_set(void)
{
	ipk_event_set(&views[US]);
}

static void pair_set(void)
{
	ipk_event_pair_set(&views[US], IPK_EVENT_PAIR_LOW);
	waiters_flag(128);
}

static void latch_open(void)
{
	ipk_latch_count_down(&views[US], 100);
}

static void we_run(void)
{
	ipk_once_try(&views[US]);
}

static void another_runs(void)
{
	ipk_once_try(&views[ANOTHER]);
	flag_64();
}

static void dead_runs(void)
{
	ipk_once_try(&views[DEAD]);
	flag_64();
}

static void done(void)
{
	we_run();
	ipk_once_complete(&views[US]);
}

static void begin_wait(int who)
{
	ipk_mutex_try(&mutexes[who]);
	ipk_condition_begin(&views[who], &mutexes[who], &waits[who]);
}

static void all_wait(void)
{
	for (int i = 2; i >= 0; i--)
		begin_wait(i);
}

static void all_notified(void)
{
	all_wait();
	ipk_mutex_try(&mutexes[US]);
	ipk_condition_notify(&views[US], &mutexes[US], 2);
}

static void dead_owner_of_condition(void)
{
	begin_wait(US);
	ipk_mutex_try(&mutexes[DEAD]);
	ipk_condition_notify(&views[DEAD], &mutexes[DEAD], 1);
}

static void all_but_one_arrived(void)
{
	ipk_barrier_arrive(&views[DEAD], &parties[DEAD]);
	ipk_barrier_arrive(&views[ANOTHER], &parties[ANOTHER]);
}

static void one_arrived(void)
{
	ipk_barrier_arrive(&views[ANOTHER], &parties[ANOTHER]);
	flag_64();
}

static void generation_over(void)
{
	all_but_one_arrived();
	ipk_barrier_arrive(&views[US], &parties[US]);
}

static void broken(void)
{
	one_arrived();
	ipk_barrier_end(&views[US], 0);
}

static void dead_in_the_guard(void)
{
	struct ipk_barrier_shm *barrier = (struct ipk_barrier_shm *)(void *)place;

	one_arrived();
	ipk_lock_try(&barrier->guard, views[DEAD].member);
	atomic_store(&barrier->ending, 1);
}

/* --- formats ------------------------------------------------------------------------------------------------------- */

static void format(uint32_t kind, struct ipk_member *member, uint32_t options)
{
	switch (kind) {
	case IPK_SYNC_SEMAPHORE:
		ipk_semaphore_format(place, 3, options ? 3 : IPK_SEMAPHORE_VALUE_MAX);
		break;
	case IPK_SYNC_TRACKED_SEMAPHORE:
		ipk_tracked_semaphore_format(place, 3);
		break;
	case IPK_SYNC_LATCH:
		ipk_latch_format(place, 5);
		break;
	case IPK_SYNC_ATOMIC_INT64:
	case IPK_SYNC_ATOMIC_UINT64:
		ipk_atomic_format(place, 7);
		break;
	case IPK_SYNC_CONDITION:
		expect(ipk_condition_format(place, member, NULL, options) == 0, "condition");
		break;
	default:
		break;
	}
}

static const struct {
	const char *name;
	uint32_t kind, options, count;
	void (*make)(void);
} states[] = {
	{"mutex-free", IPK_SYNC_MUTEX, 0, 0, nothing},
	{"mutex-ours", IPK_SYNC_MUTEX, 0, 0, ours},
	{"mutex-deep", IPK_SYNC_MUTEX, IPK_MUTEX_RECURSIVE, 0, ours_deep},
	{"mutex-deepest", IPK_SYNC_MUTEX, IPK_MUTEX_RECURSIVE, 0, deepest},
	{"mutex-anyones", IPK_SYNC_MUTEX, IPK_MUTEX_ANYONE, 0, anothers},
	{"mutex-anyones-ours", IPK_SYNC_MUTEX, IPK_MUTEX_ANYONE, 0, ours},
	{"mutex-anothers", IPK_SYNC_MUTEX, 0, 0, anothers},
	{"mutex-dead", IPK_SYNC_MUTEX, 0, 0, of_the_dead},
	{"mutex-inconsistent", IPK_SYNC_MUTEX, 0, 0, inconsistent},
	{"mutex-inherited", IPK_SYNC_MUTEX, 0, 0, inherited},
	{"mutex-lost", IPK_SYNC_MUTEX, 0, 0, lost},
	{"mutex-pi-free", IPK_SYNC_MUTEX, IPK_MUTEX_INHERITS, 0, nothing},
	{"mutex-pi-ours", IPK_SYNC_MUTEX, IPK_MUTEX_INHERITS, 0, ours},
	{"mutex-pi-deep", IPK_SYNC_MUTEX, IPK_MUTEX_INHERITS | IPK_MUTEX_RECURSIVE, 0, ours_deep},
	{"mutex-pi-inconsistent", IPK_SYNC_MUTEX, IPK_MUTEX_INHERITS, 0, inconsistent},
	{"mutex-pi-inherited", IPK_SYNC_MUTEX, IPK_MUTEX_INHERITS, 0, inherited},
	{"mutex-pi-lost", IPK_SYNC_MUTEX, IPK_MUTEX_INHERITS, 0, lost},
	{"rwlock-free", IPK_SYNC_RWLOCK, 0, 4, nothing},
	{"rwlock-read", IPK_SYNC_RWLOCK, 0, 4, all_read},
	{"rwlock-most", IPK_SYNC_RWLOCK, 0, 4, most_read},
	{"rwlock-full", IPK_SYNC_RWLOCK, 0, 3, all_read},
	{"rwlock-dead-reader", IPK_SYNC_RWLOCK, 0, 1, dead_reads},
	{"rwlock-ours", IPK_SYNC_RWLOCK, 0, 4, we_write},
	{"rwlock-anothers", IPK_SYNC_RWLOCK, 0, 4, another_writes},
	{"rwlock-dead-writer", IPK_SYNC_RWLOCK, 0, 4, dead_writes},
	{"rwlock-waiting", IPK_SYNC_RWLOCK, 0, 4, we_wait_to_write},
	{"rwlock-inconsistent", IPK_SYNC_RWLOCK, 0, 4, writer_gave_up},
	{"semaphore", IPK_SYNC_SEMAPHORE, 0, 0, nothing},
	{"semaphore-empty", IPK_SYNC_SEMAPHORE, IPK_SEMAPHORE_BOUNDED, 0, semaphore_empty},
	{"tracked", IPK_SYNC_TRACKED_SEMAPHORE, 0, 4, nothing},
	{"tracked-taken", IPK_SYNC_TRACKED_SEMAPHORE, 0, 3, tracked_taken},
	{"tracked-dead", IPK_SYNC_TRACKED_SEMAPHORE, 0, 2, tracked_of_the_dead},
	{"event-clear", IPK_SYNC_EVENT, 0, 0, nothing},
	{"event-set", IPK_SYNC_EVENT, 0, 0, event_set},
	{"event-auto", IPK_SYNC_EVENT, IPK_EVENT_AUTO_RESET, 0, flag_64},
	{"event-auto-set", IPK_SYNC_EVENT, IPK_EVENT_AUTO_RESET, 0, event_set},
	{"pair-clear", IPK_SYNC_EVENT_PAIR, 0, 0, nothing},
	{"pair-set", IPK_SYNC_EVENT_PAIR, 0, 0, pair_set},
	{"latch", IPK_SYNC_LATCH, 0, 0, flag_64},
	{"latch-open", IPK_SYNC_LATCH, 0, 0, latch_open},
	{"once-free", IPK_SYNC_ONCE, 0, 0, nothing},
	{"once-ours", IPK_SYNC_ONCE, 0, 0, we_run},
	{"once-anothers", IPK_SYNC_ONCE, 0, 0, another_runs},
	{"once-dead", IPK_SYNC_ONCE, 0, 0, dead_runs},
	{"once-done", IPK_SYNC_ONCE, 0, 0, done},
	{"int64", IPK_SYNC_ATOMIC_INT64, 0, 0, nothing},
	{"uint64", IPK_SYNC_ATOMIC_UINT64, 0, 0, nothing},
	{"futex", IPK_SYNC_FUTEX, 0, 0, nothing},
	{"condition", IPK_SYNC_CONDITION, 0, 4, nothing},
	{"condition-waiting", IPK_SYNC_CONDITION, 0, 3, all_wait},
	{"condition-notified", IPK_SYNC_CONDITION, IPK_MUTEX_RECURSIVE, 3, all_notified},
	{"condition-dead", IPK_SYNC_CONDITION, 0, 4, dead_owner_of_condition},
	{"barrier", IPK_SYNC_BARRIER, 0, 3, nothing},
	{"barrier-one", IPK_SYNC_BARRIER, 0, 1, nothing},
	{"barrier-arrived", IPK_SYNC_BARRIER, 0, 3, one_arrived},
	{"barrier-dead", IPK_SYNC_BARRIER, 0, 3, all_but_one_arrived},
	{"barrier-over", IPK_SYNC_BARRIER, 0, 3, generation_over},
	{"barrier-broken", IPK_SYNC_BARRIER, 0, 2, broken},
	{"barrier-dead-guard", IPK_SYNC_BARRIER, 0, 3, dead_in_the_guard},
};

/* --- inputs -------------------------------------------------------------------------------------------------------- */

/* The calls of a script: each once, or some again and again. */
static struct fuzz_step step_of(int style, int i)
{
	struct fuzz_step step = {(uint8_t)(style == 2 ? SCRIPT - i : i), 0, 0, 0, 0, (uint16_t)(style * 0x1555 + i)};

	step.argument = (uint8_t)((i % 3 == 2 ? 0x80 : 0) | (i & 3) | (style == 1 && i % 5 == 0 ? 0x40 : 0));
	step.deadline = (uint8_t)(style == 0 ? (i & 1 ? 200 : 0) : 40 * (i % 7));
	step.peer = (uint8_t)(style == 0 ? 0 : (i % 4) << 4 | (1 + (i + style) % 9));
	step.where = (uint16_t)(LINE + 4 * (i * style % 16));
	return step;
}

/* The same of a ring: in order by each view; then at random, and in the end also after a fork or a close. */
static struct fuzz_step ring_step_of(int style, int i)
{
	static const uint8_t deadlines[] = {0, 120, 160, 200, 200, 244};
	static const uint8_t words[] = {0, 0, 8, 16, 64, 72}; /* of a line: where rings have something */
	uint64_t random = ((uint64_t)style * SCRIPT + (uint64_t)i + 1) * UINT64_C(0x9E3779B97F4A7C15);
	struct fuzz_step step = {0, 0, 0, 0, 0, 0};

	random ^= random >> 29;
	step.call = (uint8_t)(style < 2 ? i : (int)(random >> 8) % (i < SCRIPT * 3 / 4 ? FUZZ_FORKS : FUZZ_CLOSES + 1));
	step.argument = (uint8_t)(style < 2 ? (i / 6 % 2 ? 0x80 : 0) | (i & 3) : random >> 16);
	step.deadline = deadlines[(random >> 24) % sizeof(deadlines)];
	if (style > 0 && (random >> 32) % 3 == 0) {
		step.peer = (uint8_t)((random >> 36) % 6 << 4 | (1 + (random >> 40) % 9));
		step.where = (uint16_t)(0x8000 | ((random >> 44) % 10 * IPK_LINE + words[(random >> 50) % sizeof(words)]));
	}
	step.value = (uint16_t)(style < 2 ? style << 14 | i : (int)(random >> 48));
	return step;
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
	setting.options = style & 1 ? FUZZ_SPINS : 0;
	memcpy(input, &setting, sizeof(setting));
	memcpy(input + at, content, size);
	fuzz_delocalise(input + at, size);
	at += size;
	for (int i = 0; i < SCRIPT; i++) {
		struct fuzz_step step = setting.subject == FUZZ_RING ? ring_step_of(style, i) : step_of(style, i);

		memcpy(input + at, &step, sizeof(step));
		at += sizeof(step);
	}
	snprintf(full, sizeof(full), "%s.%d", name, style);
	taker(full, input, at);
}

static void make_object(uint32_t kind, uint32_t options, uint32_t count, size_t size)
{
	struct ipk_member *maker = &fuzz_members[US];

	place = fuzz_region + FUZZ_ROOM - size;
	memset(place, 0, size);
	memset(views, 0, sizeof(views));
	memset(mutexes, 0, sizeof(mutexes));
	memset(waits, 0, sizeof(waits));
	memset(parties, 0, sizeof(parties));
	expect(ipk_sync_begin(place, maker, size) == 0, "begin");
	format(kind, maker, options);
	expect(ipk_sync_publish(place, maker, kind, options, count, (uint32_t)size) == 0, "publish");
	for (int i = 0; i < 3; i++) {
		expect(ipk_sync_attach(&views[i], place, size, &fuzz_members[i], kind) == 0, "attach");
		if (kind == IPK_SYNC_CONDITION)
			expect(ipk_sync_attach(&mutexes[i], place + IPK_CONDITION_MUTEX, IPK_MUTEX_SIZE, &fuzz_members[i],
					       IPK_SYNC_MUTEX) == 0,
			       "attach mutex");
	}
}

/* The same object in a segment of its own. */
static void give_segment(const char *name, uint32_t kind, size_t size)
{
	static unsigned char file[IPK_SEGMENT_HEADER + FUZZ_ROOM];
	struct ipk_segment_shm *header = (struct ipk_segment_shm *)(void *)file;
	struct fuzz_setting setting = {FUZZ_SEGMENT, (uint8_t)kind, 0, 0, 0, 0};
	char full[64];

	memset(file, 0, IPK_SEGMENT_HEADER);
	atomic_store(&header->magic, IPK_SEGMENT_MAGIC);
	header->kind = IPK_KIND_SYNC;
	header->size = IPK_SEGMENT_HEADER + size;
	memcpy(file + IPK_SEGMENT_HEADER, place, size);
	fuzz_delocalise(file + IPK_SEGMENT_HEADER, size);
	setting.lines = (uint16_t)(header->size / 16);
	snprintf(full, sizeof(full), "segment-%s", name);
	fuzz_give_seed(full, 0, setting, file, (size_t)header->size);
}

void fuzz_make_seeds(void (*take)(const char *name, const uint8_t *data, size_t size))
{
	taker = take;
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		size_t size = (size_t)ipk_sync_size(states[i].kind, states[i].count);
		struct fuzz_setting setting = {FUZZ_OBJECT, (uint8_t)states[i].kind, 0, 0, (uint16_t)(size / LINE), 0};

		fuzz_join(&fuzz_members[DEAD], FUZZ_THIRD);
		fuzz_members[DEAD].self.start_time++; /* what it records is of no process that runs */
		make_object(states[i].kind, states[i].options, states[i].count, size);
		states[i].make();
		ipk_member_close(&fuzz_members[DEAD]);
		for (int style = 0; style < OBJECT_STYLES; style++)
			fuzz_give_seed(states[i].name, style, setting, place, size);
		if (states[i].make == nothing)
			give_segment(states[i].name, states[i].kind, size);
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
