/* What the types of the fast lane share. Each has a file of its own, and module.c puts them into ipckit._lane. They hold
 * no protocol: every step is a call of the core. For each there is the same type on cffi, for an installation without
 * this extension; their constants must agree.
 */
#ifndef IPCKIT_LANE_H
#define IPCKIT_LANE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <stdatomic.h>

#include "ipckit/spsc.h" /* struct ipk_slice */

/* One build is for 3.11 and later, whichever of them compiles it. Most headers from 3.12 on take these three objects for immortal here
 * too; those of 3.11 are not: each would lose a reference with every call, until the interpreter ends in none_dealloc.
 */
#undef Py_RETURN_NONE
#undef Py_RETURN_TRUE
#undef Py_RETURN_FALSE
#define Py_RETURN_NONE	return Py_NewRef(Py_None)
#define Py_RETURN_TRUE	return Py_NewRef(Py_True)
#define Py_RETURN_FALSE return Py_NewRef(Py_False)

/* Copying this much takes longer than to hand the GIL over and get it back. */
#define RELEASE_GIL_ABOVE 65536

/* Messages of a batch. */
#define LANE_BATCH 64

extern PyType_Spec broadcast_lane_spec;
extern PyType_Spec event_lane_spec;
extern PyType_Spec event_pair_lane_spec;
extern PyType_Spec atomic_int64_lane_spec;
extern PyType_Spec atomic_uint64_lane_spec;
extern PyType_Spec barrier_lane_spec;
extern PyType_Spec block_spec;
extern PyType_Spec condition_lane_spec;
extern PyType_Spec filelock_lane_spec;
extern PyType_Spec latest_lane_spec;
extern PyType_Spec mpmc_claim_spec;
extern PyType_Spec mpmc_lane_spec;
extern PyType_Spec mqueue_lane_spec;
extern PyType_Spec mutex_lane_spec;
extern PyType_Spec permit_lane_spec;
extern PyType_Spec reading_lane_spec;
extern PyType_Spec rwlock_lane_spec;
extern PyType_Spec rwlock_turn_spec;
extern PyType_Spec semaphore_lane_spec;
extern PyType_Spec spsc_lane_spec;
extern PyType_Spec sysv_msg_lane_spec;
extern PyType_Spec sysv_sem_lane_spec;
extern PyType_Spec tracked_permit_lane_spec;
extern PyType_Spec use_spec;
extern PyType_Spec writing_lane_spec;

/* Names of attributes that are asked for so often that to make them each time would take longer than the rest. They stay as long as
 * the process. */
extern struct lane_names {
	PyObject *lane, *enter, *leave;
	PyObject *take, *give, *undo; /* of a member of a semaphore set */
} lane_names;

/* Before anything else is used. Returns 0, or -1 with an exception set. */
int lane_names_make(void);

/* A lane of an object in memory: Lane(owner, address). */
struct memory_lane {
	PyObject_HEAD
	void *address;   /* r/o after init, not NULL */
	PyObject *owner; /* keeps that memory */
};

PyObject *memory_lane_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
void memory_lane_dealloc(PyObject *self);

/* One through which nobody gets anything by waiting any more, once it is closed. */
struct closing_lane {
	struct memory_lane base;
	_Atomic int closed;
};

/* close() */
PyObject *closing_lane_close(PyObject *self, PyObject *none);

static inline int lane_is_closed(const struct closing_lane *lane)
{
	/* seq_cst: after the waiter has taken what it waited for; who closes looks at that after it has stored this */
	return atomic_load_explicit(&lane->closed, memory_order_seq_cst);
}

/* A lane of a descriptor: Lane(fd, socket). */
struct fd_lane {
	PyObject_HEAD
	int fd;     /* -1: closed */
	int socket; /* whether it is one; r/o after init */
};

#define FRAME_HEADER_SIZE 4 /* bytes before each message of a stream: its length, most significant byte first */

PyObject *fd_lane_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);

/* close(): every later call fails as on a closed descriptor */
PyObject *fd_lane_close(PyObject *self, PyObject *none);

/* The beginning of tp_new: 0, or -1 with an exception set. */
int lane_refuse_keywords(PyObject *kwargs);

/* A new object of the type, zeroed; NULL with an exception set. */
PyObject *lane_allocate(PyTypeObject *type);

/* tp_dealloc of a lane that keeps no other object, and the end of that of others. */
void lane_free(PyObject *self);

/* The arguments of a call, which takes so many numbers. Returns 0, or -1 with an exception set. */
int lane_numbers(PyObject *const *args, Py_ssize_t count, long long *numbers, Py_ssize_t wanted);

/* Whether a wait that returned rc is to be made again: 1, 0, or -1 with the exception of a signal handler set. */
int lane_wait_again(int rc);

/* What a wait is to return that was held up by that process, if it was by one: -(pid << 16 | ETIMEDOUT), or rc. */
static inline long long lane_stalled(int rc, uint32_t pid)
{
	return rc == -ETIMEDOUT ? -((long long)pid << 16 | ETIMEDOUT) : rc;
}

/* A bytes object of what lies at data, which somebody keeps there: a long copy gives the GIL away. */
PyObject *lane_bytes(const void *data, size_t length);

/* The arguments (messages: list[bytes], first: int): where the messages from the first on lie, a batch at the most. They stay
 * there as long as the list is the caller's own. bytes: of all. Returns how many, or -1 with an exception set. */
int lane_slices(PyObject *args, struct ipk_slice slices[LANE_BATCH], Py_ssize_t *bytes);

static inline void *lane_address(PyObject *self)
{
	return ((struct memory_lane *)(void *)self)->address;
}

#endif
