/* The scenes of each kind of object, for sweep_sync. */
#ifndef IPCKIT_TESTS_SCENES_H
#define IPCKIT_TESTS_SCENES_H

#include "sweep.h"

extern const struct scene *const atomic_scenes;
extern const size_t atomic_scene_count;
extern const struct scene *const barrier_scenes;
extern const size_t barrier_scene_count;
extern const struct scene *const broadcast_scenes;
extern const size_t broadcast_scene_count;
extern const struct scene *const broadcast_parts_scenes;
extern const size_t broadcast_parts_scene_count;
extern const struct scene *const condition_scenes;
extern const size_t condition_scene_count;
extern const struct scene *const event_scenes;
extern const size_t event_scene_count;
extern const struct scene *const event_sleepers_scenes;
extern const size_t event_sleepers_scene_count;
extern const struct scene *const latch_scenes;
extern const size_t latch_scene_count;
extern const struct scene *const latest_scenes;
extern const size_t latest_scene_count;
extern const struct scene *const making_scenes;
extern const size_t making_scene_count;
extern const struct scene *const mpmc_scenes;
extern const size_t mpmc_scene_count;
extern const struct scene *const mutex_scenes;
extern const size_t mutex_scene_count;
extern const struct scene *const once_scenes;
extern const size_t once_scene_count;
extern const struct scene *const rwlock_scenes;
extern const size_t rwlock_scene_count;
extern const struct scene *const rwlock_sleepers_scenes;
extern const size_t rwlock_sleepers_scene_count;
extern const struct scene *const semaphore_scenes;
extern const size_t semaphore_scene_count;
extern const struct scene *const semaphore_sleepers_scenes;
extern const size_t semaphore_sleepers_scene_count;
extern const struct scene *const spsc_scenes;
extern const size_t spsc_scene_count;

#endif
