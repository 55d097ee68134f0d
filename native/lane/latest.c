/* The newest value, written or read in one call. The bytes object that comes out is what the core copies into: there is no
 * copy but the one that is then found whole. */
#include "inplace.h"

#include <errno.h>

#include "ipckit/latest.h"

/* send(value: bytes) -> 0 or -errno */
static PyObject *lane_send(PyObject *self, PyObject *value)
{
	struct ipk_latest *latest = lane_address(self);
	Py_ssize_t length;
	char *data;
	int rc;

	if (PyBytes_AsStringAndSize(value, &data, &length) < 0)
		return NULL;
	if (length <= RELEASE_GIL_ABOVE)
		return PyLong_FromLong(ipk_latest_send(latest, data, (uint64_t)length));
	Py_BEGIN_ALLOW_THREADS
	rc = ipk_latest_send(latest, data, (uint64_t)length);
	Py_END_ALLOW_THREADS
	return PyLong_FromLong(rc);
}

static int copy(struct ipk_latest *latest, int newer, const struct ipk_latest_value *value, char *into)
{
	int rc;

	if (value->length <= RELEASE_GIL_ABOVE)
		return ipk_latest_copy(latest, newer, value, into);
	Py_BEGIN_ALLOW_THREADS
	rc = ipk_latest_copy(latest, newer, value, into);
	Py_END_ALLOW_THREADS
	return rc;
}

/* The newest value in *message, a new bytes object: 0, or as ipk_latest_read. -ENOMEM: an exception is set. */
static int take(struct ipk_latest *latest, int newer, PyObject **message)
{
	struct ipk_latest_value value;
	int rc = -ESTALE;

	for (int i = 0; i < IPK_LATEST_TRIES && rc == -ESTALE; i++) {
		rc = ipk_latest_look(latest, newer, &value);
		if (rc < 0)
			continue;
		*message = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)value.length);
		if (!*message)
			return -ENOMEM;
		rc = copy(latest, newer, &value, PyBytes_AsString(*message));
		if (rc < 0)
			Py_CLEAR(*message);
	}
	return rc;
}

static PyObject *result(int rc, PyObject *message)
{
	if (rc == -ENOMEM)
		return NULL;
	return rc == 0 ? message : PyLong_FromLong(rc);
}

/* try_receive() -> a value that is newer than all before, or -errno */
static PyObject *lane_try_receive(PyObject *self, PyObject *Py_UNUSED(none))
{
	PyObject *message = NULL;
	int rc = take(lane_address(self), 1, &message);

	return result(rc, message);
}

/* The newest value, or with `newer` the next that comes. */
static PyObject *take_by(struct ipk_latest *latest, int newer, PyObject *deadline)
{
	PyObject *message = NULL;
	int rc;

	while ((rc = take(latest, newer, &message)) == -EAGAIN || rc == -ESTALE) {
		long long deadline_ns = PyLong_AsLongLong(deadline);
		int again;

		if (deadline_ns == -1 && PyErr_Occurred())
			return NULL;
		Py_BEGIN_ALLOW_THREADS
		rc = rc == -ESTALE ? ipk_latest_overtaken(latest, deadline_ns) : ipk_latest_wait(latest, deadline_ns);
		Py_END_ALLOW_THREADS
		again = lane_wait_again(rc);
		if (again < 0)
			return NULL;
		if (!again)
			break;
	}
	return result(rc, message);
}

/* receive(deadline_ns: int) -> a value that is newer than all before, or -errno */
static PyObject *lane_receive(PyObject *self, PyObject *deadline)
{
	return take_by(lane_address(self), 1, deadline);
}

/* read(deadline_ns: int) -> the newest value, or -errno */
static PyObject *lane_read(PyObject *self, PyObject *deadline)
{
	return take_by(lane_address(self), 0, deadline);
}

static int reserve(struct inplace_lane *lane, uint64_t length, uint64_t *offset)
{
	int64_t reserved = ipk_latest_reserve(lane->base.address, length);

	*offset = (uint64_t)reserved;
	return reserved < 0 ? (int)reserved : 0;
}

static int commit(struct inplace_lane *lane, uint64_t length)
{
	return ipk_latest_commit(lane->base.address, length);
}

static int abort_reservation(struct inplace_lane *lane)
{
	return ipk_latest_abort(lane->base.address);
}

/* The writer waits for nobody, and nothing is lent. */
static const struct inplace_kind in_place = {.reserve = reserve, .commit = commit, .abort = abort_reservation};

static PyObject *lane_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	return inplace_new(type, args, kwargs, &in_place);
}

static PyMethodDef lane_methods[] = {
	{"send", lane_send, METH_O, NULL},
	{"receive", lane_receive, METH_O, NULL},
	{"try_receive", lane_try_receive, METH_NOARGS, NULL},
	{"read", lane_read, METH_O, NULL},
	INPLACE_SENDING,
	{NULL, NULL, 0, NULL},
};

static PyType_Slot lane_slots[] = {
	{Py_tp_doc, (void *)"LatestLane(owner, address): the hot calls of the object at that address, which owner keeps."},
	{Py_tp_new, (void *)lane_new},
	{Py_tp_dealloc, (void *)memory_lane_dealloc},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

PyType_Spec latest_lane_spec = {
	"ipckit._lane.LatestLane", (int)sizeof(struct inplace_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};
