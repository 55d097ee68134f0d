/* Send and take signals as a C program does.
 *
 * signals send PID SIGNUM VALUE...   queues one for each value
 * signals wait SIGNUM COUNT          prints "ready", then "SIGNUM CODE PID VALUE" for each that it takes
 * signals hold                       prints "ready" and ends with its input
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int failed(const char *call)
{
	fprintf(stderr, "%s: %s\n", call, strerror(errno));
	return 1;
}

static int ready(void)
{
	puts("ready");
	return fflush(stdout);
}

static int send_all(int argc, char **argv)
{
	for (int i = 4; i < argc; i++)
		if (sigqueue(atoi(argv[2]), atoi(argv[3]), (union sigval){.sival_int = atoi(argv[i])}) < 0)
			return failed("sigqueue");
	return 0;
}

static int wait_all(int signum, int count)
{
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signum);
	sigprocmask(SIG_BLOCK, &set, NULL);
	ready();
	while (count-- > 0) {
		if (sigwaitinfo(&set, &info) < 0)
			return failed("sigwaitinfo");
		printf("%d %d %d %d\n", info.si_signo, info.si_code, info.si_pid, info.si_value.sival_int);
		fflush(stdout);
	}
	return 0;
}

int main(int argc, char **argv)
{
	char byte;

	if (argc > 4 && strcmp(argv[1], "send") == 0)
		return send_all(argc, argv);
	if (argc == 4 && strcmp(argv[1], "wait") == 0)
		return wait_all(atoi(argv[2]), atoi(argv[3]));
	if (argc == 2 && strcmp(argv[1], "hold") == 0) {
		ready();
		while (read(STDIN_FILENO, &byte, 1) > 0)
			;
		return 0;
	}
	return 2;
}
