#include <errno.h>
#include <string.h>

#include "latest_view.h"
#include "leaving.h"

#define ROLES 1

int ipk_latest_valid(uint64_t max_size, uint64_t buffers)
{
	return max_size >= 1 && max_size <= IPK_LATEST_MAX_SIZE && buffers >= IPK_LATEST_MIN_BUFFERS &&
	       buffers <= IPK_LATEST_MAX_BUFFERS;
}

static void set_up(struct ipk_latest *latest, uint64_t max_size, uint64_t buffers)
{
	latest->shm = (struct ipk_latest_shm *)(void *)(latest->segment.base + IPK_SEGMENT_HEADER);
	latest->buffers = latest->segment.base + IPK_SEGMENT_HEADER + IPK_LATEST_BUFFERS;
	latest->max_size = max_size;
	latest->count = buffers;
	latest->stride = ipk_latest_stride(max_size);
	ipk_latest_set_spin(latest, IPK_SPIN_DEFAULT_NS);
}

int ipk_latest_create(struct ipk_latest *latest, const char *path, uint64_t max_size, uint64_t buffers, uint32_t mode)
{
	int rc;

	if (!ipk_latest_valid(max_size, buffers))
		return -EINVAL;
	rc = ipk_segment_create(&latest->segment, path, IPK_KIND_LATEST, ROLES,
				IPK_LATEST_BUFFERS + buffers * ipk_latest_stride(max_size), 0, mode);
	if (rc < 0)
		return rc;
	set_up(latest, max_size, buffers);
	latest->shm->geometry.max_size = max_size;
	latest->shm->geometry.buffers = buffers;
	rc = ipk_segment_publish(&latest->segment, path);
	if (rc < 0)
		ipk_latest_unmap(latest);
	return rc;
}

int ipk_latest_attach(struct ipk_latest *latest, int fd)
{
	const struct ipk_latest_shm *shm;
	uint64_t max_size = 0, buffers = 0;
	int rc = ipk_segment_attach(&latest->segment, fd, IPK_KIND_LATEST, ROLES, 0);

	if (rc < 0)
		return rc;
	if (latest->segment.size >= IPK_SEGMENT_HEADER + IPK_LATEST_BUFFERS) {
		shm = (const struct ipk_latest_shm *)(void *)(latest->segment.base + IPK_SEGMENT_HEADER);
		max_size = shm->geometry.max_size;
		buffers = shm->geometry.buffers;
	}
	if (!ipk_latest_valid(max_size, buffers) ||
	    latest->segment.size != IPK_SEGMENT_HEADER + IPK_LATEST_BUFFERS + buffers * ipk_latest_stride(max_size)) {
		ipk_segment_close(&latest->segment);
		return -EPROTO;
	}
	set_up(latest, max_size, buffers);
	return 0;
}

int ipk_latest_claim_role(struct ipk_latest *latest)
{
	struct ipk_latest_shm *shm = latest->shm;
	int rc = ipk_participant_claim(&latest->segment, IPK_LATEST_WRITER);

	if (rc < 0)
		return rc;
	/* relaxed: our predecessor is gone, and the kernel, which told us so, has seen what it stored */
	latest->own = atomic_load_explicit(&shm->index.sequence, memory_order_relaxed);
	latest->held = 1;
	/* relaxed, all: the counter is the writer's; what OPEN says is only that CLOSED no longer holds */
	if (atomic_load_explicit(&shm->role.state, memory_order_relaxed) == IPK_LATEST_OPEN)
		atomic_store_explicit(&shm->index.recoveries,
				      atomic_load_explicit(&shm->index.recoveries, memory_order_relaxed) + 1,
				      memory_order_relaxed);
	atomic_store_explicit(&shm->role.state, IPK_LATEST_OPEN, memory_order_relaxed);
	IPK_KILLPOINT("latest.claim.opened");
	return 0;
}

static void give_up_role(struct ipk_latest *latest)
{
	if (!latest->held || !ipk_segment_holds(&latest->segment, IPK_LATEST_WRITER))
		return;
	latest->held = 0;
	/* seq_cst: latest.end, latest.sleep */
	atomic_store_explicit(&latest->shm->role.state, IPK_LATEST_CLOSED, memory_order_seq_cst);
	IPK_KILLPOINT("latest.close.stated");
	wake_readers(latest);
	IPK_KILLPOINT("latest.close.woken");
	ipk_participant_release(&latest->segment, IPK_LATEST_WRITER);
}

