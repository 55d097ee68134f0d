/* The service of examples/key_value in C, for clients that are not: kv_server; prints its port. Holds one entry. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "kv.h"

void key_value_1(struct svc_req *request, SVCXPRT *transport);

static char *stored;
static kv_entry entry;

u_quad_t *kv_put_1_svc(kv_name name, kv_data data, struct svc_req *request)
{
    (void)request;
    if (!stored || strcmp(stored, name) != 0) {
        free(stored);
        stored = strdup(name);
        entry.revision = 0;
    }
    free(entry.data.kv_data_val);
    entry.data.kv_data_val = malloc(data.kv_data_len + 1);
    memcpy(entry.data.kv_data_val, data.kv_data_val, data.kv_data_len);
    entry.data.kv_data_len = data.kv_data_len;
    entry.revision++;
    return &entry.revision;
}

kv_found *kv_get_1_svc(kv_name name, struct svc_req *request)
{
    static kv_found found;

    (void)request;
    found.found = stored && strcmp(stored, name) == 0;
    found.kv_found_u.entry = entry;
    return &found;
}

bool_t *kv_remove_1_svc(kv_name name, struct svc_req *request)
{
    static bool_t was_there;

    (void)request;
    was_there = stored && strcmp(stored, name) == 0;
    if (was_there) {
        free(stored);
        stored = NULL;
    }
    return &was_there;
}

kv_names *kv_list_1_svc(kv_name prefix, struct svc_req *request)
{
    static kv_names names;

    (void)request;
    names.kv_names_val = &stored;
    names.kv_names_len = stored && strncmp(stored, prefix, strlen(prefix)) == 0;
    return &names;
}

int main(void)
{
    SVCXPRT *transport;
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof own;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) < 0 || listen(fd, 8) < 0)
        return 1;
    transport = svctcp_create(fd, 0, 0);
    if (!transport || !svc_register(transport, KEY_VALUE, KEY_VALUE_1, key_value_1, 0)) /* 0: without rpcbind */
        return 2;
    getsockname(fd, (struct sockaddr *)&own, &size);
    printf("%d\n", ntohs(own.sin_port));
    fflush(stdout);
    svc_run();
    return 3;
}
