/* look.h: what a look finds, that nobody notices it, and that nothing in the file can hurt it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "ipckit/atomic.h"
#include "ipckit/barrier.h"
#include "ipckit/event.h"
#include "ipckit/event_pair.h"
#include "ipckit/home.h"
#include "ipckit/latch.h"
#include "ipckit/look.h"
#include "ipckit/mutex_pi.h"
#include "ipckit/once.h"
#include "ipckit/rwlock.h"
#include "ipckit/semaphore.h"
#include "ipckit/tracked_semaphore.h"
#include "support.h"

#define CAPACITY 4096
#define GARBAGE_ROUNDS 4000

static struct ipk_look *look;
static struct ipk_segment_info info;
static struct ipk_look_participant who;
static char name[NAME_SIZE];
static _Atomic uint32_t *checkpoint;
static int eye; /* our own descriptor of the file, for reading only */

/* --- that nobody notices ------------------------------------------------------------------------------------------- */

static unsigned char *before;
static size_t length;

static void open_eye(const char *path)
{
	struct stat st;

	eye = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(eye >= 0);
	CHECK_EQ(fstat(eye, &st), 0);
	length = (size_t)st.st_size;
	before = malloc(length);
	CHECK(before != NULL);
	CHECK_EQ(pread(eye, before, length, 0), length);
}

/* The file is as it was. */
static void close_eye(void)
{
	unsigned char *now = malloc(length);

	CHECK(now != NULL);
	CHECK_EQ(pread(eye, now, length, 0), length);
	CHECK_EQ(memcmp(now, before, length), 0);
	free(now);
	free(before);
	close(eye);
}

static void begin(uint32_t kind)
{
	int open_ones = open_descriptors(), mapped = mappings();

	CHECK_EQ(ipk_look_begin(look, eye, &info), 0);
	CHECK_EQ(info.kind, kind);
	CHECK_EQ(info.size, length);
	CHECK_EQ(info.creator.pid, getpid());
	CHECK_EQ(open_descriptors(), open_ones);
	CHECK_EQ(mappings(), mapped);
}

static void participant(uint32_t index, uint32_t role, pid_t pid, int lives)
{
	CHECK_EQ(ipk_look_participant(look, index, &who), 1);
	CHECK_EQ(who.role, role);
	CHECK_EQ(who.pid, pid);
	CHECK_EQ(who.lives, lives);
}

/* --- rings --------------------------------------------------------------------------------------------------------- */

static void consume_and_stay(void *ring)
{
	struct ipk_spsc *view = aligned_alloc(128, (sizeof(*view) + 127) / 128 * 128);

	CHECK(view != NULL && ring != NULL);
	memset(view, 0, sizeof(*view));
	CHECK_EQ(ipk_spsc_attach(view, open(name, O_RDWR | O_CLOEXEC)), 0);
	CHECK(ipk_spsc_try_receive(view) >= 0);
	atomic_store(checkpoint, 1);
	stay();
}

