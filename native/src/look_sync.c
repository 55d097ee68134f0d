/* A look at an object of synchronisation: its own functions, on a copy of it. */
#include <errno.h>
#include <string.h>

#include "event_word.h"
#include "ipckit/atomic.h"
#include "ipckit/barrier.h"
#include "ipckit/event_pair.h"
#include "ipckit/futex.h"
#include "ipckit/latch.h"
#include "ipckit/mutex_pi.h"
#include "ipckit/once.h"
#include "ipckit/rwlock.h"
#include "ipckit/semaphore.h"
#include "ipckit/tracked_semaphore.h"
#include "look_parts.h"

#define WAITERS IPK_LOCK_WAITERS /* the same bit in the words of all kinds */

static uint32_t load(const _Atomic uint32_t *word)
{
	/* relaxed: in a copy of our own */
	return atomic_load_explicit(word, memory_order_relaxed);
}

static const struct ipk_lock_shm *lock_of(const struct ipk_sync *view)
{
	return &((const struct ipk_mutex_shm *)(const void *)view->object)->lock;
}

/* The word of the kinds that have it right behind the header. */
static uint32_t word_of(const struct ipk_sync *view)
{
	return load(&((const struct ipk_latch_shm *)(const void *)view->object)->word);
}

static uint32_t flags_of_mutex(const struct ipk_sync *view)
{
	const struct ipk_mutex_pi_shm *pi = (const void *)view->object;
	uint32_t flags;

	if (!ipk_mutex_pi_inherits(view))
		return load(&lock_of(view)->word) & (WAITERS | IPK_LOCK_DIED | IPK_LOCK_LOST);
	flags = load(&pi->word) & (WAITERS | IPK_LOCK_DIED); /* the kernel's bits, which are the same */
	return flags | (load(&pi->state) & IPK_MUTEX_PI_DIED ? IPK_LOCK_DIED : 0) |
	       (load(&pi->state) & IPK_MUTEX_PI_LOST ? IPK_LOCK_LOST : 0);
}

static void look_at_rwlock(const struct ipk_sync *view, struct ipk_look_state *state)
{
	const struct ipk_rwlock_shm *rw = (const void *)view->object;
	uint32_t used = ipk_holders_used(view);

	state->flags = (load(&rw->gate) | load(&rw->lock.word)) & (WAITERS | IPK_LOCK_DIED | IPK_LOCK_LOST);
	for (uint32_t i = 0; i < used; i++)
		state->waiting += load(&ipk_holders_entry(view, i)->waiting) != 0;
}

static uint64_t side_of_pair(const struct ipk_sync *view, uint32_t side)
{
	return load(&((const struct ipk_event_pair_shm *)(const void *)view->object)->side[side].word) & IPK_EVENT_SET;
}

static void look_at(struct ipk_sync *view, uint32_t kind, struct ipk_look_state *state)
{
	switch (kind) {
	case IPK_SYNC_MUTEX:
	case IPK_SYNC_ONCE:
		state->flags = flags_of_mutex(view);
		break;
	case IPK_SYNC_RWLOCK:
		look_at_rwlock(view, state);
		break;
	case IPK_SYNC_CONDITION:
		state->waiting = ipk_condition_waiters(view);
		break;
	case IPK_SYNC_SEMAPHORE:
		state->value = (uint64_t)ipk_semaphore_value(view);
		state->limit = ((const struct ipk_semaphore_shm *)(const void *)view->object)->limit;
		state->flags = word_of(view) & WAITERS;
		break;
	case IPK_SYNC_TRACKED_SEMAPHORE:
		state->value = (uint64_t)ipk_tracked_semaphore_value(view);
		state->limit = ((const struct ipk_tracked_semaphore_shm *)(const void *)view->object)->limit;
		state->flags = load(&((const struct ipk_tracked_semaphore_shm *)(const void *)view->object)->word) & WAITERS;
		break;
	case IPK_SYNC_EVENT:
		state->value = word_of(view) & IPK_EVENT_SET;
		state->flags = word_of(view) & WAITERS;
		break;
	case IPK_SYNC_EVENT_PAIR:
		state->value = side_of_pair(view, IPK_EVENT_PAIR_LOW) | side_of_pair(view, IPK_EVENT_PAIR_HIGH) << 1;
		break;
	case IPK_SYNC_BARRIER:
		state->waiting = ipk_barrier_waiting(view);
		state->flags = ipk_barrier_broken(view) ? IPK_LOOK_BROKEN : 0;
		break;
	case IPK_SYNC_LATCH:
		state->value = ipk_latch_count(view);
		state->flags = word_of(view) & WAITERS;
		break;
	case IPK_SYNC_ATOMIC_INT64:
	case IPK_SYNC_ATOMIC_UINT64:
		state->value = ipk_atomic_load(view);
		break;
	case IPK_SYNC_FUTEX:
		state->value = *ipk_futex_word(view);
		break;
	default:
		break;
	}
}

