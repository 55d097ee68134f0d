/* Operations on a shared integer. */
#include "lane.h"

#include "ipckit/atomic.h"

/* Two's complement, both ways: C11 leaves the conversion of large numbers to the compiler, and ours all wrap. */

static PyObject *signed_out(uint64_t bits)
{
	return PyLong_FromLongLong((int64_t)bits);
}

static PyObject *unsigned_out(uint64_t bits)
{
	return PyLong_FromUnsignedLongLong(bits);
}

/* Each returns 0, or -1 with an exception. */

static int signed_in(PyObject *value, uint64_t *bits)
{
	long long number;

	if (!PyLong_Check(value)) {
		PyErr_SetString(PyExc_TypeError, "an int is required");
		return -1;
	}
	number = PyLong_AsLongLong(value);
	*bits = (uint64_t)number;
	return number == -1 && PyErr_Occurred() ? -1 : 0;
}

static int unsigned_in(PyObject *value, uint64_t *bits)
{
	if (!PyLong_Check(value)) {
		PyErr_SetString(PyExc_TypeError, "an int is required");
		return -1;
	}
	*bits = PyLong_AsUnsignedLongLong(value);
	return *bits == UINT64_MAX && PyErr_Occurred() ? -1 : 0;
}

/* What is added to an unsigned one may be negative. */
static int either_in(PyObject *value, uint64_t *bits)
{
	if (unsigned_in(value, bits) == 0)
		return 0;
	if (!PyErr_ExceptionMatches(PyExc_OverflowError))
		return -1;
	PyErr_Clear();
	return signed_in(value, bits);
}

/* load() -> int, store(value), exchange(value) -> int, fetch_add(delta) -> int before, add(delta) -> int after,
 * compare_exchange(expected, desired) -> int before */
#define OPERATIONS(sign, delta_in)                                                                                     \
	static PyObject *sign##_load(PyObject *self, PyObject *Py_UNUSED(none))                                        \
	{                                                                                                              \
		return sign##_out(ipk_atomic_load(lane_address(self)));                                                \
	}                                                                                                              \
	static PyObject *sign##_store(PyObject *self, PyObject *value)                                                 \
	{                                                                                                              \
		uint64_t bits;                                                                                         \
                                                                                                                       \
		if (sign##_in(value, &bits) < 0)                                                                       \
			return NULL;                                                                                   \
		ipk_atomic_store(lane_address(self), bits);                                                            \
		return Py_NewRef(Py_None);                                                                             \
	}                                                                                                              \
	static PyObject *sign##_exchange(PyObject *self, PyObject *value)                                              \
	{                                                                                                              \
		uint64_t bits;                                                                                         \
                                                                                                                       \
		return sign##_in(value, &bits) < 0 ? NULL : sign##_out(ipk_atomic_exchange(lane_address(self), bits)); \
	}                                                                                                              \
	static PyObject *sign##_fetch_add(PyObject *self, PyObject *delta)                                             \
	{                                                                                                              \
		uint64_t bits;                                                                                         \
                                                                                                                       \
		return delta_in(delta, &bits) < 0 ? NULL : sign##_out(ipk_atomic_fetch_add(lane_address(self), bits)); \
	}                                                                                                              \
	static PyObject *sign##_add(PyObject *self, PyObject *delta)                                                   \
	{                                                                                                              \
		uint64_t bits;                                                                                         \
                                                                                                                       \
		if (delta_in(delta, &bits) < 0)                                                                        \
			return NULL;                                                                                   \
		return sign##_out(ipk_atomic_fetch_add(lane_address(self), bits) + bits);                              \
	}                                                                                                              \
	static PyObject *sign##_compare_exchange(PyObject *self, PyObject *args)                                       \
	{                                                                                                              \
		PyObject *expected, *desired;                                                                          \
		uint64_t seen, bits;                                                                                   \
                                                                                                                       \
		if (!PyArg_UnpackTuple(args, "compare_exchange", 2, 2, &expected, &desired))                           \
			return NULL;                                                                                   \
		if (sign##_in(expected, &seen) < 0 || sign##_in(desired, &bits) < 0)                                   \
			return NULL;                                                                                   \
		ipk_atomic_compare_exchange(lane_address(self), &seen, bits);                                          \
		return sign##_out(seen);                                                                               \
	}                                                                                                              \
	static PyMethodDef sign##_methods[] = {                                                                        \
		{"load", sign##_load, METH_NOARGS, NULL},                                                              \
		{"store", sign##_store, METH_O, NULL},                                                                 \
		{"exchange", sign##_exchange, METH_O, NULL},                                                           \
		{"fetch_add", sign##_fetch_add, METH_O, NULL},                                                         \
		{"add", sign##_add, METH_O, NULL},                                                                     \
		{"compare_exchange", sign##_compare_exchange, METH_VARARGS, NULL},                                     \
		{NULL, NULL, 0, NULL},                                                                                 \
	}

OPERATIONS(signed, signed_in);
OPERATIONS(unsigned, either_in);

static PyType_Slot signed_slots[] = {
	{Py_tp_doc, (void *)"AtomicInt64Lane(owner, address): the calls of the view at that address, which owner keeps."},
	{Py_tp_new, (void *)memory_lane_new},
	{Py_tp_dealloc, (void *)memory_lane_dealloc},
	{Py_tp_methods, signed_methods},
	{0, NULL},
};

static PyType_Slot unsigned_slots[] = {
	{Py_tp_doc, (void *)"AtomicUInt64Lane(owner, address): the calls of the view at that address, which owner keeps."},
	{Py_tp_new, (void *)memory_lane_new},
	{Py_tp_dealloc, (void *)memory_lane_dealloc},
	{Py_tp_methods, unsigned_methods},
	{0, NULL},
};

PyType_Spec atomic_int64_lane_spec = {
	"ipckit._lane.AtomicInt64Lane", (int)sizeof(struct memory_lane), 0, Py_TPFLAGS_DEFAULT, signed_slots,
};

PyType_Spec atomic_uint64_lane_spec = {
	"ipckit._lane.AtomicUInt64Lane", (int)sizeof(struct memory_lane), 0, Py_TPFLAGS_DEFAULT, unsigned_slots,
};