static void one_to_one(void)
{
	static struct ipk_spsc ring;
	struct ipk_spsc_stat stat;
	pid_t child;

	fresh_name(name);
	memset(&ring, 0, sizeof(ring));
	atomic_store(checkpoint, 0);
	CHECK_EQ(ipk_spsc_create(&ring, name, CAPACITY, IPK_SPSC_PATIENT, 0600), 0);
	CHECK_EQ(ipk_spsc_try_send(&ring, "one", 3), 0);
	CHECK_EQ(ipk_spsc_try_send(&ring, "three", 5), 0);
	child = start(consume_and_stay, &ring);
	await(checkpoint, 1);
	open_eye(name);
	begin(IPK_KIND_SPSC);
	CHECK_EQ(ipk_look_spsc(look, &stat), 0);
	CHECK_EQ(stat.capacity, CAPACITY);
	CHECK_EQ(stat.sent, 2);
	CHECK_EQ(stat.waiting, 2);
	CHECK_EQ(stat.options, IPK_SPSC_PATIENT);
	participant(0, IPK_LOOK_PRODUCER, getpid(), 1);
	participant(1, IPK_LOOK_CONSUMER, child, 1);
	CHECK_EQ(ipk_look_participant(look, 2, &who), -ENOENT);
	CHECK_EQ(ipk_look_end(look, IPK_LOOK_CONSUMER), IPK_ROSTER_OPEN);
	CHECK_EQ(ipk_look_passed(look, 0), 0);
	kill_child(child);
	participant(1, IPK_LOOK_CONSUMER, child, 0);
	close_eye();
	CHECK(ipk_spsc_try_receive(&ring) >= 0);
	ipk_spsc_release(&ring);
	ipk_spsc_close(&ring);
	open_eye(name);
	begin(IPK_KIND_SPSC);
	CHECK_EQ(ipk_look_spsc(look, &stat), 0);
	CHECK_EQ(ipk_look_passed(look, 0), 1);
	CHECK_EQ(ipk_look_end(look, IPK_LOOK_PRODUCER), IPK_ROSTER_CLOSED);
	CHECK_EQ(ipk_look_participant(look, 0, &who), 0);
	close_eye();
	ipk_spsc_unmap(&ring);
	unlink(name);
}

static void many_to_many(void)
{
	static struct ipk_mpmc ring;
	struct ipk_mpmc_options options = {CAPACITY, 7, 3, IPK_MPMC_LOSE, IPK_MPMC_DROP, IPK_MPMC_FILES, 0}, chosen;
	struct ipk_mpmc_stat stat;

	fresh_name(name);
	memset(&ring, 0, sizeof(ring));
	CHECK_EQ(ipk_mpmc_create(&ring, name, &options, 0600), 0);
	open_eye(name);
	begin(IPK_KIND_MPMC);
	CHECK_EQ(ipk_look_mpmc(look, &stat, &chosen), 0);
	CHECK_EQ(memcmp(&options, &chosen, sizeof(options)), 0);
	CHECK_EQ(ipk_look_participant(look, 0, &who), -ENOENT);
	CHECK_EQ(ipk_look_end(look, IPK_LOOK_PRODUCER), IPK_ROSTER_NOBODY_YET);
	close_eye();
	CHECK_EQ(ipk_mpmc_try_send(&ring, "one", 3, 0), 0);
	CHECK_EQ(ipk_mpmc_join(&ring, IPK_ROSTER_CONSUMER), 0);
	open_eye(name);
	begin(IPK_KIND_MPMC);
	CHECK_EQ(ipk_look_mpmc(look, &stat, &chosen), 0);
	CHECK_EQ(stat.depth, 1);
	CHECK_EQ(stat.consumers, 1);
	participant(0, IPK_LOOK_PRODUCER | IPK_LOOK_CONSUMER, getpid(), 1);
	CHECK_EQ(ipk_look_participant(look, 1, &who), -ENOENT);
	CHECK_EQ(ipk_look_passed(look, 0), 0);
	close_eye();
	ipk_mpmc_unmap(&ring);
	unlink(name);
}

static void one_to_all(void)
{
	static struct ipk_broadcast ring;
	static const char message[CAPACITY / 4];
	struct ipk_broadcast_stat stat;

	fresh_name(name);
	memset(&ring, 0, sizeof(ring));
	CHECK_EQ(ipk_broadcast_create(&ring, name, CAPACITY, IPK_BROADCAST_DISCONNECT, 2, 0600), 0);
	CHECK(ipk_broadcast_subscribe(&ring, 0) >= 0);
	CHECK_EQ(ipk_broadcast_try_send(&ring, "one", 3), 0);
	CHECK_EQ(ipk_broadcast_try_send(&ring, "two", 3), 0);
	open_eye(name);
	begin(IPK_KIND_BROADCAST);
	CHECK_EQ(ipk_look_broadcast(look, &stat), 0);
	CHECK_EQ(stat.policy, IPK_BROADCAST_DISCONNECT);
	CHECK_EQ(stat.depth, 2);
	participant(0, IPK_LOOK_PRODUCER | IPK_LOOK_CONSUMER, getpid(), 1);
	CHECK_EQ(who.behind, 48);
	close_eye();
	for (int i = 0; i < 8; i++)
		CHECK_EQ(ipk_broadcast_try_send(&ring, message, sizeof(message)), 0);
	open_eye(name);
	begin(IPK_KIND_BROADCAST);
	CHECK_EQ(ipk_look_broadcast(look, &stat), 0);
	participant(0, IPK_LOOK_PRODUCER | IPK_LOOK_CONSUMER | IPK_LOOK_CUT_OFF, getpid(), 1);
	CHECK_EQ(ipk_look_passed(look, 0), 1);
	close_eye();
	ipk_broadcast_unmap(&ring);
	unlink(name);
}

