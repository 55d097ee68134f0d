/* What the views of a claim are made of. */
#include "claim.h"

#ifndef Py_GIL_DISABLED

struct window *window_new(const struct claim *claim)
{
	const struct open_claims *claims = claim->claims;
	struct window *window = (struct window *)(void *)lane_allocate(claims->window_type);

	if (!window)
		return NULL;
	window->lane = (struct inplace_lane *)(void *)Py_NewRef((PyObject *)claim->lane);
	window->data = claims->data + claim->offset;
	window->length = (Py_ssize_t)claim->length;
	window->lent = claim->sort->lent;
	return window;
}

void window_orphan(struct window *window, struct open_claims *claims)
{
	window->orphaned = (struct open_claims *)(void *)Py_NewRef((PyObject *)claims);
	window->forks = claims->forks;
	claims->orphans++;
	Py_DECREF((PyObject *)window);
}

static struct window *as_window(PyObject *self)
{
	return (struct window *)(void *)self;
}

/* The window is what the array keeps, without a memoryview between them that somebody would have to release. */
PyObject *window_array(struct window *window, struct open_claims *claims, PyObject *dtype)
{
	PyObject *array = NULL;

	if (!claims->frombuffer) {
		PyObject *numpy = PyImport_ImportModule("numpy");

		claims->frombuffer = numpy ? PyObject_GetAttrString(numpy, "frombuffer") : NULL;
		Py_XDECREF(numpy);
	}
	if (claims->frombuffer)
		array = PyObject_CallFunctionObjArgs(claims->frombuffer, (PyObject *)window, dtype, NULL);
	if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_Exception))
		PyErr_Clear();
	return array;
}

static int window_get_buffer(PyObject *self, Py_buffer *view, int flags)
{
	const struct window *window = as_window(self);

	return PyBuffer_FillInfo(view, self, window->data, window->length, window->lent, flags);
}

static void window_dealloc(PyObject *self)
{
	struct window *window = as_window(self);
	struct open_claims *claims = window->orphaned;

	if (claims && window->forks == claims->forks) {
		claims->orphans--;
		inplace_give_up(window->lane, window->lent);
	}
	Py_XDECREF((PyObject *)claims);
	Py_DECREF((PyObject *)window->lane);
	lane_free(self);
}

static PyType_Slot window_slots[] = {
	{Py_tp_doc, (void *)"What the views of a message in place are made of."},
	{Py_tp_dealloc, (void *)window_dealloc},
	{Py_bf_getbuffer, (void *)window_get_buffer},
	{0, NULL},
};

PyType_Spec window_spec = {
	"ipckit._lane.Window", (int)sizeof(struct window), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, window_slots,
};

#endif
