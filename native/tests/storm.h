/* Eight processes that hammer objects of all kinds, and are killed: what the parts of storm_sync share. */
#ifndef IPCKIT_TESTS_STORM_H
#define IPCKIT_TESTS_STORM_H

#include <stdatomic.h>
#include <stdint.h>

#include "ipckit/home.h"
#include "ipckit/sync.h"

#define PROCESSES 8
#define PERMITS 3	   /* of the plain semaphore */
#define TRACKED_PERMITS 4
#define ENTRIES 12	   /* of tables: those of the dead are needed again */
#define PARTIES 3
#define LATCHES 64
#define LATCH_COUNT 6
#define ONCES 64
#define GENERATIONS 4096   /* of the barrier, that are remembered */
#define BUFFER 4
#define EVENTS 3	   /* one is manual-reset, the others auto-reset */
#define MS INT64_C(1000000)
#define PATIENCE (20000 * MS) /* whoever waits longer hangs */

/* The objects, all in one mapping. */
enum object {
	MUTEX,
	RECURSIVE,
	RWLOCK,
	SEMAPHORE,
	TRACKED,
	NOT_EMPTY, /* a condition with a mutex of its own */
	NOT_FULL,  /* a condition on the same mutex */
	BARRIER,
	EVENT, /* and the others */
	PAIR = EVENT + EVENTS,
	SIGNED,
	UNSIGNED,
	FUTEX,
	LATCH,
	ONCE = LATCH + LATCHES,
	OBJECTS = ONCE + ONCES
};

/* What is held, by how many: words in which each process says it, and the parent that it is about to be killed. */
enum hold { READS, HOLDS_PERMIT, HOLDS_TRACKED, HOLDS };
#define DYING UINT64_C(1)
#define HELD UINT64_C(2)
#define HELD_MASK UINT64_C(0xFE)
#define CHANGE UINT64_C(0x100)

enum permit_state { NO_PERMIT, TAKING, HAS_PERMIT, GIVING };

struct process {
	_Atomic uintptr_t work;	 /* a string: what it does */
	_Atomic uintptr_t place; /* a string: the last kill point that it passed inside the core; 0: outside */
	_Atomic int64_t since;	 /* when it began that work */
	_Atomic uint64_t calls;	 /* of the core */
	_Atomic uint32_t generation;
	_Atomic uint32_t dying;
	_Atomic uint64_t hold[HOLDS];
	_Atomic uint32_t permit; /* enum permit_state */
	_Atomic uint64_t added[2];
	_Atomic int64_t slowest; /* work, ns, since the storm began */
};

/* What a lock protects: all are the same, unless somebody died amid a change. */
struct guarded {
	_Atomic uint32_t owner; /* storm_me of whoever is inside */
	_Atomic uint64_t copies[4];
	_Atomic uint64_t entered, told;
};

struct storm {
	struct process process[PROCESSES];
	struct guarded guarded[3]; /* by MUTEX, RECURSIVE, RWLOCK */
	_Atomic uint64_t items[BUFFER], put, got;
	_Atomic int64_t buffer_changed;
	_Atomic uint64_t waited[4]; /* of condition waits: notified, timed out, told of a death; barriers passed */
	_Atomic uint64_t generation[GENERATIONS]; /* of the barrier: its number, and who passed or was turned away */
	_Atomic uint64_t acted, broken;
	_Atomic uint64_t sets[EVENTS + 2], takes[EVENTS + 2]; /* the last two: of the pair */
	_Atomic uint32_t latch, once;			      /* which is in use */
	_Atomic uint32_t counted[LATCHES];
	_Atomic uint32_t runner[ONCES];
	_Atomic uint64_t done[ONCES][2];
	_Atomic uint64_t opened, completed;
};

extern struct storm *storm;
extern struct ipk_sync views[OBJECTS]; /* of this process */
extern struct ipk_sync mutex_of_conditions;
extern struct process *self; /* NULL in the parent */

/* --- what the processes do: storm_of_locks.c, storm_of_meetings.c ---------------------------------------------------- */

struct work {
	const char *name;
	void (*run)(void);
};
extern const struct work lock_works[], meeting_works[];
extern const size_t lock_work_count, meeting_work_count;

/* All are dead, and none was started yet: check what must hold then, and put right what a death may cost. kills: of all. */
void locks_at_rest(uint64_t kills, uint32_t ambiguous_permits);
void meetings_at_rest(uint64_t kills);

/* --- storm.c --------------------------------------------------------------------------------------------------------- */

/* A call of the core. */
#define INSIDE(call) (storm_enter(), storm_left((int64_t)(call)))
void storm_enter(void);
int64_t storm_left(int64_t rc);

/* The calling process, as it stands in `owner`; and whether the one that stands there is dead or about to be. */
uint32_t storm_me(void);
int storm_is_dead(uint32_t who);

/* Say what we hold; and how much the living hold, at some moment, or -1 if they change it too fast to tell. */
void storm_hold(enum hold what, uint32_t n);
void storm_let_go(enum hold what, uint32_t n);
int storm_held(enum hold what);

uint64_t storm_random(uint64_t limit);

/* Be a while about it, so that others come by. */
void storm_dawdle(void);

/* A deadline that many ms from now. */
int64_t storm_after(int64_t ms);

/* What must not happen has happened: show all, and end. */
#define MUST(condition) ((condition) ? (void)0 : storm_broken(__FILE__, __LINE__, #condition))
_Noreturn void storm_broken(const char *file, int line, const char *what);

#endif
