/* storm_sync [SECONDS]: eight processes hammer objects of all kinds in one mapping, and are killed at random moments.
 *
 * Each process does one thing after another with all the objects, and checks all that must hold: mutual exclusion, that
 * a death is told, that nothing is torn without that, that permits are neither lost nor made, that each wait ends. The
 * parent kills them, stops some for a while, and starts others in their places; every few seconds it kills them all, and
 * checks what must hold when everybody is dead. Each process says where it is in words of shared memory: the histograms
 * show where the victims were, at least half of them inside a function of the core.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "ipckit/barrier.h"
#include "ipckit/condition.h"
#include "ipckit/event.h"
#include "ipckit/latch.h"
#include "ipckit/mutex.h"
#include "ipckit/once.h"
#include "ipckit/rwlock.h"
#include "ipckit/semaphore.h"
#include "ipckit/tracked_semaphore.h"
#include "storm_processes.h"
#include "storm_sync.h"
#include "support.h"

#define ROOM 65536
#define LIFE_MS 2500 /* until all are killed at once */
#define FASHION_NS (30 * MS)

struct storm *storm;
struct ipk_sync views[OBJECTS];
struct ipk_sync mutex_of_conditions;

static struct ipk_home home;
static int file;
static unsigned char *mapping;
static size_t offsets[OBJECTS];
static uint64_t rests;

static const struct {
	enum object first;
	uint32_t number, kind, options, count;
} objects[] = {
	{MUTEX, 1, IPK_SYNC_MUTEX, 0, 0},
	{RECURSIVE, 1, IPK_SYNC_MUTEX, IPK_MUTEX_RECURSIVE, 0},
	{RWLOCK, 1, IPK_SYNC_RWLOCK, 0, ENTRIES},
	{SEMAPHORE, 1, IPK_SYNC_SEMAPHORE, IPK_SEMAPHORE_BOUNDED, 0},
	{TRACKED, 1, IPK_SYNC_TRACKED_SEMAPHORE, 0, ENTRIES},
	{NOT_EMPTY, 1, IPK_SYNC_CONDITION, 0, ENTRIES},
	{NOT_FULL, 1, IPK_SYNC_CONDITION, 0, ENTRIES},
	{BARRIER, 1, IPK_SYNC_BARRIER, 0, PARTIES},
	{EVENT, 1, IPK_SYNC_EVENT, 0, 0},
	{EVENT + 1, EVENTS - 1, IPK_SYNC_EVENT, IPK_EVENT_AUTO_RESET, 0},
	{PAIR, 1, IPK_SYNC_EVENT_PAIR, 0, 0},
	{SIGNED, 1, IPK_SYNC_ATOMIC_INT64, 0, 0},
	{UNSIGNED, 1, IPK_SYNC_ATOMIC_UINT64, 0, 0},
	{FUTEX, 1, IPK_SYNC_FUTEX, 0, 0},
	{LATCH, LATCHES, IPK_SYNC_LATCH, 0, 0},
	{ONCE, ONCES, IPK_SYNC_ONCE, 0, 0},
};
#define KINDS (sizeof(objects) / sizeof(objects[0]))

static struct ipk_member *member(void)
{
	return ipk_home_member(&home);
}

static void attach_mutex_of_conditions(void)
{
	memset(&mutex_of_conditions, 0, sizeof(mutex_of_conditions));
	CHECK_EQ(ipk_sync_attach(&mutex_of_conditions, mapping + offsets[NOT_EMPTY] + IPK_CONDITION_MUTEX, IPK_MUTEX_SIZE, member(),
				 IPK_SYNC_MUTEX),
		 0);
}

static void format(size_t i, enum object object)
{
	void *place = mapping + offsets[object];

	switch (object) {
	case SEMAPHORE:
		ipk_semaphore_format(place, PERMITS, PERMITS);
		break;
	case TRACKED:
		ipk_tracked_semaphore_format(place, TRACKED_PERMITS);
		break;
	case NOT_EMPTY:
		CHECK_EQ(ipk_condition_format(place, member(), NULL, 0), 0);
		break;
	case NOT_FULL:
		attach_mutex_of_conditions();
		CHECK_EQ(ipk_condition_format(place, member(), &mutex_of_conditions, 0), 0);
		break;
	default:
		if (objects[i].kind == IPK_SYNC_LATCH)
			ipk_latch_format(place, LATCH_COUNT);
		break;
	}
}

