/* The processes of a storm as the parent has them: begun, stopped, killed, looked at. */
#ifndef IPCKIT_TESTS_STORM_PROCESSES_H
#define IPCKIT_TESTS_STORM_PROCESSES_H

#include "storm.h"

extern uint64_t storm_kills;

/* --- storm.c --- */
void storm_open(void);	/* before all others */
void storm_birth(int i);
void storm_death(int i);
void storm_stop(int i);
int storm_victim(void); /* whom to kill */
void storm_look(void);
void storm_show(void);
void storm_report(void);

/* Kill and stop, at random moments, until then. */
void storm_rage(int64_t until);

/* --- each storm's own --- */
void storm_attach(void);				/* in a new process: views of its own */
const struct work *storm_next_work(int64_t now);	/* in a process: what to do now */
void storm_before_death(int i);				/* of a process that is about to be killed */
void storm_after_death(int i);				/* it is dead, and nobody has come in its place */
int storm_owner(void);					/* a process that is worth killing, or -1 */
void storm_show_objects(void);

#endif
