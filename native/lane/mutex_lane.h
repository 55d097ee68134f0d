/* What a condition asks of its mutex's lane. */
#ifndef IPCKIT_LANE_MUTEX_H
#define IPCKIT_LANE_MUTEX_H

#include <stdint.h>

#include "lane.h"

/* Wait for the mutex until the deadline. *outcome: as ipk_mutex_wait, but for -EAGAIN and -EINTR; -EBADF: the lane was closed, and nothing
 * is taken. Returns 0; -1: a signal handler raised, and nothing is taken. */
int mutex_lane_wait(struct closing_lane *lane, int64_t deadline_ns, int *outcome);

/* Whether an object is a MutexLane. */
int mutex_lane_is(PyObject *object);

#endif
