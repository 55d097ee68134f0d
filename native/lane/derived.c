#include "derived.h"

#include <string.h>

#include "ipckit/base.h"

PyObject *derived_in_python(const struct derived_part *part, PyObject *self, const char *method, PyObject *const *args,
			    Py_ssize_t count, PyObject *names)
{
	Py_ssize_t named = names ? PyTuple_Size(names) : 0;
	PyObject *function, *all, *keywords = NULL, *result = NULL;

	if (!part->class) { /* its constructor has not run, or failed: say so */
		PyErr_SetString(PyExc_AttributeError, "_lane");
		return NULL;
	}
	function = PyObject_GetAttrString(part->class->base, method);
	all = PyTuple_New(1 + count);
	if (named > 0)
		keywords = PyDict_New();
	if (!function || !all || (named > 0 && !keywords))
		goto out;
	PyTuple_SetItem(all, 0, Py_NewRef(self));
	for (Py_ssize_t i = 0; i < count; i++)
		PyTuple_SetItem(all, 1 + i, Py_NewRef(args[i]));
	for (Py_ssize_t i = 0; i < named; i++)
		if (PyDict_SetItem(keywords, PyTuple_GetItem(names, i), args[count + i]) < 0)
			goto out;
	result = PyObject_Call(function, all, keywords);
out:
	Py_XDECREF(function);
	Py_XDECREF(all);
	Py_XDECREF(keywords);
	return result;
}

PyObject *derived_refused(PyObject *self, int rc, const char *call)
{
	PyObject *error = PyObject_CallMethod(self, "_refused", "is", rc, call);

	if (error) {
		PyErr_SetObject((PyObject *)Py_TYPE(error), error);
		Py_DECREF(error);
	}
	return NULL;
}

static int seconds(PyObject *timeout, struct lane_wait *wait)
{
	if (timeout == Py_None)
		return 1;
	if (!PyFloat_CheckExact(timeout) && !PyLong_CheckExact(timeout))
		return 0;
	wait->timed = 1;
	wait->timeout = PyFloat_AsDouble(timeout);
	if (wait->timeout == -1.0 && PyErr_Occurred())
		PyErr_Clear(); /* an int beyond all floats */
	return wait->timeout >= 0;
}

static int is_named(PyObject *names, Py_ssize_t i, const char *name)
{
	return PyUnicode_CompareWithASCIIString(PyTuple_GetItem(names, i), name) == 0;
}

int lane_timeout(PyObject *const *args, Py_ssize_t count, PyObject *names, struct lane_wait *wait)
{
	Py_ssize_t named = names ? PyTuple_Size(names) : 0;

	*wait = (struct lane_wait){.blocks = 1};
	if (count + named == 0)
		return 1;
	return count + named == 1 && (named == 0 || is_named(names, 0, "timeout")) && seconds(args[0], wait);
}

int lane_blocking(PyObject *const *args, Py_ssize_t count, PyObject *names, struct lane_wait *wait)
{
	Py_ssize_t named = names ? PyTuple_Size(names) : 0;
	PyObject *blocking = count > 0 ? args[0] : Py_True;
	PyObject *timeout = count > 1 ? args[1] : Py_None;

	*wait = (struct lane_wait){.blocks = 1};
	if (count + named == 0)
		return 1;
	if (count + named > 2)
		return 0;
	for (Py_ssize_t i = 0; i < named; i++)
		if (is_named(names, i, "timeout") && count < 2)
			timeout = args[count + i];
		else if (is_named(names, i, "blocking") && count < 1)
			blocking = args[count + i];
		else
			return 0;
	wait->blocks = blocking == Py_True;
	return (wait->blocks || (blocking == Py_False && timeout == Py_None)) && seconds(timeout, wait);
}

int64_t lane_deadline(const struct lane_wait *wait)
{
	double nanoseconds = wait->timeout * 1e9;
	int64_t now;

	if (!wait->blocks || (wait->timed && wait->timeout == 0))
		return 0;
	now = wait->timed ? ipk_monotonic_ns() : 0;
	if (!wait->timed || nanoseconds >= (double)(IPK_NEVER - now))
		return IPK_NEVER;
	now += (int64_t)nanoseconds;
	return (double)(int64_t)nanoseconds < nanoseconds ? now + 1 : now;
}

#ifndef Py_GIL_DISABLED /* there, a method could not be sure that what it borrows stays */

static const struct derived_kind *const kinds[] = {
	&barrier_kind, &condition_kind, &event_kind, &mutex_kind, &semaphore_kind,
};

static struct derived_part *part_of(PyObject *self, const struct derived_class *class)
{
	return derived_part_at(self, *class->kind->offset);
}

static PyObject *get_lane(PyObject *self, void *class)
{
	const struct derived_class *known = class;
	PyObject *lane = part_of(self, known)->lane;

	return lane ? Py_NewRef(lane) : PyObject_CallMethod(known->slot, "__get__", "O", self);
}

static int set_lane(PyObject *self, PyObject *lane, void *class)
{
	const struct derived_class *known = class;
	struct derived_part *part = part_of(self, known);
	PyObject *done;

	part->lane = NULL; /* before the slot lets go of it */
	part->class = known;
	done = lane ? PyObject_CallMethod(known->slot, "__set__", "OO", self, lane)
		    : PyObject_CallMethod(known->slot, "__delete__", "O", self);
	if (!done)
		return -1;
	Py_DECREF(done);
	if (lane && PyType_GetSlot(Py_TYPE(lane), Py_tp_methods) == (const void *)known->kind->lane)
		part->lane = lane;
	return 0;
}

