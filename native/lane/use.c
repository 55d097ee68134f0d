/* A thread is inside an operation on a handle, which keeps what the handle has until it leaves: a with block.
 *
 * Python runs signal handlers at the beginning of each function in Python and behind each call. Here are none, so that no exception
 * of theirs can come between what is noted and what removes it; up to CPython 3.13, which runs none between __enter__ and the block.
 */
#include "lane.h"

struct use {
	PyObject_HEAD
	PyObject *handle;
	PyObject *users; /* its list of those that are inside */
	PyObject *here;  /* stands for this process */
};

static struct use *as_use(PyObject *self)
{
	return (struct use *)(void *)self;
}

static PyObject *use_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	PyObject *handle, *users, *here, *self;

	if (lane_refuse_keywords(kwargs) < 0)
		return NULL;
	if (!PyArg_UnpackTuple(args, "Use", 3, 3, &handle, &users, &here))
		return NULL;
	self = lane_allocate(type);
	if (!self)
		return NULL;
	as_use(self)->handle = Py_NewRef(handle);
	as_use(self)->users = Py_NewRef(users);
	as_use(self)->here = Py_NewRef(here);
	return self;
}

static void use_dealloc(PyObject *self)
{
	Py_XDECREF(as_use(self)->handle);
	Py_XDECREF(as_use(self)->users);
	Py_XDECREF(as_use(self)->here);
	lane_free(self);
}

/* Returns 1, 0, or -1 with an exception set. */
static int is_closed(const struct use *use)
{
	PyObject *closed = PyObject_GetAttrString(use->handle, "_closed");
	int truth = closed ? PyObject_IsTrue(closed) : -1;

	Py_XDECREF(closed);
	return truth;
}

static int leave(const struct use *use)
{
	/* One step: to delete the last is two, and on a free-threaded Python another thread may leave in between. */
	PyObject *done = PyObject_CallMethod(use->users, "pop", NULL);
	int closed;

	if (!done)
		return -1;
	Py_DECREF(done);
	closed = is_closed(use);
	if (closed <= 0)
		return closed;
	done = PyObject_CallMethod(use->handle, "_release_unless_used", NULL);
	Py_XDECREF(done);
	return done ? 0 : -1;
}

/* __enter__() */
static PyObject *use_enter(PyObject *self, PyObject *Py_UNUSED(none))
{
	const struct use *use = as_use(self);
	int closed;

	if (PyList_Append(use->users, use->here) < 0)
		return NULL;
	closed = is_closed(use);
	if (closed == 0)
		Py_RETURN_NONE;
	if (closed < 0 || leave(use) < 0)
		return NULL;
	return PyObject_CallMethod(use->handle, "_check_open", NULL); /* raises */
}

/* __exit__(*error) */
static PyObject *use_exit(PyObject *self, PyObject *Py_UNUSED(error))
{
	if (leave(as_use(self)) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyMethodDef use_methods[] = {
	{"__enter__", use_enter, METH_NOARGS, NULL},
	{"__exit__", use_exit, METH_VARARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot use_slots[] = {
	{Py_tp_doc, (void *)"Use(handle, users, here): for a with block, keeps what the handle has."},
	{Py_tp_new, (void *)use_new},
	{Py_tp_dealloc, (void *)use_dealloc},
	{Py_tp_methods, use_methods},
	{0, NULL},
};

PyType_Spec use_spec = {
	"ipckit._lane.Use", (int)sizeof(struct use), 0, Py_TPFLAGS_DEFAULT, use_slots,
};
