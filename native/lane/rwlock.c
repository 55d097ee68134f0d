/* An RWLock taken or given back at once. */
#include "lane.h"

#include "ipckit/rwlock.h"

/* take_read() -> 0, or -errno */
static PyObject *lane_take_read(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_rwlock_read_try(lane_address(self)));
}

/* give_read() -> 0, or -errno */
static PyObject *lane_give_read(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_rwlock_read_release(lane_address(self)));
}

/* take_write() -> 0, or -errno */
static PyObject *lane_take_write(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_rwlock_write_try(lane_address(self)));
}

/* give_write() -> 0, or -errno */
static PyObject *lane_give_write(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_rwlock_write_release(lane_address(self)));
}

static PyMethodDef lane_methods[] = {
	{"take_read", lane_take_read, METH_NOARGS, NULL},
	{"give_read", lane_give_read, METH_NOARGS, NULL},
	{"take_write", lane_take_write, METH_NOARGS, NULL},
	{"give_write", lane_give_write, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot lane_slots[] = {
	{Py_tp_doc, (void *)"RWLockLane(owner, address): the calls of the view at that address, which owner keeps."},
	{Py_tp_new, (void *)memory_lane_new},
	{Py_tp_dealloc, (void *)memory_lane_dealloc},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

PyType_Spec rwlock_lane_spec = {
	"ipckit._lane.RWLockLane", (int)sizeof(struct memory_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};
