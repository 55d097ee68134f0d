#include "ipckit/life.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "identity.h"

#define NAME_BYTE (IPK_LIFE_BYTE - 2)
#define HELD_BYTE (IPK_LIFE_BYTE - 1)
#define TO_THE_END 0 /* as fcntl(2) has it */
#define OPEN_TURNS 16

/* Returns 0, with what F_OFD_GETLK told in *lock, or -errno. */
static int lock_bytes(int fd, int command, int type, int64_t start, int64_t length, struct flock *lock)
{
	memset(lock, 0, sizeof(*lock));
	lock->l_type = (short)type;
	lock->l_whence = SEEK_SET;
	lock->l_start = start;
	lock->l_len = length;
	if (fcntl(fd, command, lock) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

/* Whether another description has a lock on those bytes that stands in the way of an exclusive one. Returns 1, 0, -errno. */
static int taken(int fd, int64_t start)
{
	struct flock lock;
	int rc = lock_bytes(fd, F_OFD_GETLK, F_WRLCK, start, TO_THE_END, &lock);

	return rc < 0 ? rc : lock.l_type != F_UNLCK;
}

int ipk_life_hold(int fd)
{
	struct flock lock;

	return lock_bytes(fd, F_OFD_SETLK, F_RDLCK, HELD_BYTE, 1, &lock);
}

int ipk_life_open(const char *path)
{
	struct stat st;
	int fd, rc;

	/* each further turn means that the segment was removed between open and hold */
	for (int turn = 0; turn < OPEN_TURNS; turn++) {
		fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			return -errno;
		rc = ipk_life_hold(fd);
		if (rc == 0 && fstat(fd, &st) < 0)
			rc = -errno;
		if (rc == 0 && st.st_nlink > 0)
			return fd;
		close(fd);
		if (rc < 0)
			return rc;
	}
	return -EAGAIN;
}

int ipk_life_held(int fd)
{
	return taken(fd, HELD_BYTE);
}

int ipk_life_begin_removal(int fd)
{
	struct flock lock;
	int rc = lock_bytes(fd, F_OFD_SETLK, F_WRLCK, NAME_BYTE, 2, &lock);

	if (rc < 0)
		return rc == -EAGAIN ? -EBUSY : rc;
	rc = taken(fd, IPK_LIFE_BYTE);
	if (rc != 0)
		ipk_life_let_go(fd);
	return rc > 0 ? -EBUSY : rc;
}

int ipk_life_begin_unlink(int fd)
{
	struct flock lock;

	return lock_bytes(fd, F_OFD_SETLK, F_WRLCK, NAME_BYTE, 1, &lock);
}

int ipk_life_unlink(const char *path, int fd)
{
	struct stat file, named;

	if (fstat(fd, &file) < 0 || lstat(path, &named) < 0)
		return -errno;
	if (file.st_dev != named.st_dev || file.st_ino != named.st_ino)
		return -ESTALE;
	return unlink(path) < 0 ? -errno : 0;
}

void ipk_life_let_go(int fd)
{
	struct flock lock;

	lock_bytes(fd, F_OFD_SETLK, F_UNLCK, NAME_BYTE, 2, &lock);
}
