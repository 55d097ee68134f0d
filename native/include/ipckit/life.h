/* The life lock: whether anybody has a named segment, and how its name is taken away without hurting whoever has it.
 *
 *   byte of the file   2^62 - 2      2^62 - 1      2^62 ...
 *                      | name byte   | life byte   | participants, members (segment.h, member.h)
 *
 * All locks are OFD locks (fcntl(2)): they belong to a file description, and the kernel drops them with it.
 *
 * - Who creates or opens a named segment holds its life byte shared, for as long as the description is open: the creator
 *   before the file gets its name, an opener before it believes that the file still has it. Who finds that the file has
 *   lost its name meanwhile (st_nlink is 0) opens the name again.
 * - Who removes what was left behind takes both bytes exclusively. That succeeds only if no description anywhere, of
 *   whatever user, container or pid namespace, holds the life byte. From then on nobody gets hold of the file, for every
 *   opener is turned away; so what is found out now stays true: that no participant and no member has its lock, and what
 *   the records say. Then it takes the name away, or leaves it, and lets go.
 * - Who unlinks a segment that may be in use takes the name byte alone. No call takes a name away from a file but the
 *   one that has its name byte, and a creator replaces no name (linkat(2) is exclusive), so a path that leads to the file while
 *   the byte is held leads to it until it is unlinked: nobody's new segment of that name is hit.
 *
 * Why nobody is overlooked. A lock goes with the last reference to its description, and the kernel counts as one: each
 * descriptor, in whatever process, so also a forked child's, and one that travels through a socket or in a pickle; and each
 * mapping that was made through it. So a process whose descriptors somebody closed (closerange, as daemons do) still has
 * its segment, as long as it maps it; so has a stopped one. A killed one has nothing. A descriptor that others opened by the
 * path, or anew through /proc/PID/fd, holds nothing until it becomes a segment's (ipk_life_hold).
 *
 * Trust: whoever may read the file may hold the life byte, and so keep it from being cleaned away; whoever may write
 * it may keep both bytes, and so keep openers out, who give up in time. A program that unlinks by hand asks nobody.
 *
 * Who may call: any thread. Nothing here blocks.
 */
#ifndef IPCKIT_LIFE_H
#define IPCKIT_LIFE_H

/* cffi: begin */

/* Open the segment at path, for reading and writing, and hold its life byte. Returns the descriptor, close-on-exec;
 * -EAGAIN while it is being removed: try again; -errno of open(2). */
int ipk_life_open(const char *path);

/* Hold the life byte of the description behind fd. Harmless when repeated. Returns 0; -EAGAIN while it is being removed; -errno. */
int ipk_life_hold(int fd);

/* Whether another description than fd's holds the life byte, or a participant or member of the segment has its lock; fd may be open for
 * reading only. Returns 1, 0, -errno. */
int ipk_life_held(int fd);

/* Take both bytes, so that nobody can open the segment any more, if nobody has it.
 *
 * fd: a description of the caller's own, open for writing. Returns 0; -EBUSY if somebody has it, or removes it, or is
 * a participant or member by its lock; -EBADF if fd is not open for writing; -errno. */
int ipk_life_begin_removal(int fd);

/* Take the name byte, to unlink a segment that may be in use. fd: as above. Returns 0; -EAGAIN while another one has it; -errno. */
int ipk_life_begin_unlink(int fd);

/* Take the name away from the file behind fd, for which one of the two has begun. Returns 0; -ESTALE if path leads to another
 * file, -ENOENT if to none; -errno of unlink(2). */
int ipk_life_unlink(const char *path, int fd);

/* Let go of both bytes: of the description, so also where a forked child has it too. */
void ipk_life_let_go(int fd);

/* cffi: end */

#endif
