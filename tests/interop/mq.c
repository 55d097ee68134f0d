/* POSIX message queues on plain libc: mq_overview(7). It knows nothing of ipckit.
 *
 *   mq send NAME PRIORITY TEXT...      sends each text, waiting for room
 *   mq receive NAME COUNT              prints "PRIORITY TEXT" for each, waiting for it
 *   mq flags FD                        prints mq_flags, the limits and the count of an inherited descriptor
 *   mq receive-fd FD                   as receive, from an inherited descriptor
 *   mq signal NAME VALUE               registers for SIGUSR1, and prints what arrives: "CODE VALUE PID"
 *   mq thread NAME VALUE               registers for a thread of the C library's; prints "VALUE" in it
 */
#include <errno.h>
#include <mqueue.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sem_t called;

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static void print_one(mqd_t queue)
{
	struct mq_attr attr;
	unsigned int priority;
	ssize_t length;
	char *text;

	if (mq_getattr(queue, &attr) < 0)
		fail("mq_getattr");
	text = malloc((size_t)attr.mq_msgsize);
	if (!text)
		fail("malloc");
	length = mq_receive(queue, text, (size_t)attr.mq_msgsize, &priority);
	if (length < 0)
		fail("mq_receive");
	printf("%u %.*s\n", priority, (int)length, text);
	free(text);
}

static void in_thread(union sigval value)
{
	printf("%d\n", value.sival_int);
	sem_post(&called);
}

static void wait_for_signal(mqd_t queue, int value)
{
	struct sigevent how = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	siginfo_t info;
	sigset_t set;

	how.sigev_value.sival_int = value;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (mq_notify(queue, &how) < 0)
		fail("mq_notify");
	puts("registered");
	if (sigwaitinfo(&set, &info) < 0)
		fail("sigwaitinfo");
	printf("%s %d %ld\n", info.si_code == SI_MESGQ ? "SI_MESGQ" : "other", info.si_value.sival_int, (long)info.si_pid);
}

static void wait_for_thread(mqd_t queue, int value)
{
	struct sigevent how = { .sigev_notify = SIGEV_THREAD, .sigev_notify_function = in_thread };

	how.sigev_value.sival_int = value;
	sem_init(&called, 0, 0);
	if (mq_notify(queue, &how) < 0)
		fail("mq_notify");
	puts("registered");
	while (sem_wait(&called) < 0 && errno == EINTR)
		;
}

static mqd_t opened(const char *name, int flags)
{
	mqd_t queue = mq_open(name, flags);

	if (queue == (mqd_t)-1)
		fail("mq_open");
	return queue;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(verb, "send") == 0 && argc > 4) {
		mqd_t queue = opened(argv[2], O_WRONLY);

		for (int i = 4; i < argc; i++)
			if (mq_send(queue, argv[i], strlen(argv[i]), (unsigned int)atoi(argv[3])) < 0)
				fail("mq_send");
	} else if (strcmp(verb, "receive") == 0 && argc == 4) {
		mqd_t queue = opened(argv[2], O_RDONLY);

		for (int i = 0; i < atoi(argv[3]); i++)
			print_one(queue);
	} else if (strcmp(verb, "flags") == 0) {
		struct mq_attr attr;

		if (mq_getattr((mqd_t)atoi(argv[2]), &attr) < 0)
			fail("mq_getattr");
		printf("%s %ld %ld %ld\n", attr.mq_flags & O_NONBLOCK ? "O_NONBLOCK" : "0", attr.mq_maxmsg, attr.mq_msgsize,
		       attr.mq_curmsgs);
	} else if (strcmp(verb, "receive-fd") == 0) {
		print_one((mqd_t)atoi(argv[2]));
	} else if (strcmp(verb, "signal") == 0 && argc == 4) {
		wait_for_signal(opened(argv[2], O_RDWR), atoi(argv[3]));
	} else if (strcmp(verb, "thread") == 0 && argc == 4) {
		wait_for_thread(opened(argv[2], O_RDWR), atoi(argv[3]));
	} else {
		fputs("see the head of mq.c\n", stderr);
		return 2;
	}
	return 0;
}
