/* The scripts of the inputs that fuzzing begins with: each call, in several orders, by either view, with a peer that acts. */
#include <stddef.h>

#include "fuzz_rings.h"
#include "ipckit/broadcast.h"
#include "ipckit/latest.h"
#include "ipckit/mpmc.h"
#include "ipckit/spsc.h"

#define LINE 64

/* The calls of a script: each once, or some again and again. */
static struct fuzz_step step_of(int style, int i)
{
	struct fuzz_step step = {(uint8_t)(style == 2 ? FUZZ_SCRIPT - i : i), 0, 0, 0, 0, 0};

	step.value = (uint16_t)(style * 0x1555 + style / 2 + i * 3 / 2);
	step.argument = (uint8_t)((i % 3 == 2 ? 0x80 : 0) | (i & 15) | (style == 1 && i % 5 == 0 ? 0x60 : 0));
	step.deadline = (uint8_t)(style == 0 ? (i & 1 ? 200 : 0) : 40 * (i % 7));
	step.peer = (uint8_t)(style == 0 ? 0 : (i % 4) << 4 | (1 + (i + style) % FUZZ_PEERS));
	step.where = (uint16_t)(LINE + 4 * (i * style % 16));
	return step;
}

/* Where a ring tells its news. */
#define NEWS 6
static const uint16_t news[FUZZ_RING_KINDS][NEWS] = {
	[FUZZ_SPSC] = {offsetof(struct ipk_spsc_shm, tail.position), offsetof(struct ipk_spsc_shm, head.position),
		       offsetof(struct ipk_spsc_shm, roles.state[0]), offsetof(struct ipk_spsc_shm, roles.state[1]),
		       offsetof(struct ipk_spsc_shm, producer_sleep), offsetof(struct ipk_spsc_shm, consumer_sleep)},
	[FUZZ_LATEST] = {offsetof(struct ipk_latest_shm, index.sequence), offsetof(struct ipk_latest_shm, index.sequence) + 4,
			 offsetof(struct ipk_latest_shm, role), offsetof(struct ipk_latest_shm, asleep),
			 IPK_LATEST_BUFFERS, IPK_LATEST_BUFFERS + 8},
	[FUZZ_MPMC] = {offsetof(struct ipk_mpmc_shm, tail.place), offsetof(struct ipk_mpmc_shm, free.place),
		       offsetof(struct ipk_mpmc_shm, tail.commits), offsetof(struct ipk_mpmc_shm, roster.end),
		       offsetof(struct ipk_mpmc_shm, messages.sleepers.word), offsetof(struct ipk_mpmc_shm, room.sleepers.word)},
	[FUZZ_BROADCAST] = {offsetof(struct ipk_broadcast_shm, tail.position), offsetof(struct ipk_broadcast_shm, oldest.want),
			    offsetof(struct ipk_broadcast_shm, roster) + sizeof(struct ipk_roster_shm) +
				    offsetof(struct ipk_roster_entry_shm, cursor),
			    offsetof(struct ipk_broadcast_shm, lock.word), offsetof(struct ipk_broadcast_shm, readers.sleepers.word),
			    offsetof(struct ipk_broadcast_shm, writers.sleepers.word)},
};

/* Each call of a ring again and again, with time to wait, and a peer that acts meanwhile. */
static struct fuzz_step waiting_step_of(uint32_t kind, uint64_t random, int i)
{
	static const uint8_t deadlines[] = {160, 200, 244, 244};
	struct fuzz_step step = {0, 0, 0, 0, 0, 0};

	step.call = (uint8_t)(random % 2 ? i : (int)((random >> 8) % FUZZ_ROBS));
	step.argument = (uint8_t)((random >> 16) % 16);
	step.deadline = deadlines[(random >> 24) % sizeof(deadlines)];
	step.peer = (uint8_t)((1 + (random >> 36) % 15) << 4 | (1 + (random >> 40) % FUZZ_PEERS));
	step.where = (uint16_t)(0x8000 | news[kind % FUZZ_RING_KINDS][(random >> 44) % NEWS]);
	step.value = (uint16_t)((random >> 46) % 64 * 8 | random >> 63);
	return step;
}

/* The same of a ring: in order by each view; then at random, and in the end also after a fork or a close. */
static struct fuzz_step ring_step_of(uint32_t kind, int style, int i)
{
	static const uint8_t deadlines[] = {0, 120, 160, 200, 200, 244};
	static const uint8_t words[] = {0, 0, 8, 16, 64, 72}; /* of a line: where rings have something */
	uint64_t random = ((uint64_t)style * FUZZ_SCRIPT + (uint64_t)i + 1) * UINT64_C(0x9E3779B97F4A7C15);
	struct fuzz_step step = {0, 0, 0, 0, 0, 0};

	random ^= random >> 29;
	if (style >= FUZZ_WAITING_STYLES)
		return waiting_step_of(kind, random, i);
	step.call = (uint8_t)(style < 2 ? i : (int)(random >> 8) % (i < FUZZ_SCRIPT * 3 / 4 ? FUZZ_FORKS : FUZZ_CLOSES + 1));
	step.argument = (uint8_t)(style < 2 ? (i / 6 % 2 ? 0x80 : 0) | (i & 3) : random >> 16);
	step.deadline = deadlines[(random >> 24) % sizeof(deadlines)];
	if (style > 0 && (random >> 32) % 3 == 0) {
		step.peer = (uint8_t)((random >> 36) % 6 << 4 | (1 + (random >> 40) % FUZZ_PEERS));
		step.where = (uint16_t)(0x8000 | ((random >> 44) % 10 * IPK_LINE + words[(random >> 50) % sizeof(words)]));
	}
	step.value = (uint16_t)(style < 2 ? style << 14 | i : (int)(random >> 48));
	return step;
}

struct fuzz_step fuzz_make_step(const struct fuzz_setting *setting, int style, int i)
{
	return setting->subject == FUZZ_RING ? ring_step_of(setting->kind, style, i) : step_of(style, i);
}
