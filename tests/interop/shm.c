/* Shared memory as any other program has it: shm_open(3), mmap(2), memfd seals; on plain libc.
 *
 *   shm write NAME TEXT      map the segment, write TEXT at its start
 *   shm read NAME SIZE       print its first SIZE bytes
 *   shm create NAME SIZE     make it (0600), print a line, and unlink it at the end of the input
 *   shm size NAME SIZE       give it another size
 *   shm add NAME TIMES       add 1 to its first 64-bit number, atomically, TIMES times
 *   shm memfd SOCKET         receive a descriptor over that Unix socket; print its size, seals and first 5 bytes
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static char *map(int fd, size_t size, int protection)
{
	void *start = mmap(NULL, size, protection, MAP_SHARED, fd, 0);

	if (start == MAP_FAILED)
		fail("mmap");
	return start;
}

static size_t size_of(int fd)
{
	struct stat found;

	if (fstat(fd, &found) != 0)
		fail("fstat");
	return (size_t)found.st_size;
}

static void report_memfd(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec data = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	int from = socket(AF_UNIX, SOCK_STREAM, 0), fd;

	strncpy(address.sun_path, path, sizeof address.sun_path - 1);
	if (from < 0 || connect(from, (struct sockaddr *)&address, sizeof address) != 0)
		fail("connect");
	if (recvmsg(from, &message, 0) != 1 || CMSG_FIRSTHDR(&message) == NULL)
		fail("recvmsg");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
	printf("%zu %d %.5s\n", size_of(fd), fcntl(fd, F_GET_SEALS), map(fd, size_of(fd), PROT_READ));
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "", *name = argc > 2 ? argv[2] : "", *word = argc > 3 ? argv[3] : "0";
	int fd;

	if (strcmp(verb, "memfd") == 0) {
		report_memfd(name);
		return 0;
	}
	if (strcmp(verb, "create") == 0) {
		fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
		if (fd < 0 || ftruncate(fd, strtol(word, NULL, 10)) != 0)
			fail("shm_open");
		puts("ready");
		fflush(stdout);
		while (getchar() != EOF)
			;
		return shm_unlink(name) == 0 ? 0 : 1;
	}
	fd = shm_open(name, O_RDWR, 0);
	if (fd < 0)
		fail("shm_open");
	if (strcmp(verb, "size") == 0) {
		if (ftruncate(fd, strtol(word, NULL, 10)) != 0)
			fail("ftruncate");
	} else if (strcmp(verb, "write") == 0) {
		memcpy(map(fd, size_of(fd), PROT_READ | PROT_WRITE), word, strlen(word));
	} else if (strcmp(verb, "read") == 0) {
		fwrite(map(fd, size_of(fd), PROT_READ), 1, strtoul(word, NULL, 10), stdout);
	} else if (strcmp(verb, "add") == 0) {
		_Atomic int64_t *number = (_Atomic int64_t *)(void *)map(fd, size_of(fd), PROT_READ | PROT_WRITE);

		for (long left = strtol(word, NULL, 10); left > 0; left--)
			atomic_fetch_add(number, 1);
	} else {
		return 2;
	}
	return 0;
}
