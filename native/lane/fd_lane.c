#include "lane.h"

PyObject *fd_lane_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	PyObject *self;
	int fd, socket;

	if (lane_refuse_keywords(kwargs) < 0)
		return NULL;
	if (!PyArg_ParseTuple(args, "ip", &fd, &socket))
		return NULL;
	self = lane_allocate(type);
	if (!self)
		return NULL;
	((struct fd_lane *)(void *)self)->fd = fd;
	((struct fd_lane *)(void *)self)->socket = socket;
	return self;
}

PyObject *fd_lane_close(PyObject *self, PyObject *Py_UNUSED(none))
{
	((struct fd_lane *)(void *)self)->fd = -1;
	Py_RETURN_NONE;
}
