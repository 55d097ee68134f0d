/* Checks for test programs: a failed one prints where, what and which values, and ends the process with status 1. */
#ifndef IPCKIT_TESTS_CHECK_H
#define IPCKIT_TESTS_CHECK_H

#include <stdio.h>
#include <unistd.h>

#define CHECK(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))
#define CHECK_EQ(got, want) check_equal(__FILE__, __LINE__, #got, (long long)(got), #want, (long long)(want))
#define CHECK_RANGE(got, low, high) \
	check_range(__FILE__, __LINE__, #got, (long long)(got), (long long)(low), (long long)(high))

/* Run one test function, under a watchdog of its own. */
#define RUN(test)               \
	do {                    \
		beginning(#test); \
		test();         \
	} while (0)

/* Names the test in what the watchdog prints, and winds it up again (support.c). */
void beginning(const char *test);

/* Ends the process, and removes the name that a failing test would leave (support.c). */
_Noreturn void give_up(int status);

static inline void check_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: failed in process %d: %s\n", file, line, (int)getpid(), what);
	give_up(1);
}

static inline void check_equal(const char *file, int line, const char *what, long long got, const char *wanted, long long want)
{
	if (got == want)
		return;
	fprintf(stderr, "%s:%d: failed in process %d: %s is %lld (0x%llx), not %s = %lld (0x%llx)\n", file, line,
		(int)getpid(), what, got, (unsigned long long)got, wanted, want, (unsigned long long)want);
	give_up(1);
}

static inline void check_range(const char *file, int line, const char *what, long long got, long long low, long long high)
{
	if (low <= got && got <= high)
		return;
	fprintf(stderr, "%s:%d: failed in process %d: %s is %lld, not in %lld ... %lld\n", file, line, (int)getpid(), what,
		got, low, high);
	give_up(1);
}

#endif
