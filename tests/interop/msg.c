/* System V message queues with the plain calls of libc: msgget(2), msgop(2), msgctl(2), ftok(3).
 *
 *	msg create KEY            makes a queue of that key, and prints its number
 *	msg send KEY TYPE         sends each line of standard input, and a last empty message
 *	msg receive KEY TYPE      prints "TYPE LENGTH DATA" for each message, to the empty one
 *	msg key PATH ID           prints what ftok gives
 *	msg remove KEY
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>

#define LONGEST 8192

struct message {
	long type;
	char data[LONGEST];
};

static struct message message;

static int fail(const char *call)
{
	fprintf(stderr, "%s: %s\n", call, strerror(errno));
	return 1;
}

static int send_lines(int queue, long type)
{
	size_t length;

	do {
		length = fgets(message.data, LONGEST, stdin) ? strcspn(message.data, "\n") : 0;
		message.type = type;
		if (msgsnd(queue, &message, length, 0) < 0)
			return fail("msgsnd");
	} while (length > 0);
	return 0;
}

static int receive_lines(int queue, long type)
{
	ssize_t length;

	do {
		length = msgrcv(queue, &message, LONGEST, type, 0);
		if (length < 0)
			return fail("msgrcv");
		printf("%ld %zd %.*s\n", message.type, length, (int)length, message.data);
		fflush(stdout);
	} while (length > 0);
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";
	key_t key;
	int queue;

	if (strcmp(verb, "key") == 0 && argc > 3) {
		key = ftok(argv[2], atoi(argv[3]));
		printf("%d\n", key);
		return key == -1 ? fail("ftok") : 0;
	}
	if (argc < 3)
		return 2;
	key = (key_t)strtol(argv[2], NULL, 0);
	queue = msgget(key, strcmp(verb, "create") == 0 ? IPC_CREAT | IPC_EXCL | 0600 : 0);
	if (queue < 0)
		return fail("msgget");
	if (strcmp(verb, "create") == 0)
		printf("%d\n", queue);
	else if (strcmp(verb, "send") == 0 && argc > 3)
		return send_lines(queue, atol(argv[3]));
	else if (strcmp(verb, "receive") == 0 && argc > 3)
		return receive_lines(queue, atol(argv[3]));
	else if (strcmp(verb, "remove") == 0)
		return msgctl(queue, IPC_RMID, NULL) < 0 ? fail("msgctl") : 0;
	else
		return 2;
	return 0;
}
