/* Where objects of synchronisation live in a process: a file of shared memory and our membership in it.
 *
 * Either a segment of ours with one object in it, which is mapped here, or a file of the user's, which the user maps.
 */
#ifndef IPCKIT_HOME_H
#define IPCKIT_HOME_H

#include <stdint.h>

#include "ipckit/member.h"
#include "ipckit/segment.h"

struct ipk_home {
	struct ipk_segment segment; /* closed where the memory is the user's */
	struct ipk_member member;
	int fd; /* the user's file: our own descriptor of it; -1 where there is a segment */
};

/* cffi: types */
struct ipk_home;
/* cffi: end */

/* cffi: begin */

/* Make an unpublished segment for one object of `size` bytes. path NULL: anonymous. home: zeroed memory. Returns as ipk_segment_create. */
int ipk_home_create(struct ipk_home *home, const char *path, uint64_t size, uint32_t mode);

/* Publish the segment, when its object is complete. Returns as ipk_segment_publish. */
int ipk_home_publish(struct ipk_home *home, const char *path);

/* Map the segment behind fd, which becomes the home's own, also on failure. Returns as ipk_segment_attach. */
int ipk_home_attach(struct ipk_home *home, int fd);

/* Live in the file behind fd, which the caller maps, and which becomes the home's own, also on failure. Returns as ipk_member_open. */
int ipk_home_adopt(struct ipk_home *home, int fd);

/* Leave the file, unmap the segment. Harmless when repeated. */
void ipk_home_close(struct ipk_home *home);

/* Our membership in the file. */
struct ipk_member *ipk_home_member(struct ipk_home *home);

/* The object of the segment, and how many bytes there are. */
void *ipk_home_place(const struct ipk_home *home);
uint64_t ipk_home_room(const struct ipk_home *home);

/* The descriptor of the file; -1 after close. */
int ipk_home_fd(const struct ipk_home *home);

/* cffi: end */

#endif
