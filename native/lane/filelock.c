/* Locks on files: an attempt to take one, and giving it back. Python's fcntl builds an object for the kernel's struct, and
 * another for its answer; that takes longer than the lock. Each call releases the GIL, for a network file system may wait
 * for its server.
 */
#include "lane.h"

#include <errno.h>

#include "ipckit/filelock.h"

struct filelock_lane {
	PyObject_HEAD
	int fd;         /* -1: closed */
	int kind;       /* IPK_FILELOCK_*; r/o after init, as the rest */
	int64_t start;  /* bytes */
	int64_t length; /* bytes, 0: to the end of the file */
};

enum wanted { NONE, SHARED, EXCLUSIVE };

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

static int attempt(const struct filelock_lane *lane, enum wanted wanted)
{
	if (wanted == NONE)
		return ipk_filelock_release(lane->fd, lane->kind, lane->start, lane->length);
	return ipk_filelock_try(lane->fd, lane->kind, wanted == EXCLUSIVE, lane->start, lane->length);
}

static PyObject *attempt_until_done(PyObject *self, enum wanted wanted)
{
	int rc;

	do {
		Py_BEGIN_ALLOW_THREADS
		rc = attempt(as_filelock_lane(self), wanted);
		Py_END_ALLOW_THREADS
		if (rc == -EINTR && PyErr_CheckSignals() < 0)
			return NULL;
	} while (rc == -EINTR);
	return PyLong_FromLong(rc);
}

/* take(shared: bool) -> 0 or -errno */
static PyObject *lane_take(PyObject *self, PyObject *shared)
{
	int is_shared = PyObject_IsTrue(shared);

	return is_shared < 0 ? NULL : attempt_until_done(self, is_shared ? SHARED : EXCLUSIVE);
}

/* give() -> 0 or -errno */
static PyObject *lane_give(PyObject *self, PyObject *Py_UNUSED(none))
{
	return attempt_until_done(self, NONE);
}

/* close(): every later call fails as on a closed descriptor */
static PyObject *lane_close(PyObject *self, PyObject *Py_UNUSED(none))
{
	as_filelock_lane(self)->fd = -1;
	Py_RETURN_NONE;
}

static PyMethodDef lane_methods[] = {
	{"take", lane_take, METH_O, NULL},
	{"give", lane_give, METH_NOARGS, NULL},
	{"close", lane_close, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot lane_slots[] = {
	{Py_tp_doc, (void *)"FileLockLane(fd, kind, start, length): attempts at a lock on those bytes of a file."},
	{Py_tp_new, (void *)lane_new},
	{Py_tp_dealloc, (void *)lane_free},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

PyType_Spec filelock_lane_spec = {
	"ipckit._lane.FileLockLane", (int)sizeof(struct filelock_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};
