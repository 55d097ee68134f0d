/* Waiting for a descriptor, reading from one and writing to one, in one call each: poll(2), read(2), recv(2), write(2), send(2). */
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

/* Write once: write(2).
 *
 * Blocks where the descriptor does. Returns how many bytes went; -EAGAIN where there is no room; -EINTR, -EPIPE, -EBADF, or
 * another -errno of write(2). SIGPIPE is the caller's affair.
 */
int64_t ipk_stream_try_write(int fd, const void *data, uint64_t size);

/* Send once on a socket, whatever its blocking mode; what has boundaries goes whole or not at all.
 *
 * Never waits. Returns how many bytes went; -EAGAIN where there is no room; -EINTR; -EPIPE (no SIGPIPE comes with it),
 * -ECONNRESET, -ECONNREFUSED, -ENOTCONN, -EMSGSIZE, -EBADF, or another -errno of send(2).
 */
int64_t ipk_stream_try_send(int fd, const void *data, uint64_t size);

/* As ipk_stream_try_write and ipk_stream_try_send, of two pieces as one: writev(2), sendmsg(2). */
int64_t ipk_stream_try_write_both(int fd, const void *head, uint64_t head_size, const void *data, uint64_t size);
int64_t ipk_stream_try_send_both(int fd, const void *head, uint64_t head_size, const void *data, uint64_t size);

/* Read once, at most `size` bytes, 1 or more: read(2).
 *
 * Blocks where the descriptor does. Returns how many bytes came; 0 at the end; -EAGAIN where there are none; -EINTR, -EBADF, or
 * another -errno of read(2).
 */
int64_t ipk_stream_try_read(int fd, void *into, uint64_t size);

/* The same on a socket, whatever its blocking mode: recv(2). Never waits. */
int64_t ipk_stream_try_receive(int fd, void *into, uint64_t size);

/* cffi: end */

#endif
