#include "ipckit/member.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "identity.h"
#include "one_thread.h"
#include "path.h"

#define ID_TRIES 64
#define FIRST_ID_BYTE (UINT64_C(1) << 32) /* above the bytes of participant slots */

static bool owns(const struct ipk_member *member, int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == member->device && st.st_ino == member->inode;
}

static int lock_id(int fd, int command, uint32_t id, struct flock *lock)
{
	return ipk_identity_lock(fd, command, F_WRLCK, FIRST_ID_BYTE + id, lock);
}

int ipk_member_open(struct ipk_member *member, int fd)
{
	struct stat st;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *own;

	member->fd = fd;
	member->life_fd = -1;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	member->device = st.st_dev;
	member->inode = st.st_ino;
	own = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (own == MAP_FAILED)
		return -errno;
	if (madvise(own, page, MADV_WIPEONFORK) < 0) {
		int rc = errno == EINVAL ? -ENOSYS : -errno;

		munmap(own, page);
		return rc;
	}
	member->id = own;
	return 0;
}

static void drop_description(struct ipk_member *member)
{
	if (owns(member, member->life_fd))
		close(member->life_fd);
	member->life_fd = -1;
}

void ipk_member_forked(struct ipk_member *member)
{
	drop_description(member);
	/* relaxed: the child of a fork has one thread */
	atomic_store_explicit(&member->joiner, 0, memory_order_relaxed);
}

void ipk_member_close(struct ipk_member *member)
{
	if (!member->id)
		return;
	drop_description(member); /* and with it the lock, unless it is our parent's */
	munmap(member->id, (size_t)sysconf(_SC_PAGESIZE));
	member->id = NULL;
}

uint32_t ipk_member_current(const struct ipk_member *member)
{
	return member->id ? ipk_member_id(member) : 0;
}

/* Open the file anew: a duplicate would share the lock with whoever has the descriptor. */
static int open_description(struct ipk_member *member)
{
	char self[IPK_PATH_SIZE];
	int rc;

	if (!owns(member, member->fd))
		return -EBADF;
	ipk_path_of_fd(self, member->fd);
	member->life_fd = open(self, O_RDWR | O_CLOEXEC);
	if (member->life_fd < 0)
		return -errno;
	rc = ipk_identity_self(&member->self);
	if (rc < 0) {
		close(member->life_fd);
		member->life_fd = -1;
	}
	return rc;
}

/* Lock the byte of an id that nobody has. Returns it or -errno. */
static int64_t choose_id(struct ipk_member *member)
{
	struct flock lock;
	uint32_t id;
	int rc;

	for (int i = 0; i < ID_TRIES; i++) {
		if (getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id))
			return -errno;
		id &= IPK_MEMBER_ID_MASK;
		if (id == 0)
			continue;
		rc = lock_id(member->life_fd, F_OFD_SETLK, id, &lock);
		if (rc == 0)
			return (int64_t)id;
		if (rc != -EAGAIN && rc != -EACCES)
			return rc;
	}
	return -EBUSY; /* somebody has locked all bytes there are */
}

static int64_t join(struct ipk_member *member)
{
	int64_t id = (int64_t)ipk_member_id(member);
	int rc;

	if (id > 0)
		return id; /* another thread was faster */
	drop_description(member); /* that fork may have left us */
	rc = open_description(member);
	if (rc < 0)
		return rc;
	id = choose_id(member);
	if (id < 0) {
		close(member->life_fd);
		member->life_fd = -1;
		return id;
	}
	IPK_KILLPOINT("member.join.locked");
	/* release: member.joined */
	atomic_store_explicit(member->id, (uint32_t)id, memory_order_release);
	return id;
}

int64_t ipk_member_join(struct ipk_member *member)
{
	int64_t rc = one_thread_begin(&member->joiner);

	if (rc < 0)
		return rc;
	rc = join(member);
	one_thread_end(&member->joiner);
	return rc;
}

int ipk_member_locked(const struct ipk_member *member, uint32_t id)
{
	struct flock lock;
	int rc;

	if (id != 0 && id == ipk_member_id(member))
		return 1; /* our own description sees no conflict */
	rc = lock_id(member->fd, F_OFD_GETLK, id, &lock);
	if (rc < 0)
		return rc;
	return lock.l_type != F_UNLCK;
}

/* Read the record, if it is that id's. */
static bool read_record(uint32_t id, const struct ipk_holder_shm *holder, struct ipk_participant_info *who)
{
	/* acquire: member.recorded */
	if (atomic_load_explicit(&holder->id, memory_order_acquire) != id)
		return false;
	/* relaxed, all three: ordered by the id; of a live holder they do not change while the word has its id */
	who->pid = atomic_load_explicit(&holder->pid, memory_order_relaxed);
	who->start_time = atomic_load_explicit(&holder->start_time, memory_order_relaxed);
	who->pid_namespace = atomic_load_explicit(&holder->pid_namespace, memory_order_relaxed);
	return true;
}

int ipk_member_alive(const struct ipk_member *member, uint32_t id, const struct ipk_holder_shm *holder)
{
	struct ipk_participant_info who;
	int rc = ipk_member_locked(member, id);

	if (rc != 0)
		return rc;
	return read_record(id, holder, &who) && ipk_identity_runs(&who);
}

int ipk_member_who(const struct ipk_member *member, uint32_t id, const struct ipk_holder_shm *holder,
		   struct ipk_participant_info *who)
{
	int rc = ipk_member_alive(member, id, holder);

	memset(who, 0, sizeof(*who));
	read_record(id, holder, who);
	return rc;
}

/* Take the lock of our id again; nobody else has chosen it, but for a chance of 1 in 2^28. */
static int renew(struct ipk_member *member)
{
	struct flock lock;

	if (owns(member, member->life_fd))
		return 0;
	member->life_fd = -1;
	if (open_description(member) < 0)
		return -EBADF;
	lock_id(member->life_fd, F_OFD_SETLK, ipk_member_id(member), &lock);
	return 0;
}

int ipk_member_still_ours(struct ipk_member *member)
{
	int rc;

	if (ipk_member_id(member) == 0) {
		if (member->life_fd < 0)
			return 0; /* never joined */
		ipk_member_forked(member);
		return -ECHILD;
	}
	if (one_thread_begin(&member->joiner) < 0)
		return 0; /* a signal handler inside a join: the join sees to it */
	rc = renew(member);
	one_thread_end(&member->joiner);
	return rc;
}

void ipk_member_record(const struct ipk_member *member, uint32_t id, struct ipk_holder_shm *holder)
{
	/* relaxed: it is our own record or a predecessor's, and only whoever has put its id into the word writes it */
	if (atomic_load_explicit(&holder->id, memory_order_relaxed) == id)
		return;
	/* relaxed, all: whoever still sees the old id asks about another member than the one that the word names now */
	atomic_store_explicit(&holder->id, 0, memory_order_relaxed);
	atomic_store_explicit(&holder->pid, (uint32_t)member->self.pid, memory_order_relaxed);
	atomic_store_explicit(&holder->start_time, member->self.start_time, memory_order_relaxed);
	atomic_store_explicit(&holder->pid_namespace, member->self.pid_namespace, memory_order_relaxed);
	/* release: member.recorded */
	atomic_store_explicit(&holder->id, id, memory_order_release);
}
