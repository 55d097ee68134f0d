/* Descriptors over a Unix socket: SCM_RIGHTS of unix(7), cmsg(3), by plain libc calls.
 *
 * scm_rights send TYPE PATH FILE...   connect, and send one message "N" with a descriptor of each of the N files
 * scm_rights receive TYPE PATH        connect, receive one message, and print its text, a line; then for each
 *                                     descriptor that came a line with what can be read from it
 * TYPE is stream, seqpacket or datagram.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MOST = 16 };

union control {
    char bytes[CMSG_SPACE(MOST * sizeof(int))];
    struct cmsghdr aligned;
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int connected(const char *type, const char *path)
{
    int kind = strcmp(type, "stream") == 0 ? SOCK_STREAM : strcmp(type, "seqpacket") == 0 ? SOCK_SEQPACKET : SOCK_DGRAM;
    int fd = socket(AF_UNIX, kind, 0);
    if (fd < 0)
        die("socket");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (kind == SOCK_DGRAM && bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)) < 0) /* autobind */
        die("bind");
    if (strlen(path) >= sizeof address.sun_path) {
        fprintf(stderr, "path too long\n");
        exit(1);
    }
    strcpy(address.sun_path, path);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("connect");
    return fd;
}

static void send_files(int sock, int count, char **files)
{
    char text[16];
    int length = snprintf(text, sizeof text, "%d", count);
    struct iovec data = {.iov_base = text, .iov_len = (size_t)length};
    union control control;
    memset(&control, 0, sizeof control);
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = CMSG_SPACE((size_t)count * sizeof(int)),
    };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
    for (int i = 0; i < count; i++) {
        int fd = open(files[i], O_RDONLY);
        if (fd < 0)
            die(files[i]);
        memcpy(CMSG_DATA(header) + (size_t)i * sizeof fd, &fd, sizeof fd);
    }
    if (sendmsg(sock, &message, MSG_NOSIGNAL) != length)
        die("sendmsg");
}

static void show(int fd)
{
    char content[4096];
    ssize_t length = read(fd, content, sizeof content);
    if (length < 0)
        die("read");
    printf("%.*s\n", (int)length, content);
    close(fd);
}

static void receive(int sock)
{
    char text[4096];
    struct iovec data = {.iov_base = text, .iov_len = sizeof text};
    union control control;
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    if (send(sock, "ready", 5, MSG_NOSIGNAL) != 5) /* so that a datagram has an address to come to */
        die("send");
    ssize_t length = recvmsg(sock, &message, MSG_CMSG_CLOEXEC);
    if (length < 0)
        die("recvmsg");
    printf("%.*s\n", (int)length, text);
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            show(fd);
        }
    }
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        printf("truncated\n");
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc - 4 > MOST) {
        fprintf(stderr, "usage: scm_rights send|receive stream|seqpacket|datagram PATH [FILE...]\n");
        return 2;
    }
    int sock = connected(argv[2], argv[3]);
    if (strcmp(argv[1], "send") == 0)
        send_files(sock, argc - 4, argv + 4);
    else
        receive(sock);
    return 0;
}
