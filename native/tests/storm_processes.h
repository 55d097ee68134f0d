/* The processes of storm_sync as the parent has them: begun, stopped, killed, looked at. */
#ifndef IPCKIT_TESTS_STORM_PROCESSES_H
#define IPCKIT_TESTS_STORM_PROCESSES_H

#include <stdint.h>

extern uint64_t storm_kills;
extern uint32_t storm_ambiguous; /* victims that may have had a permit of the plain semaphore, or may not */

/* --- storm.c --- */
void storm_birth(int i);
void storm_death(int i);
void storm_stop(int i);
int storm_victim(void); /* whom to kill */
void storm_look(void);
void storm_show(void);
void storm_report(void);

/* --- storm_sync.c --- */
void storm_attach(void);	/* in a new process: views of its own */
void storm_give_permit(void);	/* of the plain semaphore, by the parent */
void storm_show_objects(void);

#endif
