/* An event that is set, cleared, looked at, or waited for in one call. */
#include "lane.h"

#include "ipckit/event.h"

/* set() -> 0 */
static PyObject *lane_set(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_event_set(lane_address(self)));
}

/* clear() -> 0 */
static PyObject *lane_clear(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_event_clear(lane_address(self)));
}

/* is_set() -> 1 or 0 */
static PyObject *lane_is_set(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_event_is_set(lane_address(self)));
}

/* take() -> 0, or -errno */
static PyObject *lane_take(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_event_take(lane_address(self)));
}

/* wait(since: int, deadline_ns: int) -> as ipk_event_wait */
static PyObject *lane_wait(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct ipk_sync *view = lane_address(self);
	long long numbers[2];
	uint32_t taken = 0;
	int64_t rc;

	if (lane_numbers(args, count, numbers, 2) < 0)
		return NULL;
	if (ipk_event_take(view) == 0)
		return PyLong_FromLong(0);
	Py_BEGIN_ALLOW_THREADS
	rc = ipk_event_wait(view, numbers[0], numbers[1], &taken);
	Py_END_ALLOW_THREADS
	if (PyErr_CheckSignals() < 0) {
		if (taken)
			ipk_event_set(view);
		return NULL;
	}
	return PyLong_FromLongLong(rc);
}

static PyMethodDef lane_methods[] = {
	{"set", lane_set, METH_NOARGS, NULL},
	{"clear", lane_clear, METH_NOARGS, NULL},
	{"is_set", lane_is_set, METH_NOARGS, NULL},
	{"take", lane_take, METH_NOARGS, NULL},
	{"wait", (PyCFunction)(void (*)(void))lane_wait, METH_FASTCALL, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot lane_slots[] = {
	{Py_tp_doc, (void *)"EventLane(owner, address): the calls of the view at that address, which owner keeps."},
	{Py_tp_new, (void *)memory_lane_new},
	{Py_tp_dealloc, (void *)memory_lane_dealloc},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

PyType_Spec event_lane_spec = {
	"ipckit._lane.EventLane", (int)sizeof(struct memory_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};
