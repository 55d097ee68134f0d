/* The calls of SpscLane for messages in place, and what they share with the others.
 *
 * A claim is entered in a list of the caller's inside the call that makes it, where no signal handler can raise: so the
 * caller knows, whatever exception it gets, what it has.
 */
#ifndef IPCKIT_SPSC_LANE_H
#define IPCKIT_SPSC_LANE_H

#include "lane.h"

/* ipk_spsc_try_receive, waiting until the deadline (an int, ns) for a message. -EINTR: an exception is set. */
int64_t spsc_lend(struct ipk_spsc *ring, PyObject *deadline);

/* reserve(n: int, deadline_ns: int, claim: list) -> 0, and appends where the room is in the data; or -errno */
PyObject *spsc_lane_reserve(PyObject *self, PyObject *const *args, Py_ssize_t count);

/* commit(length: int) -> 0 or -errno */
PyObject *spsc_lane_commit(PyObject *self, PyObject *number);

/* abort() */
PyObject *spsc_lane_abort(PyObject *self, PyObject *none);

/* lend(deadline_ns: int, claim: list) -> the length of the oldest message, and appends where it is; or -errno */
PyObject *spsc_lane_lend(PyObject *self, PyObject *const *args, Py_ssize_t count);

/* release() */
PyObject *spsc_lane_release(PyObject *self, PyObject *none);

/* put_back() */
PyObject *spsc_lane_put_back(PyObject *self, PyObject *none);

#endif
