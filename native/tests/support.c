#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "ipckit/base.h"

#define SECONDS_PER_TEST 60

static const char *current = "start-up";
static char last_name[NAME_SIZE]; /* given out by fresh_name */
static void (*print_state)(void);

void give_up(int status)
{
	if (print_state)
		print_state();
	unlink(last_name);
	_exit(status);
}

static void hung(int signum)
{
	(void)signum;
	/* not signal-safe, and we are about to end anyway */
	fprintf(stderr, "watchdog: process %d hangs in %s\n", (int)getpid(), current);
	give_up(2);
}

void watchdog(unsigned seconds, void (*state)(void))
{
	print_state = state;
	signal(SIGALRM, hung);
	alarm(seconds);
}

void beginning(const char *test)
{
	current = test;
	printf("  %s\n", test);
	fflush(stdout);
	watchdog(SECONDS_PER_TEST, print_state);
}

pid_t start(void (*function)(void *), void *argument)
{
	pid_t parent = getpid();
	pid_t pid;

	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(3);
	alarm(SECONDS_PER_TEST);
	function(argument);
	fflush(NULL);
	_exit(0);
}

int has_ended(pid_t pid)
{
	siginfo_t info;

	info.si_pid = 0;
	CHECK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0);
	return info.si_pid == pid;
}

/* proc_pid_syscall(5): "running", or the number and the arguments. */
int is_blocked(pid_t pid, long number, const void *address)
{
	char path[64], text[256];
	unsigned long first = 0;
	ssize_t length;
	long got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/syscall", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (length <= 0)
		return 0;
	text[length] = '\0';
	if (sscanf(text, "%ld %lx", &got, &first) != 2 || got != number)
		return 0;
	return address == ANY_ADDRESS || first == (unsigned long)(uintptr_t)address;
}

int settle(pid_t pid, long number, const void *address)
{
	for (;;) {
		if (is_blocked(pid, number, address))
			return 1;
		if (has_ended(pid))
			return 0;
		sched_yield();
	}
}

void wait_blocked(pid_t pid, long number, const void *address)
{
	CHECK_EQ(settle(pid, number, address), 1);
}

void stay(void)
{
	for (;;)
		ppoll(NULL, 0, NULL, NULL);
}

void wait_staying(pid_t pid)
{
	wait_blocked(pid, SYS_ppoll, ANY_ADDRESS);
}

void wait_stopped(pid_t pid)
{
	int status;

	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK(WIFSTOPPED(status));
}

int reap(pid_t pid)
{
	int status;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

void kill_child(pid_t pid)
{
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(reap(pid), -SIGKILL);
}

static unsigned char *watched; /* a page that may not be written, or not be read either */
static size_t page_size;
static _Atomic uint32_t visitor; /* NONE_YET ... */

enum { NONE_YET, STOPPED, CONTINUED };

static void stop_until_told(int signum, siginfo_t *info, void *unused)
{
	unsigned char *at = info->si_addr;

	(void)unused;
	if (at < watched || at >= watched + page_size) {
		signal(signum, SIG_DFL); /* it comes again */
		return;
	}
	atomic_store(&visitor, STOPPED);
	await(&visitor, CONTINUED);
}

static void watch(void *place, int allowed)
{
	struct sigaction action = {.sa_sigaction = stop_until_told, .sa_flags = SA_SIGINFO};

	page_size = (size_t)sysconf(_SC_PAGESIZE);
	watched = (unsigned char *)((uintptr_t)place / page_size * page_size);
	atomic_store(&visitor, NONE_YET);
	CHECK_EQ(sigaction(SIGSEGV, &action, NULL), 0);
	CHECK_EQ(mprotect(watched, page_size, allowed), 0);
}

void stop_writer(void *place)
{
	watch(place, PROT_READ);
}

void stop_reader(void *place)
{
	watch(place, PROT_NONE);
}

void wait_stopped_there(void)
{
	await(&visitor, STOPPED);
	CHECK_EQ(mprotect(watched, page_size, PROT_READ | PROT_WRITE), 0);
}

void let_go_on(void)
{
	atomic_store(&visitor, CONTINUED);
	signal(SIGSEGV, SIG_DFL);
}

void *shared_memory(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(at != MAP_FAILED);
	return at;
}

void await(_Atomic uint32_t *checkpoint, uint32_t value)
{
	while (atomic_load(checkpoint) != value)
		sched_yield();
}

void fresh_name(char *out)
{
	static unsigned count;

	snprintf(out, NAME_SIZE, "/dev/shm/ipckit.test.%d.%u", (int)getpid(), count++);
	CHECK(access(out, F_OK) < 0);
	memcpy(last_name, out, NAME_SIZE);
}

uint64_t random_seed(void)
{
	const char *given = getenv("SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)ipk_monotonic_ns();

	printf("  SEED=%" PRIu64 "\n", seed);
	return seed * 2 + 1; /* the generator never leaves 0 */
}

/* xorshift64*, Marsaglia and Vigna */
uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * UINT64_C(2685821657736338717);
}

uint64_t random_below(uint64_t *state, uint64_t limit)
{
	return (random_next(state) >> 16) % limit;
}

int open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = -3; /* ".", ".." and the directory's own */

	CHECK(directory != NULL);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

int mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	int lines = 0;
	int c;

	CHECK(maps != NULL);
	while ((c = getc(maps)) != EOF)
		lines += c == '\n';
	fclose(maps);
	return lines;
}
