/* A barrier come to and waited at in one call. */
#include "lane.h"

#include <errno.h>

#include "ipckit/barrier.h"

#define ACT (IPK_BARRIER_MAX_PARTIES + 1) /* no index */

static PyObject *outcome(const struct ipk_barrier_wait *wait, int rc)
{
	return PyLong_FromLong(rc == 0 || rc == 1 ? (long)wait->index : rc == 2 ? ACT : rc);
}

/* The address and the deadline that a call was given. Returns the wait, NULL with an exception set. */
static struct ipk_barrier_wait *wait_of(PyObject *const *args, Py_ssize_t count, int64_t *deadline_ns)
{
	long long numbers[2];

	if (lane_numbers(args, count, numbers, 2) < 0)
		return NULL;
	*deadline_ns = numbers[1];
	return (struct ipk_barrier_wait *)(uintptr_t)numbers[0];
}

/* wait(wait: int, deadline_ns: int) -> how many had come before; MAX_PARTIES + 1: act; else as ipk_barrier_wait. The address is
 * that of a struct ipk_barrier_wait. */
static PyObject *lane_wait(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	int64_t deadline_ns;
	struct ipk_barrier_wait *wait = wait_of(args, count, &deadline_ns);
	int rc;

	if (!wait)
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	rc = ipk_barrier_wait(lane_address(self), wait, deadline_ns);
	Py_END_ALLOW_THREADS
	return outcome(wait, rc);
}

/* arrive(wait: int, deadline_ns: int) -> as wait(), which it does when it has to */
static PyObject *lane_arrive(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	int64_t deadline_ns;
	struct ipk_barrier_wait *wait = wait_of(args, count, &deadline_ns);
	int rc;

	if (!wait)
		return NULL;
	rc = ipk_barrier_arrive(lane_address(self), wait);
	return rc == 0 || rc == -EAGAIN ? lane_wait(self, args, count) : outcome(wait, rc);
}

static PyMethodDef lane_methods[] = {
	{"arrive", (PyCFunction)(void (*)(void))lane_arrive, METH_FASTCALL, NULL},
	{"wait", (PyCFunction)(void (*)(void))lane_wait, METH_FASTCALL, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot lane_slots[] = {
	{Py_tp_doc, (void *)"BarrierLane(owner, address): the calls of the view at that address, which owner keeps."},
	{Py_tp_new, (void *)memory_lane_new},
	{Py_tp_dealloc, (void *)memory_lane_dealloc},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

PyType_Spec barrier_lane_spec = {
	"ipckit._lane.BarrierLane", (int)sizeof(struct memory_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};
