/* A condition variable waited for and notified in one call; and its mutex. */
#include <errno.h>

#include "derived.h"
#include "ipckit/condition.h"
#include "mutex_lane.h"

#define NOTIFIED_HEIR 2 /* with the mutex, whose last owner died, and notified */

struct condition_lane {
	struct closing_lane base;
	struct closing_lane *mutex; /* keeps it */
	int recovers;		    /* whether to call the mutex consistent for whoever gets an exception instead of it */
};

static struct condition_lane *lane_of(PyObject *self)
{
	return (struct condition_lane *)(void *)self;
}

static PyObject *lane_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	PyObject *condition = PyTuple_GetSlice(args, 0, 2);
	PyObject *rest = PyTuple_GetSlice(args, 2, PyTuple_Size(args));
	PyObject *mutex, *self = NULL;
	int recovers;

	if (condition && rest && PyArg_ParseTuple(rest, "Op", &mutex, &recovers)) {
		if (mutex_lane_is(mutex))
			self = memory_lane_new(type, condition, kwargs);
		else
			PyErr_SetString(PyExc_TypeError, "the lane of a condition needs a MutexLane");
		if (self) {
			lane_of(self)->mutex = (struct closing_lane *)(void *)Py_NewRef(mutex);
			lane_of(self)->recovers = recovers;
		}
	}
	Py_XDECREF(condition);
	Py_XDECREF(rest);
	return self;
}

static void lane_dealloc(PyObject *self)
{
	Py_XDECREF((PyObject *)lane_of(self)->mutex);
	memory_lane_dealloc(self);
}

/* Leave the mutex, which we may have got, to others: it was closed. */
static void let_go(struct condition_lane *lane)
{
	while (ipk_mutex_undo(lane->mutex->base.address) == 0)
		; /* once for each level */
}

/* End a wait that comes to nothing: with the mutex, unless that was closed, or a signal handler raises. An exception that is set is
 * kept, or another one takes its place. rc: of the last call. */
static void give_up(struct condition_lane *lane, struct ipk_condition_wait *wait, int rc)
{
	struct ipk_sync *view = lane->base.base.address, *mutex = lane->mutex->base.address;
	PyObject *type, *error, *trace;
	int raised = 0;

	ipk_condition_leave(view, wait);
	PyErr_Fetch(&type, &error, &trace);
	while (!raised && (rc == -EAGAIN || rc == -EINTR) && wait->phase == IPK_CONDITION_LEFT && !lane_is_closed(lane->mutex)) {
		Py_BEGIN_ALLOW_THREADS
		rc = ipk_condition_wait(view, mutex, wait, 0);
		Py_END_ALLOW_THREADS
		raised = PyErr_CheckSignals() < 0;
	}
	if (lane_is_closed(lane->mutex))
		let_go(lane);
	else if (rc == -EOWNERDEAD && lane->recovers)
		ipk_mutex_consistent(mutex);
	if (raised) {
		Py_XDECREF(type);
		Py_XDECREF(error);
		Py_XDECREF(trace);
	} else {
		PyErr_Restore(type, error, trace);
	}
}

/* Wait to be notified, or until the deadline. *outcome: with the mutex: 1 when notified, 0, -EOWNERDEAD if its last owner died, or
 * NOTIFIED_HEIR; -EBADF: one of the lanes was closed; else as ipk_condition_begin, ipk_condition_wait. Returns 0; -1: a signal handler
 * raised. */
