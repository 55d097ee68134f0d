/* System V semaphore sets with the plain calls of libc: semget(2), semop(2), semctl(2).
 *
 *	sem create KEY VALUE...          makes a set by the convention: SETALL, then one semop; prints its number
 *	sem op KEY UNDO INDEX DELTA ...  one operation of those pairs; then prints "done", and ends with its input
 *	sem values KEY                   prints them, each with the last process and both counts of waiters
 *	sem wait KEY                     an opener by the convention: waits for sem_otime, then prints the values
 *	sem remove KEY
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <time.h>

#define MOST 16

union argument {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
};

static int fail(const char *call)
{
	fprintf(stderr, "%s: %s\n", call, strerror(errno));
	return 1;
}

static int create(key_t key, int count, char **words)
{
	unsigned short values[MOST];
	struct sembuf ops[] = {{0, 1, 0}, {0, -1, 0}};
	int set = semget(key, count, IPC_CREAT | IPC_EXCL | 0600);

	if (set < 0)
		return fail("semget");
	for (int i = 0; i < count; i++)
		values[i] = (unsigned short)atoi(words[i]);
	if (semctl(set, 0, SETALL, (union argument){.array = values}) < 0)
		return fail("semctl");
	if (semop(set, ops, 2) < 0)
		return fail("semop");
	printf("%d\n", set);
	return 0;
}

static int operate(int set, int undo, int count, char **words)
{
	struct sembuf ops[MOST];

	for (int i = 0; i < count; i++) {
		ops[i].sem_num = (unsigned short)atoi(words[2 * i]);
		ops[i].sem_op = (short)atoi(words[2 * i + 1]);
		ops[i].sem_flg = undo ? SEM_UNDO : 0;
	}
	if (semop(set, ops, (size_t)count) < 0)
		return fail("semop");
	puts("done");
	fflush(stdout);
	getchar();
	return 0;
}

static int tell(int set)
{
	struct semid_ds status;

	if (semctl(set, 0, IPC_STAT, (union argument){.buf = &status}) < 0)
		return fail("semctl");
	for (int i = 0; i < (int)status.sem_nsems; i++)
		printf("%d %d %d %d\n", semctl(set, i, GETVAL), semctl(set, i, GETPID), semctl(set, i, GETNCNT),
		       semctl(set, i, GETZCNT));
	return 0;
}

static int wait_until_started(int set)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	struct semid_ds status = {.sem_otime = 0};

	while (semctl(set, 0, IPC_STAT, (union argument){.buf = &status}) == 0 && status.sem_otime == 0)
		nanosleep(&pause, NULL);
	return tell(set);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";
	key_t key;
	int set;

	if (argc < 3 || argc > 2 * MOST)
		return 2;
	key = (key_t)strtol(argv[2], NULL, 0);
	if (strcmp(verb, "create") == 0)
		return create(key, argc - 3, argv + 3);
	set = semget(key, 0, 0);
	if (set < 0)
		return fail("semget");
	if (strcmp(verb, "op") == 0 && argc > 5)
		return operate(set, atoi(argv[3]), (argc - 4) / 2, argv + 4);
	if (strcmp(verb, "values") == 0)
		return tell(set);
	if (strcmp(verb, "wait") == 0)
		return wait_until_started(set);
	if (strcmp(verb, "remove") == 0)
		return semctl(set, 0, IPC_RMID) < 0 ? fail("semctl") : 0;
	return 2;
}
