/* sysv_msg.h: the answers of the kernel, with real peers in other processes; and that no interruption costs a message. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "ipckit/base.h"
#include "ipckit/sysv_msg.h"
#include "support.h"

#define MS INT64_C(1000000)
#define MESSAGES 20000
#define SHORT_NS 20000
#define ROOM 64

struct box {
	int64_t type;
	char data[ROOM];
};

static int queue = -1;
static struct box box;

static void put(int64_t type, const char *data)
{
	CHECK_EQ(ipk_sysv_msg_try_send(queue, type, data, strlen(data)), 0);
}

static void got(int64_t size, int64_t type, const char *data)
{
	CHECK_EQ(size, strlen(data));
	CHECK_EQ(box.type, type);
	CHECK(memcmp(box.data, data, strlen(data)) == 0);
}

static int64_t get(int64_t type, int flags)
{
	memset(&box, 0x55, sizeof(box));
	return ipk_sysv_msg_try_receive(queue, &box, ROOM, type, flags);
}

static int64_t messages(void)
{
	struct ipk_sysv_msg_status status;

	CHECK_EQ(ipk_sysv_msg_stat(queue, &status), 0);
	return status.messages;
}

static void types_choose(void)
{
	put(3, "c");
	put(1, "a");
	put(2, "b");
	put(1, "aa");
	got(get(2, 0), 2, "b");
	got(get(-2, 0), 1, "a");
	got(get(0, 0), 3, "c");
	put(3, "cc");
	got(get(1, IPK_SYSV_MSG_EXCEPT), 3, "cc");
	CHECK_EQ(get(1, IPK_SYSV_MSG_EXCEPT), -EAGAIN);
	CHECK_EQ(get(2, 0), -EAGAIN);
	got(get(INT64_MIN, 0), 1, "aa");
	CHECK_EQ(get(0, 0), -EAGAIN);
}

static void sizes(void)
{
	static char large[IPK_SYSV_MSG_SMALL + 1];

	put(1, "12345");
	CHECK_EQ(ipk_sysv_msg_try_receive(queue, &box, 4, 0, 0), -E2BIG);
	CHECK_EQ(messages(), 1);
	CHECK_EQ(ipk_sysv_msg_try_receive(queue, &box, 4, 0, IPK_SYSV_MSG_TRUNCATE), 4);
	CHECK_EQ(messages(), 0);
	CHECK_EQ(ipk_sysv_msg_try_send(queue, 1, NULL, 0), 0);
	got(get(0, 0), 1, "");
	CHECK_EQ(ipk_sysv_msg_try_send(queue, 1, large, sizeof(large)), -EMSGSIZE);
	CHECK_EQ(ipk_sysv_msg_try_send(queue, 0, "x", 1), -EINVAL);
	CHECK_EQ(ipk_sysv_msg_try_send(queue, -1, "x", 1), -EINVAL);
}

static void peek_leaves_the_message(void)
{
	int64_t rc = ipk_sysv_msg_peek(queue, &box, ROOM, 0);

	if (rc == -ENOSYS) {
		puts("    skipped: a kernel without CONFIG_CHECKPOINT_RESTORE");
		return;
	}
	CHECK_EQ(rc, -EAGAIN);
	put(5, "old");
	put(1, "new");
	got(ipk_sysv_msg_peek(queue, &box, ROOM, 0), 5, "old");
	got(ipk_sysv_msg_peek(queue, &box, ROOM, 1), 1, "new");
	CHECK_EQ(ipk_sysv_msg_peek(queue, &box, ROOM, 2), -EAGAIN);
	CHECK_EQ(ipk_sysv_msg_peek(queue, &box, 2, 0), -E2BIG);
	CHECK_EQ(messages(), 2);
	got(get(0, 0), 5, "old");
	got(get(0, 0), 1, "new");
}

static void stat_and_set(void)
{
	struct ipk_sysv_msg_status status;

	CHECK_EQ(ipk_sysv_msg_stat(queue, &status), 0);
	CHECK_EQ(status.key, IPC_PRIVATE);
	CHECK_EQ(status.mode, 0600);
	CHECK_EQ(status.creator_uid, geteuid());
	CHECK_EQ(status.last_send_pid, getpid());
	CHECK(status.change_s > 0 && status.last_send_s >= status.change_s);
	status.mode = 0640;
	status.max_bytes = 10;
	CHECK_EQ(ipk_sysv_msg_set(queue, &status), 0);
	put(1, "1234567890");
	CHECK_EQ(ipk_sysv_msg_try_send(queue, 1, "x", 1), -EAGAIN);
	CHECK_EQ(ipk_sysv_msg_try_send(queue, 1, "", 0), 0); /* of no bytes, and one of ten messages */
	CHECK_EQ(ipk_sysv_msg_stat(queue, &status), 0);
	CHECK_EQ(status.mode, 0640);
	CHECK_EQ(status.bytes, 10);
	CHECK_EQ(status.messages, 2);
	got(get(0, 0), 1, "1234567890");
	got(get(0, 0), 1, "");
	status.mode = 0600;
	status.max_bytes = 16384;
	CHECK_EQ(ipk_sysv_msg_set(queue, &status), 0);
}

static void keys(void)
{
	int32_t first, second;
	int id;

	CHECK_EQ(ipk_sysv_ftok("/", 1, &first), 0);
	CHECK_EQ(ipk_sysv_ftok("/", 257, &second), 0);
	CHECK_EQ(first, second);
	CHECK_EQ(ipk_sysv_ftok("/", 2, &second), 0);
	CHECK(first != second);
	CHECK_EQ(ipk_sysv_ftok("/does/not/exist", 1, &first), -ENOENT);
	CHECK_EQ(ipk_sysv_msg_get(second, 0, 0600), -ENOENT);
	id = ipk_sysv_msg_get(second, 1, 0600);
	CHECK(id >= 0);
	CHECK_EQ(ipk_sysv_msg_get(second, 1, 0600), -EEXIST);
	CHECK_EQ(ipk_sysv_msg_get(second, 0, 0600), id);
	CHECK_EQ(ipk_sysv_msg_remove(id), 0);
	CHECK(ipk_sysv_msg_remove(id) == -EINVAL || ipk_sysv_msg_remove(id) == -EIDRM);
}

