#include "ipckit/atomic.h"

static _Atomic uint64_t *cell_of(const struct ipk_sync *view)
{
	return &((struct ipk_atomic_shm *)(void *)view->object)->cell;
}

void ipk_atomic_format(void *place, uint64_t value)
{
	/* relaxed: ordered by sync.ready */
	atomic_store_explicit(&((struct ipk_atomic_shm *)place)->cell, value, memory_order_relaxed);
}

/* seq_cst, all that follows: what the header promises */

uint64_t ipk_atomic_load(struct ipk_sync *view)
{
	return atomic_load_explicit(cell_of(view), memory_order_seq_cst);
}

void ipk_atomic_store(struct ipk_sync *view, uint64_t value)
{
	atomic_store_explicit(cell_of(view), value, memory_order_seq_cst);
}

uint64_t ipk_atomic_exchange(struct ipk_sync *view, uint64_t value)
{
	return atomic_exchange_explicit(cell_of(view), value, memory_order_seq_cst);
}

uint64_t ipk_atomic_fetch_add(struct ipk_sync *view, uint64_t delta)
{
	return atomic_fetch_add_explicit(cell_of(view), delta, memory_order_seq_cst);
}

int ipk_atomic_compare_exchange(struct ipk_sync *view, uint64_t *expected, uint64_t desired)
{
	return atomic_compare_exchange_strong_explicit(cell_of(view), expected, desired, memory_order_seq_cst,
						       memory_order_seq_cst);
}
