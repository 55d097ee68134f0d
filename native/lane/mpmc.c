/* The fast lane of a ring for many: one METH_FASTCALL call per message. A copy above RELEASE_GIL_ABOVE, and a wait, release the GIL.
 * Any number of threads may be in here: nothing is kept between two calls of the core but on the stack. */
#include "lane.h"
#include "sending.h"

#include <errno.h>

#include "ipckit/mpmc.h"


/* One attempt; a long copy gives the GIL away. */
static int try_send(struct ipk_mpmc *ring, const char *data, Py_ssize_t length)
{
	int rc;

	if (length <= RELEASE_GIL_ABOVE)
		return ipk_mpmc_try_send(ring, data, (uint64_t)length, 0);
	Py_BEGIN_ALLOW_THREADS
	rc = ipk_mpmc_try_send(ring, data, (uint64_t)length, 0);
	Py_END_ALLOW_THREADS
	return rc;
}

/* try_send(message: bytes) -> 0 or -errno */
static PyObject *lane_try_send(PyObject *self, PyObject *message)
{
	Py_ssize_t length;
	char *data;

	if (PyBytes_AsStringAndSize(message, &data, &length) < 0)
		return NULL;
	return PyLong_FromLong(try_send(lane_address(self), data, length));
}

/* Wait for room (room: bytes of a message), or for a message (room: -1), whatever rc was. Returns 1 to try again; 0 if it is decided, by
 * *rc; -1 with the exception of a signal handler set. */
static int wait_for(struct ipk_mpmc *ring, Py_ssize_t room, PyObject *deadline, long long *rc)
{
	long long deadline_ns = PyLong_AsLongLong(deadline);
	uint32_t stalled = 0;
	int got;

	if (deadline_ns == -1 && PyErr_Occurred())
		return -1;
	Py_BEGIN_ALLOW_THREADS
	got = room < 0 ? ipk_mpmc_wait_message(ring, deadline_ns, &stalled)
		       : ipk_mpmc_wait_room(ring, (uint64_t)room, deadline_ns, &stalled);
	Py_END_ALLOW_THREADS
	*rc = lane_stalled(got, stalled);
	return lane_wait_again(got);
}

/* send(message: bytes, deadline_ns: int) -> 0, 1 if it was dropped, or -errno; -(pid << 16 | ETIMEDOUT) */
static PyObject *lane_send(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct ipk_mpmc *ring = lane_address(self);
	Py_ssize_t length;
	long long rc;
	char *data;

	if (count != 2) {
		PyErr_SetString(PyExc_TypeError, "send() takes a message and a deadline");
		return NULL;
	}
	if (PyBytes_AsStringAndSize(args[0], &data, &length) < 0)
		return NULL;
	while ((rc = try_send(ring, data, length)) == -EAGAIN) {
		int again = wait_for(ring, length, args[1], &rc);

		if (again < 0)
			return NULL;
		if (!again)
			break;
	}
	return PyLong_FromLongLong(rc);
}

/* A long message. Returns NULL with an exception set, or with *rc = -errno. */
static PyObject *take_on_loan(struct ipk_mpmc *ring, long long *rc)
{
	struct ipk_mpmc_claim loan;
	PyObject *message;

	*rc = ipk_mpmc_try_receive(ring, &loan, 1);
	if (*rc < 0)
		return NULL;
	*rc = loan.tag ? -EOVERFLOW : 0;
	message = loan.tag ? NULL : lane_bytes((unsigned char *)ipk_mpmc_data(ring) + loan.offset, loan.length);
	if (message)
		ipk_mpmc_release(ring, &loan, 1);
	else
		ipk_mpmc_return_loan(ring, &loan, 1);
	return message;
}

/* One attempt. Returns NULL with an exception set, or with *rc = -errno. */
static PyObject *try_receive(struct ipk_mpmc *ring, long long *rc)
{
	char copy[IPK_MPMC_INSIDE];
	uint32_t length;

	*rc = ipk_mpmc_try_copy(ring, copy, sizeof(copy), &length, 1);
	if (*rc == 1) {
		*rc = 0;
		return PyBytes_FromStringAndSize(copy, (Py_ssize_t)length);
	}
	return *rc == -EMSGSIZE ? take_on_loan(ring, rc) : NULL;
}

