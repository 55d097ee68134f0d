/* System V message queues: one attempt to send or to receive, with the result built inside the call. */
#include "queue_lane.h"

#include <errno.h>

#include "ipckit/sysv_msg.h"

/* send(data: bytes, type: int) -> 0 or -errno */
static PyObject *lane_send(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	Py_ssize_t size;
	long long type;
	char *data;

	if (count != 2) {
		PyErr_SetString(PyExc_TypeError, "send() takes a message and a type");
		return NULL;
	}
	if (PyBytes_AsStringAndSize(args[0], &data, &size) < 0)
		return NULL;
	type = PyLong_AsLongLong(args[1]);
	if (type == -1 && PyErr_Occurred())
		return NULL;
	return PyLong_FromLong(ipk_sysv_msg_try_send(as_queue_lane(self)->number, type, data, (uint64_t)size));
}

/* receive(type: int) -> the message, or -errno */
static PyObject *lane_receive(PyObject *self, PyObject *wanted)
{
	long long type = PyLong_AsLongLong(wanted);
	struct {
		int64_t type;
		char data[IPK_SYSV_MSG_SMALL];
	} box;
	int64_t size;

	if (type == -1 && PyErr_Occurred())
		return NULL;
	size = ipk_sysv_msg_try_receive(as_queue_lane(self)->number, &box, sizeof(box.data), type, 0);
	if (size < 0)
		return PyLong_FromLongLong(size);
	return queue_lane_message(as_queue_lane(self), PyLong_FromLongLong(box.type),
				  PyBytes_FromStringAndSize(box.data, (Py_ssize_t)size));
}

static PyMethodDef lane_methods[] = {
	{"send", (PyCFunction)(void (*)(void))lane_send, METH_FASTCALL, NULL},
	{"receive", lane_receive, METH_O, NULL},
	{"close", queue_lane_close, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot lane_slots[] = {
	{Py_tp_doc, (void *)"MsgLane(id, size, message): attempts on a queue; a message is message(type, data)."},
	{Py_tp_new, (void *)queue_lane_new},
	{Py_tp_dealloc, (void *)queue_lane_dealloc},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

PyType_Spec sysv_msg_lane_spec = {
	"ipckit._lane.MsgLane", (int)sizeof(struct queue_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};
