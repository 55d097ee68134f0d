/* Values that tell what they are: for the tests of latest.h. */
#ifndef IPCKIT_TESTS_LATEST_VALUES_H
#define IPCKIT_TESTS_LATEST_VALUES_H

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "check.h"
#include "ipckit/latest.h"

/* The content of value number `sequence`, of `length` bytes: every byte depends on both. */
static inline void compose(unsigned char *value, uint64_t sequence, uint64_t length)
{
	uint64_t state = (sequence << 20 ^ length) * UINT64_C(0x9E3779B97F4A7C15) + 1;

	for (uint64_t i = 0; i < length; i++) {
		state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		value[i] = (unsigned char)(state >> 56);
	}
}

static inline void check_content(const unsigned char *value, uint64_t sequence, uint64_t length)
{
	unsigned char expected[4096];

	CHECK(length <= sizeof(expected));
	compose(expected, sequence, length);
	CHECK(memcmp(value, expected, length) == 0);
}

/* Send the value that comes after the newest, as long as that. Returns as ipk_latest_send. */
static inline int send_next(struct ipk_latest *view, uint64_t length)
{
	unsigned char value[4096];

	CHECK(length <= sizeof(value));
	/* relaxed: the caller is the writer, or will be told that he is not */
	compose(value, atomic_load_explicit(&view->shm->index.sequence, memory_order_relaxed) + 1, length);
	return ipk_latest_send(view, value, length);
}

/* Read the newest value, and check it: its number, or -errno. */
static inline int64_t read_checked(struct ipk_latest *view, int newer)
{
	unsigned char into[4096];
	struct ipk_latest_value value;
	int rc = ipk_latest_read(view, newer, into, sizeof(into), &value);

	if (rc < 0)
		return rc;
	check_content(into, value.sequence, value.length);
	return (int64_t)value.sequence;
}

/* Wait for a newer value, as a caller of the core does, and read it. */
static inline int64_t receive_checked(struct ipk_latest *view, int64_t deadline)
{
	for (;;) {
		int64_t rc = read_checked(view, 1);

		if (rc == -EAGAIN)
			rc = ipk_latest_wait(view, deadline);
		else if (rc == -ESTALE)
			rc = ipk_latest_overtaken(view, deadline);
		else
			return rc;
		if (rc < 0 && rc != -EAGAIN)
			return rc;
	}
}

/* Another view of the object, as another process would have it. */
static inline void attach_another(struct ipk_latest *view, const struct ipk_latest *of)
{
	memset(view, 0, sizeof(*view));
	CHECK_EQ(ipk_latest_attach(view, fcntl(of->segment.fd, F_DUPFD_CLOEXEC, 3)), 0);
	ipk_latest_set_spin(view, 0);
}

static inline void let_go_of(struct ipk_latest *view)
{
	ipk_latest_close(view);
	ipk_latest_unmap(view);
}

#endif
