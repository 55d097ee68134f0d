/* A condition variable waited for and notified in one call. */
#include "lane.h"

#include <errno.h>

#include "ipckit/condition.h"

struct condition_lane {
	struct memory_lane base;
	struct ipk_sync *mutex;
	PyObject *mutex_owner; /* keeps that memory */
};

static struct condition_lane *lane_of(PyObject *self)
{
	return (struct condition_lane *)(void *)self;
}

static PyObject *lane_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	PyObject *condition = PyTuple_GetSlice(args, 0, 2);
	PyObject *mutex = PyTuple_GetSlice(args, 2, PyTuple_Size(args));
	PyObject *owner, *number, *self = NULL;
	void *address;

	if (condition && mutex && PyArg_ParseTuple(mutex, "OO!", &owner, &PyLong_Type, &number)) {
		address = PyLong_AsVoidPtr(number);
		self = address ? memory_lane_new(type, condition, kwargs) : NULL;
		if (self) {
			lane_of(self)->mutex = address;
			lane_of(self)->mutex_owner = Py_NewRef(owner);
		} else if (!PyErr_Occurred()) {
			PyErr_SetString(PyExc_ValueError, "address must be that of a mutex, not 0");
		}
	}
	Py_XDECREF(condition);
	Py_XDECREF(mutex);
	return self;
}

static void lane_dealloc(PyObject *self)
{
	Py_XDECREF(lane_of(self)->mutex_owner);
	memory_lane_dealloc(self);
}

/* wait(wait: int, deadline_ns: int) -> as ipk_condition_wait, but 1 for 0 when notified. The address is that of a struct
 * ipk_condition_wait; where it is outside, the wait begins. */
static PyObject *lane_wait(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct ipk_sync *view = lane_address(self), *mutex = lane_of(self)->mutex;
	struct ipk_condition_wait *wait;
	long long numbers[2];
	int rc = 0;

	if (lane_numbers(args, count, numbers, 2) < 0)
		return NULL;
	wait = (struct ipk_condition_wait *)(uintptr_t)numbers[0];
	if (wait->phase == IPK_CONDITION_OUTSIDE)
		rc = ipk_condition_begin(view, mutex, wait);
	if (rc == 0) {
		Py_BEGIN_ALLOW_THREADS
		rc = ipk_condition_wait(view, mutex, wait, numbers[1]);
		Py_END_ALLOW_THREADS
	}
	return PyLong_FromLong(rc == 0 && wait->notified ? 1 : rc);
}

/* notify(n: int) -> how many were notified, or -errno */
static PyObject *lane_notify(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	long long n;

	if (lane_numbers(args, count, &n, 1) < 0)
		return NULL;
	return PyLong_FromLongLong(ipk_condition_notify(lane_address(self), lane_of(self)->mutex, (uint32_t)n));
}

static PyMethodDef lane_methods[] = {
	{"wait", (PyCFunction)(void (*)(void))lane_wait, METH_FASTCALL, NULL},
	{"notify", (PyCFunction)(void (*)(void))lane_notify, METH_FASTCALL, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot lane_slots[] = {
	{Py_tp_doc, (void *)"ConditionLane(owner, address, mutex_owner, mutex_address): the calls of the views at those addresses, "
			    "which their owners keep."},
	{Py_tp_new, (void *)lane_new},
	{Py_tp_dealloc, (void *)lane_dealloc},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

PyType_Spec condition_lane_spec = {
	"ipckit._lane.ConditionLane", (int)sizeof(struct condition_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};
