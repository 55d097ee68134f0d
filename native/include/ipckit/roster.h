/* Who takes part in a ring: a table of participants, each with its roles, its counters, and a cursor of its own.
 *
 * A view claims an entry with its first role, and keeps it until it gives up the last one or its process dies; then
 * the entry is anybody's:
 *
 *   word  63        32 31            0
 *        | member id  | roles, flags  |      0: free
 *
 *   0      128       256
 *   | ends | entry 0 | entry 1 | ...     at the place that the ring's layout says
 *
 * Nobody but its own view changes the word of a live member's entry, but for flags that a ring lets others set. A dead
 * member is buried: its word becomes 0 in one compare-and-exchange, so that its death is counted once.
 *
 * How the last of a role went is what the other side is told. Whoever leaves, and whoever buries, says so before the word
 * changes; so when nobody has the role any more, the last one's word stands. (Of two that go at the same time either may be the last.)
 *
 * Counters stay when an entry changes hands: the sum over all entries is what ever happened.
 *
 * Sync points:
 *   roster.used  claim raises used (seq_cst), then stores the role -> whoever looks up to used (seq_cst) misses nobody
 *   roster.word  claim stores the role (seq_cst) -> a look at who has it (seq_cst)
 *   roster.end   leave, bury store end (seq_cst), then the word (seq_cst) -> who finds nobody loads end (seq_cst): it is the last one's.
 *                What the leaver did before, it had done: committed messages are to be seen after a look at the roster.
 *
 * Trust: used and slot are bounded by the view's count, whatever the segment says.
 *
 * Who may call: any thread of a view at any time, but for init.
 */
#ifndef IPCKIT_ROSTER_H
#define IPCKIT_ROSTER_H

#include <stdatomic.h>
#include <stdint.h>

#include "ipckit/base.h"
#include "ipckit/member.h"

/* cffi: types */
#define IPK_ROSTER_MAX 4096
#define IPK_ROSTER_PRODUCER 1
#define IPK_ROSTER_CONSUMER 2
#define IPK_ROSTER_NOBODY_YET 0 /* how the last of a role went: nobody has had it */
#define IPK_ROSTER_OPEN 1       /* somebody has it now, alive or not yet buried */
#define IPK_ROSTER_CLOSED 2
#define IPK_ROSTER_DIED 3

struct ipk_roster_info {
	uint32_t roles; /* and flags */
	uint32_t lives;
	uint32_t pid; /* 0: it has not yet said; in pid_namespace */
	uint64_t start_time;
	uint64_t pid_namespace;
};
/* cffi: end */

#define IPK_ROSTER_ROLES (IPK_ROSTER_PRODUCER | IPK_ROSTER_CONSUMER)

/* What participants count. */
enum ipk_roster_counter {
	IPK_ROSTER_SENT,           /* messages */
	IPK_ROSTER_RECEIVED,
	IPK_ROSTER_BYTES_SENT,
	IPK_ROSTER_BYTES_RECEIVED,
	IPK_ROSTER_FULL_WAITS,     /* times that it slept because the ring was full */
	IPK_ROSTER_EMPTY_WAITS,
	IPK_ROSTER_WAKES,          /* wake-up calls */
	IPK_ROSTER_LOST,           /* messages that nobody, or not this reader, will receive */
	IPK_ROSTER_RECOVERIES,     /* claims of the dead that it repaired */
	IPK_ROSTER_COUNTERS
};

struct ipk_roster_entry_shm {
	_Alignas(IPK_LINE) _Atomic uint64_t word;
	struct ipk_holder_shm who;
	_Atomic uint64_t cursor; /* the ring's affair */
	_Atomic uint64_t counter[IPK_ROSTER_COUNTERS];
	uint64_t reserved[2];
};
_Static_assert(sizeof(struct ipk_roster_entry_shm) == IPK_LINE, "one line");

struct ipk_roster_shm {
	_Alignas(IPK_LINE) _Atomic uint32_t used; /* entries from here on were never claimed; grows only */
	_Atomic uint32_t end[3];                  /* by role: who was the last << 2 | IPK_ROSTER_CLOSED or _DIED; [0] is not used */
	/* the entries follow */
};
_Static_assert(sizeof(struct ipk_roster_shm) == IPK_LINE, "one line, which hardly ever changes");

/* A view's part. */
struct ipk_roster {
	struct ipk_roster_shm *shm;
	struct ipk_member *member;
	uint32_t count;        /* entries, as validated */
	_Atomic uint32_t slot; /* our entry, plus 1; 0: none yet; changed by the claimant */
	_Atomic uint32_t claimant; /* thread id of who is claiming; 0: nobody */
};

