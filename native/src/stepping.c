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

/* What a stop means: IPK_STEP_DONE; IPK_STEP_ENDED; or the number of a signal, negated and less 1000, that the process shall get. */
static int judge(int status)
{
	if (!WIFSTOPPED(status))
		return IPK_STEP_ENDED;
	if (WSTOPSIG(status) == SIGTRAP)
		return IPK_STEP_DONE;
	return -1000 - WSTOPSIG(status);
}

int ipk_step_seize(int32_t pid, struct ipk_step *step)
{
	int status;

	memset(step, 0, sizeof(*step));
	if (ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_EXITKILL) < 0 || ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0)
		return -errno;
	while (waitpid(pid, &status, __WALL) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFSTOPPED(status) ? look(pid, step) : -ESRCH;
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

/* Wait for the stop that ends a step. calling: it may be asleep, in a system call. */
static int await_stop(int32_t pid, struct ipk_step *step, bool calling, int64_t deadline_ns)
{
	int status, rc;
	int asleep = 0;

	for (;;) {
		pid_t found = waitpid(pid, &status, calling ? WNOHANG | __WALL : __WALL);

		if (found < 0 && errno != EINTR)
			return -errno;
		if (found == pid)
			break;
		asleep = sleeps(pid) ? asleep + 1 : 0;
		if (asleep >= LOOKS_UNTIL_ASLEEP && ipk_monotonic_ns() >= deadline_ns)
			return IPK_STEP_BLOCKED;
		sched_yield();
	}
	rc = judge(status);
	if (rc == IPK_STEP_ENDED)
		return rc;
	if (rc == IPK_STEP_DONE) {
		step->steps++;
		rc = look(pid, step);
	}
	return rc;
}

int ipk_step_once(int32_t pid, struct ipk_step *step)
{
	unsigned long word;
	long signum = 0;
	int rc = peek(pid, step->address, &word);
	bool calling = (word & SYSTEM_CALL_MASK) == SYSTEM_CALL;

	if (rc < 0)
		return rc;
	step->calls += calling;
	for (;;) {
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, signum) < 0)
			return -errno;
		rc = await_stop(pid, step, calling, 0);
		if (rc > -1000)
			return rc;
		signum = -1000 - rc;
	}
}

int ipk_step_wait(int32_t pid, struct ipk_step *step, int64_t deadline_ns)
{
	int rc = await_stop(pid, step, true, deadline_ns);

	return rc > -1000 ? rc : look(pid, step); /* the signal that ended it is lost */
}

static int poke(int32_t pid, uint64_t address, unsigned long word)
{
	return ptrace(PTRACE_POKETEXT, pid, address, word) < 0 ? -errno : 0;
}

/* The process has come to the breakpoint: put the pointer back onto the instruction. */
static int arrive(int32_t pid, struct ipk_step *step, uint64_t address)
{
	registers_t registers;
	int rc = access_registers(pid, PTRACE_GETREGSET, &registers);

	if (rc < 0)
		return rc;
	if (POINTER(registers) - BREAKPOINT_SIZE == address) {
		POINTER(registers) = address;
		rc = access_registers(pid, PTRACE_SETREGSET, &registers);
	}
	return rc < 0 ? rc : look(pid, step);
}

int ipk_step_run_to(int32_t pid, struct ipk_step *step, uint64_t address, int64_t deadline_ns)
{
	unsigned long word;
	int status;
	int rc = peek(pid, address, &word);
	bool late = false;

	if (rc < 0 || (rc = poke(pid, address, (word & ~(unsigned long)BREAKPOINT_MASK) | BREAKPOINT)) < 0)
		return rc;
	if (ptrace(PTRACE_CONT, pid, NULL, NULL) < 0)
		return -errno;
	for (;;) {
		pid_t found = waitpid(pid, &status, WNOHANG | __WALL);

		if (found < 0 && errno != EINTR)
			return -errno;
		if (found == pid && judge(status) <= -1000) { /* a signal on its way: hand it on */
			if (ptrace(PTRACE_CONT, pid, NULL, (long)WSTOPSIG(status)) < 0)
				return -errno;
		} else if (found == pid) {
			break;
		}
		if (!late && ipk_monotonic_ns() >= deadline_ns) {
			late = true;
			if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0)
				return -errno;
		}
		sched_yield();
	}
	if (!WIFSTOPPED(status))
		return IPK_STEP_ENDED;
	rc = poke(pid, address, word);
	if (rc < 0 || (rc = arrive(pid, step, address)) < 0)
		return rc;
	return step->address == address ? IPK_STEP_DONE : late ? -ETIMEDOUT : -EINTR;
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
