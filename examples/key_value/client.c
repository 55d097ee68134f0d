/* Calls the key-value service: client PORT {put NAME DATA | get NAME | remove NAME | list PREFIX}... */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kv.h"

static void *checked(CLIENT *client, void *result)
{
    if (!result) {
        clnt_perror(client, "call failed");
        exit(1);
    }
    return result;
}

int main(int argc, char **argv)
{
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int socket = RPC_ANYSOCK;
    CLIENT *client;

    server.sin_port = htons((unsigned short)(argc > 1 ? atoi(argv[1]) : 0));
    client = clnttcp_create(&server, KEY_VALUE, KEY_VALUE_1, &socket, 0, 0);
    if (!client) {
        clnt_pcreateerror("cannot connect");
        return 1;
    }
    for (int i = 2; i + 1 < argc; i += 2) {
        char *verb = argv[i], *name = argv[i + 1];

        if (strcmp(verb, "put") == 0 && i + 2 < argc) {
            kv_data data = {.kv_data_len = (u_int)strlen(argv[i + 2]), .kv_data_val = argv[i + 2]};
            u_quad_t *revision = checked(client, kv_put_1(name, data, client));

            printf("%s is revision %llu\n", name, (unsigned long long)*revision);
            i++;
        } else if (strcmp(verb, "get") == 0) {
            kv_found *got = checked(client, kv_get_1(name, client));
            kv_data *data = &got->kv_found_u.entry.data;

            if (got->found)
                printf("%s = %.*s\n", name, (int)data->kv_data_len, data->kv_data_val);
            else
                printf("%s is not there\n", name);
            clnt_freeres(client, (xdrproc_t)xdr_kv_found, (caddr_t)got);
        } else if (strcmp(verb, "remove") == 0) {
            bool_t *was_there = checked(client, kv_remove_1(name, client));

            printf("%s %s\n", name, *was_there ? "is removed" : "was not there");
        } else if (strcmp(verb, "list") == 0) {
            kv_names *names = checked(client, kv_list_1(name, client));

            for (u_int n = 0; n < names->kv_names_len; n++)
                printf("%s\n", names->kv_names_val[n]);
            clnt_freeres(client, (xdrproc_t)xdr_kv_names, (caddr_t)names);
        }
    }
    clnt_destroy(client);
    return 0;
}
