#include "ipckit/spsc.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "leaving.h"
#include "spsc_side.h"

#define ROLES 2

static void set_up(struct ipk_spsc *ring, uint64_t capacity, uint32_t options)
{
	ring->shm = (struct ipk_spsc_shm *)(void *)(ring->segment.base + IPK_SEGMENT_HEADER);
	ring->data = ring->segment.base + IPK_SEGMENT_HEADER + IPK_SPSC_DATA;
	ring->capacity = capacity;
	ring->mask = capacity - 1;
	ring->options = options;
	ring->flags = (options & IPK_SPSC_PARTS ? IPK_SPSC_MORE | IPK_SPSC_REST : 0) | (options & IPK_SPSC_FILES ? IPK_SPSC_FILE : 0);
	ipk_spsc_set_spin(ring, IPK_SPIN_DEFAULT_NS);
}

int ipk_spsc_valid(uint64_t capacity, uint32_t options)
{
	return options < 2 * IPK_SPSC_DROPS && capacity >= IPK_SPSC_MIN_CAPACITY && capacity <= IPK_SPSC_MAX_CAPACITY && !(capacity & (capacity - 1)) &&
	       capacity % (uint64_t)sysconf(_SC_PAGESIZE) == 0;
}

int ipk_spsc_create(struct ipk_spsc *ring, const char *path, uint64_t capacity, uint32_t options, uint32_t mode)
{
	int rc;

	if (!ipk_spsc_valid(capacity, options))
		return -EINVAL;
	rc = ipk_segment_create(&ring->segment, path, IPK_KIND_SPSC, ROLES, IPK_SPSC_DATA + capacity, capacity, mode);
	if (rc < 0)
		return rc;
	set_up(ring, capacity, options);
	ring->shm->layout = IPK_SPSC_LAYOUT;
	ring->shm->capacity = capacity;
	ring->shm->options = options;
	rc = ipk_segment_publish(&ring->segment, path);
	if (rc < 0)
		ipk_spsc_unmap(ring);
	return rc;
}

int ipk_spsc_attach(struct ipk_spsc *ring, int fd)
{
	const struct ipk_spsc_shm *shm;
	uint64_t layout, capacity;
	uint32_t options;
	int rc = ipk_segment_attach(&ring->segment, fd, IPK_KIND_SPSC, ROLES, IPK_SPSC_DATA);

	if (rc < 0)
		return rc;
	shm = (const struct ipk_spsc_shm *)(const void *)(ring->segment.base + IPK_SEGMENT_HEADER);
	layout = shm->layout;
	capacity = shm->capacity;
	options = shm->options;
	if (layout != IPK_SPSC_LAYOUT || !ipk_spsc_valid(capacity, options) ||
	    ring->segment.size != IPK_SEGMENT_HEADER + IPK_SPSC_DATA + capacity) {
		ipk_segment_close(&ring->segment);
		return -EPROTO;
	}
	set_up(ring, capacity, options);
	return 0;
}

static void give_up_role(struct ipk_spsc *ring, uint32_t role)
{
	struct ipk_spsc_shm *shm = ring->shm;
	struct ipk_spsc_sleep *sleep = role == IPK_SPSC_PRODUCER ? &shm->consumer_sleep : &shm->producer_sleep;

	if (!ring->side[role].held || !ipk_segment_holds(&ring->segment, role))
		return;
	ring->side[role].held = 0;
	/* seq_cst: spsc.end, spsc.sleep */
	atomic_store_explicit(&shm->roles.state[role], IPK_SPSC_CLOSED, memory_order_seq_cst);
	IPK_KILLPOINT("spsc.close.stated");
	/* seq_cst: spsc.sleep */
	if (atomic_load_explicit(&sleep->asleep, memory_order_seq_cst))
		wake(sleep, role == IPK_SPSC_PRODUCER ? &shm->tail : &shm->head);
	IPK_KILLPOINT("spsc.close.woken");
	ipk_participant_release(&ring->segment, role);
}

/* Get a side from the call that is inside. A waiter is woken and leaves at once, a copy ends soon. Returns 1 or 0. */
static int take_side(struct ipk_spsc *ring, uint32_t role)
{
	struct ipk_spsc_sleep *sleep = role == IPK_SPSC_CONSUMER ? &ring->shm->consumer_sleep : &ring->shm->producer_sleep;

	struct leaving leaving = {0, 0};

	do {
		/* acquire: pairs with leave; release: whoever finds the side busy because of us, finds it closed in enter */
		if (!atomic_exchange_explicit(&ring->side[role].busy, 1, memory_order_acq_rel))
			return 1;
		ipk_futex_wake((uint32_t *)&sleep->asleep, INT32_MAX, IPK_FUTEX_ANY);
	} while (let_leave(&leaving));
	return 0; /* the caller is a signal handler, and it is its own thread that is inside: unmap gives the role back */
}

void ipk_spsc_close(struct ipk_spsc *ring)
{
	/* relaxed: a call that is inside finishes on memory that stays mapped */
	if (atomic_exchange_explicit(&ring->closed, 1, memory_order_relaxed) || !ring->shm)
		return;
	if (ipk_segment_still_ours(&ring->segment) == -ECHILD)
		return; /* forked: the roles are the parent's to give up */
	for (uint32_t role = 0; role < ROLES; role++) {
		if (take_side(ring, role)) {
			give_up_role(ring, role);
			leave(&ring->side[role]);
		}
	}
}