/* Get the writer's part of the view from the call that is inside, which leaves soon. Returns 1 or 0. */
static int take(struct ipk_latest *latest)
{
	struct leaving leaving = {0, 0};

	do {
		/* acquire: pairs with leave; release: whoever finds the view busy because of us, finds it closed in enter */
		if (!atomic_exchange_explicit(&latest->busy, 1, memory_order_acq_rel))
			return 1;
	} while (let_leave(&leaving));
	return 0; /* a signal handler closes amid its own thread's call, or a buffer is reserved: unmap gives the role back */
}

void ipk_latest_close(struct ipk_latest *latest)
{
	/* relaxed: a call that is inside finishes on memory that stays mapped */
	if (atomic_exchange_explicit(&latest->closed, 1, memory_order_relaxed) || !latest->shm)
		return;
	/* our own readers: one that has not gone to sleep yet finds another word there, or sleeps a slice at most */
	ipk_sleepers_wake_all(&latest->shm->asleep.sleepers);
	if (ipk_segment_still_ours(&latest->segment) == -ECHILD)
		return; /* forked: the role is the parent's to give up */
	if (take(latest)) {
		give_up_role(latest);
		leave(latest);
	}
}

void ipk_latest_unmap(struct ipk_latest *latest)
{
	if (!latest->shm)
		return;
	if (ipk_segment_still_ours(&latest->segment) != -ECHILD)
		give_up_role(latest);
	latest->shm = NULL;
	latest->buffers = NULL;
	ipk_segment_close(&latest->segment);
}

void ipk_latest_forked(struct ipk_latest *latest)
{
	if (!latest->shm)
		return;
	ipk_segment_forked(&latest->segment);
	latest->held = 0;
	latest->reserved = 0;
	/* relaxed: the child of a fork has one thread; a call of the parent's is not inside here */
	atomic_store_explicit(&latest->busy, 0, memory_order_relaxed);
}

uint64_t ipk_latest_seen(const struct ipk_latest *latest)
{
	/* relaxed: a number for people */
	return atomic_load_explicit(&latest->seen, memory_order_relaxed);
}

void *ipk_latest_buffers(struct ipk_latest *latest)
{
	return latest->buffers;
}

uint64_t ipk_latest_capacity(const struct ipk_latest *latest)
{
	return latest->shm ? latest->count * latest->stride : 0;
}

int ipk_latest_fd(const struct ipk_latest *latest)
{
	return latest->shm ? latest->segment.fd : -1;
}

void ipk_latest_set_spin(struct ipk_latest *latest, int64_t budget_ns)
{
	/* relaxed: about speed only */
	atomic_store_explicit(&latest->spin.full_ns, budget_ns, memory_order_relaxed);
}

int ipk_latest_stat(struct ipk_latest *latest, struct ipk_latest_stat *stat)
{
	const struct ipk_latest_shm *shm = latest->shm;
	struct ipk_latest_value value;
	int rc;

	memset(stat, 0, sizeof(*stat));
	if (!shm)
		return -EBADF;
	stat->max_size = latest->max_size;
	stat->buffers = latest->count;
	stat->capacity = latest->count * latest->stride;
	for (int i = 0; (rc = ipk_latest_look(latest, 0, &value)) == -ESTALE && i < IPK_LATEST_TRIES; i++)
		continue;
	if (rc == 0) {
		stat->sequence = value.sequence;
		stat->length = value.length;
		stat->written_ns = value.written_ns;
	}
	/* relaxed, all: a snapshot for people */
	stat->bytes = atomic_load_explicit(&shm->index.bytes, memory_order_relaxed);
	stat->wakes = atomic_load_explicit(&shm->index.wakes, memory_order_relaxed);
	stat->recoveries = atomic_load_explicit(&shm->index.recoveries, memory_order_relaxed);
	stat->empty_waits = atomic_load_explicit(&shm->role.waits, memory_order_relaxed);
	stat->overtaken = atomic_load_explicit(&shm->role.overtaken, memory_order_relaxed);
	stat->state = atomic_load_explicit(&shm->role.state, memory_order_relaxed);
	stat->writers = stat->state == IPK_LATEST_OPEN && ipk_segment_owns(&latest->segment, latest->segment.fd) &&
			ipk_participant_alive(&latest->segment, IPK_LATEST_WRITER) > 0;
	return 0;
}
