/* Messages written and read where they lie, as the objects that `reserve` and `peek` of a ring return: types in C on top of the
 * classes Reservation and Loan of ipckit/ring/_inplace.py, which say what they do, and do it where there is no extension.
 *
 *   claim, the caller's  ->  window, which its views keep  ->  lane  ->  the ring's memory
 *            \-------->  open_claims, the ring's handle's
 *
 * A claim is open as long as it has its open_claims. What ends it takes that first, so whatever runs meanwhile, as a finaliser
 * may, finds it ended. All of it is kept apart by the GIL; a Python without has none of it.
 */
#ifndef IPCKIT_LANE_CLAIM_H
#define IPCKIT_LANE_CLAIM_H

#include "inplace.h"

#ifndef Py_GIL_DISABLED

extern PyType_Spec open_claims_spec;
extern PyType_Spec window_spec;

/* What one sort of claim is, beside its class. */
struct claim_sort {
	PyTypeObject *type;
	int lent;	  /* and read-only; else reserved */
	PyObject *what;	  /* the attributes of the class that tell of it */
	PyObject *done;
	PyObject *undone;
};

/* OpenClaims(Window, type of reservations, type of loans, address of the data): the claims of one handle that have not ended. */
struct open_claims {
	PyObject_HEAD
	struct claim *first;	   /* borrowed */
	unsigned char *data;	   /* r/o after init, as the sorts */
	PyTypeObject *window_type;
	struct claim_sort reservations;
	struct claim_sort loans;
	PyObject *frombuffer;	   /* of numpy; NULL: nobody asked for an array yet */
	Py_ssize_t orphans;	   /* windows that outlive their claims */
	Py_ssize_t forks;	   /* how often claims became the parent's */
};

/* What the views of a claim are made of, and nothing else. Whatever can touch the memory has a reference, if not a buffer. */
struct window {
	PyObject_HEAD
	struct inplace_lane *lane;
	void *data;
	Py_ssize_t length;
	int lent;		      /* as of its sort */
	struct open_claims *orphaned; /* of a claim that ended before its views: undo that with the last of them */
	Py_ssize_t forks;	      /* those of `orphaned`, when it became one */
};

/* What such an object has behind what its class in Python has. */
struct claim {
	PyObject *self;		     /* borrowed */
	struct claim *next;	     /* in the list of its open_claims, while it is open */
	struct claim **link;
	struct open_claims *claims;  /* NULL: it has ended */
	struct inplace_lane *lane;
	const struct claim_sort *sort; /* lies in its open_claims */
	uint64_t offset;
	uint64_t length;
	struct window *window;	     /* NULL: nobody asked for a view */
	PyObject *view;
	PyObject *outcome;	     /* NULL: it is open */
	int by_owner;		     /* it was ended by a method of its own */
};

/* The object, if it is an OpenClaims; else NULL. */
struct open_claims *open_claims_of(PyObject *object);

/* claim_type(cls) -> the type on top of the class Reservation, or Loan */
PyObject *claim_type(PyObject *module, PyObject *base);

/* A claim that claim_open is to open; NULL with an exception set. */
PyObject *claim_new(const struct claim_sort *sort);

/* From now on it is a claim on that much of the data. */
void claim_open(PyObject *self, struct open_claims *claims, const struct claim_sort *sort, struct inplace_lane *lane,
		uint64_t offset, uint64_t length);

/* Undo an open claim. Returns 0; -1 with a BufferError that names the action, and on what: views are alive, and all is as before,
 * but there is to be a new view. */
int claim_undo(struct claim *claim, const char *action, PyObject *what, PyObject *outcome);

/* It is no more this process's: nothing is undone. */
void claim_disown(struct claim *claim, PyObject *outcome);

/* A window on an open claim; NULL with an exception set. */
struct window *window_new(const struct claim *claim);

/* All of a window as an array of numpy. NULL with an exception set, or without: the method in Python is to make or refuse it. */
PyObject *window_array(struct window *window, struct open_claims *claims, PyObject *dtype);

/* Undo what was claimed when the last view is gone. Takes over the reference. */
void window_orphan(struct window *window, struct open_claims *claims);

#endif
#endif
