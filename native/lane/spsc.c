/* The ring's hot calls. cffi's argument conversion costs several times what the ring itself costs; here a message of 64
 * bytes goes in for a tenth of that, and the bytes object that comes out is built inside the call, where no other thread
 * can come between.
 */
#include "inplace.h"
#include "sending.h"

#include <errno.h>

/* Of one batch. What is freed together beyond that goes back to the kernel, and to get it anew costs several copies. */
#define BATCH_BYTES 262144

static int attempt(void *ring, const void *data, uint64_t length)
{
	return ipk_spsc_try_send(ring, data, length);
}

static int await_room(void *ring, uint64_t length, int64_t deadline_ns)
{
	return ipk_spsc_wait_room(ring, length, deadline_ns);
}

static const struct sending core = {attempt, await_room};

static PyObject *lane_try_send(PyObject *self, PyObject *message)
{
	return sending_try(&core, lane_address(self), message);
}

static PyObject *lane_send(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	return sending_send(&core, lane_address(self), args, count);
}

/* Copy the lent message out and end the loan. */
static PyObject *take_lent(struct ipk_spsc *ring, int64_t lent)
{
	PyObject *message;

	message = lane_bytes((unsigned char *)ipk_spsc_data(ring) + (lent >> 32), (size_t)(lent & 0xFFFFFFFF));
	if (message)
		ipk_spsc_release(ring);
	else
		ipk_spsc_return_loan(ring);
	return message;
}

/* try_receive() -> the oldest message, or -errno */
static PyObject *lane_try_receive(PyObject *self, PyObject *Py_UNUSED(none))
{
	struct ipk_spsc *ring = lane_address(self);
	int64_t lent = ipk_spsc_try_receive(ring);

	return lent < 0 ? PyLong_FromLongLong(lent) : take_lent(ring, lent);
}

/* ipk_spsc_try_receive, waiting until the deadline (an int, ns) for a message. -EINTR: an exception is set. */
static int64_t lend_patiently(struct ipk_spsc *ring, PyObject *deadline)
{
	int64_t lent;

	while ((lent = ipk_spsc_try_receive(ring)) == -EAGAIN) {
		long long deadline_ns = PyLong_AsLongLong(deadline);
		int rc, again;

		if (deadline_ns == -1 && PyErr_Occurred())
			return -EINTR;
		Py_BEGIN_ALLOW_THREADS
		rc = ipk_spsc_wait_message(ring, deadline_ns);
		Py_END_ALLOW_THREADS
		again = lane_wait_again(rc);
		if (again < 0)
			return -EINTR;
		if (!again)
			return rc;
	}
	return lent;
}

/* receive(deadline_ns: int) -> the oldest message, or -errno */
static PyObject *lane_receive(PyObject *self, PyObject *deadline)
{
	struct ipk_spsc *ring = lane_address(self);
	int64_t lent = lend_patiently(ring, deadline);

	if (lent == -EINTR)
		return NULL;
	return lent < 0 ? PyLong_FromLongLong(lent) : take_lent(ring, lent);
}

static int64_t try_many(void *ring, const struct ipk_slice *slices, uint32_t count)
{
	return ipk_spsc_try_send_many(ring, slices, count);
}

static PyObject *lane_try_send_many(PyObject *self, PyObject *args)
{
	return sending_try_many(try_many, lane_address(self), args);
}

/* Append `count` lent messages to the list, all or none. Returns their bytes, or -1 with an exception set. */
static int64_t append_lent(PyObject *list, const unsigned char *data, const uint64_t *bounds, int64_t count)
{
	Py_ssize_t before = PyList_Size(list);
	int64_t bytes = 0;

	for (int64_t i = 0; i < count; i++) {
		PyObject *message = lane_bytes(data + bounds[2 * i], bounds[2 * i + 1] - bounds[2 * i]);
		int rc = message ? PyList_Append(list, message) : -1;

		Py_XDECREF(message);
		if (rc < 0) {
			PyList_SetSlice(list, before, PyList_Size(list), NULL);
			return -1;
		}
		bytes += (int64_t)(bounds[2 * i + 1] - bounds[2 * i]);
	}
	return bytes;
}

