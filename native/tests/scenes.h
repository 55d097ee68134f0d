/* The scenes of each kind of object, for sweep_sync. */
#ifndef IPCKIT_TESTS_SCENES_H
#define IPCKIT_TESTS_SCENES_H

#include "sweep.h"

extern const struct scene *const making_scenes;
extern const size_t making_scene_count;
extern const struct scene *const mutex_scenes;
extern const size_t mutex_scene_count;

#endif
