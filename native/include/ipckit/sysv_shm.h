/* System V shared memory: sysvipc(7), shmget(2), shmat(2), shmctl(2).
 *
 * A segment is the number that ipk_sysv_shm_get gave, known to the whole IPC namespace; there is nothing to close. A
 * segment that is removed lives on, without its key, until nobody has it attached; after that its number is -EINVAL or
 * -EIDRM. The kernel serialises everything here, and nothing of what is done with the memory: any thread of any process
 * may call anything here at any time.
 */
#ifndef IPCKIT_SYSV_SHM_H
#define IPCKIT_SYSV_SHM_H

#include <stdint.h>

/* cffi: types */
struct ipk_sysv_shm_status {
	int64_t key; /* 0: private, or removed */
	int64_t uid, gid, creator_uid, creator_gid;
	int64_t mode;                                     /* permission bits */
	int64_t size;                                     /* bytes, as they were asked for */
	int64_t attached;                                 /* how often, by all processes */
	int64_t creator_pid, last_pid;                    /* last_pid: of shmat or shmdt; 0: never */
	int64_t last_attach_s, last_detach_s, change_s;   /* seconds since 1970; 0: never */
	int64_t locked, removed;                          /* 0 or 1: SHM_LOCKED, SHM_DEST */
};
/* cffi: end */

/* cffi: begin */

/* The segment of `key`, if it grants `mode`: shmget(2). Does not block.
 * Returns its number; -ENOENT, -EACCES. */
int ipk_sysv_shm_find(int32_t key, uint32_t mode);

/* Make a segment of `size` zeros, exclusively: shmget(2). key: 0 makes a private one. mode: its permission bits.
 * huge_flags: 0, or SHM_HUGETLB and the logarithm of the page size. Does not block.
 * Returns its number; -EEXIST, -EINVAL (size: sysctl kernel.shmmax), -ENOSPC (too many segments or too many pages in
 * them: sysctl kernel.shmmni, kernel.shmall), -ENOMEM (also: too few huge pages), -EPERM (huge pages: CAP_IPC_LOCK, or
 * the group of sysctl vm.hugetlb_shm_group). */
int ipk_sysv_shm_make(int32_t key, uint64_t size, uint32_t mode, int huge_flags);

/* Attach the segment in the place of memory that the caller has mapped: shmat(2) with SHM_REMAP.
 *
 * start, size: that memory, which has as many bytes as the segment; its last page is replaced whole. On success the
 * caller's pages are gone, and whoever unmaps the range (munmap, exit, exec) detaches the segment. read_only: SHM_RDONLY.
 * Does not block. Returns the bytes in one of its pages; -EINVAL (start is not a multiple of these; or size is not, and
 * the page is a huge one; no such segment), -EIDRM, -EACCES, -ENOMEM. */
int64_t ipk_sysv_shm_attach(int id, void *start, uint64_t size, int read_only);

/* The bytes in one page of the segment, of which its status tells nothing; it is attached for a moment. Takes the right
 * to read. Does not block. Returns as ipk_sysv_shm_attach. */
int64_t ipk_sysv_shm_page_size(int id);

/* What shmctl(2) IPC_STAT tells. Takes the right to read. Does not block. Returns 0, -EINVAL, -EIDRM, -EACCES. */
int ipk_sysv_shm_stat(int id, struct ipk_sysv_shm_status *status);

/* Change owner and mode to those in `status`, the rest of which is ignored: IPC_SET. Takes the owner or creator.
 * Does not block. Returns 0, -EPERM, -EINVAL, -EIDRM. */
int ipk_sysv_shm_set(int id, const struct ipk_sysv_shm_status *status);

/* Keep the segment's pages in memory once they are touched, or let them go again: SHM_LOCK, SHM_UNLOCK.
 * Does not block. Returns 0; -EPERM (takes the owner or creator and a RLIMIT_MEMLOCK, or CAP_IPC_LOCK), -ENOMEM (more
 * than RLIMIT_MEMLOCK), -EINVAL, -EIDRM. */
int ipk_sysv_shm_lock(int id, int locked);

/* Take the segment's key, and destroy it once nobody has it attached: IPC_RMID. Does not block.
 * Returns 0, -EPERM, -EINVAL; -EIDRM also where it was removed before and is still attached. */
int ipk_sysv_shm_remove(int id);

/* cffi: end */

#endif