/* The bytes of a table of so many entries; 0 if that many are not possible. */
static inline uint64_t ipk_roster_size(uint32_t count)
{
	if (count == 0 || count > IPK_ROSTER_MAX)
		return 0;
	return sizeof(struct ipk_roster_shm) + count * sizeof(struct ipk_roster_entry_shm);
}

/* index < roster->count */
static inline struct ipk_roster_entry_shm *ipk_roster_entry(const struct ipk_roster *roster, uint32_t index)
{
	return (struct ipk_roster_entry_shm *)(void *)(roster->shm + 1) + index;
}

/* How many entries there may be anybody in. Bounded. */
static inline uint32_t ipk_roster_used(const struct ipk_roster *roster)
{
	/* seq_cst: roster.used */
	uint32_t used = atomic_load_explicit(&roster->shm->used, memory_order_seq_cst);

	return used < roster->count ? used : roster->count;
}

/* Our entry if it has all of these roles (none: any entry of ours), or NULL if it has not, or is another process's now. No system call. */
static inline struct ipk_roster_entry_shm *ipk_roster_own(const struct ipk_roster *roster, uint32_t roles)
{
	/* acquire: another thread of ours has made the entry ready (claim) */
	uint32_t slot = atomic_load_explicit(&roster->slot, memory_order_acquire);
	uint32_t id = ipk_member_id(roster->member);
	struct ipk_roster_entry_shm *entry;
	uint64_t word;

	if (slot == 0 || id == 0)
		return NULL;
	entry = ipk_roster_entry(roster, slot - 1);
	/* relaxed: only our own member's id is believed */
	word = atomic_load_explicit(&entry->word, memory_order_relaxed);
	return word >> 32 == id && (word & roles) == roles ? entry : NULL;
}

/* Count n more. entry: ours. */
static inline void ipk_roster_add(struct ipk_roster_entry_shm *entry, enum ipk_roster_counter counter, uint64_t n)
{
	/* relaxed: counters carry nothing; read-modify-write, for threads share the entry */
	atomic_fetch_add_explicit(&entry->counter[counter], n, memory_order_relaxed);
}

/* Begin to use the table at `shm` (zeroed by its maker) of so many entries. */
void ipk_roster_init(struct ipk_roster *roster, struct ipk_roster_shm *shm, uint32_t count, struct ipk_member *member);

/* Our entry, with these roles added to those that it has; claimed if we have none: a free one, or a dead member's, whom it buries. Does
 * not block, but asks the kernel where no entry is free. cursor: of a consumer that was none before, stored before its role is seen.
 *
 * Returns 0; -ENOSPC if all are taken by the living; -EAGAIN if another thread of ours gave the entry up meanwhile; -EBUSY in a signal
 * handler that interrupted its own thread here; -errno as ipk_member_join. */
int ipk_roster_claim(struct ipk_roster *roster, uint32_t roles, uint64_t cursor, struct ipk_roster_entry_shm **entry);

/* Give up these roles, and with the last one the entry. Returns the roles that we had and have no more. */
uint32_t ipk_roster_leave(struct ipk_roster *roster, uint32_t roles);

/* In a forked child: the entry is the parent's. */
void ipk_roster_forked(struct ipk_roster *roster);

/* How many have the role, alive or not yet buried. Does not ask the kernel. */
uint32_t ipk_roster_having(const struct ipk_roster *roster, uint32_t role);

/* How the last of a role went: IPK_ROSTER_OPEN if it has not. Does not ask the kernel. */
uint32_t ipk_roster_end(const struct ipk_roster *roster, uint32_t role);

/* Bury the dead that have any of these roles. Asks the kernel about each. Returns how many it buried. */
uint32_t ipk_roster_bury(struct ipk_roster *roster, uint32_t roles);

/* Bury whoever has the entry if it is dead. Asks the kernel. Returns the word that it had, 0 also if it lives. */
uint64_t ipk_roster_bury_one(struct ipk_roster *roster, struct ipk_roster_entry_shm *entry);

/* Whether the member of that id lives, by its lock, and by its record if it has an entry. Asks the kernel. Returns 1, 0, -errno. */
int ipk_roster_alive(const struct ipk_roster *roster, uint32_t id);

/* The process of the member of that id, for people; 0 if it has no entry. */
uint32_t ipk_roster_pid(const struct ipk_roster *roster, uint32_t id);

/* The sum of a counter over all entries. */
uint64_t ipk_roster_total(const struct ipk_roster *roster, enum ipk_roster_counter counter);

/* Who has the entry. Asks the kernel whether it lives. Returns 1, 0 if nobody, -ENOENT beyond the last that was ever used, -errno. */
int ipk_roster_get(const struct ipk_roster *roster, uint32_t index, struct ipk_roster_info *info);

#endif
