/* Views of a broadcast ring in scenes: of victims, and of those who go on. */
#ifndef IPCKIT_TESTS_BROADCAST_SCENE_H
#define IPCKIT_TESTS_BROADCAST_SCENE_H

#include <fcntl.h>
#include <string.h>

#include "check.h"
#include "ipckit/broadcast.h"

static inline void let_go_of(struct ipk_broadcast *view)
{
	ipk_broadcast_close(view);
	ipk_broadcast_unmap(view);
}

/* Another view of the ring, which never spins. */
static inline void attach_beside_ring(struct ipk_broadcast *view, struct ipk_broadcast *ring)
{
	memset(view, 0, sizeof(*view));
	CHECK_EQ(ipk_broadcast_attach(view, fcntl(ipk_broadcast_fd(ring), F_DUPFD_CLOEXEC, 3)), 0);
	ipk_broadcast_set_spin(view, 0);
}

/* Make the ring, which never spins, and be a reader of it. */
static inline void make_and_read(struct ipk_broadcast *ring, uint64_t capacity, uint32_t policy, uint32_t participants)
{
	memset(ring, 0, sizeof(*ring));
	CHECK_EQ(ipk_broadcast_create(ring, NULL, capacity, policy, participants, 0600), 0);
	ipk_broadcast_set_spin(ring, 0);
	CHECK_EQ(ipk_broadcast_subscribe(ring, 0), 0);
}

#endif
