#include "path.h"

#include <errno.h>
#include <string.h>

int ipk_path_directory(char *out, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t length;

	if (!slash)
		return -EINVAL;
	length = slash == path ? 1 : (size_t)(slash - path);
	if (length >= IPK_PATH_SIZE)
		return -ENAMETOOLONG;
	memcpy(out, path, length);
	out[length] = '\0';
	return 0;
}

static char *append(char *at, const char *text)
{
	size_t length = strlen(text);

	memcpy(at, text, length + 1);
	return at + length;
}

static char *append_number(char *at, uint64_t number)
{
	char digits[21];
	char *first = digits + sizeof(digits) - 1;

	*first = '\0';
	do
		*--first = (char)('0' + number % 10);
	while (number /= 10);
	return append(at, first);
}

void ipk_path_of_fd(char *out, int fd)
{
	append_number(append(out, "/proc/self/fd/"), (uint64_t)fd);
}

void ipk_path_of_process(char *out, uint64_t pid, const char *leaf)
{
	append(append(append_number(append(out, "/proc/"), pid), "/"), leaf);
}
