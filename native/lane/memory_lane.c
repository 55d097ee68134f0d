#include "lane.h"

PyObject *memory_lane_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	PyObject *owner, *number, *self;
	void *address;

	if (kwargs && PyDict_Size(kwargs) > 0) {
		PyErr_SetString(PyExc_TypeError, "a lane takes no keyword arguments");
		return NULL;
	}
	if (!PyArg_ParseTuple(args, "OO!", &owner, &PyLong_Type, &number))
		return NULL;
	address = PyLong_AsVoidPtr(number);
	if (!address) {
		if (!PyErr_Occurred())
			PyErr_SetString(PyExc_ValueError, "address must be that of an object, not 0");
		return NULL;
	}
	self = allocate(type, 0);
	if (!self)
		return NULL;
	((struct memory_lane *)(void *)self)->address = address;
	((struct memory_lane *)(void *)self)->owner = Py_NewRef(owner);
	return self;
}

void memory_lane_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

	Py_XDECREF(((struct memory_lane *)(void *)self)->owner);
	release(self);
	Py_DECREF(type);
}

int lane_numbers(PyObject *const *args, Py_ssize_t count, long long *numbers, Py_ssize_t wanted)
{
	if (count != wanted) {
		PyErr_Format(PyExc_TypeError, "this call of a lane takes %zd numbers, not %zd", wanted, count);
		return -1;
	}
	for (Py_ssize_t i = 0; i < wanted; i++) {
		numbers[i] = PyLong_AsLongLong(args[i]);
		if (numbers[i] == -1 && PyErr_Occurred())
			return -1;
	}
	return 0;
}
