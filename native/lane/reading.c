/* Pipes and sockets: the next message of a stream, as far as it has come. What came is kept here, so that no exception of a
 * signal handler can come between a read and the note of it.
 */
#include "lane.h"

#include "ipckit/stream.h"

#define MOST_AT_ONCE 65536 /* bytes, so that a header that lies costs no memory */

struct reading_lane {
	struct fd_lane base;
	unsigned char header[FRAME_HEADER_SIZE];
	uint32_t header_size; /* bytes of it that are here */
	int64_t received;     /* bytes of the message that are here: those of the parts */
	PyObject *parts;      /* a list of bytes */
};

static struct reading_lane *as_reading_lane(PyObject *self)
{
	return (struct reading_lane *)(void *)self;
}

static PyObject *lane_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	PyObject *self = fd_lane_new(type, args, kwargs);

	if (!self)
		return NULL;
	as_reading_lane(self)->parts = PyList_New(0);
	if (!as_reading_lane(self)->parts) {
		Py_DECREF(self);
		return NULL;
	}
	return self;
}

static void lane_dealloc(PyObject *self)
{
	Py_XDECREF(as_reading_lane(self)->parts);
	lane_free(self);
}

/* What the header says, which is here as a whole. */
static int64_t length_of(const struct reading_lane *lane)
{
	const unsigned char *header = lane->header;

	return (int64_t)((uint32_t)header[0] << 24 | (uint32_t)header[1] << 16 | (uint32_t)header[2] << 8 | header[3]);
}

/* A socket is told not to wait. A pipe may have been made blocking by others who have its description. */
static int64_t try_read(const struct fd_lane *lane, void *into, uint64_t size)
{
	int64_t count;

	if (lane->socket)
		return ipk_stream_try_receive(lane->fd, into, size);
	Py_BEGIN_ALLOW_THREADS
	count = ipk_stream_try_read(lane->fd, into, size);
	Py_END_ALLOW_THREADS
	return count;
}

/* Returns as ipk_stream_try_read, but for -EINTR; or -EINTR with the exception of a signal handler set. */
static int64_t attempt(const struct fd_lane *lane, void *into, uint64_t size)
{
	int64_t count;

	while ((count = try_read(lane, into, size)) == -EINTR) {
		if (PyErr_CheckSignals() < 0)
			break;
	}
	return count;
}

/* What attempt() has said, 0 or below, to Python. */
static PyObject *outcome(int64_t count)
{
	return count == -EINTR ? NULL : PyLong_FromLongLong(count);
}

/* The message, which is whole; the next one may begin. */
static PyObject *finish(struct reading_lane *lane)
{
	PyObject *nothing = PyBytes_FromStringAndSize(NULL, 0);
	PyObject *message = nothing ? PyObject_CallMethod(nothing, "join", "O", lane->parts) : NULL;

	Py_XDECREF(nothing);
	if (!message || PyList_SetSlice(lane->parts, 0, PyList_Size(lane->parts), NULL) < 0)
		return NULL;
	lane->header_size = 0;
	lane->received = 0;
	return message;
}

/* Note so many bytes of what was read into that chunk. Returns 0, or -1 with an exception set. */
static int note(struct reading_lane *lane, PyObject *chunk, int64_t count)
{
	PyObject *part = count == PyBytes_Size(chunk) ? Py_NewRef(chunk)
						      : PyBytes_FromStringAndSize(PyBytes_AsString(chunk), (Py_ssize_t)count);
	int rc = part ? PyList_Append(lane->parts, part) : -1;

	Py_XDECREF(part);
	if (rc == 0)
		lane->received += count;
	return rc;
}

/* receive(limit) -> the next message, bytes; else 0 at the end, or -errno: -EAGAIN, -EMSGSIZE (it exceeds the limit), ... */
static PyObject *lane_receive(PyObject *self, PyObject *limit)
{
	struct reading_lane *lane = as_reading_lane(self);
	long long most = PyLong_AsLongLong(limit);
	int64_t length;

	if (most == -1 && PyErr_Occurred())
		return NULL;
	while (lane->header_size < FRAME_HEADER_SIZE) {
		int64_t count = attempt(&lane->base, lane->header + lane->header_size, FRAME_HEADER_SIZE - lane->header_size);

		if (count <= 0)
			return outcome(count);
		lane->header_size += (uint32_t)count;
	}
	length = length_of(lane);
	if (length > most)
		return PyLong_FromLong(-EMSGSIZE);
	while (lane->received < length) {
		int64_t left = length - lane->received;
		int64_t size = left < MOST_AT_ONCE ? left : MOST_AT_ONCE;
		PyObject *chunk = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
		int64_t count = chunk ? attempt(&lane->base, PyBytes_AsString(chunk), (uint64_t)size) : -EINTR;
		int rc;

		if (count == length) { /* at once, as nearly always */
			lane->header_size = 0;
			return chunk;
		}
		rc = count > 0 ? note(lane, chunk, count) : 0;
		Py_XDECREF(chunk);
		if (rc < 0)
			return NULL;
		if (count <= 0)
			return outcome(count);
		if (PyErr_CheckSignals() < 0) /* where the writer is fast enough, nothing else does for all of a long message */
			return NULL;
	}
	return finish(lane);
}

static PyObject *lane_repr(PyObject *self)
{
	const struct reading_lane *lane = as_reading_lane(self);

	if (lane->header_size < FRAME_HEADER_SIZE)
		return PyUnicode_FromFormat("%u of the %d bytes of a header", lane->header_size, FRAME_HEADER_SIZE);
	return PyUnicode_FromFormat("%lld of the %lld bytes of a message", (long long)lane->received,
				    (long long)length_of(lane));
}

static PyObject *lane_begun(PyObject *self, void *Py_UNUSED(closure))
{
	return PyBool_FromLong(as_reading_lane(self)->header_size > 0);
}

static PyObject *lane_length(PyObject *self, void *Py_UNUSED(closure))
{
	return PyLong_FromLongLong(length_of(as_reading_lane(self)));
}

static PyMethodDef lane_methods[] = {
	{"receive", lane_receive, METH_O, NULL},
	{"close", fd_lane_close, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyGetSetDef lane_getters[] = {
	{"begun", lane_begun, NULL, "Whether a part of a message is here.", NULL},
	{"length", lane_length, NULL, "The bytes of the message whose header is here.", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot lane_slots[] = {
	{Py_tp_doc, (void *)"ReadingLane(fd, socket): the messages that come from a pipe or a socket."},
	{Py_tp_new, (void *)lane_new},
	{Py_tp_dealloc, (void *)lane_dealloc},
	{Py_tp_methods, lane_methods},
	{Py_tp_getset, lane_getters},
	{Py_tp_repr, (void *)lane_repr},
	{0, NULL},
};

PyType_Spec reading_lane_spec = {
	"ipckit._lane.ReadingLane", (int)sizeof(struct reading_lane), 0, Py_TPFLAGS_DEFAULT, lane_slots,
};
