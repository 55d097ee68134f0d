#include "ipckit/filelock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "ipckit/interrupt.h"

int ipk_filelock_wait(int fd, int kind, int exclusive, int64_t start, int64_t length, int64_t deadline_ns)
{
	struct flock lock = {
		.l_type = exclusive ? F_WRLCK : F_RDLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)start,
		.l_len = (off_t)length,
		.l_pid = 0, /* an OFD lock is refused otherwise */
	};
	int rc = ipk_interrupt_arm(deadline_ns);

	if (rc < 0)
		return rc;
	if (kind == IPK_FILELOCK_FLOCK)
		rc = flock(fd, exclusive ? LOCK_EX : LOCK_SH);
	else
		rc = fcntl(fd, kind == IPK_FILELOCK_OFD ? F_OFD_SETLKW : F_SETLKW, &lock);
	rc = rc < 0 ? -errno : 0;
	ipk_interrupt_disarm();
	return (int)ipk_interrupt_reason(rc, deadline_ns);
}
