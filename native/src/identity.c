#include "identity.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "path.h"

int ipk_identity_lock(int fd, int command, int type, uint64_t which, struct flock *lock)
{
	memset(lock, 0, sizeof(*lock));
	lock->l_type = (short)type;
	lock->l_whence = SEEK_SET;
	lock->l_start = IPK_LIFE_BYTE + (int64_t)which;
	lock->l_len = 1;
	return fcntl(fd, command, lock) < 0 ? -errno : 0;
}

/* Field 22 of /proc/PID/stat. Returns 0 and the time, -ENOENT if there is no such process, -errno. */
static int start_time_of(uint64_t pid, uint64_t *start)
{
	char path[IPK_PATH_SIZE], text[1024];
	const char *at;
	ssize_t length;
	int fd;

	ipk_path_of_process(path, pid, "stat");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (length <= 0)
		return length < 0 && errno != ESRCH ? -errno : -ENOENT;
	text[length] = '\0';
	at = strrchr(text, ')'); /* the command name may hold spaces and brackets; field 3 follows it */
	if (!at)
		return -EIO;
	if (at[1] == ' ' && (at[2] == 'Z' || at[2] == 'X'))
		return -ENOENT; /* a zombie runs no more */
	for (int field = 2; field < 22; field++) {
		at = strchr(at + 1, ' ');
		if (!at)
			return -EIO;
	}
	*start = 0;
	for (at++; *at >= '0' && *at <= '9'; at++)
		*start = *start * 10 + (uint64_t)(*at - '0');
	return 0;
}

int ipk_identity_self(struct ipk_participant_info *self)
{
	struct stat st;
	int rc;

	self->pid = (uint64_t)getpid();
	rc = start_time_of(self->pid, &self->start_time);
	if (rc < 0)
		return rc;
	if (stat("/proc/self/ns/pid", &st) < 0)
		return -errno;
	self->pid_namespace = st.st_ino;
	return 0;
}

int ipk_identity_runs(const struct ipk_participant_info *who)
{
	struct stat st;
	uint64_t start;
	int rc;

	if (who->pid == 0 || stat("/proc/self/ns/pid", &st) < 0 || st.st_ino != who->pid_namespace)
		return 0;
	rc = start_time_of(who->pid, &start);
	if (rc < 0)
		return rc != -ENOENT; /* no descriptor or no memory to ask with: whoever is not known to be gone lives */
	return start == who->start_time;
}
