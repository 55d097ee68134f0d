/* An event that is set, cleared, looked at, or waited for in one call. */
#include <errno.h>

#include "derived.h"
#include "ipckit/event.h"

/* set() -> 0 */
static PyObject *lane_set(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_event_set(lane_address(self)));
}

/* clear() -> 0 */
static PyObject *lane_clear(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_event_clear(lane_address(self)));
}

/* is_set() -> 1 or 0 */
static PyObject *lane_is_set(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_event_is_set(lane_address(self)));
}

/* take() -> 0, or -errno */
static PyObject *lane_take(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyLong_FromLong(ipk_event_take(lane_address(self)));
}

/* Wait until it is set, or the deadline. *outcome: 0, -ETIMEDOUT; -EBADF: the lane was closed. Returns 0; -1: a signal handler raised, and
 * nothing is consumed. */
static int wait_for(struct closing_lane *lane, int64_t deadline_ns, int *outcome)
{
	struct ipk_sync *view = lane->base.address;
	uint32_t taken = 0;
	int64_t rc = ipk_event_take(view) == 0 ? 0 : -EAGAIN;

	while (rc == -EAGAIN || rc > 0) {
		int64_t since = rc > 0 ? rc : 0;

		Py_BEGIN_ALLOW_THREADS
		rc = ipk_event_wait(view, since, deadline_ns, &taken);
		Py_END_ALLOW_THREADS
		if (PyErr_CheckSignals() < 0) {
			if (taken)
				ipk_event_set(view);
			return -1;
		}
		if (rc > 0 && lane_is_closed(lane))
			rc = -EBADF;
	}
	*outcome = (int)rc;
	return 0;
}

/* wait(deadline_ns: int) -> 0, or -errno */
static PyObject *lane_wait(PyObject *self, PyObject *argument)
{
	long long deadline_ns;
	int rc;

	if (lane_numbers(&argument, 1, &deadline_ns, 1) < 0)
		return NULL;
	return wait_for((struct closing_lane *)(void *)self, deadline_ns, &rc) < 0 ? NULL : PyLong_FromLong(rc);
}

static PyMethodDef lane_methods[] = {
	{"set", lane_set, METH_NOARGS, NULL},
	{"clear", lane_clear, METH_NOARGS, NULL},
	{"is_set", lane_is_set, METH_NOARGS, NULL},
	{"take", lane_take, METH_NOARGS, NULL},
	{"wait", lane_wait, METH_O, NULL},
	{"close", closing_lane_close, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot lane_slots[] = {
	{Py_tp_doc, (void *)"EventLane(owner, address): the calls of the view at that address, which owner keeps."},
	{Py_tp_new, (void *)memory_lane_new},
	{Py_tp_dealloc, (void *)memory_lane_dealloc},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

PyType_Spec event_lane_spec = {
	"ipckit._lane.EventLane", (int)sizeof(struct closing_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};

/* --- the event's methods ---------------------------------------------------------------------------------------- */

static Py_ssize_t offset;

static const struct derived_part *part_of(PyObject *self)
{
	return derived_part_at(self, offset);
}

static PyObject *event_set(PyObject *self, PyObject *Py_UNUSED(none))
{
	const struct derived_part *part = part_of(self);

	if (!part->lane)
		return derived_in_python(part, self, "set", NULL, 0, NULL);
	ipk_event_set(lane_address(part->lane));
	Py_RETURN_NONE;
}

static PyObject *event_clear(PyObject *self, PyObject *Py_UNUSED(none))
{
	const struct derived_part *part = part_of(self);

	if (!part->lane)
		return derived_in_python(part, self, "clear", NULL, 0, NULL);
	ipk_event_clear(lane_address(part->lane));
	Py_RETURN_NONE;
}

static PyObject *event_is_set(PyObject *self, PyObject *Py_UNUSED(none))
{
	const struct derived_part *part = part_of(self);

	if (!part->lane)
		return derived_in_python(part, self, "is_set", NULL, 0, NULL);
	return PyBool_FromLong(ipk_event_is_set(lane_address(part->lane)));
}

static PyObject *event_wait(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	const struct derived_part *part = part_of(self);
	struct closing_lane *lane = part->lane;
	struct lane_wait wait;
	int done, rc;

	if (!lane || !lane_timeout(args, count, names, &wait))
		return derived_in_python(part, self, "wait", args, count, names);
	if (ipk_event_take(lane->base.address) == 0)
		Py_RETURN_TRUE;
	Py_INCREF((PyObject *)lane); /* another thread may close the handle */
	done = wait_for(lane, lane_deadline(&wait), &rc);
	Py_DECREF((PyObject *)lane);
	if (done < 0)
		return NULL;
	if (rc == 0)
		Py_RETURN_TRUE;
	if (rc == -ETIMEDOUT)
		Py_RETURN_FALSE;
	return derived_refused(self, rc, "wait");
}

static const PyMethodDef methods[] = {
	{"set", event_set, METH_NOARGS, "set($self)\n--\n\n"},
	{"clear", event_clear, METH_NOARGS, "clear($self)\n--\n\n"},
	{"is_set", event_is_set, METH_NOARGS, "is_set($self)\n--\n\n"},
	{"wait", (PyCFunction)(void (*)(void))event_wait, METH_FASTCALL | METH_KEYWORDS, "wait($self, timeout=None)\n--\n\n"},
	{NULL, NULL, 0, NULL},
};

const struct derived_kind event_kind = {"Event", methods, lane_methods, {NULL}, &offset};
