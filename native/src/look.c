#include "ipckit/look.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "identity.h"
#include "look_parts.h"

/* Not by ipk_segment_inspect, which maps the file: where the file system is full, a hole in a mapping is SIGBUS. */
static int read_header(const struct ipk_look *look, struct ipk_segment_info *info)
{
	struct ipk_segment_shm header;
	ssize_t got = pread(look->member.fd, &header, sizeof(header), 0);

	if (got < 0)
		return -errno;
	if (got != (ssize_t)sizeof(header))
		return -ENOMSG;
	/* relaxed: in a copy of our own */
	info->magic = atomic_load_explicit(&header.magic, memory_order_relaxed);
	info->size = header.size;
	info->id[0] = header.id[0];
	info->id[1] = header.id[1];
	info->kind = header.kind;
	info->participants = header.participants;
	info->creator = header.creator;
	if (info->magic >> 16 != IPK_SEGMENT_MAGIC >> 16)
		return -ENOMSG;
	return info->size == look->size ? 0 : -EPROTO;
}

int ipk_look_begin(struct ipk_look *look, int fd, struct ipk_segment_info *info)
{
	struct stat st;

	memset(info, 0, sizeof(*info));
	look->kind = 0;
	look->roster.shm = NULL;
	memset(look->end, 0, sizeof(look->end));
	memset(&look->member, 0, sizeof(look->member));
	look->member.fd = fd;
	look->member.life_fd = -1;
	look->member.id = &look->nobody;
	if (fstat(fd, &st) < 0)
		return -errno;
	look->member.device = st.st_dev;
	look->member.inode = st.st_ino;
	look->size = (uint64_t)st.st_size;
	return S_ISREG(st.st_mode) ? read_header(look, info) : -ENOMSG;
}

void *ipk_look_copy(struct ipk_look *look)
{
	return (void *)(((uintptr_t)look->room + IPK_LINE - 1) / IPK_LINE * IPK_LINE);
}

int64_t ipk_look_fetch(const struct ipk_look *look, uint64_t offset, void *into, uint64_t size)
{
	uint64_t done = 0;

	while (done < size) {
		ssize_t got = pread(look->member.fd, (unsigned char *)into + done, size - done,
				    (off_t)(IPK_SEGMENT_HEADER + offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (uint64_t)got;
	}
	return (int64_t)done;
}

int ipk_look_head(struct ipk_look *look, uint64_t size)
{
	int64_t got = size <= IPK_LOOK_ROOM ? ipk_look_fetch(look, 0, ipk_look_copy(look), size) : -EPROTO;

	return got < 0 ? (int)got : (uint64_t)got == size ? 0 : -EPROTO;
}

void ipk_look_roster(struct ipk_look *look, struct ipk_roster_shm *shm, uint32_t participants)
{
	ipk_roster_init(&look->roster, shm, participants, &look->member);
	look->end[IPK_LOOK_PRODUCER] = ipk_roster_end(&look->roster, IPK_ROSTER_PRODUCER);
	look->end[IPK_LOOK_CONSUMER] = ipk_roster_end(&look->roster, IPK_ROSTER_CONSUMER);
}

uint32_t ipk_look_end(const struct ipk_look *look, uint32_t role)
{
	return role == IPK_LOOK_PRODUCER || role == IPK_LOOK_CONSUMER ? look->end[role] : IPK_ROSTER_NOBODY_YET;
}

int ipk_look_passed(const struct ipk_look *look, uint64_t position)
{
	if (look->kind == IPK_KIND_MPMC)
		return (int32_t)((uint32_t)look->oldest - (uint32_t)position) > 0;
	return (look->kind == IPK_KIND_SPSC || look->kind == IPK_KIND_BROADCAST) && (int64_t)(look->oldest - position) > 0;
}

static int in_roster(const struct ipk_look *look, uint32_t index, struct ipk_look_participant *who)
{
	struct ipk_roster_info info;
	int rc = ipk_roster_get(&look->roster, index, &info);
	uint64_t cursor;

	if (rc != 1)
		return rc;
	who->role = info.roles & IPK_ROSTER_ROLES;
	who->lives = (int32_t)info.lives;
	who->pid = info.pid;
	who->start_time = info.start_time;
	who->pid_namespace = info.pid_namespace;
	if (look->kind != IPK_KIND_BROADCAST || !(who->role & IPK_LOOK_CONSUMER))
		return 1;
	/* relaxed: in a copy of our own */
	cursor = atomic_load_explicit(&ipk_roster_entry(&look->roster, index)->cursor, memory_order_relaxed);
	if ((int64_t)(look->oldest - cursor) > 0) {
		if (look->policy == IPK_BROADCAST_DISCONNECT)
			who->role |= IPK_LOOK_CUT_OFF;
		cursor = look->oldest;
	}
	who->behind = (int64_t)(look->tail - cursor) > 0 ? look->tail - cursor : 0;
	return 1;
}

static int in_slot(const struct ipk_look *look, uint32_t slot, struct ipk_look_participant *who)
{
	struct ipk_participant_info info;
	struct flock lock;
	int rc = ipk_identity_lock(look->member.fd, F_OFD_GETLK, F_WRLCK, slot, &lock);
	off_t place = (off_t)(offsetof(struct ipk_segment_shm, participant) + slot * sizeof(struct ipk_participant_shm));

	if (rc < 0)
		return rc;
	if (pread(look->member.fd, &info, sizeof(info), place) != (ssize_t)sizeof(info))
		return -EPROTO;
	if (lock.l_type == F_UNLCK && info.pid == 0)
		return 0;
	who->role = slot == IPK_SPSC_PRODUCER ? IPK_LOOK_PRODUCER : IPK_LOOK_CONSUMER;
	who->lives = lock.l_type != F_UNLCK || ipk_identity_runs(&info);
	who->pid = info.pid;
	who->start_time = info.start_time;
	who->pid_namespace = info.pid_namespace;
	return 1;
}

int ipk_look_participant(const struct ipk_look *look, uint32_t index, struct ipk_look_participant *who)
{
	memset(who, 0, sizeof(*who));
	switch (look->kind) {
	case IPK_KIND_SPSC:
		return index <= IPK_SPSC_CONSUMER ? in_slot(look, index, who) : -ENOENT;
	case IPK_KIND_LATEST:
		return index == IPK_LATEST_WRITER ? in_slot(look, index, who) : -ENOENT;
	case IPK_KIND_MPMC:
	case IPK_KIND_BROADCAST:
		return in_roster(look, index, who);
	case IPK_KIND_SYNC:
		return ipk_look_sync_participant(look, index, who);
	default:
		return -ENOENT;
	}
}
