/* The word of an event: ipckit/event.h draws it, and says how it is used. */
#ifndef IPCKIT_EVENT_WORD_H
#define IPCKIT_EVENT_WORD_H

#include <stdint.h>

#include "ipckit/event.h"

#define IPK_EVENT_SET UINT32_C(1)
#define IPK_EVENT_WAITERS UINT32_C(0x80000000)
#define IPK_EVENT_TIMES (~(IPK_EVENT_SET | IPK_EVENT_WAITERS))

/* A word, by which rule it is looked at, and from when on sets of a manual-reset one count. */
struct ipk_event_look {
	struct ipk_event_word_shm *state;
	int auto_reset;
	uint32_t since;
};

/* From when on sets count: now. */
uint32_t ipk_event_word_now(struct ipk_event_word_shm *state);

void ipk_event_word_set(struct ipk_event_word_shm *state, int auto_reset);
void ipk_event_word_clear(struct ipk_event_word_shm *state);

/* Consume, or look. keep: IPK_EVENT_WAITERS if the caller has slept, else 0. Returns 0, or -EAGAIN. */
int ipk_event_word_take(const struct ipk_event_look *look, uint32_t keep);

/* Consume, or look, so many times, unless spinning does not pay. Returns 0, or -EAGAIN. */
int ipk_event_word_glance(const struct ipk_event_look *look, struct ipk_spin *spin, int times);

/* Say that we are about to sleep. Returns 0, and the word to sleep on; -EAGAIN if there is something to take. */
int ipk_event_word_announce(const struct ipk_event_look *look, uint32_t *word);

/* Leave after a sleep without having taken anything: the next set is to wake another one. */
void ipk_event_word_leave(const struct ipk_event_look *look);

/* As ipk_event_pair_wait. */
int ipk_event_word_wait(const struct ipk_event_look *look, struct ipk_spin *spin, int64_t deadline_ns, uint32_t *taken);

#endif
