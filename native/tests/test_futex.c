/* futex.h: the answers of the kernel, with real waiters in other processes. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include "check.h"
#include "ipckit/base.h"
#include "ipckit/futex.h"
#include "support.h"

#define WAITERS 5
#define MS INT64_C(1000000)
#define MANY 300

struct page {
	uint32_t word;
	uint32_t other[IPK_FUTEX_WAITV_MAX];
	uint32_t many[MANY];
	uint32_t bitset;
	_Atomic uint32_t woken;
};

static struct page *page;

static uint32_t load(uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void store(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static void another_value_is_eagain(void)
{
	store(&page->word, 7);
	CHECK_EQ(ipk_futex_wait(&page->word, 8, IPK_NEVER, IPK_FUTEX_ANY), -EAGAIN);
	CHECK_EQ(ipk_futex_wait(&page->word, 8, 0, IPK_FUTEX_ANY), -EAGAIN);
}

static void deadline_is_absolute_and_never_early(void)
{
	int64_t deadline = ipk_monotonic_ns() + 20 * MS;

	store(&page->word, 7);
	CHECK_EQ(ipk_futex_wait(&page->word, 7, deadline, IPK_FUTEX_ANY), -ETIMEDOUT);
	CHECK(ipk_monotonic_ns() >= deadline);
	CHECK_EQ(ipk_futex_wait(&page->word, 7, deadline, IPK_FUTEX_ANY), -ETIMEDOUT);
	CHECK_EQ(ipk_futex_wait(&page->word, 7, 0, IPK_FUTEX_ANY), -ETIMEDOUT);
	CHECK_EQ(ipk_futex_wait(&page->word, 7, -5, IPK_FUTEX_ANY), -ETIMEDOUT);
}

static void bad_arguments(void)
{
	uint32_t *misaligned = (uint32_t *)(void *)((char *)&page->word + 2);

	CHECK_EQ(ipk_futex_wait(misaligned, 7, 0, IPK_FUTEX_ANY), -EINVAL);
	CHECK_EQ(ipk_futex_wake(misaligned, 1, IPK_FUTEX_ANY), -EINVAL);
	CHECK_EQ(ipk_futex_wait(&page->word, 7, 0, 0), -EINVAL);
	CHECK_EQ(ipk_futex_wake(&page->word, 1, 0), -EINVAL);
	CHECK_EQ(ipk_futex_wait((uint32_t *)(uintptr_t)4096, 7, 0, IPK_FUTEX_ANY), -EFAULT);
	CHECK_EQ(ipk_futex_wake(&page->word, 0, IPK_FUTEX_ANY), 0);
	CHECK_EQ(ipk_futex_wake(&page->word, 1, IPK_FUTEX_ANY), 0);
	CHECK_EQ(ipk_futex_wake(&page->word, UINT32_MAX, IPK_FUTEX_ANY), 0);
}

static void wait_once(void *bitset)
{
	CHECK_EQ(ipk_futex_wait(&page->word, 7, IPK_NEVER, *(uint32_t *)bitset), 0);
	atomic_fetch_add(&page->woken, 1);
}

static void start_waiters(pid_t *pids, const uint32_t *bitsets)
{
	store(&page->word, 7);
	atomic_store(&page->woken, 0);
	for (int i = 0; i < WAITERS; i++) {
		page->bitset = bitsets[i];
		pids[i] = start(wait_once, &page->bitset);
		wait_blocked(pids[i], SYS_futex, &page->word);
	}
}

static void wake_counts_are_exact(void)
{
	const uint32_t any[WAITERS] = {IPK_FUTEX_ANY, IPK_FUTEX_ANY, IPK_FUTEX_ANY, IPK_FUTEX_ANY, IPK_FUTEX_ANY};
	pid_t pids[WAITERS];

	start_waiters(pids, any);
	CHECK_EQ(ipk_futex_wake(&page->word, 0, IPK_FUTEX_ANY), 0);
	CHECK_EQ(ipk_futex_wake(&page->word, 1, IPK_FUTEX_ANY), 1);
	CHECK_EQ(ipk_futex_wake(&page->word, 2, IPK_FUTEX_ANY), 2);
	CHECK_EQ(ipk_futex_wake(&page->word, UINT32_MAX, IPK_FUTEX_ANY), WAITERS - 3);
	CHECK_EQ(ipk_futex_wake(&page->word, 1, IPK_FUTEX_ANY), 0);
	for (int i = 0; i < WAITERS; i++)
		CHECK_EQ(reap(pids[i]), 0);
	CHECK_EQ(atomic_load(&page->woken), WAITERS);
}

static void bitset_chooses_waiters(void)
{
	const uint32_t bitsets[WAITERS] = {1, 2, 1, 4, 2};
	pid_t pids[WAITERS];

	start_waiters(pids, bitsets);
	CHECK_EQ(ipk_futex_wake(&page->word, 10, 8), 0);
	CHECK_EQ(ipk_futex_wake(&page->word, 10, 2), 2);
	CHECK_EQ(reap(pids[1]), 0);
	CHECK_EQ(reap(pids[4]), 0);
	CHECK_EQ(ipk_futex_wake(&page->word, 10, 5), 3);
	CHECK_EQ(reap(pids[0]), 0);
	CHECK_EQ(reap(pids[2]), 0);
	CHECK_EQ(reap(pids[3]), 0);
}

static void handler(int signum)
{
	(void)signum;
}

static void wait_for_signal(void *unused)
{
	struct sigaction action = {.sa_handler = handler};

	(void)unused;
	sigaction(SIGUSR1, &action, NULL);
	CHECK_EQ(ipk_futex_wait(&page->word, 7, IPK_NEVER, IPK_FUTEX_ANY), -EINTR);
	CHECK_EQ(ipk_futex_wait(&page->word, 7, ipk_monotonic_ns() + 10 * MS, IPK_FUTEX_ANY), -ETIMEDOUT);
}

static void handler_ends_the_wait(void)
{
	pid_t pid;

	store(&page->word, 7);
	pid = start(wait_for_signal, NULL);
	wait_blocked(pid, SYS_futex, &page->word);
	kill(pid, SIGUSR1);
	CHECK_EQ(reap(pid), 0);
}

static void stop_and_continue_is_no_wake(void)
{
	uint32_t any = IPK_FUTEX_ANY;
	pid_t pid;
	int woken;

	store(&page->word, 7);
	atomic_store(&page->woken, 0);
	pid = start(wait_once, &any);
	wait_blocked(pid, SYS_futex, &page->word);
	kill(pid, SIGSTOP);
	wait_stopped(pid);
	kill(pid, SIGCONT);
	wait_blocked(pid, SYS_futex, ANY_ADDRESS);
	CHECK_EQ(atomic_load(&page->woken), 0);
	/* on its way back from the stop it is in futex(2) already, and not yet on the queue */
	while ((woken = ipk_futex_wake(&page->word, 1, IPK_FUTEX_ANY)) == 0)
		sched_yield();
	CHECK_EQ(woken, 1);
	CHECK_EQ(reap(pid), 0);
}

