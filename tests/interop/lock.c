/* Lock a file as a C program does. Usage: lock FILE record|ofd|flock START LENGTH; holds it until its input ends. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char byte;
	int fd, rc;

	if (argc != 5)
		return 2;
	lock.l_start = atol(argv[3]);
	lock.l_len = atol(argv[4]);
	fd = open(argv[1], O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		return 3;
	if (strcmp(argv[2], "flock") == 0)
		rc = flock(fd, LOCK_EX);
	else
		rc = fcntl(fd, strcmp(argv[2], "ofd") == 0 ? F_OFD_SETLKW : F_SETLKW, &lock);
	if (rc < 0) {
		fprintf(stderr, "lock: %s\n", strerror(errno));
		return 1;
	}
	puts("locked");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
