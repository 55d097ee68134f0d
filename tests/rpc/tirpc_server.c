/*
 * A server on libtirpc, without rpcbind: tirpc_server tcp|udp|unix [PATH]. Prints its port, then serves.
 *
 * Procedure 0: nothing. 1: gives back its opaque. 2: uid, gid, machine name and groups of an AUTH_SYS credential.
 * 3 to 6: SYSTEM_ERR, AUTH_TOOWEAK, GARBAGE_ARGS, PROG_UNAVAIL. 7: no answer. Others: PROC_UNAVAIL.
 */
#include <rpc/rpc.h>
#include <rpc/svc_soc.h>
#include <rpc/auth_unix.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROGRAM 0x20000099u
#define VERSION 3u
#define DATAGRAM 65000u

struct blob {
    u_int size;
    char *data;
};

static bool_t xdr_blob(XDR *xdrs, struct blob *blob) {
    return xdr_bytes(xdrs, &blob->data, &blob->size, ~0u);
}

static bool_t xdr_caller(XDR *xdrs, struct authunix_parms *caller) {
    return xdr_u_int(xdrs, &caller->aup_uid) && xdr_u_int(xdrs, &caller->aup_gid) &&
           xdr_string(xdrs, &caller->aup_machname, 255) &&
           xdr_array(xdrs, (char **)&caller->aup_gids, &caller->aup_len, 16, sizeof(u_int), (xdrproc_t)xdr_u_int);
}

static void echo(SVCXPRT *transport) {
    struct blob blob = {0, NULL};
    if (!svc_getargs(transport, (xdrproc_t)xdr_blob, (char *)&blob)) {
        svcerr_decode(transport);
        return;
    }
    svc_sendreply(transport, (xdrproc_t)xdr_blob, (char *)&blob);
    svc_freeargs(transport, (xdrproc_t)xdr_blob, (char *)&blob);
}

static void answer(struct svc_req *request, SVCXPRT *transport) {
    switch (request->rq_proc) {
    case 0:
        svc_sendreply(transport, (xdrproc_t)xdr_void, NULL);
        break;
    case 1:
        echo(transport);
        break;
    case 2:
        if (request->rq_cred.oa_flavor != AUTH_SYS)
            svcerr_weakauth(transport);
        else
            svc_sendreply(transport, (xdrproc_t)xdr_caller, request->rq_clntcred);
        break;
    case 3:
        svcerr_systemerr(transport);
        break;
    case 4:
        svcerr_auth(transport, AUTH_TOOWEAK);
        break;
    case 5:
        svcerr_decode(transport);
        break;
    case 6:
        svcerr_noprog(transport);
        break;
    case 7:
        break;
    default:
        svcerr_noproc(transport);
    }
}

int main(int count, char **words) {
    SVCXPRT *transport = NULL;
    if (count > 1 && !strcmp(words[1], "tcp"))
        transport = svctcp_create(RPC_ANYSOCK, 0, 0);
    else if (count > 1 && !strcmp(words[1], "udp"))
        transport = svcudp_bufcreate(RPC_ANYSOCK, DATAGRAM, DATAGRAM);
    else if (count > 2 && !strcmp(words[1], "unix"))
        transport = svcunix_create(RPC_ANYSOCK, 0, 0, words[2]);
    if (!transport || !svc_register(transport, PROGRAM, VERSION, answer, 0)) {
        fputs("usage: tirpc_server tcp|udp|unix [PATH]\n", stderr);
        return EXIT_FAILURE;
    }
    printf("%d\n", transport->xp_port);
    fflush(stdout);
    svc_run();
    return EXIT_FAILURE;
}
