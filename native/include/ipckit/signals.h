/* Signals: signal(7), sigqueue(3), sigtimedwait(2), signalfd(2), sigaction(2).
 *
 * A set of signals is a mask: bit n - 1 stands for signal n. Signals, and what they carry, are the kernel's; nothing is
 * kept here. Any thread may call anything at any time, and so may a signal handler.
 *
 * These are the system calls themselves where the C library's functions change what they tell: its sigtimedwait(3) calls
 * SI_TKILL SI_USER.
 */
#ifndef IPCKIT_SIGNALS_H
#define IPCKIT_SIGNALS_H

#include <stdint.h>

/* cffi: types */

/* Which fields of a siginfo_t there are: the kernel overlays them, and signal and code together tell which. */
#define IPK_SIGINFO_KILL 0  /* pid, uid */
#define IPK_SIGINFO_RT 1    /* pid, uid, value, pointer */
#define IPK_SIGINFO_TIMER 2 /* value, pointer, timer, overrun */
#define IPK_SIGINFO_CHILD 3 /* pid, uid, status, user_time, system_time */
#define IPK_SIGINFO_POLL 4  /* band, fd */
#define IPK_SIGINFO_FAULT 5 /* address, address_lsb */
#define IPK_SIGINFO_CALL 6  /* address, syscall, arch */

#define IPK_SIGNALS_BATCH 64 /* the most that ipk_signals_read takes at once */

/* What comes with one signal: siginfo_t of sigaction(2), one field after the other. What the layout lacks is 0.
 * Python reads it as a row of 64-bit numbers, of which pointer and address have no sign.
 */
struct ipk_siginfo {
	int64_t layout; /* IPK_SIGINFO_* */
	int64_t signum, code, error;
	int64_t pid, uid; /* of the sender, or of the child */
	int64_t value;    /* si_int */
	int64_t pointer;  /* si_ptr; it overlays the value */
	int64_t status;   /* exit status, or signal */
	int64_t band, fd;
	int64_t timer, overrun;
	int64_t user_time, system_time; /* clock ticks */
	int64_t address, address_lsb, syscall, arch;
};

/* What is to be done at a signal, as sigaction(2) told it, to be put back. */
struct ipk_signals_action {
	uint64_t function; /* an address in this process, or SIG_DFL, SIG_IGN */
	uint64_t mask;     /* blocked while it runs */
	int64_t flags;     /* SA_* */
};

/* cffi: end */

/* cffi: begin */

/* Those of `mask` that the calling thread does not block. Does not block. */
uint64_t ipk_signals_unblocked(uint64_t mask);

/* Block the signals of `mask` in the calling thread, too. Does not block. Returns those that it did not block before. */
uint64_t ipk_signals_block(uint64_t mask);

/* Unblock the signals of `mask` in the calling thread. Handlers of what is pending run before the return. */
void ipk_signals_unblock(uint64_t mask);

/* Queue a signal with a value to a process: sigqueue(3). signum: 0 only checks that it could be sent.
 * Does not block. Returns 0; -EAGAIN (the receiver's RLIMIT_SIGPENDING; real-time signals only), -EPERM, -ESRCH, -EINVAL. */
int ipk_signals_queue(int pid, int signum, int value);

/* Take a signal of `mask` that is pending for the calling thread or its process, if there is one now.
 *
 * The kernel prefers standard signals, then the lowest number, then the oldest. Does not block.
 * Returns its number, and *info; -EAGAIN.
 */
int ipk_signals_take(uint64_t mask, struct ipk_siginfo *info);

/* The same, waiting for one until the deadline. The thread should block all of `mask`, or a handler gets it.
 *
 * deadline_ns: absolute, CLOCK_MONOTONIC. Blocks. Returns its number, and *info; -EAGAIN when the time is up; -EINTR
 * after the handler of another signal ran.
 */
int ipk_signals_wait(uint64_t mask, struct ipk_siginfo *info, int64_t deadline_ns);

/* A descriptor that signals of `mask` can be read from, non-blocking and close-on-exec: signalfd(2); or the new mask of
 * the descriptor `fd` where that is not -1. Does not block.
 * Returns the descriptor; -EMFILE, -ENFILE, -ENOMEM; -EBADF, -EINVAL (fd is no such descriptor). */
int ipk_signals_descriptor(int fd, uint64_t mask);

/* Read 1 to `count` pending signals into `infos`. count: 1 to IPK_SIGNALS_BATCH.
 *
 * Blocks only if somebody made the open file description blocking. Returns how many; -EAGAIN, -EINTR, -EBADF, -EINVAL.
 */
int ipk_signals_read(int fd, struct ipk_siginfo *infos, int count);

/* What is done at the signal now. Does not block. Returns 0, -EINVAL. */
int ipk_signals_action_get(int signum, struct ipk_signals_action *action);

/* Have that done again. Does not block. Returns 0, -EINVAL. */
int ipk_signals_action_put(int signum, const struct ipk_signals_action *action);

/* cffi: end */

#endif
