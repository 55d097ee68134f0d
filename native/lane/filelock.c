/* Locks on files: an attempt to take one, and giving it back. Python's fcntl builds an object for the kernel's struct, and
 * another for its answer; that takes longer than the lock. Each call releases the GIL, for a network file system may wait
 * for its server.
 */
#include "lane.h"

#include <errno.h>

#include "ipckit/filelock.h"

enum kept { NOTHING, SHARED, EXCLUSIVE };

struct filelock_lane {
	PyObject_HEAD
	int fd;         /* -1: closed */
	int kind;       /* IPK_FILELOCK_*; r/o after init, as the rest */
	int64_t start;  /* bytes */
	int64_t length; /* bytes, 0: to the end of the file */
	enum kept held; /* what was taken and not given back; it changes in one step with the lock, as a signal handler sees it */
	int here;       /* whether in this process, and not in one of which it is a fork */
};

static struct filelock_lane *as_filelock_lane(PyObject *self)
{
	return (struct filelock_lane *)(void *)self;
}

static PyObject *lane_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	long long start, length;
	PyObject *self;
	int fd, kind;

	if (lane_refuse_keywords(kwargs) < 0)
		return NULL;
	if (!PyArg_ParseTuple(args, "iiLL", &fd, &kind, &start, &length))
		return NULL;
	self = lane_allocate(type);
	if (!self)
		return NULL;
	as_filelock_lane(self)->fd = fd;
	as_filelock_lane(self)->kind = kind;
	as_filelock_lane(self)->start = (int64_t)start;
	as_filelock_lane(self)->length = (int64_t)length;
	return self;
}

static int attempt(const struct filelock_lane *lane, enum kept wanted)
{
	if (wanted == NOTHING)
		return ipk_filelock_release(lane->fd, lane->kind, lane->start, lane->length);
	return ipk_filelock_try(lane->fd, lane->kind, wanted == EXCLUSIVE, lane->start, lane->length);
}

/* Returns 0: it is done. -1: a signal handler raised, and nothing is. *outcome: 0 or -errno. */
static int attempt_until_done(struct filelock_lane *lane, enum kept wanted, int *outcome)
{
	int rc;

	do {
		Py_BEGIN_ALLOW_THREADS
		rc = attempt(lane, wanted);
		Py_END_ALLOW_THREADS
		if (rc == -EINTR && PyErr_CheckSignals() < 0)
			return -1;
	} while (rc == -EINTR);
	if (rc == 0) {
		lane->held = wanted;
		lane->here |= wanted != NOTHING;
	}
	*outcome = rc;
	return 0;
}

/* take(shared: bool) -> 0 or -errno */
static PyObject *lane_take(PyObject *self, PyObject *shared)
{
	int is_shared = PyObject_IsTrue(shared);
	int rc;

	if (is_shared < 0 || attempt_until_done(as_filelock_lane(self), is_shared ? SHARED : EXCLUSIVE, &rc) < 0)
		return NULL;
	return PyLong_FromLong(rc);
}

/* give() -> 0 or -errno */
static PyObject *lane_give(PyObject *self, PyObject *Py_UNUSED(none))
{
	int rc;

	return attempt_until_done(as_filelock_lane(self), NOTHING, &rc) < 0 ? NULL : PyLong_FromLong(rc);
}

/* enter(lock) -> lock, taken exclusively */
static PyObject *lane_enter(PyObject *self, PyObject *lock)
{
	int rc;

	if (attempt_until_done(as_filelock_lane(self), EXCLUSIVE, &rc) < 0)
		return NULL;
	return rc == 0 ? Py_NewRef(lock) : PyObject_CallMethod(lock, "_enter_waiting", NULL);
}

/* leave(lock): give it back */
static PyObject *lane_leave(PyObject *self, PyObject *lock)
{
	int rc = -EPERM;

	if (as_filelock_lane(self)->held != NOTHING && attempt_until_done(as_filelock_lane(self), NOTHING, &rc) < 0)
		return NULL;
	if (rc == 0)
		Py_RETURN_NONE;
	return PyObject_CallMethod(lock, "release", NULL); /* says why not */
}

static PyObject *get_held(PyObject *self, void *Py_UNUSED(closure))
{
	enum kept held = as_filelock_lane(self)->held;

	if (held == NOTHING)
		Py_RETURN_NONE;
	return PyBool_FromLong(held == SHARED);
}

static int set_held(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
	int shared = value ? PyObject_IsTrue(value) : 0;

	if (shared < 0)
		return -1;
	as_filelock_lane(self)->held = !value || value == Py_None ? NOTHING : shared ? SHARED : EXCLUSIVE;
	return 0;
}

static PyObject *get_here(PyObject *self, void *Py_UNUSED(closure))
{
	return PyBool_FromLong(as_filelock_lane(self)->here);
}

static int set_here(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
	int here = value ? PyObject_IsTrue(value) : 0;

	if (here < 0)
		return -1;
	as_filelock_lane(self)->here = here;
	return 0;
}

/* close(): every later call fails as on a closed descriptor, and nothing is held */
static PyObject *lane_close(PyObject *self, PyObject *Py_UNUSED(none))
{
	as_filelock_lane(self)->fd = -1;
	as_filelock_lane(self)->held = NOTHING;
	Py_RETURN_NONE;
}

static PyMethodDef lane_methods[] = {
	{"take", lane_take, METH_O, NULL},
	{"give", lane_give, METH_NOARGS, NULL},
	{"enter", lane_enter, METH_O, NULL},
	{"leave", lane_leave, METH_O, NULL},
	{"close", lane_close, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyGetSetDef lane_attributes[] = {
	{"held", get_held, set_held, "None, or whether what is held is shared", NULL},
	{"here", get_here, set_here, "whether something was taken in this process", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot lane_slots[] = {
	{Py_tp_doc, (void *)"FileLockLane(fd, kind, start, length): attempts at a lock on those bytes of a file."},
	{Py_tp_new, (void *)lane_new},
	{Py_tp_dealloc, (void *)lane_free},
	{Py_tp_methods, lane_methods},
	{Py_tp_getset, lane_attributes},
	{0, NULL},
};

PyType_Spec filelock_lane_spec = {
	"ipckit._lane.FileLockLane", (int)sizeof(struct filelock_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};
