/* How a ring and its views begin and end. */
#include "ipckit/mpmc.h"

#include <string.h>
#include <unistd.h>

#include "mpmc_view.h"

#define PRODUCER_SIDE 0
#define CONSUMER_SIDE 1

/* Where the data begins in the object. */
static uint64_t data_offset(uint32_t participants)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t end = offsetof(struct ipk_mpmc_shm, roster) + ipk_roster_size(participants);

	return (end + page - 1) / page * page;
}

static int valid(const struct ipk_mpmc_options *chosen)
{
	uint64_t capacity = chosen->capacity;

	return capacity >= IPK_MPMC_MIN_CAPACITY && capacity <= IPK_MPMC_MAX_CAPACITY && !(capacity & (capacity - 1)) &&
	       capacity % (uint64_t)sysconf(_SC_PAGESIZE) == 0 && ipk_roster_size(chosen->participants) > 0 &&
	       chosen->on_consumer_death <= IPK_MPMC_LOSE && chosen->on_consumer_gone <= IPK_MPMC_DROP &&
	       chosen->oversize <= IPK_MPMC_FILES;
}

/* Returns 0 or -errno; then the segment is closed. */
static int set_up(struct ipk_mpmc *ring, const struct ipk_mpmc_options *chosen)
{
	int rc = ipk_member_open(&ring->member, ring->segment.fd);

	if (rc < 0) {
		ipk_segment_close(&ring->segment);
		return rc;
	}
	ring->shm = (struct ipk_mpmc_shm *)(void *)(ring->segment.base + IPK_SEGMENT_HEADER);
	ring->data = ring->segment.base + IPK_SEGMENT_HEADER + data_offset(chosen->participants);
	ring->chosen = *chosen;
	ring->mask = (uint32_t)(chosen->capacity / UNIT) - 1;
	ipk_roster_init(&ring->roster, &ring->shm->roster, chosen->participants, &ring->member);
	ipk_mpmc_set_spin(ring, IPK_SPIN_DEFAULT_NS);
	return 0;
}

int ipk_mpmc_create(struct ipk_mpmc *ring, const char *path, const struct ipk_mpmc_options *options, uint32_t mode)
{
	struct ipk_mpmc_geometry_shm *geometry;
	int rc;

	if (!valid(options))
		return -EINVAL;
	rc = ipk_segment_create(&ring->segment, path, IPK_KIND_MPMC, 0, data_offset(options->participants) + options->capacity,
				options->capacity, mode);
	if (rc < 0 || (rc = set_up(ring, options)) < 0)
		return rc;
	geometry = &ring->shm->geometry;
	geometry->capacity = options->capacity;
	geometry->max_messages = options->max_messages;
	geometry->participants = options->participants;
	geometry->on_consumer_death = options->on_consumer_death;
	geometry->on_consumer_gone = options->on_consumer_gone;
	geometry->oversize = options->oversize;
	rc = ipk_segment_publish(&ring->segment, path);
	if (rc < 0)
		ipk_mpmc_unmap(ring);
	return rc;
}

int ipk_mpmc_read_geometry(int fd, uint64_t size, struct ipk_mpmc_options *chosen)
{
	struct ipk_mpmc_geometry_shm geometry;
	ssize_t got = pread(fd, &geometry, sizeof(geometry), IPK_SEGMENT_HEADER);

	if (got != (ssize_t)sizeof(geometry))
		return got < 0 ? -errno : -EPROTO;
	*chosen = (struct ipk_mpmc_options){geometry.capacity, geometry.max_messages, geometry.participants,
					    geometry.on_consumer_death, geometry.on_consumer_gone, geometry.oversize, 0};
	return valid(chosen) && size == IPK_SEGMENT_HEADER + data_offset(chosen->participants) + chosen->capacity ? 0 : -EPROTO;
}

int ipk_mpmc_attach(struct ipk_mpmc *ring, int fd)
{
	struct ipk_mpmc_options chosen = {0};
	struct ipk_segment_info info;
	int rc = ipk_segment_inspect(fd, &info);

	if (rc == 0 && (info.magic != IPK_SEGMENT_MAGIC || info.kind != IPK_KIND_MPMC))
		rc = -EPROTO;
	if (rc == 0)
		rc = ipk_mpmc_read_geometry(fd, info.size, &chosen);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	rc = ipk_segment_attach(&ring->segment, fd, IPK_KIND_MPMC, 0, data_offset(chosen.participants));
	return rc < 0 ? rc : set_up(ring, &chosen);
}