void ipk_spsc_unmap(struct ipk_spsc *ring)
{
	if (!ring->shm)
		return;
	if (ipk_segment_still_ours(&ring->segment) != -ECHILD) {
		give_up_role(ring, IPK_SPSC_PRODUCER);
		give_up_role(ring, IPK_SPSC_CONSUMER);
	}
	ring->shm = NULL;
	ring->data = NULL;
	ipk_segment_close(&ring->segment);
}

void ipk_spsc_forked(struct ipk_spsc *ring)
{
	if (!ring->shm)
		return;
	ipk_segment_forked(&ring->segment);
	for (int role = 0; role < ROLES; role++) {
		ring->side[role].held = 0;
		ring->side[role].loan = 0;
		ring->side[role].reserved = 0;
		/* relaxed: the child of a fork has one thread; a call of the parent's is not inside here */
		atomic_store_explicit(&ring->side[role].busy, 0, memory_order_relaxed);
	}
}

int ipk_spsc_claim_role(struct ipk_spsc *ring, uint32_t role)
{
	struct ipk_spsc_side *side = &ring->side[role];
	struct ipk_spsc_shm *shm = ring->shm;
	struct ipk_spsc_index *mine = role == IPK_SPSC_PRODUCER ? &shm->tail : &shm->head;
	struct ipk_spsc_index *theirs = role == IPK_SPSC_PRODUCER ? &shm->head : &shm->tail;
	int rc = ipk_participant_claim(&ring->segment, role);

	if (rc < 0)
		return rc;
	/* acquire: spsc.full, spsc.empty: we go on where our predecessor stopped, who may have been killed */
	side->own = atomic_load_explicit(&mine->position, memory_order_acquire);
	side->peer_seen = atomic_load_explicit(&theirs->position, memory_order_acquire);
	if (side->own % 8) {
		ipk_participant_release(&ring->segment, role);
		return -EBADMSG; /* only a corrupt segment has a record at an odd place */
	}
	side->loan = 0;
	side->reserved = 0;
	side->held = 1;
	/* relaxed, all: whoever had the role is gone, as the kernel says */
	if (atomic_load_explicit(&shm->roles.state[role], memory_order_relaxed) == IPK_SPSC_OPEN)
		atomic_store_explicit(&mine->recoveries,
				      atomic_load_explicit(&mine->recoveries, memory_order_relaxed) + 1, memory_order_relaxed);
	/* relaxed: what OPEN says is only that CLOSED no longer holds */
	atomic_store_explicit(&shm->roles.state[role], IPK_SPSC_OPEN, memory_order_relaxed);
	IPK_KILLPOINT("spsc.claim.opened");
	return 0;
}

void *ipk_spsc_data(struct ipk_spsc *ring)
{
	return ring->data;
}

uint64_t ipk_spsc_capacity(const struct ipk_spsc *ring)
{
	return ring->shm ? ring->capacity : 0;
}

int ipk_spsc_fd(const struct ipk_spsc *ring)
{
	return ring->shm ? ring->segment.fd : -1;
}

void ipk_spsc_set_spin(struct ipk_spsc *ring, int64_t budget_ns)
{
	ring->side[IPK_SPSC_PRODUCER].spin.full_ns = budget_ns;
	ring->side[IPK_SPSC_CONSUMER].spin.full_ns = budget_ns;
}

int ipk_spsc_stat(const struct ipk_spsc *ring, struct ipk_spsc_stat *stat)
{
	const struct ipk_spsc_shm *shm = ring->shm;

	memset(stat, 0, sizeof(*stat));
	if (!shm)
		return -EBADF;
	/* relaxed, all: a snapshot for people */
	stat->capacity = ring->capacity;
	stat->head = atomic_load_explicit(&shm->head.position, memory_order_relaxed);
	stat->tail = atomic_load_explicit(&shm->tail.position, memory_order_relaxed);
	stat->used = stat->tail - stat->head;
	stat->skipped = atomic_load_explicit(&shm->head.dropped, memory_order_relaxed);
	stat->received = atomic_load_explicit(&shm->head.messages, memory_order_relaxed);
	stat->sent = atomic_load_explicit(&shm->tail.messages, memory_order_relaxed);
	stat->waiting = stat->sent > stat->received ? stat->sent - stat->received : 0;
	stat->received -= stat->skipped < stat->received ? stat->skipped : stat->received;
	stat->bytes_sent = atomic_load_explicit(&shm->tail.bytes, memory_order_relaxed);
	stat->full_waits = atomic_load_explicit(&shm->tail.waits, memory_order_relaxed);
	stat->empty_waits = atomic_load_explicit(&shm->head.waits, memory_order_relaxed);
	stat->producer_wakes = atomic_load_explicit(&shm->tail.wakes, memory_order_relaxed);
	stat->consumer_wakes = atomic_load_explicit(&shm->head.wakes, memory_order_relaxed);
	stat->dropped = atomic_load_explicit(&shm->tail.dropped, memory_order_relaxed);
	stat->torn = atomic_load_explicit(&shm->head.torn, memory_order_relaxed);
	stat->recoveries = (uint64_t)atomic_load_explicit(&shm->tail.recoveries, memory_order_relaxed) +
			   atomic_load_explicit(&shm->head.recoveries, memory_order_relaxed);
	stat->producer_state = atomic_load_explicit(&shm->roles.state[IPK_SPSC_PRODUCER], memory_order_relaxed);
	stat->consumer_state = atomic_load_explicit(&shm->roles.state[IPK_SPSC_CONSUMER], memory_order_relaxed);
	stat->options = ring->options;
	return 0;
}
