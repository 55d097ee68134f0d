/* POSIX semaphores: a token taken or given at once. The call of glibc takes some 10 ns, and cffi's conversion of the
 * pointer several times that.
 */
#include "lane.h"

#include "ipckit/posix_sem.h"

/* take() -> whether there was a token */
static PyObject *lane_take(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyBool_FromLong(ipk_posix_sem_trywait(lane_address(self)) == 0);
}

/* give() -> False where there would be more than 2^31-1 */
static PyObject *lane_give(PyObject *self, PyObject *Py_UNUSED(none))
{
	return PyBool_FromLong(ipk_posix_sem_post(lane_address(self)) == 0);
}

/* enter(semaphore) -> semaphore, with a token */
static PyObject *lane_enter(PyObject *self, PyObject *semaphore)
{
	if (ipk_posix_sem_trywait(lane_address(self)) == 0)
		return Py_NewRef(semaphore);
	return PyObject_CallMethod(semaphore, "_enter_waiting", NULL);
}

/* leave(semaphore): give the token */
static PyObject *lane_leave(PyObject *self, PyObject *semaphore)
{
	if (ipk_posix_sem_post(lane_address(self)) == 0)
		Py_RETURN_NONE;
	return PyObject_CallMethod(semaphore, "_post_failed", NULL);
}

static PyMethodDef lane_methods[] = {
	{"take", lane_take, METH_NOARGS, NULL},
	{"give", lane_give, METH_NOARGS, NULL},
	{"enter", lane_enter, METH_O, NULL},
	{"leave", lane_leave, METH_O, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot lane_slots[] = {
	{Py_tp_doc, (void *)"SemaphoreLane(owner, address): the calls of the semaphore at that address, which owner keeps."},
	{Py_tp_new, (void *)memory_lane_new},
	{Py_tp_dealloc, (void *)memory_lane_dealloc},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

PyType_Spec semaphore_lane_spec = {
	"ipckit._lane.SemaphoreLane", (int)sizeof(struct memory_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};