static void make(size_t i)
{
	uint64_t size = ipk_sync_size(objects[i].kind, objects[i].count);

	for (uint32_t k = 0; k < objects[i].number; k++) {
		enum object object = objects[i].first + k;
		unsigned char *place = mapping + offsets[object];

		memset(place, 0, size);
		CHECK_EQ(ipk_sync_begin(place, member(), size), 0);
		format(i, object);
		CHECK_EQ(ipk_sync_publish(place, member(), objects[i].kind, objects[i].options, objects[i].count, (uint32_t)size), 0);
	}
}

static void attach(void)
{
	memset(&home, 0, sizeof(home));
	memset(views, 0, sizeof(views));
	CHECK_EQ(ipk_home_adopt(&home, dup(file)), 0);
}

static void attach_all(void)
{
	for (size_t i = 0; i < KINDS; i++)
		for (uint32_t k = 0; k < objects[i].number; k++) {
			enum object object = objects[i].first + k;

			CHECK_EQ(ipk_sync_attach(&views[object], mapping + offsets[object], ROOM - offsets[object], member(),
						 objects[i].kind),
				 0);
		}
	attach_mutex_of_conditions();
}

void storm_attach(void)
{
	ipk_member_forked(member());
	attach();
	attach_all();
	if (storm_random(2))
		for (int i = 0; i < OBJECTS; i++)
			ipk_sync_set_spin(&views[i], 0);
}

/* Mostly what the others do too at that time, so that they meet. */
const struct work *storm_next_work(int64_t now)
{
	size_t all = lock_work_count + meeting_work_count;
	size_t which = (size_t)(storm_random(8) ? (uint64_t)(now / FASHION_NS) * 7 % all : storm_random(all));

	return which < lock_work_count ? &lock_works[which] : &meeting_works[which - lock_work_count];
}

void storm_before_death(int i)
{
	locks_before_death(i);
}

void storm_after_death(int i)
{
	locks_after_death(i);
}

int storm_owner(void)
{
	uint32_t owner = atomic_load(&storm->guarded[storm_random(3)].owner);

	return owner ? (int)((owner & 0xFF) - 1) % PROCESSES : -1;
}

static void show_words(const char *name, enum object object, size_t from, size_t count)
{
	fprintf(stderr, "%s:", name);
	for (size_t i = 0; i < count; i++)
		fprintf(stderr, " %08" PRIx32, atomic_load((_Atomic uint32_t *)(void *)(mapping + offsets[object] + from) + i));
	fprintf(stderr, "\n");
}

void storm_show_objects(void)
{
	show_words("mutex", MUTEX, 64, 4);
	show_words("recursive mutex", RECURSIVE, 64, 4);
	show_words("rwlock, lock", RWLOCK, 64, 4);
	show_words("rwlock, gate", RWLOCK, 128, 4);
	show_words("semaphore", SEMAPHORE, 64, 2);
	show_words("tracked semaphore, guard", TRACKED, 64, 4);
	show_words("tracked semaphore", TRACKED, 128, 2);
	show_words("conditions, mutex", NOT_EMPTY, 128, 4);
	show_words("barrier, guard", BARRIER, 64, 4);
	show_words("barrier", BARRIER, 128, 3);
	for (size_t i = 0; i < ENTRIES; i++) {
		show_words("slot of not-empty", NOT_EMPTY, 256 + 64 * i, 1);
		show_words("slot of not-full", NOT_FULL, 256 + 64 * i, 1);
		show_words("entry of rwlock", RWLOCK, 256 + 64 * i, 4);
		show_words("entry of tracked semaphore", TRACKED, 256 + 64 * i, 4);
	}
	for (int i = 0; i < PROCESSES; i++)
		fprintf(stderr, "process %d: permit %u, holds %" PRIx64 " %" PRIx64 " %" PRIx64 "\n", i,
			atomic_load(&storm->of[i].permit), atomic_load(&storm->of[i].hold[0]), atomic_load(&storm->of[i].hold[1]),
			atomic_load(&storm->of[i].hold[2]));
	fprintf(stderr, "put %" PRIu64 ", got %" PRIu64 "; latch %u, once %u\n", atomic_load(&storm->put), atomic_load(&storm->got),
		atomic_load(&storm->latch), atomic_load(&storm->once));
}

