/* A table in an object: how much of it each handle holds, and which process that is. The readers of an RWLock, the permits of a
 * TrackedSemaphore.
 *
 * A view claims an entry at its first use, and keeps it until it lets go or its process dies; then the entry is
 * anybody's. What a dead member held goes in one compare-and-exchange of the entry's word:
 *
 *   word  63        32 31     0
 *        | member id  | count  |      0: free
 *
 * Each entry has a line of its own, so that processes which take and give at the same time do not slow each other
 * down. Nobody but its own view changes the count of a live member's entry.
 *
 *   192     256
 *   | used  | entry 0 | entry 1 | ...      in every object that has a table
 *
 * Sync points:
 *   holders.used   claim raises used (seq_cst), then the first count -> whoever sums up to used (seq_cst) misses nobody
 *   holders.count  the holder's stores, sub (seq_cst) -> whoever sums finds it gone (seq_cst): what the holder did is done
 *
 * Trust: used and slot are bounded by the view's count, whatever the object says.
 */
#ifndef IPCKIT_HOLDERS_H
#define IPCKIT_HOLDERS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "ipckit/member.h"
#include "ipckit/sync.h"

/* cffi: types */
#define IPK_HOLDERS_MAX 4096

struct ipk_holder_info {
	uint32_t count; /* how much it holds */
	uint32_t pid;   /* 0: it has not yet said; in pid_namespace */
	uint64_t start_time;
	uint64_t pid_namespace;
	uint32_t lives;
};
/* cffi: end */

struct ipk_holder_entry_shm {
	_Atomic uint64_t word;
	_Atomic uint32_t waiting; /* the view's: how many of its threads wait; what for is the object's affair */
	_Atomic uint32_t since;   /* the view's: when the first of them began */
	struct ipk_holder_shm who;
	uint64_t reserved[3];
};
_Static_assert(sizeof(struct ipk_holder_entry_shm) == 64, "one line");

struct ipk_holders_shm {
	_Atomic uint32_t used; /* entries from here on were never claimed; grows only */
	uint32_t reserved[15];
	/* the entries follow */
};
_Static_assert(sizeof(struct ipk_holders_shm) == 64, "one line, which hardly ever changes");

#define IPK_HOLDERS_OFFSET 192

/* The bytes of an object with a table of so many entries; 0 if that many are not possible. */
static inline uint64_t ipk_holders_size(uint32_t count)
{
	if (count == 0 || count > IPK_HOLDERS_MAX)
		return 0;
	return IPK_HOLDERS_OFFSET + sizeof(struct ipk_holders_shm) + count * sizeof(struct ipk_holder_entry_shm);
}

static inline struct ipk_holders_shm *ipk_holders_of(const struct ipk_sync *view)
{
	return (struct ipk_holders_shm *)(void *)((unsigned char *)view->object + IPK_HOLDERS_OFFSET);
}

/* index < view->count */
static inline struct ipk_holder_entry_shm *ipk_holders_entry(const struct ipk_sync *view, uint32_t index)
{
	return (struct ipk_holder_entry_shm *)(void *)(ipk_holders_of(view) + 1) + index;
}

/* How many entries there may be anything in. Bounded. */
static inline uint32_t ipk_holders_used(const struct ipk_sync *view)
{
	/* seq_cst: holders.used */
	uint32_t used = atomic_load_explicit(&ipk_holders_of(view)->used, memory_order_seq_cst);

	return used < view->count ? used : view->count;
}

/* The view's entry, or NULL if it has none, or is another process's now. */
static inline struct ipk_holder_entry_shm *ipk_holders_own(const struct ipk_sync *view)
{
	/* acquire: another thread of ours has made the entry ready (claim) */
	uint32_t slot = atomic_load_explicit(&view->slot, memory_order_acquire);
	uint32_t id = ipk_member_id(view->member);
	struct ipk_holder_entry_shm *entry;

	if (slot == 0 || id == 0)
		return NULL;
	entry = ipk_holders_entry(view, slot - 1);
	/* relaxed: only our own member's id is believed */
	return atomic_load_explicit(&entry->word, memory_order_relaxed) >> 32 == id ? entry : NULL;
}

/* Count one more. Returns 0, -EOVERFLOW, -EPERM if others took us for dead. */
int ipk_holders_add(const struct ipk_sync *view, struct ipk_holder_entry_shm *entry);

/* Count n less. n: at least 1. Returns what is left, -EPERM if that is more than the entry has. */
int64_t ipk_holders_sub(const struct ipk_sync *view, struct ipk_holder_entry_shm *entry, uint32_t n);

/* The view's entry, claimed if it has none: a free one, or a dead member's. Does not block, but asks the kernel where no entry is free.
 *
 * Returns 0; -ENOSPC if all are taken by the living; -errno as ipk_member_join. */
int ipk_holders_claim(struct ipk_sync *view, struct ipk_holder_entry_shm **entry);

/* Let the view's entry go, with all that it counts. Returns how much that was. */
uint32_t ipk_holders_drop(struct ipk_sync *view);

/* What all hold together, the dead too. Of no moment, unless the caller keeps others from adding. */
uint64_t ipk_holders_sum(const struct ipk_sync *view);

/* Take off what dead members hold. Asks the kernel, for each entry that holds something. Does not block. Returns how much that was. */
uint64_t ipk_holders_bury(struct ipk_sync *view);

/* Empty the entry if its member is dead. Asks the kernel. Returns how much it held, 0 also if it lives. */
uint32_t ipk_holders_bury_one(struct ipk_sync *view, struct ipk_holder_entry_shm *entry);

/* cffi: begin */

/* What the entry holds, and whose it is. Asks the kernel whether it lives. Does not block.
 *
 * Returns 1, 0 if it holds nothing, -ENOENT beyond the last entry that was ever used, -errno. */
int ipk_holders_get(const struct ipk_sync *view, uint32_t index, struct ipk_holder_info *info);

/* cffi: end */

#endif
