/* What the lanes of the kernel's message queues share: Lane(number, size, message). */
#ifndef IPCKIT_QUEUE_LANE_H
#define IPCKIT_QUEUE_LANE_H

#include "lane.h"

struct queue_lane {
	PyObject_HEAD
	int number;            /* the kernel's, for the queue; -1: closed */
	size_t size;           /* bytes of the longest message that is received here; r/o after init */
	PyTypeObject *message; /* a tuple type with two fields; r/o after init */
	allocfunc allocate;    /* its tp_alloc */
};

PyObject *queue_lane_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
void queue_lane_dealloc(PyObject *self);

/* close(): every later call fails as on a queue that does not exist */
PyObject *queue_lane_close(PyObject *self, PyObject *none);

/* What message(first, second) would be; takes both references, and NULL for either where it could not be made. */
PyObject *queue_lane_message(struct queue_lane *lane, PyObject *first, PyObject *second);

static inline struct queue_lane *as_queue_lane(PyObject *self)
{
	return (struct queue_lane *)(void *)self;
}

#endif
