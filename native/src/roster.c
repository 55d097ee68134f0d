#include "ipckit/roster.h"

#include <errno.h>
#include <string.h>

#include "one_thread.h"

#define BURY_TRIES 16

static uint32_t member_of(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

void ipk_roster_init(struct ipk_roster *roster, struct ipk_roster_shm *shm, uint32_t count, struct ipk_member *member)
{
	roster->shm = shm;
	roster->count = count;
	roster->member = member;
	ipk_roster_forked(roster);
}

void ipk_roster_forked(struct ipk_roster *roster)
{
	/* relaxed, both: the caller is alone with the view */
	atomic_store_explicit(&roster->slot, 0, memory_order_relaxed);
	atomic_store_explicit(&roster->claimant, 0, memory_order_relaxed);
}

/* Returns 1, 0, -errno. */
static int lives(const struct ipk_roster *roster, const struct ipk_roster_entry_shm *entry, uint64_t word)
{
	uint32_t id = member_of(word);

	if (id == 0 || id > IPK_MEMBER_ID_MASK)
		return 0; /* garbage */
	return ipk_member_alive(roster->member, id, &entry->who);
}

/* What end[role] says when the member of that id was the last: no two ever say the same. */
static uint32_t end_word(uint32_t id, uint32_t how)
{
	return id << 2 | how;
}

/* Say how these roles are left, in case that nobody else has them. */
static void tell_closed(const struct ipk_roster *roster, uint64_t word)
{
	for (uint32_t role = IPK_ROSTER_PRODUCER; role <= IPK_ROSTER_CONSUMER; role++) {
		if (word & role)
			/* seq_cst: roster.end */
			atomic_store_explicit(&roster->shm->end[role], end_word(member_of(word), IPK_ROSTER_CLOSED),
					      memory_order_seq_cst);
	}
}

/* The same for a dead member; before[]: what stood there when it had not yet been buried. A burier that comes late must not speak
 * over somebody who came and left since. Returns 0, -EAGAIN if something else stands there now. */
static int tell_died(const struct ipk_roster *roster, uint64_t word, const uint32_t before[3])
{
	for (uint32_t role = IPK_ROSTER_PRODUCER; role <= IPK_ROSTER_CONSUMER; role++) {
		uint32_t expected = before[role];

		/* seq_cst: roster.end; relaxed: nothing is done with a failure but to look again */
		if ((word & role) && !atomic_compare_exchange_strong_explicit(
					     &roster->shm->end[role], &expected, end_word(member_of(word), IPK_ROSTER_DIED),
					     memory_order_seq_cst, memory_order_relaxed))
			return -EAGAIN;
	}
	return 0;
}

uint64_t ipk_roster_bury_one(struct ipk_roster *roster, struct ipk_roster_entry_shm *entry)
{
	uint32_t before[3];
	uint32_t tries = BURY_TRIES;
	uint64_t word;

	do {
		if (tries-- == 0)
			return 0; /* somebody writes garbage; next time, perhaps */
		for (uint32_t role = IPK_ROSTER_PRODUCER; role <= IPK_ROSTER_CONSUMER; role++)
			/* acquire: the look at the word comes after it */
			before[role] = atomic_load_explicit(&roster->shm->end[role], memory_order_acquire);
		/* relaxed: the exchange compares it */
		word = atomic_load_explicit(&entry->word, memory_order_relaxed);
		if (word == 0 || lives(roster, entry, word) != 0)
			return 0;
	} while (tell_died(roster, word, before) < 0);
	IPK_KILLPOINT("roster.bury.told");
	/* seq_cst: roster.end; relaxed: somebody else has buried it. What the dead one did, the kernel orders: its lock
	 * dropped at its death. */
	if (!atomic_compare_exchange_strong_explicit(&entry->word, &word, 0, memory_order_seq_cst, memory_order_relaxed))
		return 0;
	return word;
}

uint32_t ipk_roster_bury(struct ipk_roster *roster, uint32_t roles)
{
	uint32_t used = ipk_roster_used(roster);
	uint32_t buried = 0;

	for (uint32_t i = 0; i < used; i++) {
		struct ipk_roster_entry_shm *entry = ipk_roster_entry(roster, i);

		/* relaxed: a look */
		if (atomic_load_explicit(&entry->word, memory_order_relaxed) & roles)
			buried += ipk_roster_bury_one(roster, entry) != 0;
	}
	return buried;
}

/* Put our id into a free entry, or into a dead member's. Returns an index, -ENOSPC. */
static int64_t find(struct ipk_roster *roster, uint32_t id)
{
	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < roster->count; i++) {
			struct ipk_roster_entry_shm *entry = ipk_roster_entry(roster, i);
			uint64_t nobody = 0;

			if (pass == 1)
				ipk_roster_bury_one(roster, entry);
			/* acquire: what a predecessor did to the entry is done; relaxed: a failure tries another entry */
			if (atomic_compare_exchange_strong_explicit(&entry->word, &nobody, (uint64_t)id << 32,
								    memory_order_acquire, memory_order_relaxed))
				return i;
		}
	}
	return -ENOSPC;
}

