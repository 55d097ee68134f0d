/* Byte streams of pipe(7) and fifo(7), by plain libc calls. Input is descriptor 0, output descriptor 1.
 *
 * stream records COUNT LETTER   write COUNT records of PIPE_BUF times LETTER, each by one write(2)
 * stream packets                read with room for PIPE_BUF bytes until the end, and print what each read(2) got, a line
 *                               with its size
 * stream frames                 read messages with a length of 4 bytes, most significant first, before each; write each
 *                               back, its bytes reversed, in the same form
 * stream fifo HOW PATH          open the FIFO in the way HOW, print "open" or the number of the error, a line; then
 *                               r, rn   read until the end (rn: after a line of input), print how many bytes came
 *                               w, wn   write "from C"
 *                               rw      write "to itself", and print what can be read
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void records(int count, char letter)
{
    char record[PIPE_BUF];
    memset(record, letter, sizeof record);
    for (int i = 0; i < count; i++)
        if (write(1, record, sizeof record) != sizeof record)
            die("write");
}

static void packets(void)
{
    char packet[PIPE_BUF];
    ssize_t size;
    while ((size = read(0, packet, sizeof packet)) > 0)
        printf("%zd\n", size);
    if (size < 0)
        die("read");
}

/* Whether *all* of it came; the end before the first byte is no error. */
static int read_whole(void *buffer, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t count = read(0, (char *)buffer + done, size - done);
        if (count < 0)
            die("read");
        if (count == 0 && done == 0)
            return 0;
        if (count == 0) {
            fprintf(stderr, "the end came inside a message\n");
            exit(1);
        }
        done += (size_t)count;
    }
    return 1;
}

static void write_whole(const char *buffer, size_t size)
{
    while (size > 0) {
        ssize_t count = write(1, buffer, size);
        if (count < 0)
            die("write");
        buffer += count;
        size -= (size_t)count;
    }
}

static void frames(void)
{
    uint32_t header;
    while (read_whole(&header, sizeof header)) {
        size_t size = ntohl(header);
        char *message = malloc(size + 1), *answer = malloc(size + sizeof header);
        if (message == NULL || answer == NULL)
            die("malloc");
        if (size > 0 && !read_whole(message, size))
            die("read");
        memcpy(answer, &header, sizeof header);
        for (size_t i = 0; i < size; i++)
            answer[sizeof header + i] = message[size - 1 - i];
        write_whole(answer, size + sizeof header);
        free(message);
        free(answer);
    }
}

static void fifo(const char *how, const char *path)
{
    int flags = strcmp(how, "rw") == 0 ? O_RDWR : how[0] == 'r' ? O_RDONLY : O_WRONLY;
    if (strchr(how, 'n') != NULL)
        flags |= O_NONBLOCK;
    int fd = open(path, flags);
    if (fd < 0) {
        printf("%d\n", errno);
        return;
    }
    printf("open\n");
    fflush(stdout);
    char buffer[4096];
    if (flags & O_NONBLOCK && how[0] == 'r' && read(0, buffer, 1) < 0)
        die("read");
    if (how[0] == 'w' && write(fd, "from C", 6) != 6)
        die("write");
    if (strcmp(how, "rw") == 0) {
        if (write(fd, "to itself", 9) != 9)
            die("write");
        ssize_t count = read(fd, buffer, sizeof buffer);
        printf("%.*s\n", (int)count, buffer);
    } else if (how[0] == 'r') {
        size_t total = 0;
        ssize_t count;
        while ((count = read(fd, buffer, sizeof buffer)) > 0)
            total += (size_t)count;
        printf("%zu\n", total);
    }
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "records") == 0)
        records(atoi(argv[2]), argv[3][0]);
    else if (argc == 2 && strcmp(argv[1], "packets") == 0)
        packets();
    else if (argc == 2 && strcmp(argv[1], "frames") == 0)
        frames();
    else if (argc == 4 && strcmp(argv[1], "fifo") == 0)
        fifo(argv[2], argv[3]);
    else
        return 2;
    return 0;
}
