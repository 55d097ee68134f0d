/* Every type of XDR through libtirpc's own routines: text to encoding, and back.
 *
 *   xdr_peer print < ENCODING     the value, a field in each line
 *   xdr_peer again < ENCODING     decoded and encoded again
 *
 * The value is a chain of `struct item`, and what follows it is refused.
 */
#include <inttypes.h>
#include <rpc/rpc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum colour { RED = 0, GREEN = 7, BLUE = -5 };

struct choice {
	enum colour kind;
	union {
		char *text;
		struct {
			u_int count;
			int *values;
		} numbers;
	} of;
};

struct item {
	int number;
	u_int natural;
	int64_t hyper;
	uint64_t uhyper;
	float single_precision;
	double double_precision;
	bool_t truth;
	enum colour colour;
	char key[5];
	struct {
		u_int length;
		char *bytes;
	} data;
	char *name;
	double grid[3];
	struct {
		u_int count;
		char **names;
	} tags;
	struct choice choice;
	struct item *next;
};

static bool_t colour_of(XDR *x, enum colour *value)
{
	return xdr_enum(x, (enum_t *)value);
}

static bool_t tag_of(XDR *x, char **value)
{
	return xdr_string(x, value, 20);
}

static bool_t choice_of(XDR *x, struct choice *value)
{
	if (!colour_of(x, &value->kind))
		return FALSE;
	switch (value->kind) {
	case RED:
		return xdr_string(x, &value->of.text, ~0u);
	case GREEN:
		return xdr_array(x, (char **)&value->of.numbers.values, &value->of.numbers.count, 9, sizeof(int),
				 (xdrproc_t)xdr_int);
	default:
		return TRUE;
	}
}

static bool_t fields_of(XDR *x, struct item *value)
{
	return xdr_int(x, &value->number) && xdr_u_int(x, &value->natural) && xdr_int64_t(x, &value->hyper) &&
	       xdr_uint64_t(x, &value->uhyper) && xdr_float(x, &value->single_precision) &&
	       xdr_double(x, &value->double_precision) && xdr_bool(x, &value->truth) && colour_of(x, &value->colour) &&
	       xdr_opaque(x, value->key, sizeof value->key) &&
	       xdr_bytes(x, &value->data.bytes, &value->data.length, 100) && xdr_string(x, &value->name, 255) &&
	       xdr_vector(x, (char *)value->grid, 3, sizeof(double), (xdrproc_t)xdr_double) &&
	       xdr_array(x, (char **)&value->tags.names, &value->tags.count, 4, sizeof(char *), (xdrproc_t)tag_of) &&
	       choice_of(x, &value->choice);
}

static bool_t item_of(XDR *x, struct item *value)
{
	return fields_of(x, value) &&
	       xdr_pointer(x, (char **)&value->next, sizeof(struct item), (xdrproc_t)item_of);
}

static void print_bytes(const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		printf("%02x", (unsigned)(unsigned char)bytes[i]);
	putchar('\n');
}

static void print(const struct item *value)
{
	printf("%d\n%u\n%" PRId64 "\n%" PRIu64 "\n", value->number, value->natural, value->hyper, value->uhyper);
	printf("%a\n%a\n%d\n%d\n", (double)value->single_precision, value->double_precision, (int)value->truth,
	       (int)value->colour);
	print_bytes(value->key, sizeof value->key);
	print_bytes(value->data.bytes, value->data.length);
	print_bytes(value->name, strlen(value->name));
	for (size_t i = 0; i < 3; i++)
		printf("%a\n", value->grid[i]);
	printf("%u\n", value->tags.count);
	for (u_int i = 0; i < value->tags.count; i++)
		print_bytes(value->tags.names[i], strlen(value->tags.names[i]));
	printf("%d\n", (int)value->choice.kind);
	if (value->choice.kind == RED)
		print_bytes(value->choice.of.text, strlen(value->choice.of.text));
	for (u_int i = 0; value->choice.kind == GREEN && i < value->choice.of.numbers.count; i++)
		printf("%d\n", value->choice.of.numbers.values[i]);
}

int main(int count, char **words)
{
	static char given[1 << 20], made[1 << 20];
	size_t size = fread(given, 1, sizeof given, stdin);
	static struct item first;
	XDR x;

	if (count != 2)
		return 2;
	xdrmem_create(&x, given, (u_int)size, XDR_DECODE);
	if (!item_of(&x, &first) || xdr_getpos(&x) != size)
		return 3;
	if (strcmp(words[1], "print") == 0) {
		for (const struct item *one = &first; one != NULL; one = one->next)
			print(one);
	} else {
		xdrmem_create(&x, made, sizeof made, XDR_ENCODE);
		if (!item_of(&x, &first))
			return 4;
		fwrite(made, 1, xdr_getpos(&x), stdout);
	}
	return 0;
}
