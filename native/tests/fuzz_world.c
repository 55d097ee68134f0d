/* The world of a call that is fuzzed: the clock, sleep, random numbers, and a hostile peer. The linker puts these
 * functions in the place of those of the same names (--wrap). */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"
#include "ipckit/futex.h"

#define LOOK_NS INT64_C(20000) /* that a look at the clock takes; more in a call that looks often, so that it ends */
#define LOOKS_PER_DOUBLING 32
#define DOUBLINGS 6
#define LOOKS_MAX 200000   /* in one call; at that number it never ends */
#define SLACK_NS 10000000  /* for looks at the clock after the time is over */
#define LIVE_SLACK_NS INT64_C(5000000000) /* a loaded machine */
#define NAPS 4		   /* moments in a sleep */
#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

enum { NOTHING, STORES, FLIPS, ADDS, NAMES_US, NAMES_ANOTHER, NAMES_NOBODY, HAMMERS, WAKES, INTERRUPTS, REFUSES, FORKS };
_Static_assert(FORKS == FUZZ_PEERS, "the last of them");

int fuzz_live, fuzz_probes;
uint32_t fuzz_next_id, fuzz_closed;
struct fuzz_range fuzz_object, fuzz_side;
_Atomic uint32_t *fuzz_pages[FUZZ_PAGES];

static int inside;
static int64_t now, began, due;
static struct fuzz_step acting;
static uint32_t moment, looks;
static int woken, interrupted;
static int64_t worst; /* beyond the deadline */

int __real_clock_gettime(clockid_t clock, struct timespec *at);
long __real_syscall(long number, ...);
ssize_t __real_getrandom(void *buffer, size_t length, unsigned flags);
int __real_fcntl(int fd, int command, ...);
int __wrap_clock_gettime(clockid_t clock, struct timespec *at);
long __wrap_syscall(long number, ...);
ssize_t __wrap_getrandom(void *buffer, size_t length, unsigned flags);
int __wrap_fcntl(int fd, int command, ...);
ssize_t __real_pread(int fd, void *buffer, size_t size, off_t from);
ssize_t __wrap_pread(int fd, void *buffer, size_t size, off_t from);
int __real_sched_yield(void);
int __real_sched_getcpu(void);
int __wrap_sched_getcpu(void);
int __wrap_sched_yield(void);

_Noreturn static void die(const char *what)
{
	fprintf(stderr, "fuzz_sync: call %u, argument %u: %s\n", acting.call, acting.argument, what);
	abort();
}

/* --- the peer ------------------------------------------------------------------------------------------------------ */

static uint32_t *target(void)
{
	const struct fuzz_range *range = acting.where & 0x8000 && fuzz_side.size ? &fuzz_side : &fuzz_object;
	size_t at = acting.where & 0x7FFFU;

	if (range->size < 4)
		return NULL;
	return (uint32_t *)(void *)(range->at + at % range->size / 4 * 4);
}

/* Sixteen bits of an input for the thirty-two of a word: small, large, or flags. */
static uint32_t widened(uint16_t value)
{
	switch (value >> 14) {
	case 0:
		return value;
	case 1:
		return (uint32_t)(value & 0x3FFF) << 18;
	case 2:
		return 0U - (value & 0x3FFFU);
	default:
		return (uint32_t)(value & 0x3FFF) * 0x20005U;
	}
}

static uint32_t named(uint32_t id)
{
	return id | (uint32_t)(acting.value & 0xF) << IPK_MEMBER_ID_BITS;
}

static void wipe_pages(void)
{
	for (int i = 0; i < FUZZ_PAGES; i++)
		if (fuzz_pages[i])
			atomic_store(fuzz_pages[i], 0);
}

static void act(void)
{
	uint32_t *word = target();
	uint32_t value = widened(acting.value);

	if (!word)
		return;
	switch (acting.peer % 16) {
	case STORES:
		__atomic_store_n(word, value, __ATOMIC_RELAXED);
		break;
	case FLIPS:
	case HAMMERS:
		__atomic_fetch_xor(word, value, __ATOMIC_RELAXED);
		break;
	case ADDS:
		__atomic_fetch_add(word, value, __ATOMIC_RELAXED);
		break;
	case NAMES_US:
		__atomic_store_n(word, named(FUZZ_FIRST), __ATOMIC_RELAXED);
		break;
	case NAMES_ANOTHER:
		__atomic_store_n(word, named(FUZZ_SECOND), __ATOMIC_RELAXED);
		break;
	case NAMES_NOBODY:
		__atomic_store_n(word, named(FUZZ_NOBODY), __ATOMIC_RELAXED);
		break;
	case WAKES:
		woken = 1;
		break;
	case INTERRUPTS:
		interrupted = 1;
		break;
	case FORKS:
		wipe_pages();
		break;
	default:
		break;
	}
}

