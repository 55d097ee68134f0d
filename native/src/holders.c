#include "ipckit/holders.h"

#include <errno.h>
#include <string.h>

static uint32_t member_of(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

int ipk_holders_add(const struct ipk_sync *view, struct ipk_holder_entry_shm *entry)
{
	uint32_t id = ipk_member_id(view->member);
	/* relaxed: the exchange compares it */
	uint64_t word = atomic_load_explicit(&entry->word, memory_order_relaxed);

	do {
		if (member_of(word) != id)
			return -EPERM;
		if ((uint32_t)word == UINT32_MAX)
			return -EOVERFLOW;
		/* seq_cst: the object's look at who keeps us out comes after it; relaxed: nothing is done with a failure */
	} while (!atomic_compare_exchange_weak_explicit(&entry->word, &word, word + 1, memory_order_seq_cst,
							memory_order_relaxed));
	return 0;
}

int64_t ipk_holders_sub(const struct ipk_sync *view, struct ipk_holder_entry_shm *entry, uint32_t n)
{
	uint32_t id = ipk_member_id(view->member);
	/* relaxed: the exchange compares it */
	uint64_t word = atomic_load_explicit(&entry->word, memory_order_relaxed);

	do {
		if (member_of(word) != id || (uint32_t)word < n)
			return -EPERM;
		/* seq_cst: holders.count, and the object's look at who waits comes after it; relaxed: as above */
	} while (!atomic_compare_exchange_weak_explicit(&entry->word, &word, word - n, memory_order_seq_cst,
							memory_order_relaxed));
	return (uint32_t)word - n;
}

/* Put our id into the entry in the place of *word. */
static int take(struct ipk_holder_entry_shm *entry, uint64_t word, uint32_t id)
{
	/* acquire: what a predecessor did to the entry is done; relaxed: a failure tries another entry */
	return atomic_compare_exchange_strong_explicit(&entry->word, &word, (uint64_t)id << 32, memory_order_acquire,
						       memory_order_relaxed);
}

/* Returns 1, 0, -errno. */
static int lives(const struct ipk_sync *view, const struct ipk_holder_entry_shm *entry, uint64_t word)
{
	uint32_t id = member_of(word);

	if (id == 0 || id > IPK_MEMBER_ID_MASK)
		return 0; /* garbage */
	return ipk_member_alive(view->member, id, &entry->who);
}

/* Returns an index, -ENOSPC. */
static int64_t find(struct ipk_sync *view, uint32_t id)
{
	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < view->count; i++) {
			struct ipk_holder_entry_shm *entry = ipk_holders_entry(view, i);
			/* relaxed: take compares it */
			uint64_t word = atomic_load_explicit(&entry->word, memory_order_relaxed);

			if ((word == 0 || (pass == 1 && lives(view, entry, word) == 0)) && take(entry, word, id))
				return i;
		}
	}
	return -ENOSPC;
}

static void raise_used(struct ipk_sync *view, uint32_t to)
{
	struct ipk_holders_shm *table = ipk_holders_of(view);
	/* relaxed: the exchange compares it */
	uint32_t used = atomic_load_explicit(&table->used, memory_order_relaxed);

	/* seq_cst: holders.used; relaxed: nothing is done with a failure but to try again */
	while (used < to && !atomic_compare_exchange_weak_explicit(&table->used, &used, to, memory_order_seq_cst,
								   memory_order_relaxed))
		continue;
}