static void deadlines_are_kept(void)
{
	int64_t deadline = ipk_monotonic_ns() + 5 * MS;

	CHECK_EQ(ipk_sysv_msg_receive(queue, &box, ROOM, 0, 0, deadline), -ETIMEDOUT);
	CHECK(ipk_monotonic_ns() >= deadline);
	while (ipk_sysv_msg_try_send(queue, 1, box.data, ROOM) == 0)
		;
	deadline = ipk_monotonic_ns() + 5 * MS;
	box.type = 1;
	CHECK_EQ(ipk_sysv_msg_send(queue, &box, ROOM, 0), -EAGAIN);
	CHECK_EQ(ipk_sysv_msg_send(queue, &box, ROOM, deadline), -ETIMEDOUT);
	CHECK(ipk_monotonic_ns() >= deadline);
	CHECK_EQ(get(0, 0), ROOM);
	box.type = 1;
	CHECK_EQ(ipk_sysv_msg_send(queue, &box, ROOM, ipk_monotonic_ns() + 5 * MS), 0);
	while (get(0, 0) == ROOM)
		;
}

static void handler(int signum)
{
	(void)signum;
}

static void wait_for_signal(void *unused)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};

	(void)unused;
	sigaction(SIGUSR1, &action, NULL);
	CHECK_EQ(ipk_sysv_msg_receive(queue, &box, ROOM, 0, 0, IPK_NEVER), -EINTR);
}

static void handler_ends_the_wait(void)
{
	pid_t pid = start(wait_for_signal, NULL);

	wait_blocked(pid, SYS_msgrcv, ANY_ADDRESS);
	kill(pid, SIGUSR1);
	CHECK_EQ(reap(pid), 0);
}

static void receive_until_removed(void *id)
{
	CHECK_EQ(ipk_sysv_msg_receive(*(int *)id, &box, ROOM, 0, 0, IPK_NEVER), -EIDRM);
}

static void send_until_removed(void *id)
{
	box.type = 1;
	while (ipk_sysv_msg_send(*(int *)id, &box, ROOM, 0) == 0)
		;
	CHECK_EQ(ipk_sysv_msg_send(*(int *)id, &box, ROOM, IPK_NEVER), -EIDRM);
}

static void removal_ends_every_wait(void)
{
	void (*waits[])(void *) = {receive_until_removed, send_until_removed};
	const long calls[] = {SYS_msgrcv, SYS_msgsnd};

	for (int i = 0; i < 2; i++) {
		int id = ipk_sysv_msg_get(0, 1, 0600);
		pid_t pid = start(waits[i], &id);

		wait_blocked(pid, calls[i], ANY_ADDRESS);
		CHECK_EQ(ipk_sysv_msg_remove(id), 0);
		CHECK_EQ(reap(pid), 0);
	}
}

static void send_all(void *count)
{
	for (uint32_t i = 0; i < *(uint32_t *)count; i++) {
		int rc;

		box.type = 1 + i;
		memcpy(box.data, &i, sizeof(i));
		do {
			rc = ipk_sysv_msg_send(queue, &box, sizeof(i), ipk_monotonic_ns() + SHORT_NS);
		} while (rc == -ETIMEDOUT || rc == -EINTR);
		CHECK_EQ(rc, 0);
	}
}

/* Both sides give up after 20 us, over and over: each message comes once, and in its order. The queue is small, so that
 * both really wait. */
static void interruptions_lose_nothing(void)
{
	struct ipk_sysv_msg_status status;
	uint32_t count = MESSAGES, expired = 0;
	pid_t sender;

	CHECK_EQ(ipk_sysv_msg_stat(queue, &status), 0);
	status.max_bytes = 16;
	CHECK_EQ(ipk_sysv_msg_set(queue, &status), 0);
	sender = start(send_all, &count);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t content;
		int64_t rc;

		while ((rc = ipk_sysv_msg_receive(queue, &box, ROOM, 0, 0, ipk_monotonic_ns() + SHORT_NS)) < 0) {
			CHECK(rc == -ETIMEDOUT || rc == -EINTR);
			expired++;
		}
		memcpy(&content, box.data, sizeof(content));
		CHECK_EQ(rc, sizeof(content));
		CHECK_EQ(content, i);
		CHECK_EQ(box.type, 1 + i);
	}
	CHECK_EQ(reap(sender), 0);
	CHECK_EQ(messages(), 0);
	CHECK(expired > 0);
	printf("    %u messages, %u times the receiver gave up\n", count, expired);
}

int main(void)
{
	/* where that is allowed, what a failing test leaves goes with the namespace */
	if (unshare(CLONE_NEWIPC) < 0)
		CHECK(errno == EPERM || errno == EINVAL);
	queue = ipk_sysv_msg_get(0, 1, 0600);
	CHECK(queue >= 0);
	RUN(types_choose);
	RUN(sizes);
	RUN(peek_leaves_the_message);
	RUN(stat_and_set);
	RUN(keys);
	RUN(deadlines_are_kept);
	RUN(handler_ends_the_wait);
	RUN(removal_ends_every_wait);
	RUN(interruptions_lose_nothing);
	CHECK_EQ(ipk_sysv_msg_remove(queue), 0);
	return 0;
}
