#include "ipckit/sysv_shm.h"

#include <errno.h>
#include <stddef.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

/* Bits of shm_perm.mode, linux/shm.h. */
#ifndef SHM_DEST
#define SHM_DEST 01000
#endif
#ifndef SHM_LOCKED
#define SHM_LOCKED 02000
#endif

#define LEAST_HUGE 16 /* ordinary pages in the smallest huge page of any architecture */

int ipk_sysv_shm_find(int32_t key, uint32_t mode)
{
	int id = shmget(key, 0, (int)(mode & 0777));

	return id < 0 ? -errno : id;
}

int ipk_sysv_shm_make(int32_t key, uint64_t size, uint32_t mode, int huge_flags)
{
	int id = shmget(key, (size_t)size, IPC_CREAT | IPC_EXCL | huge_flags | (int)(mode & 0777));

	return id < 0 ? -errno : id;
}

int64_t ipk_sysv_shm_page_size(int id)
{
	int64_t page = sysconf(_SC_PAGESIZE);
	void *probe = shmat(id, NULL, SHM_RDONLY);

	if (probe == (void *)-1)
		return -errno;
	/* A mapping can be split only between two of its pages. */
	while (mprotect(probe, (size_t)page, PROT_NONE) < 0 && errno == EINVAL)
		page *= 2;
	shmdt(probe);
	return page;
}

int64_t ipk_sysv_shm_attach(int id, void *start, uint64_t size, int read_only)
{
	uint64_t place = (uintptr_t)start, page = (uint64_t)sysconf(_SC_PAGESIZE);

	/* Elsewhere the kernel refuses huge pages; here it would take them, and more room than the caller has for them. */
	if (place % (LEAST_HUGE * page) == 0) {
		int64_t found = ipk_sysv_shm_page_size(id);

		if (found < 0)
			return found;
		if ((uint64_t)found != page && size % (uint64_t)found != 0)
			return -EINVAL;
		page = (uint64_t)found;
	}
	if (shmat(id, start, SHM_REMAP | (read_only ? SHM_RDONLY : 0)) == (void *)-1)
		return -errno;
	return (int64_t)page;
}

int ipk_sysv_shm_stat(int id, struct ipk_sysv_shm_status *status)
{
	struct shmid_ds found;

	if (shmctl(id, IPC_STAT, &found) < 0)
		return -errno;
	*status = (struct ipk_sysv_shm_status){
		.key = found.shm_perm.__key,
		.uid = found.shm_perm.uid,
		.gid = found.shm_perm.gid,
		.creator_uid = found.shm_perm.cuid,
		.creator_gid = found.shm_perm.cgid,
		.mode = found.shm_perm.mode & 0777,
		.size = (int64_t)found.shm_segsz,
		.attached = (int64_t)found.shm_nattch,
		.creator_pid = found.shm_cpid,
		.last_pid = found.shm_lpid,
		.last_attach_s = found.shm_atime,
		.last_detach_s = found.shm_dtime,
		.change_s = found.shm_ctime,
		.locked = (found.shm_perm.mode & SHM_LOCKED) != 0,
		.removed = (found.shm_perm.mode & SHM_DEST) != 0,
	};
	return 0;
}

int ipk_sysv_shm_set(int id, const struct ipk_sysv_shm_status *status)
{
	struct shmid_ds wanted = {.shm_segsz = 0};

	wanted.shm_perm.uid = (uid_t)status->uid;
	wanted.shm_perm.gid = (gid_t)status->gid;
	wanted.shm_perm.mode = (unsigned short)(status->mode & 0777);
	return shmctl(id, IPC_SET, &wanted) < 0 ? -errno : 0;
}

int ipk_sysv_shm_lock(int id, int locked)
{
	return shmctl(id, locked ? SHM_LOCK : SHM_UNLOCK, NULL) < 0 ? -errno : 0;
}

int ipk_sysv_shm_remove(int id)
{
	struct ipk_sysv_shm_status status;

	if (ipk_sysv_shm_stat(id, &status) == 0 && status.removed)
		return -EIDRM; /* the kernel would say 0 once more */
	return shmctl(id, IPC_RMID, NULL) < 0 ? -errno : 0;
}
