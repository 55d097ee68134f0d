#include "ipckit/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "identity.h"
#include "ipckit/base.h"
#include "ipckit/life.h"
#include "participant.h"
#include "path.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U /* Linux 6.3 */
#endif

#define PUBLISHED_MODE 07777U

static void blank(struct ipk_segment *segment)
{
	memset(segment, 0, sizeof(*segment));
	segment->fd = -1;
	segment->life_fd = -1;
}

static int open_memfd(void)
{
	int fd = memfd_create("ipckit", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("ipckit", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd < 0 ? -errno : fd;
}

static int open_unnamed(const char *path)
{
	char directory[IPK_PATH_SIZE];
	int rc = ipk_path_directory(directory, path);
	int fd;

	if (rc < 0)
		return rc;
	fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

static int reserve(int fd, uint64_t size)
{
	int rc;

	do
		rc = posix_fallocate(fd, 0, (off_t)size);
	while (rc == EINTR);
	return -rc;
}

/* The page that tells a forked child from us; one per view, for the core has no global state. */
static int watch_for_fork(struct ipk_segment *segment)
{
	long page = sysconf(_SC_PAGESIZE);
	void *word = mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (word == MAP_FAILED)
		return -errno;
	if (madvise(word, (size_t)page, MADV_WIPEONFORK) < 0) {
		int rc = errno == EINVAL ? -ENOSYS : -errno; /* Linux before 4.14 */

		munmap(word, (size_t)page);
		return rc;
	}
	segment->same_process = word;
	/* relaxed: written before any other thread knows of the view */
	atomic_store_explicit(segment->same_process, 1, memory_order_relaxed);
	return 0;
}

/* Map the whole file, and its last `mirror` bytes once more right behind it. */
static int map(struct ipk_segment *segment, uint64_t mirror)
{
	size_t size = (size_t)segment->size;
	void *base = mmap(NULL, size + mirror, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	void *twin;

	if (base == MAP_FAILED)
		return -errno;
	segment->base = base;
	segment->mapped = size + mirror;
	if (mmap(base, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, segment->fd, 0) == MAP_FAILED)
		return -errno;
	if (mirror == 0)
		return 0;
	twin = mmap(segment->base + size, mirror, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, segment->fd,
		    (off_t)(size - mirror));
	return twin == MAP_FAILED ? -errno : 0;
}

static int remember_file(struct ipk_segment *segment)
{
	struct stat st;

	if (fstat(segment->fd, &st) < 0)
		return -errno;
	segment->device = st.st_dev;
	segment->inode = st.st_ino;
	return 0;
}

int ipk_segment_create(struct ipk_segment *segment, const char *path, uint32_t kind, uint32_t participants,
		       uint64_t object, uint64_t mirror, uint32_t mode)
{
	struct ipk_segment_shm *header;
	int rc;

	blank(segment);
	if (object > INT64_MAX / 4 || mirror > object || participants > IPK_PARTICIPANTS_MAX)
		return -EINVAL;
	segment->size = IPK_SEGMENT_HEADER + object;
	segment->fd = path ? open_unnamed(path) : open_memfd();
	if (segment->fd < 0) {
		rc = segment->fd;
		segment->fd = -1;
		return rc;
	}
	if ((path && (rc = ipk_life_hold(segment->fd)) < 0) || (rc = reserve(segment->fd, segment->size)) < 0)
		goto fail;
	/* a memfd is sealed against becoming executable */
	if (fchmod(segment->fd, mode & (path ? PUBLISHED_MODE : PUBLISHED_MODE & ~0111U)) < 0)
		goto fail_errno;
	if (!path && fcntl(segment->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		goto fail_errno;
	if ((rc = remember_file(segment)) < 0 || (rc = map(segment, mirror)) < 0 || (rc = watch_for_fork(segment)) < 0)
		goto fail;
	header = ipk_segment_header(segment);
	header->kind = kind;
	header->participants = participants;
	header->size = segment->size;
	if (ipk_identity_self(&header->creator) < 0)
		memset(&header->creator, 0, sizeof(header->creator)); /* an anonymous segment does without /proc */
	if (getrandom(header->id, sizeof(header->id), 0) != (ssize_t)sizeof(header->id))
		goto fail_errno;
	return 0;

fail_errno:
	rc = -errno;
fail:
	ipk_segment_close(segment);
	return rc;
}

int ipk_segment_publish(struct ipk_segment *segment, const char *path)
{
	char self[IPK_PATH_SIZE];

	IPK_KILLPOINT("segment.publish.formatted");
	/* release: segment.ready */
	atomic_store_explicit(&ipk_segment_header(segment)->magic, IPK_SEGMENT_MAGIC, memory_order_release);
	if (!path)
		return 0;
	ipk_path_of_fd(self, segment->fd);
	if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	IPK_KILLPOINT("segment.publish.linked");
	return 0;
}

int ipk_segment_inspect(int fd, struct ipk_segment_info *info)
{
	struct stat st;
	struct ipk_segment_shm *header;

	memset(info, 0, sizeof(*info));
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < IPK_SEGMENT_HEADER)
		return -ENOMSG;
	header = mmap(NULL, IPK_SEGMENT_HEADER, PROT_READ, MAP_SHARED, fd, 0);
	if (header == MAP_FAILED)
		return -errno;
	/* acquire: segment.ready */
	info->magic = atomic_load_explicit(&header->magic, memory_order_acquire);
	info->size = header->size;
	info->id[0] = header->id[0];
	info->id[1] = header->id[1];
	info->kind = header->kind;
	info->participants = header->participants;
	info->creator = header->creator;
	munmap(header, IPK_SEGMENT_HEADER);
	/* a size that is not the file's own means truncation, or garbage */
	if (info->magic >> 16 != IPK_SEGMENT_MAGIC >> 16)
		return -ENOMSG;
	return info->size == (uint64_t)st.st_size ? 0 : -EPROTO;
}

int ipk_segment_attach(struct ipk_segment *segment, int fd, uint32_t kind, uint32_t participants, uint64_t mirror_from)
{
	struct ipk_segment_info info;
	uint64_t object;
	int rc;

	blank(segment);
	segment->fd = fd;
	if ((rc = ipk_segment_inspect(fd, &info)) < 0)
		goto fail;
	object = info.size - IPK_SEGMENT_HEADER; /* inspect has checked that the file is that long */
	if (info.magic != IPK_SEGMENT_MAGIC || info.kind != kind || info.participants != participants ||
	    object <= mirror_from) {
		rc = -EPROTO;
		goto fail;
	}
	segment->size = info.size;
	if ((rc = remember_file(segment)) < 0 || (rc = map(segment, mirror_from ? object - mirror_from : 0)) < 0 ||
	    (rc = watch_for_fork(segment)) < 0)
		goto fail;
	return 0;

fail:
	ipk_segment_close(segment);
	return rc;
}

int ipk_segment_owns(const struct ipk_segment *segment, int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == segment->device && st.st_ino == segment->inode;
}

static void close_if_ours(const struct ipk_segment *segment, int fd)
{
	if (ipk_segment_owns(segment, fd))
		close(fd);
}

void ipk_segment_forked(struct ipk_segment *segment)
{
	close_if_ours(segment, segment->life_fd);
	segment->life_fd = -1;
	/* relaxed, all: the child of a fork has one thread */
	atomic_store_explicit(&segment->claimed, 0, memory_order_relaxed);
	atomic_store_explicit(&segment->claimant, 0, memory_order_relaxed);
	if (segment->same_process)
		atomic_store_explicit(segment->same_process, 1, memory_order_relaxed);
}

int ipk_segment_still_ours(struct ipk_segment *segment)
{
	/* relaxed: only fork changes it, and a fork orders everything before itself */
	if (!atomic_load_explicit(segment->same_process, memory_order_relaxed)) {
		ipk_segment_forked(segment);
		return -ECHILD;
	}
	return ipk_participant_renew(segment);
}

void ipk_segment_close(struct ipk_segment *segment)
{
	if (segment->base && segment->same_process) {
		if (!atomic_load_explicit(segment->same_process, memory_order_relaxed))
			ipk_segment_forked(segment); /* its claims are the parent's: not ours to release */
		for (uint32_t slot = 0; slot < IPK_PARTICIPANTS_MAX; slot++)
			ipk_participant_release(segment, slot);
	}
	if (segment->base)
		munmap(segment->base, segment->mapped);
	if (segment->same_process)
		munmap(segment->same_process, (size_t)sysconf(_SC_PAGESIZE));
	close_if_ours(segment, segment->life_fd);
	if (segment->inode)
		close_if_ours(segment, segment->fd);
	else if (segment->fd >= 0)
		close(segment->fd); /* failed before it was known which file it is */
	blank(segment);
}
