/* What both ways of killing have in common: the object of a scene, the victim before it dies, the survivors, the sums. */
#ifndef IPCKIT_TESTS_STAGE_H
#define IPCKIT_TESTS_STAGE_H

#include "ipckit/home.h"
#include "sweep.h"

#define MOST_BYTES 65536 /* of an object, and so of a look at it */

extern struct ipk_home home;	/* of the object */
extern const void *also;	/* more bytes to watch; NULL: none */
extern size_t also_size;

/* Before the first scene. */
void open_stage(void);

/* Say which kill comes next, for what is printed when it fails. point: of the sources, or NULL. */
void next_kill(const struct scene *scene, const char *point, uint64_t kill_at);

/* Make the object of a scene, and prepare it. */
void make(const struct scene *scene);

/* Start a process that becomes a member, enters, and waits until it is let go; then it calls operate(argument). */
pid_t start_victim(const struct scene *scene, void (*operate)(const struct scene *scene));
void let_go(void);

/* The victim is about to be killed: note what the object is like, and at which instruction it is, if that is known. */
void note_death(int64_t address);

/* It is dead: let the others go on. */
void survive(const struct scene *scene, int completed);

/* It is dead, and nobody is to notice: away with the object. */
void clear_stage(void);

/* Begin to count the kills of a scene; print them; print the sum of all. */
void begin_scene(const struct scene *scene);
void end_scene(uint64_t kills);
void summary(void);

#endif