/* try_receive_many(n: int) -> a list of 1 to n messages, or -errno */
static PyObject *lane_try_receive_many(PyObject *self, PyObject *number)
{
	struct ipk_spsc *ring = lane_address(self);
	uint64_t bounds[2 * LANE_BATCH];
	Py_ssize_t left = PyLong_AsSsize_t(number);
	PyObject *list;
	int64_t lent = -EAGAIN, bytes = 0, more;

	if (left == -1 && PyErr_Occurred())
		return NULL;
	list = PyList_New(0);
	if (!list)
		return NULL;
	for (; left > 0 && bytes < BATCH_BYTES; left -= (Py_ssize_t)lent) {
		lent = ipk_spsc_try_receive_many(ring, bounds, left < LANE_BATCH ? (uint32_t)left : LANE_BATCH);
		if (lent < 0)
			break;
		more = append_lent(list, ipk_spsc_data(ring), bounds, lent);
		if (more < 0) {
			ipk_spsc_return_loan(ring); /* out of memory: these stay in the ring */
			if (PyList_Size(list) > 0)
				PyErr_Clear();
			break;
		}
		ipk_spsc_release(ring);
		bytes += more;
	}
	if (PyList_Size(list) > 0)
		return list;
	Py_DECREF(list);
	return PyErr_Occurred() ? NULL : PyLong_FromLongLong(lent);
}

static int reserve(struct inplace_lane *lane, uint64_t length, uint64_t *offset)
{
	struct ipk_spsc_part given = {0};
	int rc = ipk_spsc_try_reserve(lane->base.address, length, &given);

	*offset = given.offset;
	return rc;
}

static long long wait_room(struct inplace_lane *lane, uint64_t length, int64_t deadline_ns)
{
	return ipk_spsc_wait_room(lane->base.address, length, deadline_ns);
}

static int commit(struct inplace_lane *lane, uint64_t length)
{
	return ipk_spsc_commit(lane->base.address, length);
}

static int abort_reservation(struct inplace_lane *lane)
{
	return ipk_spsc_abort(lane->base.address);
}

static int64_t lend(struct inplace_lane *lane, uint64_t *offset)
{
	int64_t lent = ipk_spsc_try_receive(lane->base.address);

	*offset = (uint64_t)lent >> 32;
	return lent < 0 ? lent : (int64_t)((uint64_t)lent & UINT32_MAX);
}

static long long wait_message(struct inplace_lane *lane, int64_t deadline_ns)
{
	return ipk_spsc_wait_message(lane->base.address, deadline_ns);
}

static int release(struct inplace_lane *lane)
{
	return ipk_spsc_release(lane->base.address);
}

static int put_back(struct inplace_lane *lane)
{
	return ipk_spsc_return_loan(lane->base.address);
}

static const struct inplace_kind in_place = {reserve, wait_room, commit, abort_reservation, lend, wait_message, release, put_back};

static PyObject *lane_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	return inplace_new(type, args, kwargs, &in_place);
}

static PyMethodDef lane_methods[] = {
	{"try_send", lane_try_send, METH_O, NULL},
	{"send", (PyCFunction)(void (*)(void))lane_send, METH_FASTCALL, NULL},
	{"receive", lane_receive, METH_O, NULL},
	{"try_receive", lane_try_receive, METH_NOARGS, NULL},
	{"try_send_many", lane_try_send_many, METH_VARARGS, NULL},
	{"try_receive_many", lane_try_receive_many, METH_O, NULL},
	INPLACE_SENDING,
	INPLACE_RECEIVING,
	{NULL, NULL, 0, NULL},
};

static PyType_Slot lane_slots[] = {
	{Py_tp_doc, (void *)"SpscLane(owner, address): the hot calls of the ring at that address, which owner keeps."},
	{Py_tp_new, (void *)lane_new},
	{Py_tp_dealloc, (void *)memory_lane_dealloc},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

PyType_Spec spsc_lane_spec = {
	"ipckit._lane.SpscLane", (int)sizeof(struct inplace_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};
