#include "ipckit/broadcast.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "broadcast_side.h"
#include "leaving.h"

#define NO_PARTICIPANTS 0 /* of the segment: a ring has members */

_Static_assert(offsetof(struct ipk_broadcast_shm, capacity) == offsetof(struct ipk_broadcast_geometry, capacity) &&
	       offsetof(struct ipk_broadcast_shm, participants) == offsetof(struct ipk_broadcast_geometry, participants) &&
	       offsetof(struct ipk_broadcast_shm, policy) == offsetof(struct ipk_broadcast_geometry, policy), "the beginning of the object");

uint64_t ipk_broadcast_data_offset(uint32_t participants)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t end = offsetof(struct ipk_broadcast_shm, roster) + ipk_roster_size(participants);

	return (end + page - 1) / page * page;
}

static bool valid_policy(uint32_t policy)
{
	return policy <= IPK_BROADCAST_DISCONNECT || policy == (IPK_BROADCAST_BLOCK | IPK_BROADCAST_PARTS) ||
	       ((policy & IPK_BROADCAST_FILES) && (policy & ~(uint32_t)IPK_BROADCAST_FILES) <= IPK_BROADCAST_DISCONNECT);
}

static bool valid(const struct ipk_broadcast_geometry *geometry)
{
	uint64_t capacity = geometry->capacity;

	return capacity >= IPK_BROADCAST_MIN_CAPACITY && capacity <= IPK_BROADCAST_MAX_CAPACITY && !(capacity & (capacity - 1)) &&
	       capacity % (uint64_t)sysconf(_SC_PAGESIZE) == 0 && valid_policy(geometry->policy) &&
	       ipk_roster_size(geometry->participants) > 0;
}

static struct ipk_broadcast_shm *object_of(struct ipk_broadcast *ring)
{
	return (struct ipk_broadcast_shm *)(void *)(ring->segment.base + IPK_SEGMENT_HEADER);
}

static int set_up(struct ipk_broadcast *ring, const struct ipk_broadcast_geometry *geometry)
{
	int rc = ipk_member_open(&ring->member, ring->segment.fd);

	if (rc < 0) {
		ipk_segment_close(&ring->segment);
		return rc;
	}
	ring->shm = object_of(ring);
	ring->data = ring->segment.base + IPK_SEGMENT_HEADER + ipk_broadcast_data_offset(geometry->participants);
	ring->capacity = geometry->capacity;
	ring->mask = geometry->capacity - 1;
	ring->oversize = geometry->policy & (IPK_BROADCAST_PARTS | IPK_BROADCAST_FILES);
	ring->policy = geometry->policy - ring->oversize;
	ring->flags = ring->oversize == IPK_BROADCAST_PARTS   ? IPK_BROADCAST_MORE | IPK_BROADCAST_REST
		      : ring->oversize == IPK_BROADCAST_FILES ? IPK_BROADCAST_FILE
							      : 0;
	ipk_roster_init(&ring->roster, &ring->shm->roster, geometry->participants, &ring->member);
	ipk_broadcast_set_spin(ring, IPK_SPIN_DEFAULT_NS);
	return 0;
}

int ipk_broadcast_create(struct ipk_broadcast *ring, const char *path, uint64_t capacity, uint32_t policy,
			 uint32_t participants, uint32_t mode)
{
	struct ipk_broadcast_geometry geometry = {capacity, participants, policy};
	int rc;

	if (!valid(&geometry))
		return -EINVAL;
	rc = ipk_segment_create(&ring->segment, path, IPK_KIND_BROADCAST, NO_PARTICIPANTS, ipk_broadcast_data_offset(participants) + capacity,
				capacity, mode);
	if (rc < 0)
		return rc;
	rc = set_up(ring, &geometry);
	if (rc < 0)
		return rc;
	ring->shm->capacity = capacity;
	ring->shm->participants = participants;
	ring->shm->policy = policy;
	rc = ipk_segment_publish(&ring->segment, path);
	if (rc < 0)
		ipk_broadcast_unmap(ring);
	return rc;
}

int ipk_broadcast_read_geometry(int fd, struct ipk_broadcast_geometry *geometry)
{
	if (pread(fd, geometry, sizeof(*geometry), IPK_SEGMENT_HEADER) != (ssize_t)sizeof(*geometry))
		return -EPROTO;
	return valid(geometry) ? 0 : -EPROTO;
}

int ipk_broadcast_attach(struct ipk_broadcast *ring, int fd)
{
	struct ipk_broadcast_geometry geometry = {0};
	bool readable = ipk_broadcast_read_geometry(fd, &geometry) == 0;
	int rc = ipk_segment_attach(&ring->segment, fd, IPK_KIND_BROADCAST, NO_PARTICIPANTS,
				    readable ? ipk_broadcast_data_offset(geometry.participants) : 0);

	if (rc < 0)
		return rc;
	if (!readable || ring->segment.size != IPK_SEGMENT_HEADER + ipk_broadcast_data_offset(geometry.participants) + geometry.capacity) {
		ipk_segment_close(&ring->segment);
		return -EPROTO;
	}
	return set_up(ring, &geometry);
}

