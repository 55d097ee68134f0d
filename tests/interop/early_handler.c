/* A library that handles SIGUSR2 before the program begins: for LD_PRELOAD. It writes "early" to standard error. */
#include <signal.h>
#include <unistd.h>

static void handle(int signum)
{
	(void)signum;
	if (write(STDERR_FILENO, "early\n", 6) < 0)
		_exit(9);
}

__attribute__((constructor)) static void install(void)
{
	struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};

	sigaction(SIGUSR2, &action, NULL);
}
