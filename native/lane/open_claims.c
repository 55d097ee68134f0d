/* The claims of one handle that have not ended. */
#include "claim.h"

#ifndef Py_GIL_DISABLED

static struct open_claims *as_claims(PyObject *self)
{
	return (struct open_claims *)(void *)self;
}

/* Returns 0, or -1 with an exception set. */
static int fill_sort(struct claim_sort *sort, PyObject *type)
{
	sort->type = (PyTypeObject *)(void *)Py_NewRef(type);
	sort->what = PyObject_GetAttrString(type, "_WHAT");
	sort->done = sort->what ? PyObject_GetAttrString(type, "_DONE") : NULL;
	sort->undone = sort->done ? PyObject_GetAttrString(type, "_UNDONE") : NULL;
	return sort->undone ? 0 : -1;
}

static void empty_sort(struct claim_sort *sort)
{
	Py_XDECREF((PyObject *)sort->type);
	Py_XDECREF(sort->what);
	Py_XDECREF(sort->done);
	Py_XDECREF(sort->undone);
}

static PyObject *claims_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	PyObject *number, *window, *reservation, *loan, *self;

	if (lane_refuse_keywords(kwargs) < 0)
		return NULL;
	if (!PyArg_ParseTuple(args, "O!O!O!O!", &PyType_Type, &window, &PyType_Type, &reservation, &PyType_Type, &loan, &PyLong_Type,
			      &number))
		return NULL;
	self = lane_allocate(type);
	if (!self)
		return NULL;
	as_claims(self)->data = PyLong_AsVoidPtr(number);
	as_claims(self)->loans.lent = 1;
	as_claims(self)->window_type = (PyTypeObject *)(void *)Py_NewRef(window);
	if (PyErr_Occurred() || fill_sort(&as_claims(self)->reservations, reservation) < 0 ||
	    fill_sort(&as_claims(self)->loans, loan) < 0) {
		Py_DECREF(self);
		return NULL;
	}
	return self;
}

static void claims_dealloc(PyObject *self)
{
	Py_XDECREF((PyObject *)as_claims(self)->window_type);
	empty_sort(&as_claims(self)->reservations);
	empty_sort(&as_claims(self)->loans);
	Py_XDECREF(as_claims(self)->frombuffer);
	lane_free(self);
}

/* end(action: str, what: str, outcome: str) -> whether views outlive their claims; BufferError: views of an open one are alive */
static PyObject *claims_end(PyObject *self, PyObject *args)
{
	const char *action;
	PyObject *what, *outcome;

	if (!PyArg_ParseTuple(args, "sUU", &action, &what, &outcome))
		return NULL;
	while (as_claims(self)->first)
		if (claim_undo(as_claims(self)->first, action, what, outcome) < 0)
			return NULL;
	return PyBool_FromLong(as_claims(self)->orphans > 0);
}

/* forked(outcome: str): in a forked child */
static PyObject *claims_forked(PyObject *self, PyObject *outcome)
{
	while (as_claims(self)->first)
		claim_disown(as_claims(self)->first, outcome);
	as_claims(self)->orphans = 0;
	as_claims(self)->forks++;
	Py_RETURN_NONE;
}

static PyMethodDef claims_methods[] = {
	{"end", claims_end, METH_VARARGS, NULL},
	{"forked", claims_forked, METH_O, NULL},
	{NULL, NULL, 0, NULL},
};

struct open_claims *open_claims_of(PyObject *object)
{
	return PyType_GetSlot(Py_TYPE(object), Py_tp_methods) == (void *)claims_methods ? as_claims(object) : NULL;
}

static PyType_Slot claims_slots[] = {
	{Py_tp_doc, (void *)"OpenClaims(Window, Reservation, Loan, address): of one handle, on the data at that address."},
	{Py_tp_new, (void *)claims_new},
	{Py_tp_dealloc, (void *)claims_dealloc},
	{Py_tp_methods, claims_methods},
	{0, NULL},
};

PyType_Spec open_claims_spec = {
	"ipckit._lane.OpenClaims", (int)sizeof(struct open_claims), 0, Py_TPFLAGS_DEFAULT, claims_slots,
};

#endif