static void newest_value(void)
{
	static struct ipk_latest latest;
	struct ipk_latest_stat stat, own;

	fresh_name(name);
	memset(&latest, 0, sizeof(latest));
	CHECK_EQ(ipk_latest_create(&latest, name, 100, 3, 0600), 0);
	for (int i = 0; i < 3; i++) {
		open_eye(name);
		begin(IPK_KIND_LATEST);
		CHECK_EQ(ipk_look_latest(look, &stat), 0);
		CHECK_EQ(ipk_latest_stat(&latest, &own), 0);
		stat.writers = own.writers; /* that is told as a participant */
		CHECK_EQ(memcmp(&stat, &own, sizeof(stat)), 0);
		CHECK_EQ(stat.sequence, i);
		close_eye();
		CHECK_EQ(ipk_latest_send(&latest, "a value", 7), 0);
	}
	open_eye(name);
	begin(IPK_KIND_LATEST);
	CHECK_EQ(ipk_look_latest(look, &stat), 0);
	participant(0, IPK_LOOK_PRODUCER, getpid(), 1);
	CHECK_EQ(ipk_look_participant(look, 1, &who), -ENOENT);
	close_eye();
	ipk_latest_unmap(&latest);
	unlink(name);
}

/* --- objects of synchronisation ------------------------------------------------------------------------------------ */

static struct ipk_home home;
static struct ipk_sync view;
static struct ipk_sync_info sync_info;
static struct ipk_look_state state;

static void *make(uint32_t kind, uint32_t options, uint32_t count)
{
	uint64_t size = ipk_sync_size(kind, count);
	void *place;

	fresh_name(name);
	memset(&home, 0, sizeof(home));
	memset(&view, 0, sizeof(view));
	CHECK_EQ(ipk_home_create(&home, name, size, 0600), 0);
	place = ipk_home_place(&home);
	CHECK_EQ(ipk_sync_begin(place, ipk_home_member(&home), size), 0);
	if (kind == IPK_SYNC_CONDITION)
		CHECK_EQ(ipk_condition_format(place, ipk_home_member(&home), NULL, 0), 0);
	if (kind == IPK_SYNC_MUTEX && options & IPK_MUTEX_INHERITS)
		CHECK_EQ(ipk_mutex_pi_format(place), 0);
	if (kind == IPK_SYNC_SEMAPHORE)
		ipk_semaphore_format(place, 3, 5);
	if (kind == IPK_SYNC_TRACKED_SEMAPHORE)
		ipk_tracked_semaphore_format(place, 5);
	if (kind == IPK_SYNC_LATCH)
		ipk_latch_format(place, 4);
	if (kind == IPK_SYNC_ATOMIC_INT64)
		ipk_atomic_format(place, (uint64_t)-6);
	CHECK_EQ(ipk_sync_publish(place, ipk_home_member(&home), kind, options, count, (uint32_t)size), 0);
	CHECK_EQ(ipk_home_publish(&home, name), 0);
	CHECK_EQ(ipk_sync_attach(&view, place, size, ipk_home_member(&home), kind), 0);
	return place;
}

static void look_again(uint32_t kind)
{
	open_eye(name);
	begin(IPK_KIND_SYNC);
	CHECK_EQ(ipk_look_sync(look, &sync_info, &state), 0);
	CHECK_EQ(sync_info.kind, kind);
}

