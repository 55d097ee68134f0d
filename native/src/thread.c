#include "ipckit/thread.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

/* relaxed, all: a thread reads what it wrote itself, and in a forked child there was one thread at first */

/* A generation is a process, counted along the line of its ancestors. */
static _Atomic uint32_t generations;             /* inherited by a child: no thread's word is of a later one */
static _Atomic(_Atomic uint32_t *) generation;   /* the present one, in a page that a child finds zeroed; NULL: not yet made */
static _Thread_local uint64_t known_thread;      /* generation << 32 | thread id; one word, for signal handlers */

/* The page. NULL if there is no memory for it. */
static _Atomic uint32_t *make_page(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	_Atomic uint32_t *other = NULL;
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return NULL;
	/* release: the page is zero; acquire: so is another thread's */
	if (madvise(page, size, MADV_WIPEONFORK) == 0 &&
	    atomic_compare_exchange_strong_explicit(&generation, &other, page, memory_order_release, memory_order_acquire))
		return page;
	munmap(page, size);
	return other;
}

/* The number of this process; 0: unknown. */
static uint32_t present(void)
{
	_Atomic uint32_t *page = atomic_load_explicit(&generation, memory_order_acquire); /* acquire: as in make_page */
	uint32_t found = 0;
	uint32_t next;

	if (!page)
		page = make_page();
	if (!page)
		return 0;
	found = atomic_load_explicit(page, memory_order_relaxed);
	if (found != 0)
		return found;
	next = atomic_fetch_add_explicit(&generations, 1, memory_order_relaxed) + 1;
	return atomic_compare_exchange_strong_explicit(page, &found, next, memory_order_relaxed, memory_order_relaxed) ? next : found;
}

uint32_t ipk_thread_id(void)
{
	uint64_t known = known_thread;
	uint32_t now = present();
	uint32_t thread;

	if (now != 0 && known >> 32 == now)
		return (uint32_t)known;
	thread = (uint32_t)gettid();
	known_thread = (uint64_t)now << 32 | thread;
	return thread;
}
