/* The objects of synchronisation outlive a process that is killed after any instruction of any of their operations.
 *
 * usage: sweep_sync [every | points] [WORD ...]
 *
 *   every   after each single instruction, not only where something has changed
 *   points  at the marked points of the sources (in a build with IPK_FAULTS), without ptrace(2)
 *   WORD    only scenes whose name contains one of the words; or, after a ^, begins with it; or, after a =, is it
 */
#include <stdio.h>
#include <string.h>

#include "scenes.h"

static const struct {
	const struct scene *const *scenes;
	const size_t *count;
} groups[] = {
	{&atomic_scenes, &atomic_scene_count},
	{&barrier_scenes, &barrier_scene_count},
	{&broadcast_scenes, &broadcast_scene_count},
	{&broadcast_parts_scenes, &broadcast_parts_scene_count},
	{&condition_scenes, &condition_scene_count},
	{&event_scenes, &event_scene_count},
	{&event_sleepers_scenes, &event_sleepers_scene_count},
	{&latch_scenes, &latch_scene_count},
	{&latest_scenes, &latest_scene_count},
	{&making_scenes, &making_scene_count},
	{&mpmc_scenes, &mpmc_scene_count},
	{&mutex_scenes, &mutex_scene_count},
	{&once_scenes, &once_scene_count},
	{&rwlock_scenes, &rwlock_scene_count},
	{&rwlock_sleepers_scenes, &rwlock_sleepers_scene_count},
	{&semaphore_scenes, &semaphore_scene_count},
	{&semaphore_sleepers_scenes, &semaphore_sleepers_scene_count},
	{&spsc_scenes, &spsc_scene_count},
};

static int matches(const char *name, const char *word)
{
	switch (word[0]) {
	case '^':
		return strncmp(name, word + 1, strlen(word + 1)) == 0;
	case '=':
		return strcmp(name, word + 1) == 0;
	default:
		return strstr(name, word) != NULL;
	}
}

static int wanted(const struct scene *scene, int words, char **word)
{
	for (int i = 0; i < words; i++)
		if (matches(scene->name, word[i]))
			return 1;
	return words == 0;
}

int main(int count, char **words)
{
	const char *mode = count > 1 ? words[1] : "";
	int moded = strcmp(mode, "every") == 0 || strcmp(mode, "points") == 0;
	struct scene chosen[256];
	size_t found = 0;

	words += 1 + moded;
	count -= 1 + moded;
	for (size_t group = 0; group < sizeof(groups) / sizeof(groups[0]); group++)
		for (size_t i = 0; i < *groups[group].count; i++)
			if (wanted(&(*groups[group].scenes)[i], count, words) && found < sizeof(chosen) / sizeof(chosen[0]))
				chosen[found++] = (*groups[group].scenes)[i];
#ifdef IPK_FAULTS
	if (strcmp(mode, "points") == 0) {
		sweep_points(chosen, found);
		return 0;
	}
#endif
	sweep(chosen, found, strcmp(mode, "every") == 0);
	return 0;
}
