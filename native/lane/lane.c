/* What all lanes have in common. */
#include "lane.h"

int lane_refuse_keywords(PyObject *kwargs)
{
	if (!kwargs || PyDict_Size(kwargs) == 0)
		return 0;
	PyErr_SetString(PyExc_TypeError, "a lane takes no keyword arguments");
	return -1;
}

PyObject *lane_allocate(PyTypeObject *type)
{
	return ((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
}

void lane_free(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);

	((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
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
