#include "ipckit/filelock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "ipckit/interrupt.h"

/* One call of fcntl(2) on the range; type: F_RDLCK, F_WRLCK or F_UNLCK. Returns 0 or -errno. */
static int set_range(int fd, int command, int type, int64_t start, int64_t length)
{
	struct flock lock = {
		.l_type = (short)type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)start,
		.l_len = (off_t)length,
		.l_pid = 0, /* an OFD lock is refused otherwise */
	};

	return fcntl(fd, command, &lock) < 0 ? -errno : 0;
}

static int set_whole(int fd, int operation)
{
	return flock(fd, operation) < 0 ? -errno : 0;
}

int ipk_filelock_wait(int fd, int kind, int exclusive, int64_t start, int64_t length, int64_t deadline_ns,
		      uint32_t *taken)
{
	int rc = ipk_interrupt_arm(deadline_ns);

	if (rc < 0)
		return rc;
	if (kind == IPK_FILELOCK_FLOCK)
		rc = set_whole(fd, exclusive ? LOCK_EX : LOCK_SH);
	else
		rc = set_range(fd, kind == IPK_FILELOCK_OFD ? F_OFD_SETLKW : F_SETLKW, exclusive ? F_WRLCK : F_RDLCK, start, length);
	ipk_interrupt_disarm();
	*taken = rc == 0;
	return (int)ipk_interrupt_reason(rc, deadline_ns);
}

int ipk_filelock_try(int fd, int kind, int exclusive, int64_t start, int64_t length)
{
	if (kind == IPK_FILELOCK_FLOCK)
		return set_whole(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB);
	return set_range(fd, kind == IPK_FILELOCK_OFD ? F_OFD_SETLK : F_SETLK, exclusive ? F_WRLCK : F_RDLCK, start, length);
}

int ipk_filelock_release(int fd, int kind, int64_t start, int64_t length)
{
	if (kind == IPK_FILELOCK_FLOCK)
		return set_whole(fd, LOCK_UN);
	return set_range(fd, kind == IPK_FILELOCK_OFD ? F_OFD_SETLK : F_SETLK, F_UNLCK, start, length);
}
