/* The hot calls of a broadcast ring: the bytes object that comes out is built inside the call. A message is copied out by the
 * core in one step, for on a ring that overwrites it may be gone the next moment.
 */
#include "inplace.h"
#include "sending.h"

#include <errno.h>

#include "ipckit/broadcast.h"

#define NEAR 4096 /* bytes on the stack: messages of no more are copied there first, which costs less than to ask how long they are */

static int attempt(void *ring, const void *data, uint64_t length)
{
	return ipk_broadcast_try_send(ring, data, length);
}

static int await_room(void *ring, uint64_t length, int64_t deadline_ns)
{
	return ipk_broadcast_wait_room(ring, length, deadline_ns);
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

/* A message that may be too long for the stack. Returns it, or NULL with *rc: -errno, or 0 and an exception set. */
static PyObject *take_long(struct ipk_broadcast *ring, int64_t *rc)
{
	for (;;) {
		int64_t length = ipk_broadcast_next_length(ring);
		PyObject *message, *shorter;
		char *into;

		*rc = length;
		if (length < 0)
			return NULL;
		*rc = 0;
		message = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)length);
		if (!message)
			return NULL;
		into = PyBytes_AsString(message);
		if (length <= RELEASE_GIL_ABOVE) {
			*rc = ipk_broadcast_try_receive(ring, into, (uint64_t)length);
		} else {
			Py_BEGIN_ALLOW_THREADS
			*rc = ipk_broadcast_try_receive(ring, into, (uint64_t)length);
			Py_END_ALLOW_THREADS
		}
		if (*rc == length)
			return message;
		/* another thread of ours, or a writer, was faster: this is another message, or none */
		shorter = *rc < 0 ? NULL : PyBytes_FromStringAndSize(into, (Py_ssize_t)*rc);
		Py_DECREF(message);
		if (*rc >= 0) {
			*rc = 0;
			return shorter;
		}
		if (*rc != -EMSGSIZE)
			return NULL;
	}
}

/* The next message, or NULL as take_long. */
static PyObject *take(struct ipk_broadcast *ring, int64_t *rc)
{
	uint64_t near[NEAR / sizeof(uint64_t)];
	int64_t length = ipk_broadcast_try_receive(ring, near, sizeof(near));

	if (length == -EMSGSIZE)
		return take_long(ring, rc);
	*rc = length < 0 ? length : 0;
	return length < 0 ? NULL : PyBytes_FromStringAndSize((const char *)near, (Py_ssize_t)length);
}

/* try_receive() -> the next message, or -errno */
static PyObject *lane_try_receive(PyObject *self, PyObject *Py_UNUSED(none))
{
	int64_t rc;
	PyObject *message = take(lane_address(self), &rc);

	return message || rc == 0 ? message : PyLong_FromLongLong(rc);
}

/* receive(deadline_ns: int) -> the next message, or -errno */
static PyObject *lane_receive(PyObject *self, PyObject *deadline)
{
	struct ipk_broadcast *ring = lane_address(self);
	PyObject *message;
	int64_t rc;

	while ((message = take(ring, &rc)) == NULL && (rc == -EAGAIN || rc == -EALREADY)) {
		long long deadline_ns = PyLong_AsLongLong(deadline);
		int waited, again;

		if (deadline_ns == -1 && PyErr_Occurred())
			return NULL;
		Py_BEGIN_ALLOW_THREADS
		waited = ipk_broadcast_wait_message(ring, deadline_ns);
		Py_END_ALLOW_THREADS
		again = lane_wait_again(waited);
		if (again < 0)
			return NULL;
		if (!again)
			return PyLong_FromLong(waited);
	}
	return message || rc == 0 ? message : PyLong_FromLongLong(rc);
}

static int64_t try_many(void *ring, const struct ipk_slice *slices, uint32_t count)
{
	return ipk_broadcast_try_send_many(ring, slices, count);
}

static PyObject *lane_try_send_many(PyObject *self, PyObject *args)
{
	return sending_try_many(try_many, lane_address(self), args);
}