static void entries_for(struct ipk_futex_wait_entry *entries, uint32_t count)
{
	memset(entries, 0, count * sizeof(*entries));
	for (uint32_t i = 0; i < count; i++) {
		entries[i].expected = load(&page->other[i]);
		entries[i].address = (uintptr_t)&page->other[i];
	}
}

static void wait_for_any(void *index)
{
	struct ipk_futex_wait_entry entries[IPK_FUTEX_WAITV_MAX];

	entries_for(entries, IPK_FUTEX_WAITV_MAX);
	CHECK_EQ(ipk_futex_waitv(entries, IPK_FUTEX_WAITV_MAX, IPK_NEVER), *(uint32_t *)index);
}

static void waitv(void)
{
	struct ipk_futex_wait_entry entries[IPK_FUTEX_WAITV_MAX + 1];
	uint32_t indices[] = {0, 1, IPK_FUTEX_WAITV_MAX - 1};
	int64_t deadline;

	if (!ipk_futex_has_waitv()) {
		puts("    skipped: no futex_waitv(2) before Linux 5.16");
		entries_for(entries, 2);
		CHECK_EQ(ipk_futex_waitv(entries, 2, 0), -ENOSYS);
		return;
	}
	for (size_t i = 0; i < sizeof(indices) / sizeof(indices[0]); i++) {
		pid_t pid = start(wait_for_any, &indices[i]);

		wait_blocked(pid, SYS_futex_waitv, ANY_ADDRESS);
		CHECK_EQ(ipk_futex_wake(&page->other[indices[i]], 1, IPK_FUTEX_ANY), 1);
		CHECK_EQ(reap(pid), 0);
	}
	entries_for(entries, 3);
	CHECK_EQ(ipk_futex_waitv(entries, 0, 0), -EINVAL);
	CHECK_EQ(ipk_futex_waitv(entries, IPK_FUTEX_WAITV_MAX + 1, 0), -EINVAL);
	deadline = ipk_monotonic_ns() + 20 * MS;
	CHECK_EQ(ipk_futex_waitv(entries, 3, deadline), -ETIMEDOUT);
	CHECK(ipk_monotonic_ns() >= deadline);
	entries[1].expected = 99;
	CHECK_EQ(ipk_futex_waitv(entries, 3, IPK_NEVER), -EAGAIN);
	entries[1].expected = 0;
	entries[1].address += 2;
	CHECK_EQ(ipk_futex_waitv(entries, 3, IPK_NEVER), -EINVAL);
}

