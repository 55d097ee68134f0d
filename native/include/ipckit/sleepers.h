/* Those who sleep until something in an object changes: any number, and the waker is told in one load whether there are any.
 *
 *   word  31           1  0
 *        | times emptied | somebody may sleep |
 *
 * A sleeper announces itself, looks once more at what it waits for, and sleeps if the word is still as announced. Whoever
 * changes the object looks at the word afterwards, and wakes one or all.
 *
 * The bit stays set while wake-ups find somebody. When one finds nobody, it empties the word, and then wakes all: whoever went to sleep
 * in between is among them, and whoever was about to finds another word. So no wake-up gets lost, nobody counts
 * sleepers, and one that was killed leaves nothing behind but one needless call.
 *
 * A waker that is killed between its change and its wake-up costs the sleepers at most one slice (IPK_SLICE_NS).
 *
 * Sync points:
 *   sleepers.bit  the store-buffering case. A sleeper sets the bit, then loads what it waits for; the other side stores that, then
 *                 loads the word. All four are seq_cst (the user's two as well), so at least one of the two sees the other's.
 *
 * Who may call: anybody. Garbage in the word costs needless calls, or sleep until the slice is over.
 */
#ifndef IPCKIT_SLEEPERS_H
#define IPCKIT_SLEEPERS_H

#include <stdatomic.h>
#include <stdint.h>

#include "ipckit/futex.h"

#define IPK_SLEEPERS_ANY UINT32_C(1)

struct ipk_sleepers_shm {
	_Atomic uint32_t word; /* futex */
};

/* Say that we are about to sleep; then look once more, with seq_cst loads. Returns the word to sleep on. */
static inline uint32_t ipk_sleepers_announce(struct ipk_sleepers_shm *sleepers)
{
	/* seq_cst: sleepers.bit */
	return atomic_fetch_or_explicit(&sleepers->word, IPK_SLEEPERS_ANY, memory_order_seq_cst) | IPK_SLEEPERS_ANY;
}

/* Sleep, unless somebody has emptied the word since. Blocks. Returns as ipk_futex_wait. */
static inline int ipk_sleepers_sleep(struct ipk_sleepers_shm *sleepers, uint32_t announced, int64_t deadline_ns)
{
	return ipk_futex_wait((uint32_t *)&sleepers->word, announced, deadline_ns, IPK_FUTEX_ANY);
}

/* Wake one, or if nobody is there empty the word. For ipk_sleepers_wake_one. Returns how many wake-up calls were made. */
int ipk_sleepers_call_one(struct ipk_sleepers_shm *sleepers, uint32_t word);

/* Empty the word and wake all. For ipk_sleepers_wake_all. Returns how many wake-up calls were made. */
int ipk_sleepers_call_all(struct ipk_sleepers_shm *sleepers, uint32_t word);

/* Wake one if any may sleep. After a seq_cst store of what they wait for. Does not block. Returns how many calls were made. */
static inline int ipk_sleepers_wake_one(struct ipk_sleepers_shm *sleepers)
{
	/* seq_cst: sleepers.bit */
	uint32_t word = atomic_load_explicit(&sleepers->word, memory_order_seq_cst);

	return word & IPK_SLEEPERS_ANY ? ipk_sleepers_call_one(sleepers, word) : 0;
}

/* Wake all if any may sleep. As ipk_sleepers_wake_one. */
static inline int ipk_sleepers_wake_all(struct ipk_sleepers_shm *sleepers)
{
	/* seq_cst: sleepers.bit */
	uint32_t word = atomic_load_explicit(&sleepers->word, memory_order_seq_cst);

	return word & IPK_SLEEPERS_ANY ? ipk_sleepers_call_all(sleepers, word) : 0;
}

#endif
