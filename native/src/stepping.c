#include "ipckit/stepping.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipckit/base.h"
#include "path.h"

#if defined(__x86_64__)
#define POINTER(registers) ((registers).rip)
#define STACK(registers) ((registers).rsp)
#define SYSTEM_CALL 0x050FU /* syscall */
#define SYSTEM_CALL_MASK 0xFFFFU
#define BREAKPOINT 0xCCU /* int3 */
#define BREAKPOINT_MASK 0xFFU
#define BREAKPOINT_SIZE 1U /* the pointer is behind it when it has trapped */
#elif defined(__aarch64__)
#define POINTER(registers) ((registers).pc)
#define STACK(registers) ((registers).sp)
#define SYSTEM_CALL 0xD4000001U /* svc #0 */
#define SYSTEM_CALL_MASK 0xFFFFFFFFU
#define BREAKPOINT 0xD4200000U /* brk #0 */
#define BREAKPOINT_MASK 0xFFFFFFFFU
#define BREAKPOINT_SIZE 0U
#else
#define UNKNOWN_MACHINE
#endif

#define LOOKS_UNTIL_ASLEEP 3 /* that /proc must say in a row that it sleeps */

#ifndef UNKNOWN_MACHINE

typedef struct user_regs_struct registers_t;

static int access_registers(int32_t pid, enum __ptrace_request request, registers_t *registers)
{
	struct iovec area = {registers, sizeof(*registers)};

	return ptrace(request, pid, NT_PRSTATUS, &area) < 0 ? -errno : 0;
}

static int look(int32_t pid, struct ipk_step *step)
{
	registers_t registers;
	int rc = access_registers(pid, PTRACE_GETREGSET, &registers);

	if (rc < 0)
		return rc;
	step->address = POINTER(registers);
	step->stack = STACK(registers);
	return 0;
}

static int peek(int32_t pid, uint64_t address, unsigned long *word)
{
	errno = 0;
	*word = (unsigned long)ptrace(PTRACE_PEEKTEXT, pid, address, NULL);
	return errno ? -errno : 0;
}

/* The next thing that happens to the process, if it has. *signum: of the stop; SIGTRAP if it is ours. hang: wait for it.
 * Returns 1: it is stopped; 0: nothing yet; IPK_STEP_ENDED, and it is not reaped. */
static int next_stop(int32_t pid, bool hang, int *signum)
{
	siginfo_t info;
	int rc;

	do {
		info.si_pid = 0;
		rc = waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED | WNOWAIT | __WALL | (hang ? 0 : WNOHANG));
	} while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return -errno;
	if (info.si_pid == 0)
		return 0;
	if (info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED)
		return IPK_STEP_ENDED;
	*signum = info.si_status & 0xFF; /* above it: which event of ptrace(2) */
	return waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG | __WALL) < 0 ? -errno : 1;
}

int ipk_step_seize(int32_t pid, struct ipk_step *step)
{
	int signum, rc;

	memset(step, 0, sizeof(*step));
	if (ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_EXITKILL) < 0 || ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0)
		return -errno;
	rc = next_stop(pid, true, &signum);
	return rc == 1 ? look(pid, step) : rc < 0 ? rc : -ESRCH;
}

/* Whether the process sleeps in a system call: proc_pid_syscall(5) says "running" of one that does not. */
static bool sleeps(int32_t pid)
{
	char path[IPK_PATH_SIZE], text[4] = "";
	int fd;

	ipk_path_of_process(path, (uint64_t)pid, "syscall");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, text, sizeof(text) - 1) < 1)
		text[0] = 'r';
	close(fd);
	return text[0] != 'r';
}

/* Wait for the stop that ends a system call. Returns as next_stop, 0: it sleeps, and the deadline has passed. */
static int end_of_call(int32_t pid, int *signum, int64_t deadline_ns)
{
	int asleep = 0;
	int rc;

	while ((rc = next_stop(pid, false, signum)) == 0) {
		asleep = sleeps(pid) ? asleep + 1 : 0;
		if (asleep >= LOOKS_UNTIL_ASLEEP && ipk_monotonic_ns() >= deadline_ns)
			return 0;
		sched_yield();
	}
	return rc;
}

/* What the end of a step means. Returns IPK_STEP_..., -errno. */
static int stepped(int32_t pid, struct ipk_step *step, int stop)
{
	if (stop == 0)
		return IPK_STEP_BLOCKED;
	if (stop != 1)
		return stop;
	step->steps++;
	return look(pid, step);
}