static void requeued_waiters_sleep_on_another_word(void)
{
	const uint32_t any[WAITERS] = {IPK_FUTEX_ANY, IPK_FUTEX_ANY, IPK_FUTEX_ANY, IPK_FUTEX_ANY, IPK_FUTEX_ANY};
	pid_t pids[WAITERS];

	start_waiters(pids, any);
	CHECK_EQ(ipk_futex_requeue(&page->word, 8, 1, 1, page->other), -EAGAIN);
	CHECK_EQ(ipk_futex_requeue(&page->word, 7, 0, 0, page->other), 0);
	CHECK_EQ(ipk_futex_requeue(&page->word, 7, 1, 2, page->other), 3);
	CHECK_EQ(ipk_futex_wake(page->other, UINT32_MAX, IPK_FUTEX_ANY), 2);
	CHECK_EQ(ipk_futex_requeue(&page->word, 7, 0, UINT32_MAX, page->other), WAITERS - 3);
	CHECK_EQ(ipk_futex_wake(&page->word, UINT32_MAX, IPK_FUTEX_ANY), 0);
	CHECK_EQ(ipk_futex_wake(page->other, UINT32_MAX, IPK_FUTEX_ANY), WAITERS - 3);
	for (int i = 0; i < WAITERS; i++)
		CHECK_EQ(reap(pids[i]), 0);
}

static void add_a_thousand(void *unused)
{
	(void)unused;
	for (int i = 0; i < 1000; i++) {
		ipk_futex_add(&page->word, 3);
		ipk_futex_add(&page->word, UINT32_MAX);
	}
}

static void words_change_atomically(void)
{
	pid_t pids[WAITERS];

	ipk_futex_store(&page->word, 5);
	CHECK_EQ(ipk_futex_exchange(&page->word, 6), 5);
	CHECK_EQ(ipk_futex_compare_exchange(&page->word, 5, 9), 6);
	CHECK_EQ(ipk_futex_load(&page->word), 6);
	CHECK_EQ(ipk_futex_compare_exchange(&page->word, 6, UINT32_MAX), 6);
	CHECK_EQ(ipk_futex_add(&page->word, 1), UINT32_MAX);
	CHECK_EQ(ipk_futex_load(&page->word), 0);
	for (int i = 0; i < WAITERS; i++)
		pids[i] = start(add_a_thousand, NULL);
	for (int i = 0; i < WAITERS; i++)
		CHECK_EQ(reap(pids[i]), 0);
	CHECK_EQ(ipk_futex_load(&page->word), WAITERS * 2000);
}

static uint32_t words; /* of page->many */

