/* How long a close waits for the call of another thread that is inside: it leaves soon, if it gets to run. Private to src/. */
#ifndef IPCKIT_SRC_LEAVING_H
#define IPCKIT_SRC_LEAVING_H

#include <sched.h>

#include "ipckit/base.h"

#define LEAVE_NS 100000000 /* a virtual machine's processor may be away for tens of milliseconds */
#define LEAVE_YIELDS 16     /* at least so many: on a loaded machine the time is over before the other has run */

struct leaving {
	int64_t end; /* 0: not begun */
	int yields;
};

/* Let others run. Returns 0 when that was long enough. A limit of yields alone is one of minutes where each gives a slice away. */
static inline int let_leave(struct leaving *leaving)
{
	if (leaving->end == 0)
		leaving->end = ipk_monotonic_ns() + LEAVE_NS;
	else if (leaving->yields >= LEAVE_YIELDS && ipk_monotonic_ns() >= leaving->end)
		return 0;
	leaving->yields++;
	sched_yield();
	return 1;
}

#endif
