#include "lane.h"

PyObject *memory_lane_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	PyObject *owner, *number, *self;
	void *address;

	if (lane_refuse_keywords(kwargs) < 0)
		return NULL;
	if (!PyArg_ParseTuple(args, "OO!", &owner, &PyLong_Type, &number))
		return NULL;
	address = PyLong_AsVoidPtr(number);
	if (!address) {
		if (!PyErr_Occurred())
			PyErr_SetString(PyExc_ValueError, "address must be that of an object, not 0");
		return NULL;
	}
	self = lane_allocate(type);
	if (!self)
		return NULL;
	((struct memory_lane *)(void *)self)->address = address;
	((struct memory_lane *)(void *)self)->owner = Py_NewRef(owner);
	return self;
}

void memory_lane_dealloc(PyObject *self)
{
	Py_XDECREF(((struct memory_lane *)(void *)self)->owner);
	lane_free(self);
}

PyObject *closing_lane_close(PyObject *self, PyObject *Py_UNUSED(none))
{
	/* seq_cst: see lane_is_closed */
	atomic_store_explicit(&((struct closing_lane *)(void *)self)->closed, 1, memory_order_seq_cst);
	Py_RETURN_NONE;
}
