/* Fuzzing of rings: what fuzz_rings.c and the calls of each kind share. */
#ifndef IPCKIT_TESTS_FUZZ_RINGS_H
#define IPCKIT_TESTS_FUZZ_RINGS_H

#include "fuzz.h"
#include "ipckit/member.h"
#include "ipckit/segment.h"

#define FUZZ_VIEWS 2 /* of the same ring, by step */

enum fuzz_ring_kind { FUZZ_SPSC, FUZZ_LATEST, FUZZ_MPMC, FUZZ_BROADCAST, FUZZ_RING_KINDS };

/* One kind of ring: its two views, by number. */
struct fuzz_ring {
	int (*attach)(int view, int fd);
	void (*set_spin)(int view, int64_t budget_ns);
	void (*call)(int view, const struct fuzz_step *step);
	void (*close)(int view);
	void (*unmap)(int view);
	struct ipk_segment *(*segment)(int view);
	struct ipk_member *(*member)(int view); /* returns NULL where this kind has none */
};

extern const struct fuzz_ring fuzz_spsc, fuzz_latest, fuzz_mpmc, fuzz_broadcast;

/* The caller's own memory: what is sent, and where `size` bytes may be written, with nothing behind them. */
const void *fuzz_sent(void);
void *fuzz_room(size_t size);

/* Read, or fill, what a call has given to us, which must lie within so many bytes. */
void fuzz_read(const void *data, uint64_t size, uint64_t offset, uint64_t length);
void fuzz_fill(void *data, uint64_t size, uint64_t offset, uint64_t length);

#define FUZZ_CLOSES 31 /* beside FUZZ_ROBS and FUZZ_FORKS, a value of fuzz_step.call that stands for something else than a call */

/* A length that a step asks for: short, about a page, or any. */
uint64_t fuzz_length(const struct fuzz_step *step);

#endif
