#include "ipckit/sleepers.h"

#include "ipckit/base.h"

#define ONE_TIME UINT32_C(2)

static void wake(struct ipk_sleepers_shm *sleepers, uint32_t count)
{
	ipk_futex_wake((uint32_t *)&sleepers->word, count, IPK_FUTEX_ANY);
}

/* Returns 1, or 0 if another waker was faster. */
static int empty(struct ipk_sleepers_shm *sleepers, uint32_t word)
{
	/* relaxed, both: whoever announces itself after this does so after the waker's seq_cst load of the word, which it
	 * changes; so it sees what the waker stored before that load, and does not sleep */
	return atomic_compare_exchange_strong_explicit(&sleepers->word, &word, (word + ONE_TIME) & ~IPK_SLEEPERS_ANY,
						       memory_order_relaxed, memory_order_relaxed);
}

int ipk_sleepers_call_one(struct ipk_sleepers_shm *sleepers, uint32_t word)
{
	if (ipk_futex_wake((uint32_t *)&sleepers->word, 1, IPK_FUTEX_ANY) > 0)
		return 1;
	IPK_KILLPOINT("sleepers.wake.nobody");
	if (!empty(sleepers, word))
		return 1;
	IPK_KILLPOINT("sleepers.wake.emptied");
	wake(sleepers, INT32_MAX); /* who came between the two */
	return 2;
}

int ipk_sleepers_call_all(struct ipk_sleepers_shm *sleepers, uint32_t word)
{
	/* another waker that is faster empties the word after our store, and wakes all */
	if (!empty(sleepers, word))
		return 0;
	IPK_KILLPOINT("sleepers.wake.emptied");
	wake(sleepers, INT32_MAX);
	return 1;
}
