#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipckit/base.h"
#include "ipckit/segment.h"
#include "identity.h"
#include "one_thread.h"
#include "participant.h"
#include "path.h"

/* Slots have the bytes from IPK_LIFE_BYTE on. */
static int lock_byte(int fd, int command, int type, uint32_t slot, struct flock *lock)
{
	return ipk_identity_lock(fd, command, type, slot, lock);
}

static void read_record(const struct ipk_participant_shm *slot, struct ipk_participant_info *who)
{
	/* relaxed, all three: a record torn by a concurrent claim names nobody, or its claimant holds the lock */
	who->pid = atomic_load_explicit(&slot->pid, memory_order_relaxed);
	who->start_time = atomic_load_explicit(&slot->start_time, memory_order_relaxed);
	who->pid_namespace = atomic_load_explicit(&slot->pid_namespace, memory_order_relaxed);
}

static void write_record(struct ipk_participant_shm *slot, const struct ipk_participant_info *who)
{
	/* relaxed, all three: the lock is what others believe; the record only adds to it */
	atomic_store_explicit(&slot->pid, who->pid, memory_order_relaxed);
	atomic_store_explicit(&slot->start_time, who->start_time, memory_order_relaxed);
	atomic_store_explicit(&slot->pid_namespace, who->pid_namespace, memory_order_relaxed);
}

static int open_description(struct ipk_segment *segment)
{
	char self[IPK_PATH_SIZE];
	int rc;

	if (!ipk_segment_owns(segment, segment->fd))
		return -EBADF;
	/* opened anew, not duplicated: a duplicate would share the lock with whoever has the descriptor */
	ipk_path_of_fd(self, segment->fd);
	segment->life_fd = open(self, O_RDWR | O_CLOEXEC);
	if (segment->life_fd < 0)
		return -errno;
	rc = ipk_identity_self(&segment->self);
	if (rc < 0) {
		close(segment->life_fd);
		segment->life_fd = -1;
	}
	return rc;
}

static int claim(struct ipk_segment *segment, uint32_t slot)
{
	struct ipk_participant_shm *record = &ipk_segment_header(segment)->participant[slot];
	struct ipk_participant_info before;
	struct flock lock;
	int rc;

	if (segment->life_fd < 0 && (rc = open_description(segment)) < 0)
		return rc;
	rc = lock_byte(segment->life_fd, F_OFD_SETLK, F_WRLCK, slot, &lock);
	if (rc < 0)
		return rc == -EAGAIN || rc == -EACCES ? -EBUSY : rc;
	IPK_KILLPOINT("participant.claim.locked");
	read_record(record, &before);
	/* A live process whose descriptors were closed keeps its slot. Our own record is an image before execve(2). */
	if (!ipk_identity_same(&before, &segment->self) && ipk_identity_runs(&before)) {
		lock_byte(segment->life_fd, F_OFD_SETLK, F_UNLCK, slot, &lock);
		return -EBUSY;
	}
	write_record(record, &segment->self);
	/* relaxed: read by the thread that deals with this slot, which is ours */
	atomic_fetch_or_explicit(&segment->claimed, UINT64_C(1) << slot, memory_order_relaxed);
	IPK_KILLPOINT("participant.claim.recorded");
	return 0;
}

static void disclaim(struct ipk_segment *segment, uint32_t slot)
{
	/* relaxed: as in claim */
	atomic_fetch_and_explicit(&segment->claimed, ~(UINT64_C(1) << slot), memory_order_relaxed);
}

/* Without descriptors a slot is ours for as long as its record says so. Returns 0 or -EBUSY. */
static int renew_by_record(struct ipk_segment *segment, uint32_t slot)
{
	struct ipk_participant_info who;

	read_record(&ipk_segment_header(segment)->participant[slot], &who);
	return ipk_identity_same(&who, &segment->self) ? 0 : -EBUSY;
}

static int renew(struct ipk_segment *segment)
{
	int blind = 0;
	int rc = 0;

	if (ipk_segment_owns(segment, segment->life_fd))
		return 0;
	segment->life_fd = -1;
	blind = !ipk_segment_owns(segment, segment->fd);
	for (uint32_t slot = 0; slot < IPK_PARTICIPANTS_MAX; slot++) {
		if (!ipk_segment_holds(segment, slot))
			continue;
		if ((blind ? renew_by_record(segment, slot) : claim(segment, slot)) < 0) {
			disclaim(segment, slot);
			rc = -EBUSY;
		}
	}
	return blind ? -EBADF : rc;
}

int ipk_participant_claim(struct ipk_segment *segment, uint32_t slot)
{
	int rc = one_thread_begin(&segment->claimant); /* the slots of a view share a description */

	if (rc < 0)
		return rc;
	/* its number may be a stranger's by now; who has lost another slot with it is told when its own slice is over */
	if (segment->life_fd >= 0 && renew(segment) == -EBADF)
		rc = -EBADF;
	else
		rc = claim(segment, slot);
	one_thread_end(&segment->claimant);
	return rc;
}

int ipk_participant_renew(struct ipk_segment *segment)
{
	int rc;

	/* relaxed: a slot that another thread claims at this moment is not the caller's */
	if (atomic_load_explicit(&segment->claimed, memory_order_relaxed) == 0)
		return 0;
	rc = one_thread_begin(&segment->claimant);
	if (rc < 0)
		return 0; /* a signal handler inside a claim: the claim sees to it */
	rc = renew(segment);
	one_thread_end(&segment->claimant);
	return rc;
}

void ipk_participant_release(struct ipk_segment *segment, uint32_t slot)
{
	static const struct ipk_participant_info nobody;
	struct flock lock;

	if (!ipk_segment_holds(segment, slot) || one_thread_begin(&segment->claimant) < 0)
		return;
	write_record(&ipk_segment_header(segment)->participant[slot], &nobody);
	IPK_KILLPOINT("participant.release.cleared");
	disclaim(segment, slot);
	if (ipk_segment_owns(segment, segment->life_fd))
		lock_byte(segment->life_fd, F_OFD_SETLK, F_UNLCK, slot, &lock);
	one_thread_end(&segment->claimant);
}

/* F_OFD_GETLK through fd sees every lock but those of fd's own description. */
static int alive(int fd, const struct ipk_participant_info *who, uint32_t slot)
{
	struct flock lock;
	int rc = lock_byte(fd, F_OFD_GETLK, F_WRLCK, slot, &lock);

	if (rc < 0)
		return rc;
	return lock.l_type != F_UNLCK || ipk_identity_runs(who);
}

int ipk_participant_alive(const struct ipk_segment *segment, uint32_t slot)
{
	struct ipk_participant_info who;

	read_record(&ipk_segment_header(segment)->participant[slot], &who);
	return alive(segment->fd, &who, slot);
}

int ipk_segment_participant(int fd, uint32_t slot, struct ipk_participant_info *who)
{
	struct ipk_segment_info info;
	struct ipk_segment_shm *header;
	int rc = ipk_segment_inspect(fd, &info);

	memset(who, 0, sizeof(*who));
	if (rc < 0)
		return rc;
	if (slot >= info.participants || info.participants > IPK_PARTICIPANTS_MAX)
		return -EINVAL;
	header = mmap(NULL, IPK_SEGMENT_HEADER, PROT_READ, MAP_SHARED, fd, 0);
	if (header == MAP_FAILED)
		return -errno;
	read_record(&header->participant[slot], who);
	munmap(header, IPK_SEGMENT_HEADER);
	return alive(fd, who, slot);
}

int ipk_segment_runs(const struct ipk_participant_info *who)
{
	return ipk_identity_runs(who);
}
