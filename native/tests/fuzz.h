/* Fuzzing of what lies in shared memory: what the parts of fuzz_sync share.
 *
 * An input is a setting, the content of an object, and a script of calls:
 *
 *   | setting, 8 bytes | content | steps, 8 bytes each |
 *
 * While a call runs, a hostile peer acts: at each look at the clock, each sleep, each wake-up and each question to the kernel
 * it may change a word, as the step says. In that time the clock is the input's too, so that to sleep costs nothing, and a
 * call that takes longer than it may is one that takes longer by that clock (fuzz_world.c). With `fuzz_live` all of that is
 * the kernel's, and the peer is a thread.
 *
 * A step may also have the kernel refuse a call (fuzz_kernel.c), a signal handler fork, or others close our descriptors.
 */
#ifndef IPCKIT_TESTS_FUZZ_H
#define IPCKIT_TESTS_FUZZ_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>
#include <sys/stat.h>

#include "ipckit/home.h"
#include "ipckit/sync.h"

#if defined(__SANITIZE_ADDRESS__)
#define POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONS 1
#endif
#endif
#ifdef POISONS
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

#define FUZZ_ROOM 16384 /* the largest object, and the largest file but for its header */
#define FUZZ_SIDE 4096	/* a mutex beside the object */
#define FUZZ_STEPS 48

/* What an input is about. */
enum fuzz_subject { FUZZ_OBJECT, FUZZ_SEGMENT, FUZZ_RING, FUZZ_LOOK, FUZZ_SUBJECTS };

struct fuzz_setting {
	uint8_t subject;
	uint8_t kind;	 /* to attach as; of a ring: enum fuzz_ring_kind */
	uint8_t options; /* FUZZ_SPINS, FUZZ_FULL; from FUZZ_REFUSED on: which call of the kernel fails for who attaches, 0: none */
	uint8_t cut;	 /* for the object: this many lines less than it takes */
	uint16_t lines;	 /* of the object, or 16 bytes of the file: what follows the content is zero */
	uint16_t length; /* bytes of content */
};
#define FUZZ_SPINS 1
#define FUZZ_FULL 2 /* as much room as there is, however long the object is */
#define FUZZ_REFUSED 4

struct fuzz_step {
	uint8_t call;
	uint8_t argument; /* of the call; the upper bit: through the second view */
	uint8_t deadline;
	uint8_t peer;	/* low 4 bits: what it does; high 4 bits: at which moment of the call, 0: before it */
	uint16_t where; /* of the word that it changes; the upper bit: in the mutex beside; of a ring: behind the header */
	uint16_t value;
};
_Static_assert(sizeof(struct fuzz_setting) == 8 && sizeof(struct fuzz_step) == 8, "as drawn above");

struct fuzz_script {
	const struct fuzz_setting *setting;
	const uint8_t *content;
	size_t length;
	const uint8_t *steps;
	size_t count;
};

static inline struct fuzz_step fuzz_step_of(const struct fuzz_script *script, size_t index)
{
	struct fuzz_step step;

	memcpy(&step, script->steps + index * sizeof(step), sizeof(step));
	return step;
}

/* What stands in an input for what differs from run to run. */
#define FUZZ_PID UINT32_C(0x2B1D1D01)
#define FUZZ_START UINT64_C(0x2B57A57A57A57A01)
#define FUZZ_NAMESPACE UINT64_C(0x2B4E5BACE4E5BA01)
#define FUZZ_DEVICE UINT64_C(0x2BDE71CEDE71CE01)
#define FUZZ_INODE UINT64_C(0x2B140DE140DE1401)

/* Ids of members: two that live, ours, and one that never was. */
#define FUZZ_FIRST UINT32_C(0x1111111)
#define FUZZ_SECOND UINT32_C(0x2222222)
#define FUZZ_THIRD UINT32_C(0x3333333) /* in seeds: lived, and is dead */
#define FUZZ_NOBODY UINT32_C(0x0DEAD01)

/* What a peer may do: the low bits of fuzz_step.peer are 1 to this. */
#define FUZZ_PEERS 11

/* The pid of another process: it runs, whatever else a record says. */
#define FUZZ_OTHER UINT64_C(0x2B0711E1)

/* --- fuzz_world.c ------------------------------------------------------------------------------------------------ */

extern int fuzz_live;
extern uint32_t fuzz_next_id; /* that the next join gets */
extern uint32_t fuzz_closed;  /* a bit for each view that is closed, or robbed, and may say so */
extern int fuzz_probes;	      /* the call may ask the kernel for priority inheritance, on a word of its own */

/* Where calls may touch, and where the peer acts. */
struct fuzz_range {
	unsigned char *at;
	size_t size;
};
extern struct fuzz_range fuzz_object, fuzz_side; /* of a ring: its two views */

/* What the kernel wipes in a child of a fork, which a signal handler may do amid a call: words, NULL where there is none. */
#define FUZZ_PAGES 4
extern _Atomic uint32_t *fuzz_pages[FUZZ_PAGES];

/* A call begins: from here to fuzz_left the world is the step's. Returns its deadline. */
int64_t fuzz_enter(const struct fuzz_step *step);

/* The call returned rc. Ends the process if that is no answer, or came too late. slices: how many it may take beyond its
 * deadline. */
int64_t fuzz_left(const char *call, int64_t rc, int slices);

/* How the worst of them compared: for the report. */
void fuzz_report(void);

/* Start the thread that plays the peer, for `fuzz_live`. */
void fuzz_start_peer(void);

/* --- fuzz_kernel.c ----------------------------------------------------------------------------------------------- */

extern int fuzz_mapping; /* what is mapped now is the file's, and goes to the arena */
extern int fuzz_was_refused; /* in this input */

