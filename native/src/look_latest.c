/* A look at the newest value: its own functions, on a copy of what lies before the buffers. */
#include <errno.h>
#include <string.h>

#include "latest_view.h"
#include "look_parts.h"

/* The header of the newest value; zero if it was overwritten meanwhile. */
static void newest(const struct ipk_look *look, const struct ipk_latest *latest, struct ipk_latest_stat *stat)
{
	struct {
		uint64_t sequence, length;
		int64_t written_ns;
	} found;
	uint64_t at = IPK_LATEST_BUFFERS + stat->sequence % latest->count * latest->stride;

	if (ipk_look_fetch(look, at, &found, sizeof(found)) != (int64_t)sizeof(found) || found.sequence != stat->sequence ||
	    found.length > latest->max_size)
		return;
	stat->length = found.length;
	stat->written_ns = found.written_ns;
}

int ipk_look_latest(struct ipk_look *look, struct ipk_latest_stat *stat)
{
	struct ipk_latest_shm *shm = ipk_look_copy(look);
	struct ipk_latest latest;
	int rc = ipk_look_head(look, sizeof(*shm));

	if (rc < 0)
		return rc;
	if (!ipk_latest_valid(shm->geometry.max_size, shm->geometry.buffers) ||
	    look->size != IPK_SEGMENT_HEADER + IPK_LATEST_BUFFERS + shm->geometry.buffers * ipk_latest_stride(shm->geometry.max_size))
		return -EPROTO;
	memset(&latest, 0, sizeof(latest));
	latest.shm = shm;
	latest.segment.fd = -1;
	latest.max_size = shm->geometry.max_size;
	latest.count = shm->geometry.buffers;
	latest.stride = ipk_latest_stride(latest.max_size);
	latest.closed = 1; /* the buffers are not here */
	look->kind = IPK_KIND_LATEST;
	rc = ipk_latest_stat(&latest, stat);
	/* relaxed: in a copy of our own */
	stat->sequence = atomic_load_explicit(&shm->index.sequence, memory_order_relaxed);
	if (stat->sequence)
		newest(look, &latest, stat);
	look->end[IPK_LOOK_PRODUCER] = stat->state;
	return rc;
}
