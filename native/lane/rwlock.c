/* An RWLock taken or given back at once, and for one with block after the other.
 *
 * Python runs signal handlers at the beginning of each function in Python and behind each call. A block's are in C, so that no
 * exception of theirs can come between the lock and the block, or between the block and the release; up to CPython 3.13, which runs
 * none between __enter__ and the block, and but for a lock whose owner died: what is to be said of that, Python knows.
 */
#include "derived.h"

#include "ipckit/rwlock.h"

/* take_read() -> 0, or -errno */
static PyObject *lane_take_read(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_rwlock_read_try(lane_address(self)));
}

/* give_read() -> 0, or -errno */
static PyObject *lane_give_read(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_rwlock_read_release(lane_address(self)));
}

/* take_write() -> 0, or -errno */
static PyObject *lane_take_write(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_rwlock_write_try(lane_address(self)));
}

/* give_write() -> 0, or -errno */
static PyObject *lane_give_write(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_rwlock_write_release(lane_address(self)));
}

static PyMethodDef lane_methods[] = {
	{"take_read", lane_take_read, METH_NOARGS, NULL},
	{"give_read", lane_give_read, METH_NOARGS, NULL},
	{"take_write", lane_take_write, METH_NOARGS, NULL},
	{"give_write", lane_give_write, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot lane_slots[] = {
	{Py_tp_doc, (void *)"RWLockLane(owner, address): the calls of the view at that address, which owner keeps."},
	{Py_tp_new, (void *)memory_lane_new},
	{Py_tp_dealloc, (void *)memory_lane_dealloc},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

PyType_Spec rwlock_lane_spec = {
	"ipckit._lane.RWLockLane", (int)sizeof(struct memory_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};

struct rwlock_turn {
	PyObject_HEAD
	PyObject *lock;
	PyObject *acquired; /* what the block gets */
	int writing;	    /* r/o after init */
};

static struct rwlock_turn *as_turn(PyObject *self)
{
	return (struct rwlock_turn *)(void *)self;
}

static PyObject *turn_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	PyObject *lock, *acquired, *writing, *self;

	if (lane_refuse_keywords(kwargs) < 0)
		return NULL;
	if (!PyArg_UnpackTuple(args, "RWLockTurn", 3, 3, &lock, &acquired, &writing))
		return NULL;
	self = lane_allocate(type);
	if (!self)
		return NULL;
	as_turn(self)->lock = Py_NewRef(lock);
	as_turn(self)->acquired = Py_NewRef(acquired);
	as_turn(self)->writing = writing == Py_True;
	return self;
}

static void turn_dealloc(PyObject *self)
{
	Py_XDECREF(as_turn(self)->lock);
	Py_XDECREF(as_turn(self)->acquired);
	lane_free(self);
}

/* What the block does first, or last. */
struct step {
	const char *method; /* of the lane */
	int (*call)(struct ipk_sync *view);
};

static const struct step takes[] = {{"take_read", ipk_rwlock_read_try}, {"take_write", ipk_rwlock_write_try}};
static const struct step gives[] = {{"give_read", ipk_rwlock_read_release}, {"give_write", ipk_rwlock_write_release}};

/* By the lock's lane, which may be another than ours: that of a closed handle. Returns 0, or -1 with an exception set. */
static int take_step(const struct rwlock_turn *turn, const struct step *step, int *rc)
{
	PyObject *lane = PyObject_GetAttrString(turn->lock, "_lane");
	PyObject *outcome;

	if (!lane)
		return -1;
	if (PyType_GetSlot(Py_TYPE(lane), Py_tp_methods) == lane_methods) {
		*rc = step->call(lane_address(lane));
		Py_DECREF(lane);
		return 0;
	}
	outcome = PyObject_CallMethod(lane, step->method, NULL);
	Py_DECREF(lane);
	if (!outcome)
		return -1;
	*rc = (int)PyLong_AsLong(outcome);
	Py_DECREF(outcome);
	return *rc == -1 && PyErr_Occurred() ? -1 : 0;
}

/* After an attempt with that outcome: as `with lock._in_use()`, but that no handler runs behind it. */
static PyObject *take_slowly(const struct rwlock_turn *turn, int rc)
{
	PyObject *use = PyObject_CallMethod(turn->lock, "_in_use", NULL);
	PyObject *entered = use ? PyObject_CallMethod(use, "__enter__", NULL) : NULL;
	PyObject *got = NULL, *kind, *error, *trace, *left;

	if (entered) {
		got = PyObject_CallMethod(turn->lock, "_enter_slowly", "ii", rc, turn->writing);
		PyErr_Fetch(&kind, &error, &trace);
		left = PyObject_CallMethod(use, "__exit__", NULL);
		if (left) {
			PyErr_Restore(kind, error, trace);
		} else {
			Py_XDECREF(kind);
			Py_XDECREF(error);
			Py_XDECREF(trace);
			Py_CLEAR(got);
		}
		Py_XDECREF(left);
	}
	Py_XDECREF(entered);
	Py_XDECREF(use);
	return got;
}

/* __enter__() -> what acquire_read or acquire_write returns */
static PyObject *turn_enter(PyObject *self, PyObject *Py_UNUSED(none))
{
	const struct rwlock_turn *turn = as_turn(self);
	int rc;

	if (take_step(turn, &takes[turn->writing], &rc) < 0)
		return NULL;
	if (rc == 0)
		return Py_NewRef(turn->acquired);
	return take_slowly(turn, rc);
}

/* __exit__(*error) */
static PyObject *turn_exit(PyObject *self, PyObject *Py_UNUSED(error))
{
	const struct rwlock_turn *turn = as_turn(self);
	int rc;

	if (take_step(turn, &gives[turn->writing], &rc) < 0)
		return NULL;
	if (rc < 0)
		return derived_refused(turn->lock, rc, turn->writing ? "release_write" : "release_read");
	Py_RETURN_NONE;
}

static PyMethodDef turn_methods[] = {
	{"__enter__", turn_enter, METH_NOARGS, NULL},
	{"__exit__", turn_exit, METH_VARARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot turn_slots[] = {
	{Py_tp_doc, (void *)"RWLockTurn(lock, acquired, writing): what `reading` and `writing` return."},
	{Py_tp_new, (void *)turn_new},
	{Py_tp_dealloc, (void *)turn_dealloc},
	{Py_tp_methods, turn_methods},
	{0, NULL},
};

PyType_Spec rwlock_turn_spec = {
	"ipckit._lane.RWLockTurn", (int)sizeof(struct rwlock_turn), 0, Py_TPFLAGS_DEFAULT, turn_slots,
};
