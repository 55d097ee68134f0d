/* Processes by descriptor: pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2). Thin: one system call each.
 *
 * A descriptor goes on meaning its process when that has ended and another one has its number. Any thread may call
 * anything at any time. (To wait for the end is poll(2), and waitid(2) for one's own child, which Python has.)
 */
#ifndef IPCKIT_PIDFD_H
#define IPCKIT_PIDFD_H

#include <stdint.h>

/* cffi: begin */

/* A descriptor of the process that has the number now, close-on-exec. Does not block.
 * Returns it; -ESRCH, -EINVAL (pid below 1, or a thread that leads no process), -ENOSYS (before Linux 5.3), -EMFILE,
 * -ENFILE, -ENOMEM. */
int ipk_pidfd_open(int pid);

/* Send a signal, as kill(2) does; 0 only checks. Does not block. Returns 0; -ESRCH (it has ended and was waited for),
 * -EPERM, -EINVAL (no such signal; it is in a PID namespace that can't be reached), -EBADF. */
int ipk_pidfd_signal(int pidfd, int signum);

/* Queue a signal with a value, as sigqueue(3) does. Does not block. Returns as above; -EAGAIN (the receiver's
 * RLIMIT_SIGPENDING). */
int ipk_pidfd_queue(int pidfd, int signum, int value);

/* A duplicate of the process's descriptor `fd`, close-on-exec: the same open file description. Does not block.
 * Returns it; -EPERM (it takes what ptrace(2) takes), -EBADF (it has no such descriptor), -ESRCH, -ENOSYS (before Linux
 * 5.6), -EMFILE, -ENFILE. */
int ipk_pidfd_getfd(int pidfd, int fd);

/* The wait status (waitpid(2)) of a process that has ended and that somebody has waited for. Does not block.
 * Returns it; -EAGAIN if it has not come to that; -EOPNOTSUPP if the kernel tells nobody but the parent (before Linux
 * 6.15). */
int ipk_pidfd_status(int pidfd);

/* cffi: end */

#endif