/* Reserve the place where the file will be mapped, its end before a page without access. */
void fuzz_open_arena(int file);

/* Let the kernel refuse the call that comes after so many others, 0: none. how: the error, and whether it is to refuse all that
 * follow. */
void fuzz_refuse(uint32_t after, uint32_t how);

/* Whether it refuses this call: errno says why. */
int fuzz_refuses(void);

/* Whether that is an error that it gives for a reason. */
int fuzz_is_refusal(int error);

/* A descriptor that is closed after the input, if nobody has done so before: where closing is refused, it stays open. */
int fuzz_opened(int fd);
void fuzz_close_opened(void);

/* --- fuzz_calls.c, fuzz_more_calls.c ------------------------------------------------------------------------------ */

struct fuzz_views {
	struct ipk_sync *view;	/* that the step is for */
	struct ipk_sync *other; /* of the same object */
	struct ipk_sync *mutex; /* of the condition's mutex */
	void *place;
	uint64_t room;
};

/* What steps leave behind for later ones: the callers' own memory. */
void fuzz_forget(void);
void fuzz_forget_waits(void);

/* Make the call of the step. */
void fuzz_call(uint32_t kind, const struct fuzz_views *views, const struct fuzz_step *step);
void fuzz_call_waiting_room(uint32_t kind, const struct fuzz_views *views, const struct fuzz_step *step);

#define FUZZ_CALL(step, call) FUZZ_SLOW_CALL(step, 1, call)
#define FUZZ_SLOW_CALL(step, slices, call)           \
	do {                                         \
		int64_t deadline = fuzz_enter(step); \
		(void)deadline;                      \
		fuzz_left(#call, (int64_t)(call), slices); \
	} while (0)
#define FUZZ_VOID_CALL(step, call)           \
	do {                                 \
		fuzz_enter(step);            \
		(call);                      \
		fuzz_left(#call, 0, 1);      \
	} while (0)

/* --- fuzz_sync.c --------------------------------------------------------------------------------------------------- */

int LLVMFuzzerInitialize(int *count, char ***words);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A member of the file that objects lie in; its memory; the same for a mutex beside. */
extern struct ipk_member fuzz_members[3];
extern unsigned char *fuzz_region, *fuzz_side_region;

_Noreturn void fuzz_fails(const char *what);

/* A new file of shared memory. */
int fuzz_memory_file(size_t size, struct stat *st);

/* Attach twice, and make the calls of the script. */
void fuzz_run(const struct fuzz_script *script, unsigned char *place, uint64_t room, struct ipk_member *first,
	      struct ipk_member *second);

/* Make a member live, with that id. */
void fuzz_join(struct ipk_member *member, uint32_t id);

/* Put in, or take out again, what differs from run to run. */
void fuzz_localise(unsigned char *bytes, size_t size, uint64_t device, uint64_t inode);
void fuzz_delocalise(unsigned char *bytes, size_t size);

/* --- fuzz_files.c, fuzz_look.c ------------------------------------------------------------------------------------ */

/* Where the content of an input is a whole file. */
void fuzz_open_file(void);
void fuzz_on_segment(const struct fuzz_script *script);

/* Make the file what the script says. Returns its size. */
size_t fuzz_fill_file(const struct fuzz_script *script);

/* A descriptor of the file, for a view. */
int fuzz_duplicate_file(void);

/* What others do to a process beside the bytes that they write: steps of these numbers, where a view is the input's own. */
#define FUZZ_ROBS 29  /* close its descriptors, as daemons do: that of its locks, with an odd argument also the file's */
#define FUZZ_FORKS 30 /* wipe its pages, as the kernel does in a child */
void fuzz_rob(int view, int life_fd, int fd, const struct fuzz_step *step);

/* The input is over. */
void fuzz_end_views(void);

/* Where the content of an input is a whole file, for who looks at it and takes no part. */
void fuzz_open_look(void);
void fuzz_on_look(const struct fuzz_script *script);

/* The bytes of the file, for a peer to write to. */
struct fuzz_range fuzz_file_bytes(size_t size);

/* --- fuzz_rings.c -------------------------------------------------------------------------------------------------- */

void fuzz_on_ring(const struct fuzz_script *script);

/* --- fuzz_scripts.c ------------------------------------------------------------------------------------------------ */

#define FUZZ_SCRIPT 24 /* steps */
#define FUZZ_WAITING_STYLES 16 /* of a ring, a style from here on waits, most of the time */

/* The step of that number, of a script of this style. */
struct fuzz_step fuzz_make_step(const struct fuzz_setting *setting, int style, int i);

/* --- fuzz_states.c ------------------------------------------------------------------------------------------------- */

struct fuzz_state {
	const char *name;
	uint32_t kind;
	unsigned char *place; /* in fuzz_region, until the next one is made */
	size_t size;
};

/* Make the object of that number. Returns 0 beyond the last. */
int fuzz_make_state(size_t number, struct fuzz_state *state);

/* --- fuzz_seeds.c, fuzz_ring_seeds.c ---------------------------------------------------------------------------------- */

/* Write one input for each object that we can think of into the directory; or call take for each. */
void fuzz_write_seeds(const char *directory);
void fuzz_make_seeds(void (*take)(const char *name, const uint8_t *data, size_t size));

/* Give one with that content, and a script of this style. */
void fuzz_give_seed(const char *name, int style, struct fuzz_setting setting, const unsigned char *content, size_t size);
void fuzz_give_look(const char *name, struct fuzz_setting setting, const unsigned char *content, size_t size);
void fuzz_give_refused(const char *name, struct fuzz_setting setting, const unsigned char *content, size_t size);
void fuzz_make_ring_seeds(void);
_Noreturn void fuzz_no_seed(const char *what);

#endif