static int wait_for(struct condition_lane *lane, int64_t deadline_ns, int *outcome)
{
	struct ipk_sync *view = lane->base.base.address, *mutex = lane->mutex->base.address;
	struct ipk_condition_wait wait = {.phase = IPK_CONDITION_OUTSIDE};
	int rc = ipk_condition_begin(view, mutex, &wait);

	if (rc < 0) {
		if (wait.phase != IPK_CONDITION_OUTSIDE) /* another thread has closed the mutex meanwhile */
			give_up(lane, &wait, rc);
		*outcome = rc;
		return 0;
	}
	do {
		Py_BEGIN_ALLOW_THREADS
		rc = ipk_condition_wait(view, mutex, &wait, deadline_ns);
		Py_END_ALLOW_THREADS
		if (PyErr_CheckSignals() < 0) {
			give_up(lane, &wait, rc);
			return -1;
		}
		if (lane_is_closed(&lane->base) || lane_is_closed(lane->mutex)) {
			give_up(lane, &wait, rc);
			rc = -EBADF;
		}
	} while (rc == -EAGAIN || rc == -EINTR);
	if (rc == 0)
		*outcome = wait.notified != 0;
	else
		*outcome = rc == -EOWNERDEAD && wait.notified ? NOTIFIED_HEIR : rc;
	return 0;
}

/* wait(deadline_ns: int) -> as wait_for says */
static PyObject *lane_wait(PyObject *self, PyObject *argument)
{
	long long deadline_ns;
	int rc;

	if (lane_numbers(&argument, 1, &deadline_ns, 1) < 0)
		return NULL;
	return wait_for(lane_of(self), deadline_ns, &rc) < 0 ? NULL : PyLong_FromLong(rc);
}

/* notify(n: int) -> how many were notified, or -errno */
static PyObject *lane_notify(PyObject *self, PyObject *argument)
{
	struct condition_lane *lane = lane_of(self);
	long long n;

	if (lane_numbers(&argument, 1, &n, 1) < 0)
		return NULL;
	return PyLong_FromLongLong(ipk_condition_notify(lane->base.base.address, lane->mutex->base.address, (uint32_t)n));
}