static void drop(void)
{
	ipk_home_close(&home);
	unlink(name);
}

struct step {
	void (*act)(struct ipk_sync *);
};

/* Another member of the object's file does that step, and stays. */
static void act_and_stay(void *step)
{
	const struct step *its = step;
	struct ipk_home own = {0};
	struct ipk_sync mine = {0};

	CHECK_EQ(ipk_home_attach(&own, open(name, O_RDWR | O_CLOEXEC)), 0);
	CHECK_EQ(ipk_sync_attach(&mine, ipk_home_place(&own), ipk_home_room(&own), ipk_home_member(&own), sync_info.kind), 0);
	its->act(&mine);
	atomic_store(checkpoint, 1);
	stay();
}

static pid_t with_child(void (*act)(struct ipk_sync *))
{
	struct step step = {act};
	pid_t child;

	atomic_store(checkpoint, 0);
	child = start(act_and_stay, &step);
	await(checkpoint, 1);
	return child;
}

static void lock_mutex(struct ipk_sync *mine)
{
	CHECK_EQ(ipk_mutex_try(mine), 0);
}

static void mutexes(void)
{
	for (uint32_t options = 0; options <= IPK_MUTEX_INHERITS; options += IPK_MUTEX_INHERITS) {
		pid_t child;

		make(IPK_SYNC_MUTEX, options, 0);
		look_again(IPK_SYNC_MUTEX);
		CHECK_EQ(ipk_look_participant(look, 0, &who), 0);
		CHECK_EQ(state.flags, 0);
		close_eye();
		child = with_child(lock_mutex);
		look_again(IPK_SYNC_MUTEX);
		participant(0, IPK_LOOK_OWNER, child, 1);
		CHECK_EQ(who.thread, child);
		CHECK_EQ(ipk_look_participant(look, 1, &who), -ENOENT);
		close_eye();
		kill_child(child);
		look_again(IPK_SYNC_MUTEX);
		participant(0, IPK_LOOK_OWNER, child, 0);
		close_eye();
		CHECK_EQ(ipk_mutex_recover(&view), -EOWNERDEAD);
		look_again(IPK_SYNC_MUTEX);
		CHECK_EQ(state.flags, IPK_LOCK_DIED);
		close_eye();
		CHECK_EQ(ipk_mutex_release(&view), 0);
		look_again(IPK_SYNC_MUTEX);
		CHECK(state.flags & IPK_LOCK_LOST);
		close_eye();
		drop();
	}
}

static void read_lock(struct ipk_sync *mine)
{
	CHECK_EQ(ipk_rwlock_read_try(mine), 0);
	CHECK_EQ(ipk_rwlock_read_try(mine), 0);
}

static void readers_and_writers(void)
{
	pid_t child;

	make(IPK_SYNC_RWLOCK, 0, 4);
	look_again(IPK_SYNC_RWLOCK);
	close_eye();
	child = with_child(read_lock);
	look_again(IPK_SYNC_RWLOCK);
	CHECK_EQ(ipk_look_participant(look, 0, &who), 0);
	participant(1, IPK_LOOK_READER, child, 1);
	CHECK_EQ(who.count, 2);
	CHECK_EQ(ipk_look_participant(look, 2, &who), -ENOENT);
	close_eye();
	kill_child(child);
	look_again(IPK_SYNC_RWLOCK);
	participant(1, IPK_LOOK_READER, child, 0);
	close_eye();
	CHECK_EQ(ipk_rwlock_write_wait(&view, IPK_NEVER), 0);
	look_again(IPK_SYNC_RWLOCK);
	participant(0, IPK_LOOK_OWNER, getpid(), 1);
	CHECK_EQ(who.count, 1);
	close_eye();
	drop();
}

