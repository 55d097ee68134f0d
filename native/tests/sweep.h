/* Kill a process after each instruction of an operation, and see the others go on. */
#ifndef IPCKIT_TESTS_SWEEP_H
#define IPCKIT_TESTS_SWEEP_H

#include <stddef.h>
#include <stdint.h>

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

/* Let a process with a view of its own, in `object`, call function, and kill it after that. */
void die_after(void (*function)(void));

/* An `unblock` for a sleep that ends by itself. */
void let_time_pass(void);

/* How long the slowest `outlive` may wait in one call, from now. */
int64_t promised(void);

/* Sweep all scenes; every: kill after each single instruction, else only where the object or the kernel's state has changed.
 * Prints the number of kills. */
void sweep(const struct scene *scenes, size_t count, int every);

/* Kill at each marked point of the sources, where the scene comes by there; a point without a scene fails the test. For
 * machines that forbid ptrace(2). Only where they are built with IPK_FAULTS. */
void sweep_points(const struct scene *scenes, size_t count);

#endif
