/* Eight processes that hammer objects of synchronisation of all kinds: what the parts of storm_sync share. */
#ifndef IPCKIT_TESTS_STORM_SYNC_H
#define IPCKIT_TESTS_STORM_SYNC_H

#include "ipckit/home.h"
#include "ipckit/sync.h"
#include "storm.h"

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

/* What a process has. */
struct possessions {
	_Atomic uint64_t hold[HOLDS];
	_Atomic uint32_t permit; /* enum permit_state */
	_Atomic uint64_t added[2];
};

/* What a lock protects: all are the same, unless somebody died amid a change. */
struct guarded {
	_Atomic uint32_t owner; /* storm_me of whoever is inside */
	_Atomic uint64_t copies[4];
	_Atomic uint64_t entered, told;
};

struct storm {
	struct possessions of[PROCESSES];
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

/* --- what the processes do: storm_of_locks.c, storm_of_meetings.c ---------------------------------------------------- */

extern const struct work lock_works[], meeting_works[];
extern const size_t lock_work_count, meeting_work_count;

/* All are dead, and none was started yet: check what must hold then, and put right what a death may cost. kills: of all. */
void locks_at_rest(uint64_t kills);
void meetings_at_rest(uint64_t kills);

/* A process is about to be killed, and it is dead: what it held, and the permit that it had. */
void locks_before_death(int i);
void locks_after_death(int i);

/* How many victims since the last rest may have had a permit of the plain semaphore, or may not. */
extern uint32_t storm_ambiguous;

#endif
