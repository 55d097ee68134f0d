#include "ipckit/home.h"

#include <unistd.h>

#define NO_PARTICIPANTS 0 /* objects of synchronisation have members */

static int join_segment(struct ipk_home *home, int rc)
{
	home->fd = -1;
	if (rc == 0)
		rc = ipk_member_open(&home->member, home->segment.fd);
	if (rc < 0)
		ipk_home_close(home);
	return rc;
}

int ipk_home_create(struct ipk_home *home, const char *path, uint64_t size, uint32_t mode)
{
	return join_segment(home, ipk_segment_create(&home->segment, path, IPK_KIND_SYNC, NO_PARTICIPANTS, size, 0, mode));
}

int ipk_home_publish(struct ipk_home *home, const char *path)
{
	return ipk_segment_publish(&home->segment, path);
}

int ipk_home_attach(struct ipk_home *home, int fd)
{
	return join_segment(home, ipk_segment_attach(&home->segment, fd, IPK_KIND_SYNC, NO_PARTICIPANTS, 0));
}

int ipk_home_adopt(struct ipk_home *home, int fd)
{
	int rc = ipk_member_open(&home->member, fd);

	home->segment.fd = -1;
	home->segment.life_fd = -1;
	home->fd = fd;
	if (rc < 0)
		ipk_home_close(home);
	return rc;
}

void ipk_home_close(struct ipk_home *home)
{
	ipk_member_close(&home->member);
	if (home->fd >= 0)
		close(home->fd);
	home->fd = -1;
	ipk_segment_close(&home->segment);
}

struct ipk_member *ipk_home_member(struct ipk_home *home)
{
	return &home->member;
}

void *ipk_home_place(const struct ipk_home *home)
{
	return home->segment.base ? home->segment.base + IPK_SEGMENT_HEADER : NULL;
}

uint64_t ipk_home_room(const struct ipk_home *home)
{
	return home->segment.base ? home->segment.size - IPK_SEGMENT_HEADER : 0;
}

int ipk_home_fd(const struct ipk_home *home)
{
	return home->fd >= 0 ? home->fd : home->segment.fd;
}