static void pass_moment(void)
{
	if (moment == (uint32_t)acting.peer >> 4 || acting.peer % 16 == HAMMERS)
		act();
	moment++;
	if (++looks > LOOKS_MAX)
		die("it never ends");
}

/* --- what the linker puts in place --------------------------------------------------------------------------------- */

int __wrap_clock_gettime(clockid_t clock, struct timespec *at)
{
	if (!inside)
		return __real_clock_gettime(clock, at);
	pass_moment();
	now += LOOK_NS << (looks / LOOKS_PER_DOUBLING < DOUBLINGS ? looks / LOOKS_PER_DOUBLING : DOUBLINGS);
	at->tv_sec = (time_t)(now / 1000000000);
	at->tv_nsec = (long)(now % 1000000000);
	return 0;
}

/* Two members live in the file of the objects, and nobody else: the kernel need not be asked. */
static int lives(const struct flock *lock)
{
	uint64_t id = (uint64_t)lock->l_start & IPK_MEMBER_ID_MASK;

	return id == FUZZ_FIRST || id == FUZZ_SECOND;
}

int __wrap_fcntl(int fd, int command, ...)
{
	va_list list;
	void *argument;

	va_start(list, command);
	argument = va_arg(list, void *);
	va_end(list);
	if (inside)
		pass_moment();
	if (fuzz_refuses())
		return -1;
	if (inside && command == F_OFD_GETLK && fd == fuzz_members[0].fd) {
		((struct flock *)argument)->l_type = lives(argument) ? F_WRLCK : F_UNLCK;
		return 0;
	}
	return __real_fcntl(fd, command, argument);
}

/* One of three CPUs, or the kernel does not say. */
int __wrap_sched_getcpu(void)
{
	return inside ? (acting.argument >> 2 & 3) - 1 : __real_sched_getcpu();
}

/* Nobody else is there to run. */
int __wrap_sched_yield(void)
{
	return inside ? 0 : __real_sched_yield();
}

/* A copy of what the peer writes meanwhile; a short one, if a signal comes. */
ssize_t __wrap_pread(int fd, void *buffer, size_t size, off_t from)
{
	if (inside)
		pass_moment();
	if (fuzz_refuses())
		return -1;
	if (interrupted && size > 1) {
		interrupted = 0;
		size /= 2;
	}
	return __real_pread(fd, buffer, size, from);
}

ssize_t __wrap_getrandom(void *buffer, size_t length, unsigned flags)
{
	if (fuzz_refuses())
		return -1;
	if (length != sizeof(fuzz_next_id) || fuzz_next_id == 0)
		return __real_getrandom(buffer, length, flags);
	memcpy(buffer, &fuzz_next_id, length);
	return (ssize_t)length;
}

static int within(const struct fuzz_range *range, const uint32_t *word)
{
	const unsigned char *at = (const unsigned char *)word;

	return at >= range->at && at + 4 <= range->at + range->size;
}

static void check_word(const uint32_t *word)
{
	if ((uintptr_t)word % 4 != 0 || (!within(&fuzz_object, word) && !within(&fuzz_side, word)))
		die("futex(2) on a word that is not the object's");
}

static long fails(int error)
{
	errno = error;
	return -1;
}

/* Sleep, for all of the time that there is, unless the peer wakes us. */
static long nap(const struct timespec *until)
{
	int64_t end, part;

	if (!until)
		die("a sleep without an end");
	end = (int64_t)until->tv_sec * 1000000000 + until->tv_nsec;
	part = now < end ? (end - now) / NAPS + 1 : 0;
	for (int i = 0; i < NAPS; i++) {
		pass_moment();
		if (interrupted || woken) {
			int error = interrupted ? EINTR : 0;

			interrupted = woken = 0;
			return error ? fails(error) : 0;
		}
		now += part;
	}
	return fails(ETIMEDOUT);
}

