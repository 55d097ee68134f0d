/* Spinning on a descriptor: whoever is about to wait for a peer that answers at once is spared the sleep.
 *
 * To be woken costs the scheduler's price (spin.h). Nothing tells on which CPU the peer of a descriptor runs, so it
 * is the caller who learns whether spinning pays, from what this returns.
 */
#ifndef IPCKIT_READABLE_H
#define IPCKIT_READABLE_H

#include <stdint.h>

/* cffi: begin */

/* Look with poll(2) whether fd is readable, or has ended, until it is or budget_ns have passed. Any thread; spins, never
 * sleeps. Returns 0 if it was at the first look, 1 if it came to be, -EAGAIN if not, -EINTR for a signal's sake, -errno. */
int ipk_readable_spin(int fd, int64_t budget_ns);

/* cffi: end */

#endif