static PyMethodDef lane_methods[] = {
	{"wait", lane_wait, METH_O, NULL},
	{"notify", lane_notify, METH_O, NULL},
	{"close", closing_lane_close, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot lane_slots[] = {
	{Py_tp_doc, (void *)"ConditionLane(owner, address, mutex, recovers): the calls of the view at that address, which owner keeps, "
			    "and of the mutex behind that MutexLane."},
	{Py_tp_new, (void *)lane_new},
	{Py_tp_dealloc, (void *)lane_dealloc},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

PyType_Spec condition_lane_spec = {
	"ipckit._lane.ConditionLane", (int)sizeof(struct condition_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};

/* --- the condition's methods ------------------------------------------------------------------------------------ */

static Py_ssize_t offset;

static const struct derived_part *part_of(PyObject *self)
{
	return derived_part_at(self, offset);
}

/* The lane, if its mutex is open too. */
static struct condition_lane *open_lane(const struct derived_part *part)
{
	struct condition_lane *lane = part->lane;

	return lane && !lane_is_closed(lane->mutex) ? lane : NULL;
}

static PyObject *condition_wait(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	const struct derived_part *part = part_of(self);
	struct condition_lane *lane = open_lane(part);
	struct lane_wait wait;
	int done, rc;

	if (!lane || !lane_timeout(args, count, names, &wait) || (wait.timed && wait.timeout == 0))
		return derived_in_python(part, self, "wait", args, count, names);
	Py_INCREF((PyObject *)lane); /* another thread may close the handle */
	done = wait_for(lane, lane_deadline(&wait), &rc);
	Py_DECREF((PyObject *)lane);
	if (done < 0)
		return NULL;
	if (rc == 1)
		return Py_NewRef(part->class->common[1]);
	if (rc == 0)
		Py_RETURN_FALSE;
	return PyObject_CallMethod(self, "_waited", "i", rc);
}

static PyObject *notify(PyObject *self, uint32_t n)
{
	struct condition_lane *lane = part_of(self)->lane;
	int64_t given = ipk_condition_notify(lane->base.base.address, lane->mutex->base.address, n);

	return given < 0 ? derived_refused(self, (int)given, "notify") : PyLong_FromLongLong(given);
}

static PyObject *condition_notify(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	const struct derived_part *part = part_of(self);

	if (!open_lane(part) || count > 0 || names)
		return derived_in_python(part, self, "notify", args, count, names);
	return notify(self, 1);
}

static PyObject *condition_notify_all(PyObject *self, PyObject *Py_UNUSED(none))
{
	const struct derived_part *part = part_of(self);

	return open_lane(part) ? notify(self, UINT32_MAX) : derived_in_python(part, self, "notify_all", NULL, 0, NULL);
}

/* Take the mutex, waiting for it as long as that says; method: of the mutex, for all that is not common. */
static PyObject *take(PyObject *self, const struct derived_part *part, const struct lane_wait *wait, const char *method)
{
	struct closing_lane *mutex = open_lane(part)->mutex;
	int rc = ipk_mutex_try(mutex->base.address);
	PyObject *of, *result;
	int done;

	if (rc == -EAGAIN) {
		Py_INCREF((PyObject *)mutex); /* another thread may close the handle */
		done = mutex_lane_wait(mutex, lane_deadline(wait), &rc);
		Py_DECREF((PyObject *)mutex);
		if (done < 0)
			return NULL;
	}
	if (rc == 0)
		return Py_NewRef(part->class->common[0]);
	of = PyObject_GetAttrString(self, "_mutex");
	result = of ? PyObject_CallMethod(of, method, "i", rc) : NULL;
	Py_XDECREF(of);
	return result;
}

static PyObject *condition_acquire(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	const struct derived_part *part = part_of(self);
	struct lane_wait wait;

	if (!open_lane(part) || !lane_blocking(args, count, names, &wait))
		return derived_in_python(part, self, "acquire", args, count, names);
	return take(self, part, &wait, "_taken_or_not");
}

static PyObject *condition_enter(PyObject *self, PyObject *Py_UNUSED(none))
{
	static const struct lane_wait for_ever = {.blocks = 1};
	const struct derived_part *part = part_of(self);

	if (!open_lane(part))
		return derived_in_python(part, self, "__enter__", NULL, 0, NULL);
	return take(self, part, &for_ever, "_enter_slowly");
}

static PyObject *condition_release(PyObject *self, PyObject *Py_UNUSED(none))
{
	const struct derived_part *part = part_of(self);
	struct condition_lane *lane = open_lane(part);

	if (lane && ipk_mutex_release(lane->mutex->base.address) == 0)
		Py_RETURN_NONE;
	return derived_in_python(part, self, "release", NULL, 0, NULL);
}

static PyObject *condition_exit(PyObject *self, PyObject *const *Py_UNUSED(args), Py_ssize_t Py_UNUSED(count))
{
	return condition_release(self, NULL);
}

static const PyMethodDef methods[] = {
	{"wait", (PyCFunction)(void (*)(void))condition_wait, METH_FASTCALL | METH_KEYWORDS,
	 "wait($self, timeout=None)\n--\n\n"},
	{"notify", (PyCFunction)(void (*)(void))condition_notify, METH_FASTCALL | METH_KEYWORDS, "notify($self, n=1)\n--\n\n"},
	{"notify_all", condition_notify_all, METH_NOARGS, "notify_all($self)\n--\n\n"},
	{"acquire", (PyCFunction)(void (*)(void))condition_acquire, METH_FASTCALL | METH_KEYWORDS,
	 "acquire($self, blocking=True, timeout=None)\n--\n\n"},
	{"release", condition_release, METH_NOARGS, "release($self)\n--\n\n"},
	{"__enter__", condition_enter, METH_NOARGS, "__enter__($self)\n--\n\n"},
	{"__exit__", (PyCFunction)(void (*)(void))condition_exit, METH_FASTCALL, "__exit__($self, kind, error, trace)\n--\n\n"},
	{NULL, NULL, 0, NULL},
};

const struct derived_kind condition_kind = {"Condition", methods, lane_methods, {"_ACQUIRED", "_NOTIFIED"}, &offset};
