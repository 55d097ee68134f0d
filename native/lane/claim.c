/* What `reserve` and `peek` of a ring return. */
#include "claim.h"

#ifndef Py_GIL_DISABLED

static Py_ssize_t offset; /* of the struct claim: the classes of both sorts have the same layout */

static struct claim *claim_of(PyObject *self)
{
	return (struct claim *)(void *)((char *)self + offset);
}

PyObject *claim_new(const struct claim_sort *sort)
{
	PyObject *self = lane_allocate(sort->type);

	if (self)
		claim_of(self)->self = self;
	return self;
}

void claim_open(PyObject *self, struct open_claims *claims, const struct claim_sort *sort, struct inplace_lane *lane,
		uint64_t at, uint64_t length)
{
	struct claim *claim = claim_of(self);

	claim->sort = sort;
	claim->lane = (struct inplace_lane *)(void *)Py_NewRef((PyObject *)lane);
	claim->claims = (struct open_claims *)(void *)Py_NewRef((PyObject *)claims);
	claim->offset = at;
	claim->length = length;
	claim->link = &claims->first;
	claim->next = claims->first;
	if (claim->next)
		claim->next->link = &claim->next;
	claims->first = claim;
}

/* The claim has ended. Returns its lane, and with it a reference. */
static struct inplace_lane *take_lane(struct claim *claim, PyObject *outcome)
{
	struct open_claims *claims = claim->claims;
	struct inplace_lane *lane = claim->lane;

	claim->by_owner = outcome == claim->sort->done || outcome == claim->sort->undone;
	*claim->link = claim->next;
	if (claim->next)
		claim->next->link = claim->link;
	claim->claims = NULL;
	claim->lane = NULL;
	claim->outcome = Py_NewRef(outcome);
	Py_DECREF((PyObject *)claims);
	return lane;
}

/* Raise what a method of the class in Python has returned. Returns NULL. */
static PyObject *raise_made(PyObject *error)
{
	if (error) {
		PyErr_SetObject((PyObject *)Py_TYPE(error), error);
		Py_DECREF(error);
	}
	return NULL;
}

static PyObject *raise_ended(PyObject *self)
{
	return raise_made(PyObject_CallMethod(self, "_ended", NULL));
}

/* Take the memory from a claim that is being ended. Returns 1: views are alive; 0; -1 with an exception set. */
static int take_memory(struct claim *claim)
{
	if (claim->view) {
		PyObject *done = PyObject_CallMethod(claim->view, "release", NULL);

		if (!done) { /* what was made of it has a buffer */
			if (!PyErr_ExceptionMatches(PyExc_BufferError))
				return -1;
			PyErr_Clear();
			return 1;
		}
		Py_DECREF(done);
		Py_CLEAR(claim->view);
	}
	if (claim->window && Py_REFCNT((PyObject *)claim->window) > 1)
		return 1;
	Py_CLEAR(claim->window);
	return 0;
}

/* Before a claim is ended: 0, or -1 with an exception set. */
static int begin_end(struct claim *claim, const char *action, PyObject *what)
{
	int viewed = claim->window ? take_memory(claim) : 0;

	if (viewed > 0)
		raise_made(PyObject_CallMethod(claim->self, "_viewed", "sO", action, what));
	return viewed ? -1 : 0;
}

int claim_undo(struct claim *claim, const char *action, PyObject *what, PyObject *outcome)
{
	int lent = claim->sort->lent;
	struct inplace_lane *lane;

	if (begin_end(claim, action, what) < 0)
		return -1;
	lane = take_lane(claim, outcome);
	inplace_give_up(lane, lent);
	Py_DECREF((PyObject *)lane);
	return 0;
}

void claim_disown(struct claim *claim, PyObject *outcome)
{
	struct inplace_lane *lane = take_lane(claim, outcome);

	Py_CLEAR(claim->view);
	Py_CLEAR(claim->window);
	Py_DECREF((PyObject *)lane);
}

/* Undo an open claim now, or when the last of its views is gone. */
static void abandon(struct claim *claim)
{
	struct open_claims *claims = (struct open_claims *)(void *)Py_NewRef((PyObject *)claim->claims);
	int lent = claim->sort->lent;
	int viewed = claim->window ? take_memory(claim) : 0;
	struct inplace_lane *lane = take_lane(claim, claim->sort->undone);

	if (viewed < 0)
		PyErr_Clear(); /* there is no memory to ask: it goes with the view, whenever that is */
	if (viewed) {
		window_orphan(claim->window, claims);
		claim->window = NULL;
		Py_CLEAR(claim->view);
	} else {
		inplace_give_up(lane, lent);
	}
	Py_DECREF((PyObject *)lane);
	Py_DECREF((PyObject *)claims);
}

