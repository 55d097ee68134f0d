/* Eight processes that work without end, and are killed: what the storms share. */
#ifndef IPCKIT_TESTS_STORM_H
#define IPCKIT_TESTS_STORM_H

#include <stdatomic.h>
#include <stdint.h>

#define PROCESSES 8
#define MS INT64_C(1000000)
#define PATIENCE (20000 * MS) /* whoever waits longer hangs */

struct process {
	_Atomic uintptr_t work;	 /* a string: what it does */
	_Atomic uintptr_t place; /* a string: the last kill point that it passed inside the core; 0: outside */
	_Atomic int64_t since;	 /* when it began that work */
	_Atomic uint64_t calls;	 /* of the core */
	_Atomic uint32_t generation;
	_Atomic uint32_t dying;
	_Atomic int64_t slowest; /* work, ns, since the storm began */
};

struct work {
	const char *name;
	void (*run)(void);
};

extern struct process *processes; /* PROCESSES of them */
extern struct process *self;	  /* NULL in the parent */

/* Which of them the calling process is. */
int storm_index(void);

/* A call of the core. */
#define INSIDE(call) (storm_enter(), storm_left((int64_t)(call)))
void storm_enter(void);
int64_t storm_left(int64_t rc);

/* The calling process in one word, never 0; and whether the one that such a word names is dead or about to be. */
uint32_t storm_me(void);
int storm_is_dead(uint32_t who);

uint64_t storm_random(uint64_t limit);

/* Be a while about it, so that others come by. */
void storm_dawdle(void);

/* A deadline that many ms from now. */
int64_t storm_after(int64_t ms);

/* What must not happen has happened: show all, and end. */
#define MUST(condition) ((condition) ? (void)0 : storm_broken(__FILE__, __LINE__, #condition))
_Noreturn void storm_broken(const char *file, int line, const char *what);

#endif
