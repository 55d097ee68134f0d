/*
 * A client and a server on libtirpc, without rpcbind, both within this machine:
 *
 *     libtirpc serve unix|tcp|udp PATH                                  prints its port; ends when stdin does
 *     libtirpc call unix|tcp|udp PATH|PORT SIZE WARM_UP COUNT           writes COUNT times in ns, as int64_t, to stdout
 *
 * Procedure 0 takes and gives nothing; 1 gives back its opaque. With a SIZE of 0, procedure 0 is called.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <rpc/rpc.h>
#include <rpc/svc_soc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM 0x20000001u
#define VERSION 1u
#define DATAGRAM 65000u

struct blob {
    u_int size;
    char *data;
};

static bool_t xdr_blob(XDR *xdrs, struct blob *blob) {
    return xdr_bytes(xdrs, &blob->data, &blob->size, ~0u);
}

static void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(EXIT_FAILURE);
}

static void answer(struct svc_req *request, SVCXPRT *transport) {
    struct blob blob = {0, NULL};
    if (request->rq_proc == 0) {
        svc_sendreply(transport, (xdrproc_t)xdr_void, NULL);
    } else if (request->rq_proc != 1) {
        svcerr_noproc(transport);
    } else if (!svc_getargs(transport, (xdrproc_t)xdr_blob, (char *)&blob)) {
        svcerr_decode(transport);
    } else {
        svc_sendreply(transport, (xdrproc_t)xdr_blob, (char *)&blob);
        svc_freeargs(transport, (xdrproc_t)xdr_blob, (char *)&blob);
    }
}

static void *end_with_stdin(void *unused) {
    char byte;
    (void)unused;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    _exit(EXIT_SUCCESS);
}

static void serve(const char *kind, char *path) {
    pthread_t thread;
    SVCXPRT *transport = NULL;
    if (!strcmp(kind, "tcp")) {
        transport = svctcp_create(RPC_ANYSOCK, 0, 0);
    } else if (!strcmp(kind, "udp")) {
        transport = svcudp_bufcreate(RPC_ANYSOCK, DATAGRAM, DATAGRAM);
    } else {
        unlink(path);
        transport = svcunix_create(RPC_ANYSOCK, 0, 0, path);
    }
    if (!transport || !svc_register(transport, PROGRAM, VERSION, answer, 0))
        fail("no transport to serve");
    if (pthread_create(&thread, NULL, end_with_stdin, NULL))
        fail("no thread");
    printf("%d\n", transport->xp_port);
    fflush(stdout);
    svc_run();
}

static CLIENT *connected(const char *kind, const char *where) {
    int descriptor = RPC_ANYSOCK;
    struct timeval retry = {1, 0};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (!strcmp(kind, "unix")) {
        strncpy(local.sun_path, where, sizeof local.sun_path - 1);
        return clntunix_create(&local, PROGRAM, VERSION, &descriptor, 0, 0);
    }
    loopback.sin_port = htons((uint16_t)atoi(where));
    if (!strcmp(kind, "tcp"))
        return clnttcp_create(&loopback, PROGRAM, VERSION, &descriptor, 0, 0);
    return clntudp_bufcreate(&loopback, PROGRAM, VERSION, retry, &descriptor, DATAGRAM, DATAGRAM);
}

static void call(CLIENT *client, struct blob *sent, struct blob *back) {
    struct timeval limit = {5, 0};
    enum clnt_stat status;
    if (sent->size == 0)
        status = clnt_call(client, 0, (xdrproc_t)xdr_void, NULL, (xdrproc_t)xdr_void, NULL, limit);
    else
        status = clnt_call(client, 1, (xdrproc_t)xdr_blob, (char *)sent, (xdrproc_t)xdr_blob, (char *)back, limit);
    if (status != RPC_SUCCESS)
        fail(clnt_sperrno(status));
}

static int64_t now(void) {
    struct timespec moment;
    clock_gettime(CLOCK_MONOTONIC, &moment);
    return moment.tv_sec * INT64_C(1000000000) + moment.tv_nsec;
}

static void measure(CLIENT *client, u_int size, size_t warm_up, size_t count) {
    int64_t *trips = calloc(count, sizeof *trips);
    struct blob sent = {size, malloc(size + 1)}, back = {0, NULL};
    if (!trips || !sent.data)
        fail("no memory");
    for (u_int i = 0; i < size; i++)
        sent.data[i] = (char)(i % 251);
    for (size_t i = 0; i < warm_up; i++) {
        call(client, &sent, &back);
        if (back.size != size || (size && memcmp(back.data, sent.data, size)))
            fail("a call gave back something else");
        clnt_freeres(client, (xdrproc_t)xdr_blob, (char *)&back);
        back = (struct blob){0, NULL};
    }
    for (size_t i = 0; i < count; i++) {
        int64_t start = now();
        call(client, &sent, &back);
        clnt_freeres(client, (xdrproc_t)xdr_blob, (char *)&back);
        back = (struct blob){0, NULL};
        trips[i] = now() - start;
    }
    if (fwrite(trips, sizeof *trips, count, stdout) != count)
        fail("no room for the times");
}

int main(int count, char **words) {
    if (count == 4 && !strcmp(words[1], "serve")) {
        serve(words[2], words[3]);
        return EXIT_FAILURE;
    }
    if (count != 7 || strcmp(words[1], "call"))
        fail("see the comment at the top of libtirpc.c");
    CLIENT *client = connected(words[2], words[3]);
    if (!client)
        fail("no connection");
    measure(client, (u_int)strtoul(words[4], NULL, 10), strtoul(words[5], NULL, 10), strtoul(words[6], NULL, 10));
    return EXIT_SUCCESS;
}