/* A copy of the text, for ever. */
static char *keep(const char *begin, const char *text)
{
	size_t length = strlen(begin);
	char *kept = PyMem_Malloc(length + strlen(text) + 1);

	if (kept) {
		memcpy(kept, begin, length);
		strcpy(kept + length, text);
	}
	return kept;
}

/* The docstring of an object. NULL with an exception set; `kept`: what its text belongs to. */
static const char *doc_of(PyObject *object, PyObject **kept)
{
	*kept = PyObject_GetAttrString(object, "__doc__");
	if (!*kept)
		return NULL;
	return *kept == Py_None ? "" : PyUnicode_AsUTF8AndSize(*kept, NULL);
}

/* The methods with the docstrings that they have in Python. NULL with an exception set. */
static PyMethodDef *methods_of(const struct derived_kind *kind, PyObject *base)
{
	size_t count = 0;
	PyMethodDef *methods;

	while (kind->methods[count].ml_name)
		count++;
	methods = PyMem_Calloc(count + 1, sizeof(*methods));
	for (size_t i = 0; methods && i < count; i++) {
		PyObject *function = PyObject_GetAttrString(base, kind->methods[i].ml_name);
		PyObject *kept = NULL;
		const char *doc = function ? doc_of(function, &kept) : NULL;

		methods[i] = kind->methods[i];
		methods[i].ml_doc = doc ? keep(kind->methods[i].ml_doc, doc) : NULL;
		Py_XDECREF(function);
		Py_XDECREF(kept);
		if (!methods[i].ml_doc)
			return NULL; /* not worth to be given back: the import has failed */
	}
	return methods;
}

static struct derived_class *class_of(const struct derived_kind *kind, PyObject *base)
{
	struct derived_class *class = PyMem_Calloc(1, sizeof(*class));

	if (!class)
		return NULL;
	class->kind = kind;
	class->base = Py_NewRef(base);
	class->slot = PyObject_GetAttrString(base, "_lane");
	if (!class->slot)
		return NULL;
	for (size_t i = 0; i < DERIVED_COMMON && kind->common[i]; i++) {
		class->common[i] = PyObject_GetAttrString(base, kind->common[i]);
		if (!class->common[i])
			return NULL;
	}
	return class;
}

/* Its full name, as it was declared. */
static char *name_of(PyObject *base)
{
	PyObject *module = PyObject_GetAttrString(base, "__module__");
	PyObject *name = PyObject_GetAttrString(base, "__qualname__");
	PyObject *full = module && name ? PyUnicode_FromFormat("%U.%U", module, name) : NULL;
	const char *text = full ? PyUnicode_AsUTF8AndSize(full, NULL) : NULL;
	char *kept = text ? keep("", text) : NULL;

	Py_XDECREF(module);
	Py_XDECREF(name);
	Py_XDECREF(full);
	return kept;
}

static PyObject *derive(const struct derived_kind *kind, PyObject *base)
{
	PyObject *size = PyObject_GetAttrString(base, "__basicsize__");
	Py_ssize_t offset = size ? PyLong_AsSsize_t(size) : -1;
	struct derived_class *class = offset < 0 ? NULL : class_of(kind, base);
	PyMethodDef *methods = class ? methods_of(kind, base) : NULL;
	char *name = methods ? name_of(base) : NULL;
	PyGetSetDef *shared = name ? PyMem_Calloc(2, sizeof(*shared)) : NULL;
	PyObject *kept = NULL;
	const char *doc = shared ? doc_of(base, &kept) : NULL;
	PyObject *bases = doc ? PyTuple_Pack(1, base) : NULL;
	PyObject *type = NULL;

	Py_XDECREF(size);
	if (bases && *kind->offset && *kind->offset != offset) {
		PyErr_Format(PyExc_TypeError, "another class has the methods of %s", kind->name);
	} else if (bases) {
		PyType_Slot slots[] = {
			{Py_tp_doc, (void *)doc}, {Py_tp_methods, methods}, {Py_tp_getset, shared}, {0, NULL},
		};
		PyType_Spec spec = {
			name, (int)(offset + (Py_ssize_t)sizeof(struct derived_part)), 0,
			Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots,
		};

		*kind->offset = offset;
		shared[0] = (PyGetSetDef){"_lane", get_lane, set_lane, NULL, class};
		type = PyType_FromSpecWithBases(&spec, bases);
	} else if (!PyErr_Occurred()) {
		PyErr_NoMemory();
	}
	Py_XDECREF(kept);
	Py_XDECREF(bases);
	return type;
}

#endif

PyObject *lane_derived(PyObject *Py_UNUSED(module), PyObject *base)
{
#ifndef Py_GIL_DISABLED
	PyObject *name = PyObject_GetAttrString(base, "__name__");

	if (!name)
		return NULL;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (PyUnicode_CompareWithASCIIString(name, kinds[i]->name) == 0) {
			Py_DECREF(name);
			return derive(kinds[i], base);
		}
	Py_DECREF(name);
#endif
	return Py_NewRef(base);
}
