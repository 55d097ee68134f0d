#include "ipckit/sync.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "ipckit/atomic.h"
#include "ipckit/barrier.h"
#include "ipckit/condition.h"
#include "ipckit/event.h"
#include "ipckit/event_pair.h"
#include "ipckit/futex.h"
#include "ipckit/latch.h"
#include "ipckit/mutex.h"
#include "ipckit/once.h"
#include "ipckit/rwlock.h"
#include "ipckit/semaphore.h"
#include "ipckit/tracked_semaphore.h"

#define BEGIN_TURNS 64

/* "ipks" or "ipkm" in the upper half; below it kind and version, or the maker's id. */
#define OBJECT UINT64_C(0x69706b73)
#define MAKING UINT64_C(0x69706b6d)

static uint64_t object_magic(uint32_t kind)
{
	return OBJECT << 32 | (uint64_t)kind << 16 | IPK_SYNC_VERSION;
}

uint64_t ipk_sync_size(uint32_t kind, uint32_t count)
{
	switch (kind) {
	case IPK_SYNC_MUTEX:
		return IPK_MUTEX_SIZE;
	case IPK_SYNC_RWLOCK:
	case IPK_SYNC_TRACKED_SEMAPHORE:
		return ipk_holders_size(count);
	case IPK_SYNC_SEMAPHORE:
		return IPK_SEMAPHORE_SIZE;
	case IPK_SYNC_EVENT:
		return IPK_EVENT_SIZE;
	case IPK_SYNC_EVENT_PAIR:
		return IPK_EVENT_PAIR_SIZE;
	case IPK_SYNC_FUTEX:
		return IPK_FUTEX_SIZE;
	case IPK_SYNC_CONDITION:
		return count - 1 < IPK_CONDITION_MAX_WAITERS
			       ? sizeof(struct ipk_condition_shm) + sizeof(struct ipk_condition_slot) * (uint64_t)count
			       : 0;
	case IPK_SYNC_BARRIER:
		return count - 1 < IPK_BARRIER_MAX_PARTIES
			       ? sizeof(struct ipk_barrier_shm) + 2 * sizeof(struct ipk_barrier_party) * (uint64_t)count
			       : 0;
	case IPK_SYNC_LATCH:
		return IPK_LATCH_SIZE;
	case IPK_SYNC_ONCE:
		return IPK_ONCE_SIZE;
	case IPK_SYNC_ATOMIC_INT64:
	case IPK_SYNC_ATOMIC_UINT64:
		return IPK_ATOMIC_SIZE;
	default:
		return 0;
	}
}

/* What the magic says: 0: an object; -ENOENT, -EAGAIN, -ENOMSG as ipk_sync_inspect. */
static int judge(uint64_t magic, const struct ipk_member *member)
{
	int rc;

	if (magic == 0)
		return -ENOENT;
	if (magic >> 32 == OBJECT)
		return 0;
	if (magic >> 32 != MAKING)
		return -ENOMSG;
	rc = ipk_member_locked(member, (uint32_t)magic & IPK_MEMBER_ID_MASK);
	return rc < 0 ? rc : rc ? -EAGAIN : -ENOENT;
}

int ipk_sync_begin(void *place, struct ipk_member *member, uint64_t size)
{
	struct ipk_sync_shm *object = place;
	int64_t id = ipk_member_join(member);
	uint64_t magic;
	int rc;

	if (id < 0)
		return (int)id;
	/* acquire: sync.ready, or what a dead maker did */
	magic = atomic_load_explicit(&object->magic, memory_order_acquire);
	for (int turn = 0;; turn++) {
		rc = judge(magic, member);
		if (rc != -ENOENT)
			return rc == 0 ? -EEXIST : rc == -ENOMSG ? -ENOTEMPTY : rc;
		/* acquire, both: as above */
		if (atomic_compare_exchange_strong_explicit(&object->magic, &magic, MAKING << 32 | (uint64_t)id,
							    memory_order_acquire, memory_order_acquire))
			break;
		if (turn == BEGIN_TURNS)
			return -EAGAIN; /* maker after maker, each dead at once: somebody plays with us */
	}
	IPK_KILLPOINT("sync.begin.begun");
	/* a dead maker may have left something */
	memset((unsigned char *)place + sizeof(*object), 0, size - sizeof(*object));
	return 0;
}

int ipk_sync_publish(void *place, struct ipk_member *member, uint32_t kind, uint32_t options, uint32_t count, uint32_t size)
{
	struct ipk_sync_shm *object = place;

	object->device = member->device;
	object->inode = member->inode;
	object->size = size;
	object->options = options;
	object->count = count;
	if (getrandom(object->id, sizeof(object->id), 0) != (ssize_t)sizeof(object->id))
		return -errno;
	IPK_KILLPOINT("sync.publish.formatted");
	/* release: sync.ready */
	atomic_store_explicit(&object->magic, object_magic(kind), memory_order_release);
	return 0;
}

int ipk_sync_inspect(const void *place, const struct ipk_member *member, struct ipk_sync_info *info)
{
	const struct ipk_sync_shm *object = place;
	int rc;

	memset(info, 0, sizeof(*info));
	/* acquire: sync.ready */
	info->magic = atomic_load_explicit(&object->magic, memory_order_acquire);
	rc = judge(info->magic, member);
	if (rc < 0)
		return rc;
	info->kind = (uint32_t)(info->magic >> 16) & 0xFFFF;
	info->version = (uint32_t)info->magic & 0xFFFF;
	info->id[0] = object->id[0];
	info->id[1] = object->id[1];
	info->size = object->size;
	info->options = object->options;
	info->count = object->count;
	return 0;
}

int ipk_sync_attach(struct ipk_sync *view, void *place, uint64_t room, struct ipk_member *member, uint32_t kind)
{
	const struct ipk_sync_shm *object = place;
	struct ipk_sync_info info;
	int rc;

	if (room < sizeof(*object))
		return -ENOMSG;
	rc = ipk_sync_inspect(place, member, &info);
	if (rc < 0)
		return rc;
	if (info.kind != kind || info.version != IPK_SYNC_VERSION || info.size > room || info.size == 0 ||
	    info.size != ipk_sync_size(kind, info.count))
		return -EPROTO;
	if (object->device != member->device || object->inode != member->inode)
		return -EXDEV;
	view->object = place;
	view->member = member;
	view->options = info.options;
	view->count = info.count;
	ipk_sync_set_spin(view, IPK_SPIN_DEFAULT_NS);
	return 0;
}

void *ipk_sync_place(const struct ipk_sync *view)
{
	return view->object;
}

void ipk_sync_set_spin(struct ipk_sync *view, int64_t budget_ns)
{
	/* relaxed: about speed only */
	atomic_store_explicit(&view->spin.full_ns, budget_ns, memory_order_relaxed);
}