/* try_receive() -> the oldest message, or -errno */
static PyObject *lane_try_receive(PyObject *self, PyObject *Py_UNUSED(none))
{
	long long rc;
	PyObject *message = try_receive(lane_address(self), &rc);

	return message || PyErr_Occurred() ? message : PyLong_FromLongLong(rc);
}

/* receive(deadline_ns: int) -> the oldest message, or -errno; -(pid << 16 | ETIMEDOUT) */
static PyObject *lane_receive(PyObject *self, PyObject *deadline)
{
	struct ipk_mpmc *ring = lane_address(self);
	long long rc;

	for (;;) {
		PyObject *message = try_receive(ring, &rc);
		int again;

		if (message || PyErr_Occurred())
			return message;
		if (rc != -EAGAIN)
			break;
		again = wait_for(ring, -1, deadline, &rc);
		if (again < 0)
			return NULL;
		if (!again)
			break;
	}
	return PyLong_FromLongLong(rc);
}

static int64_t try_many(void *ring, const struct ipk_slice *slices, uint32_t count)
{
	return ipk_mpmc_try_send_many(ring, slices, count);
}

static PyObject *lane_try_send_many(PyObject *self, PyObject *args)
{
	return sending_try_many(try_many, lane_address(self), args);
}

static int append(PyObject *list, PyObject *message)
{
	int rc = message ? PyList_Append(list, message) : -1;

	Py_XDECREF(message);
	return rc;
}

/* Append at most `left` messages, as many as there are in one go. Returns how many, -errno, or -EFAULT with an exception set. */
static long long receive_part(struct ipk_mpmc *ring, PyObject *list, Py_ssize_t left)
{
	char copy[IPK_MPMC_INSIDE_MANY];
	uint32_t lengths[LANE_BATCH];
	long long count = ipk_mpmc_try_copy(ring, copy, sizeof(copy), lengths, left < LANE_BATCH ? (uint32_t)left : LANE_BATCH);
	size_t at = 0;

	if (count == -EMSGSIZE) {
		PyObject *message = take_on_loan(ring, &count);

		if (!message)
			return PyErr_Occurred() ? -EFAULT : count;
		return append(list, message) < 0 ? -EFAULT : 1;
	}
	for (long long i = 0; i < count; at += lengths[i++])
		if (append(list, PyBytes_FromStringAndSize(copy + at, (Py_ssize_t)lengths[i])) < 0)
			return -EFAULT;
	return count;
}

/* try_receive_many(n: int) -> a list of 1 to n messages, or -errno */
static PyObject *lane_try_receive_many(PyObject *self, PyObject *number)
{
	struct ipk_mpmc *ring = lane_address(self);
	Py_ssize_t left = PyLong_AsSsize_t(number);
	PyObject *list;
	long long count = -EAGAIN;

	if (left == -1 && PyErr_Occurred())
		return NULL;
	list = PyList_New(0);
	if (!list)
		return NULL;
	for (; left > 0; left -= (Py_ssize_t)count) {
		count = receive_part(ring, list, left);
		if (count < 0)
			break;
	}
	if (PyList_Size(list) > 0 && !PyErr_Occurred())
		return list;
	Py_DECREF(list);
	return PyErr_Occurred() ? NULL : PyLong_FromLongLong(count);
}

static PyMethodDef lane_methods[] = {
	{"try_send", lane_try_send, METH_O, NULL},
	{"send", (PyCFunction)(void (*)(void))lane_send, METH_FASTCALL, NULL},
	{"receive", lane_receive, METH_O, NULL},
	{"try_receive", lane_try_receive, METH_NOARGS, NULL},
	{"try_send_many", lane_try_send_many, METH_VARARGS, NULL},
	{"try_receive_many", lane_try_receive_many, METH_O, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot lane_slots[] = {
	{Py_tp_doc, (void *)"MpmcLane(owner, address): the hot calls of the ring at that address, which owner keeps."},
	{Py_tp_new, (void *)memory_lane_new},
	{Py_tp_dealloc, (void *)memory_lane_dealloc},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

PyType_Spec mpmc_lane_spec = {
	"ipckit._lane.MpmcLane", (int)sizeof(struct memory_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};