static void wait_for_condition(struct ipk_sync *mine)
{
	struct ipk_home own = {0};
	struct ipk_sync mutex = {0};
	struct ipk_condition_wait wait = {0};
	unsigned char *place = ipk_sync_place(mine);

	CHECK_EQ(ipk_home_attach(&own, open(name, O_RDWR | O_CLOEXEC)), 0);
	CHECK_EQ(ipk_sync_attach(&mutex, place + IPK_CONDITION_MUTEX, IPK_MUTEX_SIZE, mine->member, IPK_SYNC_MUTEX), 0);
	CHECK_EQ(ipk_mutex_try(&mutex), 0);
	CHECK_EQ(ipk_condition_begin(mine, &mutex, &wait), 0);
	CHECK_EQ(ipk_mutex_try(&mutex), 0);
}

static void arrive(struct ipk_sync *mine)
{
	struct ipk_barrier_wait wait = {0};

	CHECK_EQ(ipk_barrier_arrive(mine, &wait), 0);
}

static void meetings(void)
{
	pid_t child;

	make(IPK_SYNC_CONDITION, 0, 4);
	look_again(IPK_SYNC_CONDITION);
	CHECK_EQ(state.waiting, 0);
	close_eye();
	child = with_child(wait_for_condition);
	look_again(IPK_SYNC_CONDITION);
	CHECK_EQ(state.waiting, 1);
	participant(0, IPK_LOOK_OWNER, child, 1);
	participant(1, IPK_LOOK_WAITER, child, 1);
	close_eye();
	kill_child(child);
	look_again(IPK_SYNC_CONDITION);
	participant(1, IPK_LOOK_WAITER, child, 0);
	close_eye();
	drop();

	make(IPK_SYNC_BARRIER, 0, 3);
	look_again(IPK_SYNC_BARRIER);
	close_eye();
	child = with_child(arrive);
	look_again(IPK_SYNC_BARRIER);
	CHECK_EQ(state.waiting, 1);
	participant(0, IPK_LOOK_PARTY, child, 1);
	close_eye();
	kill_child(child);
	look_again(IPK_SYNC_BARRIER);
	participant(0, IPK_LOOK_PARTY, child, 0);
	close_eye();
	CHECK_EQ(ipk_barrier_end(&view, 0), 0);
	look_again(IPK_SYNC_BARRIER);
	CHECK_EQ(state.flags, IPK_LOOK_BROKEN);
	close_eye();
	drop();
}

static void numbers(void)
{
	make(IPK_SYNC_SEMAPHORE, IPK_SEMAPHORE_BOUNDED, 0);
	CHECK_EQ(ipk_semaphore_try(&view), 0);
	look_again(IPK_SYNC_SEMAPHORE);
	CHECK_EQ(state.value, 2);
	CHECK_EQ(state.limit, 5);
	close_eye();
	drop();

	make(IPK_SYNC_TRACKED_SEMAPHORE, 0, 4);
	CHECK_EQ(ipk_tracked_semaphore_try(&view), 0);
	CHECK_EQ(ipk_tracked_semaphore_try(&view), 0);
	look_again(IPK_SYNC_TRACKED_SEMAPHORE);
	CHECK_EQ(state.value, 3);
	CHECK_EQ(state.limit, 5);
	participant(0, IPK_LOOK_HOLDER, getpid(), 1);
	CHECK_EQ(who.count, 2);
	close_eye();
	drop();

	make(IPK_SYNC_LATCH, 0, 0);
	look_again(IPK_SYNC_LATCH);
	CHECK_EQ(state.value, 4);
	CHECK_EQ(ipk_look_participant(look, 0, &who), -ENOENT);
	close_eye();
	drop();

	make(IPK_SYNC_ATOMIC_INT64, 0, 0);
	look_again(IPK_SYNC_ATOMIC_INT64);
	CHECK_EQ((int64_t)state.value, -6);
	close_eye();
	drop();

	make(IPK_SYNC_FUTEX, 0, 0);
	ipk_futex_store(ipk_futex_word(&view), 77);
	look_again(IPK_SYNC_FUTEX);
	CHECK_EQ(state.value, 77);
	close_eye();
	drop();
}

