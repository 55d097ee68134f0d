/* Pipes and sockets: one attempt to write. Python's own calls take their arguments apart and lock the buffer, and what they
 * answer has to be asked for its kind; together that costs a tenth of the system call.
 */
#include "lane.h"

#include <errno.h>
#include <string.h>

#include "ipckit/stream.h"

#define NOT_BYTES (-(1 << 16)) /* below every -errno: nothing was tried */
#define COPIED 4096 /* bytes; up to here it is cheaper to copy header and message together than to have the kernel take two pieces */

/* A socket is told not to wait. A pipe may have been made blocking by others who have its description. */
static int64_t try_write(const struct fd_lane *lane, const char *data, Py_ssize_t length)
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
	while ((written = try_write((const struct fd_lane *)(void *)self, data, length)) == -EINTR) {
		if (PyErr_CheckSignals() < 0)
			return NULL;
	}
	return PyLong_FromLongLong(written);
}

/* A message and its length before it, once. */
static int64_t try_send(const struct fd_lane *lane, const char *data, Py_ssize_t length)
{
	uint32_t size = (uint32_t)length;
	const unsigned char header[FRAME_HEADER_SIZE] = {
		(unsigned char)(size >> 24),
		(unsigned char)(size >> 16),
		(unsigned char)(size >> 8),
		(unsigned char)size,
	};
	int64_t written;

	if (length <= COPIED - FRAME_HEADER_SIZE) {
		char both[COPIED];

		memcpy(both, header, FRAME_HEADER_SIZE);
		memcpy(both + FRAME_HEADER_SIZE, data, (size_t)length);
		return try_write(lane, both, length + FRAME_HEADER_SIZE);
	}
	if (lane->socket && length <= RELEASE_GIL_ABOVE)
		return ipk_stream_try_send_both(lane->fd, header, FRAME_HEADER_SIZE, data, (uint64_t)length);
	Py_BEGIN_ALLOW_THREADS
	written = lane->socket ? ipk_stream_try_send_both(lane->fd, header, FRAME_HEADER_SIZE, data, (uint64_t)length)
			       : ipk_stream_try_write_both(lane->fd, header, FRAME_HEADER_SIZE, data, (uint64_t)length);
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
	while ((written = try_send((const struct fd_lane *)(void *)self, data, length)) == -EINTR) {
		if (PyErr_CheckSignals() < 0)
			return NULL;
	}
	out = PyLong_FromLongLong(written);
	if (written > 0 && out && PyList_Append(args[0], out) < 0)
		Py_CLEAR(out);
	return out;
}

static PyMethodDef lane_methods[] = {
	{"write", lane_write, METH_O, NULL},
	{"send", (PyCFunction)(void (*)(void))lane_send, METH_FASTCALL, NULL},
	{"close", fd_lane_close, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot lane_slots[] = {
	{Py_tp_doc, (void *)"WritingLane(fd, socket): attempts to write to a pipe or a socket."},
	{Py_tp_new, (void *)fd_lane_new},
	{Py_tp_dealloc, (void *)lane_free},
	{Py_tp_methods, lane_methods},
	{0, NULL},
};

PyType_Spec writing_lane_spec = {
	"ipckit._lane.WritingLane", (int)sizeof(struct fd_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};
