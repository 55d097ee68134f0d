/* Kill a process after each instruction of an operation, and see the others go on. */
#ifndef IPCKIT_TESTS_SWEEP_H
#define IPCKIT_TESTS_SWEEP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipckit/home.h"
#include "ipckit/sync.h"

#define DETECTION_NS (2 * IPK_SLICE_NS) /* what the documents promise */

/* One operation in one situation. All functions but `operate` run in the survivor. */
struct scene {
	const char *name;
	uint32_t kind, options, count; /* of the object: sync.h */
	void (*prepare)(void);	       /* bring it into the situation; the object is fresh, and `object` a view of it */
	void (*enter)(void);	       /* in the victim, before it is stepped: what it must have done already; may be NULL */
	void (*operate)(void);	       /* in the victim, `object` a view of its own: this is stepped */
	void (*unblock)(void);	       /* end the sleep of the victim, if it still does; NULL: it must not sleep */
	void (*outlive)(int completed); /* the victim is dead, with the operation completed or not: go on, and check all */
};

extern struct ipk_sync object; /* in each process its own view, of the scene's object */

/* Begin to be another member, in this process: a second view of the object. Ended by the end of the scene. */
struct ipk_sync *another_member(void);

/* Make view one of another object in the memory of the scene's, `offset` bytes from that one: of the member of `beside`. */
void attach_beside(struct ipk_sync *view, const struct ipk_sync *beside, uint64_t offset, uint32_t kind);

/* For `prepare`: have function called, in the survivor, when the victim has entered and before it is stepped. */
void when_entered(void (*function)(void));

/* For `prepare`: a change of these bytes, shared with the victim, is one as well. At most MOST_MORE. */
#define MOST_MORE 8192
void also_watch(const void *bytes, size_t size);

/* Let a process with a view of its own, in `object`, call function, and kill it after that; or when it sleeps in it. */
void die_after(void (*function)(void));
void die_asleep(void (*function)(void));

/* Start a process with a view of its own, in `object`, which ends with what function returns: 0, or -errno. Waits until it
 * sleeps, or has ended. */
pid_t start_sleeper(int (*function)(void));

/* Wait until a sleeper has ended, as long as is promised: what its function returned. */
int result_of(pid_t sleeper);

/* Wait until a sleeper sleeps: 1; or has ended: 0. And for several: how many have ended. */
int still_sleeps(pid_t sleeper);
int count_ended(const pid_t *sleepers, int count);

/* An `unblock` for a sleep that ends by itself. */
void let_time_pass(void);

/* How long one wait in `outlive` may last, from now on: to be called at its beginning, for it takes the time of each. */
int64_t promised(void);

/* What the object was like when the victim was killed, whatever the survivors have done with it since. */
const void *at_death(void);

/* Sweep all scenes; every: kill after each single instruction, else only where the object or the kernel's state has changed.
 * Prints the number of kills. */
void sweep(const struct scene *scenes, size_t count, int every);

/* Kill at each marked point of the sources, where the scene comes by there; a point without a scene fails the test. For
 * machines that forbid ptrace(2). Only where they are built with IPK_FAULTS. */
void sweep_points(const struct scene *scenes, size_t count);

#endif
