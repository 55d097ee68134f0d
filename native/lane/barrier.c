/* A barrier come to and waited at in one call. */
#include <errno.h>

#include "derived.h"
#include "ipckit/barrier.h"

#define ACT (IPK_BARRIER_MAX_PARTIES + 1) /* no index */

static long outcome(const struct ipk_barrier_wait *wait, int rc)
{
	return rc == 0 || rc == 1 ? (long)wait->index : rc == 2 ? ACT : rc;
}

/* The address and the deadline that a call was given. Returns the wait, NULL with an exception set. */
static struct ipk_barrier_wait *wait_of(PyObject *const *args, Py_ssize_t count, int64_t *deadline_ns)
{
	long long numbers[2];

	if (lane_numbers(args, count, numbers, 2) < 0)
		return NULL;
	*deadline_ns = numbers[1];
	return (struct ipk_barrier_wait *)(uintptr_t)numbers[0];
}

/* wait(wait: int, deadline_ns: int) -> how many had come before; MAX_PARTIES + 1: act; else as ipk_barrier_wait. The address is
 * that of a struct ipk_barrier_wait. */
static PyObject *lane_wait(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	int64_t deadline_ns;
	struct ipk_barrier_wait *wait = wait_of(args, count, &deadline_ns);
	int rc;

	if (!wait)
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	rc = ipk_barrier_wait(lane_address(self), wait, deadline_ns);
	Py_END_ALLOW_THREADS
	return PyLong_FromLong(outcome(wait, rc));
}

/* arrive(wait: int, deadline_ns: int) -> as wait(), which it does when it has to */
static PyObject *lane_arrive(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	int64_t deadline_ns;
	struct ipk_barrier_wait *wait = wait_of(args, count, &deadline_ns);
	int rc;

	if (!wait)
		return NULL;
	rc = ipk_barrier_arrive(lane_address(self), wait);
	return rc == 0 || rc == -EAGAIN ? lane_wait(self, args, count) : PyLong_FromLong(outcome(wait, rc));
}

static PyMethodDef lane_methods[] = {
	{"arrive", (PyCFunction)(void (*)(void))lane_arrive, METH_FASTCALL, NULL},
	{"wait", (PyCFunction)(void (*)(void))lane_wait, METH_FASTCALL, NULL},
	{"close", closing_lane_close, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot lane_slots[] = {
	{Py_tp_doc, (void *)"BarrierLane(owner, address): the calls of the view at that address, which owner keeps."},
	{Py_tp_new, (void *)memory_lane_new},
	{Py_tp_dealloc, (void *)memory_lane_dealloc},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

PyType_Spec barrier_lane_spec = {
	"ipckit._lane.BarrierLane", (int)sizeof(struct closing_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};

/* --- the barrier's methods -------------------------------------------------------------------------------------- */

static Py_ssize_t offset;

/* Come, and wait until all have. Returns 0; *rc: how many had come before, or -errno; -1 with an exception set. */
static int meet(struct closing_lane *lane, int64_t deadline_ns, int *rc)
{
	struct ipk_sync *view = lane->base.address;
	struct ipk_barrier_wait wait = {.phase = IPK_BARRIER_OUTSIDE};

	*rc = ipk_barrier_arrive(view, &wait);
	if (*rc == 0)
		*rc = -EAGAIN; /* come, and others have not */
	while (*rc == -EAGAIN || *rc == -EINTR) {
		Py_BEGIN_ALLOW_THREADS
		*rc = ipk_barrier_wait(view, &wait, deadline_ns);
		Py_END_ALLOW_THREADS
		if (PyErr_CheckSignals() < 0) {
			ipk_barrier_leave(view, &wait);
			return -1;
		}
		if (lane_is_closed(lane)) {
			if (*rc < 0) {
				ipk_barrier_leave(view, &wait);
				*rc = -EBADF;
			}
			ipk_barrier_forget(view); /* who closed it came too early to do that */
		}
	}
	*rc = (int)outcome(&wait, *rc);
	return 0;
}

static PyObject *barrier_wait(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	const struct derived_part *part = derived_part_at(self, offset);
	struct closing_lane *lane = part->lane;
	PyObject *action = lane ? PyObject_GetAttrString(self, "_action") : NULL;
	struct lane_wait wait;
	int done, rc;

	Py_XDECREF(action); /* looked at only */
	if (lane && !action)
		return NULL;
	if (action != Py_None || !lane_timeout(args, count, names, &wait))
		return derived_in_python(part, self, "wait", args, count, names);
	Py_INCREF((PyObject *)lane); /* another thread may close the handle */
	done = meet(lane, lane_deadline(&wait), &rc);
	Py_DECREF((PyObject *)lane);
	if (done < 0)
		return NULL;
	return rc < 0 ? derived_refused(self, rc, "wait") : PyLong_FromLong(rc);
}

static const PyMethodDef methods[] = {
	{"wait", (PyCFunction)(void (*)(void))barrier_wait, METH_FASTCALL | METH_KEYWORDS, "wait($self, timeout=None)\n--\n\n"},
	{NULL, NULL, 0, NULL},
};

const struct derived_kind barrier_kind = {"Barrier", methods, lane_methods, {NULL}, &offset};
