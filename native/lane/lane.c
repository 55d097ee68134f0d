/* What all lanes have in common. */
#include "lane.h"

#include <errno.h>
#include <string.h>

struct lane_names lane_names;

int lane_names_make(void)
{
	struct lane_names *names = &lane_names;

	names->lane = PyUnicode_InternFromString("_lane");
	names->enter = PyUnicode_InternFromString("enter");
	names->leave = PyUnicode_InternFromString("leave");
	names->take = PyUnicode_InternFromString("_take");
	names->give = PyUnicode_InternFromString("_give");
	names->undo = PyUnicode_InternFromString("_undo");
	return names->lane && names->enter && names->leave && names->take && names->give && names->undo ? 0 : -1;
}

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

int lane_wait_again(int rc)
{
	if (rc != -EAGAIN && rc != -EINTR)
		return rc == 0;
	return PyErr_CheckSignals() < 0 ? -1 : 1;
}

PyObject *lane_bytes(const void *data, size_t length)
{
	PyObject *message;
	char *into;

	if (length <= RELEASE_GIL_ABOVE)
		return PyBytes_FromStringAndSize(data, (Py_ssize_t)length);
	message = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)length);
	if (!message)
		return NULL;
	into = PyBytes_AsString(message);
	Py_BEGIN_ALLOW_THREADS
	memcpy(into, data, length);
	Py_END_ALLOW_THREADS
	return message;
}

int lane_slices(PyObject *args, struct ipk_slice slices[LANE_BATCH], Py_ssize_t *bytes)
{
	PyObject *messages;
	Py_ssize_t first;
	int count = 0;

	if (!PyArg_ParseTuple(args, "O!n", &PyList_Type, &messages, &first))
		return -1;
	*bytes = 0;
	for (; count < LANE_BATCH && first + count < PyList_Size(messages); count++) {
		PyObject *message = PyList_GetItem(messages, first + count);
		Py_ssize_t length;
		char *data;

		if (!message || PyBytes_AsStringAndSize(message, &data, &length) < 0)
			return -1;
		slices[count].data = data;
		slices[count].length = (uint64_t)length;
		*bytes += length;
	}
	return count;
}
