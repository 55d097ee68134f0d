#include "claim.h"
#include "derived.h"
#include "lane.h"

static const struct {
	const char *name;
	PyType_Spec *spec;
} lanes[] = {
	{"BroadcastLane", &broadcast_lane_spec},
	{"BarrierLane", &barrier_lane_spec},
	{"Block", &block_spec},
	{"ConditionLane", &condition_lane_spec},
	{"EventLane", &event_lane_spec},
	{"EventPairLane", &event_pair_lane_spec},
	{"AtomicInt64Lane", &atomic_int64_lane_spec},
	{"AtomicUInt64Lane", &atomic_uint64_lane_spec},
	{"FileLockLane", &filelock_lane_spec},
	{"LatestLane", &latest_lane_spec},
	{"MpmcClaim", &mpmc_claim_spec},
	{"MpmcLane", &mpmc_lane_spec},
	{"MsgLane", &sysv_msg_lane_spec},
	{"MutexLane", &mutex_lane_spec},
	{"PermitLane", &permit_lane_spec},
	{"QueueLane", &mqueue_lane_spec},
	{"ReadingLane", &reading_lane_spec},
	{"RWLockLane", &rwlock_lane_spec},
	{"RWLockTurn", &rwlock_turn_spec},
	{"SemaphoreLane", &semaphore_lane_spec},
	{"SetLane", &sysv_sem_lane_spec},
	{"SpscLane", &spsc_lane_spec},
	{"TrackedPermitLane", &tracked_permit_lane_spec},
	{"Use", &use_spec},
	{"WritingLane", &writing_lane_spec},
#ifndef Py_GIL_DISABLED
	{"OpenClaims", &open_claims_spec},
	{"Window", &window_spec},
#endif
};

static int lane_exec(PyObject *module)
{
	if (lane_names_make() < 0)
		return -1;
	for (size_t i = 0; i < sizeof(lanes) / sizeof(lanes[0]); i++) {
		PyObject *type = PyType_FromSpec(lanes[i].spec);
		int rc = type ? PyModule_AddObjectRef(module, lanes[i].name, type) : -1;

		Py_XDECREF(type);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static PyModuleDef_Slot module_slots[] = {
	{Py_mod_exec, (void *)lane_exec},
#ifdef Py_GIL_DISABLED
	{Py_mod_gil, Py_MOD_GIL_NOT_USED}, /* a ring's busy flags, and the kernel, keep threads apart */
#endif
	{0, NULL},
};

static PyMethodDef module_methods[] = {
#ifndef Py_GIL_DISABLED
	{"claim_type", claim_type, METH_O, "claim_type(cls, /)\n--\n\nThat class of messages in place with its methods in C."},
#endif
	{"derived", lane_derived, METH_O, "derived(cls, /)\n--\n\nThat class with its commonest methods in C."},
	{NULL, NULL, 0, NULL},
};

static struct PyModuleDef lane_module = {
	PyModuleDef_HEAD_INIT, "ipckit._lane", "The calls that are made most, without cffi.", 0, module_methods, module_slots, NULL,
	NULL, NULL,
};

PyMODINIT_FUNC PyInit__lane(void)
{
	return PyModuleDef_Init(&lane_module);
}