/* Append the messages that lie one behind the other. They are out of the ring: what there is no memory for is lost with
 * the MemoryError. Returns 0, or -1 with an exception set. */
static int append(PyObject *list, const char *from, const uint64_t *ends, int64_t number)
{
	uint64_t begin = 0;

	for (int64_t i = 0; i < number; begin = ends[i++]) {
		PyObject *message = PyBytes_FromStringAndSize(from + begin, (Py_ssize_t)(ends[i] - begin));
		int rc = message ? PyList_Append(list, message) : -1;

		Py_XDECREF(message);
		if (rc < 0)
			return -1;
	}
	return 0;
}

/* try_receive_many(n: int) -> a list of 1 to n messages, or -errno */
static PyObject *lane_try_receive_many(PyObject *self, PyObject *limit)
{
	struct ipk_broadcast *ring = lane_address(self);
	uint64_t near[2 * NEAR / sizeof(uint64_t)];
	uint64_t ends[LANE_BATCH];
	Py_ssize_t left = PyLong_AsSsize_t(limit);
	PyObject *list;
	int64_t received = -EAGAIN;

	if (left == -1 && PyErr_Occurred())
		return NULL;
	list = PyList_New(0);
	if (!list)
		return NULL;
	while (left > 0) {
		received = ipk_broadcast_try_receive_many(ring, near, sizeof(near), ends, left < LANE_BATCH ? (uint32_t)left : LANE_BATCH);
		if (received == -EMSGSIZE) {
			PyObject *message = take_long(ring, &received);
			int rc = message ? PyList_Append(list, message) : -1;

			Py_XDECREF(message);
			if (rc < 0)
				break;
			received = 1;
		} else if (received < 0 || append(list, (const char *)near, ends, received) < 0) {
			break;
		}
		left -= (Py_ssize_t)received;
	}
	if (PyErr_Occurred()) {
		Py_DECREF(list);
		return NULL;
	}
	/* what ended the batch is told by the next call */
	if (PyList_Size(list) > 0)
		return list;
	Py_DECREF(list);
	return PyLong_FromLongLong(received);
}

static int reserve(struct inplace_lane *lane, uint64_t length, uint64_t *offset)
{
	struct ipk_broadcast_claim claim = {0};
	int rc = ipk_broadcast_try_reserve(lane->base.address, length, &claim);

	*offset = claim.offset;
	return rc;
}

static long long wait_room(struct inplace_lane *lane, uint64_t length, int64_t deadline_ns)
{
	return ipk_broadcast_wait_room(lane->base.address, length, deadline_ns);
}

static int commit(struct inplace_lane *lane, uint64_t length)
{
	return ipk_broadcast_commit(lane->base.address, length);
}

static int abort_reservation(struct inplace_lane *lane)
{
	return ipk_broadcast_abort(lane->base.address);
}

static int64_t lend(struct inplace_lane *lane, uint64_t *offset)
{
	struct ipk_broadcast_claim claim = {0};
	int rc = ipk_broadcast_try_lend(lane->base.address, &claim);

	*offset = claim.offset;
	return rc == -EALREADY ? -EAGAIN : rc < 0 ? rc : (int64_t)claim.length;
}

static long long wait_message(struct inplace_lane *lane, int64_t deadline_ns)
{
	return ipk_broadcast_wait_message(lane->base.address, deadline_ns);
}

static int release(struct inplace_lane *lane)
{
	return ipk_broadcast_release(lane->base.address);
}

static int put_back(struct inplace_lane *lane)
{
	return ipk_broadcast_return_loan(lane->base.address);
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
	{Py_tp_doc, (void *)"BroadcastLane(owner, address): the hot calls of the ring at that address, which owner keeps."},
	{Py_tp_new, (void *)lane_new},
	{Py_tp_dealloc, (void *)memory_lane_dealloc},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

PyType_Spec broadcast_lane_spec = {
	"ipckit._lane.BroadcastLane", (int)sizeof(struct inplace_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};