int ipk_holders_claim(struct ipk_sync *view, struct ipk_holder_entry_shm **entry)
{
	/* acquire: another thread of ours has claimed, and made the entry ready */
	uint32_t before = atomic_load_explicit(&view->slot, memory_order_acquire);
	int64_t id = ipk_member_join(view->member);
	uint64_t unused;
	int64_t index;

	if (id < 0)
		return (int)id;
	*entry = ipk_holders_own(view);
	if (*entry)
		return 0;
	index = find(view, (uint32_t)id);
	if (index < 0)
		return (int)index;
	IPK_KILLPOINT("holders.claim.taken");
	*entry = ipk_holders_entry(view, (uint32_t)index);
	/* relaxed: ordered by slot; a predecessor that was killed may have left it */
	atomic_store_explicit(&(*entry)->waiting, 0, memory_order_relaxed);
	ipk_member_record(view->member, (uint32_t)id, &(*entry)->who);
	raise_used(view, (uint32_t)index + 1);
	/* release: pairs with the load above; acquire: the same, for the other thread's entry */
	if (atomic_compare_exchange_strong_explicit(&view->slot, &before, (uint32_t)index + 1, memory_order_release,
						    memory_order_acquire))
		return 0;
	/* another thread of this view was faster */
	unused = (uint64_t)id << 32;
	/* relaxed: nobody has seen the entry with our id, and there is nothing in it */
	atomic_compare_exchange_strong_explicit(&(*entry)->word, &unused, 0, memory_order_relaxed, memory_order_relaxed);
	*entry = ipk_holders_own(view);
	return *entry ? 0 : -EAGAIN;
}

uint32_t ipk_holders_drop(struct ipk_sync *view)
{
	struct ipk_holder_entry_shm *entry = ipk_holders_own(view);

	/* relaxed: whoever closes a view orders it */
	atomic_store_explicit(&view->slot, 0, memory_order_relaxed);
	/* seq_cst: as in ipk_holders_sub */
	return entry ? (uint32_t)atomic_exchange_explicit(&entry->word, 0, memory_order_seq_cst) : 0;
}

uint64_t ipk_holders_sum(const struct ipk_sync *view)
{
	uint32_t used = ipk_holders_used(view);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < used; i++)
		/* seq_cst: holders.count, and after the caller's own store that keeps others out */
		sum += (uint32_t)atomic_load_explicit(&ipk_holders_entry(view, i)->word, memory_order_seq_cst);
	return sum;
}

uint32_t ipk_holders_bury_one(struct ipk_sync *view, struct ipk_holder_entry_shm *entry)
{
	/* relaxed: the exchange compares it */
	uint64_t word = atomic_load_explicit(&entry->word, memory_order_relaxed);

	if (word == 0 || lives(view, entry, word) != 0)
		return 0;
	IPK_KILLPOINT("holders.bury.dead");
	/* seq_cst: as in ipk_holders_sub; relaxed: somebody else has buried it. What the dead one did, the kernel orders:
	 * its lock dropped at its death. */
	if (!atomic_compare_exchange_strong_explicit(&entry->word, &word, 0, memory_order_seq_cst, memory_order_relaxed))
		return 0;
	return (uint32_t)word;
}

uint64_t ipk_holders_bury(struct ipk_sync *view)
{
	uint32_t used = ipk_holders_used(view);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < used; i++) {
		struct ipk_holder_entry_shm *entry = ipk_holders_entry(view, i);

		/* relaxed: a look; whoever holds nothing is in nobody's way */
		if ((uint32_t)atomic_load_explicit(&entry->word, memory_order_relaxed) != 0)
			sum += ipk_holders_bury_one(view, entry);
	}
	return sum;
}

int ipk_holders_get(const struct ipk_sync *view, uint32_t index, struct ipk_holder_info *info)
{
	const struct ipk_holder_entry_shm *entry;
	uint64_t word;
	int rc;

	memset(info, 0, sizeof(*info));
	if (index >= ipk_holders_used(view))
		return -ENOENT;
	entry = ipk_holders_entry(view, index);
	/* relaxed, all but one: a snapshot for people */
	word = atomic_load_explicit(&entry->word, memory_order_relaxed);
	info->count = (uint32_t)word;
	if (info->count == 0)
		return 0;
	rc = lives(view, entry, word);
	if (rc < 0)
		return rc;
	info->lives = (uint32_t)rc;
	/* acquire: member.recorded */
	if (atomic_load_explicit(&entry->who.id, memory_order_acquire) == member_of(word)) {
		info->pid = atomic_load_explicit(&entry->who.pid, memory_order_relaxed);
		info->start_time = atomic_load_explicit(&entry->who.start_time, memory_order_relaxed);
		info->pid_namespace = atomic_load_explicit(&entry->who.pid_namespace, memory_order_relaxed);
	}
	return 1;
}