/* Under the lock nobody of us commits or takes anything: what we did, we had done before the others see us leave. */
static void leave(struct ipk_mpmc *ring, uint32_t role, struct ipk_lock_shm *lock, struct ipk_mpmc_side *side)
{
	int rc;

	if (!ipk_roster_own(&ring->roster, role))
		return;
	rc = ipk_mpmc_lock_wait(ring, lock, &side->lock_spin, ipk_monotonic_ns() + IPK_SLICE_NS);
	ipk_roster_leave(&ring->roster, role);
	if (rc == 0)
		unlock(ring, lock);
	IPK_KILLPOINT("mpmc.close.left");
}

static void give_up_roles(struct ipk_mpmc *ring)
{
	struct ipk_mpmc_shm *shm = ring->shm;

	leave(ring, IPK_ROSTER_PRODUCER, &shm->send.lock, &ring->side[PRODUCER_SIDE]);
	leave(ring, IPK_ROSTER_CONSUMER, &shm->receive.lock, &ring->side[CONSUMER_SIDE]);
	ipk_sleepers_wake_all(&shm->messages.sleepers);
	IPK_KILLPOINT("mpmc.close.told");
	ipk_sleepers_wake_all(&shm->room.sleepers);
}

void ipk_mpmc_close(struct ipk_mpmc *ring)
{
	/* seq_cst: mpmc.news, for the waiters of our own view */
	if (!atomic_exchange_explicit(&ring->closed, 1, memory_order_seq_cst) && ring->shm)
		give_up_roles(ring);
}

void ipk_mpmc_unmap(struct ipk_mpmc *ring)
{
	if (!ring->shm)
		return;
	ipk_mpmc_close(ring);
	if (ipk_roster_own(&ring->roster, 0))
		give_up_roles(ring); /* a call that was inside at the close has taken one since */
	ring->shm = NULL;
	ring->data = NULL;
	memset(&ring->chosen, 0, sizeof(ring->chosen));
	ipk_member_close(&ring->member);
	ipk_segment_close(&ring->segment);
}

void ipk_mpmc_forked(struct ipk_mpmc *ring)
{
	if (!ring->shm)
		return;
	ipk_segment_forked(&ring->segment);
	ipk_member_forked(&ring->member);
	ipk_roster_forked(&ring->roster);
}

int ipk_mpmc_claim_role(struct ipk_mpmc *ring, uint32_t role, struct ipk_roster_entry_shm **entry)
{
	int rc;

	/* relaxed: only fork zeroes it, and the child sees all that came before */
	if (!atomic_load_explicit(ring->segment.same_process, memory_order_relaxed))
		ipk_mpmc_forked(ring);
	do
		rc = ipk_roster_claim(&ring->roster, role, 0, entry);
	while (rc == -EAGAIN); /* another thread of ours came in between */
	return rc;
}

int ipk_mpmc_join(struct ipk_mpmc *ring, uint32_t roles)
{
	struct ipk_roster_entry_shm *entry;

	if (roles & ~(uint32_t)IPK_ROSTER_ROLES)
		return -EINVAL;
	return enter(ring, roles, &entry);
}

void *ipk_mpmc_data(struct ipk_mpmc *ring)
{
	return ring->data;
}

void ipk_mpmc_chosen(const struct ipk_mpmc *ring, struct ipk_mpmc_options *options)
{
	*options = ring->chosen;
}

int ipk_mpmc_fd(const struct ipk_mpmc *ring)
{
	return ring->shm ? ring->segment.fd : -1;
}

void ipk_mpmc_set_spin(struct ipk_mpmc *ring, int64_t budget_ns)
{
	for (int side = PRODUCER_SIDE; side <= CONSUMER_SIDE; side++) {
		/* relaxed: about speed only */
		atomic_store_explicit(&ring->side[side].spin.full_ns, budget_ns, memory_order_relaxed);
		atomic_store_explicit(&ring->side[side].lock_spin.full_ns, budget_ns, memory_order_relaxed);
	}
}
