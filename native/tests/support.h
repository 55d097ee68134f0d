/* Child processes, checkpoints, seeded random numbers: what the test programs share. Nothing here sleeps and hopes. */
#ifndef IPCKIT_TESTS_SUPPORT_H
#define IPCKIT_TESTS_SUPPORT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ANY_ADDRESS NULL
#define NAME_SIZE 64

/* End the process after so many seconds, saying which test hung; state, if given, prints more, also when a check fails. */
void watchdog(unsigned seconds, void (*state)(void));

/* Fork a child that runs function(argument) and exits with status 0; it does not outlive us. */
pid_t start(void (*function)(void *), void *argument);

/* Whether the child is blocked in system call `number`, with `address` as its first argument; whether it has ended. */
int is_blocked(pid_t pid, long number, const void *address);
int has_ended(pid_t pid);

/* Wait until the child is blocked in system call `number` with `address` as its first argument: 1; or until it has
 * ended, which is not reaped yet: 0. */
int settle(pid_t pid, long number, const void *address);

/* The same, and the child must not end. */
void wait_blocked(pid_t pid, long number, const void *address);

/* Block until killed; and wait until the child has come there. */
void stay(void);
void wait_staying(pid_t pid);

/* Wait until the child has been stopped by a signal. */
void wait_stopped(pid_t pid);

/* Reap the child: its exit status, or minus the signal that killed it. */
int reap(pid_t pid);

/* SIGKILL the child, and reap it. */
void kill_child(pid_t pid);

/* Stop the thread that next writes to the page of `place`, or reads there, before it does; wait until it has stopped, from when on others
 * may do so; and let it go on. */
void stop_writer(void *place);
void stop_reader(void *place);
void wait_stopped_there(void);
void let_go_on(void);

/* Zeroed memory shared with children. */
void *shared_memory(size_t size);

/* A checkpoint in shared memory: wait until it has the value. */
void await(_Atomic uint32_t *checkpoint, uint32_t value);

/* A name in /dev/shm that nobody has, in out[NAME_SIZE]. */
void fresh_name(char *out);

/* A seed from $SEED, or from the clock; it is printed either way. */
uint64_t random_seed(void);
uint64_t random_next(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t limit);

/* How many descriptors this process has open, and how many memory mappings. */
int open_descriptors(void);
int mappings(void);

#endif
