/* Events: set, cleared, and waited for; the manual-reset and auto-reset events of Windows NT.
 *
 * Object: sync header, then one line:
 *
 *   word  31        30   1   0
 *        | waiters | times | set |       beside it: the CPU that set it last, plus 1; 0: nobody has
 *
 *   set      the event is set
 *   times    manual-reset: how often it went from clear to set, modulo 2^30. Who waits remembers it: a set followed by
 *            a clear releases all who waited, though none of them ever saw the event set. auto-reset: 0
 *   waiters  somebody may sleep on the word. Set before each sleep. A set takes it away, and wakes all (manual-reset)
 *            or one (auto-reset); that one leaves it behind again whatever comes of his wait, for others may sleep as
 *            well. A dead waiter's costs one needless wake-up
 *
 * An auto-reset event is consumed by whoever changes `set` to clear, by compare-and-exchange. To be woken is not to
 * have consumed: a woken waiter that is killed first leaves the event set, and the others find it within a slice. So do
 * they if the setter is killed before its wake-up.
 *
 * Sync points:
 *   event.set   set exchanges word (release) -> wait loads or exchanges word (acquire): what was done before the set is
 *               done. Also a set of a set event is a read-modify-write, so that whoever consumes it is after both
 *
 * No store-buffering case: sleeper and setter both use read-modify-writes of the one word, and futex(2) compares it.
 *
 * Lock-free, and no call depends on any other process: set may be called by a signal handler that interrupted its own
 * thread anywhere in here.
 */
#ifndef IPCKIT_EVENT_H
#define IPCKIT_EVENT_H

#include <stdatomic.h>
#include <stdint.h>

#include "ipckit/sync.h"

/* cffi: types */
#define IPK_EVENT_SIZE 128
#define IPK_EVENT_AUTO_RESET 1

/* One of several events that are waited for. */
struct ipk_event_choice {
	struct ipk_sync *event; /* the caller's to fill in */
	uint32_t since;		/* filled in by ipk_event_begin */
	uint32_t taken;		/* 1: found set, and consumed if it is auto-reset */
};
/* cffi: end */

struct ipk_event_word_shm {
	_Atomic uint32_t word; /* futex */
	_Atomic uint32_t cpu;  /* setters */
	uint32_t reserved[14];
};
_Static_assert(sizeof(struct ipk_event_word_shm) == 64, "one line");

struct ipk_event_shm {
	struct ipk_sync_shm sync;
	struct ipk_event_word_shm state;
};
_Static_assert(sizeof(struct ipk_event_shm) == IPK_EVENT_SIZE, "the layout drawn above");

/* cffi: begin */

/* Set it; wakes all, or one. Does not block. Returns 0. */
int ipk_event_set(struct ipk_sync *view);

/* Clear it. Does not block. Returns 0. */
int ipk_event_clear(struct ipk_sync *view);

/* Whether it is set, at some moment. */
int ipk_event_is_set(const struct ipk_sync *view);

/* Whether it is auto-reset. */
int ipk_event_auto_reset(const struct ipk_sync *view);

/* Consume it if it is auto-reset and set; only look if it is manual-reset. Does not block. Returns 0 if it was set,
 * else -EAGAIN. */
int ipk_event_take(struct ipk_sync *view);

/* Wait until it is set: spin, then sleep, for a slice or until the deadline. Blocks.
 *
 * since: 0 begins to wait; then what the last call returned, so that a set between two calls counts though a clear
 * followed. taken: set to 1 when it is consumed, so that the caller knows even where an exception hides what was
 * returned.
 * Returns 0; above 0: the slice is over, or a signal handler ran: look around and wait again; -ETIMEDOUT. */
int64_t ipk_event_wait(struct ipk_sync *view, int64_t since, int64_t deadline_ns, uint32_t *taken);

/* Begin to wait for any or all of `count` events. Returns 0; -EDEADLK if `distinct` is not 0 and one is there twice. */
int ipk_event_begin(struct ipk_event_choice *choices, uint32_t count, int distinct);

/* Take those that are set. Does not block. Returns how many, or -EAGAIN. */
int ipk_event_take_any(struct ipk_event_choice *choices, uint32_t count);

/* Wait until any is set, and take those that are. Blocks. Returns how many; -EAGAIN: the slice is over, or a signal
 * handler ran: look around and wait again; -ETIMEDOUT. */
int ipk_event_wait_any(struct ipk_event_choice *choices, uint32_t count, int64_t deadline_ns);

/* Take all if all are set, else none. Does not block. Returns 0, or -EAGAIN.
 *
 * They are taken one by one. If one is gone meanwhile, those that were taken are set again; for that moment others find
 * them clear. A process that is killed in it has consumed what it had taken. */
int ipk_event_take_all(struct ipk_event_choice *choices, uint32_t count);

/* Wait until all are set at once, and take them. Blocks. Returns 0; else as ipk_event_wait_any. */
int ipk_event_wait_all(struct ipk_event_choice *choices, uint32_t count, int64_t deadline_ns);

/* Set again what was consumed. */
void ipk_event_give_back(struct ipk_event_choice *choices, uint32_t count);

/* cffi: end */

#endif
