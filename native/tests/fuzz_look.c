/* Fuzzing of looks (fuzz.h): the content of the input is a whole file, at which somebody looks who takes no part. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "ipckit/look.h"

#define KINDS 6
#define PARTICIPANTS_MOST (2 * 4096) /* of any object */

static struct ipk_look *look;
static int eye; /* a descriptor for reading only */

void fuzz_open_look(void)
{
	char path[32];
	int file = fuzz_duplicate_file();

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	look = calloc(1, sizeof(*look));
	eye = open(path, O_RDONLY | O_CLOEXEC);
	if (!look || eye < 0)
		fuzz_fails("look");
	close(file);
}

/* Look at the file as at something of that kind. */
static int64_t look_at(uint32_t kind, const struct fuzz_step *step)
{
	struct ipk_spsc_stat spsc;
	struct ipk_mpmc_stat mpmc;
	struct ipk_mpmc_options chosen;
	struct ipk_broadcast_stat broadcast;
	struct ipk_latest_stat latest;
	struct ipk_sync_info sync;
	struct ipk_look_state state;

	fuzz_enter(step);
	switch (kind) {
	case IPK_KIND_SPSC:
		return fuzz_left("ipk_look_spsc", ipk_look_spsc(look, &spsc), 1);
	case IPK_KIND_MPMC:
		return fuzz_left("ipk_look_mpmc", ipk_look_mpmc(look, &mpmc, &chosen), 1);
	case IPK_KIND_BROADCAST:
		return fuzz_left("ipk_look_broadcast", ipk_look_broadcast(look, &broadcast), 1);
	case IPK_KIND_LATEST:
		return fuzz_left("ipk_look_latest", ipk_look_latest(look, &latest), 1);
	default:
		return fuzz_left("ipk_look_sync", ipk_look_sync(look, &sync, &state), 1);
	}
}

static void look_at_participants(const struct fuzz_step *step)
{
	struct ipk_look_participant who;
	uint32_t index = 0;
	int64_t rc;

	do {
		fuzz_enter(step);
		rc = fuzz_left("ipk_look_participant", ipk_look_participant(look, index, &who), 1);
	} while (rc >= 0 && index++ < PARTICIPANTS_MOST);
	if (rc >= 0)
		fuzz_fails("participants without an end");
}

void fuzz_on_look(const struct fuzz_script *script)
{
	struct ipk_segment_info info;
	struct fuzz_range was = fuzz_object;

	fuzz_object = fuzz_file_bytes(fuzz_fill_file(script));
	fuzz_probes = 1;
	for (size_t i = 0; i < script->count; i++) {
		struct fuzz_step step = fuzz_step_of(script, i);
		uint32_t kind = step.call % KINDS ? step.call % KINDS : script->setting->kind;

		FUZZ_CALL(&step, ipk_look_begin(look, eye, &info));
		look_at(kind, &step);
		look_at_participants(&step);
		FUZZ_CALL(&step, ipk_look_end(look, step.argument % 4));
		FUZZ_CALL(&step, ipk_look_passed(look, step.value));
	}
	fuzz_probes = 0;
	fuzz_object = was;
}
