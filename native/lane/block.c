/* What a lock or a semaphore of the kernel derives from, for a `with` block: its lane takes and gives.
 *
 * Python runs signal handlers at the beginning of each function in Python and behind each call. Here are none, so that no exception
 * of theirs can come when something is taken and nobody knows, or before it is given back; up to CPython 3.13, which runs none between
 * __enter__ and the block.
 */
#include "lane.h"

static PyObject *ask_lane(PyObject *self, PyObject *method)
{
	PyObject *lane = PyObject_GetAttr(self, lane_names.lane);
	PyObject *result = lane ? PyObject_CallMethodObjArgs(lane, method, self, NULL) : NULL;

	Py_XDECREF(lane);
	return result;
}

/* __enter__() -> what the lane's enter(self) returns */
static PyObject *block_enter(PyObject *self, PyObject *Py_UNUSED(none))
{
	return ask_lane(self, lane_names.enter);
}

/* __exit__(kind, error, trace) */
static PyObject *block_exit(PyObject *self, PyObject *const *Py_UNUSED(error), Py_ssize_t Py_UNUSED(count))
{
	return ask_lane(self, lane_names.leave);
}

static PyMethodDef block_methods[] = {
	{"__enter__", block_enter, METH_NOARGS, "__enter__($self)\n--\n\n"},
	{"__exit__", (PyCFunction)(void (*)(void))block_exit, METH_FASTCALL, "__exit__($self, kind, error, trace)\n--\n\n"},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot block_slots[] = {
	{Py_tp_doc, (void *)"For a with block: what the lane of the object takes, and gives back."},
	{Py_tp_methods, block_methods},
	{0, NULL},
};

PyType_Spec block_spec = {
	"ipckit._lane.Block", (int)sizeof(PyObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, block_slots,
};
