/* Decodes values with the routines that rpcgen wrote, and encodes them again. In: the number of a type, a length, and so
 * many bytes; out: a length and so many bytes, or 0xffffffff where decoding failed. All numbers are in network order. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "every_type.h"

#define TYPE(name) { (xdrproc_t)xdr_##name, sizeof(name) }

static const struct {
    xdrproc_t routine;
    size_t size;
} types[] = {
    TYPE(numbers), TYPE(arrays),      TYPE(link),    TYPE(chain),      TYPE(by_enum),
    TYPE(by_int),  TYPE(by_unsigned), TYPE(by_bool), TYPE(everything),  TYPE(narrow),
};

static int read_number(u_int *number)
{
    if (fread(number, sizeof *number, 1, stdin) != 1)
        return 0;
    *number = ntohl(*number);
    return 1;
}

static void write_number(u_int number)
{
    number = htonl(number);
    fwrite(&number, sizeof number, 1, stdout);
}

int main(void)
{
    u_int which, length;

    while (read_number(&which) && read_number(&length)) {
        char *in = malloc(length + 1), *out = malloc(length + 1);
        void *value = calloc(1, types[which].size);
        XDR decoding, encoding;

        if (!in || !out || !value || fread(in, 1, length, stdin) != length)
            return 1;
        xdrmem_create(&decoding, in, length, XDR_DECODE);
        xdrmem_create(&encoding, out, length, XDR_ENCODE);
        if (types[which].routine(&decoding, value) && types[which].routine(&encoding, value)) {
            write_number(xdr_getpos(&encoding));
            fwrite(out, 1, xdr_getpos(&encoding), stdout);
        } else {
            write_number(0xffffffff);
        }
        xdr_free(types[which].routine, value);
        free(in);
        free(out);
        free(value);
        fflush(stdout);
    }
    return 0;
}
