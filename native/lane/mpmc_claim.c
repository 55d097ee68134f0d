/* One claim of a ring for many, which may have any number of them: its messages in place. */
#include "inplace.h"

#include <errno.h>

#include "ipckit/mpmc.h"

struct mpmc_claim {
	struct inplace_lane base;
	struct ipk_mpmc_claim claim;
};

static struct ipk_mpmc_claim *claim_of(struct inplace_lane *lane)
{
	return &((struct mpmc_claim *)(void *)lane)->claim;
}

static int reserve(struct inplace_lane *lane, uint64_t length, uint64_t *offset)
{
	int rc = ipk_mpmc_try_reserve(lane->base.address, length, claim_of(lane));

	*offset = claim_of(lane)->offset;
	return rc;
}

static long long wait_room(struct inplace_lane *lane, uint64_t length, int64_t deadline_ns)
{
	uint32_t stalled = 0;
	int rc = ipk_mpmc_wait_room(lane->base.address, length, deadline_ns, &stalled);

	return lane_stalled(rc, stalled);
}

static int commit(struct inplace_lane *lane, uint64_t length)
{
	return ipk_mpmc_commit(lane->base.address, claim_of(lane), length, 0);
}

static int abort_reservation(struct inplace_lane *lane)
{
	return ipk_mpmc_abort(lane->base.address, claim_of(lane));
}

/* -EOVERFLOW: the message is in a file, and nothing is lent. */
static int64_t lend(struct inplace_lane *lane, uint64_t *offset)
{
	struct ipk_mpmc_claim *claim = claim_of(lane);
	int64_t lent = ipk_mpmc_try_receive(lane->base.address, claim, 1);

	if (lent < 0)
		return lent;
	if (claim->tag) {
		ipk_mpmc_return_loan(lane->base.address, claim, 1);
		return -EOVERFLOW;
	}
	*offset = claim->offset;
	return claim->length;
}

static long long wait_message(struct inplace_lane *lane, int64_t deadline_ns)
{
	uint32_t stalled = 0;
	int rc = ipk_mpmc_wait_message(lane->base.address, deadline_ns, &stalled);

	return lane_stalled(rc, stalled);
}

static int release(struct inplace_lane *lane)
{
	return ipk_mpmc_release(lane->base.address, claim_of(lane), 1);
}

static int put_back(struct inplace_lane *lane)
{
	return ipk_mpmc_return_loan(lane->base.address, claim_of(lane), 1);
}

static const struct inplace_kind in_place = {reserve, wait_room, commit, abort_reservation, lend, wait_message, release, put_back};

static PyObject *claim_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	return inplace_new(type, args, kwargs, &in_place);
}

static PyMethodDef claim_methods[] = {
	INPLACE_SENDING,
	INPLACE_RECEIVING,
	{NULL, NULL, 0, NULL},
};

static PyType_Slot claim_slots[] = {
	{Py_tp_doc, (void *)"MpmcClaim(owner, address): one claim of the ring at that address, which owner keeps."},
	{Py_tp_new, (void *)claim_new},
	{Py_tp_dealloc, (void *)memory_lane_dealloc},
	{Py_tp_methods, claim_methods},
	{0, NULL},
};

PyType_Spec mpmc_claim_spec = {
	"ipckit._lane.MpmcClaim", (int)sizeof(struct mpmc_claim), 0, Py_TPFLAGS_DEFAULT, claim_slots,
};