static void prepare(void)
{
	size_t offset = 0;

	storm = shared_memory(sizeof(*storm));
	file = memfd_create("storm", MFD_CLOEXEC);
	CHECK(file >= 0);
	CHECK_EQ(ftruncate(file, ROOM), 0);
	mapping = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	CHECK(mapping != MAP_FAILED);
	for (size_t i = 0; i < KINDS; i++)
		for (uint32_t k = 0; k < objects[i].number; k++) {
			offsets[objects[i].first + k] = offset;
			offset += ipk_sync_size(objects[i].kind, objects[i].count);
		}
	CHECK(offset <= ROOM);
	attach();
	for (size_t i = 0; i < KINDS; i++)
		make(i);
	attach_all();
}

/* What is used up is made anew. */
static void renew(void)
{
	for (size_t i = 0; i < KINDS; i++)
		if (objects[i].kind == IPK_SYNC_LATCH || objects[i].kind == IPK_SYNC_ONCE)
			make(i);
	attach_all();
	memset(storm->counted, 0, sizeof(storm->counted));
	memset(storm->runner, 0, sizeof(storm->runner));
	memset(storm->done, 0, sizeof(storm->done));
	atomic_store(&storm->latch, 0);
	atomic_store(&storm->once, 0);
}

static void kill_all(void)
{
	for (int i = 0; i < PROCESSES; i++)
		storm_death(i);
	locks_at_rest(storm_kills);
	meetings_at_rest(storm_kills);
	rests++;
	renew();
}

static void show_deaths_of_owners(void)
{
	static const char *const names[] = {"mutex", "recursive mutex", "writers"};

	printf("%" PRIu64 " times everybody was dead. Owners whose death was told, of all that came in:", rests);
	for (int i = 0; i < 3; i++)
		printf(" %s %" PRIu64 " of %" PRIu64 ",", names[i], atomic_load(&storm->guarded[i].told),
		       atomic_load(&storm->guarded[i].entered));
	printf(" mutex of the conditions %" PRIu64 "\n", atomic_load(&storm->waited[2]));
}

static void show_totals(void)
{
	show_deaths_of_owners();
	printf("%" PRIu64 " items through the buffer, %" PRIu64 " waits notified, %" PRIu64 " timed out; ", atomic_load(&storm->got),
	       atomic_load(&storm->waited[0]), atomic_load(&storm->waited[1]));
	printf("%" PRIu64 " passed the barrier, %" PRIu64 " were turned away; ", atomic_load(&storm->waited[3]),
	       atomic_load(&storm->broken));
	printf("%" PRIu64 " latches opened, %" PRIu64 " things done once\n", atomic_load(&storm->opened),
	       atomic_load(&storm->completed));
	for (int i = 0; i < 3; i++)
		CHECK(atomic_load(&storm->guarded[i].entered) > 0);
	CHECK(atomic_load(&storm->got) > 0 && atomic_load(&storm->waited[0]) > 0 && atomic_load(&storm->waited[3]) > 0);
	CHECK(atomic_load(&storm->opened) > 0 && atomic_load(&storm->completed) > 0);
}

int main(int argc, char **argv)
{
	uint32_t seconds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : 30;
	int64_t end = ipk_monotonic_ns() + seconds * INT64_C(1000000000);

	storm_open();
	prepare();
	watchdog(60 + seconds * 2, storm_show);
	do {
		int64_t until = storm_after(LIFE_MS);

		storm_rage(until < end ? until : end);
		kill_all();
	} while (ipk_monotonic_ns() < end);
	storm_report();
	show_totals();
	return 0;
}
