/* Timers to wait for as for a file: timerfd_create(2). Thin: one system call each.
 *
 * Times are nanoseconds on the timer's own clock. Any thread may call anything at any time. (To read the expirations is
 * read(2) of 8 bytes, which Python's os module has.)
 */
#ifndef IPCKIT_TIMERFD_H
#define IPCKIT_TIMERFD_H

#include <stdint.h>

/* cffi: types */
#define IPK_TIMERFD_ABSOLUTE 1 /* TFD_TIMER_ABSTIME: `first` is a moment, and not a distance */
#define IPK_TIMERFD_CANCEL 2   /* TFD_TIMER_CANCEL_ON_SET: tell when the clock is set */

struct ipk_timerfd_setting {
	int64_t first;    /* until the next expiration; 0: the timer is disarmed */
	int64_t interval; /* between all further ones; 0: there are none */
};
/* cffi: end */

/* cffi: begin */

/* A new timer on the clock (CLOCK_REALTIME and its like), disarmed, non-blocking, close-on-exec. Does not block.
 * Returns the descriptor; -EINVAL (no such clock), -EPERM (a clock that wakes the machine takes CAP_WAKE_ALARM), -EMFILE,
 * -ENFILE, -ENOMEM. */
int ipk_timerfd_create(int clock);

/* Arm the timer, or disarm it where first is 0; expirations that nobody has read are forgotten.
 *
 * previous: what was set before, as ipk_timerfd_get tells it. Does not block. Returns 0; -ECANCELED, the timer being set
 * all the same, if the clock was set since it was last looked at; -EINVAL (a time below 0), -EBADF.
 */
int ipk_timerfd_set(int fd, int flags, const struct ipk_timerfd_setting *setting, struct ipk_timerfd_setting *previous);

/* The time until the next expiration, always a distance, and the interval. Does not block. Returns 0, -EBADF, -EINVAL. */
int ipk_timerfd_get(int fd, struct ipk_timerfd_setting *setting);

/* cffi: end */

#endif
