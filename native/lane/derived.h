/* Classes of which the commonest methods are in C: a type derived from the class in Python that has them all.
 *
 * A method in C does what is common, and leaves the rest to the method of the same name in Python: an argument that it does not know,
 * a lane of another sort, the lane of a closed handle. So nothing is there twice but the common case, and without the
 * extension the class in Python is the class.
 *
 *   object  | what the class in Python has ... | struct derived_part |
 */
#ifndef IPCKIT_LANE_DERIVED_H
#define IPCKIT_LANE_DERIVED_H

#include <stdint.h>

#include "lane.h"

#define DERIVED_COMMON 3 /* objects that methods return at the most */

/* One sort of such classes. */
struct derived_kind {
	const char *name;		  /* of the class */
	const PyMethodDef *methods;	  /* ml_doc: how the method is called; what it does, the one in Python says */
	const PyMethodDef *lane;	  /* the methods by which its lane is known */
	const char *common[DERIVED_COMMON]; /* attributes of the class: what the methods return */
	Py_ssize_t *offset;		  /* of the struct derived_part; one for all interpreters of a process */
};

/* What a class's methods know of it. It stays as long as the process. */
struct derived_class {
	PyObject *base;			   /* the class in Python */
	PyObject *slot;			   /* its descriptor of `_lane` */
	PyObject *common[DERIVED_COMMON];
	const struct derived_kind *kind;
};

struct derived_part {
	/* Borrowed: the slot `_lane` keeps it. NULL: it is none of ours, or there is none. */
	void *lane;
	/* NULL before there was a lane. */
	const struct derived_class *class;
};

/* derived(base) -> the class with its methods in C; base itself where there is none for it */
PyObject *lane_derived(PyObject *module, PyObject *base);

extern const struct derived_kind barrier_kind;
extern const struct derived_kind condition_kind;
extern const struct derived_kind event_kind;
extern const struct derived_kind mutex_kind;
extern const struct derived_kind semaphore_kind;

static inline struct derived_part *derived_part_at(PyObject *self, Py_ssize_t offset)
{
	return (struct derived_part *)(void *)((char *)self + offset);
}

/* Call the method of the class in Python; names: of the keyword arguments, which are the last; or NULL. */
PyObject *derived_in_python(const struct derived_part *part, PyObject *self, const char *method, PyObject *const *args,
			    Py_ssize_t count, PyObject *names);

/* Raise what `_refused(rc, call)` of the object returns. Returns NULL. */
PyObject *derived_refused(PyObject *self, int rc, const char *call);

/* How long to wait, as arguments say it. */
struct lane_wait {
	int blocks;	 /* 0: not at all */
	int timed;	 /* 0: for ever */
	double timeout; /* seconds, 0 or more */
};

/* The arguments (timeout=None). Returns 1; 0 for anything but None, and an int or a float of 0 or more. */
int lane_timeout(PyObject *const *args, Py_ssize_t count, PyObject *names, struct lane_wait *wait);

/* The arguments (blocking=True, timeout=None). Returns 1; 0 for anything but a bool, and None or an int or a float of 0 or more. */
int lane_blocking(PyObject *const *args, Py_ssize_t count, PyObject *names, struct lane_wait *wait);

/* The deadline, in nanoseconds of CLOCK_MONOTONIC. */
int64_t lane_deadline(const struct lane_wait *wait);

#endif