static long nap_on_many(const struct ipk_futex_wait_entry *entries, uint32_t count, const struct timespec *until)
{
	if (count == 0 || count > IPK_FUTEX_WAITV_MAX)
		return fails(EINVAL);
	for (uint32_t i = 0; i < count; i++) {
		const uint32_t *word = (const uint32_t *)(uintptr_t)entries[i].address;

		check_word(word);
		if (__atomic_load_n(word, __ATOMIC_SEQ_CST) != (uint32_t)entries[i].expected)
			return fails(EAGAIN);
	}
	return nap(until) < 0 ? -1 : (long)(acting.value % count);
}

/* A word that names its owner, to a kernel for which all other threads but the second member's are dead. */
static long inherit(uint32_t *word, unsigned long operation, const struct timespec *until)
{
	uint32_t self = (uint32_t)gettid();
	uint32_t was = __atomic_load_n(word, __ATOMIC_SEQ_CST);

	if (operation == FUTEX_UNLOCK_PI)
		return (was & FUTEX_TID_MASK) != self ? fails(EPERM) : acting.value & 1 ? fails(EINVAL) :
			(__atomic_store_n(word, 0, __ATOMIC_SEQ_CST), 0);
	if ((was & FUTEX_TID_MASK) == self)
		return fails(EDEADLK);
	if ((was & FUTEX_TID_MASK) == 0) {
		__atomic_compare_exchange_n(word, &was, self | (was & FUTEX_OWNER_DIED), 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
		return 0;
	}
	if ((was & FUTEX_TID_MASK) != FUZZ_SECOND)
		return fails(acting.value & 2 ? EINVAL : ESRCH);
	return operation == FUTEX_TRYLOCK_PI ? fails(EAGAIN) : nap(until) < 0 ? -1 : fails(EAGAIN);
}

long __wrap_syscall(long number, ...)
{
	unsigned long a[6] = {0}; /* no more are read than the core gives */
	uint32_t *word;
	va_list list;

	va_start(list, number);
	for (int i = 0; i < (number == SYS_futex ? 6 : 5); i++)
		a[i] = va_arg(list, unsigned long);
	va_end(list);
	if (inside)
		pass_moment();
	if (!inside || (number != SYS_futex && number != SYS_futex_waitv))
		return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (number == SYS_futex_waitv)
		return nap_on_many((const struct ipk_futex_wait_entry *)a[0], (uint32_t)a[1], (const struct timespec *)a[3]);
	word = (uint32_t *)a[0];
	if (fuzz_probes && (a[1] == FUTEX_TRYLOCK_PI || a[1] == FUTEX_UNLOCK_PI) && !within(&fuzz_object, word))
		return fuzz_refuses() ? -1 : __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	check_word(word);
	switch (a[1]) {
	case FUTEX_LOCK_PI2:
		if (acting.value & 4) /* a kernel that has none */
			return fails(ENOSYS);
		/* fall through */
	case FUTEX_LOCK_PI:
	case FUTEX_TRYLOCK_PI:
	case FUTEX_UNLOCK_PI:
		return inherit(word, a[1], (const struct timespec *)a[3]);
	case FUTEX_WAIT_BITSET:
		if (__atomic_load_n(word, __ATOMIC_SEQ_CST) != (uint32_t)a[2])
			return fails(EAGAIN);
		return nap((const struct timespec *)a[3]);
	case FUTEX_WAKE_BITSET:
		return acting.value & 1;
	case FUTEX_CMP_REQUEUE:
		check_word((const uint32_t *)a[4]);
		return __atomic_load_n(word, __ATOMIC_SEQ_CST) != (uint32_t)a[5] ? fails(EAGAIN) : acting.value & 1;
	default:
		die("an operation of futex(2) that is not ours");
	}
}

/* --- calls --------------------------------------------------------------------------------------------------------- */

static int64_t real_now(void)
{
	struct timespec at;

	__real_clock_gettime(CLOCK_MONOTONIC, &at);
	return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

/* Mostly passed; a little ahead, beyond the slice, or never. */
static int64_t deadline_of(uint8_t byte)
{
	if (byte < 96)
		return 1 + byte;
	if (byte < 128)
		return began;
	if (byte < 176)
		return began + 20000;
	if (byte < 240 || fuzz_live)
		return began + 1000000;
	return byte < 248 ? began + 3 * (int64_t)IPK_SLICE_NS : IPK_NEVER;
}

int64_t fuzz_enter(const struct fuzz_step *step)
{
	acting = *step;
	moment = looks = 0;
	woken = interrupted = 0;
	if (fuzz_live)
		now = real_now();
	else if (now == 0)
		now = INT64_C(1000000000000);
	began = now;
	due = deadline_of(step->deadline);
	inside = !fuzz_live;
	fuzz_refuse(acting.peer % 16 == REFUSES ? 1 + (acting.peer >> 4) : 0, acting.value);
	if (inside && acting.peer >> 4 == 0)
		pass_moment();
	return due;
}

static const int answers[] = {
	EAGAIN, EBUSY, EINTR, ETIMEDOUT, EOWNERDEAD, ENOTRECOVERABLE, EDEADLK, EPERM, EOVERFLOW, ENOSPC, EALREADY, ECANCELED,
	EPROTO, ENOMSG, EXDEV, ENOENT, EEXIST, ENOTEMPTY, EINVAL, EBADMSG, EPIPE, EMSGSIZE, ENODATA, ESTALE, ETIME, ECONNRESET,
	EOPNOTSUPP, ECHILD,
};

static int is_answer(int64_t rc)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		if (rc == -answers[i])
			return 1;
	return rc >= 0 || (rc == -EBADF && fuzz_closed) || (fuzz_was_refused && fuzz_is_refusal((int)-rc));
}

int64_t fuzz_left(const char *call, int64_t rc, int slices)
{
	int64_t end = fuzz_live ? real_now() : now;
	int64_t late = end - (due > began && due != IPK_NEVER ? due : began);

	inside = 0;
	fuzz_refuse(0, 0);
	if (late > worst)
		worst = late;
	if (late > slices * (int64_t)IPK_SLICE_NS + (fuzz_live ? LIVE_SLACK_NS : SLACK_NS)) {
		fprintf(stderr, "fuzz_sync: %s took %.1f ms beyond its deadline\n", call, (double)late / 1e6);
		die("too late");
	}
	if (!is_answer(rc)) {
		fprintf(stderr, "fuzz_sync: %s returned %lld\n", call, (long long)rc);
		die("no answer");
	}
	return rc;
}

void fuzz_report(void)
{
	printf("the slowest call came back %.1f ms after its deadline, or its beginning if it had passed\n",
	       (double)worst / 1e6);
}

/* --- the peer as a thread ------------------------------------------------------------------------------------------ */

static const uint32_t nasty[] = {
	0,	    1,		2,	    0x7FFFFFFF, 0x80000000,		     0xFFFFFFFF,		0x1FFFFFFF,
	FUZZ_FIRST, FUZZ_SECOND, FUZZ_NOBODY, 0x40000000, 0x10000000 | FUZZ_FIRST, 0x20000000 | FUZZ_FIRST, 0x30000000 | FUZZ_FIRST,
	0x40000000 | FUZZ_FIRST, 0x50000000 | FUZZ_FIRST, 0x80000000 | FUZZ_SECOND, 0x30000000 | FUZZ_NOBODY, 0x20000000,
};

/* It writes wherever the object may be, also where it just is not: that is poisoned. */
__attribute__((no_sanitize("address"))) static void *hammer(void *unused)
{
	uint64_t seed = 88172645463325252U;

	(void)unused;
	for (;;) {
		uint32_t *word;

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		if (seed % 16 == 0)
			word = (uint32_t *)(void *)fuzz_side_region + FUZZ_SIDE / 4 - 1 - (seed >> 8) % 32;
		else /* most objects are small, and lie at the end */
			word = (uint32_t *)(void *)fuzz_region + FUZZ_ROOM / 4 - 1 - (seed >> 8) % (seed & 64 ? 64 : 512);
		__atomic_store_n(word, (seed >> 32) % 4 ? nasty[(seed >> 40) % (sizeof(nasty) / 4)] : (uint32_t)(seed >> 32),
				 __ATOMIC_RELAXED);
	}
	return NULL;
}

void fuzz_start_peer(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, hammer, NULL) != 0)
		die("no thread for the peer");
	pthread_detach(thread);
}