/* The claim is to be committed, or received. Returns its lane, and with it a reference; NULL with an exception set. */
static struct inplace_lane *finish(PyObject *self, const char *action)
{
	struct claim *claim = claim_of(self);

	if (!claim->claims) {
		raise_ended(self);
		return NULL;
	}
	if (begin_end(claim, action, claim->sort->what) < 0)
		return NULL;
	return take_lane(claim, claim->sort->done);
}

static PyObject *commit_length(PyObject *self, uint64_t length)
{
	struct inplace_lane *lane = finish(self, "commit");
	int rc;

	if (!lane)
		return NULL;
	rc = lane->kind->commit(lane, length);
	Py_DECREF((PyObject *)lane);
	if (rc)
		return raise_made(PyObject_CallMethod(self, "_gone", NULL));
	Py_RETURN_NONE;
}

static PyObject *claim_commit(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	Py_ssize_t named = names ? PyTuple_Size(names) : 0;
	PyObject *checked;
	uint64_t length;

	if (count + named == 0)
		return commit_length(self, claim_of(self)->length);
	if (count + named > 1 || (named && PyUnicode_CompareWithASCIIString(PyTuple_GetItem(names, 0), "length") != 0)) {
		PyErr_SetString(PyExc_TypeError, "commit() takes one argument at the most, length");
		return NULL;
	}
	if (args[0] == Py_None)
		return commit_length(self, claim_of(self)->length);
	checked = PyObject_CallMethod(self, "_checked_length", "O", args[0]);
	if (!checked)
		return NULL;
	length = PyLong_AsUnsignedLongLong(checked);
	Py_DECREF(checked);
	return PyErr_Occurred() ? NULL : commit_length(self, length);
}

static PyObject *claim_release(PyObject *self, PyObject *Py_UNUSED(none))
{
	struct inplace_lane *lane = finish(self, "release");

	if (!lane)
		return NULL;
	lane->kind->release(lane);
	Py_DECREF((PyObject *)lane);
	Py_RETURN_NONE;
}

static PyObject *claim_abort(PyObject *self, PyObject *Py_UNUSED(none))
{
	struct claim *claim = claim_of(self);

	if (!claim->claims)
		return raise_ended(self);
	if (claim_undo(claim, "abort", claim->sort->what, claim->sort->undone) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *claim_enter(PyObject *self, PyObject *Py_UNUSED(none))
{
	return claim_of(self)->claims ? Py_NewRef(self) : raise_ended(self);
}

/* Returns 1: there is nothing more to do; 0: the block has ended as it should. */
static int leave(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct claim *claim = claim_of(self);

	if (count > 0 && args[0] != Py_None) {
		if (claim->claims)
			abandon(claim);
		return 1;
	}
	return claim->by_owner;
}

static PyObject *reservation_exit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	if (!leave(self, args, count))
		return commit_length(self, claim_of(self)->length);
	Py_RETURN_NONE;
}

static PyObject *loan_exit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	if (!leave(self, args, count))
		return claim_release(self, NULL);
	Py_RETURN_NONE;
}

static void claim_finalize(PyObject *self)
{
	struct claim *claim = claim_of(self);
	PyObject *type, *value, *trace, *done;

	if (!claim->claims) {
		Py_CLEAR(claim->outcome);
		return;
	}
	PyErr_Fetch(&type, &value, &trace);
	done = PyObject_CallMethod(self, "_warn", NULL);
	if (!done)
		PyErr_WriteUnraisable(self);
	Py_XDECREF(done);
	if (claim->claims) /* what the warning set off may have ended it */
		abandon(claim);
	Py_CLEAR(claim->outcome);
	PyErr_Restore(type, value, trace);
}

/* The window of an open claim, with a reference; NULL with an exception set. */
static struct window *window_of(struct claim *claim)
{
	if (!claim->claims) {
		raise_ended(claim->self);
		return NULL;
	}
	if (!claim->window)
		claim->window = window_new(claim);
	return (struct window *)(void *)Py_XNewRef((PyObject *)claim->window);
}

static PyObject *claim_buf(PyObject *self, void *Py_UNUSED(none))
{
	struct claim *claim = claim_of(self);
	struct window *window;
	PyObject *view;

	if (claim->claims && claim->view)
		return Py_NewRef(claim->view);
	window = window_of(claim);
	if (!window)
		return NULL;
	view = PyMemoryView_FromObject((PyObject *)window);
	Py_DECREF((PyObject *)window);
	if (!claim->claims) { /* a garbage collection closed the ring */
		PyErr_Clear();
		Py_XDECREF(view);
		return raise_ended(self);
	}
	claim->view = view;
	return Py_XNewRef(view);
}

