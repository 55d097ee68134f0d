/* Run another process instruction by instruction, to kill it after any of them: ptrace(2). For tests.
 *
 * A tracer is a thread: all calls about one process come from the thread that seized it.
 */
#ifndef IPCKIT_STEPPING_H
#define IPCKIT_STEPPING_H

#include <stdint.h>

/* cffi: types */
#define IPK_STEP_DONE 0    /* the instruction is executed */
#define IPK_STEP_BLOCKED 1 /* it is a system call, which sleeps; ipk_step_wait sees it end */
#define IPK_STEP_ENDED 2   /* the process has ended, and is for waitpid(2) to reap */

struct ipk_step {
	uint64_t address; /* of the next instruction; while blocked, of the system call's */
	uint64_t stack;   /* stack pointer */
	uint32_t calls;   /* system calls that were begun since the process was seized */
	uint32_t reserved;
	uint64_t steps;   /* instructions that were executed since */
};
/* cffi: end */

/* cffi: begin */

/* Stop process pid, and begin to trace it; it is killed if we end. step: zeroed memory, filled in. Blocks until it is stopped.
 * Returns 0, -EPERM if it is not ours to trace (see ptrace_scope in ptrace(2)), -ESRCH, -EOPNOTSUPP on a machine whose
 * instructions we can't tell, -errno. */
int ipk_step_seize(int32_t pid, struct ipk_step *step);

/* Execute one instruction. A signal that is due is delivered first. Blocks, as long as the instruction does not fall asleep.
 * Returns IPK_STEP_..., -errno. */
int ipk_step_once(int32_t pid, struct ipk_step *step);

/* Execute instructions until one changes any of the `size` bytes at watched, which we share with the process and which were as in
 * `last` (which follows), or is a system call, or until the next one is at address `end`. Returns as ipk_step_once. */
int ipk_step_to_change(int32_t pid, struct ipk_step *step, uint64_t end, const void *watched, void *last, uint64_t size);

/* Wait until the system call that blocks has ended, or the deadline. Returns as ipk_step_once; IPK_STEP_BLOCKED at the deadline. */
int ipk_step_wait(int32_t pid, struct ipk_step *step, int64_t deadline_ns);

/* Let it run until it comes to the instruction at address, or the deadline. Returns IPK_STEP_DONE there, IPK_STEP_ENDED,
 * -ETIMEDOUT (it is stopped wherever it was), -errno. */
int ipk_step_run_to(int32_t pid, struct ipk_step *step, uint64_t address, int64_t deadline_ns);

/* Let it go, untraced. Returns 0, -errno. */
int ipk_step_let_go(int32_t pid);

/* Do nothing: the process to be stepped calls them before and after what is to be stepped. And where they are in the calling process. */
void ipk_step_begin(void);
void ipk_step_end(void);
uint64_t ipk_step_begins_at(void);
uint64_t ipk_step_ends_at(void);

/* cffi: end */

#endif
