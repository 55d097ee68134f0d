/* A client of kv.x on rpcgen's stubs and libtirpc: kv_client tcp PORT | udp PORT | local PATH. Exit 0: all is well. */

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "kv.h"
#include <rpc/clnt_soc.h>

#define EXPECT(what)                                                                                                   \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "line %d: %s\n", __LINE__, #what);                                                         \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static CLIENT *reach(const char *way, const char *where, rpcprog_t program, rpcvers_t version) {
    int fd = RPC_ANYSOCK;
    if (strcmp(way, "local") == 0) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        strncpy(address.sun_path, where, sizeof address.sun_path - 1);
        return clntunix_create(&address, program, version, &fd, 0, 0);
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(where))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (strcmp(way, "tcp") == 0)
        return clnttcp_create(&address, program, version, &fd, 0, 0);
    struct timeval again = {.tv_sec = 1};
    return clntudp_create(&address, program, version, again, &fd);
}

static enum clnt_stat null_of(CLIENT *client, rpcproc_t procedure) {
    struct timeval patience = {.tv_sec = 20};
    return clnt_call(client, procedure, (xdrproc_t)xdr_void, NULL, (xdrproc_t)xdr_void, NULL, patience);
}

static void echo(CLIENT *client, unsigned size) {
    blob sent = {.blob_len = size, .blob_val = malloc(size + 1)};
    for (unsigned i = 0; i < size; i++)
        sent.blob_val[i] = (char)(i * 7 + i / 251);
    blob *got = echo_1(sent, client);
    EXPECT(got != NULL && got->blob_len == size && memcmp(got->blob_val, sent.blob_val, size) == 0);
    clnt_freeres(client, (xdrproc_t)xdr_blob, (caddr_t)got);
    free(sent.blob_val);
}

static void values(CLIENT *client, unsigned count) {
    several sent = {.several_len = count, .several_val = calloc(count, sizeof(numbers))};
    for (unsigned i = 0; i < count; i++) {
        int n = (int)i;
        sent.several_val[i] = (numbers){-n, ~i, -((quad_t)n << 33), (float)n / 3, (double)n / -7, n % 2, {n, n + 1, -n}};
    }
    several *got = turn_1(sent, client);
    EXPECT(got != NULL && got->several_len == count);
    for (unsigned i = 0; i < count; i++) {
        const numbers *one = &got->several_val[i], *other = &sent.several_val[count - 1 - i];
        EXPECT(one->low == other->low && one->high == other->high && one->large == other->large);
        EXPECT(one->single_one == other->single_one && one->double_one == other->double_one && one->yes == other->yes);
        EXPECT(memcmp(one->row, other->row, sizeof one->row) == 0);
    }
    clnt_freeres(client, (xdrproc_t)xdr_several, (caddr_t)got);
    free(sent.several_val);
}

int main(int count, char **words) {
    EXPECT(count == 3);
    const char *way = words[1], *where = words[2];
    int stream = strcmp(way, "udp") != 0;
    CLIENT *client = reach(way, where, KEY_VALUE, KEY_VALUE_V1);
    EXPECT(client != NULL);
    struct timeval patience = {.tv_sec = 20};
    clnt_control(client, CLSET_TIMEOUT, (char *)&patience);

    EXPECT(null_of(client, NULLPROC) == RPC_SUCCESS);
    char name[32], data[32];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "key %d", i);
        snprintf(data, sizeof data, "%d", i * i);
        blob value = {.blob_len = (unsigned)strlen(data), .blob_val = data};
        EXPECT(put_1(name, value, client) != NULL);
        lookup *found = get_1(name, client);
        EXPECT(found != NULL && found->found == FOUND && found->lookup_u.data.blob_len == value.blob_len);
        EXPECT(memcmp(found->lookup_u.data.blob_val, data, value.blob_len) == 0);
    }
    lookup *found = get_1("no such key", client);
    EXPECT(found != NULL && found->found == MISSING);

    entries *all = list_1(client);
    EXPECT(all != NULL);
    int length = 0;
    for (entry *each = *all; each != NULL; each = each->next)
        length++;
    EXPECT(length == 100);

    unsigned sizes[] = {0, 1, 2, 3, 4, 8000, 4 << 20};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes - !stream; i++)
        echo(client, sizes[i]);
    values(client, 0);
    values(client, stream ? 20000 : 100);

    EXPECT(fail_1(client) == NULL);
    struct rpc_err error;
    clnt_geterr(client, &error);
    EXPECT(error.re_status == RPC_SYSTEMERROR);
    EXPECT(null_of(client, 77) == RPC_PROCUNAVAIL);
    EXPECT(null_of(client, GET) == RPC_CANTDECODEARGS);

    AUTH *none = client->cl_auth;
    client->cl_auth = authunix_create_default();
    EXPECT(client->cl_auth != NULL && null_of(client, NULLPROC) == RPC_SUCCESS);
    auth_destroy(client->cl_auth);
    client->cl_auth = authunix_create("elsewhere", getuid() + 1, getgid() + 1, 0, NULL);
    enum clnt_stat claimed = null_of(client, NULLPROC);
    EXPECT(claimed == RPC_SUCCESS || (claimed == RPC_AUTHERROR && strcmp(way, "local") == 0 && getuid() != 0));
    auth_destroy(client->cl_auth);
    client->cl_auth = none;
    EXPECT(null_of(client, NULLPROC) == RPC_SUCCESS);
    clnt_destroy(client);

    client = reach(way, where, KEY_VALUE, 9);
    EXPECT(client != NULL && null_of(client, NULLPROC) == RPC_PROGVERSMISMATCH);
    clnt_geterr(client, &error);
    EXPECT(error.re_vers.low == 1 && error.re_vers.high == 1);
    clnt_destroy(client);
    client = reach(way, where, KEY_VALUE + 1, 1);
    EXPECT(client != NULL && null_of(client, NULLPROC) == RPC_PROGUNAVAIL);
    clnt_destroy(client);
    return 0;
}
