/* An object of synchronisation in an anonymous segment, and views of it in this process and in children. */
#ifndef IPCKIT_TESTS_SYNC_OBJECT_H
#define IPCKIT_TESTS_SYNC_OBJECT_H

#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "ipckit/home.h"
#include "ipckit/sync.h"
#include "support.h"

#define MILLISECONDS INT64_C(1000000)
#define LONG (20000 * MILLISECONDS) /* nothing waits that long unless it hangs */

struct member_view {
	struct ipk_home home;
	struct ipk_sync view;
};

static struct member_view first; /* the maker's */
static uint32_t first_kind;

/* Another member of the object's file, in whatever process. */
static inline struct ipk_sync *attach_view(struct member_view *to)
{
	memset(to, 0, sizeof(*to));
	CHECK_EQ(ipk_home_attach(&to->home, dup(ipk_home_fd(&first.home))), 0);
	CHECK_EQ(ipk_sync_attach(&to->view, ipk_home_place(&to->home), ipk_home_room(&to->home),
				 ipk_home_member(&to->home), first_kind),
		 0);
	return &to->view;
}

static inline void *make_object(uint32_t kind, uint32_t options, uint32_t count)
{
	uint64_t size = ipk_sync_size(kind, count);
	void *place;

	CHECK(size > 0);
	first_kind = kind;
	memset(&first, 0, sizeof(first));
	CHECK_EQ(ipk_home_create(&first.home, NULL, size, 0600), 0);
	place = ipk_home_place(&first.home);
	CHECK_EQ(ipk_sync_begin(place, ipk_home_member(&first.home), size), 0);
	CHECK_EQ(ipk_sync_publish(place, ipk_home_member(&first.home), kind, options, count, (uint32_t)size), 0);
	CHECK_EQ(ipk_home_publish(&first.home, NULL), 0);
	CHECK_EQ(ipk_sync_attach(&first.view, place, size, ipk_home_member(&first.home), kind), 0);
	return place;
}

static inline void drop_view(struct member_view *it)
{
	ipk_home_close(&it->home);
}

/* The deadline so many milliseconds from now. */
static inline int64_t after_ms(int64_t ms)
{
	return ipk_monotonic_ns() + ms * MILLISECONDS;
}

#endif
