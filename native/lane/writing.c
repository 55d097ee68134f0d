/* Pipes and sockets: one attempt to write. Python's own calls take their arguments apart and lock the buffer, and what they
 * answer has to be asked for its kind; together that costs a tenth of the system call.
 */
#include "lane.h"

#include <errno.h>
#include <string.h>

#include "ipckit/stream.h"

#define NOT_BYTES (-(1 << 16)) /* below every -errno: nothing was tried */
#define HEADER_SIZE 4
#define COPIED 4096 /* bytes; up to here it is cheaper to copy header and message together than to have the kernel take two pieces */

struct writing_lane {
	PyObject_HEAD
	int fd;     /* -1: closed */
	int socket; /* whether it is one; r/o after init */
};

static struct writing_lane *as_writing_lane(PyObject *self)
{
	return (struct writing_lane *)(void *)self;
}

static PyObject *lane_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
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
	as_writing_lane(self)->fd = fd;
	as_writing_lane(self)->socket = socket;
	return self;
}

/* A socket is told not to wait. A pipe may have been made blocking by others who have its description. */
static int64_t try_write(const struct writing_lane *lane, const char *data, Py_ssize_t length)
{
	int64_t written;

	if (lane->socket && length <= RELEASE_GIL_ABOVE)
		return ipk_stream_try_send(lane->fd, data, (uint64_t)length);
	Py_BEGIN_ALLOW_THREADS
	written = lane->socket ? ipk_stream_try_send(lane->fd, data, (uint64_t)length)
			       : ipk_stream_try_write(lane->fd, data, (uint64_t)length);
	Py_END_ALLOW_THREADS
	return written;
}

/* write(data: bytes) -> how many bytes went, -errno, or NOT_BYTES for any other object */
static PyObject *lane_write(PyObject *self, PyObject *object)
{
	Py_ssize_t length;
	int64_t written;
	char *data;

	if (!PyBytes_CheckExact(object))
		return PyLong_FromLong(NOT_BYTES);
	if (PyBytes_AsStringAndSize(object, &data, &length) < 0)
		return NULL;
	while ((written = try_write(as_writing_lane(self), data, length)) == -EINTR) {
		if (PyErr_CheckSignals() < 0)
			return NULL;
	}
	return PyLong_FromLongLong(written);
}

/* A message and its length before it, once. */
static int64_t try_send(const struct writing_lane *lane, const char *data, Py_ssize_t length)
{
	uint32_t size = (uint32_t)length;
	const unsigned char header[HEADER_SIZE] = {
		(unsigned char)(size >> 24),
		(unsigned char)(size >> 16),
		(unsigned char)(size >> 8),
		(unsigned char)size,
	};
	int64_t written;

	if (length <= COPIED - HEADER_SIZE) {
		char both[COPIED];

		memcpy(both, header, HEADER_SIZE);
		memcpy(both + HEADER_SIZE, data, (size_t)length);
		return try_write(lane, both, length + HEADER_SIZE);
	}
	if (lane->socket && length <= RELEASE_GIL_ABOVE)
		return ipk_stream_try_send_both(lane->fd, header, HEADER_SIZE, data, (uint64_t)length);
	Py_BEGIN_ALLOW_THREADS
	written = lane->socket ? ipk_stream_try_send_both(lane->fd, header, HEADER_SIZE, data, (uint64_t)length)
			       : ipk_stream_try_write_both(lane->fd, header, HEADER_SIZE, data, (uint64_t)length);
	Py_END_ALLOW_THREADS
	return written;
}

/* send(outs: list, data: bytes) -> how many bytes of the message with its length are out, which is appended to the list, so that no
 * exception of a signal handler can come in between; or -errno, or NOT_BYTES. data has less than 4 GiB. */
static PyObject *lane_send(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	PyObject *out;
	Py_ssize_t length;
	int64_t written;
	char *data;

	if (count != 2 || !PyList_Check(args[0])) {
		PyErr_SetString(PyExc_TypeError, "send() takes a list and a message");
		return NULL;
	}
	if (!PyBytes_CheckExact(args[1]))
		return PyLong_FromLong(NOT_BYTES);
	if (PyBytes_AsStringAndSize(args[1], &data, &length) < 0)
		return NULL;
	while ((written = try_send(as_writing_lane(self), data, length)) == -EINTR) {
		if (PyErr_CheckSignals() < 0)
			return NULL;
	}
	out = PyLong_FromLongLong(written);
	if (written > 0 && out && PyList_Append(args[0], out) < 0)
		Py_CLEAR(out);
	return out;
}

/* close(): every later call fails as on a closed descriptor */
static PyObject *lane_close(PyObject *self, PyObject *Py_UNUSED(none))
{
	as_writing_lane(self)->fd = -1;
	Py_RETURN_NONE;
}

static PyMethodDef lane_methods[] = {
	{"write", lane_write, METH_O, NULL},
	{"send", (PyCFunction)(void (*)(void))lane_send, METH_FASTCALL, NULL},
	{"close", lane_close, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot lane_slots[] = {
	{Py_tp_doc, (void *)"WritingLane(fd, socket): attempts to write to a pipe or a socket."},
	{Py_tp_new, (void *)lane_new},
	{Py_tp_dealloc, (void *)lane_free},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

PyType_Spec writing_lane_spec = {
	"ipckit._lane.WritingLane", (int)sizeof(struct writing_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};
