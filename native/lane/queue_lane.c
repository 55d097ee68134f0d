#include "queue_lane.h"

#define FIELDS 2

PyObject *queue_lane_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	PyObject *self, *message;
	Py_ssize_t size;
	int number;

	if (lane_refuse_keywords(kwargs) < 0)
		return NULL;
	if (!PyArg_ParseTuple(args, "inO!", &number, &size, &PyType_Type, &message))
		return NULL;
	if (size < 0 || !PyType_IsSubtype((PyTypeObject *)message, &PyTuple_Type)) {
		PyErr_SetString(PyExc_ValueError, "a queue's lane takes a number, a size in bytes and a tuple type");
		return NULL;
	}
	self = lane_allocate(type);
	if (!self)
		return NULL;
	as_queue_lane(self)->number = number;
	as_queue_lane(self)->size = (size_t)size;
	as_queue_lane(self)->message = (PyTypeObject *)Py_NewRef(message);
	as_queue_lane(self)->allocate = (allocfunc)PyType_GetSlot((PyTypeObject *)message, Py_tp_alloc);
	return self;
}

void queue_lane_dealloc(PyObject *self)
{
	Py_XDECREF((PyObject *)as_queue_lane(self)->message);
	lane_free(self);
}

PyObject *queue_lane_close(PyObject *self, PyObject *Py_UNUSED(none))
{
	as_queue_lane(self)->number = -1;
	Py_RETURN_NONE;
}

PyObject *queue_lane_message(struct queue_lane *lane, PyObject *first, PyObject *second)
{
	PyObject *made = lane->allocate(lane->message, FIELDS);

	if (!made || !first || !second) {
		Py_XDECREF(made);
		Py_XDECREF(first);
		Py_XDECREF(second);
		return NULL;
	}
	PyTuple_SetItem(made, 0, first);
	PyTuple_SetItem(made, 1, second);
	return made;
}
