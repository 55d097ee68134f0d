/* System V shared memory with the plain calls of libc: shmget(2), shmat(2), shmctl(2).
 *
 *	shm_sysv create KEY SIZE     makes a segment of that key, and prints its number
 *	shm_sysv echo KEY            attaches; for each line "OFFSET TEXT" writes the text there, prints what was there
 *	shm_sysv stat KEY            prints "SIZE ATTACHED CREATOR LAST"
 *	shm_sysv remove KEY
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#define LONGEST 256

static int fail(const char *call)
{
	fprintf(stderr, "%s: %s\n", call, strerror(errno));
	return 1;
}

static int echo(int segment)
{
	char line[LONGEST], text[LONGEST];
	char *memory = shmat(segment, NULL, 0);
	unsigned offset;

	if (memory == (void *)-1)
		return fail("shmat");
	while (fgets(line, LONGEST, stdin) && sscanf(line, "%u %255s", &offset, text) == 2) {
		printf("%.*s\n", (int)strlen(text), memory + offset);
		fflush(stdout);
		memcpy(memory + offset, text, strlen(text));
	}
	return shmdt(memory) < 0 ? fail("shmdt") : 0;
}

static int tell(int segment)
{
	struct shmid_ds status;

	if (shmctl(segment, IPC_STAT, &status) < 0)
		return fail("shmctl");
	printf("%zu %lu %d %d\n", status.shm_segsz, (unsigned long)status.shm_nattch, status.shm_cpid, status.shm_lpid);
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";
	key_t key;
	int segment;

	if (argc < 3)
		return 2;
	key = (key_t)strtol(argv[2], NULL, 0);
	if (strcmp(verb, "create") == 0 && argc > 3)
		segment = shmget(key, (size_t)atol(argv[3]), IPC_CREAT | IPC_EXCL | 0600);
	else
		segment = shmget(key, 0, 0);
	if (segment < 0)
		return fail("shmget");
	if (strcmp(verb, "create") == 0)
		printf("%d\n", segment);
	else if (strcmp(verb, "echo") == 0)
		return echo(segment);
	else if (strcmp(verb, "stat") == 0)
		return tell(segment);
	else if (strcmp(verb, "remove") == 0)
		return shmctl(segment, IPC_RMID, NULL) < 0 ? fail("shmctl") : 0;
	else
		return 2;
	return 0;
}
