#include <errno.h>
#include <limits.h>

#include "claim.h"

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

/* After a wait: 1 to try again; 0: it is decided; -1 with the exception of a signal handler set. */
static int wait_again(long long rc)
{
	return rc < INT_MIN ? 0 : lane_wait_again((int)rc);
}

/* The two ways to a message in place. */
struct way {
	Py_ssize_t numbers; /* that its method takes */
	int lends;
	/* As of struct inplace_kind. */
	int64_t (*attempt)(struct inplace_lane *lane, const long long *numbers, uint64_t *offset);
	long long (*wait)(struct inplace_lane *lane, const long long *numbers);
};

static int64_t try_reserve(struct inplace_lane *lane, const long long *numbers, uint64_t *offset)
{
	return lane->kind->reserve(lane, (uint64_t)numbers[0], offset);
}

static long long wait_room(struct inplace_lane *lane, const long long *numbers)
{
	return lane->kind->wait_room(lane, (uint64_t)numbers[0], numbers[1]);
}

static int64_t try_lend(struct inplace_lane *lane, const long long *Py_UNUSED(numbers), uint64_t *offset)
{
	return lane->kind->lend(lane, offset);
}

static long long wait_message(struct inplace_lane *lane, const long long *numbers)
{
	return lane->kind->wait_message(lane, numbers[0]);
}

static const struct way to_reserve = {2, 0, try_reserve, wait_room};
static const struct way to_lend = {1, 1, try_lend, wait_message};

void inplace_give_up(struct inplace_lane *lane, int lent)
{
	if (lent)
		lane->kind->put_back(lane);
	else
		lane->kind->abort(lane);
}

/* Go that way, waiting. *rc: as the method returns it. Returns 0, or -1 with an exception set, and nothing is claimed. */
static int go(const struct way *way, struct inplace_lane *lane, const long long *numbers, uint64_t *offset, long long *rc)
{
	while ((*rc = way->attempt(lane, numbers, offset)) == -EAGAIN) {
		int again;

		Py_BEGIN_ALLOW_THREADS
		*rc = way->wait(lane, numbers);
		Py_END_ALLOW_THREADS
		again = wait_again(*rc);
		if (again <= 0)
			return again;
	}
	return 0;
}

/* Whether something is claimed: a loan has its length, and what is more than 0 of a reservation says that there is to be none. */
static int is_claim(const struct way *way, long long rc)
{
	return way->lends ? rc >= 0 : rc == 0;
}

/* Enter the offset in the list. Returns 0, or -1 with an exception set. */
static int append_offset(PyObject *list, uint64_t offset)
{
	PyObject *number = PyLong_FromUnsignedLongLong(offset);
	int rc = number ? PyList_Append(list, number) : -1;

	Py_XDECREF(number);
	return rc;
}

#ifndef Py_GIL_DISABLED
static PyObject *open_claim(const struct way *way, struct inplace_lane *lane, const long long *numbers, PyObject *object)
{
	struct open_claims *claims = open_claims_of(object);
	const struct claim_sort *sort;
	PyObject *self;
	uint64_t offset;
	long long rc;
	int failed;

	if (!claims) {
		PyErr_SetString(PyExc_TypeError, "a claim is entered in a list or in OpenClaims");
		return NULL;
	}
	sort = way->lends ? &claims->loans : &claims->reservations;
	self = claim_new(sort);
	if (!self)
		return NULL;
	failed = go(way, lane, numbers, &offset, &rc);
	if (!failed && is_claim(way, rc)) {
		claim_open(self, claims, sort, lane, offset, (uint64_t)(way->lends ? rc : numbers[0]));
		return self;
	}
	Py_DECREF(self);
	return failed ? NULL : PyLong_FromLongLong(rc);
}
#endif

static PyObject *claim(const struct way *way, PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct inplace_lane *lane = inplace_of(self);
	long long numbers[2], rc;
	uint64_t offset;

	if (lane_numbers(args, count - 1, numbers, way->numbers) < 0)
		return NULL;
#ifndef Py_GIL_DISABLED
	if (!PyList_Check(args[way->numbers]))
		return open_claim(way, lane, numbers, args[way->numbers]);
#endif
	if (go(way, lane, numbers, &offset, &rc) < 0)
		return NULL;
	if (is_claim(way, rc) && append_offset(args[way->numbers], offset) < 0) {
		inplace_give_up(lane, way->lends);
		return NULL;
	}
	return PyLong_FromLongLong(rc);
}

PyObject *inplace_reserve(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	return claim(&to_reserve, self, args, count);
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
	return claim(&to_lend, self, args, count);
}

PyObject *inplace_release(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(inplace_of(self)->kind->release(inplace_of(self)));
}

PyObject *inplace_put_back(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(inplace_of(self)->kind->put_back(inplace_of(self)));
}
