/* The calls of a lane that send copies, by those of the core for its kind of ring. They are inline and each kind has its calls
 * in a constant table, so that what is called is known when it is compiled. */
#ifndef IPCKIT_LANE_SENDING_H
#define IPCKIT_LANE_SENDING_H

#include "lane.h"

/* As ipk_spsc_try_send and ipk_spsc_wait_room. */
struct sending {
	int (*try_send)(void *ring, const void *data, uint64_t length);
	int (*wait_room)(void *ring, uint64_t length, int64_t deadline_ns);
};

/* As ipk_spsc_try_send_many. */
typedef int64_t sending_many(void *ring, const struct ipk_slice *slices, uint32_t count);

/* One attempt; a long copy gives the GIL away. */
static inline int sending_attempt(const struct sending *core, void *ring, const char *data, Py_ssize_t length)
{
	int rc;

	if (length <= RELEASE_GIL_ABOVE)
		return core->try_send(ring, data, (uint64_t)length);
	Py_BEGIN_ALLOW_THREADS
	rc = core->try_send(ring, data, (uint64_t)length);
	Py_END_ALLOW_THREADS
	return rc;
}

/* try_send(message: bytes) -> 0 or -errno */
static inline PyObject *sending_try(const struct sending *core, void *ring, PyObject *message)
{
	Py_ssize_t length;
	char *data;

	if (PyBytes_AsStringAndSize(message, &data, &length) < 0)
		return NULL;
	return PyLong_FromLong(sending_attempt(core, ring, data, length));
}

/* send(message: bytes, deadline_ns: int) -> 0 or -errno */
static inline PyObject *sending_send(const struct sending *core, void *ring, PyObject *const *args, Py_ssize_t count)
{
	Py_ssize_t length;
	char *data;
	int rc, again;

	if (count != 2) {
		PyErr_SetString(PyExc_TypeError, "send() takes a message and a deadline");
		return NULL;
	}
	if (PyBytes_AsStringAndSize(args[0], &data, &length) < 0)
		return NULL;
	while ((rc = sending_attempt(core, ring, data, length)) == -EAGAIN) {
		long long deadline_ns = PyLong_AsLongLong(args[1]);

		if (deadline_ns == -1 && PyErr_Occurred())
			return NULL;
		Py_BEGIN_ALLOW_THREADS
		rc = core->wait_room(ring, (uint64_t)length, deadline_ns);
		Py_END_ALLOW_THREADS
		again = lane_wait_again(rc);
		if (again < 0)
			return NULL;
		if (!again)
			break;
	}
	return PyLong_FromLong(rc);
}

/* try_send_many(messages: list[bytes], first: int) -> how many from the first on, a batch at the most, or -errno */
static inline PyObject *sending_try_many(sending_many *try_send_many, void *ring, PyObject *args)
{
	struct ipk_slice slices[LANE_BATCH];
	Py_ssize_t bytes;
	int64_t sent;
	int count = lane_slices(args, slices, &bytes);

	if (count < 0)
		return NULL;
	if (bytes <= RELEASE_GIL_ABOVE) {
		sent = try_send_many(ring, slices, (uint32_t)count);
	} else {
		/* the list is the caller's own, and keeps the messages */
		Py_BEGIN_ALLOW_THREADS
		sent = try_send_many(ring, slices, (uint32_t)count);
		Py_END_ALLOW_THREADS
	}
	return PyLong_FromLongLong(sent);
}

#endif