/* Wait until no other thread of ours is inside with the writer lock: it copies, and leaves soon. */
static void wait_for_writers(struct ipk_broadcast *ring)
{
	struct leaving leaving = {0, 0};
	uint32_t owner;

	do {
		/* relaxed: a look */
		owner = atomic_load_explicit(&ring->shm->lock.word, memory_order_relaxed) & IPK_MEMBER_ID_MASK;
		if (owner == 0 || owner != ipk_member_id(&ring->member) || ipk_lock_mine(&ring->shm->lock, &ring->member))
			return;
	} while (let_leave(&leaving));
}

/* Get the reading side from the thread that is inside. Returns false if that is our own, interrupted by a signal handler, or
 * a message is on loan: unmap gives the role back. */
static bool take_turn(struct ipk_broadcast *ring)
{
	struct leaving leaving = {0, 0};

	do {
		uint32_t turn = 0;

		/* acquire: pairs with leave; relaxed: nothing is done with a failure */
		if (atomic_compare_exchange_strong_explicit(&ring->reader.turn, &turn, IPK_BROADCAST_INSIDE, memory_order_acquire,
							    memory_order_relaxed))
			return true;
		if (turn == IPK_BROADCAST_ON_LOAN)
			return false;
	} while (let_leave(&leaving));
	return false;
}

static void give_up(struct ipk_broadcast *ring, uint32_t roles)
{
	struct ipk_roster_entry_shm *entry = ipk_roster_own(&ring->roster, 0);
	uint32_t left = ipk_roster_leave(&ring->roster, roles);

	if (left & IPK_ROSTER_PRODUCER)
		ipk_broadcast_wake_readers(ring, entry);
	if (left & IPK_ROSTER_CONSUMER)
		ipk_broadcast_wake_writers(ring, entry);
}

void ipk_broadcast_close(struct ipk_broadcast *ring)
{
	struct ipk_broadcast_shm *shm = ring->shm;
	uint32_t roles = IPK_ROSTER_PRODUCER;

	/* relaxed: a call that is inside finishes on memory that stays mapped */
	if (atomic_exchange_explicit(&ring->closed, 1, memory_order_relaxed) || !shm)
		return;
	if (forked(ring))
		return; /* the roles are the parent's to give up */
	ipk_broadcast_abort(ring);
	/* threads of ours that wait; a writer's that waits for the lock comes out within a slice */
	ipk_futex_wake((uint32_t *)&shm->readers.sleepers.word, INT32_MAX, IPK_FUTEX_ANY);
	ipk_futex_wake((uint32_t *)&shm->writers.sleepers.word, INT32_MAX, IPK_FUTEX_ANY);
	wait_for_writers(ring);
	if (take_turn(ring)) {
		roles |= IPK_ROSTER_CONSUMER;
		leave(ring);
	}
	IPK_KILLPOINT("broadcast.close.alone");
	give_up(ring, roles);
}

void ipk_broadcast_unmap(struct ipk_broadcast *ring)
{
	if (!ring->shm)
		return;
	if (!forked(ring)) {
		ipk_lock_abandon(&ring->shm->lock, &ring->member); /* somebody unmapped amid a call: as if it had died */
		give_up(ring, IPK_ROSTER_ROLES);
	}
	ring->shm = NULL;
	ring->data = NULL;
	ipk_member_close(&ring->member);
	ipk_segment_close(&ring->segment);
}

void ipk_broadcast_forked(struct ipk_broadcast *ring)
{
	if (!ring->shm || !forked(ring))
		return;
	ipk_segment_forked(&ring->segment);
	ipk_member_forked(&ring->member);
	ipk_roster_forked(&ring->roster);
	/* relaxed, all: the child of a fork has one thread; a call of the parent's is not inside here */
	atomic_store_explicit(&ring->reader.turn, 0, memory_order_relaxed);
	atomic_store_explicit(&ring->reader.state, IPK_BROADCAST_STRANGER, memory_order_relaxed);
	atomic_store_explicit(&ring->writer.reserved, 0, memory_order_relaxed);
	ring->writer.amid = 0;
}

void *ipk_broadcast_data(struct ipk_broadcast *ring)
{
	return ring->data;
}

int ipk_broadcast_fd(const struct ipk_broadcast *ring)
{
	return ring->shm ? ring->segment.fd : -1;
}

void ipk_broadcast_set_spin(struct ipk_broadcast *ring, int64_t budget_ns)
{
	/* relaxed, both: about speed only */
	atomic_store_explicit(&ring->writer.spin.full_ns, budget_ns, memory_order_relaxed);
	atomic_store_explicit(&ring->reader.spin.full_ns, budget_ns, memory_order_relaxed);
}
