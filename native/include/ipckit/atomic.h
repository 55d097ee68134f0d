/* An integer of 64 bits in shared memory that is read, written and changed in one indivisible step.
 *
 * Object: sync header, then the cell, one line each.
 *
 * One cell serves signed and unsigned integers: the bits of a sum are the same. Every operation is sequentially consistent:
 * all processes see the operations on all such cells in one order, and what a process stored before an operation is
 * seen by whoever sees that operation. That is why no operation here names a sync point: each one is on both ends of all of them.
 *
 * Progress: wait-free but for compare_exchange loops of the caller's. Nobody waits for anybody, so nobody's death matters; a
 * process that is killed has made its change, or has not.
 */
#ifndef IPCKIT_ATOMIC_H
#define IPCKIT_ATOMIC_H

#include <stdatomic.h>
#include <stdint.h>

#include "ipckit/sync.h"

/* cffi: types */
#define IPK_ATOMIC_SIZE 128
/* cffi: end */

struct ipk_atomic_shm {
	struct ipk_sync_shm sync;
	_Atomic uint64_t cell;
	uint64_t reserved[7];
};
_Static_assert(sizeof(struct ipk_atomic_shm) == IPK_ATOMIC_SIZE, "the layout drawn above");

/* cffi: begin */

/* Set the first value, before the object is published. Maker. */
void ipk_atomic_format(void *place, uint64_t value);

/* None of these blocks. Any thread, at any time. */

uint64_t ipk_atomic_load(struct ipk_sync *view);
void ipk_atomic_store(struct ipk_sync *view, uint64_t value);

/* Store value; returns what was there. */
uint64_t ipk_atomic_exchange(struct ipk_sync *view, uint64_t value);

/* Add, modulo 2^64; returns what was there. */
uint64_t ipk_atomic_fetch_add(struct ipk_sync *view, uint64_t delta);

/* Store desired if *expected is there. Returns 1; 0 if something else was there, which *expected is then. */
int ipk_atomic_compare_exchange(struct ipk_sync *view, uint64_t *expected, uint64_t desired);

/* cffi: end */

#endif
