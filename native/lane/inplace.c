#include "inplace.h"

#include <errno.h>
#include <limits.h>

static struct inplace_lane *inplace_of(PyObject *self)
{
	return (struct inplace_lane *)(void *)self;
}

PyObject *inplace_new(PyTypeObject *type, PyObject *args, PyObject *kwargs, const struct inplace_kind *kind)
{
	PyObject *self = memory_lane_new(type, args, kwargs);

	if (self)
		inplace_of(self)->kind = kind;
	return self;
}

static int append_offset(PyObject *claim, uint64_t offset)
{
	PyObject *number = PyLong_FromUnsignedLongLong(offset);
	int rc = number ? PyList_Append(claim, number) : -1;

	Py_XDECREF(number);
	return rc;
}

/* After a wait: 1 to try again; 0: it is decided; -1 with the exception of a signal handler set. */
static int wait_again(long long rc)
{
	return rc < INT_MIN ? 0 : lane_wait_again((int)rc);
}

PyObject *inplace_reserve(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct inplace_lane *lane = inplace_of(self);
	const struct inplace_kind *kind = lane->kind;
	long long numbers[2], rc;
	uint64_t offset;

	if (lane_numbers(args, count - 1, numbers, 2) < 0)
		return NULL;
	while ((rc = kind->reserve(lane, (uint64_t)numbers[0], &offset)) == -EAGAIN) {
		int again;

		Py_BEGIN_ALLOW_THREADS
		rc = kind->wait_room(lane, (uint64_t)numbers[0], numbers[1]);
		Py_END_ALLOW_THREADS
		again = wait_again(rc);
		if (again < 0)
			return NULL;
		if (!again)
			return PyLong_FromLongLong(rc);
	}
	if (rc == 0 && append_offset(args[2], offset) < 0) {
		kind->abort(lane);
		return NULL;
	}
	return PyLong_FromLongLong(rc);
}

PyObject *inplace_commit(PyObject *self, PyObject *number)
{
	long long length = PyLong_AsLongLong(number);

	if (length == -1 && PyErr_Occurred())
		return NULL;
	return PyLong_FromLong(inplace_of(self)->kind->commit(inplace_of(self), (uint64_t)length));
}

PyObject *inplace_abort(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(inplace_of(self)->kind->abort(inplace_of(self)));
}

PyObject *inplace_lend(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct inplace_lane *lane = inplace_of(self);
	const struct inplace_kind *kind = lane->kind;
	long long deadline_ns, rc;
	uint64_t offset;

	if (lane_numbers(args, count - 1, &deadline_ns, 1) < 0)
		return NULL;
	while ((rc = kind->lend(lane, &offset)) == -EAGAIN) {
		int again;

		Py_BEGIN_ALLOW_THREADS
		rc = kind->wait_message(lane, deadline_ns);
		Py_END_ALLOW_THREADS
		again = wait_again(rc);
		if (again < 0)
			return NULL;
		if (!again)
			return PyLong_FromLongLong(rc);
	}
	if (rc >= 0 && append_offset(args[1], offset) < 0) {
		kind->put_back(lane);
		return NULL;
	}
	return PyLong_FromLongLong(rc);
}

PyObject *inplace_release(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(inplace_of(self)->kind->release(inplace_of(self)));
}

PyObject *inplace_put_back(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(inplace_of(self)->kind->put_back(inplace_of(self)));
}