static void many_entries(struct ipk_futex_wait_entry *entries)
{
	memset(entries, 0, words * sizeof(*entries));
	for (uint32_t i = 0; i < words; i++) {
		entries[i].expected = load(&page->many[i]);
		entries[i].address = (uintptr_t)&page->many[i];
	}
}

/* What such a wait sleeps in. */
static long call_for(uint32_t count)
{
	return count > 1 && count <= IPK_FUTEX_WAITV_MAX && ipk_futex_has_waitv() ? SYS_futex_waitv : SYS_futex;
}

static void wait_for_the_last(void *unused)
{
	struct ipk_futex_wait_entry entries[MANY];
	int rc;

	(void)unused;
	many_entries(entries);
	do
		rc = ipk_futex_wait_any(entries, words, IPK_NEVER);
	while (rc == -EAGAIN);
	CHECK_EQ(rc, words - 1);
}

static void any_of_few_and_of_many(void)
{
	const uint32_t counts[] = {1, 2, IPK_FUTEX_WAITV_MAX, IPK_FUTEX_WAITV_MAX + 1, MANY};
	struct ipk_futex_wait_entry entries[MANY];
	int64_t deadline;

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		pid_t pid;

		words = counts[i];
		pid = start(wait_for_the_last, NULL);
		wait_blocked(pid, call_for(words), ANY_ADDRESS);
		ipk_futex_add(&page->many[words - 1], 1);
		ipk_futex_wake(&page->many[words - 1], 1, IPK_FUTEX_ANY);
		CHECK_EQ(reap(pid), 0);

		many_entries(entries);
		CHECK_EQ(ipk_futex_wait_any(entries, words, 0), -ETIMEDOUT);
		deadline = ipk_monotonic_ns() + 12 * MS;
		CHECK_EQ(ipk_futex_wait_any(entries, words, deadline), -ETIMEDOUT);
		CHECK(ipk_monotonic_ns() >= deadline);
		entries[words / 2].expected++;
		CHECK_EQ(ipk_futex_wait_any(entries, words, 0), words / 2);
	}
	many_entries(entries);
	for (int tries = 5, late = 1; late; tries--) { /* others may keep the CPU from us */
		int64_t began = ipk_monotonic_ns();

		CHECK(tries > 0);
		CHECK_EQ(ipk_futex_wait_any(entries, words, IPK_NEVER), -EAGAIN);
		CHECK(ipk_monotonic_ns() - began >= IPK_SLICE_NS);
		late = ipk_monotonic_ns() - began > 20 * (int64_t)IPK_SLICE_NS;
	}
	CHECK_EQ(ipk_futex_wait_any(entries, 0, 0), -EINVAL);
}

/* A kernel before 5.16, played by a filter that answers ENOSYS. */
static void without_waitv(void *unused)
{
	struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex_waitv, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(steps) / sizeof(steps[0]), .filter = steps};
	struct ipk_futex_wait_entry entries[2];

	(void)unused;
	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(77);
	entries_for(entries, 2);
	CHECK_EQ(ipk_futex_has_waitv(), 0);
	CHECK_EQ(ipk_futex_waitv(entries, 2, 0), -ENOSYS);
	any_of_few_and_of_many();
}

static void probe_on_an_old_kernel(void)
{
	int status = reap(start(without_waitv, NULL));

	if (status == 77)
		puts("    skipped: no seccomp filters here");
	else
		CHECK_EQ(status, 0);
}

int main(void)
{
	page = shared_memory(sizeof(*page));
	RUN(another_value_is_eagain);
	RUN(deadline_is_absolute_and_never_early);
	RUN(bad_arguments);
	RUN(wake_counts_are_exact);
	RUN(bitset_chooses_waiters);
	RUN(handler_ends_the_wait);
	RUN(stop_and_continue_is_no_wake);
	RUN(requeued_waiters_sleep_on_another_word);
	RUN(words_change_atomically);
	RUN(waitv);
	RUN(any_of_few_and_of_many);
	RUN(probe_on_an_old_kernel);
	return 0;
}
