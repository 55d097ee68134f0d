/* Messages written and read where they lie: the calls for them of all lanes that have such.
 *
 * A claim is entered in what the caller gives, inside the call that makes it, where no signal handler can raise: so the
 * caller knows, whatever exception it gets, what it has. With OpenClaims (claim.h) the call makes the object to return, too.
 * The twin on cffi: ipckit/ring/_inplace_lane.py.
 */
#ifndef IPCKIT_LANE_INPLACE_H
#define IPCKIT_LANE_INPLACE_H

#include "lane.h"

struct inplace_lane;

/* How one kind of ring does it. All return 0 or -errno where nothing else is said; none raises. */
struct inplace_kind {
	/* Make room; *offset: where it is in the data. -EAGAIN: there is none now. */
	int (*reserve)(struct inplace_lane *lane, uint64_t length, uint64_t *offset);
	/* Wait for that, without the GIL, a slice at the most. Also what the lane's method is to return instead. */
	long long (*wait_room)(struct inplace_lane *lane, uint64_t length, int64_t deadline_ns);
	int (*commit)(struct inplace_lane *lane, uint64_t length);
	int (*abort)(struct inplace_lane *lane);
	/* Lend the next message; *offset: where it is. Returns its length. -EAGAIN: there is none now. */
	int64_t (*lend)(struct inplace_lane *lane, uint64_t *offset);
	long long (*wait_message)(struct inplace_lane *lane, int64_t deadline_ns);
	int (*release)(struct inplace_lane *lane);
	int (*put_back)(struct inplace_lane *lane);
};

/* A lane that has these calls; a lane's own fields may follow. */
struct inplace_lane {
	struct memory_lane base;
	const struct inplace_kind *kind; /* r/o after init */
};

/* As memory_lane_new. */
PyObject *inplace_new(PyTypeObject *type, PyObject *args, PyObject *kwargs, const struct inplace_kind *kind);

/* reserve(n: int, deadline_ns: int, claim: list) -> 0, and appends where the room is in the data; or what wait_room says
 * reserve(n: int, deadline_ns: int, claims: OpenClaims) -> the reservation; or that */
PyObject *inplace_reserve(PyObject *self, PyObject *const *args, Py_ssize_t count);

/* commit(length: int) -> 0 or -errno */
PyObject *inplace_commit(PyObject *self, PyObject *length);

/* abort() -> 0 or -errno */
PyObject *inplace_abort(PyObject *self, PyObject *none);

/* lend(deadline_ns: int, claim: list) -> the length of the next message, and appends where it is; or what wait_message says
 * lend(deadline_ns: int, claims: OpenClaims) -> the loan; or that */
PyObject *inplace_lend(PyObject *self, PyObject *const *args, Py_ssize_t count);

/* release() -> 0 or -errno */
PyObject *inplace_release(PyObject *self, PyObject *none);

/* put_back() -> 0 or -errno */
PyObject *inplace_put_back(PyObject *self, PyObject *none);

/* Undo what was lent, or else reserved. */
void inplace_give_up(struct inplace_lane *lane, int lent);

/* Of a table of methods. */
#define INPLACE_SENDING                                                                      \
	{"reserve", (PyCFunction)(void (*)(void))inplace_reserve, METH_FASTCALL, NULL},      \
	{"commit", inplace_commit, METH_O, NULL},                                            \
	{"abort", inplace_abort, METH_NOARGS, NULL}
#define INPLACE_RECEIVING                                                                    \
	{"lend", (PyCFunction)(void (*)(void))inplace_lend, METH_FASTCALL, NULL},            \
	{"release", inplace_release, METH_NOARGS, NULL},                                     \
	{"put_back", inplace_put_back, METH_NOARGS, NULL}

#endif
