/* Paths and small /proc files without stdio: the core does not allocate. Private to src/. */
#ifndef IPCKIT_SRC_PATH_H
#define IPCKIT_SRC_PATH_H

#include <stdint.h>

#define IPK_PATH_SIZE 512

/* Write the directory part of path (with no trailing slash) to out[IPK_PATH_SIZE]. Returns 0, -ENAMETOOLONG, or
 * -EINVAL if path has no slash. */
int ipk_path_directory(char *out, const char *path);

/* Write "/proc/self/fd/N" to out[IPK_PATH_SIZE]. */
void ipk_path_of_fd(char *out, int fd);

/* Write "/proc/PID/LEAF" to out[IPK_PATH_SIZE]. */
void ipk_path_of_process(char *out, uint64_t pid, const char *leaf);

#endif
