/* A mutex taken, waited for and given back. */
#include "mutex_lane.h"

#include <errno.h>

#include "derived.h"
#include "ipckit/mutex.h"

/* take() -> 0, or -errno */
static PyObject *lane_take(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_mutex_try(lane_address(self)));
}

/* give() -> 0, or -errno */
static PyObject *lane_give(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_mutex_release(lane_address(self)));
}

/* Give back what a wait got that comes to nothing. */
static void undo(struct ipk_sync *view, int rc)
{
	if (rc == 0 || rc == -EOWNERDEAD)
		ipk_mutex_undo(view);
}

int mutex_lane_wait(struct closing_lane *lane, int64_t deadline_ns, int *outcome)
{
	struct ipk_sync *view = lane->base.address;
	int rc;

	do {
		Py_BEGIN_ALLOW_THREADS
		rc = ipk_mutex_wait(view, deadline_ns);
		Py_END_ALLOW_THREADS
		if (PyErr_CheckSignals() < 0) {
			undo(view, rc);
			return -1;
		}
		if (lane_is_closed(lane)) {
			undo(view, rc);
			rc = -EBADF;
		}
	} while (rc == -EAGAIN || rc == -EINTR);
	*outcome = rc;
	return 0;
}

/* wait(deadline_ns: int) -> as ipk_mutex_wait, but for -EAGAIN and -EINTR: it waits on, if no signal handler raised an exception;
 * -EBADF: the lane was closed. In both cases nothing is taken. */
static PyObject *lane_wait(PyObject *self, PyObject *argument)
{
	long long deadline_ns;
	int rc;

	if (lane_numbers(&argument, 1, &deadline_ns, 1) < 0)
		return NULL;
	return mutex_lane_wait((struct closing_lane *)(void *)self, deadline_ns, &rc) < 0 ? NULL : PyLong_FromLong(rc);
}

static PyMethodDef lane_methods[] = {
	{"take", lane_take, METH_NOARGS, NULL},
	{"give", lane_give, METH_NOARGS, NULL},
	{"wait", lane_wait, METH_O, NULL},
	{"close", closing_lane_close, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

int mutex_lane_is(PyObject *object)
{
	return PyType_GetSlot(Py_TYPE(object), Py_tp_methods) == (void *)lane_methods;
}

static PyType_Slot lane_slots[] = {
	{Py_tp_doc, (void *)"MutexLane(owner, address): the calls of the view at that address, which owner keeps."},
	{Py_tp_new, (void *)memory_lane_new},
	{Py_tp_dealloc, (void *)memory_lane_dealloc},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

PyType_Spec mutex_lane_spec = {
	"ipckit._lane.MutexLane", (int)sizeof(struct closing_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};

/* --- the mutex's methods ----------------------------------------------------------------------------------------- */

static Py_ssize_t offset;

static const struct derived_part *part_of(PyObject *self)
{
	return derived_part_at(self, offset);
}

/* Take it, waiting as long as that says. Returns 0; *rc: as ipk_mutex_wait; -1 with an exception set. */
static int take(const struct derived_part *part, const struct lane_wait *wait, int *rc)
{
	struct closing_lane *lane = part->lane;
	int done;

	*rc = ipk_mutex_try(lane->base.address);
	if (*rc != -EAGAIN)
		return 0;
	Py_INCREF((PyObject *)lane); /* another thread may close the handle */
	done = mutex_lane_wait(lane, lane_deadline(wait), rc);
	Py_DECREF((PyObject *)lane);
	return done;
}

static PyObject *mutex_acquire(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	const struct derived_part *part = part_of(self);
	struct lane_wait wait;
	int rc;

	if (!part->lane || !lane_blocking(args, count, names, &wait))
		return derived_in_python(part, self, "acquire", args, count, names);
	if (take(part, &wait, &rc) < 0)
		return NULL;
	return rc == 0 ? Py_NewRef(part->class->common[0]) : PyObject_CallMethod(self, "_taken_or_not", "i", rc);
}

static PyObject *mutex_try_acquire(PyObject *self, PyObject *Py_UNUSED(none))
{
	static const struct lane_wait at_once;
	const struct derived_part *part = part_of(self);
	int rc;

	if (!part->lane)
		return derived_in_python(part, self, "try_acquire", NULL, 0, NULL);
	if (take(part, &at_once, &rc) < 0)
		return NULL;
	return rc == 0 ? Py_NewRef(part->class->common[0]) : PyObject_CallMethod(self, "_taken_or_not", "i", rc);
}

static PyObject *mutex_enter(PyObject *self, PyObject *Py_UNUSED(none))
{
	static const struct lane_wait for_ever = {.blocks = 1};
	const struct derived_part *part = part_of(self);
	int rc;

	if (!part->lane)
		return derived_in_python(part, self, "__enter__", NULL, 0, NULL);
	if (take(part, &for_ever, &rc) < 0)
		return NULL;
	return rc == 0 ? Py_NewRef(part->class->common[0]) : PyObject_CallMethod(self, "_enter_slowly", "i", rc);
}

static PyObject *mutex_release(PyObject *self, PyObject *Py_UNUSED(none))
{
	const struct derived_part *part = part_of(self);
	int rc = part->lane ? ipk_mutex_release(lane_address(part->lane)) : -EBADF;

	if (rc == 0)
		Py_RETURN_NONE;
	return part->lane ? derived_refused(self, rc, "release") : derived_in_python(part, self, "release", NULL, 0, NULL);
}

static PyObject *mutex_exit(PyObject *self, PyObject *const *Py_UNUSED(args), Py_ssize_t Py_UNUSED(count))
{
	return mutex_release(self, NULL);
}

static const PyMethodDef mutex_methods[] = {
	{"acquire", (PyCFunction)(void (*)(void))mutex_acquire, METH_FASTCALL | METH_KEYWORDS,
	 "acquire($self, blocking=True, timeout=None)\n--\n\n"},
	{"try_acquire", mutex_try_acquire, METH_NOARGS, "try_acquire($self)\n--\n\n"},
	{"release", mutex_release, METH_NOARGS, "release($self)\n--\n\n"},
	{"__enter__", mutex_enter, METH_NOARGS, "__enter__($self)\n--\n\n"},
	{"__exit__", (PyCFunction)(void (*)(void))mutex_exit, METH_FASTCALL, "__exit__($self, kind, error, trace)\n--\n\n"},
	{NULL, NULL, 0, NULL},
};

const struct derived_kind mutex_kind = {"Mutex", mutex_methods, lane_methods, {"_ACQUIRED"}, &offset};