static void events(void)
{
	make(IPK_SYNC_EVENT, 0, 0);
	look_again(IPK_SYNC_EVENT);
	CHECK_EQ(state.value, 0);
	close_eye();
	CHECK_EQ(ipk_event_set(&view), 0);
	look_again(IPK_SYNC_EVENT);
	CHECK_EQ(state.value, 1);
	close_eye();
	drop();

	make(IPK_SYNC_EVENT_PAIR, 0, 0);
	CHECK_EQ(ipk_event_pair_set(&view, IPK_EVENT_PAIR_HIGH), 0);
	look_again(IPK_SYNC_EVENT_PAIR);
	CHECK_EQ(state.value, 2);
	close_eye();
	drop();

	make(IPK_SYNC_ONCE, 0, 0);
	CHECK_EQ(ipk_once_try(&view), 0);
	look_again(IPK_SYNC_ONCE);
	participant(0, IPK_LOOK_OWNER, getpid(), 1);
	close_eye();
	CHECK_EQ(ipk_once_complete(&view), 0);
	look_again(IPK_SYNC_ONCE);
	CHECK_EQ(ipk_look_participant(look, 0, &who), 0);
	CHECK(state.flags & IPK_LOCK_LOST);
	close_eye();
	drop();
}

/* --- trust --------------------------------------------------------------------------------------------------------- */

/* Look at the file behind eye as at anything. Returns how many participants it is said to have. */
static uint32_t look_as_anything(void)
{
	struct ipk_spsc_stat spsc;
	struct ipk_mpmc_stat mpmc;
	struct ipk_mpmc_options chosen;
	struct ipk_broadcast_stat broadcast;
	struct ipk_latest_stat latest;
	uint32_t found = 0;
	int rc;

	ipk_look_begin(look, eye, &info);
	for (int kind = 0; kind < 5; kind++) {
		rc = kind == 0	 ? ipk_look_spsc(look, &spsc)
		     : kind == 1 ? ipk_look_mpmc(look, &mpmc, &chosen)
		     : kind == 2 ? ipk_look_broadcast(look, &broadcast)
		     : kind == 3 ? ipk_look_latest(look, &latest)
				 : ipk_look_sync(look, &sync_info, &state);
		if (rc < 0)
			continue;
		for (uint32_t i = 0; ipk_look_participant(look, i, &who) >= 0; i++)
			found++;
		ipk_look_passed(look, 0);
	}
	return found;
}

static void a_stranger_is_refused(void)
{
	int pipes[2];

	CHECK_EQ(pipe(pipes), 0);
	CHECK_EQ(ipk_look_begin(look, pipes[0], &info), -ENOMSG);
	close(pipes[0]);
	CHECK_EQ(ipk_look_begin(look, pipes[0], &info), -EBADF);
	close(pipes[1]);
	CHECK_EQ(look_as_anything(), 0);
	eye = memfd_create("look", MFD_CLOEXEC);
	CHECK_EQ(ipk_look_begin(look, eye, &info), -ENOMSG);
	CHECK_EQ(ftruncate(eye, INT64_C(1) << 40), 0); /* all holes */
	CHECK_EQ(ipk_look_begin(look, eye, &info), -ENOMSG);
	CHECK_EQ(look_as_anything(), 0);
	close(eye);
}

/* A segment that was cut short anywhere. */
static void torn(void)
{
	static struct ipk_mpmc ring;
	struct ipk_mpmc_options options = {CAPACITY, 0, 8, IPK_MPMC_LOSE, IPK_MPMC_DROP, IPK_MPMC_FILES, 0};
	struct ipk_mpmc_stat stat;

	memset(&ring, 0, sizeof(ring));
	fresh_name(name);
	CHECK_EQ(ipk_mpmc_create(&ring, name, &options, 0600), 0);
	open_eye(name);
	for (off_t size = (off_t)length - 1; size > 0; size -= 61) {
		CHECK_EQ(truncate(name, size), 0);
		CHECK_EQ(ipk_look_begin(look, eye, &info), size < IPK_SEGMENT_HEADER ? -ENOMSG : -EPROTO);
		CHECK_EQ(ipk_look_mpmc(look, &stat, &options), -EPROTO);
		CHECK_EQ(look_as_anything(), 0);
	}
	CHECK_EQ(truncate(name, (off_t)length), 0);
	free(before);
	close(eye);
	unlink(name);
	ipk_segment_close(&ring.segment); /* without a word into memory that is gone */
	ipk_member_close(&ring.member);
}

