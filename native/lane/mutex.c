/* A mutex taken, waited for and given back. */
#include "lane.h"

#include <errno.h>
#include <stdatomic.h>

#include "ipckit/mutex.h"

struct mutex_lane {
	struct memory_lane base;
	_Atomic int closed;
};

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

/* Give back what a wait got that comes to nothing. */
static void undo(struct ipk_sync *view, int rc)
{
	if (rc == 0 || rc == -EOWNERDEAD)
		ipk_mutex_undo(view);
}

/* wait(deadline_ns: int) -> as ipk_mutex_wait, but for -EAGAIN and -EINTR: it waits on, if no signal handler raised an exception;
 * -EBADF: the lane was closed. In both cases nothing is taken. */
static PyObject *lane_wait(PyObject *self, PyObject *argument)
{
	struct mutex_lane *lane = (struct mutex_lane *)(void *)self;
	struct ipk_sync *view = lane_address(self);
	long long deadline_ns;
	int rc;

	if (lane_numbers(&argument, 1, &deadline_ns, 1) < 0)
		return NULL;
	do {
		Py_BEGIN_ALLOW_THREADS
		rc = ipk_mutex_wait(view, deadline_ns);
		Py_END_ALLOW_THREADS
		if (PyErr_CheckSignals() < 0) {
			undo(view, rc);
			return NULL;
		}
		/* seq_cst: after it was taken; who closes looks at that after it has stored this */
		if (atomic_load_explicit(&lane->closed, memory_order_seq_cst)) {
			undo(view, rc);
			rc = -EBADF;
		}
	} while (rc == -EAGAIN || rc == -EINTR);
	return PyLong_FromLong(rc);
}

/* close(): nobody gets it through this lane by waiting any more. */
static PyObject *lane_close(PyObject *self, PyObject *Py_UNUSED(none))
{
	/* seq_cst: see lane_wait */
	atomic_store_explicit(&((struct mutex_lane *)(void *)self)->closed, 1, memory_order_seq_cst);
	Py_RETURN_NONE;
}

static PyMethodDef lane_methods[] = {
	{"take", lane_take, METH_NOARGS, NULL},
	{"give", lane_give, METH_NOARGS, NULL},
	{"wait", lane_wait, METH_O, NULL},
	{"close", lane_close, METH_NOARGS, NULL},
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
	"ipckit._lane.MutexLane", (int)sizeof(struct mutex_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};