static void raise_used(struct ipk_roster *roster, uint32_t to)
{
	/* relaxed: the exchange compares it */
	uint32_t used = atomic_load_explicit(&roster->shm->used, memory_order_relaxed);

	/* seq_cst: roster.used; relaxed: nothing is done with a failure but to try again */
	while (used < to && !atomic_compare_exchange_weak_explicit(&roster->shm->used, &used, to, memory_order_seq_cst,
								   memory_order_relaxed))
		continue;
}

/* Returns 0, -EAGAIN if the entry is no longer ours. */
static int add_roles(const struct ipk_roster *roster, struct ipk_roster_entry_shm *entry, uint32_t roles)
{
	/* relaxed: the exchange compares it */
	uint64_t word = atomic_load_explicit(&entry->word, memory_order_relaxed);

	do {
		if (member_of(word) != ipk_member_id(roster->member))
			return -EAGAIN;
		/* seq_cst: roster.word; relaxed: nothing is done with a failure but to try again */
	} while (!atomic_compare_exchange_weak_explicit(&entry->word, &word, word | roles, memory_order_seq_cst,
							memory_order_relaxed));
	IPK_KILLPOINT("roster.claim.claimed");
	return 0;
}

/* Claim an entry for our view, which has none. Returns 0, -ENOSPC. */
static int claim_entry(struct ipk_roster *roster, uint32_t id, struct ipk_roster_entry_shm **entry)
{
	int64_t index = find(roster, id);

	if (index < 0)
		return (int)index;
	IPK_KILLPOINT("roster.claim.taken");
	*entry = ipk_roster_entry(roster, (uint32_t)index);
	ipk_member_record(roster->member, id, &(*entry)->who);
	raise_used(roster, (uint32_t)index + 1);
	/* release: pairs with ipk_roster_own */
	atomic_store_explicit(&roster->slot, (uint32_t)index + 1, memory_order_release);
	return 0;
}

static int claim(struct ipk_roster *roster, uint32_t id, uint32_t roles, uint64_t cursor, struct ipk_roster_entry_shm **entry)
{
	int rc = 0;

	*entry = ipk_roster_own(roster, 0);
	if (!*entry)
		rc = claim_entry(roster, id, entry);
	if (rc < 0)
		return rc;
	if ((roles & IPK_ROSTER_CONSUMER) && !ipk_roster_own(roster, IPK_ROSTER_CONSUMER))
		/* relaxed: ordered by the role, which is stored later (roster.word) */
		atomic_store_explicit(&(*entry)->cursor, cursor, memory_order_relaxed);
	return add_roles(roster, *entry, roles);
}

int ipk_roster_claim(struct ipk_roster *roster, uint32_t roles, uint64_t cursor, struct ipk_roster_entry_shm **entry)
{
	int64_t id = ipk_member_join(roster->member);
	int rc;

	if (id < 0)
		return (int)id;
	rc = one_thread_begin(&roster->claimant); /* the view has one entry */
	if (rc < 0)
		return rc;
	rc = claim(roster, (uint32_t)id, roles, cursor, entry);
	one_thread_end(&roster->claimant);
	return rc;
}

uint32_t ipk_roster_leave(struct ipk_roster *roster, uint32_t roles)
{
	struct ipk_roster_entry_shm *entry = ipk_roster_own(roster, 0);
	uint64_t word, left;

	if (!entry)
		return 0;
	/* relaxed: the exchange compares it */
	word = atomic_load_explicit(&entry->word, memory_order_relaxed);
	do {
		if (member_of(word) != ipk_member_id(roster->member))
			return 0; /* others took us for dead */
		if ((word & roles) == 0)
			return 0; /* also of one that another thread is claiming */
		left = word & ~(uint64_t)roles;
		if ((left & IPK_ROSTER_ROLES) == 0)
			left = 0;
		tell_closed(roster, word & ~(uint64_t)(uint32_t)~roles);
		IPK_KILLPOINT("roster.leave.told");
		/* seq_cst: roster.end; relaxed: nothing is done with a failure but to try again */
	} while (!atomic_compare_exchange_weak_explicit(&entry->word, &word, left, memory_order_seq_cst,
							memory_order_relaxed));
	IPK_KILLPOINT("roster.leave.left");
	return (uint32_t)word & roles;
}