/* The commonest array, all of the message, is made here; any other by the method in Python. */
static PyObject *claim_array(PyObject *self, PyObject *args, PyObject *named)
{
	PyObject *array, *method;

	if (PyTuple_Size(args) == 1 && !named) {
		struct window *window = window_of(claim_of(self));
		PyObject *claims;

		if (!window)
			return NULL;
		claims = Py_NewRef((PyObject *)claim_of(self)->claims);
		array = window_array(window, (struct open_claims *)(void *)claims, PyTuple_GetItem(args, 0));
		Py_DECREF((PyObject *)window);
		Py_DECREF(claims);
		if (array || PyErr_Occurred())
			return array;
	}
	method = PyObject_GetAttrString(self, "_array");
	array = method ? PyObject_Call(method, args, named) : NULL;
	Py_XDECREF(method);
	return array;
}

static PyObject *claim_length(PyObject *self, void *Py_UNUSED(none))
{
	return PyLong_FromUnsignedLongLong(claim_of(self)->length);
}

static PyObject *claim_outcome(PyObject *self, void *Py_UNUSED(none))
{
	PyObject *outcome = claim_of(self)->outcome;

	return Py_NewRef(outcome ? outcome : Py_None);
}

static PyGetSetDef claim_getset[] = {
	{"buf", claim_buf, NULL, NULL, NULL},
	{"_length", claim_length, NULL, NULL, NULL},
	{"_outcome", claim_outcome, NULL, NULL, NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef reservation_methods[] = {
	{"commit", (PyCFunction)(void (*)(void))claim_commit, METH_FASTCALL | METH_KEYWORDS, "commit($self, length=None)\n--\n\n"},
	{"abort", claim_abort, METH_NOARGS, "abort($self)\n--\n\n"},
	{"array", (PyCFunction)(void (*)(void))claim_array, METH_VARARGS | METH_KEYWORDS,
	 "array($self, dtype, shape=None, *, offset=0)\n--\n\n"},
	{"__enter__", claim_enter, METH_NOARGS, "__enter__($self)\n--\n\n"},
	{"__exit__", (PyCFunction)(void (*)(void))reservation_exit, METH_FASTCALL, "__exit__($self, kind, error, trace)\n--\n\n"},
	{NULL, NULL, 0, NULL},
};

static PyMethodDef loan_methods[] = {
	{"release", claim_release, METH_NOARGS, "release($self)\n--\n\n"},
	{"array", (PyCFunction)(void (*)(void))claim_array, METH_VARARGS | METH_KEYWORDS,
	 "array($self, dtype, shape=None, *, offset=0)\n--\n\n"},
	{"__enter__", claim_enter, METH_NOARGS, "__enter__($self)\n--\n\n"},
	{"__exit__", (PyCFunction)(void (*)(void))loan_exit, METH_FASTCALL, "__exit__($self, kind, error, trace)\n--\n\n"},
	{NULL, NULL, 0, NULL},
};

PyObject *claim_type(PyObject *Py_UNUSED(module), PyObject *base)
{
	int is_loan = PyObject_HasAttrString(base, "release");
	PyObject *size = PyObject_GetAttrString(base, "__basicsize__");
	Py_ssize_t place = size ? PyLong_AsSsize_t(size) : -1;
	PyObject *type = NULL, *bases;
	PyType_Slot slots[] = {
		{Py_tp_methods, is_loan ? loan_methods : reservation_methods},
		{Py_tp_getset, claim_getset},
		{Py_tp_finalize, (void *)claim_finalize},
		{0, NULL},
	};
	PyType_Spec spec = {
		is_loan ? "ipckit.ring._inplace.Loan" : "ipckit.ring._inplace.Reservation", 0, 0, Py_TPFLAGS_DEFAULT, slots,
	};

	Py_XDECREF(size);
	if (place < 0)
		return NULL;
	if (offset && offset != place)
		return PyErr_Format(PyExc_TypeError, "%R has not the layout of the other class of messages in place", base);
	bases = PyTuple_Pack(1, base);
	if (bases) {
		offset = place;
		spec.basicsize = (int)(offset + (Py_ssize_t)sizeof(struct claim));
		type = PyType_FromSpecWithBases(&spec, bases);
	}
	Py_XDECREF(bases);
	return type;
}

#endif
