/* A mutex taken or given back at once. */
#include "lane.h"

#include "ipckit/mutex.h"

/* take() -> 0, or -errno */
static PyObject *lane_take(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_mutex_try(lane_address(self)));
}

/* give() -> 0, or -errno */
static PyObject *lane_give(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_mutex_release(lane_address(self)));
}

static PyMethodDef lane_methods[] = {
	{"take", lane_take, METH_NOARGS, NULL},
	{"give", lane_give, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot lane_slots[] = {
	{Py_tp_doc, (void *)"MutexLane(owner, address): the calls of the view at that address, which owner keeps."},
	{Py_tp_new, (void *)memory_lane_new},
	{Py_tp_dealloc, (void *)memory_lane_dealloc},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

PyType_Spec mutex_lane_spec = {
	"ipckit._lane.MutexLane", (int)sizeof(struct memory_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};
