/* A look at a ring from many to many: its own functions, on a copy of what lies before the data. */
#include <errno.h>
#include <string.h>

#include "look_parts.h"
#include "mpmc_view.h"

int ipk_look_mpmc(struct ipk_look *look, struct ipk_mpmc_stat *stat, struct ipk_mpmc_options *chosen)
{
	struct ipk_mpmc_shm *shm = ipk_look_copy(look);
	struct ipk_mpmc ring;
	int rc = ipk_mpmc_read_geometry(look->member.fd, look->size, chosen);

	if (rc == 0)
		rc = ipk_look_head(look, offsetof(struct ipk_mpmc_shm, roster) + ipk_roster_size(chosen->participants));
	if (rc < 0)
		return rc;
	ipk_look_roster(look, &shm->roster, chosen->participants);
	memset(&ring, 0, sizeof(ring));
	ring.shm = shm;
	ring.chosen = *chosen;
	ring.mask = (uint32_t)(chosen->capacity / UNIT) - 1;
	ipk_roster_init(&ring.roster, &shm->roster, chosen->participants, &look->member);
	/* relaxed: in a copy of our own */
	look->oldest = atomic_load_explicit(&shm->free.place, memory_order_relaxed);
	look->kind = IPK_KIND_MPMC;
	return ipk_mpmc_stat(&ring, stat);
}
