/* POSIX message queues: one attempt to send or to receive, with the result built inside the call. The system call takes
 * well under a microsecond, and what cffi adds to a pair is a third of that.
 */
#include "queue_lane.h"

#include <errno.h>

#include "ipckit/mqueue.h"

/* The unprivileged have no longer messages unless the administrator allows them. */
#define ON_THE_STACK 8192

/* send(data: bytes, priority: int) -> 0 or -errno */
static PyObject *lane_send(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	unsigned long priority;
	Py_ssize_t length;
	char *data;
	int rc;

	if (count != 2) {
		PyErr_SetString(PyExc_TypeError, "send() takes a message and a priority");
		return NULL;
	}
	if (PyBytes_AsStringAndSize(args[0], &data, &length) < 0)
		return NULL;
	priority = PyLong_AsUnsignedLong(args[1]);
	if (priority > UINT32_MAX) {
		if (PyErr_Occurred())
			return NULL;
		return PyLong_FromLong(-EINVAL);
	}
	if (length <= RELEASE_GIL_ABOVE) {
		rc = ipk_mqueue_try_send(as_queue_lane(self)->number, data, (uint64_t)length, (uint32_t)priority);
	} else {
		Py_BEGIN_ALLOW_THREADS
		rc = ipk_mqueue_try_send(as_queue_lane(self)->number, data, (uint64_t)length, (uint32_t)priority);
		Py_END_ALLOW_THREADS
	}
	return PyLong_FromLong(rc);
}

static PyObject *receive_into(struct queue_lane *lane, char *into)
{
	uint32_t priority;
	int64_t length;

	if (lane->size <= RELEASE_GIL_ABOVE) {
		length = ipk_mqueue_try_receive(lane->number, into, lane->size, &priority);
	} else {
		Py_BEGIN_ALLOW_THREADS
		length = ipk_mqueue_try_receive(lane->number, into, lane->size, &priority);
		Py_END_ALLOW_THREADS
	}
	if (length < 0)
		return PyLong_FromLongLong(length);
	return queue_lane_message(lane, PyBytes_FromStringAndSize(into, (Py_ssize_t)length), PyLong_FromUnsignedLong(priority));
}

/* receive() -> the message, or -errno */
static PyObject *lane_receive(PyObject *self, PyObject *Py_UNUSED(none))
{
	struct queue_lane *lane = as_queue_lane(self);
	char stack[ON_THE_STACK];
	PyObject *result;
	char *heap;

	if (lane->size <= sizeof stack)
		return receive_into(lane, stack);
	heap = PyMem_Malloc(lane->size);
	if (!heap)
		return PyErr_NoMemory();
	result = receive_into(lane, heap);
	PyMem_Free(heap);
	return result;
}

static PyMethodDef lane_methods[] = {
	{"send", (PyCFunction)(void (*)(void))lane_send, METH_FASTCALL, NULL},
	{"receive", lane_receive, METH_NOARGS, NULL},
	{"close", queue_lane_close, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot lane_slots[] = {
	{Py_tp_doc, (void *)"QueueLane(mqd, size, message): attempts on a queue; a message is message(data, priority)."},
	{Py_tp_new, (void *)queue_lane_new},
	{Py_tp_dealloc, (void *)queue_lane_dealloc},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

PyType_Spec mqueue_lane_spec = {
	"ipckit._lane.QueueLane", (int)sizeof(struct queue_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};
