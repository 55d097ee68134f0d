/* End a system call that blocks and has no timeout of its own: timer_create(2), signal(7).
 *
 * msgsnd, msgrcv, semop, fcntl(F_SETLKW, F_OFD_SETLKW), flock and their like sleep until they are done or a signal
 * handler runs. A timer of the calling thread sends that thread one real-time signal at the deadline, whose handler does
 * nothing and is installed without SA_RESTART: the call fails with EINTR, having done nothing. To use it, put the call
 * between the two functions:
 *
 *	rc = ipk_interrupt_arm(deadline_ns);
 *	if (rc < 0)
 *		return rc;
 *	rc = fcntl(fd, F_OFD_SETLKW, &lock) < 0 ? -errno : 0;
 *	ipk_interrupt_disarm();
 *	return ipk_interrupt_reason(rc, deadline_ns);
 *
 * - Nothing is lost: a call that the kernel has completed returns its result, however late.
 * - The signal that comes just before the call is entered ends nothing. So the timer fires again every
 *   IPK_INTERRUPT_AGAIN_NS, until it is disarmed: a wait ends that much late at worst.
 * - Both together are four cheap system calls, a microsecond or so. Do it only where the call without waiting has said
 *   EAGAIN.
 * - One thread waits in one call at a time: no second arm before disarm. Threads do not disturb one another; each has
 *   its own timer, made at its first wait and deleted when the thread ends.
 * - The signal is unblocked between the two, and the mask is as before afterwards, when no signal of ours is pending.
 * - A forked child has no timers; it makes its own. exec drops handler and timers.
 * - Not to be called from a signal handler.
 */
#ifndef IPCKIT_INTERRUPT_H
#define IPCKIT_INTERRUPT_H

#include <stdint.h>

/* cffi: types */
#define IPK_INTERRUPT_AGAIN_NS 10000000
/* cffi: end */

/* Have the calling thread interrupted at deadline_ns, and every IPK_INTERRUPT_AGAIN_NS after it.
 *
 * deadline_ns: absolute, CLOCK_MONOTONIC; one that has passed interrupts at once. Installs the handler where there is
 * none. Does not block. Returns 0; -EBUSY if the signal has a handler of somebody else's; -ENOBUFS if the kernel gives
 * no timer (RLIMIT_SIGPENDING); -ENOMEM. After a failure nothing is armed.
 */
int ipk_interrupt_arm(int64_t deadline_ns);

/* Take that back. No signal of ours reaches this thread after the return. errno is kept. Does not block. */
void ipk_interrupt_disarm(void);

/* What to return for rc, the result of the call: -ETIMEDOUT in place of -EINTR once the deadline has passed. */
int64_t ipk_interrupt_reason(int64_t rc, int64_t deadline_ns);

/* cffi: begin */

/* The signal that is used; SIGRTMAX - 3 unless chosen otherwise. */
int ipk_interrupt_signal(void);

/* Use another signal from the next wait on, in all threads. signum: SIGRTMIN to SIGRTMAX.
 *
 * Installs the handler. That of the signal used before stays, for timers of other threads may still send it. Does not
 * block. Returns 0, -EINVAL, or -EBUSY if signum has a handler of somebody else's; then nothing changes.
 */
int ipk_interrupt_use(int signum);

/* cffi: end */

#endif
