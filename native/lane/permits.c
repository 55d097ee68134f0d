/* A permit of a semaphore of ours taken or given at once. */
#include "lane.h"

#include "ipckit/semaphore.h"
#include "ipckit/tracked_semaphore.h"

/* take() -> 0, or -errno */
static PyObject *plain_take(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_semaphore_try(lane_address(self)));
}

/* give() -> 0, or -errno */
static PyObject *plain_give(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_semaphore_release(lane_address(self), 1));
}

static PyObject *tracked_take(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_tracked_semaphore_try(lane_address(self)));
}

static PyObject *tracked_give(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_tracked_semaphore_release(lane_address(self), 1));
}

static PyMethodDef plain_methods[] = {
	{"take", plain_take, METH_NOARGS, NULL},
	{"give", plain_give, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyMethodDef tracked_methods[] = {
	{"take", tracked_take, METH_NOARGS, NULL},
	{"give", tracked_give, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot plain_slots[] = {
	{Py_tp_doc, (void *)"PermitLane(owner, address): the calls of the view at that address, which owner keeps."},
	{Py_tp_new, (void *)memory_lane_new},
	{Py_tp_dealloc, (void *)memory_lane_dealloc},
	{Py_tp_methods, plain_methods},
	{0, NULL},
};

static PyType_Slot tracked_slots[] = {
	{Py_tp_doc, (void *)"TrackedPermitLane(owner, address): as PermitLane."},
	{Py_tp_new, (void *)memory_lane_new},
	{Py_tp_dealloc, (void *)memory_lane_dealloc},
	{Py_tp_methods, tracked_methods},
	{0, NULL},
};

PyType_Spec permit_lane_spec = {
	"ipckit._lane.PermitLane", (int)sizeof(struct memory_lane), 0, Py_TPFLAGS_DEFAULT, plain_slots,
};

PyType_Spec tracked_permit_lane_spec = {
	"ipckit._lane.TrackedPermitLane", (int)sizeof(struct memory_lane), 0, Py_TPFLAGS_DEFAULT, tracked_slots,
};