static void poke(int fd, uint64_t *seed, uint64_t size)
{
	static const uint64_t nasty[] = {0, 1, 0x7fffffff, 0x80000000, UINT64_MAX, UINT64_C(1) << 32, 4096, 4097};
	uint64_t word = random_below(seed, 2) ? nasty[random_below(seed, sizeof(nasty) / sizeof(nasty[0]))] : random_next(seed);
	uint64_t at = random_below(seed, size / 8) * 8;

	CHECK_EQ(pwrite(fd, &word, sizeof(word), (off_t)at), sizeof(word));
}

/* Garbage anywhere in a segment of any kind: errors and wrong numbers, bounded ones. */
static void garbage(void)
{
	static const struct {
		uint32_t kind, count;
	} kinds[] = {{IPK_SYNC_RWLOCK, 4}, {IPK_SYNC_CONDITION, 4}, {IPK_SYNC_BARRIER, 4}, {IPK_SYNC_MUTEX, 0}, {0, 0}, {0, 0}};
	static struct ipk_mpmc ring;
	static struct ipk_broadcast broadcast;
	struct ipk_mpmc_options options = {CAPACITY, 0, 8, IPK_MPMC_LOSE, IPK_MPMC_DROP, IPK_MPMC_FILES, 0};
	uint64_t seed = random_seed();

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		uint64_t begun;
		int writer;

		if (kinds[i].kind) {
			make(kinds[i].kind, 0, kinds[i].count);
		} else {
			fresh_name(name);
			memset(&ring, 0, sizeof(ring));
			memset(&broadcast, 0, sizeof(broadcast));
			CHECK_EQ(i == 4 ? ipk_mpmc_create(&ring, name, &options, 0600)
					: ipk_broadcast_create(&broadcast, name, CAPACITY, IPK_BROADCAST_BLOCK, 8, 0600),
				 0);
		}
		writer = open(name, O_RDWR | O_CLOEXEC);
		open_eye(name);
		for (int round = 0; round < GARBAGE_ROUNDS; round++) {
			begun = round % 2 ? IPK_SEGMENT_HEADER : 0; /* now and then with a header that is believed */
			CHECK_EQ(pwrite(writer, before, length, 0), length);
			for (int words = 0; words < 8; words++) {
				if (begun) {
					uint64_t word = random_next(&seed);
					uint64_t at = begun + random_below(&seed, (length - begun) / 8) * 8;

					CHECK_EQ(pwrite(writer, &word, sizeof(word), (off_t)at), sizeof(word));
				} else {
					poke(writer, &seed, length);
				}
			}
			CHECK_RANGE(look_as_anything(), 0, 5 * 2 * 4096);
		}
		CHECK_EQ(pwrite(writer, before, length, 0), length);
		close(writer);
		close_eye();
		if (kinds[i].kind)
			drop();
		ipk_mpmc_unmap(&ring);
		ipk_broadcast_unmap(&broadcast);
		unlink(name);
	}
}

int main(void)
{
	watchdog(60, NULL);
	checkpoint = shared_memory(sizeof(*checkpoint));
	look = calloc(1, sizeof(*look));
	CHECK(look != NULL);
	RUN(one_to_one);
	RUN(many_to_many);
	RUN(one_to_all);
	RUN(newest_value);
	RUN(mutexes);
	RUN(readers_and_writers);
	RUN(meetings);
	RUN(numbers);
	RUN(events);
	RUN(a_stranger_is_refused);
	RUN(torn);
	RUN(garbage);
	free(look);
	return 0;
}
