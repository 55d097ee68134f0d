/* Which thread this is, without a system call for each question.
 *
 * The id is remembered in a thread-local word. (Nothing else tells a thread from an earlier one: pthread_self() comes back with the
 * stack.) After fork(2) the child's one thread has its parent's word: it notices by a page that MADV_WIPEONFORK zeroes, made
 * at the first question. Beside that word, this is the one state of the core that is in no view.
 */
#ifndef IPCKIT_THREAD_H
#define IPCKIT_THREAD_H

#include <stdint.h>

/* The calling thread's id, as gettid(2) tells it. Any thread, also a signal handler. Does not block. */
uint32_t ipk_thread_id(void);

#endif
