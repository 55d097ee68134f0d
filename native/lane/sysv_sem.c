/* System V semaphore sets: one attempt at an operation, with its pairs read inside the call. */
#include "lane.h"

#include "ipckit/sysv_sem.h"

#define NOT_PLAIN 1 /* nothing was tried: cffi converts the pairs, or says what is wrong with them */
#define VALUE_MAX 32767

struct set_lane {
	PyObject_HEAD
	int id; /* -1: closed */
};

static struct set_lane *as_set_lane(PyObject *self)
{
	return (struct set_lane *)(void *)self;
}

static PyObject *lane_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	PyObject *self;
	int id;

	if (lane_refuse_keywords(kwargs) < 0)
		return NULL;
	if (!PyArg_ParseTuple(args, "i", &id))
		return NULL;
	self = lane_allocate(type);
	if (self)
		as_set_lane(self)->id = id;
	return self;
}

/* Whether `number` is an int, and no bool, from `low` to `high`. */
static int is_plain(PyObject *number, long low, long high, long *value)
{
	int overflow;

	if (!PyLong_CheckExact(number))
		return 0;
	*value = PyLong_AsLongAndOverflow(number, &overflow);
	return !overflow && *value >= low && *value <= high;
}

static int is_plain_pair(PyObject *pair, int undo, struct ipk_sysv_sem_op *op)
{
	long index, delta;

	if (!PyTuple_CheckExact(pair) || PyTuple_Size(pair) != 2)
		return 0;
	if (!is_plain(PyTuple_GetItem(pair, 0), 0, UINT16_MAX, &index))
		return 0;
	if (!is_plain(PyTuple_GetItem(pair, 1), -VALUE_MAX, VALUE_MAX, &delta))
		return 0;
	*op = (struct ipk_sysv_sem_op){.index = (uint16_t)index, .delta = (int16_t)delta, .undo = (int16_t)undo};
	return 1;
}

/* op(pairs: tuple, undo: bool) -> 0, -errno, or NOT_PLAIN */
static PyObject *lane_op(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct ipk_sysv_sem_op ops[IPK_SYSV_SEM_OPS];
	Py_ssize_t size;
	int undo;

	if (count != 2) {
		PyErr_SetString(PyExc_TypeError, "op() takes pairs and undo");
		return NULL;
	}
	undo = PyObject_IsTrue(args[1]);
	if (undo < 0)
		return NULL;
	if (!PyTuple_CheckExact(args[0]))
		return PyLong_FromLong(NOT_PLAIN);
	size = PyTuple_Size(args[0]);
	if (size < 1 || size > IPK_SYSV_SEM_OPS)
		return PyLong_FromLong(NOT_PLAIN);
	for (Py_ssize_t i = 0; i < size; i++) {
		if (!is_plain_pair(PyTuple_GetItem(args[0], i), undo, &ops[i]))
			return PyLong_FromLong(NOT_PLAIN);
	}
	return PyLong_FromLong(ipk_sysv_sem_op(as_set_lane(self)->id, ops, (uint32_t)size, 0, NULL));
}

/* Try the operation of that attribute of a member. Returns what `op` returns, or -1 with an exception set. */
static long member_op(PyObject *self, PyObject *member, PyObject *attribute)
{
	PyObject *args[] = {PyObject_GetAttr(member, attribute), NULL};
	PyObject *result;
	long rc = -1;

	if (!args[0])
		return -1;
	args[1] = PyObject_GetAttr(member, lane_names.undo);
	result = args[1] ? lane_op(self, args, 2) : NULL;
	if (result)
		rc = PyLong_AsLong(result);
	Py_XDECREF(result);
	Py_XDECREF(args[1]);
	Py_DECREF(args[0]);
	return rc;
}

/* enter(member) -> member, with a token */
static PyObject *lane_enter(PyObject *self, PyObject *member)
{
	long rc = member_op(self, member, lane_names.take);

	if (rc == 0)
		return Py_NewRef(member);
	return PyErr_Occurred() ? NULL : PyObject_CallMethod(member, "_enter_waiting", "l", rc);
}

/* leave(member): give the token */
static PyObject *lane_leave(PyObject *self, PyObject *member)
{
	long rc = member_op(self, member, lane_names.give);

	if (rc == 0)
		Py_RETURN_NONE;
	return PyErr_Occurred() ? NULL : PyObject_CallMethod(member, "_leave_failed", "l", rc);
}

/* close(): every later call fails as on a set that does not exist */
static PyObject *lane_close(PyObject *self, PyObject *Py_UNUSED(none))
{
	as_set_lane(self)->id = -1;
	Py_RETURN_NONE;
}

static PyMethodDef lane_methods[] = {
	{"op", (PyCFunction)(void (*)(void))lane_op, METH_FASTCALL, NULL},
	{"enter", lane_enter, METH_O, NULL},
	{"leave", lane_leave, METH_O, NULL},
	{"close", lane_close, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot lane_slots[] = {
	{Py_tp_doc, (void *)"SetLane(id): attempts at operations on a semaphore set."},
	{Py_tp_new, (void *)lane_new},
	{Py_tp_dealloc, (void *)lane_free},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

PyType_Spec sysv_sem_lane_spec = {
	"ipckit._lane.SetLane", (int)sizeof(struct set_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};
