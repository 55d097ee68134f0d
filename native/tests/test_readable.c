/* readable.h: a pipe that is empty, one that has a byte, one that gets a byte from another process, one that has ended. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "ipckit/base.h"
#include "ipckit/readable.h"
#include "support.h"

#define MS INT64_C(1000000)
#define LONG (10000 * MS)

static int ends[2];

static void an_empty_pipe_takes_the_budget(void)
{
	int64_t began = ipk_monotonic_ns();

	CHECK_EQ(ipk_readable_spin(ends[0], 2 * MS), -EAGAIN);
	CHECK(ipk_monotonic_ns() - began >= 2 * MS);
	CHECK_EQ(ipk_readable_spin(ends[0], 0), -EAGAIN);
}

static void a_byte_that_is_there_is_seen_at_once(void)
{
	char byte = 'x';

	CHECK_EQ(write(ends[1], &byte, 1), 1);
	CHECK_EQ(ipk_readable_spin(ends[0], 0), 0);
	CHECK_EQ(read(ends[0], &byte, 1), 1);
}

static void a_byte_of_another_process_ends_the_spin(void)
{
	char byte = 'x';
	int back[2], status;
	pid_t child;

	CHECK_EQ(pipe(back), 0);
	child = fork();
	if (child == 0) {
		CHECK_EQ(read(back[0], &byte, 1), 1);
		for (int64_t later = ipk_monotonic_ns() + 20 * MS; ipk_monotonic_ns() < later;)
			;
		_exit(write(ends[1], &byte, 1) == 1 ? 0 : 1);
	}
	CHECK_EQ(write(back[1], &byte, 1), 1);
	CHECK_EQ(ipk_readable_spin(ends[0], LONG), 1);
	CHECK_EQ(read(ends[0], &byte, 1), 1);
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
	close(back[0]);
	close(back[1]);
}

static void an_end_is_readable_and_no_descriptor_is_an_error(void)
{
	close(ends[1]);
	CHECK_EQ(ipk_readable_spin(ends[0], LONG), 0);
	close(ends[0]);
	CHECK_EQ(ipk_readable_spin(ends[0], LONG), -EBADF);
}

int main(void)
{
	CHECK_EQ(pipe(ends), 0);
	RUN(an_empty_pipe_takes_the_budget);
	RUN(a_byte_that_is_there_is_seen_at_once);
	RUN(a_byte_of_another_process_ends_the_spin);
	RUN(an_end_is_readable_and_no_descriptor_is_an_error);
	return 0;
}
