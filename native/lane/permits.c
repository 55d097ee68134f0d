/* A permit of a semaphore of ours taken, waited for or given at once. */
#include <errno.h>

#include "derived.h"
#include "ipckit/semaphore.h"
#include "ipckit/tracked_semaphore.h"

struct permit_lane {
	struct closing_lane base;
	int tracked;
};

static int try(const struct permit_lane *lane)
{
	struct ipk_sync *view = lane->base.base.address;

	return lane->tracked ? ipk_tracked_semaphore_try(view) : ipk_semaphore_try(view);
}

static int give(const struct permit_lane *lane)
{
	struct ipk_sync *view = lane->base.base.address;

	return lane->tracked ? ipk_tracked_semaphore_release(view, 1) : ipk_semaphore_release(view, 1);
}

/* take() -> 0, or -errno */
static PyObject *lane_take(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(try((struct permit_lane *)(void *)self));
}

/* give() -> 0, or -errno */
static PyObject *lane_give(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(give((struct permit_lane *)(void *)self));
}

/* Wait for a permit until the deadline. *outcome: as ipk_semaphore_wait, but for -EAGAIN and -EINTR; -EBADF: the lane was closed. Returns 0;
 * -1: a signal handler raised. In both of these cases nothing is taken. */
static int wait_for(struct permit_lane *lane, int64_t deadline_ns, int *outcome)
{
	struct ipk_sync *view = lane->base.base.address;
	uint32_t taken = 0;
	int rc;

	do {
		Py_BEGIN_ALLOW_THREADS
		rc = lane->tracked ? ipk_tracked_semaphore_wait(view, deadline_ns, &taken)
				   : ipk_semaphore_wait(view, deadline_ns, &taken);
		Py_END_ALLOW_THREADS
		if (PyErr_CheckSignals() < 0) {
			if (taken)
				give(lane);
			return -1;
		}
		if (lane_is_closed(&lane->base)) {
			if (taken)
				give(lane);
			rc = -EBADF;
		}
	} while (rc == -EAGAIN || rc == -EINTR);
	*outcome = rc;
	return 0;
}

/* wait(deadline_ns: int) -> 0, or -errno */
static PyObject *lane_wait(PyObject *self, PyObject *argument)
{
	long long deadline_ns;
	int rc;

	if (lane_numbers(&argument, 1, &deadline_ns, 1) < 0)
		return NULL;
	return wait_for((struct permit_lane *)(void *)self, deadline_ns, &rc) < 0 ? NULL : PyLong_FromLong(rc);
}

static PyObject *tracked_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	PyObject *self = memory_lane_new(type, args, kwargs);

	if (self)
		((struct permit_lane *)(void *)self)->tracked = 1;
	return self;
}

static PyMethodDef lane_methods[] = {
	{"take", lane_take, METH_NOARGS, NULL},
	{"give", lane_give, METH_NOARGS, NULL},
	{"wait", lane_wait, METH_O, NULL},
	{"close", closing_lane_close, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot plain_slots[] = {
	{Py_tp_doc, (void *)"PermitLane(owner, address): the calls of the view at that address, which owner keeps."},
	{Py_tp_new, (void *)memory_lane_new},
	{Py_tp_dealloc, (void *)memory_lane_dealloc},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

static PyType_Slot tracked_slots[] = {
	{Py_tp_doc, (void *)"TrackedPermitLane(owner, address): as PermitLane."},
	{Py_tp_new, (void *)tracked_new},
	{Py_tp_dealloc, (void *)memory_lane_dealloc},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

PyType_Spec permit_lane_spec = {
	"ipckit._lane.PermitLane", (int)sizeof(struct permit_lane), 0, Py_TPFLAGS_DEFAULT, plain_slots,
};

PyType_Spec tracked_permit_lane_spec = {
	"ipckit._lane.TrackedPermitLane", (int)sizeof(struct permit_lane), 0, Py_TPFLAGS_DEFAULT, tracked_slots,
};

/* --- the semaphore's methods ------------------------------------------------------------------------------------ */

static Py_ssize_t offset;

static const struct derived_part *part_of(PyObject *self)
{
	return derived_part_at(self, offset);
}

/* Take a permit, waiting as long as that says. Returns 0; *rc: as ipk_semaphore_wait; -1 with an exception set. */
static int take(const struct derived_part *part, const struct lane_wait *wait, int *rc)
{
	struct permit_lane *lane = part->lane;
	int done;

	*rc = try(lane);
	if (*rc != -EAGAIN)
		return 0;
	Py_INCREF((PyObject *)lane); /* another thread may close the handle */
	done = wait_for(lane, lane_deadline(wait), rc);
	Py_DECREF((PyObject *)lane);
	return done;
}

static PyObject *acquire(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	const struct derived_part *part = part_of(self);
	struct lane_wait wait;
	int rc;

	if (!part->lane || !lane_blocking(args, count, names, &wait))
		return derived_in_python(part, self, "acquire", args, count, names);
	if (take(part, &wait, &rc) < 0)
		return NULL;
	if (rc == 0)
		Py_RETURN_TRUE;
	return PyObject_CallMethod(self, "_taken_or_not", "i", rc);
}

static PyObject *try_acquire(PyObject *self, PyObject *Py_UNUSED(none))
{
	const struct derived_part *part = part_of(self);

	if (part->lane && try(part->lane) == 0)
		Py_RETURN_TRUE;
	return derived_in_python(part, self, "try_acquire", NULL, 0, NULL);
}

static PyObject *release(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	const struct derived_part *part = part_of(self);
	int rc;

	if (!part->lane || count > 0 || names)
		return derived_in_python(part, self, "release", args, count, names);
	rc = give(part->lane);
	if (rc < 0)
		return derived_refused(self, rc, "release");
	Py_RETURN_NONE;
}

static PyObject *enter(PyObject *self, PyObject *Py_UNUSED(none))
{
	static const struct lane_wait for_ever = {.blocks = 1};
	const struct derived_part *part = part_of(self);
	PyObject *got;
	int rc;

	if (!part->lane)
		return derived_in_python(part, self, "__enter__", NULL, 0, NULL);
	if (take(part, &for_ever, &rc) < 0)
		return NULL;
	if (rc < 0) {
		got = PyObject_CallMethod(self, "_taken_or_not", "i", rc);
		if (!got)
			return NULL;
		Py_DECREF(got);
	}
	return Py_NewRef(self);
}

static PyObject *leave(PyObject *self, PyObject *const *Py_UNUSED(args), Py_ssize_t Py_UNUSED(count))
{
	return release(self, NULL, 0, NULL);
}

static const PyMethodDef methods[] = {
	{"acquire", (PyCFunction)(void (*)(void))acquire, METH_FASTCALL | METH_KEYWORDS,
	 "acquire($self, blocking=True, timeout=None)\n--\n\n"},
	{"try_acquire", try_acquire, METH_NOARGS, "try_acquire($self)\n--\n\n"},
	{"release", (PyCFunction)(void (*)(void))release, METH_FASTCALL | METH_KEYWORDS, "release($self, n=1)\n--\n\n"},
	{"__enter__", enter, METH_NOARGS, "__enter__($self)\n--\n\n"},
	{"__exit__", (PyCFunction)(void (*)(void))leave, METH_FASTCALL, "__exit__($self, kind, error, trace)\n--\n\n"},
	{NULL, NULL, 0, NULL},
};

const struct derived_kind semaphore_kind = {"Semaphore", methods, lane_methods, {NULL}, &offset};
