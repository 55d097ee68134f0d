/* What the parts of look.h share. Private to src/. */
#ifndef IPCKIT_SRC_LOOK_PARTS_H
#define IPCKIT_SRC_LOOK_PARTS_H

#include "ipckit/look.h"

_Static_assert(offsetof(struct ipk_participant_shm, pid) == offsetof(struct ipk_participant_info, pid) &&
		       offsetof(struct ipk_participant_shm, start_time) == offsetof(struct ipk_participant_info, start_time) &&
		       offsetof(struct ipk_participant_shm, pid_namespace) == offsetof(struct ipk_participant_info, pid_namespace),
	       "what is told of a participant begins its slot");

/* Where the copy begins: objects are aligned to a line. */
void *ipk_look_copy(struct ipk_look *look);

/* Copy the first `size` bytes of the object there. Returns 0, -EPROTO if there are fewer, -errno. */
int ipk_look_head(struct ipk_look *look, uint64_t size);

/* Begin to use the roster, which is in the copy as a whole. */
void ipk_look_roster(struct ipk_look *look, struct ipk_roster_shm *shm, uint32_t participants);

/* Copy `size` bytes from `offset` of the object on. Returns how many there were, -errno. */
int64_t ipk_look_fetch(const struct ipk_look *look, uint64_t offset, void *into, uint64_t size);

/* As ipk_look_participant, of an object of synchronisation. */
int ipk_look_sync_participant(const struct ipk_look *look, uint32_t index, struct ipk_look_participant *who);

#endif