int ipk_step_once(int32_t pid, struct ipk_step *step)
{
	unsigned long word;
	int signum = 0;
	int stop;
	int rc = peek(pid, step->address, &word);
	bool calling = (word & SYSTEM_CALL_MASK) == SYSTEM_CALL;

	if (rc < 0)
		return rc;
	step->calls += calling;
	do {
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, (long)(signum == SIGTRAP ? 0 : signum)) < 0)
			return -errno;
		stop = calling ? end_of_call(pid, &signum, 0) : next_stop(pid, true, &signum);
	} while (stop == 1 && signum != SIGTRAP);
	return stepped(pid, step, stop);
}

int ipk_step_to_change(int32_t pid, struct ipk_step *step, uint64_t end, const void *watched, void *last, uint64_t size)
{
	uint32_t calls = step->calls;
	int rc = IPK_STEP_DONE;

	while (rc == IPK_STEP_DONE && step->address != end && step->calls == calls && memcmp(watched, last, size) == 0)
		rc = ipk_step_once(pid, step);
	memcpy(last, watched, size);
	return rc;
}

int ipk_step_wait(int32_t pid, struct ipk_step *step, int64_t deadline_ns)
{
	int signum;

	return stepped(pid, step, end_of_call(pid, &signum, deadline_ns));
}

static int poke(int32_t pid, uint64_t address, unsigned long word)
{
	return ptrace(PTRACE_POKETEXT, pid, address, word) < 0 ? -errno : 0;
}

/* The process has stopped, perhaps at the breakpoint: put the pointer back onto the instruction. */
static int arrive(int32_t pid, struct ipk_step *step, uint64_t address)
{
	registers_t registers;
	int rc = access_registers(pid, PTRACE_GETREGSET, &registers);

	if (rc == 0 && POINTER(registers) - BREAKPOINT_SIZE == address) {
		POINTER(registers) = address;
		rc = access_registers(pid, PTRACE_SETREGSET, &registers);
	}
	return rc < 0 ? rc : look(pid, step);
}

/* Let it run until it stops for us; at the deadline, stop it. Returns as next_stop. */
static int run(int32_t pid, int64_t deadline_ns)
{
	bool late = false;
	int signum = SIGTRAP;
	int rc;

	do {
		if (ptrace(PTRACE_CONT, pid, NULL, (long)(signum == SIGTRAP ? 0 : signum)) < 0)
			return -errno;
		while ((rc = next_stop(pid, false, &signum)) == 0) {
			if (!late && ipk_monotonic_ns() >= deadline_ns) {
				late = true;
				if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0)
					return -errno;
			}
			sched_yield();
		}
	} while (rc == 1 && signum != SIGTRAP);
	return rc;
}

int ipk_step_run_to(int32_t pid, struct ipk_step *step, uint64_t address, int64_t deadline_ns)
{
	unsigned long word;
	int rc = peek(pid, address, &word);

	if (rc < 0 || (rc = poke(pid, address, (word & ~(unsigned long)BREAKPOINT_MASK) | BREAKPOINT)) < 0)
		return rc;
	rc = run(pid, deadline_ns);
	if (rc != 1)
		return rc;
	rc = poke(pid, address, word);
	if (rc < 0 || (rc = arrive(pid, step, address)) < 0)
		return rc;
	return step->address == address ? IPK_STEP_DONE : -ETIMEDOUT;
}

int ipk_step_let_go(int32_t pid)
{
	return ptrace(PTRACE_DETACH, pid, NULL, NULL) < 0 ? -errno : 0;
}

#else /* a machine whose registers we don't know */

int ipk_step_seize(int32_t pid, struct ipk_step *step)
{
	(void)pid;
	memset(step, 0, sizeof(*step));
	return -EOPNOTSUPP;
}

int ipk_step_once(int32_t pid, struct ipk_step *step)
{
	(void)pid;
	(void)step;
	return -EOPNOTSUPP;
}

int ipk_step_wait(int32_t pid, struct ipk_step *step, int64_t deadline_ns)
{
	(void)deadline_ns;
	return ipk_step_once(pid, step);
}

int ipk_step_run_to(int32_t pid, struct ipk_step *step, uint64_t address, int64_t deadline_ns)
{
	(void)address;
	return ipk_step_wait(pid, step, deadline_ns);
}

int ipk_step_let_go(int32_t pid)
{
	(void)pid;
	return -EOPNOTSUPP;
}

#endif

__attribute__((noinline)) void ipk_step_begin(void)
{
	__asm__ volatile("");
}

__attribute__((noinline)) void ipk_step_end(void)
{
	__asm__ volatile("");
}

uint64_t ipk_step_begins_at(void)
{
	return (uint64_t)(uintptr_t)ipk_step_begin;
}

uint64_t ipk_step_ends_at(void)
{
	return (uint64_t)(uintptr_t)ipk_step_end;
}