uint32_t ipk_roster_having(const struct ipk_roster *roster, uint32_t role)
{
	uint32_t used = ipk_roster_used(roster);
	uint32_t number = 0;

	for (uint32_t i = 0; i < used; i++)
		/* seq_cst: roster.word */
		number += (atomic_load_explicit(&ipk_roster_entry(roster, i)->word, memory_order_seq_cst) & role) != 0;
	return number;
}

uint32_t ipk_roster_end(const struct ipk_roster *roster, uint32_t role)
{
	uint32_t how;

	if (ipk_roster_having(roster, role) > 0)
		return IPK_ROSTER_OPEN;
	/* seq_cst: roster.end */
	how = atomic_load_explicit(&roster->shm->end[role], memory_order_seq_cst) & 3;
	return how == IPK_ROSTER_CLOSED || how == IPK_ROSTER_DIED ? how : IPK_ROSTER_NOBODY_YET;
}

/* The entry of that id, or NULL. */
static struct ipk_roster_entry_shm *entry_of(const struct ipk_roster *roster, uint32_t id)
{
	uint32_t used = ipk_roster_used(roster);

	for (uint32_t i = 0; i < used; i++) {
		struct ipk_roster_entry_shm *entry = ipk_roster_entry(roster, i);

		/* relaxed: a look; the id has been there for as long as anything else of it */
		if (member_of(atomic_load_explicit(&entry->word, memory_order_relaxed)) == id)
			return entry;
	}
	return NULL;
}

int ipk_roster_alive(const struct ipk_roster *roster, uint32_t id)
{
	const struct ipk_roster_entry_shm *entry;

	if (id == 0 || id > IPK_MEMBER_ID_MASK)
		return 0; /* garbage */
	entry = entry_of(roster, id);
	return entry ? ipk_member_alive(roster->member, id, &entry->who) : ipk_member_locked(roster->member, id);
}

uint32_t ipk_roster_pid(const struct ipk_roster *roster, uint32_t id)
{
	const struct ipk_roster_entry_shm *entry = entry_of(roster, id);

	/* acquire: member.recorded; relaxed: ordered by it */
	if (!entry || atomic_load_explicit(&entry->who.id, memory_order_acquire) != id)
		return 0;
	return atomic_load_explicit(&entry->who.pid, memory_order_relaxed);
}

uint64_t ipk_roster_total(const struct ipk_roster *roster, enum ipk_roster_counter counter)
{
	uint32_t used = ipk_roster_used(roster);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < used; i++)
		/* relaxed: a snapshot for people */
		sum += atomic_load_explicit(&ipk_roster_entry(roster, i)->counter[counter], memory_order_relaxed);
	return sum;
}

int ipk_roster_get(const struct ipk_roster *roster, uint32_t index, struct ipk_roster_info *info)
{
	const struct ipk_roster_entry_shm *entry;
	uint64_t word;
	int rc;

	memset(info, 0, sizeof(*info));
	if (index >= ipk_roster_used(roster))
		return -ENOENT;
	entry = ipk_roster_entry(roster, index);
	/* relaxed, all but one: a snapshot for people */
	word = atomic_load_explicit(&entry->word, memory_order_relaxed);
	if ((word & IPK_ROSTER_ROLES) == 0)
		return 0;
	rc = lives(roster, entry, word);
	if (rc < 0)
		return rc;
	info->roles = (uint32_t)word;
	info->lives = (uint32_t)rc;
	/* acquire: member.recorded */
	if (atomic_load_explicit(&entry->who.id, memory_order_acquire) == member_of(word)) {
		info->pid = atomic_load_explicit(&entry->who.pid, memory_order_relaxed);
		info->start_time = atomic_load_explicit(&entry->who.start_time, memory_order_relaxed);
		info->pid_namespace = atomic_load_explicit(&entry->who.pid_namespace, memory_order_relaxed);
	}
	return 1;
}
