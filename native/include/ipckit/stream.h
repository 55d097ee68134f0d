/* Waiting for a descriptor, and writing all of a large piece, in one call each: poll(2), write(2). */
#ifndef IPCKIT_STREAM_H
#define IPCKIT_STREAM_H

#include <stdint.h>

/* cffi: begin */

/* Wait until fd is ready for `events` (poll(2) bits), hung up, or in error, for timeout_ms at most.
 *
 * Blocks. Returns poll(2)'s bits for it; 0 when the time is up; -EINTR after a signal handler ran; -EINVAL, -ENOMEM.
 */
int ipk_stream_wait(int fd, int events, int timeout_ms);

/* Write `size` bytes to a non-blocking descriptor, waiting for room until the deadline.
 *
 * deadline_ns: absolute, CLOCK_MONOTONIC. Blocks. Returns how many bytes are out then: all, or fewer when the time was up,
 * a signal handler ran, or a write failed after some were out. Where none is: -ETIMEDOUT, -EINTR, or the -errno of
 * write(2): -EPIPE, -EBADF, ... SIGPIPE is the caller's affair.
 */
int64_t ipk_stream_write(int fd, const void *data, uint64_t size, int64_t deadline_ns);

/* cffi: end */

#endif
