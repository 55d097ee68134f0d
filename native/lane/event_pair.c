/* An event pair: one side set, the other one waited for, in one call. */
#include "lane.h"

#include <errno.h>

#include "ipckit/event_pair.h"

/* One slice, without the GIL. NULL: a signal handler raised, and nothing is taken. */
static PyObject *wait_for(struct ipk_sync *pair, uint32_t side, int64_t deadline_ns)
{
	uint32_t taken = 0;
	int rc = ipk_event_pair_glance(pair, side);

	if (rc == 0)
		return PyLong_FromLong(0);
	Py_BEGIN_ALLOW_THREADS
	rc = ipk_event_pair_wait(pair, side, deadline_ns, &taken);
	Py_END_ALLOW_THREADS
	if (PyErr_CheckSignals() < 0) {
		if (taken)
			ipk_event_pair_set(pair, side);
		return NULL;
	}
	return PyLong_FromLong(rc);
}

/* set(side: int) -> 0 */
static PyObject *lane_set(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	long long side;

	if (lane_numbers(args, count, &side, 1) < 0)
		return NULL;
	return PyLong_FromLong(ipk_event_pair_set(lane_address(self), (uint32_t)side));
}

/* wait(side: int, deadline_ns: int) -> 0, or -errno */
static PyObject *lane_wait(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	long long numbers[2];

	if (lane_numbers(args, count, numbers, 2) < 0)
		return NULL;
	return wait_for(lane_address(self), (uint32_t)numbers[0], numbers[1]);
}

/* exchange(side: int, deadline_ns: int) -> set that side, and wait for the other: 0, or -errno */
static PyObject *lane_exchange(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	long long numbers[2];

	if (lane_numbers(args, count, numbers, 2) < 0)
		return NULL;
	ipk_event_pair_set(lane_address(self), (uint32_t)numbers[0]);
	return wait_for(lane_address(self), (uint32_t)numbers[0] ^ 1, numbers[1]);
}

static PyMethodDef lane_methods[] = {
	{"set", (PyCFunction)(void (*)(void))lane_set, METH_FASTCALL, NULL},
	{"wait", (PyCFunction)(void (*)(void))lane_wait, METH_FASTCALL, NULL},
	{"exchange", (PyCFunction)(void (*)(void))lane_exchange, METH_FASTCALL, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot lane_slots[] = {
	{Py_tp_doc, (void *)"EventPairLane(owner, address): the calls of the view at that address, which owner keeps."},
	{Py_tp_new, (void *)memory_lane_new},
	{Py_tp_dealloc, (void *)memory_lane_dealloc},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

PyType_Spec event_pair_lane_spec = {
	"ipckit._lane.EventPairLane", (int)sizeof(struct memory_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};
