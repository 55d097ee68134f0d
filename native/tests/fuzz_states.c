/* The objects of synchronisation that fuzzing begins with: live ones of each kind, in each state that their users leave them in. */
#include <string.h>

#include "fuzz.h"
#include "ipckit/atomic.h"
#include "ipckit/barrier.h"
#include "ipckit/condition.h"
#include "ipckit/event.h"
#include "ipckit/event_pair.h"
#include "ipckit/latch.h"
#include "ipckit/mutex_pi.h"
#include "ipckit/once.h"
#include "ipckit/rwlock.h"
#include "ipckit/semaphore.h"
#include "ipckit/tracked_semaphore.h"

#define LINE 64

enum { US, ANOTHER, DEAD };

static struct ipk_sync views[3], mutexes[3]; /* by the enumeration; of a condition also its mutex */
static unsigned char *place;
static struct ipk_condition_wait waits[3];
static struct ipk_barrier_wait parties[3];

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

static void ours_waited(void)
{
	ours();
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

static void ours_deepest(void)
{
	ours();
	atomic_store(&((struct ipk_mutex_pi_shm *)(void *)place)->depth, UINT32_MAX);
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
	case IPK_SYNC_MUTEX:
		expect(!(options & IPK_MUTEX_INHERITS) || ipk_mutex_pi_format(place) == 0, "priority inheritance");
		break;
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
	{"mutex-pi-waited", IPK_SYNC_MUTEX, IPK_MUTEX_INHERITS, 0, ours_waited},
	{"mutex-pi-orphan", IPK_SYNC_MUTEX, IPK_MUTEX_INHERITS, 0, flag_64},
	{"mutex-pi-deepest", IPK_SYNC_MUTEX, IPK_MUTEX_INHERITS | IPK_MUTEX_RECURSIVE, 0, ours_deepest},
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

/* --- objects ------------------------------------------------------------------------------------------------------- */

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

int fuzz_make_state(size_t number, struct fuzz_state *state)
{
	size_t size;

	if (number >= sizeof(states) / sizeof(states[0]))
		return 0;
	size = (size_t)ipk_sync_size(states[number].kind, states[number].count);
	fuzz_join(&fuzz_members[DEAD], FUZZ_THIRD);
	fuzz_members[DEAD].self.start_time++; /* what it records is of no process that runs */
	make_object(states[number].kind, states[number].options, states[number].count, size);
	states[number].make();
	ipk_member_close(&fuzz_members[DEAD]);
	*state = (struct fuzz_state){states[number].name, states[number].kind, place, size};
	return 1;
}
