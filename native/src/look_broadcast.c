/* A look at a ring whose readers see all messages: its own functions, on a copy of what lies before the data. */
#include <errno.h>
#include <string.h>

#include "broadcast_side.h"
#include "look_parts.h"

/* How many messages the reader that is the furthest behind has still to receive. */
static uint64_t depth(const struct ipk_look *look, const struct ipk_broadcast *ring, const struct ipk_broadcast_geometry *geometry)
{
	uint64_t record[2], waiting;
	uint64_t cursor = ipk_broadcast_last_cursor(ring, look->tail, NULL);
	uint64_t offset;

	if (before(cursor, look->oldest))
		cursor = look->oldest;
	if (!before(cursor, look->tail))
		return 0;
	offset = ipk_broadcast_data_offset(geometry->participants) + (cursor & (geometry->capacity - 1) & ~UINT64_C(7));
	if (ipk_look_fetch(look, offset, record, sizeof(record)) != (int64_t)sizeof(record))
		return 0;
	/* relaxed: in a copy of our own */
	waiting = atomic_load_explicit(&ring->shm->tail.messages, memory_order_relaxed) - record[1];
	return waiting <= geometry->capacity / IPK_BROADCAST_RECORD_HEADER ? waiting : 0; /* overwritten meanwhile, or garbage */
}

int ipk_look_broadcast(struct ipk_look *look, struct ipk_broadcast_stat *stat)
{
	struct ipk_broadcast_shm *shm = ipk_look_copy(look);
	struct ipk_broadcast_geometry geometry;
	struct ipk_broadcast ring;
	int rc = ipk_broadcast_read_geometry(look->member.fd, &geometry);

	if (rc == 0 &&
	    look->size != IPK_SEGMENT_HEADER + ipk_broadcast_data_offset(geometry.participants) + geometry.capacity)
		rc = -EPROTO;
	if (rc == 0)
		rc = ipk_look_head(look, offsetof(struct ipk_broadcast_shm, roster) + ipk_roster_size(geometry.participants));
	if (rc < 0)
		return rc;
	ipk_look_roster(look, &shm->roster, geometry.participants);
	memset(&ring, 0, sizeof(ring));
	ring.shm = shm;
	ring.capacity = geometry.capacity;
	ring.oversize = geometry.policy & (IPK_BROADCAST_PARTS | IPK_BROADCAST_FILES);
	ring.policy = geometry.policy - ring.oversize;
	ipk_roster_init(&ring.roster, &shm->roster, geometry.participants, &look->member);
	/* relaxed, both: in a copy of our own */
	look->tail = atomic_load_explicit(&shm->tail.position, memory_order_relaxed);
	look->oldest = atomic_load_explicit(&shm->oldest.position, memory_order_relaxed);
	look->policy = ring.policy;
	look->kind = IPK_KIND_BROADCAST;
	rc = ipk_broadcast_stat(&ring, stat);
	stat->depth = depth(look, &ring, &geometry);
	return rc;
}