int ipk_look_sync(struct ipk_look *look, struct ipk_sync_info *info, struct ipk_look_state *state)
{
	unsigned char *copy = ipk_look_copy(look);
	int64_t got = ipk_look_fetch(look, 0, copy, IPK_LOOK_ROOM);
	int rc;

	memset(state, 0, sizeof(*state));
	memset(info, 0, sizeof(*info));
	if (got < (int64_t)sizeof(struct ipk_sync_shm))
		return got < 0 ? (int)got : -EPROTO;
	rc = ipk_sync_inspect(copy, &look->member, info);
	if (rc < 0)
		return -EPROTO; /* a segment gets its name when its object is complete */
	memset(&look->view, 0, sizeof(look->view));
	memset(&look->mutex, 0, sizeof(look->mutex));
	rc = ipk_sync_attach(&look->view, copy, (uint64_t)got, &look->member, info->kind);
	if (rc < 0)
		return rc;
	if (info->kind == IPK_SYNC_CONDITION)
		/* where it was made for another mutex, there is none */
		ipk_sync_attach(&look->mutex, copy + IPK_CONDITION_MUTEX, IPK_MUTEX_SIZE, &look->member, IPK_SYNC_MUTEX);
	look->sync = info->kind;
	look->kind = IPK_KIND_SYNC;
	look_at(&look->view, info->kind, state);
	return 0;
}

static int owner(const struct ipk_sync *view, struct ipk_look_participant *who)
{
	struct ipk_mutex_owner found;
	int rc;

	if (!view->object || ipk_mutex_owner(view, &found) == 0)
		return 0;
	rc = ipk_mutex_pi_check(view); /* thread ids of another pid namespace tell us nothing */
	*who = (struct ipk_look_participant){.pid = found.pid, .start_time = found.start_time,
					     .pid_namespace = found.pid_namespace, .role = IPK_LOOK_OWNER, .count = found.depth,
					     .thread = found.thread, .lives = rc < 0 ? rc : ipk_mutex_lives(view, found.word)};
	return 1;
}

static int holder(const struct ipk_sync *view, uint32_t index, uint32_t role, struct ipk_look_participant *who)
{
	struct ipk_holder_info found;
	int rc = ipk_holders_get(view, index, &found);

	if (rc != 1)
		return rc;
	*who = (struct ipk_look_participant){.pid = found.pid, .start_time = found.start_time,
					     .pid_namespace = found.pid_namespace, .role = role, .count = found.count,
					     .lives = (int32_t)found.lives};
	return 1;
}

/* What who(view, index, ...) tells of one who waits. */
static int waiter(const struct ipk_sync *view, uint32_t index, uint32_t role,
		  int (*tell)(const struct ipk_sync *, uint32_t, struct ipk_participant_info *, int32_t *),
		  struct ipk_look_participant *who)
{
	struct ipk_participant_info found;
	int32_t lives;
	int rc = tell(view, index, &found, &lives);

	if (rc != 1)
		return rc;
	*who = (struct ipk_look_participant){.pid = found.pid, .start_time = found.start_time,
					     .pid_namespace = found.pid_namespace, .role = role, .lives = lives};
	return 1;
}

int ipk_look_sync_participant(const struct ipk_look *look, uint32_t index, struct ipk_look_participant *who)
{
	const struct ipk_sync *view = &look->view;

	switch (look->sync) {
	case IPK_SYNC_MUTEX:
	case IPK_SYNC_ONCE:
		return index == 0 ? owner(view, who) : -ENOENT;
	case IPK_SYNC_RWLOCK:
		return index == 0 ? owner(view, who) : holder(view, index - 1, IPK_LOOK_READER, who);
	case IPK_SYNC_CONDITION:
		return index == 0 ? owner(&look->mutex, who) : waiter(view, index - 1, IPK_LOOK_WAITER, ipk_condition_waiter, who);
	case IPK_SYNC_TRACKED_SEMAPHORE:
		return holder(view, index, IPK_LOOK_HOLDER, who);
	case IPK_SYNC_BARRIER:
		return waiter(view, index, IPK_LOOK_PARTY, ipk_barrier_party, who);
	default:
		return -ENOENT;
	}
}
