/* POSIX message queues: the calls that are made for every message, mq_notify(3) with a socket in the thread's place, and
 * what a queue tells of itself.
 *
 * A queue is its descriptor. No function here waits, whatever O_NONBLOCK of the description says, which every process
 * that shares the description may change: each attempt carries a deadline that has passed.
 */
#ifndef IPCKIT_MQUEUE_H
#define IPCKIT_MQUEUE_H

#include <stdint.h>

/* cffi: types */
#define IPK_MQUEUE_COOKIE 32 /* bytes of a notification that arrives at a socket: NOTIFY_COOKIE_LEN of the kernel */

struct ipk_mqueue_attributes {
	int64_t max_messages;
	int64_t max_message_size; /* bytes */
	int64_t messages;         /* in the queue now */
};
/* cffi: end */

/* cffi: begin */

/* Append `length` bytes at `data`: mq_timedsend(3). Does not block.
 *
 * Returns 0, or -errno: -EAGAIN (full), -EINTR, -EMSGSIZE, -EINVAL (priority above 32767), -EBADF (no queue, or not
 * open for sending).
 */
int ipk_mqueue_try_send(int mqd, const char *data, uint64_t length, uint32_t priority);

/* Take the oldest message of the highest priority into `size` bytes at `into`, and its priority: mq_timedreceive(3).
 *
 * size: at least the queue's limit for one message. Does not block.
 * Returns the length, or -errno: -EAGAIN (empty), -EINTR, -EMSGSIZE (size too small; the message stays), -EBADF.
 */
int64_t ipk_mqueue_try_receive(int mqd, char *into, uint64_t size, uint32_t *priority);

/* Have this process get the signal, once, when a message comes to the empty queue: mq_notify(3), SIGEV_SIGNAL.
 *
 * value: arrives in si_value. Does not block. Returns 0, or -errno: -EBUSY (some process is registered), -EBADF.
 */
int ipk_mqueue_notify_signal(int mqd, int signum, int value);

/* Have the kernel send the cookie to a socket, once, when a message comes to the empty queue.
 *
 * This is what C libraries build SIGEV_THREAD on. The last byte of the cookie is the kernel's: 1 where a message came,
 * 2 where the registration was removed, by this process's ipk_mqueue_notify_cancel or its closing any descriptor of
 * the queue. One of the two always comes, for the room in the socket is taken here.
 *
 * socket: of AF_NETLINK, with room; then this does not block. cookie: IPK_MQUEUE_COOKIE bytes, copied.
 * Returns 0, or -errno: -EBUSY (some process is registered), -EBADF, -EINVAL (no such socket), -ENOMEM.
 */
int ipk_mqueue_notify_socket(int mqd, int socket, const char *cookie);

/* Remove this process's registration, if it has one. Does not block. Returns 0, or -EBADF. */
int ipk_mqueue_notify_cancel(int mqd);

/* Tell how many messages the queue takes and has: mq_getattr(3). Any descriptor of the queue will do, whatever it was
 * opened for. Does not block. Returns 0, or -EBADF. */
int ipk_mqueue_attributes(int mqd, struct ipk_mqueue_attributes *attributes);

/* cffi: end */

#endif
