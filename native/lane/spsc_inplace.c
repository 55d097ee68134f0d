#include "spsc_lane.h"

#include <errno.h>

static int append_offset(PyObject *claim, uint64_t offset)
{
	PyObject *number = PyLong_FromUnsignedLongLong(offset);
	int rc = number ? PyList_Append(claim, number) : -1;

	Py_XDECREF(number);
	return rc;
}

PyObject *spsc_lane_reserve(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct ipk_spsc *ring = lane_address(self);
	struct ipk_spsc_part given;
	long long numbers[2];
	int rc, again;

	if (lane_numbers(args, count - 1, numbers, 2) < 0)
		return NULL;
	while ((rc = ipk_spsc_try_reserve(ring, (uint64_t)numbers[0], &given)) == -EAGAIN) {
		Py_BEGIN_ALLOW_THREADS
		rc = ipk_spsc_wait_room(ring, (uint64_t)numbers[0], numbers[1]);
		Py_END_ALLOW_THREADS
		again = lane_wait_again(rc);
		if (again < 0)
			return NULL;
		if (!again)
			return PyLong_FromLong(rc);
	}
	if (rc == 0 && append_offset(args[2], given.offset) < 0) {
		ipk_spsc_abort(ring);
		return NULL;
	}
	return PyLong_FromLong(rc);
}

PyObject *spsc_lane_commit(PyObject *self, PyObject *number)
{
	long long length = PyLong_AsLongLong(number);

	if (length == -1 && PyErr_Occurred())
		return NULL;
	return PyLong_FromLong(ipk_spsc_commit(lane_address(self), (uint64_t)length));
}

PyObject *spsc_lane_abort(PyObject *self, PyObject *Py_UNUSED(none))
{
	ipk_spsc_abort(lane_address(self));
	Py_RETURN_NONE;
}

PyObject *spsc_lane_lend(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct ipk_spsc *ring = lane_address(self);
	int64_t lent;

	if (count != 2) {
		PyErr_SetString(PyExc_TypeError, "lend() takes a deadline and a list");
		return NULL;
	}
	lent = spsc_lend(ring, args[0]);
	if (lent == -EINTR)
		return NULL;
	if (lent >= 0 && append_offset(args[1], (uint64_t)lent >> 32) < 0) {
		ipk_spsc_return_loan(ring);
		return NULL;
	}
	return PyLong_FromLongLong(lent < 0 ? lent : (int64_t)((uint64_t)lent & UINT32_MAX));
}

PyObject *spsc_lane_release(PyObject *self, PyObject *Py_UNUSED(none))
{
	ipk_spsc_release(lane_address(self));
	Py_RETURN_NONE;
}

PyObject *spsc_lane_put_back(PyObject *self, PyObject *Py_UNUSED(none))
{
	ipk_spsc_return_loan(lane_address(self));
	Py_RETURN_NONE;
}
