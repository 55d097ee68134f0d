/* A look at a ring from one to one: its own functions, on a copy of what lies before the data. */
#include <errno.h>
#include <string.h>

#include "look_parts.h"
#include "spsc_side.h"

int ipk_look_spsc(struct ipk_look *look, struct ipk_spsc_stat *stat)
{
	struct ipk_spsc_shm *shm = ipk_look_copy(look);
	struct ipk_spsc ring;
	int rc = ipk_look_head(look, sizeof(*shm));

	if (rc < 0)
		return rc;
	if (shm->layout != IPK_SPSC_LAYOUT || !ipk_spsc_valid(shm->capacity, shm->options) ||
	    look->size != IPK_SEGMENT_HEADER + IPK_SPSC_DATA + shm->capacity)
		return -EPROTO;
	memset(&ring, 0, sizeof(ring));
	ring.shm = shm;
	ring.capacity = shm->capacity;
	ring.options = shm->options;
	look->kind = IPK_KIND_SPSC;
	rc = ipk_spsc_stat(&ring, stat);
	look->oldest = stat->head;
	look->end[IPK_LOOK_PRODUCER] = stat->producer_state;
	look->end[IPK_LOOK_CONSUMER] = stat->consumer_state;
	return rc;
}
